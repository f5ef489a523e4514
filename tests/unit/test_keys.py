"""Keys of rows: the quick way finds what the thorough one finds, or nothing."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlshare import keys
from mlshare.document import reader
from mlshare.keys import KeyColumn, Router

NUMBER, TEXT = KeyColumn("n", "number"), KeyColumn("t", "text")
BOOLEAN, DAY = KeyColumn("b", "boolean"), KeyColumn("d", "date")
ROUTERS = {
    "number": Router((NUMBER,), (("0",), ("1",), ("-7",), ("2.5",), ("9007199254740993",), ("1" + "0" * 30,))),
    "text": Router((TEXT,), (("",), ("1",), ("true",), ("north",), ("null",))),
    "boolean": Router((BOOLEAN,), (("false",), ("true",))),
    "date": Router((DAY,), (("2024-02-29",), ("12024-01-01",))),
    "all": Router(
        (NUMBER, TEXT, BOOLEAN, DAY), tuple((n, "1", b, "2024-02-29") for n in "12" for b in ("true", "false"))
    ),
}
# Each as a JSON document holds it: what Python takes for equal need not be the same key.
VALUES = (
    *("0", "1", "-0", "-7", "2", "2.5", "1.0", "1e0", "true", "false", "null", "[]", "{}"),
    *("9007199254740993", "9007199254740993.0", "1e30", "1" + "0" * 30),
    *map(json.dumps, ("", "1", "1.0", "true", "t", "north", "north ", "null", "2024-02-29", "2024-02-29T00:00:00")),
)


def thorough(router: Router, document: str) -> int | None:
    """The position of a row's key, by its text; None without one."""
    try:
        key = keys.of_row(router.columns, json.loads(document), document)
    except keys.InvalidFeatureValue:
        return None
    return None if key is None else router.position.get(key)


@pytest.mark.parametrize("name", ["number", "text", "boolean", "date"])
def test_the_quick_way_is_the_thorough_one(name: str) -> None:
    router = ROUTERS[name]
    documents = [f'{{"{router.columns[0].name}": {value}}}' for value in VALUES]
    found = {d: router.places.get(reader(router.usual)(d)) for d in documents}
    assert {d: at for d, at in found.items() if at is not None and at != thorough(router, d)} == {}
    assert (
        len({at for at in found.values() if at is not None}) >= {"number": 4, "text": 5, "boolean": 2, "date": 1}[name]
    )


def test_the_quick_way_of_several_columns() -> None:
    router = ROUTERS["all"]
    row: dict[str, Any] = {"n": 2, "t": "1", "b": True, "d": "2024-02-29"}
    assert router.places[reader(router.usual)(json.dumps(row))] == router.position["2", "1", "true", "2024-02-29"]
    for name in row:
        assert reader(router.usual)(json.dumps({k: v for k, v in row.items() if k != name})) is None
        for value in VALUES:
            document = json.dumps({**row, name: json.loads(value)})
            at = router.places.get(reader(router.usual)(document))
            assert at is None or at == thorough(router, document)
