"""Which column becomes what: the SQL expression that reads it, its Delta type, and its Arrow type.

Each type of PostgreSQL is either mapped to the type that holds it without loss, or shared as text. A composite becomes
a struct, read field by field; a one-dimensional array becomes an array.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa

from mlshare_server.errors import UnsupportedType

# Name in pg_catalog → (cast, Delta type, Arrow type). No cast: the driver reads the type as it is.
SCALARS: dict[str, tuple[str, str, pa.DataType]] = {
    "int2": ("", "short", pa.int16()),
    "int4": ("", "integer", pa.int32()),
    "int8": ("", "long", pa.int64()),
    "oid": ("::int8", "long", pa.int64()),
    "float4": ("", "float", pa.float32()),
    "float8": ("", "double", pa.float64()),
    "bool": ("", "boolean", pa.bool_()),
    "text": ("", "string", pa.string()),
    "varchar": ("", "string", pa.string()),
    "bytea": ("", "binary", pa.binary()),
    "date": ("", "date", pa.date32()),
    "timestamp": ("", "timestamp_ntz", pa.timestamp("us")),
    "timestamptz": ("", "timestamp", pa.timestamp("us", tz="UTC")),
}
# As text(money) depends on the locale, its number is shared.
TEXT = ("::text", "string", pa.string())
MONEY = ("::numeric::text", "string", pa.string())
DOUBLE = ("::float8", "double", pa.float64())
PSEUDO = "p"


@dataclass(frozen=True)
class Source:
    """What the catalog says of a column, a field or an element: a type, its modifier and declared dimensions."""

    type: int
    typmod: int
    dimensions: int = 0


@dataclass(frozen=True)
class Column:
    """One column of a share: its name, how it is read, and what it becomes."""

    name: str
    # One expression, or none for a struct: that is read through its fields, and the last one tells whether it is there.
    expression: str
    delta: Any
    arrow: pa.DataType
    fields: tuple[Column, ...] = ()
    nullable: bool = True
    comment: str | None = None

    @property
    def selected(self) -> list[str]:
        """The expressions that make up the column, in the order in which ``assemble`` takes them."""
        inner = [expression for field in self.fields for expression in field.selected]
        return [*inner, self.expression]

    def delta_field(self) -> dict[str, Any]:
        """The field of the schema that clients see."""
        metadata = {"comment": self.comment} if self.comment else {}
        return {"name": self.name, "type": self.delta, "nullable": self.nullable, "metadata": metadata}


class Mapper:
    """Maps columns; ``type_of(oid)`` gives a row of pg_type, ``columns_of(oid)`` the attributes of a composite."""

    def __init__(
        self,
        table: str,
        type_of: Callable[[int], Any],
        columns_of: Callable[[int], Sequence[Any]],
        *,
        numeric: str = "DOUBLE",
    ) -> None:
        self.table, self.type_of, self.columns_of, self.numeric = table, type_of, columns_of, numeric
        # What the mapping depends on: a change of it makes every published file stale.
        self.seen: list[tuple[Any, ...]] = []

    def column(self, attribute: Any) -> Column:
        """A column of the shared relation."""
        made = self._attribute(attribute, quote(attribute.name))
        return replace(made, nullable=not attribute.not_null, comment=attribute.comment)

    def _attribute(self, attribute: Any, expression: str) -> Column:
        # One that was dropped and added again has the same name and another number.
        self.seen.append((attribute.name, attribute.number))
        return self._map(attribute.name, expression, Source(attribute.type, attribute.typmod, attribute.dimensions))

    def _map(self, name: str, expression: str, source: Source) -> Column:
        source, row = self._base(name, source)
        if row.category == "A" and row.element:
            return self._array(name, expression, source, row)
        if row.kind == "c":
            return self._struct(name, expression, row)
        cast, delta, arrow = self._scalar(row, source.typmod)
        return Column(name, f"({expression}){cast}", delta, arrow)

    def _base(self, name: str, source: Source) -> tuple[Source, Any]:
        """The type under domains."""
        row = self.type_of(source.type)
        while row.kind == "d":
            source = Source(row.base, row.typmod, row.dimensions)
            row = self.type_of(source.type)
        if row.kind == PSEUDO:
            raise UnsupportedType(column=name, table=self.table, type=row.shown)
        self.seen.append((name, source.type, source.typmod, row.labels))
        return source, row

    def _scalar(self, row: Any, typmod: int) -> tuple[str, Any, pa.DataType]:
        if row.schema_name != "pg_catalog":
            return TEXT
        if row.name == "numeric":
            return self._numeric(typmod)
        return MONEY if row.name == "money" else SCALARS.get(row.name, TEXT)

    def _numeric(self, typmod: int) -> tuple[str, Any, pa.DataType]:
        precision, scale = (typmod - 4) >> 16 & 0xFFFF, (typmod - 4) & 0x7FF
        if typmod >= 4 and precision <= 38 and scale <= precision:
            # The driver makes text of it, for less than the server would.
            return "", f"decimal({precision},{scale})", pa.decimal128(precision, scale)
        return TEXT if self.numeric == "STRING" else DOUBLE

    def _array(self, name: str, expression: str, source: Source, row: Any) -> Column:
        element, inner = self._base(name, Source(row.element, source.typmod))
        if source.dimensions > 1 or inner.category == "A":
            return Column(name, f"({expression})::text", "string", pa.string())
        cast, delta, arrow = TEXT if inner.kind == "c" else self._scalar(inner, element.typmod)
        casts = [f"::{part}[]" for part in cast.split("::")[1:]] or [f"::pg_catalog.{inner.name}[]"]
        # An array of more dimensions would come flattened. That text is no array, so the export fails on it.
        refusal = f"CASE WHEN array_ndims({expression}) > 1 THEN ('{{' || array_dims({expression})){casts[-1]}"
        made = {"type": "array", "elementType": delta, "containsNull": True}
        return Column(name, f"{refusal} ELSE ({expression}){''.join(casts)} END", made, pa.list_(arrow))

    def _struct(self, name: str, expression: str, row: Any) -> Column:
        attributes = self.columns_of(row.relation)
        inner = [self._attribute(a, f"({expression}).{quote(a.name)}") for a in attributes]
        delta = {"type": "struct", "fields": [field.delta_field() for field in inner]}
        arrow = pa.struct([(field.name, field.arrow) for field in inner])
        # A composite whose fields are all NULL is not the same as none.
        return Column(name, f"{expression} IS NOT DISTINCT FROM NULL", delta, arrow, tuple(inner))


def quote(name: str) -> str:
    """A quoted identifier."""
    return '"' + name.replace('"', '""') + '"'
