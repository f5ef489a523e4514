"""A session that has a partitioned model open sees each change of it, also one that looks like what it knows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from backend import calls
from backend.calls import value
from backend.conftest import copied
from backend.test_partitions import TABLE, train
from backend.world import World
from fix_db import Database
from fix_server import Server

SWAP = "UPDATE shop.sales SET answer = CASE answer WHEN 'yes' THEN 'no' ELSE 'yes' END"
RIGHT = "SELECT avg((sys.prediction('{}', s) = answer)::int)::float8 FROM shop.sales AS s"


@pytest.fixture
def shop(server: Server, made: World) -> Iterator[Database]:
    """A database with shop.sales, whose answers are easy."""
    with copied(server, made) as db, db.connect(made.owner) as owner:
        owner.execute(TABLE)
        owner.execute("UPDATE shop.sales SET answer = CASE WHEN a > 50 THEN 'yes' ELSE 'no' END")
        yield db


@pytest.fixture
def owner(shop: Database, made: World) -> psycopg.Connection:
    return shop.connect(made.owner)


def share_right(connection: psycopg.Connection, handle: str) -> float:
    return float(value(connection, RIGHT.format(handle)))


def test_trained_again_under_the_same_handle(owner: psycopg.Connection, shop: Database, made: World) -> None:
    train(owner, ["region"], "m")
    calls.grant(owner, "m", made.other)
    owner.execute("GRANT USAGE ON SCHEMA shop TO PUBLIC; GRANT SELECT ON shop.sales TO PUBLIC")
    guest = shop.connect(made.other)
    shared = f"m@{made.owner}"
    assert share_right(owner, "m") > 0.9 and share_right(guest, shared) > 0.9
    owner.execute("CALL sys.ml_model_drop('m')")
    owner.execute(SWAP)
    train(owner, ["region"], "m")
    calls.grant(owner, "m", made.other)
    assert share_right(owner, "m") > 0.9 and share_right(guest, shared) > 0.9
    assert calls.score(owner, "shop.sales", "answer", "m", "accuracy") > 0.9


def _trained(connection: psycopg.Connection) -> None:
    train(connection, ["region"], "m")


def _replaced(connection: psycopg.Connection) -> None:
    if not value(
        connection, f"SELECT count(*) FROM {calls.catalog(connection)}.model_catalog WHERE model_handle = 'm'"
    ):
        _trained(connection)
    query = "SELECT region, a, b, c, answer FROM shop.sales"
    connection.execute("CALL sys.ml_model_add_partition('m', %s, 'REPLACE')", (query,))


@pytest.mark.parametrize("change", [_trained, _replaced])
def test_after_a_change_that_was_rolled_back(
    owner: psycopg.Connection, change: Callable[[psycopg.Connection], None]
) -> None:
    if change is _replaced:
        _trained(owner)
    with owner.transaction(force_rollback=True):
        change(owner)
        assert share_right(owner, "m") > 0.9
    owner.execute(SWAP)
    change(owner)
    assert share_right(owner, "m") > 0.9


def test_renamed_in_the_place_of_another(owner: psycopg.Connection) -> None:
    train(owner, ["region"], "live")
    assert share_right(owner, "live") > 0.9
    owner.execute(SWAP)
    train(owner, ["region"], "new")
    owner.execute("CALL dbms_data_mining.rename_model('new', 'live', 'old')")
    assert share_right(owner, "live") > 0.9 and share_right(owner, "old") < 0.1


def test_the_same_data_make_the_same_bytes(owner: psycopg.Connection) -> None:
    digests = set()
    for handle in ("one", "two"):
        train(owner, ["region"], handle)
        digests.add(calls.metadata(owner, handle)["object_sha256"])
    assert len(digests) == 1
