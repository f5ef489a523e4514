"""Partition keys: their columns, the one text each value has, and the way from rows to partitions."""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from decimal import Decimal, InvalidOperation
from functools import cached_property
from typing import TYPE_CHECKING, Any, Literal, NamedTuple

from mlshare.document import Columns, Values
from mlshare.errors import InvalidFeatureValue, InvalidPartitionKey, MissingKeyColumn, PartitionKeyType

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from mlshare.table import Column

    Positions = NDArray[np.int64]

KeyKind = Literal["number", "boolean", "date", "text"]
Key = tuple[str, ...]

MOST_COLUMNS = 16
MOST_BYTES = 2_000  # of a key: what an index can hold
KINDS: dict[str, KeyKind] = {
    **dict.fromkeys(("int2", "int4", "int8", "numeric"), "number"),
    "bool": "boolean",
    "date": "date",
    **dict.fromkeys(("text", "varchar", "bpchar", "char", "name", "enum", "uuid"), "text"),
}
_TYPES: dict[KeyKind, type] = {"number": int, "boolean": bool, "date": str, "text": str}  # as JSON mostly has them
_DATE = re.compile(r"(\d{4,}-\d\d-\d\d)(?:[T ]00:00:00(?:\.0+)?)?")
_INTEGER = re.compile(r"0|-?[1-9]\d{0,17}")
_BOOLEANS = {"t": "true", "true": "true", "1": "true", "f": "false", "false": "false", "0": "false"}
_MOST_DIGITS = 200_000  # more than a numeric has


class KeyColumn(NamedTuple):
    """A column of the partition key."""

    name: str
    kind: KeyKind


def kind_of(column: str, type_name: str, base: str) -> KeyKind:
    """What a column of a type is as a part of a key; PartitionKeyType if it cannot be one."""
    if base not in KINDS:
        raise PartitionKeyType(column=column, type=type_name)
    return KINDS[base]


# --- one text for each value ----------------------------------------------------------------------


def canonical(value: Any, column: KeyColumn) -> str | None:
    """The text of a JSON value, the same that mlshare.frame reads for it from a column; None for NULL."""
    if value is None:
        return None
    if isinstance(value, list | dict):
        raise InvalidFeatureValue(column=column.name, value=json.dumps(value)[:60], expected=f"a {column.kind} value")
    text = json.dumps(value) if isinstance(value, bool) else str(value)
    if column.kind == "number":
        return _number(text)
    if column.kind == "boolean":
        return _BOOLEANS.get(text.lower(), text)
    if column.kind == "date":
        found = _DATE.fullmatch(text)
        return found[1] if found else text
    return text.rstrip(" ")  # char(n) has them in JSON, and not as text


def _number(text: str) -> str:
    try:
        value = Decimal(text)
    except InvalidOperation:
        return text
    if value.is_finite() and abs(value.adjusted()) > _MOST_DIGITS:
        return text  # of no column: written out it could take any amount of memory
    plain = format(value, "f")
    if "." in plain:
        plain = plain.rstrip("0").rstrip(".")
    return "0" if plain == "-0" else plain


def of_row(columns: Sequence[KeyColumn], row: Mapping[str, Any], document: str | None = None) -> Key | None:
    """The key of a row of JSON values; None if a part of it is NULL. ``document`` is the JSON it was read from.

    Errors: MissingKeyColumn, InvalidFeatureValue.
    """
    for column in columns:
        if column.name not in row:
            raise MissingKeyColumn(column=column.name)
    # Some digits of a number may be lost in a float.
    if document and any(type(row[c.name]) is float for c in columns):
        row = json.loads(document, parse_float=Decimal)
    key = tuple(canonical(row[c.name], c) for c in columns)
    return None if None in key else key  # type: ignore[return-value]


def require_storable(key: Key) -> None:
    if len(json.dumps(key).encode()) > MOST_BYTES:
        raise InvalidPartitionKey(
            reason=f"the key {shown(key)[:60]}… is longer than {MOST_BYTES} bytes",
            hint="Take a shorter column, or a hash of this one in a view.",
        )


def shown(key: Sequence[str]) -> str:
    """A key for people to read."""
    return key[0] if len(key) == 1 else f"({', '.join(key)})"


def ordering(columns: Sequence[KeyColumn], key: Key) -> tuple[Any, ...]:
    """What keys are sorted by: numbers as such, all else as text."""
    return tuple(_rank(text) if c.kind == "number" else text for c, text in zip(columns, key, strict=True))


def _rank(text: str) -> Decimal:
    value = Decimal(text)
    return Decimal("Infinity") if value.is_nan() else value


# --- rows and partitions -------------------------------------------------------------------------


