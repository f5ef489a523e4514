"""Every algorithm under Oracle's settings: its graph answers as it does, passes the audit, and tells of itself."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from threadpoolctl import threadpool_limits

from mlshare import errors, modelfile
from mlshare.audit import audit
from mlshare.build import single
from mlshare.build.plan import Plan
from mlshare.estimators import registry
from mlshare.mining.settings import FUNCTIONS, parse
from mlshare.prepare import prepare
from mlshare.scorer import Scorer
from mlshare.table import Table
from unit.learning import FEATURES, mixed, numbers, only, strings

RNG = np.random.default_rng(1)
WEIGHTS = numbers("w", RNG.uniform(0.2, 3, 300).tolist())
TABLE = Table((*only(mixed(300), *FEATURES, "two", "three", "amount").columns, WEIGHTS))
TARGETS = {"CLASSIFICATION": ("two", "three"), "REGRESSION": ("amount",)}
OTHERS = {"ALGO_SUPPORT_VECTOR_MACHINES": {"SVMS_KERNEL_FUNCTION": "SVMS_GAUSSIAN"}}
EVERY = [
    (function, {"ALGO_NAME": algorithm, **more}, target)
    for function, known in FUNCTIONS.items()
    for algorithm in known.algorithms
    for more in ({}, OTHERS.get(algorithm))
    if more is not None
    for target in TARGETS[function]
]
GLM = {"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL"}


@pytest.fixture(autouse=True, scope="module")
def _one_thread() -> Iterator[None]:
    """As where sub-models are built: on little data, threads of linear algebra wait for each other."""
    with threadpool_limits(1, user_api="blas"):
        yield


def _plan(function: str, given: dict[str, Any], target: str) -> Plan:
    others = {"two", "three", "amount"} - {target}
    return replace(parse(given, function).plan, target=target, exclude=tuple(sorted(others)))


@pytest.mark.parametrize("how", ["plain", "weighted", "balanced and unscaled"])
@pytest.mark.parametrize(("function", "given", "target"), EVERY)
def test_the_graph_is_the_estimator(function: str, given: dict[str, Any], target: str, how: str) -> None:
    plan = _plan(function, given, target)
    plan = {
        "plain": replace(plan, exclude=(*plan.exclude, "w")),
        "weighted": replace(plan, weights="w"),
        "balanced and unscaled": replace(plan, balanced=True, scaled=False, exclude=(*plan.exclude, "w", "day", "at")),
    }[how]
    estimator = registry.find(str(plan.algorithm), plan.task)
    prepared = prepare(plan, TABLE, 1, lambda rows: (estimator,))
    fitted = prepared.data.fit(estimator, plan.params)
    _, blob = modelfile.checked(prepared, estimator, fitted, np.arange(100), 3)
    answers, expected = (
        modelfile.run(blob, prepared.data.x[estimator.layout]),
        fitted.predict(prepared.data.x[estimator.layout]),
    )
    unit = 1.0 if target != "amount" else float(prepared.data.y.std())
    assert np.abs(answers - expected).max() <= fitted.tolerance * unit
    if how == "plain":
        audit(blob)


@pytest.mark.parametrize(("function", "given", "target"), EVERY)
def test_weights_matter_and_details_are_json(function: str, given: dict[str, Any], target: str) -> None:
    plan = _plan(function, given, target)
    plain, one = single.fit(TABLE, replace(plan, exclude=(*plan.exclude, "w")))
    heavy = Table((*TABLE.columns[:-1], replace(WEIGHTS, values=np.where(np.arange(300) < 30, 50.0, 0.1))))
    _, two = single.fit(heavy, replace(plan, weights="w"))
    answers = [Scorer(b).predict(TABLE) for b in (one, two)]
    values = [a.values if a.values is not None else a.probabilities for a in answers]
    assert not np.allclose(np.asarray(values[0]), np.asarray(values[1]), rtol=1e-3)
    found = plain["details"]
    assert json.loads(json.dumps(found, allow_nan=False)) == found
    assert found["global"]["NUM_ROWS"] == 300 and found["global"]["CONVERGED"] in ("YES", "NO")
    if found["importances"]:
        assert set(found["importances"]) == set(FEATURES)
        assert math.fsum(found["importances"].values()) == pytest.approx(1.0, abs=1e-4)


@pytest.mark.parametrize(("function", "given", "target"), EVERY)
def test_tiny_slices(function: str, given: dict[str, Any], target: str) -> None:
    """As few rows as one class of a single row and six of the others leave."""
    y = [0.0, 0.0, 1.0, 0.0, 0.0, 0.0, *([2.0, 2.0] if target == "three" else [])]
    words = strings("s", ["a", "b", "a", None, "b", "b", "a", "a"][: len(y)])
    table = Table((numbers("x", [None, 2, 1, 4, 5, 2, 1, 1][: len(y)]), words, numbers(target, y)))
    result, blob = single.fit(table, _plan(function, given, target))
    audit(blob)
    assert result["n_rows"] == len(y) and result["score"] is not None


@pytest.mark.parametrize("algorithm", ["ALGO_GENERALIZED_LINEAR_MODEL", "ALGO_SUPPORT_VECTOR_MACHINES"])
def test_huge_numbers_are_standardised_or_refused(algorithm: str) -> None:
    huge = Table((*TABLE.columns, numbers("h", (RNG.normal(size=300) * 1e100).tolist())))
    plan = _plan("CLASSIFICATION", {"ALGO_NAME": algorithm}, "two")
    assert single.fit(huge, plan)[0]["n_rows"] == 300
    with pytest.raises(errors.TrainingDataError, match="not to be standardised"):
        single.fit(huge, replace(plan, scaled=False))


@pytest.mark.parametrize(("function", "target"), [("CLASSIFICATION", "two"), ("REGRESSION", "amount")])
def test_kernels_refuse_what_they_cannot_tell_apart(function: str, target: str) -> None:
    given = {"ALGO_NAME": "ALGO_SUPPORT_VECTOR_MACHINES", "SVMS_KERNEL_FUNCTION": "SVMS_GAUSSIAN"}
    with pytest.raises(errors.TrainingDataError, match="Gaussian kernel"):  # seconds since 1970
        single.fit(TABLE, replace(_plan(function, given, target), scaled=False))


@pytest.mark.parametrize("activation", ["LOG_SIG", "LINEAR", "TANH", "RELU"])
@pytest.mark.parametrize("layers", ["0", "2"])
@pytest.mark.parametrize("target", ["two", "three", "amount"])
def test_networks(activation: str, layers: str, target: str) -> None:
    function = "REGRESSION" if target == "amount" else "CLASSIFICATION"
    given = {
        "ALGO_NAME": "ALGO_NEURAL_NETWORK",
        "NNET_HIDDEN_LAYERS": layers,
        "NNET_ACTIVATIONS": f"NNET_ACTIVATIONS_{activation}",
        "NNET_ITERATIONS": "20",
    }
    plan = _plan(function, given, target)
    result, blob = single.fit(TABLE, plan)
    audit(blob)
    assert result["details"]["global"]["ITERATIONS"] <= 20
    assert len(result["details"]["settings"]["NNET_LAYERS"].split()) == 2 + int(layers)


def test_networks_with_rows_held_aside() -> None:
    given = {"ALGO_NAME": "ALGO_NEURAL_NETWORK", "NNET_REGULARIZER": "NNET_REGULARIZER_HELDASIDE"}
    assert single.fit(TABLE, _plan("CLASSIFICATION", given, "three"))[0]["classes"] == [0, 1, 2]
    assert single.fit(TABLE, _plan("REGRESSION", given, "amount"))[0]["score"] is not None
    few = Table((numbers("x", list(range(12))), numbers("y", [0.0] * 6 + [1.0, 1.0] + [2.0] * 4)))
    plan = replace(parse({**given, "NNET_HELDASIDE_RATIO": "0.1"}, "CLASSIFICATION").plan, target="y")
    with pytest.raises(errors.TooFewRows, match="held aside"):
        single.fit(few, plan)


def test_trees_keep_their_limits() -> None:
    given = {"ALGO_NAME": "ALGO_DECISION_TREE", "TREE_TERM_MAX_DEPTH": "2", "TREE_TERM_MINPCT_NODE": "10"}
    found = single.fit(TABLE, _plan("CLASSIFICATION", given, "two"))[0]["details"]
    assert found["global"]["NUM_NODES"] <= 7
    assert found["settings"]["TREE_TERM_MINREC_NODE"] == 30


def test_a_forest_cannot_try_more_columns_than_there_are() -> None:
    given = {"ALGO_NAME": "ALGO_RANDOM_FOREST", "RFOR_MTRY": "500", "RFOR_NUM_TREES": "3"}
    found = single.fit(TABLE, _plan("CLASSIFICATION", given, "two"))[0]["details"]
    assert 1 < found["settings"]["RFOR_MTRY"] < 500 and found["global"]["NUM_TREES"] == 3


def test_width_of_the_gaussian_kernel() -> None:
    given = {"SVMS_KERNEL_FUNCTION": "SVMS_GAUSSIAN", "SVMS_STD_DEV": "3"}
    found = single.fit(TABLE, _plan("REGRESSION", given, "amount"))[0]["details"]
    assert found["settings"]["SVMS_STD_DEV"] == pytest.approx(3.0)


def test_l1_leaves_out_columns() -> None:
    given = {"ALGO_NAME": "ALGO_SUPPORT_VECTOR_MACHINES", "SVMS_COMPLEXITY_FACTOR": "0.005"}
    zeros = [
        sum(row[3] == 0 for row in single.fit(TABLE, _plan("CLASSIFICATION", g, "two"))[0]["details"]["coefficients"])
        for g in (given, {**given, "SVMS_REGULARIZER": "SVMS_REGULARIZER_L1"})
    ]
    assert zeros[0] == 0 < zeros[1]


def test_naive_bayes_tells_priors_and_conditionals() -> None:
    found = single.fit(TABLE, _plan("CLASSIFICATION", {}, "two"))[0]["details"]
    codes = TABLE["two"].codes
    assert codes is not None
    assert found["priors"] == [["no", pytest.approx(np.mean(codes == 0))], ["yes", pytest.approx(np.mean(codes == 1))]]
    own = {(row[0], row[1], row[2]): row[3:] for row in found["conditionals"]}
    b = np.asarray(TABLE["b"].values)[codes == 1]
    assert own[("yes", "b", None)][0] == pytest.approx(b.mean(), rel=1e-6)
    assert ("no", "color", "red") in own


def _plain_table() -> tuple[Table, np.ndarray[Any, Any], np.ndarray[Any, Any]]:
    x = RNG.normal(size=(400, 3)) * [1.0, 50.0, 0.01] + [0.0, 1e3, 5.0]
    noise = RNG.normal(size=400)
    y = x @ [1.0, 0.02, 30.0] + noise
    columns = [numbers(f"x{i}", x[:, i].tolist()) for i in range(3)]
    classes = ((y - y.mean()) + noise > 0).astype(float)
    return Table((*columns, numbers("y", y.tolist()), numbers("c", classes.tolist()))), x, y


def test_coefficients_of_a_linear_regression() -> None:
    """Against the textbook: (X'X)⁻¹ of the raw columns, the variance of the errors, Student's t."""
    from scipy import stats

    table, x, y = _plain_table()
    found = single.fit(table, replace(parse(GLM, "REGRESSION").plan, target="y", exclude=("c",)))[0]["details"]
    design = np.column_stack([np.ones(400), x])
    inverse = np.linalg.inv(design.T @ design)
    beta = inverse @ design.T @ y
    variance = float(((y - design @ beta) ** 2).sum()) / 396
    error = np.sqrt(variance * inverse.diagonal())
    law = stats.t(396)
    for i, row in enumerate(found["coefficients"]):
        assert row[:3] == [None, None if i == 0 else f"x{i - 1}", None]
        margin = law.ppf(0.975) * error[i]
        expected = [beta[i], error[i], beta[i] / error[i], 2 * law.sf(abs(beta[i] / error[i]))]
        assert row[3:] == pytest.approx([*expected, beta[i] - margin, beta[i] + margin], rel=1e-4, abs=1e-12)
    assert found["global"]["R_SQ"] == pytest.approx(1 - variance * 396 / ((y - y.mean()) ** 2).sum(), rel=1e-5)
    assert found["global"]["VALID_COVARIANCE_MATRIX"] == "YES"


def test_coefficients_of_a_logistic_regression() -> None:
    table, x, _ = _plain_table()
    c = np.asarray(table["c"].values)
    found = single.fit(table, replace(parse(GLM, "CLASSIFICATION").plan, target="c", exclude=("y",)))[0]["details"]
    design = np.column_stack([np.ones(400), x])
    beta = np.array([row[3] for row in found["coefficients"]])
    p = 1 / (1 + np.exp(-design @ beta))
    # The gradient of the likelihood is 0, and the information matrix gives the standard errors.
    assert np.abs(design.T @ (c - p) / np.abs(design).sum(axis=0)).max() < 1e-4
    error = np.sqrt(np.linalg.inv((design * (p * (1 - p))[:, None]).T @ design).diagonal())
    assert [row[4] for row in found["coefficients"]] == pytest.approx(error, rel=1e-3)
    assert {row[0] for row in found["coefficients"]} == {1}


def test_dependent_columns_get_no_coefficient() -> None:
    table, x, _ = _plain_table()
    twice = Table((numbers("again", (2 * x[:, 1] - x[:, 0]).tolist()), *table.columns))
    for target, function in (("y", "REGRESSION"), ("c", "CLASSIFICATION")):
        others = ({"y", "c"} - {target}).pop()
        plan = replace(parse(GLM, function).plan, target=target, exclude=(others,))
        found = single.fit(twice, plan)[0]["details"]
        still = [row for row in found["coefficients"] if row[4] is None]
        assert [(row[1], row[3]) for row in still] == [("x1", 0.0)]
        assert any("depend on others" in alert for alert in found["alerts"])


def test_ridge_has_no_standard_errors() -> None:
    found = single.fit(TABLE, _plan("REGRESSION", {**GLM, "GLMS_RIDGE_VALUE": "10"}, "amount"))[0]["details"]
    assert {tuple(row[4:]) for row in found["coefficients"]} == {(None,) * 5}
    assert found["global"]["VALID_COVARIANCE_MATRIX"] == "NO"


def test_separated_classes_end_without_convergence_or_with_it() -> None:
    x = np.arange(40.0)
    table = Table((numbers("x", x.tolist()), numbers("y", (x > 19).astype(float).tolist())))
    plan = replace(parse({**GLM, "GLMS_NUM_ITERATIONS": "3"}, "CLASSIFICATION").plan, target="y")
    found = single.fit(table, plan)[0]["details"]
    assert found["global"]["CONVERGED"] == "NO" and "without convergence" in found["alerts"][0]
    assert single.fit(table, replace(plan, params={**plan.params, "max_iter": 300}))[0]["score"] > -1e-3


def test_details_can_be_left_out() -> None:
    result, blob = single.fit(TABLE, _plan("CLASSIFICATION", {**GLM, "ODMS_DETAILS": "ODMS_DISABLE"}, "two"))
    assert result["details"] == {}
    assert "covariance" in Scorer(blob).manifest
