"""A relation's rows scored batch by batch, for the statement that writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import partial

import numpy as np
from numpy.typing import NDArray

from mlshare import arrays, background, cache, catalog, errors, frame
from mlshare.partitioned import AnyScorer
from mlshare.prediction import Prediction, joined, part
from mlshare.results import Codebook, Results, with_threshold
from mlshare.table import Kind, Table

# (first row, end, rows before it, labels, codes, common documents, further documents, numbers), see the statement
# "scored_batches".
Rendered = tuple[bytes | None, bytes | None, int, str | None, list[float | None] | None]
Scored = tuple[str, str, int, bytes | None, bytes | None, int, str | None, list[float | None] | None]

Wanted = Sequence[tuple[str, Kind]]

_WINDOW_BLOCKS = 1024  # that are read at a time for it: nothing waits for the first of them
_WINDOW_CELLS = 32_000_000  # of a table that a partitioned model scores at a time: 256 MB
# From this size of a table on, all documents of two classes are made at once: bit by bit takes longer.
_MANY_BLOCKS = 4096
_BATCHES, _LEAST_BLOCKS = 5, 32  # so many batches of a table, unless they would be small
_SMALL = 255  # classes whose numbers, from 1 on, fit into a byte


def needs(scorer: AnyScorer) -> tuple[list[tuple[str, Kind]], dict[str, tuple[str, ...]]]:
    """The columns a model needs, and the strings it knows of each (absent: it takes any text)."""
    return [(i.name, i.kind) for i in scorer.inputs], dict(scorer.known)


def windows(
    source: frame.Source, wanted: Wanted, known: Mapping[str, Sequence[str]], scorer: AnyScorer
) -> Iterator[list[frame.Batch]]:
    """All rows in lists of batches: many for a partitioned model, to call each sub-model seldom, else one by one."""
    most = _WINDOW_CELLS // max(1, len(wanted)) if scorer.key_columns else 0
    held: list[frame.Batch] = []
    for batch in frame.batches(source, wanted, known, n_blocks=_WINDOW_BLOCKS if most else frame.BLOCKS):
        held.append(batch)
        if sum(len(b.table) for b in held) >= most:
            yield held
            held = []
    if held:
        yield held


class Job:
    """One scoring of a relation. It runs while the statement that writes the output asks for its batches."""

    def __init__(self, source: frame.Source, model: catalog.Model, threshold: float | None) -> None:
        self._source, self._model, self._threshold = source, model, threshold
        self._scorer = cache.scorer(model)
        self._codebook = Codebook(Results(self._scorer))
        self._balance = background.Balance()
        if len(self._scorer.classes or ()) == 2 and (source.blocks or 0) >= _MANY_BLOCKS:
            self._codebook.fill(threshold)
        self._n_common: int | None = None
        self._running: Iterator[Scored] | None = None
        self._failure: errors.MlshareError | None = None

    def batches(self) -> Iterator[Scored]:
        """What the model says about the rows of each range of blocks, in their order."""
        self._running = self._scored()
        return self._running

    def common(self) -> str:
        """The ml_results documents of the codes from 0 on that the first batch has: a JSON array."""
        return _array(self._codebook.documents[: self._n_common or 0])

    def close(self) -> None:
        """Lets go of everything: a statement that failed may leave its iterator behind. Raises what made it fail."""
        if self._running is not None:
            self._running.close()  # type: ignore[attr-defined]
        if self._failure is not None:
            raise self._failure

    def _scored(self) -> Iterator[Scored]:
        render = self._rendered_numbers if self._scorer.task == "regression" else self._rendered_labels
        try:
            self._look_again()
            start = 0
            for (first, end), prediction in background.ahead(self._begun(), self._balance):
                yield (f"({first},0)", f"({end},0)", start, *render(prediction))
                start += len(prediction)
        except errors.MlshareError as error:  # on its way through SQL it would become another
            self._failure = error
            raise

    def _look_again(self) -> None:
        """Takes the model as the statement's snapshot has it: partitions that it does not see may be gone by now."""
        scorer = cache.scorer(catalog.find(self._model.name))
        if scorer.classes != self._scorer.classes or scorer.inputs != self._scorer.inputs:
            raise errors.ModelChanged(handle=self._model.handle)
        self._scorer = scorer

    def _begun(self) -> Iterator[tuple[tuple[int, int], Callable[[], Prediction]]]:
        if self._scorer.key_columns:
            return self._by_window()
        return self._by_batch()

    def _by_window(self) -> Iterator[tuple[tuple[int, int], Callable[[], Prediction]]]:
        wanted, known = needs(self._scorer)
        for window in windows(self._source, wanted, known, self._scorer):
            whole = self._scorer.predict(arrays.concatenated(wanted, [b.table for b in window]))
            start = 0
            for batch in window:
                assert batch.blocks is not None
                rows = slice(start, start + len(batch.table))
                yield batch.blocks, partial(part, whole, rows)
                start = rows.stop

    def _by_batch(self) -> Iterator[tuple[tuple[int, int], Callable[[], Prediction]]]:
        # A document of many classes is long. Of a small table some are written while others are scored.
        n_blocks = max(16, frame.BLOCKS // (1 + len(self._scorer.classes or ()) // 20))
        n_blocks = min(n_blocks, max(_LEAST_BLOCKS, (self._source.blocks or 0) // _BATCHES))
        for batch in frame.batches(self._source, *needs(self._scorer), n_blocks=n_blocks):
            assert batch.blocks is not None
            yield batch.blocks, self._begin(batch.table)

    def _begin(self, table: Table) -> Callable[[], Prediction]:
        """Scores some of the rows at once, while the thread is busy; what it returns does the rest."""
        n_own = round(self._balance.own * len(table)) if self._scorer.divisible else 0
        if not n_own:
            return self._scorer.begin(table)
        rest = self._scorer.begin(table.rows(slice(-n_own)))
        own = self._scorer.predict(table.rows(slice(-n_own, None)))
        return lambda: joined([rest(), own], len(self._scorer.classes or ()))

    def _rendered_numbers(self, prediction: Prediction) -> Rendered:
        values: list[float | None] = np.asarray(prediction.values).tolist()
        # NaN is a row without a prediction: what a model says is finite.
        return None, None, 0, None, [None if v != v else v for v in values]

    def _rendered_labels(self, prediction: Prediction) -> Rendered:
        prediction = with_threshold(self._scorer, prediction, self._threshold)
        assert prediction.labels is not None
        codes = self._codebook.encode(prediction)
        if self._n_common is None:
            self._n_common = len(self._codebook.documents)
        codes, more = self._renumbered(codes, self._n_common)
        # Numbers from 1 on; 0 is none.
        labels = prediction.labels + 1
        few = len(self._scorer.classes or ()) <= _SMALL
        return labels.astype(np.uint8 if few else ">u2").tobytes(), three_bytes(codes), self._n_common, more, None

    def _renumbered(self, codes: NDArray[np.int32], n_common: int) -> tuple[NDArray[np.int32], str | None]:
        """Codes of documents that the first batch has not got follow on its own, with their documents."""
        further = codes >= n_common
        if not further.any():
            return codes, None
        distinct, position = np.unique(codes[further], return_inverse=True)
        codes = codes.copy()
        codes[further] = n_common + position
        return codes, _array([self._codebook.documents[code] for code in distinct.tolist()])


def label_position(scorer: AnyScorer) -> str:
    """An SQL expression of bytes ``s.labels`` and number i.n: the position of a row's label, from 1 on."""
    if len(scorer.classes or ()) <= _SMALL:
        return "get_byte(s.labels, i._4aad19ca6e_n)"
    return "get_byte(s.labels, 2 * i._4aad19ca6e_n) * 256 + get_byte(s.labels, 2 * i._4aad19ca6e_n + 1)"


def three_bytes(codes: NDArray[np.int32]) -> bytes:
    """Each code as three bytes, the highest first; -1 becomes a number that no document has."""
    return np.ascontiguousarray(codes.astype(">i4")).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def _array(documents: list[str]) -> str:
    return "[" + ", ".join(documents) + "]"
