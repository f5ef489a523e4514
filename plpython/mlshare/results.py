"""What a prediction looks like in SQL: the label, and the ml_results document."""

from __future__ import annotations

import json
from collections.abc import Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlshare.partitioned import AnyScorer
    from mlshare.prediction import Answer, Prediction

DECIMALS = 4  # of probabilities in ml_results
_SCALE: int = 10**DECIMALS
_MOST_MADE = 2 * _SCALE + 2  # documents that are kept: of two classes all
_PROBABILITIES = '"probabilities": '


def label_text(label: Any) -> str:
    """A class as PostgreSQL would print it."""
    return label if isinstance(label, str) else json.dumps(label)


def with_threshold(scorer: AnyScorer, prediction: Prediction, threshold: float | None) -> Prediction:
    """The prediction with the second of two classes chosen from this probability on."""
    if threshold is not None and prediction.probabilities is not None and len(scorer.classes or ()) == 2:
        assert prediction.labels is not None
        chosen = (prediction.probabilities[:, 1] >= threshold).astype(np.int32)
        prediction.labels = np.where(prediction.labels < 0, prediction.labels, chosen)
    return prediction


def around_number(target: str) -> tuple[str, str]:
    """What stands before and after the number in the document of a regression."""
    return f'{{"predictions": {{{json.dumps(target)}: ', "}}"


class Results:
    """Renders predictions of one model."""

    def __init__(self, scorer: AnyScorer) -> None:
        self.classes = scorer.classes or []
        self.names = [label_text(c) for c in self.classes]
        self._target = scorer.target
        self._target_key = json.dumps(scorer.target) + ": "
        self._class_keys = [json.dumps(name) + ": " for name in self.names]
        self._labels = [json.dumps(c) for c in self.classes]
        self._made: dict[tuple[int, ...], str] = {}  # of two classes there are few, and one takes half a microsecond
        self._documents = [f'{{"predictions": {{{self._target_key}{label}}}' for label in self._labels]

    def of_number(self, value: float) -> dict[str, Any]:
        return {"predictions": {self._target: value}}

    def of_class(self, label: int, shares: Sequence[int]) -> dict[str, Any]:
        """``shares`` are the probabilities of all classes in units of 0.0001; none if the model gives none."""
        document: dict[str, Any] = {"predictions": {self._target: self.classes[label]}}
        if shares:
            document["probabilities"] = {n: s / _SCALE for n, s in zip(self.names, shares, strict=True)}
        return document

    def document(self, label: int, shares: Sequence[int]) -> str:
        """As of_class, as JSON."""
        key = (label, *shares)
        made = self._made.get(key)
        if made is None:
            if len(self._made) >= _MOST_MADE:
                self._made.clear()
            made = self._made[key] = self.new_document(label, shares)
        return made

    def new_document(self, label: int, shares: Sequence[int]) -> str:
        """As document, for what is asked for only once."""
        inner = ", ".join([k + _text(s) for k, s in zip(self._class_keys, shares, strict=False)])
        return f"{self._documents[label]}{f', {_PROBABILITIES}{{{inner}}}' if shares else ''}}}"

    def of_two(self, threshold: float | None) -> list[str]:
        """The documents of a model of two classes that give probabilities: those of the first, then of the second.

        The second is chosen from the probability ``threshold`` on. The position of a document is the second's rounded
        probability, in units of 0.0001, plus one if it was chosen.
        """
        return [self.new_document(label, (_SCALE - share, share)) for label, share in _all_of_two(threshold)]

    def of_row(self, found: Answer) -> tuple[Any, dict[str, Any]] | None:
        """Label (or number) and document of one row; None if it has no prediction."""
        if not found.known:
            return None
        if found.label is None:
            assert found.value is not None
            return found.value, self.of_number(found.value)
        return self.classes[found.label], self.of_class(found.label, _rounded(found))

    def completed(self, document: str, found: Answer) -> str:
        """A JSON object with Prediction and ml_results added, spliced as text: quicker than building it anew."""
        if not found.known:
            added = '"Prediction": null, "ml_results": null'
        elif found.label is None:
            number = json.dumps(found.value)
            added = f'"Prediction": {number}, "ml_results": {{"predictions": {{{self._target_key}{number}}}}}'
        else:
            made = self.document(found.label, _rounded(found))
            added = f'"Prediction": {self._labels[found.label]}, "ml_results": {made}'
        return f"{document[:-1]}{', ' if len(document) > 2 else ''}{added}}}"


