"""The groups of rows that get a sub-model each."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np

from mlshare.table import Column, Table


@dataclass(frozen=True)
class Group:
    """Rows ``start`` … ``start + rows - 1`` of the table; ``name`` is for messages."""

    id: int
    name: str
    start: int
    rows: int


def requested(request: Mapping[str, Any], table: Table) -> list[Group]:
    """The groups of a request, and after them the fallback, which is all rows."""
    names = {str(number): name for number, name in (request.get("names") or {}).items()}
    wanted = [tuple(map(int, group)) for group in request["groups"]]
    if request.get("fallback") is not None:
        wanted.append((int(request["fallback"]), 0, len(table)))
    return [Group(number, names.get(str(number), str(number)), start, rows) for number, start, rows in wanted]


def cut(table: Table, group: Group) -> Table:
    """The rows of a group: views of the numbers, and the strings that occur there."""
    rows = table.rows(slice(group.start, group.start + group.rows))
    return Table(tuple(map(_without_others, rows.columns)))


def _without_others(column: Column) -> Column:
    """A column whose dictionary has no strings but its own."""
    codes = column.codes
    if codes is None:
        return column
    used = np.unique(codes)
    used = used[used >= 0]
    if len(used) == len(column.dictionary):
        return column
    own = np.where(codes < 0, -1, np.searchsorted(used, codes)).astype(np.int32)
    return replace(column, codes=own, dictionary=tuple(column.dictionary[i] for i in used.tolist()))
