"""From a table and a plan to the arrays that algorithms learn from."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlshare import columns, metrics
from mlshare.build.plan import Plan
from mlshare.encoding import Encoder, Layout
from mlshare.errors import ColumnNotFound, TooFewRows, TrainingDataError
from mlshare.estimators.base import Estimator, Problem
from mlshare.search import Data
from mlshare.table import Column, Table

Floats = NDArray[np.float64]

_ORDINARY = columns.Least()


@dataclass(frozen=True)
class Prepared:
    """The training data after the column rules."""

    table: Table
    target: columns.Target
    dropped: dict[str, str]
    encoders: Mapping[Layout, Encoder]
    data: Data


def prepare(
    plan: Plan,
    table: Table,
    threads: int,
    suited: Callable[[int], tuple[Estimator, ...]],
    least: columns.Least = _ORDINARY,
) -> Prepared:
    """The rows that can be learned from, encoded for every algorithm that is ``suited`` to their number.

    Raises TrainingDataError and its kin, ColumnNotFound, InvalidMetric.
    """
    table, weights = _weighted(plan, table)
    features, raw_target, weights = columns.split_target(table, plan.target, weights)
    features = Table(tuple(c for c in features.columns if c.name not in plan.exclude))
    target = columns.learnable(raw_target, plan.task, least)
    features, dropped = columns.select(features, plan.include)
    if plan.missing == "delete_row":
        features, raw_target, weights = _complete(features, raw_target, weights)
        target = columns.learnable(raw_target, plan.task, least)
    n_classes = len(target.classes or ())
    metric = plan.metric or metrics.DEFAULT[plan.task]
    metrics.check(metric, plan.task, n_classes if target.classes else None)
    problem = Problem(plan.task, n_classes, plan.random_state, threads, plan.scaled)
    encoders = {layout: Encoder.fit(features, layout) for layout in sorted({e.layout for e in suited(len(target.y))})}
    matrices = {layout: encoder.encode(features) for layout, encoder in encoders.items()}
    weights = _balanced(target, weights) if plan.balanced and target.classes else weights
    return Prepared(features, target, dropped, encoders, Data(problem, metric, matrices, target.y, weights))


def _weighted(plan: Plan, table: Table) -> tuple[Table, Floats | None]:
    """The table without its column of weights, of the rows that have one above 0, and these weights."""
    if plan.weights is None:
        return table, None
    found = [c for c in table.columns if c.name == plan.weights]
    if not found:
        raise ColumnNotFound(column=plan.weights, table="the training data")
    weights = found[0].values
    if weights is None or found[0].kind != "numeric":
        raise TrainingDataError(reason=f'the row weights in column "{plan.weights}" are not numbers')
    if (weights < 0).any() or np.isinf(weights).any():
        raise TrainingDataError(reason=f'column "{plan.weights}" holds a row weight below 0 or infinity')
    rows = np.flatnonzero(weights > 0)
    others = Table(tuple(c for c in table.columns if c is not found[0]))
    return columns.rows_of(others, rows), weights[rows]


def _complete(table: Table, target: Column, weights: Floats | None) -> tuple[Table, Column, Floats | None]:
    """Only the rows without any NULL."""
    rows = np.flatnonzero(~np.any([columns.is_null(c) for c in table.columns], axis=0))
    if not len(rows):
        raise TooFewRows(reason="every row has a NULL in one of the columns")
    if len(rows) == len(table):
        return table, target, weights
    return columns.rows_of(table, rows), target.rows(rows), None if weights is None else weights[rows]


def _balanced(target: columns.Target, weights: Floats | None) -> Floats:
    """Weights that make the classes weigh the same, and all rows together as much as there are."""
    own = np.ones(len(target.y)) if weights is None else weights
    positions = target.y.astype(np.int64)
    totals = np.bincount(positions, weights=own)
    return np.asarray(own * (own.sum() / (len(totals) * totals))[positions])
