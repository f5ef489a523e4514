"""What an encoder learns from training data."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from mlshare import text
from mlshare.errors import TrainingDataError
from mlshare.features import Category, Feature, Moment, Numeric, Text
from mlshare.table import Column, Table

_ONEHOT_MOST = 255  # categories of one column; rarer ones count as unknown
_ORDINAL_MOST = 5_000
_WORDS_MOST = 300


def learn(table: Table, layout: str, target: NDArray[np.float64] | None, cells: int) -> tuple[Feature, ...]:
    """A feature for each column of ``table``; see Encoder.fit."""
    budget = cells // max(1, len(table) * max(1, len(table.columns)))
    return tuple(_feature(c, layout, target, max(4, budget)) for c in table.columns)


def _feature(column: Column, layout: str, target: NDArray[np.float64] | None, budget: int) -> Feature:
    if column.kind == "category":
        return _category(column, layout, target, budget)
    if column.kind == "text":
        counts = counts_of(column)
        used = [(t, int(n)) for t, n in zip(column.dictionary, counts, strict=True) if n]
        words = text.vocabulary([t for t, _ in used], [n for _, n in used], min(_WORDS_MOST, budget))
        return Text(column.name, *words)
    return _number(column)


def _number(column: Column) -> Feature:
    assert column.values is not None
    # Halving first keeps the sum of huge values finite.
    mean = float(np.mean(column.values / 2.0) * 2.0) if len(column) else 0.0
    flag = not np.isfinite(mean)
    if flag:
        mean = _mean_of_known(column)
    if column.kind == "boolean":
        return Numeric(column.name, column.kind, float(mean > 0.5), flag)
    if column.kind == "numeric":
        return Numeric(column.name, column.kind, mean, flag)
    return Moment(column.name, column.kind, float(np.floor(mean)), flag)


def _mean_of_known(column: Column) -> float:
    """The mean of a column with NULLs; 0 if there is nothing else."""
    assert column.values is not None
    if np.isinf(column.values).any():
        raise TrainingDataError(
            reason=f'column "{column.name}" holds infinity',
            hint="Replace infinite values by NULL or leave the column out with exclude_column_list.",
        )
    known = column.values[~np.isnan(column.values)]
    return float(np.mean(known / 2.0) * 2.0) if len(known) else 0.0


def counts_of(column: Column) -> NDArray[np.int64]:
    """How many rows hold each string of the dictionary."""
    assert column.codes is not None
    return np.bincount(column.codes[column.codes >= 0], minlength=len(column.dictionary)).astype(np.int64)


def _category(column: Column, layout: str, target: NDArray[np.float64] | None, budget: int) -> Category:
    counts = counts_of(column)
    most = min(_ONEHOT_MOST, budget) if layout == "onehot" else _ORDINAL_MOST
    frequent = sorted(np.flatnonzero(counts), key=lambda i: (-counts[i], column.dictionary[i]))
    kept = frequent[:most]
    impute = column.dictionary[kept[0]] if kept else ""
    if layout == "ordinal":
        kept = _ordered(column, kept, counts, target)
    flag = bool(np.any(np.asarray(column.codes) < 0))
    names = tuple(column.dictionary[i] for i in kept)
    return Category(column.name, names, impute, layout == "onehot", flag)


def _ordered(
    column: Column, kept: list[np.int64], counts: NDArray[np.int64], target: NDArray[np.float64] | None
) -> list[np.int64]:
    """Rarest first, or by the mean of the target, drawn to the overall mean where rows are few."""
    if target is None:
        return kept[::-1]
    assert column.codes is not None
    known = column.codes >= 0
    sums = np.bincount(column.codes[known], weights=target[known], minlength=len(counts))
    means = (sums + 10.0 * target.mean()) / (counts + 10.0)
    return sorted(kept, key=lambda i: (means[i], column.dictionary[i]))
