"""Trees, forests and boosting."""

from __future__ import annotations

import math
from typing import Any

import lightgbm
import numpy as np
import xgboost
from sklearn import ensemble, tree

from mlshare.convert import trees as convert
from mlshare.estimators.base import Fitted, Floats, Held, Inside, Params, Problem
from mlshare.estimators.scaling import Scaling

_FLOAT32 = 1e30  # scikit-learn and XGBoost compare, and sum up, in float32
_TREE_ROWS = 200_000  # rows that one tree of a forest sees
_PARALLEL_ROWS = 100_000
_PATIENCE = 40
_MOST_ROUNDS = 800


def _threads(problem: Problem, x: Floats) -> int:
    """Threads wait for each other at every node: on few rows, or busy cores, one alone is faster."""
    return problem.threads if len(x) >= _PARALLEL_ROWS else 1


def _clipped(x: Floats) -> Floats:
    return np.clip(x, -_FLOAT32, _FLOAT32)


def _target(problem: Problem, y: Floats, weights: Floats | None) -> Scaling:
    """Standardises a regression target: the graph adds up trees in float32."""
    if problem.task == "regression":
        return Scaling.of(y, weights)
    return Scaling(np.array(0.0), np.array(1.0))


def _forest_threads(problem: Problem, held: Held | None) -> int:
    """One in a search, whose trials already run side by side."""
    return 1 if held is not None else problem.threads


def _forest(problem: Problem, model: Any, x: Floats, y: Floats, weights: Floats | None) -> Fitted:
    target = _target(problem, y, weights)
    model.fit(_clipped(x), target.apply(y), sample_weight=weights)
    members = [m.tree_ for m in getattr(model, "estimators_", [model])]

    def inside() -> Inside:
        sizes = {"NUM_TREES": len(members), "NUM_NODES": sum(t.node_count for t in members)}
        return Inside(importances=model.feature_importances_, settings=_made_of(model), statistics=sizes)

    if problem.task == "regression":
        return Fitted(
            lambda rows: model.predict(_clipped(rows)) * target.scale + target.center,
            lambda: convert.regression_model(
                [convert.from_sklearn(t, 1 / len(members), slice(0, 1)) for t in members],
                x.shape[1],
                0.0,
                float(target.center),
                float(target.scale),
            ),
            inside=inside,
        )
    columns = slice(1, 2) if problem.n_classes == 2 else slice(0, problem.n_classes)
    return Fitted(
        lambda rows: np.asarray(model.predict_proba(_clipped(rows))),
        lambda: convert.forest_model(
            [convert.from_sklearn(t, 1 / len(members), columns) for t in members],
            x.shape[1],
            problem.n_classes,
        ),
        inside=inside,
    )


_NAMES = {
    "max_features_": "RFOR_MTRY",
    "min_samples_leaf": "TREE_TERM_MINREC_NODE",
    "min_samples_split": "TREE_TERM_MINREC_SPLIT",
}


def _made_of(model: Any) -> dict[str, float | str]:
    """What became of settings that depend on the data."""
    one = getattr(model, "estimators_", [model])[0]
    return {name: getattr(one, attribute) for attribute, name in _NAMES.items()}


def _limits(params: Params, rows: int, width: int) -> dict[str, Any]:
    """scikit-learn's parameters: limits in percent become rows, no split asks for more columns than there are."""
    own = dict(params)
    for end in ("leaf", "split"):
        percent = own.pop(f"min_percent_{end}", 0.0)
        least = math.ceil(percent * rows / 100)
        if least > own.get(f"min_samples_{end}", 0):
            own[f"min_samples_{end}"] = max(least, 2 if end == "split" else 1)
    if isinstance(own.get("max_features"), int):
        own["max_features"] = min(own["max_features"], width)
    return own


