"""Training: a table in, a model file and its description out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare import explain, metrics, modelfile, sampling
from mlshare.build.plan import Plan
from mlshare.errors import MetricUndefined
from mlshare.estimators import registry
from mlshare.estimators.base import Estimator
from mlshare.prepare import Prepared, prepare
from mlshare.search import Outcome, Search, Trial
from mlshare.table import Table

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "onnx", "onnxruntime", "optuna")
_CHECK_ROWS = 2_000
_IMPORTANCE_ROWS = 2_000
_GOLDEN_ROWS = 16
_SEARCH_SHARE = 0.7  # of a time budget; the rest is for the final fit


def train(request: Mapping[str, Any], table: Table, progress: Progress) -> tuple[dict[str, Any], bytes]:
    """Choose, tune and fit an algorithm; returns the description (JSON) and the ONNX file.

    ``request``: target, task, options (validated names and types), threads. The same seed and data give
    the same bytes unless time_budget cuts the search. Raises TrainingDataError,
    TrainingFailed, InvalidMetric.
    """
    plan = Plan.from_options(request["target"], request["task"], request.get("options") or {})
    # One thread for linear algebra: trials run side by side, and sums do not depend on the machine.
    with threadpool_limits(1, user_api="blas"):
        return _train(plan, table, int(request.get("threads") or 1), progress)


def _train(plan: Plan, table: Table, threads: int, progress: Progress) -> tuple[dict[str, Any], bytes]:
    start = time.monotonic()
    progress("preparing the columns", 0.0)
    prepared, outcome = searched(plan, table, threads, progress)
    best = outcome.best
    progress("measuring what each column contributes", 0.82)
    importance = _importance(prepared, best)
    progress(f"fitting {best.estimator.name} on all {len(prepared.target.y)} rows", 0.85)
    fitted = prepared.data.fit(best.estimator, best.params)
    progress("converting and checking the model", 0.95)
    data = prepared.data
    rows = sampling.sample(data.y, _CHECK_ROWS, data.problem.seed + 1, data.stratified, least=2)
    golden, blob = modelfile.checked(prepared, best.estimator, fitted, rows, _GOLDEN_ROWS)
    result = {
        **_describe(prepared, outcome, table),
        "optimization_metric": prepared.data.metric,
        "model_explanation": {"permutation_importance": importance},
        "training_params": {
            "random_state": prepared.data.problem.seed,
            "time_budget": plan.time_budget,
            "trials": outcome.trials,
            "stopped_by_time": outcome.stopped_by_time,
        },
        "golden": golden,
        "training_time": round(time.monotonic() - start, 3),
    }
    progress("trained", 1.0)
    return result, blob


def searched(plan: Plan, table: Table, threads: int, progress: Progress) -> tuple[Prepared, Outcome]:
    """The data, and the algorithm and parameters that a search finds for it within 0.7 of the time budget."""
    start = time.monotonic()

    def suited(rows: int) -> tuple[Estimator, ...]:
        return registry.candidates(plan.task, rows, plan.model_list, plan.exclude_model_list)

    prepared = prepare(plan, table, threads, suited)
    candidates = suited(len(prepared.target.y))
    deadline = None if plan.time_budget is None else start + _SEARCH_SHARE * plan.time_budget
    search = Search(prepared.data, candidates, deadline, lambda text, f: progress(text, round(0.02 + 0.78 * f, 4)))
    return prepared, search.run()


def _importance(prepared: Prepared, best: Trial) -> dict[str, float]:
    """By the searched model, on rows that it was not fitted on."""
    data, layout = prepared.data, best.estimator.layout
    stride = max(1, len(best.held) // _IMPORTANCE_ROWS)
    rows = best.held[::stride]
    truth = data.y[rows]

    def score(x: Floats) -> float:
        try:
            return metrics.score(data.metric, data.problem.task, truth, best.fitted.predict(x))
        except MetricUndefined:
            return 0.0

    spans = prepared.encoders[layout].spans
    return explain.permutation_importance(score, data.x[layout][rows], spans, data.problem.seed)


def _describe(prepared: Prepared, outcome: Outcome, table: Table) -> dict[str, Any]:
    best, target = outcome.best, prepared.target
    return {
        "algorithm_name": best.estimator.name,
        "hyperparameters": dict(best.params),
        "training_score": best.score,
        "n_rows": len(table),
        "n_columns": len(table.columns) - 1,
        "n_selected_rows": len(target.y),
        "n_selected_columns": len(prepared.table.columns),
        "selected_column_names": [c.name for c in prepared.table.columns],
        "dropped_columns": prepared.dropped,
        "classes": None if target.classes is None else list(target.classes),
        "model_quality": _quality(prepared, best),
        "library_versions": {name: version(name) for name in LIBRARIES},
    }


def _quality(prepared: Prepared, best: Trial) -> str:
    """Low when the model does no better on held rows than an answer without looking."""
    data = prepared.data
    truth = data.y[best.held]
    if data.stratified:
        shares = np.bincount(data.y.astype(np.int64)) / len(data.y)
        blind = np.tile(shares, (len(truth), 1))
    else:
        blind = np.full(len(truth), data.y.mean())
    metric = metrics.DEFAULT[data.problem.task]
    own = best.fitted.predict(data.x[best.estimator.layout][best.held])
    task = data.problem.task
    gain = metrics.score(metric, task, truth, own) - metrics.score(metric, task, truth, blind)
    return "high" if gain > 0 else "low"
