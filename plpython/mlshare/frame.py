"""Relations and queries as numpy columns, in batches of binary arrays: rows never become Python objects."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare import arrays, db, errors
from mlshare.arrays import Lookup
from mlshare.table import Kind, Table

BLOCKS = 256  # heap blocks of one batch: some 15,000 rows of ordinary width
ROWS = 16_384  # rows of one batch where there are no heap blocks to count by
_LAST_BLOCK = 2**32 - 1
_AS_TEXT = {  # where that is not ::text: as mlshare.keys has them, which read numbers and dates as strings
    # Not by ::text: the owner of an enumeration may have made a cast that calls a function.
    "enum": "CASE WHEN {c} IS NOT NULL THEN concat({c}) END",
    "numeric": "trim_scale({c})::text",
    "date": "(to_jsonb({c}) #>> '{{}}')",
}

_KINDS: dict[str, Kind] = {
    **dict.fromkeys(("int2", "int4", "int8", "float4", "float8", "numeric", "time"), "numeric"),
    "bool": "boolean",
    "date": "date",
    **dict.fromkeys(("timestamp", "timestamptz"), "timestamp"),
    **dict.fromkeys(("text", "varchar", "bpchar", "char", "name", "uuid", "enum"), "category"),
}
_WITH_SPACES = ("text", "varchar", "name", "char", "enum")  # at the end, as their text
_AS_FLOAT = {
    # As it is written, and so as JSON has it: 1.1, not 1.100000023841858.
    "float4": "{c}::text",
    "bool": "{c}::integer",
    "date": "extract(epoch FROM {c})",
    "time": "extract(epoch FROM {c})",
    "timestamp": "extract(epoch FROM {c})",
    "timestamptz": "extract(epoch FROM {c})",
}


@dataclass(frozen=True)
class Attribute:
    """A column of a relation or query: its declared type, and the base type that decides how it is read.

    ``plain`` is the declared type, or what it is based on if that is a domain.
    """

    name: str
    type: str
    plain: str
    base: str

    @property
    def kind(self) -> Kind | None:
        return _KINDS.get(self.base)

    @property
    def quoted(self) -> str:
        return db.quote_ident(self.name)


@dataclass(frozen=True)
class Source:
    """Where rows come from. ``blocks`` is the size of a table's heap; None: rows can only be read in one go."""

    text: str
    name: str
    attributes: tuple[Attribute, ...]
    blocks: int | None = None

    def __getitem__(self, name: str) -> Attribute:
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        raise errors.ColumnNotFound(
            column=name, table=self.name, hint="Columns: " + ", ".join(a.name for a in self.attributes) + "."
        )

    def __contains__(self, name: str) -> bool:
        return any(a.name == name for a in self.attributes)


def relation(table: str) -> Source:
    """A table, view, … by its name as regclass prints it: qualified and quoted."""
    rows = db.query("relation_attributes", table)
    if not rows:
        raise errors.InvalidArgument(argument="table_name", reason=f"{table} has no columns")
    blocks = rows[0]["blocks"] if rows[0]["relkind"] in ("r", "m") and not rows[0]["has_children"] else None
    return Source(table, table, tuple(Attribute(r["name"], r["type"], r["plain"], r["base"]) for r in rows), blocks)


def query(text: str) -> Source:
    """Any query that returns rows."""
    columns = db.columns_of(text)
    types = {r["oid"]: r for r in db.query("types", [oid for _, oid in columns])}
    attributes = tuple(Attribute(n, *(types[oid][part] for part in ("type", "plain", "base"))) for n, oid in columns)
    return Source(f"({text}\n)", "query", attributes)


# --- reading -------------------------------------------------------------------------------------


def read(
    source: Source,
    wanted: Sequence[tuple[str, Kind]],
    known: Mapping[str, Sequence[str]] | None = None,
) -> Table:
    """All rows of the wanted columns, from one snapshot if the caller runs this through db.in_snapshot.

    A string column that has ``known`` strings gets codes of these, and of UNKNOWN for any other; else its
    dictionary is what the column holds. Errors: ColumnNotFound, UnsupportedColumnType, FeatureTypeMismatch.
    """
    return arrays.concatenated(wanted, list(read_batches(source, wanted, known)))


@dataclass(frozen=True)
class Batch:
    """Consecutive rows of a source, the heap blocks [first, end) of a table that they fill, and their documents."""

    table: Table
    blocks: tuple[int, int] | None
    documents: list[str]


def read_batches(
    source: Source, wanted: Sequence[tuple[str, Kind]], known: Mapping[str, Sequence[str]] | None = None
) -> Iterator[Table]:
    """The same rows in batches, in the order in which the relation holds them."""
    return (batch.table for batch in batches(source, wanted, known))


def read_documents(
    source: Source, wanted: Sequence[tuple[str, Kind]], known: Mapping[str, Sequence[str]]
) -> Iterator[tuple[list[str], Table]]:
    """Batches of rows of a query, each row also as a JSON document."""
    found = batches(source, wanted, known, document="to_jsonb((q.*))::text")
    return ((batch.documents, batch.table) for batch in found)


