"""Every algorithm's graph answers as the fitted estimator does."""

from __future__ import annotations

import numpy as np
import pytest

from mlshare.convert import graph, trees
from mlshare.encoding import Encoder
from mlshare.estimators import registry
from mlshare.estimators.base import Estimator, Fitted, Problem
from mlshare.modelfile import run
from unit.learning import FEATURES, mixed, only

TABLE = mixed(600)
X = {
    layout: Encoder.fit(only(TABLE, *FEATURES), layout).encode(only(TABLE, *FEATURES))
    for layout in ("onehot", "ordinal")
}  # type: ignore[arg-type]
SMALL = {"n_estimators": 20}


def _fit(estimator: Estimator, n_classes: int, y: trees.Floats) -> Fitted:
    boosted = estimator.name.startswith(("XGB", "LGBM", "Random", "Extra"))
    params = {**estimator.first, **(SMALL if boosted else {})}
    x = X[estimator.layout]
    return estimator.load()(Problem(estimator.task, n_classes, 0, 1), params, x[:400], y[:400], None)


def _same(estimator: Estimator, fitted: Fitted, unit: float) -> None:
    x = X[estimator.layout]
    # Neighbours of float32 numbers show a comparison in the wrong precision.
    near = np.nextafter(x.astype(np.float32), np.float32(np.inf)).astype(np.float64)
    for rows in (x, (x + near) / 2, near):
        answers = run(graph.write(fitted.to_onnx(), {}), rows)
        assert np.abs(answers - fitted.predict(rows)).max() <= fitted.tolerance * unit


@pytest.mark.parametrize("target", ["two", "three"])
@pytest.mark.parametrize("name", registry.names("classification"))
def test_classifiers(name: str, target: str) -> None:
    (estimator,) = registry.candidates("classification", 600, [name], None)
    column = TABLE[target]
    y = column.values if column.codes is None else column.codes.astype(np.float64)
    assert y is not None
    fitted = _fit(estimator, len(np.unique(y)), y)
    _same(estimator, fitted, 1.0)
    assert fitted.predict(X[estimator.layout]).sum(axis=1) == pytest.approx(1.0)


@pytest.mark.parametrize("name", registry.names("regression"))
def test_regressors(name: str) -> None:
    (estimator,) = registry.candidates("regression", 600, [name], None)
    y = TABLE["amount"].values
    assert y is not None
    _same(estimator, _fit(estimator, 0, y), float(y.std()))


def test_thresholds_of_float32_comparisons() -> None:
    rng = np.random.default_rng(0)
    thresholds = np.concatenate([rng.normal(size=200) * 10.0 ** rng.integers(-8, 8, 200), [0.0, 0.5, -0.5]])
    exact = trees.as_float64(thresholds)
    low = thresholds.astype(np.float32)
    for x32 in (np.nextafter(low, np.float32(-np.inf)), low, np.nextafter(low, np.float32(np.inf))):
        following = np.nextafter(x32, np.float32(np.inf)).astype(np.float64)
        middle = (x32.astype(np.float64) + following) / 2
        for x in (
            x32.astype(np.float64),
            middle,
            np.nextafter(middle, -np.inf),
            np.nextafter(middle, np.inf),
        ):
            assert ((x.astype(np.float32) <= thresholds) == (x <= exact)).all()


def test_equal_models_are_equal_bytes() -> None:
    (estimator,) = registry.candidates("classification", 600, ["LGBMClassifier"], None)
    codes = TABLE["two"].codes
    assert codes is not None
    y = codes.astype(np.float64)
    first, second = (graph.write(_fit(estimator, 2, y).to_onnx(), {"b": 1, "a": 2}) for _ in range(2))
    assert first == second
