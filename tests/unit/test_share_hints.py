"""Predicates in requests: no file that holds a row in question is left out, and none takes long."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest

from mlshare_server.server import hints, sqlhints

SCHEMA = {"fields": [{"name": name, "type": "long"} for name in "abc"] + [{"name": "r", "type": "float"}]}
# A file with the one row a = 1, b = 1, c = 1.
ONES = json.dumps({"numRecords": 1, "minValues": dict.fromkeys("abc", 1), "maxValues": dict.fromkeys("abc", 1),
                   "nullCount": dict.fromkeys("abc", 0)})  # fmt: skip


def kept(*texts: str, stats: str = ONES) -> bool:
    return hints.keeps(sqlhints.predicate(list(texts), SCHEMA), stats)


@pytest.mark.parametrize(
    "hint",
    [
        "a = 1 OR b = 2 AND c = 3",
        "NOT (a = 9 AND b = 2 AND c = 3)",
        "(a = 7 AND b = 2 AND c = 3) OR a = 1",
        "a = 1 AND b BETWEEN 1 AND c = 1",
    ],
)
def test_no_part_of_a_hint_is_taken_for_the_whole(hint: str) -> None:
    assert kept(hint)
    assert kept("a = 1", hint) and not kept("a = 2", hint)


def test_conditions_that_are_all_understood() -> None:
    assert kept("a = 1 AND b IS NOT NULL AND c <> 2")
    assert not kept("a = 1 AND b = 2") and not kept("a = 1", "b IS NULL")


def literal(value: str) -> dict[str, Any]:
    return {"op": "literal", "value": value, "valueType": "long"}


def equal(value: str) -> dict[str, Any]:
    return {"op": "equal", "children": [{"op": "column", "name": "a", "valueType": "long"}, literal(value)]}


def test_a_predicate_of_many_nodes_is_dropped() -> None:
    assert not kept(" AND ".join(["a = 2"] * 300)) and kept(" AND ".join(["a = 2"] * 400))
    assert not kept(*["a = 2"] * 300) and kept(*["a = 2"] * 400)
    assert hints.parse(json.dumps({"op": "or", "children": [equal("2")] * 300}))
    for children in ([equal("2")] * 400, [1] * 1000, "x" * 1000, 7):
        assert hints.parse(json.dumps({"op": "or", "children": children})) is None


@pytest.mark.parametrize("hint", ["a =" + " " * 500_000 + "?", "a" * 1_000_000, "a = 1 AND " * 100_000])
def test_a_long_hint_is_read_in_time(hint: str) -> None:
    begun = time.monotonic()
    assert kept(hint)
    assert time.monotonic() - begun < 5


@pytest.mark.parametrize("hint", ["r = 0.1", "r < 0.7", "r <= 0.1", "r > 0.1", "r >= 0.1"])
def test_constants_beside_float32(hint: str) -> None:
    """Some clients round 0.1 to 0.10000000149 before they compare, others do not."""
    value = 0.699999988079071 if "0.7" in hint else 0.10000000149011612
    stats = {"numRecords": 1, "minValues": {"r": value}, "maxValues": {"r": value}, "nullCount": {"r": 0}}
    assert kept(hint, stats=json.dumps(stats))
    assert not kept("r = 0.2", stats=json.dumps(stats))
