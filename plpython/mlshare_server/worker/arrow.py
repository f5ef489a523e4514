"""From the record batches that the driver gives to the columns of a share."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator, Sequence
from datetime import datetime, timedelta
from math import isfinite
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from mlshare_server.errors import PublishFailed
from mlshare_server.worker.types import Column

# Years 1 to 9999, as clients can show them; beyond lie BC dates, far futures and infinity.
DAYS = (-719162, 2932896)
MICROSECONDS = (DAYS[0] * 86_400_000_000, (DAYS[1] + 1) * 86_400_000_000 - 1)
# As the driver writes them.
NOT_FINITE = pa.array(["nan", "inf", "-inf"])


class Assembler:
    """Puts the selected expressions of each batch together as columns, in the types of the share's schema."""

    def __init__(self, columns: Sequence[Column], *, non_finite: str = "NULL") -> None:
        self.columns = columns
        self.schema = pa.schema([pa.field(c.name, c.arrow, nullable=True) for c in columns])
        self.strict = non_finite == "ERROR"
        # Values that no client could read, by column: NULL in the file.
        self.dropped: Counter[str] = Counter()

    def batch(self, batch: pa.RecordBatch) -> pa.RecordBatch:
        """One batch of the share."""
        arrays = iter(batch.columns)
        made = [self._column(column, column.name, arrays) for column in self.columns]
        return pa.RecordBatch.from_arrays(made, schema=self.schema)

    def _column(self, column: Column, path: str, arrays: Iterator[pa.Array]) -> pa.Array:
        if column.fields:
            inner = [self._column(field, f"{path}.{field.name}", arrays) for field in column.fields]
            return pa.StructArray.from_arrays(inner, fields=list(column.arrow), mask=next(arrays))
        array = next(arrays)
        if pa.types.is_list(column.arrow):
            return self._list(array, path, column.arrow)
        return self._values(storage(array), path, column.arrow)

    def _list(self, array: pa.Array, path: str, wanted: pa.ListType) -> pa.Array:
        values = self._values(storage(array.values), path, wanted.value_type)
        return pa.ListArray.from_arrays(
            array.offsets, values, type=wanted, mask=array.is_null() if array.null_count else None
        )

    def _values(self, array: pa.Array, path: str, wanted: pa.DataType) -> pa.Array:
        if pa.types.is_decimal(wanted):
            return self._decimal(array, path, wanted)
        if pa.types.is_date(wanted):
            return self._bounded(array.cast(wanted), path, pa.int32(), DAYS)
        if pa.types.is_timestamp(wanted):
            return self._bounded(array.cast(wanted), path, pa.int64(), MICROSECONDS)
        return array if array.type == wanted else array.cast(wanted)

    def _decimal(self, text: pa.Array, path: str, wanted: pa.DataType) -> pa.Array:
        try:
            return text.cast(wanted)
        except pa.ArrowInvalid:
            return self._without(text, pc.is_in(text, NOT_FINITE), path).cast(wanted)

    def _bounded(self, array: pa.Array, path: str, number: pa.DataType, bounds: tuple[int, int]) -> pa.Array:
        numbers = array.view(number)
        least, greatest = pc.min_max(numbers).values()
        if not greatest.is_valid or (least.as_py() >= bounds[0] and greatest.as_py() <= bounds[1]):
            return array
        outside = pc.or_(pc.less(numbers, bounds[0]), pc.greater(numbers, bounds[1]))
        return self._without(array, outside, path)

    def _without(self, array: pa.Array, wrong: pa.Array, path: str) -> pa.Array:
        count = pc.sum(wrong).as_py() or 0
        if count and self.strict:
            reason = f'column "{path}" holds infinity, NaN or a year before 1 or after 9999, which clients cannot read'
            raise PublishFailed(reason=reason, hint="Set the table's property NON_FINITE to NULL.")
        self.dropped[path] += count
        return pc.if_else(pc.fill_null(wrong, False), pa.scalar(None, array.type), array)


def storage(array: pa.Array) -> pa.Array:
    """The array under an extension type."""
    return array.storage if isinstance(array, pa.ExtensionArray) else array


# --- statistics --------------------------------------------------------------------------------------

LONGEST = 32
LAST = datetime(9999, 12, 31, 23, 59, 59, 999000)


def stats(metadata: Any, schema: pa.Schema, without: set[str]) -> str:
    """Statistics of a Parquet file as clients read them; ``without``: columns whose extremes must not be told."""
    least: dict[str, str] = {}
    greatest: dict[str, str] = {}
    nulls: dict[str, str] = {}
    for number in range(metadata.num_columns):
        name = metadata.schema.column(number).path
        if name not in schema.names:
            # Only columns at the top: the place in nested ones is not worth it to any client.
            continue
        groups = [metadata.row_group(group).column(number).statistics for group in range(metadata.num_row_groups)]
        if any(group is None or not group.has_null_count for group in groups):
            continue
        nulls[name] = str(sum(group.null_count for group in groups))
        filled = [group for group in groups if group.num_values]
        if not filled or name in without or not all(group.has_min_max for group in filled):
            continue
        low, high = min(group.min for group in filled), max(group.max for group in filled)
        if (pair := shown(low, high, schema.field(name).type)) is not None:
            least[name], greatest[name] = pair
    parts = {"minValues": least, "maxValues": greatest, "nullCount": nulls}
    shown_parts = "".join(f',"{part}":{as_object(values)}' for part, values in parts.items())
    return f'{{"numRecords":{metadata.num_rows}{shown_parts}}}'


def as_object(values: dict[str, str]) -> str:
    """A JSON object of values that are JSON already."""
    return "{" + ",".join(f"{text(name)}:{value}" for name, value in values.items()) + "}"


def text(value: str) -> str:
    """A JSON string."""
    return json.dumps(value, ensure_ascii=False)


def shown(low: Any, high: Any, kind: pa.DataType) -> tuple[str, str] | None:
    """Both extremes as JSON, or None where the type has none that clients use."""
    if pa.types.is_boolean(kind) or pa.types.is_binary(kind):
        return None
    if pa.types.is_string(kind):
        return (text(low), text(high)) if max(len(low), len(high)) <= LONGEST else None
    if pa.types.is_date(kind):
        return text(low.isoformat()), text(high.isoformat())
    if pa.types.is_timestamp(kind):
        low, high = low.replace(tzinfo=None), high.replace(tzinfo=None)
        # The last millisecond that there is cannot be rounded up.
        return (text(instant(low)), text(instant(high, up=True))) if high < LAST else None
    if pa.types.is_floating(kind) and not (isfinite(low) and isfinite(high)):
        return None
    # A decimal is a number with all its digits.
    return (f"{low:f}", f"{high:f}") if pa.types.is_decimal(kind) else (json.dumps(low), json.dumps(high))


def instant(value: Any, *, up: bool = False) -> str:
    """A timestamp in milliseconds, rounded outwards."""
    if up and value.microsecond % 1000:
        value += timedelta(milliseconds=1)
    return f"{value.isoformat(timespec='milliseconds')}Z"
