"""Times in requests: what is refused, and that the errors name a time that is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable

import pyarrow as pa
import pytest

from fix_http import Reader, Shop

Readers = Callable[[str], Reader]
TABLE = "/shares/DEMO/schemas/S/tables/T"
PUBLISHED = ("2030-01-01 00:00:00.000001+00", "2030-01-02 00:00:00.999999+00")
EARLY, LATE = "2000-01-01T00:00:00Z", "2100-01-01T00:00:00Z"


@pytest.fixture
def history(shop: Shop) -> Shop:
    """Two versions, of one row and of two, published at moments that are no whole seconds."""
    shop.share(version_access="ANY")
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")
    for number, published in enumerate(PUBLISHED, 1):
        shop.publish("DEMO", {"S.T": [pa.table({"id": range(number)})]}, key=["id"], published=published)
    return shop


@pytest.mark.parametrize(
    ("given", "text", "rows"),
    [
        (EARLY, "2000-01-01T00:00:00Z is before the earliest version available. Please use a timestamp greater", 1),
        (LATE, "2100-01-01T00:00:00Z is after the latest available version 2. Please use a timestamp less", 2),
    ],
)
def test_the_time_that_the_error_names_is_accepted(
    history: Shop, reader: Readers, given: str, text: str, rows: int
) -> None:
    ask = reader(history.token())
    answer = ask(TABLE + "/query", "POST", json={"timestamp": given})
    assert answer.status_code == 400
    found = re.fullmatch(rf"{re.escape(text)} than or equal to (\S+)\.", answer.json()["message"])
    assert found, answer.text
    [line] = ask.query("DEMO.S.T", {"timestamp": found[1]})[2:]
    assert json.loads(line["file"]["stats"])["numRecords"] == rows


def test_the_earliest_version_after_a_time_is_known_before_the_first(history: Shop, reader: Readers) -> None:
    ask = reader(history.token())
    assert ask(TABLE + "/version", params={"startingTimestamp": EARLY}).headers["delta-table-version"] == "1"
    answer = ask(TABLE + "/version", params={"startingTimestamp": LATE})
    assert answer.status_code == 400 and "is after the latest available version 2" in answer.json()["message"]


def test_changes_since_a_time_that_is_not_known_are_refused(history: Shop, reader: Readers) -> None:
    """Once version 1 is gone, an answer would give rows out as inserted that were there before."""
    ask = reader(history.token())
    history.admin.execute("UPDATE mlshare_share.version SET status = 'DROPPED' WHERE share_version = 1")
    for first in ("2030-01-01T12:00:00Z", EARLY):
        answer = ask(TABLE + "/changes", params={"startingTimestamp": first})
        assert answer.status_code == 400 and "is before the earliest version" in answer.json()["message"]


def test_without_history_no_time_is_read(shop: Shop, reader: Readers) -> None:
    shop.share()
    shop.publish("DEMO", {"S.T": [pa.table({"id": [1]})]})
    ask = reader(shop.token())
    answers = [
        ask(TABLE + "/version", params={"startingTimestamp": "yesterday"}),
        ask(TABLE + "/metadata", params={"timestamp": "yesterday"}),
        ask(TABLE + "/query", "POST", json={"timestamp": "yesterday"}),
    ]
    for answer in answers:
        assert answer.status_code == 400
        assert answer.json()["message"].endswith("history sharing is not enabled on table: DEMO.S.T")
