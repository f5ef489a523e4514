"""sys.ml_settings and sys.ml_set, and sys.json_object."""

from __future__ import annotations

from collections.abc import Callable

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.world import World
from fix_db import Database

NAMES = {
    "training_memory",
    "training_threads",
    "training_seconds",
    "audit_seconds",
    "audit_memory",
    "cache_size",
    "import_size",
}


def test_settings_have_defaults(owner: psycopg.Connection) -> None:
    found = rows(owner, "SELECT name, value, default_value, description FROM sys.ml_settings")
    assert {row[0] for row in found} >= NAMES
    assert all(row[1] == row[2] and row[3] for row in found)


def test_a_setting_holds_until_it_is_reset(within: Callable[..., psycopg.Connection]) -> None:
    admin = within()
    shown = "SELECT value, default_value FROM sys.ml_settings WHERE name = 'cache_size'"
    default = rows(admin, shown)[0][1]
    admin.execute("CALL sys.ml_set('cache_size', 7)")
    admin.execute("CALL sys.ml_set('cache_size', 8)")
    assert rows(admin, shown) == [(8, default)]
    admin.execute("CALL sys.ml_set('cache_size', NULL)")
    assert rows(admin, shown) == [(default, default)]


def test_wrong_settings(within: Callable[..., psycopg.Connection], owner: psycopg.Connection) -> None:
    admin = within()
    with refused(admin, "ML001", 'unknown setting "nonsense"', hint="sys.ml_settings"):
        admin.execute("CALL sys.ml_set('nonsense', 7)")
    with refused(admin, "23514"):
        admin.execute("CALL sys.ml_set('cache_size', -1)")
    with refused(owner, "42501", "permission denied for procedure ml_set"):
        owner.execute("CALL sys.ml_set('cache_size', 7)")
    with refused(owner, "42501"):
        owner.execute("UPDATE sys._setting SET value = 1")


def test_the_size_of_imports_is_limited(made: World, fresh: Database) -> None:
    owner = fresh.connect(made.owner)
    calls.export(owner, "t_int", "shop.sent")
    model = bytes(value(owner, "SELECT model_object FROM shop.sent"))
    fresh.connect().execute("CALL sys.ml_set('import_size', 0)")
    with refused(owner, "ML304", "too large"):
        calls.import_table(owner, "shop", "sent")
    with refused(owner, "ML304", "too large"):
        calls.import_object(owner, model, {})


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ("'schema', 'x', 'table', 'y'", {"schema": "x", "table": "y"}),
        ("", {}),
        ("'n', 1, 'b', true, 'l', sys.json_object('a', NULL)", {"n": 1, "b": True, "l": {"a": None}}),
    ],
)
def test_json_object(owner: psycopg.Connection, arguments: str, expected: object) -> None:
    assert value(owner, f"SELECT sys.JSON_OBJECT({arguments})") == expected
    assert value(owner, f"SELECT pg_typeof(sys.json_object({arguments}))::text") == "jsonb"


def test_json_object_where_it_does_not_fit(owner: psycopg.Connection) -> None:
    with refused(owner, "22023"):
        owner.execute("SELECT sys.json_object('a')")
    with refused(owner, "22023"):
        owner.execute("SELECT sys.json_object(NULL, 1)")


def test_the_manual_s_calls_carry_over(owner: psycopg.Connection) -> None:
    owner.execute("CALL sys.ML_MODEL_EXPORT('t_int', 'shop.model_export')")
    owner.execute(
        "CALL sys.ML_MODEL_IMPORT(NULL, sys.JSON_OBJECT('schema', 'shop', 'table', 'model_export'), 'copied')"
    )
    owner.execute("CALL sys.ML_MODEL_LOAD('copied', NULL)")
    owner.execute("CALL sys.ML_PREDICT_TABLE('shop.goods', 'copied', 'shop.predictions', NULL)")
    owner.execute("CALL sys.ML_SCORE('shop.goods', 't_int', 'copied', 'accuracy', NULL, NULL)")
    assert value(owner, "SELECT count(*) FROM shop.predictions") == 150
