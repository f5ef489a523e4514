"""The arguments of a compiled function: the model's columns, with the types they were trained with."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlshare.compile import sql
from mlshare.encoding import Input
from mlshare.errors import NotCompilable

MAX_ARGUMENTS = 100  # of any function, in PostgreSQL as it is built everywhere

# Names of types as format_type gives them, and in pg_type.
_NUMBERS = {
    "smallint": "int2",
    "integer": "int4",
    "bigint": "int8",
    "real": "float4",
    "double precision": "float8",
    "numeric": "numeric",
    "time without time zone": "time",
}
_STRINGS = {
    "text": "text",
    "character varying": "varchar",
    "character": "bpchar",
    '"char"': "char",
    "name": "name",
    "uuid": "uuid",
}
_TIMESTAMPS = {"timestamp without time zone": "timestamp", "timestamp with time zone": "timestamptz"}
# For each kind the types it can have; the first one stands in for types that another server may not have.
_TYPES: dict[str, dict[str, str]] = {
    "numeric": {"double precision": "float8", **_NUMBERS},
    "boolean": {"boolean": "bool"},
    "date": {"date": "date"},
    "timestamp": {**_TIMESTAMPS},
    "category": _STRINGS,
}
_LAST_DATE = "294276-12-31"  # of timestamp
_MODIFIER = re.compile(r"\([0-9, -]*\)")
_UNBOUNDED = ("float4", "float8", "numeric")


def type_of(kind: str, written: object) -> str:
    """The type in pg_catalog for a kind of column that was trained with a type written like this."""
    types = _TYPES[kind]
    plain = _MODIFIER.sub("", written) if isinstance(written, str) else ""
    return types.get(plain) or next(iter(types.values()))


def label_type(target_kind: str, written: object) -> str:
    """The type of the labels of a target that has this type: no classes are made of times."""
    found = type_of(target_kind, written)
    return "float8" if found == "time" else found


@dataclass(frozen=True)
class Argument:
    """One argument: ``type`` is its name in pg_catalog."""

    position: int
    name: str
    kind: str
    type: str
    given: str | None = None  # an expression that stands in its place

    @property
    def plain(self) -> str:
        """The argument as it is given."""
        return self.given or f"${self.position}"

    @property
    def value(self) -> str:
        """It as float8 (numbers), a string compared bytewise without the spaces at its end, or timestamp in UTC."""
        if self.kind in ("date", "timestamp"):
            return self._moment()
        if self.kind == "category":
            string = self.plain if self.type in ("text", "varchar", "bpchar") else sql.cast(self.plain, "text")
            return f'({sql.cast(string, "bpchar")} COLLATE pg_catalog."C")'
        if self.type == "time":
            return sql.call("date_part", "'epoch'::pg_catalog.text", self.plain)
        if self.type == "float4":
            # 1.1, as it is written, and not 1.100000023841858: that is how models are trained.
            return sql.cast(sql.cast(self.plain, "text"), "float8")
        return self.plain if self.type == "float8" else sql.cast(self.plain, "float8")

    @property
    def text(self) -> str | None:
        """The string with all its spaces, if that is no work."""
        return f'({self.plain} COLLATE pg_catalog."C")' if self.type in ("text", "varchar") else None

    def _moment(self) -> str:
        if self.type == "timestamptz":
            # Unlike a cast, this does not depend on the session's time zone.
            return sql.call("timezone", "'UTC'::pg_catalog.text", self.plain)
        return self.plain if self.type == "timestamp" else sql.cast(self.plain, "timestamp")

    @property
    def may_be_nan(self) -> bool:
        """Whether NaN, which counts as NULL, can be given."""
        return self.type in _UNBOUNDED

    @property
    def is_missing(self) -> str:
        """A condition: it counts as NULL."""
        null = f"{self.plain} IS NULL"
        if not self.may_be_nan:
            return f"({null})"
        return f"({null} OR {sql.operation(self.value, '=', sql.number(float('nan')))})"

    @property
    def is_special(self) -> str | None:
        """A condition: it is NaN or infinite; None if its type rules that out."""
        if not self.may_be_nan:
            return self.is_infinite
        return sql.operation(sql.call("abs", self.plain), ">=", sql.typed("Infinity", self.type))

    @property
    def is_nan(self) -> str:
        """A condition on numbers that may be."""
        return sql.operation(self.plain, "=", sql.typed("NaN", self.type))

    @property
    def is_infinite(self) -> str | None:
        """A condition: it is infinite, which no model takes, or a date that is no timestamp; None if there is none."""
        if self.type == "date":
            least, last = (sql.typed(d, "date") for d in ("-infinity", _LAST_DATE))
            return f"({sql.operation(self.plain, '<=', least)} OR {sql.operation(self.plain, '>', last)})"
        if self.kind in ("date", "timestamp"):
            return f"(NOT {sql.call('isfinite', self.plain)})"
        if not self.may_be_nan:
            return None
        return sql.operation(sql.call("abs", self.value), "=", sql.number(float("inf")))


def arguments(
    inputs: Sequence[Input], types: Mapping[str, object], given: Mapping[str, str] | None = None
) -> list[Argument]:
    """One for each input; ``types`` are the column types of the training data, where they are known.

    ``given`` has expressions that stand in the places of the arguments, for a body that becomes part of a statement.
    """
    if given is None and len(inputs) > MAX_ARGUMENTS:
        reason = f"it has {len(inputs)} columns, a function can have {MAX_ARGUMENTS} arguments"
        raise NotCompilable(reason=reason)
    texts = [i.name for i in inputs if i.kind == "text"]
    if texts:
        raise NotCompilable(reason=f'column "{texts[0]}" is free text')
    return [
        Argument(n, i.name, i.kind, type_of(i.kind, types.get(i.name)), (given or {}).get(i.name))
        for n, i in enumerate(inputs, start=1)
    ]
