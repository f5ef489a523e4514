"""One sub-model: chosen once for all partitions, fitted on the rows of one."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare import fit as training
from mlshare import metrics, modelfile, sampling
from mlshare.build import details
from mlshare.build.plan import Plan
from mlshare.columns import Least
from mlshare.encoding import Encoder
from mlshare.errors import MetricUndefined
from mlshare.estimators import registry
from mlshare.estimators.base import Estimator, Fitted
from mlshare.features import Category
from mlshare.prepare import Prepared, prepare
from mlshare.sampling import Rows
from mlshare.search import Data
from mlshare.table import Table

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

_CHECK_ROWS = 256
_GOLDEN_ROWS = 3
_SCORE_ROWS = 10_000
# A model for itself asks for more rows, as its parameters are searched on parts of them.
_LEAST = Least(rows=2, of_class=1)


def choose(table: Table, plan: Plan, threads: int, progress: Progress) -> Plan:
    """The plan with its algorithm and parameters: where none is named, by a search on all rows of the table.

    Raises TrainingDataError and its kin, InvalidMetric, InvalidOptionValue.
    """
    if plan.algorithm is not None:
        estimator = registry.find(plan.algorithm, plan.task)
        return replace(plan, params=dict(plan.params or estimator.first))
    with threadpool_limits(1, user_api="blas"):
        _, outcome = training.searched(plan, table, threads, progress)
    return replace(plan, algorithm=outcome.best.estimator.name, params=dict(outcome.best.params))


def fit(table: Table, plan: Plan, threads: int = 1) -> tuple[dict[str, Any], bytes]:
    """The description (JSON) and the model file of a plan, as ``choose`` returns it, on the rows of one partition.

    The caller limits linear algebra to one thread (threadpool_limits): doing it here would take longer than a fit.
    Raises TrainingDataError and its kin, TrainingFailed, InvalidMetric.
    """
    estimator = registry.find(plan.algorithm or "", plan.task)
    prepared = prepare(plan, table, threads, lambda rows: (estimator,), _LEAST)
    fitted = prepared.data.fit(estimator, plan.params or estimator.first)
    rows, answers = _answers(prepared, estimator, fitted)
    some = np.linspace(0, len(rows) - 1, _CHECK_ROWS).astype(np.int64)
    golden, blob = modelfile.checked(prepared, estimator, fitted, rows[some], _GOLDEN_ROWS, answers[some])
    encoder, target = prepared.encoders[estimator.layout], prepared.target
    return {
        "algorithm_name": estimator.name,
        "n_rows": len(target.y),
        "score": _score(prepared.data, rows, answers),
        "metric": prepared.data.metric,
        "classes": None if target.classes is None else list(target.classes),
        "inputs": [list(i) for i in encoder.inputs],
        "categories": _categories(encoder),
        "dropped_columns": prepared.dropped,
        "details": details.describe(prepared, estimator, fitted, plan, answers) if plan.details else {},
        "golden": golden,
    }, blob


def _answers(prepared: Prepared, estimator: Estimator, fitted: Fitted) -> tuple[Rows, Floats]:
    """The estimator's answers for all rows, or for a sample where there are many; and which rows these are."""
    data, x = prepared.data, prepared.data.x[estimator.layout]
    rows = sampling.sample(data.y, _SCORE_ROWS, data.problem.seed + 1, data.stratified)
    return rows, fitted.predict(x if len(rows) == len(x) else x[rows])


def _score(data: Data, rows: Rows, answers: Floats) -> float | None:
    """The metric on rows of the fit; None where it has no value."""
    try:
        score = metrics.score(data.metric, data.problem.task, data.y[rows], answers)
    except MetricUndefined:
        return None
    return score if np.isfinite(score) else None


def _categories(encoder: Encoder) -> dict[str, list[str]]:
    """The strings that the model knows of each of its columns; a text column knows any."""
    return {f.name: list(f.categories) for f in encoder.features if isinstance(f, Category)}
