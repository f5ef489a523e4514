"""Which columns a model is trained on, and what its target is."""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare.encoding_fit import counts_of
from mlshare.errors import ColumnNotFound, InvalidTarget, NoUsableColumns, TooFewRows
from mlshare.table import Column, Kind, Table
from mlshare.text import is_prose

MAX_CLASSES = 200
_EXACT = 2.0**53  # up to here float64 has every integer
_MOST_MISSING = 0.2

Weights = NDArray[np.float64] | None


@dataclass(frozen=True)
class Least:
    """How many rows there must be with a target, and of each class."""

    rows: int = 10
    of_class: int = 5


@dataclass(frozen=True)
class Target:
    """What is learned: ``y`` [n] class positions or values; ``classes`` JSON values, sorted."""

    name: str
    kind: Kind
    y: NDArray[np.float64]
    classes: tuple[Any, ...] | None


def is_null(column: Column) -> NDArray[np.bool_]:
    """Where a column is NULL."""
    if column.values is None:
        assert column.codes is not None
        return np.asarray(column.codes < 0)
    return np.isnan(column.values)


def rows_of(table: Table, rows: NDArray[np.int64]) -> Table:
    """Some rows of a table, without a copy if they are all."""
    return table if len(rows) == len(table) else table.rows(rows)


def split_target(table: Table, name: str, weights: Weights) -> tuple[Table, Column, Weights]:
    """The feature columns, the target column and the row weights, of the rows where the target is not NULL."""
    found = [c for c in table.columns if c.name == name]
    if not found:
        raise ColumnNotFound(column=name, table="the training data")
    rows = np.flatnonzero(~is_null(found[0]))
    others = Table(tuple(c for c in table.columns if c.name != name))
    if len(rows) == len(table):
        return others, found[0], weights
    return rows_of(others, rows), found[0].rows(rows), None if weights is None else weights[rows]


def learnable(column: Column, task: str, least: Least) -> Target:
    """The target as numbers; raises InvalidTarget, TooFewRows."""
    if len(column) < least.rows:
        raise TooFewRows(reason=f"{len(column)} rows have a target, at least {least.rows} are needed")
    return _classes(column, least.of_class) if task == "classification" else _values(column)


def _values(column: Column) -> Target:
    if column.values is None or column.kind != "numeric":
        raise InvalidTarget(column=column.name, reason=f"regression needs numbers, not a {column.kind}")
    if np.isinf(column.values).any() or np.abs(column.values).max() > 1e150:
        raise InvalidTarget(column=column.name, reason="it holds infinity or numbers above 1e150")
    return Target(column.name, "numeric", column.values, None)


def _classes(column: Column, least_rows: int) -> Target:
    if column.kind in ("date", "timestamp"):
        raise InvalidTarget(column=column.name, reason=f"a {column.kind} cannot be a class")
    data: NDArray[Any] = np.asarray(column.codes if column.values is None else column.values)
    present, y, counts = np.unique(data, return_inverse=True, return_counts=True)
    if len(present) > MAX_CLASSES:
        raise InvalidTarget(
            column=column.name,
            reason=f"it has {len(present)} distinct values, at most {MAX_CLASSES} are possible",
            hint="Use task regression for a continuous number." if column.values is not None else None,
        )
    if column.kind == "numeric" and np.abs(present).max() >= _EXACT:
        raise InvalidTarget(
            column=column.name,
            reason="it holds numbers of 2^53 or more, which would become others as classes",
            hint="Cast it to text in a view.",
        )
    labels = [_label(column, value) for value in present.tolist()]
    if len(labels) < 2:
        raise InvalidTarget(column=column.name, reason="it has fewer than two distinct values")
    rare = [label for label, n in zip(labels, counts, strict=True) if n < least_rows]
    if rare:
        raise TooFewRows(reason=f'class {rare[0]!r} of column "{column.name}" has fewer than {least_rows} rows')
    order = sorted(range(len(labels)), key=lambda i: labels[i])
    place = np.empty(len(order), dtype=np.float64)
    place[order] = np.arange(len(order))
    kind: Kind = "category" if column.values is None else column.kind
    return Target(column.name, kind, place[y], tuple(labels[i] for i in order))


def _label(column: Column, value: Any) -> Any:
    if column.values is None:
        return column.dictionary[value]
    if column.kind == "boolean":
        return bool(value)
    return int(value) if value == int(value) else value


def select(table: Table, forced: Collection[str]) -> tuple[Table, dict[str, str]]:
    """The columns to train on, and why each of the others is dropped; ``forced`` ones stay."""
    kept: list[Column] = []
    dropped: dict[str, str] = {}
    for column in table.columns:
        own = _as_text(column)
        reason = None if column.name in forced else _useless(own)
        if reason is None:
            kept.append(own)
        else:
            dropped[column.name] = reason
    if not kept:
        raise NoUsableColumns(detail="; ".join(f"{name}: {why}" for name, why in dropped.items()))
    return Table(tuple(kept)), dropped


def _as_text(column: Column) -> Column:
    """Strings that look like sentences are free text, whatever their type is called."""
    if column.kind == "category" and is_prose(column.dictionary, len(column)):
        return replace(column, kind="text")
    return column


def _useless(column: Column) -> str | None:
    if column.values is not None:
        low, high = column.values.min(), column.values.max()
        if low == low:  # no NaN, no NULL
            return "constant" if low == high else None
    missing = float(is_null(column).mean())
    if missing == 1.0:
        return "all values are missing"
    if missing > _MOST_MISSING:
        return f"{100 * missing:.0f} % of the values are missing"
    if column.values is not None:
        known = column.values[~np.isnan(column.values)]
        return "constant" if known.min() == known.max() else None
    distinct = int((counts_of(column) > 0).sum())
    if distinct == 1:
        return "constant"
    if column.kind == "category" and distinct == len(column) - int(is_null(column).sum()):
        return "every value is different"
    return None
