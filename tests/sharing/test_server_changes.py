"""What changed between versions, by row, through the official client and in both formats."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from fix_http import Reader, Shop
from mlshare_server.server import changes, diff

Readers = Callable[[str], Reader]
TABLE = "/shares/DEMO/schemas/S/tables/T"
LOAD = """
import delta_sharing
frame = delta_sharing.load_table_changes_as_pandas(profile + "#DEMO.S.T", use_delta_format=delta, **more)
columns = ["id", "name", "_change_type", "_commit_version"]
result = sorted([str(value) for value in row] for row in frame[columns].itertuples(index=False))
"""


def people(**names: str) -> pa.Table:
    return pa.table({"id": [int(key[1:]) for key in names], "name": list(names.values())})


@pytest.fixture
def history(shop: Shop) -> Shop:
    """Three versions: two people; one renamed, one gone, one new; nothing changed but the file."""
    shop.share(version_access="ANY")
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")
    for names in ({"p1": "Ada", "p2": "Bob"}, {"p1": "Ada L.", "p3": "Cem"}, {"p3": "Cem", "p1": "Ada L."}):
        shop.publish("DEMO", {"S.T": [people(**names)]}, key=["id"])
    return shop


SECOND = [
    ["1", "Ada L.", "update_postimage", "2"],
    ["1", "Ada", "update_preimage", "2"],
    ["2", "Bob", "delete", "2"],
    ["3", "Cem", "insert", "2"],
]


@pytest.mark.parametrize("delta", [False, True])
def test_changes_by_row(history: Shop, reader: Readers, run_client: Any, delta: bool) -> None:
    profile = reader(history.token()).profile
    found = run_client(profile, LOAD, delta=delta, more={"starting_version": 2})
    assert found == sorted(SECOND)
    found = run_client(profile, LOAD, delta=delta, more={"starting_version": 1, "ending_version": 2})
    assert found == sorted([*SECOND, ["1", "Ada", "insert", "1"], ["2", "Bob", "insert", "1"]])
    assert run_client(profile, LOAD, delta=delta, more={"starting_version": 3}) == []


def test_a_version_of_the_same_rows_has_no_file_of_changes(history: Shop, reader: Readers) -> None:
    """Not even an empty one: the client's kernel makes no table of it."""
    answer = reader(history.token())(TABLE + "/changes", params={"startingVersion": 3})
    assert [*map(list, map(json.loads, answer.text.splitlines()))] == [["protocol"], ["metaData"]]


@pytest.mark.parametrize(("historical", "named"), [({}, 3), ({"includeHistoricalMetadata": "True"}, 2)])
def test_metadata_is_of_the_last_version_unless_that_of_old_ones_is_asked_for(
    history: Shop, reader: Readers, historical: dict[str, str], named: int
) -> None:
    answer = reader(history.token())(TABLE + "/changes", params={"startingVersion": 2, **historical})
    assert json.loads(answer.text.splitlines()[1])["metaData"]["version"] == named
    assert answer.headers["delta-table-version"] == "2"


