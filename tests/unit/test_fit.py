"""Training from a table to a checked model file; data that make it hard."""

from __future__ import annotations

import json
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mlshare import errors, fit, modelfile, search
from mlshare.encoding import Encoder
from mlshare.estimators import registry
from mlshare.estimators.base import Estimator, Fitted
from mlshare.search import Data
from mlshare.table import Table
from unit.learning import FEATURES, mixed, numbers, only, strings


@pytest.fixture(autouse=True)
def _short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_TRIALS", (3, 2))
    monkeypatch.setattr(search, "_FOLDED_TRIALS", (2, 1))


def _train(table: Table, target: str, task: str, **options: Any) -> tuple[dict[str, Any], bytes]:
    request = {"target": target, "task": task, "options": options, "threads": 2}
    return fit.train(request, table, lambda text, share: None)


def _manifest(blob: bytes) -> dict[str, Any]:
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    manifest: dict[str, Any] = json.loads(session.get_modelmeta().custom_metadata_map["mlshare"])
    return manifest


@pytest.mark.parametrize(
    ("target", "task", "classes", "models"),
    [
        ("two", "classification", ["no", "yes"], None),
        ("three", "classification", [0, 1, 2], ["LGBMClassifier", "LogisticRegression"]),
        ("flag", "classification", [False, True], ["XGBClassifier"]),
        ("amount", "regression", None, ["RandomForestRegressor", "LinearSVR"]),
        ("three", "classification", [0, 1, 2], ["MLPClassifier"]),
    ],
)
def test_every_kind_of_column_and_target(
    target: str, task: str, classes: list[Any] | None, models: list[str] | None
) -> None:
    table = only(mixed(400), *dict.fromkeys((*FEATURES, target)))
    shares: list[float] = []
    request = {"target": target, "task": task, "options": {"model_list": models}, "threads": 2}
    result, blob = fit.train(request, table, lambda text, share: shares.append(share))
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["classes"] == classes == _manifest(blob)["classes"]
    assert result["model_quality"] == "high"
    assert shares == sorted(shares) and shares[-1] == 1.0
    assert set(result["model_explanation"]["permutation_importance"]) == set(result["selected_column_names"])
    golden = result["golden"]
    encoder = Encoder.from_json(_manifest(blob)["encoder"])
    rows = np.array([encoder.encode_row(r) for r in golden["rows"]])
    expected = np.array(golden.get("probabilities") or golden["values"])
    assert modelfile.run(blob, rows) == pytest.approx(expected, abs=1e-6)


def test_networks_are_tried_only_if_named() -> None:
    for task in ("classification", "regression"):
        tried = {e.name for e in registry.candidates(task, 100, None, None)}
        assert tried == {name for name in registry.names(task) if not name.startswith("MLP")}


def test_same_seed_same_bytes() -> None:
    table = only(mixed(4000), *FEATURES, "two")
    models = ["LGBMClassifier", "XGBClassifier", "LogisticRegression"]
    one, two = (_train(table, "two", "classification", random_state=7, model_list=models)[1] for _ in range(2))
    assert one == two
    assert one != _train(table, "two", "classification", random_state=8, model_list=models)[1]


def test_threads_do_not_change_the_model() -> None:
    table = only(mixed(300), *FEATURES, "two")
    options = {"model_list": ["LGBMClassifier"]}
    blobs = [
        fit.train(
            {"target": "two", "task": "classification", "options": options, "threads": n},
            table,
            lambda *_: None,
        )[1]
        for n in (1, 2)
    ]
    assert blobs[0] == blobs[1]


def test_time_budget_cuts_the_search() -> None:
    result, _ = _train(only(mixed(500), *FEATURES, "two"), "two", "classification", time_budget=0.05)
    assert result["training_params"]["stopped_by_time"] is True
    assert result["training_params"]["trials"] < 5


def test_column_rules() -> None:
    n = 60
    table = Table(
        (
            numbers("good", [float(i % 7) for i in range(n)]),
            numbers("still", [1.0] * n),
            numbers("empty", [None] * n),
            numbers("gaps", [None if i % 3 == 0 else i for i in range(n)]),
            strings("same", ["x"] * n),
            strings("key", [f"k{i}" for i in range(n)]),
            numbers("y", [float(i % 7 > 3) for i in range(n)]),
        )
    )
    result, _ = _train(table, "y", "classification", model_list=["LogisticRegression"])
    assert result["selected_column_names"] == ["good"]
    assert set(result["dropped_columns"]) == {"still", "empty", "gaps", "same", "key"}
    forced = ["still", "empty", "gaps", "same", "key"]
    for name in ("LogisticRegression", "LGBMClassifier"):
        options = {"include_column_list": forced, "model_list": [name]}
        assert _train(table, "y", "classification", **options)[0]["n_selected_columns"] == 6
    with pytest.raises(errors.NoUsableColumns):
        _train(table, "y", "classification", exclude_column_list=["good"])


def test_rows_without_a_target_are_left_out() -> None:
    table = mixed(200)
    holes = np.where(np.arange(200) % 10 == 0, np.nan, table["amount"].values)
    table = Table((*only(table, "a", "b").columns, numbers("y", holes.tolist())))
    result, _ = _train(table, "y", "regression", model_list=["LinearRegression"])
    assert (result["n_rows"], result["n_selected_rows"]) == (200, 180)


