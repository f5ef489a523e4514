"""What changed between two versions of a table, row by row of the same primary key. Touches no database."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

KIND = "_change_type"


def changes(old: pa.Table, new: pa.Table, key: list[str]) -> pa.Table:
    """Rows of ``new``'s columns and _change_type: delete, insert, update_preimage, update_postimage.

    Columns that only one of them has count as NULL in the other. pa.ArrowException if a column changed its type
    so that old values do not fit.
    """
    old = _like(old, new.schema)
    kept_old, kept_new = _matched(old, new, key)
    differs = _differs(old.take(kept_old), new.take(kept_new), [n for n in new.column_names if n not in key])
    before, after = (index.filter(differs) for index in (kept_old, kept_new))
    parts = {
        "delete": old.take(_others(kept_old, old.num_rows)),
        "insert": new.take(_others(kept_new, new.num_rows)),
        "update_preimage": old.take(before),
        "update_postimage": new.take(after),
    }
    tables = [part.append_column(KIND, pa.array([kind] * part.num_rows, pa.string())) for kind, part in parts.items()]
    return pa.concat_tables(tables)


def _like(table: pa.Table, schema: pa.Schema) -> pa.Table:
    columns = [
        table[f.name].cast(f.type) if f.name in table.column_names else pa.nulls(table.num_rows, f.type) for f in schema
    ]
    return pa.table(columns, schema=schema)


def _matched(old: pa.Table, new: pa.Table, key: list[str]) -> tuple[pa.ChunkedArray, pa.ChunkedArray]:
    """Row numbers in old and in new of the rows that both have."""
    numbered = [
        table.select(key).append_column(name, pa.array(range(table.num_rows), pa.int64()))
        for table, name in ((old, "old row"), (new, "new row"))
    ]
    pairs = numbered[0].join(numbered[1], keys=key, join_type="inner")
    return pairs["old row"], pairs["new row"]


def _others(rows: pa.ChunkedArray, count: int) -> pa.Array:
    """The row numbers that are not among these."""
    everything = pa.array(range(count), pa.int64())
    return everything.filter(pc.invert(pc.is_in(everything, value_set=rows.combine_chunks())))


def _differs(left: pa.Table, right: pa.Table, names: list[str]) -> pa.Array:
    """For each pair of rows, whether a column differs."""
    found = pa.array([False] * left.num_rows, pa.bool_())
    for name in names:
        found = pc.or_(found, pc.invert(_same(left[name].combine_chunks(), right[name].combine_chunks())))
    return found


def _same(left: Any, right: Any) -> Any:
    """Equal, both NULL, or both not a number."""
    if pa.types.is_nested(left.type):
        return pa.array([a == b for a, b in zip(left.to_pylist(), right.to_pylist(), strict=True)], pa.bool_())
    same = pc.fill_null(pc.equal(left, right), False)
    if pa.types.is_floating(left.type):
        same = pc.or_(same, pc.fill_null(pc.and_(pc.is_nan(left), pc.is_nan(right)), False))
    return pc.or_(same, pc.and_(pc.is_null(left), pc.is_null(right)))
