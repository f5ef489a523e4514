"""The metrics equal scikit-learn's."""

from __future__ import annotations

import warnings

import numpy as np
import pytest
from sklearn import metrics as sk
from sklearn.preprocessing import label_binarize

from mlshare import errors, metrics

RNG = np.random.default_rng(0)


def _drawn(classes: int, n: int = 400) -> tuple[metrics.Ints, metrics.Floats]:
    shares = RNG.dirichlet(np.full(classes, 0.7), n).round(2)
    return RNG.integers(0, classes, n), shares / shares.sum(axis=1, keepdims=True)


def _expected(metric: str, truth: metrics.Ints, shares: metrics.Floats) -> float:
    guess = shares.argmax(axis=1)
    if metric == "neg_log_loss":
        return -float(sk.log_loss(truth, shares, labels=range(shares.shape[1])))
    if metric == "roc_auc":
        return float(sk.roc_auc_score(truth, shares[:, 1]))
    if metric in ("accuracy", "balanced_accuracy"):
        return _quietly(f"{metric}_score", truth, guess)
    base, _, average = metric.partition("_")
    if average == "samples":
        classes = range(shares.shape[1] + 1)
        truth, guess = label_binarize(truth, classes=classes), label_binarize(guess, classes=classes)
    return _quietly(f"{base}_score", truth, guess, average=average or "binary")


def _quietly(function: str, *arrays: object, **options: object) -> float:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        return float(getattr(sk, function)(*arrays, **options))


@pytest.mark.parametrize("classes", [2, 5])
@pytest.mark.parametrize("metric", metrics.CLASSIFICATION)
def test_classification(metric: str, classes: int) -> None:
    truth, shares = _drawn(classes)
    if classes > 2 and metric in metrics.BINARY:
        with pytest.raises(errors.InvalidMetric):
            metrics.score(metric, "classification", truth, shares)
        return
    own = metrics.score(metric, "classification", truth, shares)
    assert own == pytest.approx(_expected(metric, truth, shares), abs=1e-12)


@pytest.mark.parametrize("metric", ["f1_macro", "recall_weighted", "precision_macro", "balanced_accuracy"])
def test_absent_classes(metric: str) -> None:
    truth, shares = (
        np.array([0, 0, 1, 1]),
        np.array([[0.9, 0.1, 0], [0.2, 0.1, 0.7], [1, 0, 0], [0.6, 0.4, 0]]),
    )
    own = metrics.score(metric, "classification", truth, shares)
    assert own == pytest.approx(_expected(metric, truth, shares))


@pytest.mark.parametrize("metric", metrics.REGRESSION)
def test_regression(metric: str) -> None:
    truth = RNG.gamma(2.0, size=300)
    guess = truth * RNG.uniform(0.5, 1.5, 300)
    name = metric.removeprefix("neg_")
    expected = sk.r2_score(truth, guess) if metric == "r2" else -getattr(sk, name)(truth, guess)
    assert metrics.score(metric, "regression", truth, guess) == pytest.approx(expected, rel=1e-12)


def test_threshold() -> None:
    truth, shares = np.array([1, 1, 0, 0]), np.array([[0.7, 0.3], [0.4, 0.6], [0.8, 0.2], [0.9, 0.1]])
    assert metrics.score("recall", "classification", truth, shares) == 0.5
    assert metrics.score("recall", "classification", truth, shares, threshold=0.3) == 1.0


def test_unknown_labels() -> None:
    truth, shares = np.array([0, 1, -1, -1]), np.array([[0.9, 0.1], [0.2, 0.8], [0.6, 0.4], [0.3, 0.7]])
    assert metrics.score("accuracy", "classification", truth, shares) == 0.5
    with pytest.raises(errors.MetricUndefined):
        metrics.score("neg_log_loss", "classification", truth, shares)


@pytest.mark.parametrize(
    ("metric", "truth", "prediction"),
    [
        ("r2", [1.0], [1.0]),
        ("neg_mean_squared_log_error", [1.0, -2.0], [1.0, 1.0]),
        ("neg_mean_absolute_error", [], []),
    ],
)
def test_undefined_regression(metric: str, truth: list[float], prediction: list[float]) -> None:
    with pytest.raises(errors.MetricUndefined):
        metrics.score(metric, "regression", np.array(truth), np.array(prediction))


def test_undefined_and_unknown() -> None:
    with pytest.raises(errors.MetricUndefined):
        metrics.score("roc_auc", "classification", np.array([1, 1]), np.full((2, 2), 0.5))
    with pytest.raises(errors.InvalidMetric) as caught:
        metrics.check("r2", "classification")
    assert "accuracy" in str(caught.value.hint)