def test_tiny_data() -> None:
    n = 20
    table = Table((numbers("x", list(range(n))), numbers("y", [float(i % 2) for i in range(n)])))
    assert _train(table, "y", "classification")[0]["classes"] == [0, 1]
    models = ["LinearRegression", "SVR", "LGBMRegressor"]
    assert _train(table, "y", "regression", model_list=models)[0]["algorithm_name"] in models


def test_very_rare_class() -> None:
    rng = np.random.default_rng(0)
    table = Table((numbers("x", rng.normal(size=3000).tolist()), numbers("y", [1.0] * 5 + [0.0] * 2995)))
    assert _train(table, "y", "classification")[0]["classes"] == [0, 1]


def test_constant_target() -> None:
    table = Table((numbers("x", list(range(50))), numbers("y", [3.0] * 50)))
    result, _ = _train(table, "y", "regression", model_list=["LGBMRegressor", "LinearRegression"])
    assert result["golden"]["values"] == pytest.approx([3.0] * len(result["golden"]["values"]))
    with pytest.raises(errors.InvalidTarget):
        _train(table, "y", "classification")


def test_huge_numbers() -> None:
    rng = np.random.default_rng(0)
    x = rng.normal(size=200)
    table = Table((numbers("x", (x * 1e100).tolist()), numbers("y", (x * 1e12 + 1e15).tolist())))
    for name in ("LinearRegression", "RandomForestRegressor", "LGBMRegressor", "XGBRegressor"):
        _train(table, "y", "regression", model_list=[name])


@pytest.mark.parametrize(("start", "step"), [(2024112200000000, 1), (4 * 10**18, 100)])
def test_long_numbers_that_differ_little(start: int, step: int) -> None:
    table = only(mixed(200), "a", "two", "amount")
    table = Table((*table.columns, numbers("long", [float(start + step * n) for n in range(200)])))
    for target, task, names in (
        ("two", "classification", ("LogisticRegression", "LinearSVC", "SVC", "GaussianNB")),
        ("amount", "regression", ("LinearRegression", "LinearSVR", "SVR")),
    ):
        for name in names:
            result, _ = _train(table, target, task, model_list=[name], exclude_column_list=["amount", "two"])
            assert result["training_score"] > -np.inf


def test_an_algorithm_that_cannot_be_fitted_is_left_out(monkeypatch: pytest.MonkeyPatch) -> None:
    table = only(mixed(200), "a", "two")
    tried = Data.fit

    def fit_some(data: Data, estimator: Estimator, *rest: Any) -> Fitted:
        if estimator.name != "GaussianNB":
            raise errors.TrainingDataError(reason="not for this one")
        return tried(data, estimator, *rest)

    monkeypatch.setattr(Data, "fit", fit_some)
    result, _ = _train(table, "two", "classification", model_list=["SVC", "GaussianNB"])
    assert result["algorithm_name"] == "GaussianNB"
    with pytest.raises(errors.TrainingDataError, match="not for this one"):
        _train(table, "two", "classification", model_list=["SVC"])


@pytest.mark.parametrize(
    ("values", "task", "error"),
    [
        (list(range(300)), "classification", errors.InvalidTarget),
        ([0.0] * 296 + [1.0] * 4, "classification", errors.TooFewRows),
        ([None] * 295 + [1.0] * 5, "classification", errors.TooFewRows),
        ([np.inf] * 300, "regression", errors.InvalidTarget),
        ([1.0, np.inf] * 150, "classification", errors.InvalidTarget),
        ([1.0, 2.0**53] * 150, "classification", errors.InvalidTarget),
    ],
)
def test_targets_that_cannot_be_learned(values: list[Any], task: str, error: type[Exception]) -> None:
    table = Table((numbers("x", list(range(300))), numbers("y", values)))
    with pytest.raises(error):
        _train(table, "y", task)


def test_wrong_options() -> None:
    table = only(mixed(100), "a", "two")
    with pytest.raises(errors.InvalidOptionValue, match="Perceptron"):
        _train(table, "two", "classification", model_list=["Perceptron"])
    with pytest.raises(errors.NoEstimatorLeft):
        _train(table, "two", "classification", model_list=["SVC"], exclude_model_list=["SVC"])
    with pytest.raises(errors.InvalidMetric):
        _train(table, "two", "classification", optimization_metric="r2")
    with pytest.raises(errors.InvalidTarget):
        _train(table, "two", "regression")
    with pytest.raises(errors.ColumnNotFound):
        _train(table, "nothing", "classification")


def test_prose_becomes_text() -> None:
    rng = np.random.default_rng(0)
    words = ["great", "awful", "phone", "screen", "battery", "really", "quite"]
    texts = [" ".join(rng.choice(words, 6).tolist()) for _ in range(300)]
    table = Table((strings("review", texts), strings("y", ["pos" if "great" in t else "neg" for t in texts])))
    result, blob = _train(table, "y", "classification")
    assert _manifest(blob)["encoder"]["features"][0]["kind"] == "text"
    assert result["training_score"] > -0.2
