"""The protocol's endpoints: lists, pages, names, versions, formats, hints, errors."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests

from fix_http import HttpServer, Reader, Shop

FLOWER = pa.table({"ID": pa.array(range(10), pa.int64()), "SPECIES": [f"iris-{n}" for n in range(10)]})
TABLE = "/shares/DEMO/schemas/S/tables/FLOWER"
Readers = Callable[[str], Reader]


@pytest.fixture
def demo(shop: Shop) -> Shop:
    """Share DEMO with table S.FLOWER of two files."""
    shop.share()
    shop.publish("DEMO", {"S.FLOWER": [FLOWER.slice(0, 5), FLOWER.slice(5)]})
    return shop


def test_lists_and_names_in_any_case(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    [share] = ask("/shares").json()["items"]
    assert share["name"] == "DEMO" and len(share["id"]) == 36
    assert ask("/shares/demo").json() == {"share": share}
    assert ask("/shares/Demo/schemas").json() == {"items": [{"name": "S", "share": "DEMO"}]}
    [table] = ask("/shares/demo/schemas/s/tables").json()["items"]
    assert {name: table[name] for name in ("name", "schema", "share", "shareId")} == {
        "name": "FLOWER",
        "schema": "S",
        "share": "DEMO",
        "shareId": share["id"],
    }
    assert ask("/shares/DEMO/all-tables").json() == {"items": [table]}
    assert ask("/shares").headers["content-type"] == "application/json; charset=utf-8"


@pytest.mark.parametrize(
    "path", ["/shares/NO", "/shares/NO/schemas", "/shares/NO/all-tables", "/shares/DEMO/schemas/NO/tables"]
)
def test_what_is_not_there(demo: Shop, reader: Readers, path: str) -> None:
    answer = reader(demo.token())(path)
    assert answer.status_code == 404 and answer.json()["errorCode"] == "RESOURCE_DOES_NOT_EXIST"


@pytest.mark.parametrize("part", ["/version", "/metadata", "/query"])
@pytest.mark.parametrize(
    "table", ["DEMO/schemas/S/tables/NO", "DEMO/schemas/NO/tables/FLOWER", "NO/schemas/S/tables/X"]
)
def test_tables_that_are_not_there(demo: Shop, reader: Readers, part: str, table: str) -> None:
    answer = reader(demo.token())(f"/shares/{table}{part}", "POST" if part == "/query" else "GET")
    name = table.replace("/schemas", "").replace("/tables", "")
    text = f"[Share/Schema/Table] '{name}' does not exist, please contact your share provider for further information."
    assert (answer.status_code, answer.json()) == (404, {"errorCode": "RESOURCE_DOES_NOT_EXIST", "message": text})


def test_a_share_before_its_first_publish_is_empty(shop: Shop, reader: Readers) -> None:
    shop.share("EMPTY")
    ask = reader(shop.token())
    assert [item["name"] for item in ask("/shares").json()["items"]] == ["EMPTY"]
    assert ask("/shares/EMPTY/schemas").json() == {"items": []}
    assert ask("/shares/EMPTY/all-tables").json() == {"items": []}


def test_paging_gives_each_item_once(shop: Shop, reader: Readers) -> None:
    shop.share("DEMO")
    shop.publish("DEMO", {f"S{n % 3}.T{n}": [FLOWER] for n in range(7)})
    for n in range(4):
        shop.share(f"OTHER{n}")
    ask = reader(shop.token())
    counts = {
        "/shares": 5,
        "/shares/DEMO/schemas": 3,
        "/shares/DEMO/all-tables": 7,
        "/shares/DEMO/schemas/S0/tables": 3,
    }
    for path, count in counts.items():
        seen, token = [], ""
        while token is not None:
            page = ask(path, params={"maxResults": 2, "pageToken": token}).json()
            assert len(page["items"]) <= 2
            seen += [json.dumps(item) for item in page["items"]]
            token = page.get("nextPageToken")
        assert len(seen) == len(set(seen)) == count, path


def test_page_tokens_belong_to_one_list_of_one_recipient(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    first = ask("/shares", params={"maxResults": 0}).json()
    assert first["items"] == [] and first["nextPageToken"]
    assert ask("/shares", params={"pageToken": first["nextPageToken"]}).json()["items"]
    demo.recipient("OTHER")
    other = reader(demo.token("OTHER"))
    tries = [(ask, "/shares/DEMO/schemas", first["nextPageToken"]), (other, "/shares", first["nextPageToken"])]
    tries += [(ask, "/shares", token) for token in ("x", "äöü", first["nextPageToken"][:-2], "A" * 500)]
    for who, path, token in tries:
        answer = who(path, params={"pageToken": token})
        assert answer.status_code == 400 and "nextPageToken" in answer.json()["message"]


@pytest.mark.parametrize("value", ["-1", "501", "x", "1e3", "٣", "9" * 30])
def test_max_results_out_of_bounds(demo: Shop, reader: Readers, value: str) -> None:
    answer = reader(demo.token())("/shares", params={"maxResults": value})
    text = "Acceptable values of 'maxResults' are 0 to 500, inclusive. (Default: 500)"
    assert (answer.status_code, answer.json()["message"]) == (400, text)


def test_version_and_its_older_form(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    answer = ask(TABLE + "/version")
    assert (answer.status_code, answer.content, answer.headers["delta-table-version"]) == (200, b"", "1")
    assert ask(TABLE, "HEAD").headers["delta-table-version"] == "1"
    assert ask("/shares/DEMO/schemas/S/tables/NO", "HEAD").status_code == 404


def test_metadata_in_both_formats(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    plain = ask(TABLE + "/metadata")
    assert plain.headers["content-type"] == "application/x-ndjson; charset=utf-8"
    assert plain.headers["delta-sharing-capabilities"] == "responseformat=parquet"
    protocol, metadata = map(json.loads, plain.text.splitlines())
    assert protocol == {"protocol": {"minReaderVersion": 1}}
    inner = metadata["metaData"]
    assert inner["partitionColumns"] == [] and inner["format"] == {"provider": "parquet"} and inner["numFiles"] == 2
    assert json.loads(inner["schemaString"])["fields"][1]["metadata"] == {"comment": "about SPECIES"}
    both = ask(TABLE + "/metadata", headers={"delta-sharing-capabilities": "responseFormat=DELTA,Parquet"})
    assert both.headers["delta-sharing-capabilities"] == "responseformat=parquet"
    delta = ask(TABLE + "/metadata", headers={"delta-sharing-capabilities": "responseformat=delta"})
    assert delta.headers["delta-sharing-capabilities"] == "responseformat=delta"
    protocol, metadata = map(json.loads, delta.text.splitlines())
    assert protocol == {"protocol": {"deltaProtocol": {"minReaderVersion": 1, "minWriterVersion": 2}}}
    assert metadata["metaData"]["deltaMetadata"]["schemaString"] == inner["schemaString"]


def test_query_gives_files_that_hold_the_rows(demo: Shop, reader: Readers) -> None:
    lines = reader(demo.token()).query("DEMO.S.FLOWER")
    assert [next(iter(line)) for line in lines] == ["protocol", "metaData", "file", "file"]
    tables = []
    for line in lines[2:]:
        file = line["file"]
        content = requests.get(file["url"], timeout=10).content
        assert len(content) == file["size"] and json.loads(file["stats"])["numRecords"] == 5
        tables.append(pq.read_table(io.BytesIO(content)))
    assert pa.concat_tables(tables).equals(FLOWER)


def test_delta_lines(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    asked = {"delta-sharing-capabilities": "responseformat=delta;readerfeatures=deletionvectors"}
    lines = ask.query("DEMO.S.FLOWER", **asked)
    add = lines[2]["file"]["deltaSingleAction"]["add"]
    assert add["dataChange"] is True and add["partitionValues"] == {} and add["modificationTime"] > 0
    assert len(requests.get(add["path"], timeout=10).content) == add["size"]
    again = ask.query("DEMO.S.FLOWER", **asked)
    assert [line["file"]["id"] for line in again[2:]] == [line["file"]["id"] for line in lines[2:]]


def test_timestamps_without_time_zone(shop: Shop, reader: Readers) -> None:
    """Old clients get timestamp, clients that know timestampNtz get that, a delta client that does not is told so."""
    shop.share()
    times = pa.table({"T": pa.array([0], pa.timestamp("us"))})
    shop.publish("DEMO", {"S.FLOWER": [times]})
    ask = reader(shop.token())

    def kind(header: str | None) -> tuple[str, Any]:
        answer = ask(TABLE + "/metadata", headers={"delta-sharing-capabilities": header} if header else {})
        assert answer.status_code == 200
        protocol, metadata = map(json.loads, answer.text.splitlines())
        inner = metadata["metaData"].get("deltaMetadata", metadata["metaData"])
        return json.loads(inner["schemaString"])["fields"][0]["type"], protocol["protocol"].get("deltaProtocol")

    assert kind(None) == ("timestamp", None)
    assert kind("responseformat=delta,parquet") == ("timestamp", None)
    ntz = {
        "minReaderVersion": 3,
        "minWriterVersion": 7,
        "readerFeatures": ["timestampNtz"],
        "writerFeatures": ["timestampNtz"],
    }
    assert kind("responseformat=delta,parquet;readerfeatures=timestampntz") == ("timestamp_ntz", ntz)
    refused = ask(TABLE + "/metadata", headers={"delta-sharing-capabilities": "responseformat=delta"})
    assert refused.status_code == 400 and "readerfeatures=timestampntz" in refused.json()["message"]


def test_end_stream_action_only_for_who_asked(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    asked = {"delta-sharing-capabilities": "responseformat=parquet;includeendstreamaction=true"}
    *_, last = ask.query("DEMO.S.FLOWER", **asked)
    assert set(last) == {"endStreamAction"} and last["endStreamAction"]["minUrlExpirationTimestamp"] > 0
    assert "file" in ask.query("DEMO.S.FLOWER", {"includeEndStreamAction": True})[-1]


def test_pages_of_files_and_refresh(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    everything = [line["file"]["id"] for line in ask.query("DEMO.S.FLOWER")[2:]]
    *_, first, end = ask.query("DEMO.S.FLOWER", {"maxFiles": 1, "includeRefreshToken": True})
    token, refresh = end["endStreamAction"]["nextPageToken"], end["endStreamAction"]["refreshToken"]
    *_, second, end = ask.query("DEMO.S.FLOWER", {"maxFiles": 1, "pageToken": token})
    assert [first["file"]["id"], second["file"]["id"]] == everything and "nextPageToken" not in end["endStreamAction"]
    # Published meanwhile: the refreshed files are those of the version that the client reads.
    demo.publish("DEMO", {"S.FLOWER": [FLOWER]})
    demo.provider.execute("CALL dbms_share.update_share_property('DEMO', 'version_access', 'ANY')")
    demo.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")
    lines = ask.query("DEMO.S.FLOWER", {"refreshToken": refresh})
    assert [line["file"]["id"] for line in lines if "file" in line] == everything
    path = TABLE + "/query"
    for body in ({"pageToken": refresh}, {"refreshToken": token}, {"refreshToken": refresh, "version": 1}):
        assert ask(path, "POST", json=body).status_code == 400


def test_limit_and_predicates_only_prune(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    everything = [line["file"]["id"] for line in ask.query("DEMO.S.FLOWER")[2:]]

    def files(body: dict[str, Any]) -> list[str]:
        return [line["file"]["id"] for line in ask.query("DEMO.S.FLOWER", body)[2:]]

    def compared(op: str, value: str, kind: str = "long", name: str = "id") -> dict[str, Any]:
        column = {"op": "column", "name": name, "valueType": kind}
        return {"op": op, "children": [column, {"op": "literal", "value": value, "valueType": kind}]}

    assert files({"limitHint": 5}) == everything[:1] and files({"limitHint": 6}) == everything
    assert files({"limitHint": 0}) == []
    assert files({"jsonPredicateHints": json.dumps(compared("equal", "7"))}) == everything[1:]
    assert files({"jsonPredicateHints": json.dumps(compared("lessThan", "5"))}) == everything[:1]
    both = {"op": "or", "children": [compared("equal", "1"), compared("equal", "8")]}
    assert files({"jsonPredicateHints": json.dumps(both)}) == everything
    negated = {"op": "not", "children": [compared("greaterThanOrEqual", "5")]}
    assert files({"jsonPredicateHints": json.dumps(negated)}) == everything[:1]
    null = {"op": "isNull", "children": [{"op": "column", "name": "ID", "valueType": "long"}]}
    assert files({"jsonPredicateHints": json.dumps(null)}) == []
    assert files({"predicateHints": ["id >= 6"]}) == everything[1:]
    assert files({"predicateHints": ["SPECIES = 'iris-1'"]}) == everything[:1]
    assert files({"predicateHints": ["id >= 6 AND id IS NOT NULL", "nonsense ((("]}) == everything[1:]
    # A limit counts rows that a predicate may still drop, so it does not count with one.
    assert files({"limitHint": 1, "predicateHints": ["id >= 1"]}) == everything
    assert files({"limitHint": 1, "predicateHints": ["SPECIES LIKE '%9'"]}) == everything
    assert files({"limitHint": 1, "jsonPredicateHints": "{"}) == everything
    assert files({"limitHint": 1, "jsonPredicateHints": "", "predicateHints": []}) == everything[:1]
    for unclear in ("id >= 6 OR id = 1", "id + 1 = 3", "other = 3", "", "id = ';DROP TABLE x"):
        assert files({"predicateHints": [unclear]}) == everything, unclear
    for unclear in ("{", "[]", "7", json.dumps(compared("equal", "x")), json.dumps(compared("like", "7"))):
        assert files({"jsonPredicateHints": unclear}) == everything, unclear


def test_file_id_hash(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    answer = ask(TABLE + "/query", "POST", json={}, headers={"fileidhash": "Parquet"})
    assert answer.headers["fileidhash"] == "parquet"
    assert len(json.loads(answer.text.splitlines()[2])["file"]["id"]) == 32
    assert ask(TABLE + "/query", "POST", json={}, headers={"fileidhash": "md4"}).status_code == 400


@pytest.mark.parametrize(
    ("body", "text"),
    [
        ('{"version": 1, "timestamp": "2022-01-01T00:00:00Z"}', "one of: version,timestamp,startingVersion"),
        ('{"version": -1}', "version cannot be negative."),
        ('{"version": "x"}', "version is not a valid number"),
        ('{"version": 1e99}', "version is not a valid number"),
        ('{"version": 123456789012345678901234567890}', "version is not a valid number"),
        ('{"maxFiles": 0}', "maxFiles cannot be less than 1."),
        ('{"limitHint": -1}', "limitHint cannot be negative."),
        ('{"timestamp": "yesterday"}', "history sharing is not enabled on table: DEMO.S.FLOWER"),
        ('{"version": 1}', "history sharing is not enabled on table: DEMO.S.FLOWER"),
        ("[]", "the body is not a JSON object"),
        ("{", "the body is not JSON"),
        ("[" * 100_000, "the body is not JSON"),
    ],
)  # fmt: skip
def test_bodies_that_are_refused(demo: Shop, reader: Readers, body: str, text: str) -> None:
    answer = reader(demo.token())(TABLE + "/query", "POST", data=body)
    assert answer.status_code == 400 and text in answer.json()["message"]


def test_paths_and_methods_that_are_not_in_the_protocol(http: HttpServer, demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    for path in ("/", "/nothing", TABLE + "/nothing", "/shares/DEMO/schemas/S"):
        answer = ask(path)
        assert answer.status_code == 404 and answer.json()["errorCode"] == "RESOURCE_DOES_NOT_EXIST"
    answer = ask(TABLE + "/query")
    assert answer.status_code == 405 and answer.json()["errorCode"] == "UNSUPPORTED_OPERATION"
    assert requests.get(http.url + "/health", timeout=5).json() == {"status": "ok"}
    missing = ask(TABLE + "/queries/f8d5c169-3d01-4ca3-ad9e-7dc3355aedb2", "POST", json={})
    assert missing.status_code == 404


def test_time_travel(shop: Shop, reader: Readers) -> None:
    shop.share(version_access="ANY")
    days = ["2030-01-01 00:00:00+00", "2030-01-02 00:00:00+00", "2030-01-03 00:00:00+00"]
    for number, day in enumerate(days):
        shop.publish("DEMO", {"S.FLOWER": [FLOWER.slice(0, number + 1)]}, published=day)
    ask = reader(shop.token())
    refused = ask(TABLE + "/query", "POST", json={"version": 1})
    assert refused.status_code == 400, "the recipient must be allowed too"
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")

    def rows(body: dict[str, Any]) -> int:
        [line] = ask.query("DEMO.S.FLOWER", body)[2:]
        return json.loads(line["file"]["stats"])["numRecords"]

    assert [rows({"version": n}) for n in (1, 2, 3)] == [1, 2, 3] and rows({}) == 3
    assert rows({"timestamp": "2030-01-02T12:00:00Z"}) == 2 and rows({"timestamp": "2030-01-03T00:00:00Z"}) == 3
    answer = ask(TABLE + "/version", params={"startingTimestamp": "2030-01-01T00:00:01Z"})
    assert answer.headers["delta-table-version"] == "2"
    answer = ask(TABLE + "/metadata", params={"version": 1})
    assert (
        answer.headers["delta-table-version"] == "1"
        and json.loads(answer.text.splitlines()[1])["metaData"]["version"] == 1
    )
    shop.provider.execute("CALL dbms_share.set_current_share_version('DEMO', 2)")
    assert rows({}) == 2 and rows({"version": 1}) == 1
    answer = ask(TABLE + "/query", "POST", json={"version": 3})
    assert answer.status_code == 400 and "the latest is 2" in answer.json()["message"]
    shop.provider.execute("CALL dbms_share.set_current_share_version('DEMO', 3)")
    errors = {
        "is before the earliest version": {"timestamp": "2000-01-01T00:00:00Z"},
        "is after the latest available version": {"timestamp": "2100-01-01T00:00:00Z"},
        "You can only query table data since version 1.": {"version": 0},
        "Cannot time travel to version 9": {"version": 9},
    }
    for text, body in errors.items():
        answer = ask(TABLE + "/query", "POST", json=body)
        assert answer.status_code == 400 and text in answer.json()["message"]
    late = ask(TABLE + "/version", params={"startingTimestamp": "2100-01-01T00:00:00Z"})
    assert late.status_code == 400 and "is after the latest available version" in late.json()["message"]