def test_whole_files_where_it_is_too_much_to_compare(
    history: Shop, reader: Readers, run_client: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(changes, "COMPARED_BYTES", 10)
    profile = reader(history.token()).profile
    found = run_client(profile, LOAD, delta=False, more={"starting_version": 2, "ending_version": 2})
    assert found == sorted([["1", "Ada", "delete", "2"], ["2", "Bob", "delete", "2"],
                            ["1", "Ada L.", "insert", "2"], ["3", "Cem", "insert", "2"]])  # fmt: skip


def test_files_of_changes_are_signed_too(history: Shop, reader: Readers) -> None:
    ask = reader(history.token())
    answer = ask(TABLE + "/changes", params={"startingVersion": 2, "endingVersion": 2})
    assert answer.headers["delta-table-version"] == "2"
    _, _, line = answer.text.splitlines()
    change = json.loads(line)["cdf"]
    whole = requests.get(change["url"], timeout=5)
    assert len(whole.content) == change["size"]
    altered = [change["url"].replace("sig=", "sig=A"), change["url"].split("?")[0], change["url"].replace(".2.", ".3.")]
    altered += [change["url"].replace("changes/", "files/")]
    for url in altered:
        assert requests.get(url, timeout=5).status_code == 403
    history.provider.execute("CALL dbms_share.revoke_from_recipient('DEMO', 'READER')")
    assert requests.get(change["url"], timeout=5).status_code == 403


@pytest.mark.parametrize(
    ("query", "text"),
    [
        ("", "No startingVersion or startingTimestamp provided"),
        ("startingVersion=1&startingTimestamp=2030-01-01T00:00:00Z", "Please only provide one of"),
        ("startingVersion=3&endingVersion=2", "End cannot be before start"),
        ("startingVersion=0", "You can only query table data since version 1."),
        ("startingVersion=9", "was invalid"),
        ("startingVersion=x", "not a valid number"),
        ("startingTimestamp=2100-01-01T00:00:00Z", "is after the latest available version"),
        ("startingTimestamp=2000-01-01T00:00:00Z", "Please use a timestamp greater than or equal to"),
        ("startingVersion=1&endingTimestamp=2100-01-01T00:00:00Z", "Please use a timestamp less than or equal to"),
        ("startingVersion=1&endingTimestamp=2000-01-01T00:00:00Z", "is before the earliest version available"),
    ],
)
def test_ranges_that_are_refused(history: Shop, reader: Readers, query: str, text: str) -> None:
    answer = reader(history.token())(f"{TABLE}/changes?{query}")
    assert answer.status_code == 400 and text in answer.json()["message"]


def test_no_changes_without_key_or_history(shop: Shop, reader: Readers) -> None:
    shop.share()
    shop.publish("DEMO", {"S.T": [people(p1="Ada")]}, key=["id"])
    answer = reader(shop.token())(TABLE + "/changes", params={"startingVersion": 1})
    assert answer.status_code == 400 and answer.json()["message"] == "cdf is not enabled on table DEMO.S.T"


def test_what_counts_as_changed() -> None:
    """NULL and NaN are the same as themselves; lists are compared; a new column is NULL before."""
    nan = float("nan")
    old = pa.table({"k": [1, 2, 3, 4], "x": [nan, None, 1.0, 2.0], "l": [[1], None, [1], [2]]})
    new = pa.table({"k": [1, 2, 3, 4], "x": [nan, None, nan, 2.0], "l": [[1], None, [1], [3]]})
    found = diff.changes(old, new, ["k"]).to_pylist()
    assert sorted((row["k"], row[diff.KIND]) for row in found) == [
        (3, "update_postimage"), (3, "update_preimage"), (4, "update_postimage"), (4, "update_preimage"),
    ]  # fmt: skip
    wider = new.append_column("more", pa.array([None, None, None, "x"]))
    assert {row["k"] for row in diff.changes(new, wider, ["k"]).to_pylist()} == {4}
    assert diff.changes(old, old.slice(0, 0), ["k"]).column(diff.KIND).to_pylist() == ["delete"] * 4


# --- queries from a version on: whole files, for readers of streams ----------------------------------


def told(lines: list[dict[str, Any]]) -> list[tuple[str, int, str]]:
    """What the lines after the first two say: kind, version, and the names that the file holds."""
    found = []
    for line in lines[2:]:
        [(kind, one)] = (line["file"]["deltaSingleAction"] if "file" in line else line).items()
        about = line.get("file", one)
        url = one.get("url") or one.get("path")
        held = (
            ""
            if url is None
            else " ".join(pq.read_table(io.BytesIO(requests.get(url, timeout=10).content))["name"].to_pylist())
        )
        found.append((kind, about["version"], held))
    return found


def test_files_that_came_and_went_since_a_version(history: Shop, reader: Readers) -> None:
    """Without a primary key too; of version 1 everything is new."""
    ask = reader(history.token())
    third = [("remove", 3, "Ada L. Cem"), ("add", 3, "Cem Ada L.")]
    assert told(ask.query("DEMO.S.T", {"startingVersion": 3})) == third
    second = [("remove", 2, "Ada Bob"), ("add", 2, "Ada L. Cem")]
    assert told(ask.query("DEMO.S.T", {"startingVersion": 2})) == second + third
    assert told(ask.query("DEMO.S.T", {"startingVersion": 1, "endingVersion": 2})) == [("add", 1, "Ada Bob"), *second]
    capable = {"delta-sharing-capabilities": "responseformat=delta;includeendstreamaction=true"}
    *lines, end = ask.query("DEMO.S.T", {"startingVersion": 3}, **capable)
    assert told(lines) == third and end["endStreamAction"]["minUrlExpirationTimestamp"] > 0
    answer = ask(TABLE + "/query", "POST", json={"startingVersion": 2}, headers={"fileidhash": "delta"})
    assert answer.headers["delta-table-version"] == "2" and answer.headers["fileidhash"] == "delta"
    assert len(json.loads(answer.text.splitlines()[2])["remove"]["id"]) == 64
    assert "endStreamAction" in ask.query("DEMO.S.T", {"startingVersion": 3, "maxFiles": 1})[-1]


def test_a_table_that_got_a_column_meanwhile(history: Shop, reader: Readers) -> None:
    wider = people(p1="Ada").append_column("born", pa.array([1815], pa.int64()))
    history.publish("DEMO", {"S.T": [wider]}, key=["id"])
    lines = reader(history.token()).query("DEMO.S.T", {"startingVersion": 3})
    first, later = (json.loads(line["metaData"]["schemaString"])["fields"] for line in lines if "metaData" in line)
    assert [field["name"] for field in first] == ["id", "name"] and later[2]["name"] == "born"
    assert [next(iter(line)) for line in lines[2:]] == ["remove", "add", "metaData", "remove", "add"]


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ({"startingVersion": 2, "version": 1}, "one of: version,timestamp,startingVersion"),
        ({"startingVersion": 3, "endingVersion": 2}, "End cannot be before start"),
        ({"startingVersion": 9}, "was invalid"),
        ({"startingVersion": 0}, "You can only query table data since version 1."),
        ({"startingVersion": -1}, "startingVersion cannot be negative."),
        ({"startingVersion": 1, "maxFiles": 0}, "maxFiles cannot be less than 1."),
        ({"startingVersion": 1, "pageToken": "x"}, "must not be set with startingVersion"),
        ({"startingVersion": 1, "refreshToken": 7}, "refreshToken is not a text"),
    ],
)
def test_queries_from_a_version_on_that_are_refused(
    history: Shop, reader: Readers, body: dict[str, Any], text: str
) -> None:
    answer = reader(history.token())(TABLE + "/query", "POST", json=body)
    assert answer.status_code == 400 and text in answer.json()["message"]


def test_a_query_from_a_version_on_needs_the_history(shop: Shop, reader: Readers) -> None:
    shop.share()
    shop.publish("DEMO", {"S.T": [people(p1="Ada")]})
    answer = reader(shop.token())(TABLE + "/query", "POST", json={"startingVersion": 1})
    assert answer.status_code == 400 and "history sharing is not enabled on table: DEMO.S.T" in answer.json()["message"]
