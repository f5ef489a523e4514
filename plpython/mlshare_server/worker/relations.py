"""What a table of a share looks like now: its columns, its parts, and whether they have changed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass, field
from functools import cache
from typing import Any

from mlshare_server.errors import UnsharableRelation
from mlshare_server.worker.sessions import Snapshot
from mlshare_server.worker.types import Column, Mapper, quote

# Heap pages that one session reads at a time: a quarter of a gigabyte, or less of a smaller table.
PAGES = (2048, 32768)


@dataclass(frozen=True)
class Part:
    """A table, or a leaf of a partitioned one: what is exported, and reused, as one."""

    name: str
    relation: str
    num_rows: int
    # Of a heap whose every row the owner sees.
    filenode: int | None
    oid: int


@dataclass(frozen=True)
class Table:
    """A table of a share, described."""

    share: Any
    columns: list[Column]
    parts: list[Part]
    primary_key: list[str] | None
    comment: str | None
    definition: str = field(repr=False)
    # NON_FINITE: whether values that clients cannot read are an ERROR or NULL.
    non_finite: str = "NULL"

    @property
    def name(self) -> str:
        return f"{self.share.table_owner}.{self.share.table_name}"

    def query(self, part: Part, condition: str = "") -> str:
        """The query that reads a part, or some of it."""
        wanted = ", ".join(expression for column in self.columns for expression in column.selected)
        conditions = [f"({text}\n)" for text in (self.share.where_clause, condition) if text]
        where = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return f"SELECT {wanted} FROM {part.relation}{where}"

    def schema(self) -> dict[str, Any]:
        """The schema as clients see it."""
        return {"type": "struct", "fields": [column.delta_field() for column in self.columns]}


def describe(snapshot: Snapshot, share: Any, *, numeric: str, non_finite: str) -> Table:
    """A table of a share as the snapshot has it."""
    row = snapshot.row("relation", schema_name=share.table_owner, table_name=share.table_name)
    shown = f"{share.table_owner}.{share.table_name}"
    if row is None:
        raise UnsharableRelation(table=shown, reason="it does not exist")

    @cache
    def type_of(oid: int) -> Any:
        return snapshot.row("type", oid=oid)

    mapper = Mapper(shown, type_of, lambda oid: snapshot.rows("columns", oid=oid), numeric=numeric)
    attributes = snapshot.rows("columns", oid=row.oid)
    wanted = [a for a in attributes if share.columns is None or a.name in share.columns]
    columns = [mapper.column(attribute) for attribute in wanted]
    check_names(shown, share.columns, columns)
    definition = digest(repr((columns, mapper.seen, share.where_clause, non_finite)))
    parts = list(parts_of(snapshot, row, share))
    key = primary_key(snapshot, row, columns)
    return Table(share, columns, parts, key, row.comment, definition, non_finite)


def check_names(table: str, wanted: list[str] | None, columns: list[Column]) -> None:
    """Clients tell names apart without regard to case, and files need at least one column."""
    names = [column.name for column in columns]
    if missing := set(wanted or ()) - set(names):
        raise UnsharableRelation(table=table, reason=f'column "{min(missing)}" does not exist')
    if not names:
        raise UnsharableRelation(table=table, reason="it has no columns")
    seen: dict[str, str] = {}
    for name in names:
        if (other := seen.setdefault(name.lower(), name)) != name:
            raise UnsharableRelation(table=table, reason=f'columns "{other}" and "{name}" are one to clients')


def primary_key(snapshot: Snapshot, row: Any, columns: list[Column]) -> list[str] | None:
    """The columns of the primary key, if all of them are shared."""
    key = snapshot.row("primary_key", oid=row.oid)
    names = {column.name for column in columns}
    return list(key.columns) if key and names.issuperset(key.columns) else None


def parts_of(snapshot: Snapshot, row: Any, share: Any) -> Iterator[Part]:
    """The leaves of a partitioned table where reading them is reading the table; otherwise the table as one part."""
    if row.kind == "p" and not row.filtered:
        leaves = snapshot.rows("leaves", oid=row.oid)
        # The table's privileges and policies decide. Those of a leaf only matter where it is read by itself.
        if all(leaf.readable and not leaf.filtered and leaf.kind in "rf" for leaf in leaves):
            for leaf in leaves:
                yield part(leaf, leaf.schema_name, leaf.table_name, leaf_name(leaf, share), share)
            return
    yield part(row, share.table_owner, share.table_name, "", share)


def leaf_name(leaf: Any, share: Any) -> str:
    """What a leaf is called among the files of its table."""
    return str(leaf.table_name if leaf.schema_name == share.table_owner else f"{leaf.schema_name}.{leaf.table_name}")


def part(row: Any, schema_name: str, table_name: str, name: str, share: Any) -> Part:
    """A part; only where every row of a heap is shared can it be found unchanged without reading it."""
    heap = row.kind in "rm" and row.method == "heap" and row.readable and not row.filtered
    # A child by INHERITS may be anything, also a foreign table.
    heap = heap and not row.has_children
    relation = f"{quote(schema_name)}.{quote(table_name)}"
    return Part(name, relation, max(row.num_rows, 0), row.filenode if heap else None, row.oid)


FINGERPRINT = """
SELECT count(*) AS n, coalesce(sum(hash_record_extended(ROW(tableoid, ctid, xmin), 0)), 0) AS total FROM {relation}
"""


def fingerprint(snapshot: Snapshot, table: Table, made: Part) -> str | None:
    """Says which version of which row is where: the same text, the same rows. None where that cannot be told."""
    if made.filenode is None or table.share.where_clause:
        return None
    row = snapshot.execute(FINGERPRINT.format(relation=made.relation))
    return digest(f"{table.definition} {made.oid} {made.filenode} {row.n} {row.total}")


def ranges(snapshot: Snapshot, made: Part, sessions: int) -> list[str]:
    """Conditions that cut a part into pieces for several sessions; what is added behind the end is in the last."""
    if made.filenode is None:
        return [""]
    pages = int(snapshot.row("pages", oid=made.oid).pages)
    # As many for one session as for the other: none waits long at the end.
    rounds = max(-(-pages // (sessions * PAGES[1])), 1)
    step = max(-(-pages // (sessions * rounds)), PAGES[0])
    cuts = list(range(step, pages, step))
    lower = [f"ctid >= '({cut},0)'::tid" for cut in cuts]
    upper = [f"ctid < '({cut},0)'::tid" for cut in cuts]
    return [" AND ".join(filter(None, pair)) for pair in zip(["", *lower], [*upper, ""], strict=True)]


def digest(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()
