"""The official Python client and Polars read what the server serves."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest

from fix_http import Reader, Shop

Readers = Callable[[str], Reader]
Client = Callable[..., Any]
ZONED = dt.datetime(2024, 2, 29, 12, 30, 15, 123456, tzinfo=dt.UTC)
EVERY = pa.table(
    {
        "long": pa.array([1, None, 3], pa.int64()),
        "int": pa.array([1, 2, 3], pa.int32()),
        "text": pa.array(["äöü", None, "🙂"]),
        "double": pa.array([0.5, float("nan"), None]),
        "bool": pa.array([True, None, False]),
        "day": pa.array([dt.date(2024, 2, 29), None, dt.date(1969, 12, 31)]),
        "zoned": pa.array([ZONED, None, ZONED], pa.timestamp("us", tz="UTC")),
        "bytes": pa.array([b"\x00\xff", None, b""]),
        "number": pa.array([Decimal("1.25"), None, Decimal("-3.50")], pa.decimal128(10, 2)),
    }
)
LOAD = """
import delta_sharing
frame = delta_sharing.load_as_pandas(profile + "#DEMO.S.EVERY", use_delta_format=delta, **more)
result = {name: [str(value) for value in frame[name]] for name in frame.columns}
"""


@pytest.fixture
def every(shop: Shop) -> Shop:
    """Share DEMO with a table of all simple types in two files, and an empty one."""
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [EVERY.slice(0, 1), EVERY.slice(1)], "S.NOTHING": [EVERY.slice(0, 0)]})
    return shop


@pytest.mark.parametrize("delta", [None, False, True])
def test_load_as_pandas(every: Shop, reader: Readers, run_client: Client, delta: bool | None) -> None:
    profile = reader(every.token()).profile
    found = run_client(profile, LOAD, delta=delta, more={})
    assert set(found) == set(EVERY.column_names)
    by_row = sorted(zip(*(found[name] for name in ("int", "text", "bool", "number", "day")), strict=True))
    assert by_row == [
        ("1", "äöü", "True", "1.25", "2024-02-29"),
        ("2", "None", "None", "None", "None"),
        ("3", "🙂", "False", "-3.50", "1969-12-31"),
    ]
    assert str(b"\x00\xff") in found["bytes"]
    assert found["zoned"].count("2024-02-29 12:30:15.123456+00:00") == 2
    assert len(run_client(profile, LOAD, delta=delta, more={"limit": 1})["int"]) == 1


def test_lists_and_metadata(every: Shop, reader: Readers, run_client: Client) -> None:
    found = run_client(
        reader(every.token()).profile,
        """
import delta_sharing
client = delta_sharing.SharingClient(profile)
url = profile + "#DEMO.S.EVERY"
result = {
    "shares": [share.name for share in client.list_shares()],
    "schemas": [schema.name for schema in client.list_schemas(client.list_shares()[0])],
    "tables": sorted(table.name for table in client.list_all_tables()),
    "version": delta_sharing.get_table_version(url),
    "files": delta_sharing.get_table_metadata(url).num_files,
    "reader": delta_sharing.get_table_protocol(url).min_reader_version,
}
""",
    )
    expected = {
        "shares": ["DEMO"],
        "schemas": ["S"],
        "tables": ["EVERY", "NOTHING"],
        "version": 1,
        "files": 2,
        "reader": 1,
    }
    assert found == expected


@pytest.mark.parametrize("delta", [False, True])
def test_an_empty_table_keeps_its_columns(every: Shop, reader: Readers, run_client: Client, delta: bool) -> None:
    lines = LOAD.replace("EVERY", "NOTHING")
    found = run_client(reader(every.token()).profile, lines, delta=delta, more={})
    assert set(found) == set(EVERY.column_names) and not any(found.values())


def test_timestamps_without_time_zone(shop: Shop, reader: Readers, run_client: Client) -> None:
    """The client says that it knows timestampNtz, so it gets the delta format; without, it gets the same moments."""
    moment = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [pa.table({"t": pa.array([moment], pa.timestamp("us")), "n": [1]})]})
    lines = LOAD.replace("result =", "result = [str(frame.t.dtype), str(frame.t[0])] #")
    for delta in (None, False, True):
        kind, value = run_client(reader(shop.token()).profile, lines, delta=delta, more={})
        assert value == "2024-02-29 12:30:15.123456" and kind.startswith("datetime64[")


def test_time_travel_and_hints(shop: Shop, reader: Readers, run_client: Client) -> None:
    shop.share(version_access="ANY")
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [1]})]})
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [1, 2]}), pa.table({"n": [7, 8]})]})
    profile = reader(shop.token()).profile
    lines = LOAD.replace("result =", "result = [int(n) for n in frame.n] #")
    assert run_client(profile, lines, delta=None, more={"version": 1}) == [1]
    column = '{"op":"column","name":"n","valueType":"long"}'
    hint = '{"op":"greaterThan","children":[' + column + ',{"op":"literal","value":"5","valueType":"long"}]}'
    assert run_client(profile, lines, delta=None, more={"jsonPredicateHints": hint}) == [7, 8]


def test_polars_scans_the_urls(every: Shop, reader: Readers, run_client: Client) -> None:
    ask = reader(every.token())
    found = run_client(
        ask.profile,
        "import polars\nframe = polars.scan_parquet(urls).filter(polars.col('int') >= 2).select('int', 'text')\n"
        "result = frame.sort('int').collect().rows()",
        urls=ask.files("DEMO.S.EVERY"),
    )
    assert found == [[2, None], [3, "🙂"]]
