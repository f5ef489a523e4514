"""Statistics of files are JSON with dates that every client reads."""

from __future__ import annotations

import io
import json
from datetime import UTC, date, datetime
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from mlshare_server.worker.arrow import stats

INFINITY, NAN = float("inf"), float("nan")


def bounds(*values: Any, kind: pa.DataType) -> list[Any]:
    table = pa.table({"c": pa.array(values, kind)})
    file = io.BytesIO()
    pq.write_table(table, file)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is no JSON")

    found = json.loads(stats(pq.ParquetFile(file).metadata, table.schema, set()), parse_constant=refuse)
    return [found[part].get("c") for part in ("minValues", "maxValues")]


@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()])
def test_extremes_that_json_has_not(kind: pa.DataType) -> None:
    assert bounds(1.5, 2.5, kind=kind) == [1.5, 2.5]
    for value in (INFINITY, -INFINITY):
        assert bounds(1.5, value, kind=kind) == [None, None]
    assert bounds(NAN, NAN, kind=kind) == [None, None]


def test_years_have_four_digits() -> None:
    assert bounds(date(5, 1, 2), date(999, 1, 2), kind=pa.date32()) == ["0005-01-02", "0999-01-02"]
    first, last = datetime(5, 1, 2, 3, 4, 5, 6007, UTC), datetime(999, 1, 2, 3, 4, 5, 6007, UTC)
    shown = ["0005-01-02T03:04:05.006Z", "0999-01-02T03:04:05.007Z"]
    assert bounds(first, last, kind=pa.timestamp("us", "UTC")) == shown
