"""Sub-models: a plan, fitted on the rows of one partition."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from mlshare import errors, search
from mlshare.build import single
from mlshare.build.plan import Plan
from mlshare.scorer import Scorer
from mlshare.table import Table
from unit.learning import FEATURES, mixed, numbers, only

TABLE = only(mixed(400), *FEATURES, "two", "three", "amount")
LOGISTIC = Plan("classification", "two", "LogisticRegression", exclude=("three", "amount"))
LINEAR = Plan("regression", "amount", "LinearRegression", exclude=("two", "three"))


def _weighted(weights: list[float | None]) -> Table:
    return Table((*TABLE.columns, numbers("w", weights)))


def test_a_plan_travels_as_json() -> None:
    plan = replace(LOGISTIC, params={"C": 0.5}, include=("a",), weights="w", time_budget=2.5)
    assert Plan.from_json(json.loads(json.dumps(plan.to_json()))) == plan
    with pytest.raises(TypeError):
        Plan.from_json({**plan.to_json(), "depth": 1})


@pytest.mark.parametrize("plan", [LOGISTIC, replace(LOGISTIC, algorithm="RandomForestClassifier"), LINEAR])
def test_description_and_file_of_a_sub_model(plan: Plan) -> None:
    result, blob = single.fit(TABLE, plan)
    assert json.loads(json.dumps(result, allow_nan=False)) == result
    assert result["algorithm_name"] == plan.algorithm and result["n_rows"] == 400
    assert [name for name, _ in result["inputs"]] == list(FEATURES)
    assert sorted(result["categories"]["color"]) == ["blue", "green", "red"]
    scorer = Scorer(blob)
    assert [list(i) for i in scorer.inputs] == result["inputs"] and scorer.classes == result["classes"]
    golden = result["golden"]
    assert len(golden["rows"]) == 3
    key = "probabilities" if plan.task == "classification" else "values"
    found = [getattr(scorer.answer(row).as_prediction(), key)[0] for row in golden["rows"]]
    assert np.array(found) == pytest.approx(np.array(golden[key]), abs=1e-9)


def test_the_score_is_the_metric_on_its_own_rows() -> None:
    result, blob = single.fit(TABLE, replace(LOGISTIC, metric="accuracy"))
    codes = TABLE["two"].codes
    assert codes is not None
    assert result["metric"] == "accuracy"
    assert result["score"] == pytest.approx(float((Scorer(blob).predict(TABLE).labels == codes).mean()))


def test_choice_fills_in_the_plan(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FOLDED_TRIALS", (2, 1))
    models = ("LogisticRegression", "GaussianNB")
    chosen = single.choose(TABLE, replace(LOGISTIC, algorithm=None, model_list=models), 1, lambda *_: None)
    assert chosen.algorithm in models and chosen.params
    assert single.choose(TABLE, LOGISTIC, 1, lambda *_: None).params == {"C": 0.1}
    with pytest.raises(errors.InvalidOptionValue, match="Perceptron"):
        single.choose(TABLE, replace(LOGISTIC, algorithm="Perceptron"), 1, lambda *_: None)


def test_choice_counts_rows_by_their_weights(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "_FOLDED_TRIALS", (1, 1))
    seen: list[float] = []
    original = search.Data.fit

    def spy(data: search.Data, *given: Any) -> Any:
        seen.append(0.0 if data.weights is None else float(data.weights.sum()))
        return original(data, *given)

    monkeypatch.setattr(search.Data, "fit", spy)
    plan = replace(LOGISTIC, algorithm=None, model_list=("GaussianNB",), weights="w", balanced=True)
    single.choose(_weighted([2.0] * 100 + [0.5] * 300), plan, 1, lambda *_: None)
    assert seen and seen == pytest.approx([350.0] * len(seen))


def test_rows_of_weight_two_count_twice() -> None:
    plan = replace(LINEAR, params={"alpha": 1e-12}, exclude=("two", "three", "a", "color", "words"))
    half = 200
    weights: list[float | None] = [2.0] * half + [1.0] * (400 - half)
    once, _ = single.fit(_weighted(weights), replace(plan, weights="w"))
    again = Table(
        tuple(
            replace(
                c,
                values=None if c.values is None else np.concatenate([c.values, c.values[:half]]),
                codes=None if c.codes is None else np.concatenate([c.codes, c.codes[:half]]),
            )
            for c in TABLE.columns
        )
    )
    _, twice = single.fit(again, plan)
    scorer = Scorer(twice)
    found = [scorer.answer(row).as_prediction().values for row in once["golden"]["rows"]]
    assert np.concatenate([f for f in found if f is not None]) == pytest.approx(once["golden"]["values"], rel=1e-6)


def test_rows_without_weight_are_left_out() -> None:
    weights = [0.0] * 50 + [None] * 50 + [1.0] * 300
    assert single.fit(_weighted(weights), replace(LOGISTIC, weights="w"))[0]["n_rows"] == 300
    with pytest.raises(errors.TrainingDataError, match="below 0"):
        single.fit(_weighted([-1.0] * 400), replace(LOGISTIC, weights="w"))
    with pytest.raises(errors.ColumnNotFound):
        single.fit(TABLE, replace(LOGISTIC, weights="w"))
    with pytest.raises(errors.TrainingDataError, match="not numbers"):
        single.fit(TABLE, replace(LOGISTIC, weights="color"))


def test_balanced_classes() -> None:
    rng = np.random.default_rng(0)
    rare = rng.random(2000) < 0.05
    table = Table((numbers("x", (rng.normal(size=2000) + rare).tolist()), numbers("y", rare.astype(float).tolist())))
    plan = Plan("classification", "y", "LogisticRegression")
    means = []
    for flag in (False, True):
        shares = Scorer(single.fit(table, replace(plan, balanced=flag))[1]).predict(table).probabilities
        second = np.asarray(shares)[:, 1]
        means.append((second[rare].mean() + second[~rare].mean()) / 2 if flag else second.mean())
    # The intercept makes the mean of the probabilities that of the classes, each counted by its weight.
    assert means == pytest.approx([rare.mean(), 0.5], abs=1e-3)


def test_rows_with_nulls_are_deleted() -> None:
    complete = ~(np.isnan(np.asarray(TABLE["a"].values)) | (np.asarray(TABLE["color"].codes) < 0))
    result, blob = single.fit(TABLE, replace(LOGISTIC, missing="delete_row"))
    assert result["n_rows"] == complete.sum() < 400
    # NULLs can be scored all the same.
    assert len(Scorer(blob).predict(TABLE)) == 400


def _small(y: list[Any]) -> Table:
    return Table((numbers("x", list(range(len(y)))), numbers("y", y)))


def test_slices_that_cannot_be_learned() -> None:
    plan = Plan("classification", "y", "LogisticRegression")
    with pytest.raises(errors.InvalidTarget, match="fewer than two"):
        single.fit(_small([1.0] * 30), plan)
    with pytest.raises(errors.TooFewRows, match="at least 2"):
        single.fit(_small([None] * 5 + [1.0]), plan)
    assert single.fit(_small([0.0] * 5 + [1.0]), plan)[0]["classes"] == [0, 1]


def test_a_constant_target() -> None:
    plan = Plan("regression", "y", "LinearRegression", params={"ridge": 0.0}, details=True)
    result, blob = single.fit(_small([3.0] * 12), plan)
    assert result["golden"]["values"] == pytest.approx([3.0] * 3)
    assert "R_SQ" in result["details"]["global"] and result["details"]["global"]["R_SQ"] is None
    assert "covariance" not in Scorer(blob).manifest
