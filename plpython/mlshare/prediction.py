"""What a model says about n rows, or about one."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeAlias, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlshare.document import Values
from mlshare.errors import ScoringFailed
from mlshare.runtime import failed

Floats = NDArray[np.float64]
Number = TypeVar("Number", np.float64, np.int32)


@dataclass(slots=True)
class Prediction:
    """``values`` [n] of a regression; ``probabilities`` [n, C] and ``labels`` [n] of a classification.

    ``labels`` are positions in the model's classes. A model that a user brought may have no
    probabilities. A row without a prediction (see mlshare.partitioned) has the label -1, or the value NaN.
    """

    values: Floats | None = None
    probabilities: Floats | None = None
    labels: NDArray[np.int32] | None = None

    def __len__(self) -> int:
        data = self.labels if self.values is None else self.values
        return 0 if data is None else len(data)


@dataclass(slots=True)
class Answer:
    """As Prediction, for one row, in plain Python, which for one row is much faster than numpy."""

    value: float | None = None
    probabilities: list[float] | None = None
    label: int | None = None

    @property
    def known(self) -> bool:
        """Whether the row has a prediction."""
        if self.label is not None:
            return self.label >= 0
        return self.value is not None and not math.isnan(self.value)

    def as_prediction(self) -> Prediction:
        """The same as a Prediction of one row."""
        return Prediction(
            values=None if self.value is None else np.array([self.value]),
            probabilities=None if self.probabilities is None else np.array([self.probabilities]),
            labels=None if self.label is None else np.array([self.label], dtype=np.int32),
        )


Row: TypeAlias = Mapping[str, Any]  # JSON values by column name
# Answers a usual row, given as JSON or as the values of columns: None for any other, which Scorer.answer then answers,
# or says what is wrong.
Quick: TypeAlias = Callable[[str], Answer | None]
QuickWork: TypeAlias = Callable[[Values], Answer | None]


def never_quick(given: str | Values) -> None:
    """For a model that has no quick way."""


def answer(prediction: Prediction, row: int = 0) -> Answer:
    """What a prediction says about one of its rows."""
    values, probabilities, labels = prediction.values, prediction.probabilities, prediction.labels
    return Answer(
        value=None if values is None else float(values[row]),
        probabilities=None if probabilities is None else probabilities[row].tolist(),
        label=None if labels is None else int(labels[row]),
    )


def value(found: float) -> Answer:
    """The answer of a regression; ScoringFailed if it is not finite."""
    if not math.isfinite(found):
        raise _not_finite()
    return Answer(value=found)


def shares(found: list[float]) -> Answer:
    """The answer of a classification, of finite probabilities [C]; ScoringFailed otherwise. The first of equal wins."""
    if not math.isfinite(sum(found)):
        raise _not_finite()
    return Answer(probabilities=found, label=found.index(max(found)))


def regression(values: Floats, n_rows: int) -> Prediction:
    """Of finite values [n] or [n, 1]; ScoringFailed otherwise."""
    if values.shape not in ((n_rows,), (n_rows, 1)):
        raise failed(f"its output has the shape {values.shape} for {n_rows} rows")
    _require_finite(values)
    return Prediction(values=values.reshape(n_rows))


def classification(probabilities: Floats, n_rows: int, n_classes: int) -> Prediction:
    """Of finite probabilities [n, C]; ScoringFailed otherwise. The first of equal classes wins."""
    if probabilities.shape != (n_rows, n_classes):
        shape = probabilities.shape
        raise failed(f"its output has the shape {shape} for {n_rows} rows and {n_classes} classes")
    _require_finite(probabilities)
    return Prediction(probabilities=probabilities, labels=probabilities.argmax(axis=1).astype(np.int32))


def joined(parts: Sequence[Prediction], n_classes: int) -> Prediction:
    """The predictions of consecutive batches as one; without batches, of no rows."""
    if not parts:
        empty = np.zeros((0, max(n_classes, 1)))
        return classification(empty, 0, n_classes) if n_classes else regression(empty, 0)
    if len(parts) == 1:
        return parts[0]
    return Prediction(
        values=_concatenated([p.values for p in parts]),
        probabilities=_concatenated([p.probabilities for p in parts]),
        labels=_concatenated([p.labels for p in parts]),
    )


def part(whole: Prediction, rows: slice) -> Prediction:
    """Some rows of a prediction."""
    return Prediction(
        values=None if whole.values is None else whole.values[rows],
        probabilities=None if whole.probabilities is None else whole.probabilities[rows],
        labels=None if whole.labels is None else whole.labels[rows],
    )


def _concatenated(arrays: Sequence[NDArray[Number] | None]) -> NDArray[Number] | None:
    present = [a for a in arrays if a is not None]
    return np.concatenate(present) if len(present) == len(arrays) else None


def _require_finite(array: Floats) -> None:
    if not np.isfinite(array).all():
        raise _not_finite()


def _not_finite() -> ScoringFailed:
    return failed("its output is not a finite number")
