"""Training: a table in, a model file and its description out."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib.metadata import version
from typing import Any

import numpy as np
import onnxruntime
from numpy.typing import NDArray
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare import columns, explain, metrics, sampling
from mlshare.convert import graph
from mlshare.encoding import Encoder, Layout
from mlshare.errors import MetricUndefined, TrainingFailed
from mlshare.estimators import registry
from mlshare.estimators.base import Estimator, Fitted, Problem
from mlshare.search import Data, Outcome, Search, Trial
from mlshare.table import Column, Table

Floats = NDArray[np.float64]
Progress = Callable[[str, float], None]

LIBRARIES = ("numpy", "scikit-learn", "lightgbm", "xgboost-cpu", "onnx", "onnxruntime", "optuna")
_CHECK_ROWS = 2_000
_IMPORTANCE_ROWS = 2_000
_GOLDEN_ROWS = 16
_SEARCH_SHARE = 0.7  # of a time budget; the rest is for the final fit


@dataclass(frozen=True)
class Prepared:
    """The training data after the column rules."""

    table: Table
    target: columns.Target
    dropped: dict[str, str]
    encoders: Mapping[Layout, Encoder]
    data: Data


def train(request: Mapping[str, Any], table: Table, progress: Progress) -> tuple[dict[str, Any], bytes]:
    """Choose, tune and fit an algorithm; returns the description (JSON) and the ONNX file.

    ``request``: target, task, options (validated names and types), threads. The same seed and data give
    the same bytes unless time_budget cuts the search. Raises TrainingDataError,
    TrainingFailed, InvalidMetric.
    """
    # One thread for linear algebra: trials run side by side, and sums do not depend on the machine.
    with threadpool_limits(1, user_api="blas"):
        return _train(request, table, progress)


def _train(request: Mapping[str, Any], table: Table, progress: Progress) -> tuple[dict[str, Any], bytes]:
    start = time.monotonic()
    options = request.get("options") or {}
    progress("preparing the columns", 0.0)
    prepared = _prepare(request, options, table)
    budget = options.get("time_budget")
    outcome = _search(prepared, options, None if budget is None else start + _SEARCH_SHARE * budget, progress)
    best = outcome.best
    progress("measuring what each column contributes", 0.82)
    importance = _importance(prepared, best)
    progress(f"fitting {best.estimator.name} on all {len(prepared.target.y)} rows", 0.85)
    fitted = prepared.data.fit(best.estimator, best.params, np.arange(len(prepared.target.y)))
    progress("converting and checking the model", 0.95)
    golden, blob = _checked(prepared, best, fitted)
    result = {
        **_describe(prepared, outcome, table),
        "optimization_metric": prepared.data.metric,
        "model_explanation": {"permutation_importance": importance},
        "training_params": {
            "random_state": prepared.data.problem.seed,
            "time_budget": budget,
            "trials": outcome.trials,
            "stopped_by_time": outcome.stopped_by_time,
        },
        "golden": golden,
        "training_time": round(time.monotonic() - start, 3),
    }
    progress("trained", 1.0)
    return result, blob


def _prepare(request: Mapping[str, Any], options: Mapping[str, Any], table: Table) -> Prepared:
    task = request["task"]
    features, raw_target = columns.split_target(table, request["target"])
    target = columns.learnable(raw_target, task)
    included, excluded = options.get("include_column_list") or [], options.get("exclude_column_list") or []
    features = Table(tuple(c for c in features.columns if c.name not in excluded))
    features, dropped = columns.select(features, included)
    n_classes = len(target.classes or ())
    metric = options.get("optimization_metric") or metrics.DEFAULT[task]
    metrics.check(metric, task, n_classes if task == "classification" else None)
    seed, threads = int(options.get("random_state") or 0), int(request.get("threads") or 1)
    problem = Problem(task, n_classes, seed, threads)
    layouts = {e.layout for e in _candidates(task, len(features), options)}
    encoders = {layout: Encoder.fit(features, layout) for layout in sorted(layouts)}
    matrices = {layout: encoder.encode(features) for layout, encoder in encoders.items()}
    return Prepared(features, target, dropped, encoders, Data(problem, metric, matrices, target.y))


def _candidates(task: str, rows: int, options: Mapping[str, Any]) -> tuple[Estimator, ...]:
    return registry.candidates(task, rows, options.get("model_list"), options.get("exclude_model_list"))


def _search(prepared: Prepared, options: Mapping[str, Any], deadline: float | None, progress: Progress) -> Outcome:
    candidates = _candidates(prepared.data.problem.task, len(prepared.target.y), options)
    return Search(prepared.data, candidates, deadline, lambda text, f: progress(text, round(0.02 + 0.78 * f, 4))).run()


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


def _checked(prepared: Prepared, best: Trial, fitted: Fitted) -> tuple[dict[str, Any], bytes]:
    """The golden sample and the model file, once the graph answers as the estimator does."""
    data, layout = prepared.data, best.estimator.layout
    rows = sampling.sample(data.y, _CHECK_ROWS, data.problem.seed + 1, data.stratified, least=2)
    x = data.x[layout][rows]
    blob = graph.write(fitted.to_onnx(), _manifest(prepared, best))
    answers = run(blob, x)
    _compare(prepared, fitted, fitted.predict(x), answers)
    some = np.unique(np.linspace(0, len(rows) - 1, _GOLDEN_ROWS).astype(np.int64))
    key = "probabilities" if data.stratified else "values"
    golden = {"rows": [raw_row(prepared.table, int(rows[i])) for i in some], key: answers[some].tolist()}
    return golden, blob


def run(blob: bytes, x: Floats) -> Floats:
    """Answers of a model file: [n, C] probabilities or [n] values."""
    session = onnxruntime.InferenceSession(blob, providers=["CPUExecutionProvider"])
    (answers,) = session.run(None, {"features": x})
    out = np.asarray(answers, dtype=np.float64)
    return out if session.get_outputs()[0].name == "probabilities" else out[:, 0]


def _compare(prepared: Prepared, fitted: Fitted, expected: Floats, answers: Floats) -> None:
    if prepared.target.classes is None:
        unit = float(np.std(prepared.target.y)) or 1.0
        # Values far from zero for their spread cannot be closer than float64 allows.
        unit = max(unit, 1e-9 * float(np.abs(prepared.target.y).max()))
    else:
        unit = 1.0
        top = np.sort(expected, axis=1)
        clear = top[:, -1] - top[:, -2] > 2 * fitted.tolerance
        if (expected.argmax(axis=1) != answers.argmax(axis=1))[clear].any():
            raise TrainingFailed(reason="the converted model gives other labels than the fitted one")
    distance = float(np.abs(expected - answers).max()) / unit
    if not distance <= fitted.tolerance:
        raise TrainingFailed(reason=f"the converted model differs from the fitted one by {distance:.3g}")


def _manifest(prepared: Prepared, best: Trial) -> dict[str, Any]:
    target = prepared.target
    return {
        "version": 1,
        "kind": "encoded",
        "task": prepared.data.problem.task,
        "target": target.name,
        "target_kind": target.kind,
        "classes": None if target.classes is None else list(target.classes),
        "algorithm": best.estimator.name,
        "encoder": prepared.encoders[best.estimator.layout].to_json(),
    }


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


def raw_row(table: Table, row: int) -> dict[str, Any]:
    """One row as JSON values, as encode_row takes them."""
    return {c.name: _raw(c, row) for c in table.columns}


def _raw(column: Column, row: int) -> Any:
    if column.values is None:
        assert column.codes is not None
        code = int(column.codes[row])
        return None if code < 0 else column.dictionary[code]
    value = float(column.values[row])
    if np.isnan(value):
        return None
    if column.kind == "boolean":
        return bool(value)
    if column.kind == "numeric":
        return value
    return _iso(value, column.kind)


def _iso(seconds: float, kind: str) -> str:
    if kind == "date":
        return str(np.datetime64(round(seconds / 86400), "D"))
    return str(np.datetime64(round(seconds * 1e6), "us"))
