"""Partitions built on a Dask cluster of real processes over TLS, which an administrator has named."""

from __future__ import annotations

import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.conftest import copied
from backend.test_partitions import TABLE, train
from backend.world import World
from fix_db import Database
from fix_server import Server
from unit.cluster_processes import Cluster, certificates, cluster

pytestmark = pytest.mark.private

SET = "CALL sys.ml_executor_set(%s, %s, %s, %s, %s)"


@pytest.fixture(scope="module")
def farm() -> Iterator[Cluster]:
    """A cluster whose certificates the server's user may read."""
    with tempfile.TemporaryDirectory() as name:
        directory = Path(name)
        certificates(directory)
        directory.chmod(0o755)
        for path in directory.iterdir():
            path.chmod(0o644)
        with cluster(directory) as made:
            yield made


@pytest.fixture(scope="module")
def shop(server: Server, made: World, farm: Cluster) -> Iterator[Database]:
    """A database with the table, the executor "farm", and one at whose address nobody is."""
    with copied(server, made) as db, db.connect(made.owner) as owner, db.connect() as admin:
        owner.execute(TABLE)
        admin.execute(SET, tuple(farm.executor.values()))
        admin.execute(SET, ("nobody", "tls://127.0.0.1:1", *list(farm.executor.values())[2:]))
        yield db


@pytest.fixture
def owner(shop: Database, made: World) -> Iterator[psycopg.Connection]:
    with shop.connect(made.owner) as connection, connection.transaction(force_rollback=True):
        yield connection


def partitions(connection: psycopg.Connection, handle: str) -> list[Any]:
    table = calls.catalog(connection) + ".model_partition"
    columns = "partition_name, status, n_rows, score, digest"
    return rows(connection, f"SELECT {columns} FROM {table} WHERE model_handle = %s ORDER BY partition_id", handle)


def test_a_cluster_builds_the_same_model(owner: psycopg.Connection) -> None:
    train(owner, ["region"], "here", unseen_key="fallback")
    train(owner, ["region"], "there", unseen_key="fallback", executor="farm")
    assert partitions(owner, "there") == partitions(owner, "here") and len(partitions(owner, "there")) == 5


def test_a_lost_executor_leaves_nothing_behind(owner: psycopg.Connection) -> None:
    before = calls.handles(owner)
    with refused(owner, "ML112", 'executor "nobody" failed'):
        train(owner, ["region"], "lost", executor="nobody")
    assert calls.handles(owner) == before
    assert value(owner, f"SELECT count(*) FROM {calls.catalog(owner)}.model_partition WHERE model_handle = 'lost'") == 0


def test_only_administrators_name_executors(owner: psycopg.Connection, farm: Cluster) -> None:
    with refused(owner, "42501"):
        owner.execute(SET, ("own", *list(farm.executor.values())[1:]))
    with refused(owner, "ML002", 'there is no executor "tls://127.0.0.1:1"'):
        train(owner, ["region"], "x", executor="tls://127.0.0.1:1")
