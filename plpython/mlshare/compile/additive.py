"""Additive scores (linear models, naive Bayes) as SQL: what each column adds is looked up or multiplied."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np

from mlshare.compile import sql
from mlshare.compile.columns import Column
from mlshare.compile.graph import Additive

# NaN counts as NULL, and of an infinite value there is no answer. A careful score sees to that; a quick one is then
# not finite, or NULL; a guarded one is never given such values.
Care = Literal["careful", "quick", "guarded"]

_NEAR = 1e5  # so many times its scale a column's centre may be from 0 to be taken out of its term
_NAN, _INFINITY = float("nan"), float("inf")


def contribution(scores: Additive, start: int, values: Sequence[float], k: int) -> float:
    """What these values of the matrix columns from ``start`` on add to score k."""
    at = slice(start, start + len(values))
    z = (np.asarray(values) - scores.center[at]) / scores.scale[at]
    return float(scores.square[at, k] @ z**2 + scores.linear[at, k] @ z)


def score(scores: Additive, columns: Sequence[Column], k: int, care: Care) -> str:
    """A float8 expression of score k."""
    terms = [term for c in columns for term in _terms(scores, c, k, care)]
    base = float(scores.bias[k]) + sum(_shift(scores, c, k) for c in columns)
    return sql.chain("+", [sql.number(base), *terms])


def _shift(scores: Additive, column: Column, k: int) -> float:
    """What the terms of a column leave out, whatever its value is: slope * x is cheaper than slope * (x - center)."""
    measured = range(column.start, column.start + len(column.measures()))
    return float(sum(-_slope(scores, j, k) * scores.center[j] for j in measured if _shifts(scores, j, k)))


def _shifts(scores: Additive, j: int, k: int) -> bool:
    # Far from 0, subtracting first keeps digits that multiplying first would lose.
    return not scores.square[j, k] and abs(scores.center[j]) <= _NEAR * abs(scores.scale[j])


def _slope(scores: Additive, j: int, k: int) -> float:
    return float(scores.linear[j, k] / scores.scale[j])


def _terms(scores: Additive, column: Column, k: int, care: Care) -> list[str]:
    if column.measures():
        return [_measured(scores, column, k, care)]
    amounts = {name: contribution(scores, column.start, values, k) for name, values in column.cases().items()}
    return [column.choose({name: sql.number(a) for name, a in amounts.items()}, None)]


def _measured(scores: Additive, column: Column, k: int, care: Care) -> str:
    given = [_polynomial(scores, column.start + i, e, k) for i, e in enumerate(column.measures())]
    parts = [p for p in given if p is not None] or [sql.operation(sql.number(0), "*", column.measures()[0])]
    fixed = _fixed(scores, column, k)
    if fixed:
        parts.append(sql.number(fixed))
    shift = _shift(scores, column, k)
    missing = sql.number(contribution(scores, column.start, column.missing(), k) - shift)
    found = sql.chain("+", parts) if len(parts) > 1 else parts[0]
    known = f"COALESCE({found}, {missing})"
    argument = column.argument
    bad = argument.is_infinite
    if bad is None or care == "guarded" or (care == "quick" and argument.may_be_nan):
        return known
    return sql.case([(argument.is_missing, missing), (bad, sql.NULL_FLOAT)], found)


def _fixed(scores: Additive, column: Column, k: int) -> float:
    """What the matrix columns that are not measures, the flag, add to a value that is not NULL."""
    measured = len(column.measures())
    return contribution(scores, column.start + measured, [0.0] * (column.width - measured), k)


def _polynomial(scores: Additive, j: int, value: str, k: int) -> str | None:
    """square * z² + linear * z of one matrix column; without the shift if it is linear. None if it is always 0."""
    square, linear = float(scores.square[j, k]), float(scores.linear[j, k])
    if _shifts(scores, j, k):
        return sql.operation(sql.number(_slope(scores, j, k)), "*", value) if linear else None
    z = value
    if scores.center[j]:
        z = sql.operation(z, "-", sql.number(scores.center[j]))
    if scores.scale[j] != 1.0:
        z = sql.operation(z, "/", sql.number(scores.scale[j]))
    if not square:
        return sql.operation(sql.number(linear), "*", z) if linear else None
    slope = sql.operation(sql.number(square), "*", z)
    return sql.operation(sql.operation(slope, "+", sql.number(linear)), "*", z)


def finite(value: str) -> str:
    """The value, or NULL if it is not finite; for bodies that are bound to pg_catalog when they are made."""
    for bad in (_NAN, _INFINITY, -_INFINITY):
        value = f"NULLIF({value}, {sql.number(bad)})"
    return value


def needs_care(columns: Sequence[Column]) -> bool:
    """Whether a value can be given that arithmetic alone does not treat as the model does."""
    return any(c.argument.may_be_nan for c in columns if c.measures())
