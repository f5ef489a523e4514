"""A relation's rows scored batch by batch, for the statement that writes them."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import numpy as np
from numpy.typing import NDArray

from mlshare import background, errors, frame
from mlshare.partitioned import PartitionedScorer
from mlshare.prediction import Prediction
from mlshare.results import Codebook, Results, with_threshold
from mlshare.scorer import Scorer
from mlshare.table import Kind

AnyScorer = Scorer | PartitionedScorer

# (first row, end, labels, codes, common documents, further documents, numbers), see the statement "scored_batches".
Rendered = tuple[bytes | None, bytes | None, int, str | None, list[float | None] | None]
Scored = tuple[str, str, bytes | None, bytes | None, int, str | None, list[float | None] | None]

_SMALL = 255  # classes whose numbers, from 1 on, fit into a byte


def needs(scorer: AnyScorer) -> tuple[list[tuple[str, Kind]], dict[str, tuple[str, ...]]]:
    """The columns a model needs, and the strings it knows of each (absent: it takes any text)."""
    return [(i.name, i.kind) for i in scorer.inputs], dict(scorer.known)


class Job:
    """One scoring of a relation. It runs while the statement that writes the output asks for its batches."""

    def __init__(self, source: frame.Source, scorer: AnyScorer, threshold: float | None) -> None:
        self._source, self._scorer, self._threshold = source, scorer, threshold
        self._codebook = Codebook(Results(scorer))
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
            for (first, end), prediction in background.ahead(self._begun()):
                yield (f"({first},0)", f"({end},0)", *render(prediction))
        except errors.MlshareError as error:  # on its way through SQL it would become another
            self._failure = error
            raise

    def _begun(self) -> Iterator[tuple[tuple[int, int], Callable[[], Prediction]]]:
        # A document of many classes is long.
        n_blocks = max(16, frame.BLOCKS // (1 + len(self._scorer.classes or ()) // 20))
        for batch in frame.batches(self._source, *needs(self._scorer), n_blocks=n_blocks):
            assert batch.blocks is not None
            yield batch.blocks, self._scorer.begin(batch.table)

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
        return labels.astype(np.uint8 if few else ">u2").tobytes(), _three_bytes(codes), self._n_common, more, None

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


def _three_bytes(codes: NDArray[np.int32]) -> bytes:
    """Each code as three bytes, the highest first; -1 becomes a number that no document has."""
    return np.ascontiguousarray(codes.astype(">i4")).view(np.uint8).reshape(-1, 4)[:, 1:].tobytes()


def _array(documents: list[str]) -> str:
    return "[" + ", ".join(documents) + "]"
