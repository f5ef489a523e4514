"""Roles of every name have a catalog, or are told why not."""

from __future__ import annotations

import itertools
from collections.abc import Callable

import psycopg
import pytest

from backend import calls
from backend.calls import rows, value
from backend.world import World
from fix_db import Database, unique

GOODS = {"a": 1, "b": 2, "c": "p"}
numbers = itertools.count(1)
NAMES = ["dot.ted", "Capital", 'quo"te', "apo'strophe", "two words", "per%cent {x}", "ünï☃", "select", "back\\slash"]


def padded(name: str, size: int) -> str:
    """A name made unique and as many bytes long."""
    name = unique(name)
    return name + "x" * (size - len(name.encode()))


@pytest.fixture
def sent(owner: psycopg.Connection) -> tuple[bytes, object]:
    """An exported model."""
    calls.export(owner, "t_int", "shop.sent")
    ((model, about),) = rows(owner, "SELECT model_object, model_metadata FROM shop.sent")
    return bytes(model), about


@pytest.mark.parametrize("name", [*NAMES, "long"])
def test_a_role_of_any_name(
    made: World, db: Database, role: Callable[..., str], sent: tuple[bytes, object], name: str
) -> None:
    mine = role(padded(name, 53) if name == "long" else unique(name))
    friend = role(unique("friend." + name[:20]))
    connection, other = db.connect(mine), db.connect(friend)
    handle = calls.import_object(connection, *sent)
    assert handle.startswith("imported_") and "@" not in handle and '"' not in handle
    assert calls.handles(connection) == {handle}
    assert value(connection, f"SELECT model_owner FROM {calls.catalog(connection)}.model_catalog") == mine
    expected = calls.predict_row(connection, GOODS, handle)
    calls.grant(connection, handle, friend, "SELECT")
    for form in (handle, f"{handle}@{mine}"):
        assert calls.predict_row(other, GOODS, form) == expected
    assert rows(other, "SELECT model_owner, grantee FROM sys.ml_model_privileges") == [(mine, friend)]
    calls.export(other, handle, "pg_temp.sent")
    calls.revoke(connection, handle, friend)
    with calls.refused(other, "ML200"):
        calls.predict_row(other, GOODS, handle)
    connection.execute("CALL sys.ml_model_drop(%s)", (handle,))


@pytest.mark.parametrize("size", [54, 63])
def test_a_name_that_is_too_long(db: Database, role: Callable[..., str], sent: tuple[bytes, object], size: int) -> None:
    name = role(padded("long", size))
    connection = db.connect(name)
    words = f'role "{name}" cannot have a model catalog: its name is longer than 53 bytes'
    with calls.refused(connection, "ML006", words, hint="Rename the role"):
        connection.execute("CALL sys.ml_create_or_upgrade_catalog()")
    with calls.refused(connection, "ML006", words, hint="Rename the role"):
        calls.import_object(connection, *sent)
    with calls.refused(connection, "ML200"):
        calls.predict_row(connection, GOODS, "x")


def test_bytes_count_and_not_letters(db: Database, role: Callable[..., str]) -> None:
    connection = db.connect(role(unique("☃" * 14)))  # 42 bytes and the number
    connection.execute("CALL sys.ml_create_or_upgrade_catalog()")
    with calls.refused(db.connect(role(unique("☃" * 16))), "ML006"):
        db.opened[-1].execute("CALL sys.ml_create_or_upgrade_catalog()")


def test_a_schema_of_that_name_that_belongs_to_another(
    db: Database, role: Callable[..., str], sent: tuple[bytes, object]
) -> None:
    name = role()
    db.connect().execute(f"CREATE SCHEMA ml_schema_{name}")
    connection = db.connect(name)
    with calls.refused(connection, "ML203", f"it does not belong to role {name}"):
        calls.import_object(connection, *sent)
    with calls.refused(connection, "ML203", f'the model catalog "ml_schema_{name}" cannot be used'):
        connection.execute("CALL sys.ml_create_or_upgrade_catalog()")


def test_a_role_that_is_acted_as_gets_the_catalog(
    db: Database, role: Callable[..., str], sent: tuple[bytes, object]
) -> None:
    name = role()
    admin = db.connect()
    admin.execute(f"SET ROLE {name}")
    handle = calls.import_object(admin, *sent)
    admin.execute("RESET ROLE")
    owner = "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = %s"
    assert value(admin, owner, f"ml_schema_{name}") == name
    assert calls.predict_row(db.connect(name), GOODS, handle)
    assert value(admin, "SELECT count(*) FROM pg_namespace WHERE nspname = 'ml_schema_postgres'") == 0
