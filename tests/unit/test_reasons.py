"""What one prediction owes to each column, and its bounds."""

from __future__ import annotations

import base64
import copy
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper
from scipy import stats
from threadpoolctl import threadpool_limits

from mlshare import errors, manifest, reasons
from mlshare.audit import prepare_foreign
from mlshare.build import single
from mlshare.mining.settings import parse
from mlshare.modelfile import raw_row
from mlshare.reasons import bounds, explain_row
from mlshare.scorer import Scorer
from mlshare.table import Table
from mlshare_tools.build import CHECKOUT
from unit.learning import FEATURES, mixed, numbers, only, strings

TABLE = only(mixed(400), *FEATURES, "two", "three", "amount")
GLM = {"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL"}
TARGETS = {"two": "CLASSIFICATION", "three": "CLASSIFICATION", "amount": "REGRESSION"}


def _scorer(target: str, given: dict[str, Any] | None = None, table: Table = TABLE) -> Scorer:
    others = tuple(sorted({"two", "three", "amount"} - {target}))
    plan = replace(parse(GLM if given is None else given, TARGETS[target]).plan, target=target, exclude=others)
    return Scorer(single.fit(table, plan)[1])


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As where sub-models are built: on little data, threads of linear algebra wait for each other."""
    with threadpool_limits(1, user_api="blas"):
        yield


ROW = raw_row(only(TABLE, *FEATURES), 3)


# --- reasons -------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", TARGETS)
def test_weights_are_what_the_answer_loses_without_the_column(target: str) -> None:
    scorer = _scorer(target)
    found = explain_row(scorer, ROW, top_n=100)
    assert [r.rank for r in found] == list(range(1, 8)) and {r.attribute for r in found} == set(FEATURES)
    assert all(r.value == ROW[r.attribute] for r in found)
    whole = scorer.answer(ROW).as_prediction()
    for reason in found:
        without = scorer.answer({**ROW, reason.attribute: None}).as_prediction()
        if whole.probabilities is None or without.probabilities is None:
            assert whole.values is not None and without.values is not None
            expected = whole.values[0] - without.values[0]
        else:
            label = whole.probabilities[0].argmax()
            expected = whole.probabilities[0, label] - without.probabilities[0, label]
        assert reason.weight == pytest.approx(expected, abs=1e-12)


def test_directions_and_numbers() -> None:
    scorer = _scorer("two")
    whole = explain_row(scorer, ROW, "yes", 7)
    weights = [r.weight for r in whole]
    assert [abs(w) for w in weights] == sorted(map(abs, weights), reverse=True)
    assert [r.weight for r in explain_row(scorer, ROW, "yes", 7, "desc")] == sorted(weights, reverse=True)
    assert [r.weight for r in explain_row(scorer, ROW, "yes", 3, "Asc")] == sorted(weights)[:3]
    other = {r.attribute: r.weight for r in explain_row(scorer, ROW, "no", 7)}
    assert {r.attribute: -r.weight for r in whole} == pytest.approx(other, abs=1e-12)
    assert len(explain_row(scorer, ROW)) == 5


def test_a_column_that_is_null_has_no_weight() -> None:
    found = explain_row(_scorer("two"), {**ROW, "color": None}, top_n=7)
    assert next(r for r in found if r.attribute == "color").weight == 0


def test_wrong_questions() -> None:
    scorer = _scorer("two")
    for question in ({"class_": "maybe"}, {"top_n": 0}, {"direction": "UP"}):
        with pytest.raises(errors.InvalidArgument):
            explain_row(scorer, ROW, **question)  # type: ignore[arg-type]
    with pytest.raises(errors.InvalidArgument, match="regression"):
        explain_row(_scorer("amount"), ROW, 1)
    with pytest.raises(errors.MissingFeature):
        explain_row(scorer, {k: v for k, v in ROW.items() if k != "b"})
    assert explain_row(_scorer("three"), ROW, 2)[0].weight == explain_row(_scorer("three"), ROW, 2.0)[0].weight


def _foreign(dtype: int) -> Scorer:
    """The sum of two columns, as a model that a user brought."""
    nodes = [helper.make_node("Add", ["a", "b"], ["sum"]), helper.make_node("Cast", ["sum"], ["out"], to=1)]
    inputs = [helper.make_tensor_value_info(n, dtype, ["n", 1]) for n in ("a", "b")]
    outputs = [helper.make_tensor_value_info("out", TensorProto.FLOAT, ["n", 1])]
    graph = helper.make_graph(nodes, "g", inputs, outputs)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    blob, _ = prepare_foreign(model.SerializeToString(), {"task": "regression"})
    return Scorer(blob)


def test_a_model_that_takes_no_null_says_so() -> None:
    with pytest.raises(errors.InvalidFeatureValue, match="NULL of column") as caught:
        explain_row(_foreign(TensorProto.INT64), {"a": 1, "b": 2})
    assert "must take NULL" in str(caught.value.detail)
    with pytest.raises(errors.ScoringFailed):  # the sum with NaN is NaN
        explain_row(_foreign(TensorProto.FLOAT), {"a": 1, "b": 2})


# --- bounds --------------------------------------------------------------------------------------


def test_bounds_of_a_linear_regression() -> None:
    rng = np.random.default_rng(5)
    x = rng.normal(size=(50, 2)) * [1.0, 1e3] + [0.0, 1e6]
    y = x @ [1.0, 0.01] + rng.normal(size=50)
    table = Table((numbers("u", x[:, 0].tolist()), numbers("v", x[:, 1].tolist()), numbers("amount", y.tolist())))
    scorer = _scorer("amount", table=table)
    design = np.column_stack([np.ones(50), x[:, 0], (x[:, 1] - 1e6) / 1e3])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    variance = ((y - design @ beta) ** 2).sum() / 47
    new = np.array([1.0, 0.3, 1.7])
    margin = stats.t(47).ppf(0.95) * np.sqrt(variance * new @ inverse @ new)
    found = bounds(scorer, {"u": 0.3, "v": 1e6 + 1.7e3}, 0.9)
    assert found == pytest.approx((new @ beta - margin, new @ beta + margin), rel=1e-8)


def test_bounds_of_two_classes() -> None:
    scorer = _scorer("two")
    row = scorer.answer(ROW).as_prediction()
    assert row.probabilities is not None
    p = float(row.probabilities[0, 1])
    low, high = bounds(scorer, ROW, 0.95, "yes")
    assert 0 <= low < p < high <= 1
    logit = np.log([low / (1 - low), p / (1 - p), high / (1 - high)])
    assert logit[1] - logit[0] == pytest.approx(logit[2] - logit[1], rel=1e-6)
    assert bounds(scorer, ROW, 0.95, "no") == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wider = bounds(scorer, ROW, 0.99, "yes")
    assert wider[0] < low and high < wider[1]


def test_bounds_hold_as_often_as_they_say() -> None:
    """On two columns, over 200 samples of a known truth, about 90 % of the 90 % bounds hold it."""
    rng = np.random.default_rng(0)
    held = {"two": 0, "three": 0}
    row = {"u": 0.5, "v": "b"}
    for _ in range(200):
        u, v = rng.normal(size=150), rng.choice(["a", "b", "c"], 150)
        score = u + (v == "b")
        two = rng.random(150) < 1 / (1 + np.exp(-score))
        powers = np.exp(np.column_stack([np.zeros(150), score, -score]))
        three = (rng.random((150, 1)) < np.cumsum(powers / powers.sum(axis=1, keepdims=True), axis=1)).argmax(axis=1)
        features = (numbers("u", u.tolist()), strings("v", v.tolist()))
        for target, y in (("two", two), ("three", three)):
            table = Table((*features, numbers(target, y.astype(float).tolist())))
            low, high = bounds(_scorer(target, {**GLM, "ODMS_DETAILS": "ODMS_DISABLE"}, table), row, 0.9, 1)
            truth = np.exp(1.5) / (1 + np.exp(1.5) + (np.exp(-1.5) if target == "three" else 0))
            held[target] += low <= truth <= high
    assert all(160 <= n <= 195 for n in held.values()), held


def test_models_without_bounds() -> None:
    for target, given in (("two", {}), ("amount", {**GLM, "GLMS_RIDGE_VALUE": "1"})):
        with pytest.raises(errors.BoundsUnknown):
            bounds(_scorer(target, given), ROW)
    for confidence in (0.0, 1.0, -1.0):
        with pytest.raises(errors.InvalidArgument, match="confidence"):
            bounds(_scorer("two"), ROW, confidence)


@pytest.mark.parametrize("confidence", [0.5, 0.9, 0.95, 0.999])
@pytest.mark.parametrize("freedom", [1, 2, 3, 4, 9, 10, 57, 500, 999, 1000, 1001, 20_000])
def test_quantiles_of_student(confidence: float, freedom: int) -> None:
    assert reasons.quantile(confidence, freedom) == pytest.approx(stats.t.ppf(0.5 + confidence / 2, freedom), rel=1e-11)
    assert reasons.quantile(confidence, None) == pytest.approx(stats.norm.ppf(0.5 + confidence / 2), rel=1e-12)


# --- the covariance in the model file ------------------------------------------------------------


def _packed(values: list[float]) -> str:
    return base64.b64encode(np.array(values).tobytes()).decode()


@pytest.mark.parametrize("target", TARGETS)
def test_a_manifest_with_a_covariance_is_valid(target: str) -> None:
    scorer = _scorer(target)
    assert manifest.validated(scorer.manifest).document is scorer.manifest
    assert (scorer.manifest["covariance"]["freedom"] is None) == (target != "amount")


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("center", "not base64!"),
        ("center", None),
        ("center", _packed([1.0])),
        ("scale", _packed([0.0] * 100)),
        ("matrix", _packed([1.0] * 3)),
        ("freedom", 0),
        ("freedom", True),
        ("freedom", 1.5),
        ("more", 1),
    ],
)
def test_a_manifest_with_a_wrong_covariance_is_refused(field: str, value: Any) -> None:
    document = copy.deepcopy(_scorer("two").manifest)
    document["covariance"][field] = value
    with pytest.raises(errors.InvalidModelMetadata, match="covariance"):
        manifest.validated(document)


def test_numbers_of_a_covariance_are_checked() -> None:
    document = copy.deepcopy(_scorer("two").manifest)
    length = len(base64.b64decode(document["covariance"]["scale"])) // 8
    for value in (np.nan, np.inf, 0.0, -1.0):
        document["covariance"]["scale"] = _packed([value] * length)
        with pytest.raises(errors.InvalidModelMetadata, match="covariance"):
            manifest.validated(document)
    foreign = copy.deepcopy(_foreign(TensorProto.FLOAT).manifest)
    with pytest.raises(errors.InvalidModelMetadata, match="unknown"):
        manifest.validated({**foreign, "covariance": document["covariance"]})


def test_reasons_need_no_library_of_training() -> None:
    code = "import sys, mlshare.reasons; print(*sys.modules)"
    command = [sys.executable, "-c", code]
    done = subprocess.run(
        command, capture_output=True, text=True, check=True, env={"PYTHONPATH": f"{CHECKOUT}/plpython"}
    )
    assert not {"sklearn", "scipy", "onnx", "pandas"} & set(done.stdout.split())
