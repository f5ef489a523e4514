"""The metrics of training and scoring, in numpy; equal to scikit-learn's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlshare.errors import InvalidMetric, MetricUndefined

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

BINARY = ("f1", "precision", "recall", "roc_auc")
_AVERAGES = ("macro", "micro", "samples", "weighted")
CLASSIFICATION = (
    *BINARY,
    "accuracy",
    "balanced_accuracy",
    "neg_log_loss",
    *(f"{m}_{average}" for m in ("f1", "precision", "recall") for average in _AVERAGES),
)
REGRESSION = (
    "neg_mean_absolute_error",
    "neg_mean_squared_error",
    "neg_mean_squared_log_error",
    "neg_median_absolute_error",
    "r2",
)
DEFAULT = {"classification": "neg_log_loss", "regression": "neg_mean_squared_error"}


def names(task: str) -> tuple[str, ...]:
    """The metrics of a task."""
    return CLASSIFICATION if task == "classification" else REGRESSION


def check(metric: str, task: str, n_classes: int | None = None) -> None:
    """Raise InvalidMetric unless the metric fits the task and, if given, the number of classes."""
    if metric not in names(task):
        raise InvalidMetric(metric=metric, task=task, hint=f"Known are: {', '.join(names(task))}.")
    if metric in BINARY and n_classes is not None and n_classes != 2:
        raise InvalidMetric(
            metric=metric,
            task=f"classification with {n_classes} classes",
            hint="It is for two classes; f1, precision and recall have forms for more, such as f1_macro.",
        )


def score(metric: str, task: str, truth: Floats | Ints, prediction: Floats, threshold: float | None = None) -> float:
    """The metric, greater is better.

    Classification: ``truth`` [n] positions of the classes (-1: a label that the model does not know) and
    ``prediction`` [n, C] probabilities; a ``threshold`` (two classes only) is the least probability of
    the second class that predicts it. Regression: ``truth`` and ``prediction`` [n] values.
    Raises InvalidMetric, MetricUndefined.
    """
    if len(truth) == 0:
        raise MetricUndefined(metric=metric, reason="there are no rows")
    if task == "regression":
        check(metric, task)
        return _REGRESSION[metric](np.asarray(truth, dtype=np.float64), prediction)
    check(metric, task, prediction.shape[1])
    return _classification(metric, np.asarray(truth, dtype=np.int64), prediction, threshold)


def labels(probabilities: Floats, threshold: float | None = None) -> Ints:
    """Predicted positions [n]: the most probable class, the first of equals."""
    if threshold is not None and probabilities.shape[1] == 2:
        return (probabilities[:, 1] >= threshold).astype(np.int64)
    return np.asarray(probabilities.argmax(axis=1), dtype=np.int64)


def _classification(metric: str, truth: Ints, probabilities: Floats, threshold: float | None) -> float:
    if metric == "neg_log_loss":
        return _neg_log_loss(truth, probabilities)
    if metric == "roc_auc":
        return _roc_auc(truth, probabilities[:, 1])
    # Unknown labels form one class more, which is never predicted.
    n_classes = probabilities.shape[1]
    known = np.where(truth < 0, n_classes, truth)
    counts = _Counts.of(known, labels(probabilities, threshold), n_classes + 1)
    base, _, average = metric.partition("_")
    if metric == "accuracy" or average in ("micro", "samples"):
        # With one label for each row all of these are the share of right rows.
        return float(counts.right.sum() / counts.true.sum())
    if metric == "balanced_accuracy":
        return float(np.mean(counts.recall()[counts.true > 0]))
    return _averaged(counts.by_name(base), counts, average)


@dataclass(frozen=True)
class _Counts:
    """Rows of each class: rightly predicted, true, predicted."""

    right: Floats
    true: Floats
    predicted: Floats

    @classmethod
    def of(cls, truth: Ints, predicted: Ints, n_classes: int) -> _Counts:
        def count(positions: Ints) -> Floats:
            return np.bincount(positions, minlength=n_classes).astype(np.float64)

        return cls(count(truth[truth == predicted]), count(truth), count(predicted))

    def by_name(self, base: str) -> Floats:
        return {"precision": self.precision, "recall": self.recall, "f1": self.f1}[base]()

    def precision(self) -> Floats:
        return _ratio(self.right, self.predicted)

    def recall(self) -> Floats:
        return _ratio(self.right, self.true)

    def f1(self) -> Floats:
        return _ratio(2 * self.right, self.true + self.predicted)


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.divide(part, whole, out=np.zeros_like(part), where=whole > 0)


def _averaged(values: Floats, counts: _Counts, average: str) -> float:
    if average == "":
        return float(values[1])
    if average == "weighted":
        return float(np.average(values, weights=counts.true))
    return float(values[(counts.true > 0) | (counts.predicted > 0)].mean())


def _neg_log_loss(truth: Ints, probabilities: Floats) -> float:
    if (truth < 0).any():
        raise MetricUndefined(metric="neg_log_loss", reason="a label is not known to the model")
    tiny = np.finfo(np.float64).eps
    shares = np.clip(probabilities, tiny, 1 - tiny)
    own = shares[np.arange(len(truth)), truth] / shares.sum(axis=1)
    return float(np.log(own).mean())


def _roc_auc(truth: Ints, probability: Floats) -> float:
    positive = truth == 1
    n_positive = int(positive.sum())
    n_negative = len(truth) - n_positive
    if n_positive == 0 or n_negative == 0:
        raise MetricUndefined(metric="roc_auc", reason="the rows are all of one class")
    _, at, counts = np.unique(probability, return_inverse=True, return_counts=True)
    ranks = (np.cumsum(counts) - (counts - 1) / 2)[at]
    above = ranks[positive].sum() - n_positive * (n_positive + 1) / 2
    return float(above / (n_positive * n_negative))


def _log_error(truth: Floats, prediction: Floats) -> float:
    if (truth <= -1).any() or (prediction <= -1).any():
        raise MetricUndefined(metric="neg_mean_squared_log_error", reason="a value is -1 or less")
    return -float(np.mean((np.log1p(truth) - np.log1p(prediction)) ** 2))


def _r2(truth: Floats, prediction: Floats) -> float:
    if len(truth) < 2:
        raise MetricUndefined(metric="r2", reason="it needs two rows or more")
    left = float(((truth - prediction) ** 2).sum())
    all_ = float(((truth - truth.mean()) ** 2).sum())
    if all_ == 0:
        return 1.0 if left == 0 else 0.0
    return 1 - left / all_


_REGRESSION: dict[str, Callable[[Floats, Floats], float]] = {
    "neg_mean_absolute_error": lambda t, p: -float(np.abs(t - p).mean()),
    "neg_mean_squared_error": lambda t, p: -float(((t - p) ** 2).mean()),
    "neg_mean_squared_log_error": _log_error,
    "neg_median_absolute_error": lambda t, p: -float(np.median(np.abs(t - p))),
    "r2": _r2,
}
