"""What changed between versions, by row, through the official client and in both formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import pyarrow as pa
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
    if not delta:  # the client's own log begins at 3 then, which its kernel does not read
        assert run_client(profile, LOAD, delta=delta, more={"starting_version": 3}) == []


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
    ],
)
def test_ranges_that_are_refused(history: Shop, reader: Readers, query: str, text: str) -> None:
    answer = reader(history.token())(f"{TABLE}/changes?{query}")
    assert answer.status_code == 400 and text in answer.json()["message"]


def test_no_changes_without_key_or_history(shop: Shop, reader: Readers) -> None:
    shop.share()
    shop.publish("DEMO", {"S.T": [people(p1="Ada")]}, key=["id"])
    answer = reader(shop.token())(TABLE + "/changes", params={"startingVersion": 1})
    assert answer.status_code == 400 and answer.json()["message"] == "cdf is not enabled on table S.T"


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