def batches(
    source: Source,
    wanted: Sequence[tuple[str, Kind]],
    known: Mapping[str, Sequence[str]] | None = None,
    n_blocks: int = BLOCKS,
    document: str = "NULL::text",
) -> Iterator[Batch]:
    """All rows in batches of at most ``n_blocks`` heap blocks, where there are any to count by."""
    known = dict(known or {})
    columns = [(source[name], kind) for name, kind in wanted]
    numbers = [a for a, kind in columns if kind not in ("category", "text")]
    strings = [a for a, kind in columns if kind in ("category", "text")]
    lookups = {a.name: Lookup(*_dictionary(source, a, known.get(a.name))) for a in strings}
    fixed = {
        "source": source.text,
        "numbers": _array([_number(a, kind) for a, kind in columns if a in numbers], "float8"),
        "document": document,
    }
    # Cutting off the spaces at the end costs as much as the hash, and hardly a string has any: they are only looked
    # for in columns with a string that is not known without. What comes from a cursor cannot be read again.
    cut = {a.name for a in strings} if source.blocks is None else set[str]()

    def parts() -> dict[str, str]:
        return {**fixed, "strings": _array([_hash(a, a.name in cut) for a in strings], "int8")}

    def table(row: dict[str, Any]) -> Table:
        floats = arrays.matrix(row["numbers"], np.float64, len(numbers), row["rows"])
        hashes = arrays.matrix(row["strings"], np.int64, len(strings), row["rows"])
        return arrays.table([(a.name, kind) for a, kind in columns], floats, hashes, lookups)

    for blocks, again in _batches(source, n_blocks, parts):
        row = again()
        if row["rows"]:
            made = table(row)
            if new := _with_unknown(made, lookups) - cut:
                cut |= new
                made = table(again())
            yield Batch(made, blocks, row.get("documents") or [])


def _with_unknown(table: Table, lookups: Mapping[str, Lookup]) -> set[str]:
    """Names of the columns with a string that is not in their dictionary."""
    coded = ((c, lookups[c.name]) for c in table.columns if c.codes is not None)
    return {column.name for column, lookup in coded if np.any(column.codes == lookup.other)}


def _batches(
    source: Source, n_blocks: int, parts: Callable[[], dict[str, str]]
) -> Iterator[tuple[tuple[int, int] | None, Callable[[], dict[str, Any]]]]:
    """Functions that read a batch; those of a table can be called again, after a change of ``parts``."""
    if source.blocks is None:
        for row in db.cursor("read_query", ROWS, **parts()):
            yield None, partial(_same, row)
        return
    # The last batch is open: the table may have grown since its size was looked up.
    starts = [*range(0, max(source.blocks, 1), n_blocks), _LAST_BLOCK]
    for first, end in pairwise(starts):
        yield (first, end), partial(_block, first, end, parts)


def _same(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _block(first: int, end: int, parts: Callable[[], dict[str, str]]) -> dict[str, Any]:
    row = db.one("read_blocks", f"({first},0)", f"({end},0)", **parts())
    assert row is not None
    return row


def _array(expressions: list[str], type_name: str) -> str:
    return f"ARRAY[{', '.join(expressions)}]::{type_name}[]" if expressions else f"ARRAY[0]::{type_name}[]"


def _number(attribute: Attribute, kind: Kind) -> str:
    if attribute.kind in (None, "category") or (kind in ("date", "timestamp")) != (
        attribute.kind in ("date", "timestamp")
    ):
        raise errors.FeatureTypeMismatch(column=attribute.name, type=attribute.type, expected=kind)
    text = _AS_FLOAT.get(attribute.base, "{c}").format(c=f"q.{attribute.quoted}")
    return text if attribute.base == "float8" else f"{text}::float8"


def _text(attribute: Attribute, cut: bool = True) -> str:
    text = _AS_TEXT.get(attribute.base, "{c}::text").format(c=f"q.{attribute.quoted}")
    # Spaces at the end do not count: JSON has those that fill up a char(n), text made from it has not.
    return f'({f"rtrim({text})" if cut and attribute.base in _WITH_SPACES else text} COLLATE "C")'


def _hash(attribute: Attribute, cut: bool) -> str:
    """Strings travel as 64-bit hashes."""
    return f"hashtextextended({_text(attribute, cut)}, 0)"


def _dictionary(
    source: Source, attribute: Attribute, known: Sequence[str] | None
) -> tuple[tuple[str, ...], NDArray[np.int64]]:
    """Strings of a column and their hashes, which only the server itself can compute."""
    if known is None:
        row = db.one("distinct_strings", source=source.text, string=_text(attribute))
    else:
        row = db.one("hash_strings", list(known))
    assert row is not None
    strings = tuple(row["strings"] or ())
    hashes = np.array(row["hashes"] or (), dtype=np.int64)
    if len(np.unique(hashes)) < len(hashes):
        raise errors.TrainingDataError(reason=f'two strings of column "{attribute.name}" have the same hash')
    return strings, hashes