def decision_tree(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """One tree."""
    kinds = {"classification": tree.DecisionTreeClassifier, "regression": tree.DecisionTreeRegressor}
    own = _limits(params, *x.shape)
    return _forest(problem, kinds[problem.task](**own, random_state=problem.seed), x, y, weights)


def random_forest(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Bagged trees; each sees at most a bounded number of rows."""
    kinds = {"classification": ensemble.RandomForestClassifier, "regression": ensemble.RandomForestRegressor}
    own = _limits(params, *x.shape)
    rows = max(1, round(own.pop("max_samples", 1.0) * len(x)))
    own["max_samples"] = None if rows == len(x) <= _TREE_ROWS else min(rows, _TREE_ROWS)
    model = kinds[problem.task](**own, random_state=problem.seed, n_jobs=_forest_threads(problem, held))
    return _forest(problem, model, x, y, weights)


def extra_trees(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Extremely randomised trees; bagged where there are many rows."""
    kinds = {"classification": ensemble.ExtraTreesClassifier, "regression": ensemble.ExtraTreesRegressor}
    many = len(x) > _TREE_ROWS
    model = kinds[problem.task](
        **params,
        bootstrap=many,
        max_samples=_TREE_ROWS if many else None,
        random_state=problem.seed,
        n_jobs=_forest_threads(problem, held),
    )
    return _forest(problem, model, x, y, weights)


def _boosted(
    problem: Problem, predict: Any, members: Any, gains: Any, target: Scaling, width: int, rounds: int, tolerance: float
) -> Fitted:
    """``predict`` gives the library's own answers, ``members`` reads its trees, ``gains`` what each column gave."""

    def inside() -> Inside:
        total = float(np.sum(gains()))
        return Inside(importances=gains() / (total or 1.0), statistics={"NUM_ROUNDS": rounds})

    if problem.task == "regression":
        return Fitted(
            lambda rows: predict(rows) * target.scale + target.center,
            lambda: convert.regression_model(members(), width, 0.0, float(target.center), float(target.scale)),
            rounds,
            tolerance,
            inside=inside,
        )
    n_scores = 1 if problem.n_classes == 2 else problem.n_classes

    def answer(rows: Floats) -> Floats:
        shares = np.asarray(predict(rows), dtype=np.float64)
        return np.column_stack([1 - shares, shares]) if shares.ndim == 1 else shares

    return Fitted(
        answer,
        lambda: convert.boosted_model(members(), width, problem.n_classes, np.zeros(n_scores)),
        rounds,
        tolerance,
        inside=inside,
    )


def _objective(problem: Problem, names: tuple[str, str, str]) -> str:
    if problem.task == "regression":
        return names[2]
    return names[0] if problem.n_classes == 2 else names[1]


def lgbm(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """LightGBM; with ``held`` rows the number of rounds is where their loss stops falling."""
    target = _target(problem, y, weights)
    own = dict(params)
    rounds = own.pop("n_estimators", None) or _MOST_ROUNDS
    settings = {
        **own,
        "objective": _objective(problem, ("binary", "multiclass", "regression")),
        "num_class": max(1, problem.n_classes if problem.n_classes > 2 else 1),
        "bagging_freq": 1,
        "seed": problem.seed,
        "deterministic": True,
        "force_row_wise": True,
        "num_threads": _threads(problem, x),
        "use_missing": False,
        "feature_pre_filter": False,
        "verbose": -1,
    }
    data = lightgbm.Dataset(x, target.apply(y), weight=weights, free_raw_data=True)
    watched = {} if held is None else _watch_lgbm(held, target, data)
    booster = lightgbm.train(settings, data, rounds, **watched)
    kept = booster.best_iteration if booster.best_iteration > 0 else booster.current_iteration()
    n_scores = max(1, problem.n_classes if problem.n_classes > 2 else 1)
    return _boosted(
        problem,
        lambda rows: booster.predict(rows, num_iteration=kept, num_threads=1),
        lambda: convert.from_lightgbm(booster.model_to_string(num_iteration=kept), n_scores),
        lambda: booster.feature_importance("gain", iteration=kept),
        target,
        x.shape[1],
        kept,
        1e-6,
    )


def _watch_lgbm(held: Held, target: Scaling, data: Any) -> dict[str, Any]:
    def stop_when_late(env: Any) -> None:
        if held.late():
            raise lightgbm.callback.EarlyStopException(env.iteration, env.evaluation_result_list)

    return {
        "valid_sets": [lightgbm.Dataset(held.x, target.apply(held.y), reference=data)],
        "callbacks": [lightgbm.early_stopping(_PATIENCE, verbose=False), stop_when_late],
    }


class _StopWhenLate(xgboost.callback.TrainingCallback):
    def __init__(self, held: Held) -> None:
        super().__init__()
        self.held = held

    def after_iteration(self, model: Any, epoch: int, evals_log: Any) -> bool:
        return self.held.late()


def xgb(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """XGBoost by histograms; with ``held`` rows the rounds are where their loss stops falling."""
    target = _target(problem, y, weights)
    own = dict(params)
    rounds = own.pop("n_estimators", None) or _MOST_ROUNDS
    settings = {
        **own,
        "objective": _objective(problem, ("binary:logistic", "multi:softprob", "reg:squarederror")),
        "base_score": 0.0 if problem.task == "regression" else 0.5,
        "tree_method": "hist",
        "seed": problem.seed,
        "nthread": _threads(problem, x),
        "verbosity": 0,
    }
    if problem.n_classes > 2:
        settings["num_class"] = problem.n_classes
    data = xgboost.DMatrix(_clipped(x), target.apply(y), weight=weights, nthread=_threads(problem, x))
    watched = {} if held is None else _watch_xgb(held, target)
    booster = xgboost.train(settings, data, rounds, verbose_eval=False, **watched)
    if held is not None and booster.attr("best_iteration") is not None:
        booster = booster[: booster.best_iteration + 1]
    return _boosted(
        problem,
        lambda rows: booster.predict(xgboost.DMatrix(_clipped(rows), nthread=1)),
        lambda: convert.from_xgboost(booster.save_raw("json")),
        lambda: _gains(booster, x.shape[1]),
        target,
        x.shape[1],
        booster.num_boosted_rounds(),
        # XGBoost adds up its trees in float32, the graph in float64.
        1e-5,
    )


def _gains(booster: Any, width: int) -> Floats:
    found = booster.get_score(importance_type="total_gain")
    return np.array([found.get(f"f{i}", 0.0) for i in range(width)])


def _watch_xgb(held: Held, target: Scaling) -> dict[str, Any]:
    return {
        "evals": [(xgboost.DMatrix(_clipped(held.x), target.apply(held.y), nthread=1), "held")],
        "early_stopping_rounds": _PATIENCE,
        "callbacks": [_StopWhenLate(held)],
    }