@dataclass(frozen=True)
class Router:
    """Finds the partition of a row by its key. ``keys`` are those of all partitions."""

    columns: tuple[KeyColumn, ...]
    keys: tuple[Key, ...]

    @cached_property
    def position(self) -> dict[Key, int]:
        return {key: i for i, key in enumerate(self.keys)}

    @property
    def usual(self) -> Columns:
        """The columns of a key that is written as JSON mostly has it."""
        return tuple((c.name, _TYPES[c.kind]) for c in self.columns)

    @cached_property
    def places(self) -> dict[Values, int]:
        """The positions of keys by the values of ``usual``."""
        types = [_TYPES[c.kind] for c in self.columns]
        values = (tuple(map(_as_read, key, types)) for key in self.keys)
        return {v: i for i, v in enumerate(values) if None not in v}

    @cached_property
    def known(self) -> dict[str, tuple[str, ...]]:
        """The strings that each key column has in some partition."""
        return {c.name: tuple(dict.fromkeys(k[i] for k in self.keys)) for i, c in enumerate(self.columns)}

    def positions(self, columns: Iterable[Column]) -> Positions:
        """For each row [n] the position of its key in ``keys``, -1 where there is none or a part is NULL."""
        import numpy as np

        moves, last = self._moves
        at: Positions | None = None
        for column, (width, known) in zip(columns, moves, strict=True):
            codes = _recoded(column, self.known[column.name])
            # Column by column: a state is a distinct beginning of a key, a move what leads on from it.
            step = codes if at is None else np.where((at < 0) | (codes < 0), -1, at * width + codes)
            found = np.minimum(np.searchsorted(known, step), len(known) - 1)
            at = np.where(known[found] == step, found, -1)
        assert at is not None
        return last[at]

    @cached_property
    def _moves(self) -> tuple[list[tuple[int, Positions]], Positions]:
        """For each column its number of strings and the sorted moves; for each last state the position of its key."""
        import numpy as np

        made = []
        state = np.zeros(len(self.keys), np.int64)
        for i, column in enumerate(self.columns):
            place = {text: n for n, text in enumerate(self.known[column.name])}
            codes = np.array([place[key[i]] for key in self.keys], np.int64)
            known, state = np.unique(state * len(place) + codes, return_inverse=True)
            made.append((len(place), known))
        last = np.full(len(self.keys) + 1, -1, np.int64)  # the last entry is for state -1
        last[state] = np.arange(len(self.keys))
        return made, last


def _as_read(text: str, kind: type) -> Any:
    """The value of JSON that is mostly meant by the text of a key; None if there is none of that type."""
    if kind is bool:
        return {"true": True, "false": False}.get(text)
    if kind is int:
        return int(text) if _INTEGER.fullmatch(text) else None
    return text


def _recoded(column: Column, known: Sequence[str]) -> Positions:
    """Positions in ``known`` [n] of the strings of a column; -1 for others and for NULL."""
    import numpy as np

    assert column.codes is not None
    place = {text: n for n, text in enumerate(known)}
    table = [place.get(text.rstrip(" "), -1) for text in column.dictionary]
    return np.array([*table, -1], np.int64)[column.codes]


@dataclass(frozen=True)
class Groups:
    """Rows by key: ``order`` [m] lists the rows of keys[0], then those of keys[1], …; ``counts`` how many of each."""

    keys: tuple[Key, ...]
    order: Positions
    counts: Positions
    n_null: int

    @cached_property
    def starts(self) -> Positions:
        import numpy as np

        return np.concatenate([[0], np.cumsum(self.counts)[:-1]]).astype(np.int64)


def group(columns: Sequence[KeyColumn], data: Sequence[Column]) -> Groups:
    """Groups rows by the key in ``data``, in the order of the keys. Rows with NULL in the key are in no group."""
    import numpy as np

    known = [tuple(dict.fromkeys(text.rstrip(" ") for text in c.dictionary)) for c in data]
    codes = [_recoded(c, k) for c, k in zip(data, known, strict=True)]
    whole = np.all([c >= 0 for c in codes], axis=0)
    rows = np.flatnonzero(whole)
    state = np.zeros(len(rows), np.int64)
    for c, k in zip(codes, known, strict=True):
        _, state = np.unique(state * max(1, len(k)) + c[rows], return_inverse=True)
    _, first, state = np.unique(state, return_index=True, return_inverse=True)
    found = [tuple(k[c[rows[f]]] for c, k in zip(codes, known, strict=True)) for f in first.tolist()]
    ranked = sorted(range(len(found)), key=lambda i: ordering(columns, found[i]))
    rank = np.empty(len(found), np.int64)
    rank[ranked] = np.arange(len(found))
    place = rank[state]
    order = rows[np.argsort(place, kind="stable")]
    counts = np.bincount(place, minlength=len(found)).astype(np.int64)
    return Groups(tuple(found[i] for i in ranked), order, counts, len(whole) - len(rows))
