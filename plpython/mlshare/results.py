"""What a prediction looks like in SQL: the label, and the ml_results document."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from mlshare.prediction import Prediction
    from mlshare.scorer import Scorer

DECIMALS = 4  # of probabilities in ml_results
_SCALE = 10**DECIMALS


def label_text(label: Any) -> str:
    """A class as PostgreSQL would print it."""
    return label if isinstance(label, str) else json.dumps(label)


def with_threshold(scorer: Scorer, prediction: Prediction, threshold: float | None) -> Prediction:
    """The prediction with the second of two classes chosen from this probability on."""
    if threshold is not None and prediction.probabilities is not None and len(scorer.classes or ()) == 2:
        prediction.labels = (prediction.probabilities[:, 1] >= threshold).astype(np.int32)
    return prediction


class Results:
    """Renders predictions of one model."""

    def __init__(self, scorer: Scorer) -> None:
        self.classes = scorer.classes or []
        self.names = [label_text(c) for c in self.classes]
        self._target = scorer.target

    def of_number(self, value: float) -> dict[str, Any]:
        return {"predictions": {self._target: value}}

    def of_class(self, label: int, shares: list[int] | None) -> dict[str, Any]:
        """``shares`` are the probabilities of all classes in units of 0.0001."""
        document: dict[str, Any] = {"predictions": {self._target: self.classes[label]}}
        if shares is not None:
            document["probabilities"] = {n: s / _SCALE for n, s in zip(self.names, shares, strict=True)}
        return document

    def of_row(self, prediction: Prediction, row: int = 0) -> tuple[Any, dict[str, Any]]:
        """Label (or number) and document of one row of a prediction."""
        if prediction.values is not None:
            value = float(prediction.values[row])
            return value, self.of_number(value)
        assert prediction.labels is not None
        label = int(prediction.labels[row])
        rounded = None if prediction.probabilities is None else shares(prediction.probabilities[row]).tolist()
        return self.classes[label], self.of_class(label, rounded)


def shares(probabilities: NDArray[np.float64]) -> NDArray[np.int32]:
    """Probabilities [n, C] in units of 0.0001."""
    return np.rint(probabilities * _SCALE).astype(np.int32)


class Codebook:
    """Numbers the distinct (label, rounded probabilities) of a table, which are few, so that each is built once."""

    def __init__(self) -> None:
        self._codes: dict[bytes, int] = {}
        self._width = 0

    def encode(self, prediction: Prediction) -> NDArray[np.int32]:
        """The code of each row [n]."""
        assert prediction.labels is not None
        columns = [prediction.labels[:, None]]
        if prediction.probabilities is not None:
            columns.append(shares(prediction.probabilities))
        rows = np.ascontiguousarray(np.hstack(columns).astype(np.int32))
        self._width = rows.shape[1]
        packed = rows.view(np.dtype((np.void, rows.itemsize * self._width))).ravel()
        distinct, position = np.unique(packed, return_inverse=True)
        codes = [self._codes.setdefault(key.tobytes(), len(self._codes)) for key in distinct]
        return np.array(codes, dtype=np.int32)[position]

    def entries(self, results: Results) -> list[tuple[int, str, str]]:
        """(code, label, ml_results as JSON) of every code."""
        found = []
        for key, code in self._codes.items():
            label, *rounded = np.frombuffer(key, np.int32).tolist()
            document = results.of_class(label, rounded or None)
            found.append((code, results.names[label], json.dumps(document)))
        return found


def output_row(row: Mapping[str, Any], label: Any, document: dict[str, Any]) -> str:
    """The answer of ml_predict_row: the input with Prediction and ml_results."""
    return json.dumps({**row, "Prediction": label, "ml_results": document})