def _all_of_two(threshold: float | None) -> list[tuple[int, int]]:
    """Every label with the second class's probability, in units of 0.0001."""
    turn = min(max(round((0.5 if threshold is None else threshold) * _SCALE), 0), _SCALE)
    return [*((0, share) for share in range(turn + 1)), *((1, share) for share in range(turn, _SCALE + 1))]


@lru_cache(_SCALE + 1)
def _text(share: int) -> str:
    return repr(share / _SCALE)


def _rounded(found: Answer) -> list[int]:
    """Its probabilities in units of 0.0001; none if the model gives none."""
    return [round(p * _SCALE) for p in found.probabilities or ()]


def shares(probabilities: NDArray[np.float64]) -> NDArray[np.int32]:
    """Probabilities [n, C] in units of 0.0001."""
    rounded: NDArray[np.int32] = np.rint(probabilities * _SCALE).astype(np.int32)
    return rounded


class Codebook:
    """Numbers the distinct (label, rounded probabilities) of a table, which are few, so that each is built once."""

    def __init__(self, results: Results) -> None:
        self._results = results
        self._codes: dict[bytes, int] = {}
        # Of two classes with probabilities, which nearly add up to one: [label, first, second - (1 - first)] -> code.
        self._pairs = np.full((2, _SCALE + 1, 3), -1, np.int32)
        self.documents: list[str] = []  # ml_results as JSON, by code

    def fill(self, threshold: float | None) -> None:
        """Codes for all that a model of two classes can say, see Results.of_two."""
        label, second = np.array(_all_of_two(threshold), np.int32).T
        self._looked_up((label, _SCALE - second, np.ones_like(label)))

    def encode(self, prediction: Prediction) -> NDArray[np.int32]:
        """The code of each row [n]; -1 if it has no prediction."""
        assert prediction.labels is not None
        columns = [prediction.labels[:, None]]
        if prediction.probabilities is not None:
            columns.append(shares(prediction.probabilities))
        rows = np.ascontiguousarray(np.hstack(columns).astype(np.int32))
        there = prediction.labels >= 0
        if there.all():
            return self._encoded(rows)
        codes = np.full(len(rows), -1, np.int32)
        codes[there] = self._encoded(rows[there])
        return codes

    def _encoded(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        if rows.shape[1] == 3:
            label, first, second = rows.T
            rest = second - (_SCALE - first) + 1
            if ((first >= 0) & (first <= _SCALE) & (rest >= 0) & (rest <= 2)).all():
                return self._looked_up((label, first, rest))
        return self._numbered(rows)

    def _looked_up(self, place: tuple[NDArray[np.int32], ...]) -> NDArray[np.int32]:
        """Codes of places in the table of pairs; a new one gets the next number."""
        at = np.ravel_multi_index(place, self._pairs.shape)
        codes: NDArray[np.int32] = self._pairs.take(at)
        new = np.unique(at[codes < 0])
        if len(new):
            self._pairs.put(new, np.arange(len(new)) + len(self.documents))
            label, first, rest = np.unravel_index(new, self._pairs.shape)
            pairs = np.stack([first, rest - 1 + _SCALE - first], axis=1)
            self.documents += map(self._results.new_document, label.tolist(), pairs.tolist())
            codes = self._pairs.take(at)
        return codes

    def _numbered(self, rows: NDArray[np.int32]) -> NDArray[np.int32]:
        """Codes of rows [n, k] by sorting; a new row gets the next number."""
        packed = rows.view(np.dtype((np.void, rows.itemsize * rows.shape[1]))).ravel()
        distinct, position = np.unique(packed, return_inverse=True)
        return np.array([self._code(key.tobytes()) for key in distinct], dtype=np.int32)[position]

    def _code(self, key: bytes) -> int:
        code = self._codes.get(key)
        if code is None:
            code = self._codes[key] = len(self.documents)
            label, *rounded = np.frombuffer(key, np.int32).tolist()
            self.documents.append(self._results.new_document(label, rounded))
        return code
