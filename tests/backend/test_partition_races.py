"""Partitions changed by several sessions at once, and by one that is killed."""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest

from backend import calls
from backend.calls import rows, value
from backend.test_partitions import NB
from backend.world import World
from fix_db import Database
from mlshare_tools import cluster, migrate
from mlshare_tools.throwaway import Throwaway, throwaway

SECONDS = float(os.environ.get("MLSHARE_RACE_SECONDS", "8"))
# What a change of partitions may say when another was quicker; everything else is a failure of this test.
DOCUMENTED = {"ML503", "ML504", "ML505", "40001", "40P01"}
DATA = (
    "CREATE TABLE {table} AS SELECT i AS a, i % 7 AS b, k, CASE WHEN i % 9 > n THEN 'yes' ELSE 'no' END AS y "
    "FROM generate_series(1, 90) AS i, (VALUES ('x', 3), ('y', 5), ('p', 4), ('q', 2)) AS k (k, n)"
)
OPTIONS = {**NB, "partition_columns": ["k"]}


def change(connection: psycopg.Connection, *steps: tuple[str, str], table: str = "shop.racing") -> None:
    """One transaction that adds (+) and drops (-) partitions of the model racing."""
    with connection.transaction():
        for what, key in steps:
            if what == "+":
                query = f"SELECT * FROM {table} WHERE k = '{key}'"
                connection.execute("CALL sys.ml_model_add_partition('racing', %s)", (query,))
            else:
                connection.execute("CALL sys.ml_model_drop_partition('racing', %s)", (key,))


def writer(connection: psycopg.Connection, first: str, second: str, done: threading.Event) -> int:
    """Exchanges two partitions, one for the other, again and again; how often."""
    turns, there, wanted = 0, first, second
    while not done.is_set():
        try:
            change(connection, ("+", wanted), ("-", there))
            turns, there, wanted = turns + 1, wanted, there
        except psycopg.Error as error:
            if error.sqlstate not in DOCUMENTED:
                raise
    return turns


def reader(connection: psycopg.Connection, done: threading.Event) -> int:
    """Scores rows of all four keys, in all ways; how often. Exactly one of each pair has a prediction."""
    turns = 0
    query = "SELECT a, b, k FROM shop.racing"
    while not done.is_set():
        table = f"pg_temp.said_{turns}"
        calls.predict_table(connection, "shop.racing", "racing", table)
        by_table = rows(connection, f"SELECT k, count(*), count(prediction) FROM {table} GROUP BY k")
        by_query = rows(
            connection,
            "SELECT p.row->>'k', count(*), count(p.prediction) FROM sys.ml_predict('racing', %s) AS p GROUP BY 1",
            query,
        )
        by_row = rows(
            connection,
            "SELECT k, count(*), count(nullif(sys.ml_predict_row(to_jsonb(t), 'racing')->'Prediction', 'null')) "
            "FROM shop.racing AS t GROUP BY k",
        )
        for found in (by_table, by_query, by_row):
            predicted = {key: n for key, total, n in found if n}
            assert set(predicted.values()) == {90}, found
            assert len(predicted.keys() & {"x", "y"}) == 1 and len(predicted.keys() & {"p", "q"}) == 1, found
        turns += 1
    return turns


def test_sessions_that_add_drop_and_score(made: World, fresh: Database) -> None:
    owner = fresh.connect(made.owner)
    owner.execute(DATA.format(table="shop.racing"))
    owner.execute("CREATE VIEW shop.start AS SELECT * FROM shop.racing WHERE k IN ('x', 'p')")
    calls.train(owner, "shop.start", "y", OPTIONS, "racing")
    done = threading.Event()
    with ThreadPoolExecutor(4) as pool:
        tasks: list[Future[int]] = [
            pool.submit(writer, fresh.connect(made.owner), "x", "y", done),
            pool.submit(writer, fresh.connect(made.owner), "p", "q", done),
            pool.submit(reader, fresh.connect(made.owner), done),
        ]
        end = time.monotonic() + SECONDS
        while time.monotonic() < end and not any(t.done() for t in tasks):
            time.sleep(0.1)
        done.set()
        turns = [t.result() for t in tasks]
    assert all(turns), turns
    table = calls.catalog(owner) + ".model_object_catalog"
    orphans = (
        f"SELECT count(*) FROM {table} AS o WHERE model_handle = 'racing' AND partition_id > 0 AND NOT EXISTS "
        f"(SELECT FROM {calls.catalog(owner)}.model_partition AS p "
        "WHERE p.model_handle = o.model_handle AND p.partition_id = o.partition_id)"
    )
    assert value(owner, orphans) == 0


# --- a killed backend ----------------------------------------------------------------------------


@pytest.fixture
def server_to_kill() -> Iterator[Throwaway]:
    """A server of this test alone: killing one backend restarts all others of its server."""
    with throwaway(cluster.existing()) as made:
        migrate.migrate(made.dsn("postgres"))
        yield made


def settled(made: Throwaway) -> psycopg.Connection:
    """A connection once the server has recovered."""
    for _ in range(200):
        with contextlib.suppress(psycopg.OperationalError):
            return made.connect()
        time.sleep(0.1)
    raise AssertionError("the server did not come back")


@pytest.mark.private
def test_kill_9_in_the_middle_of_adding(server_to_kill: Throwaway) -> None:
    with server_to_kill.connect() as admin:
        admin.execute(DATA.format(table="public.racing"))
        admin.execute("CREATE VIEW public.start AS SELECT * FROM public.racing WHERE k = 'x'")
        calls.train(admin, "public.start", "y", OPTIONS, "racing")
        # The server commits asynchronously: of its last half second a crash may leave nothing.
        admin.execute("CHECKPOINT")
        before = _state(admin)
    whole = _seconds_to_add(server_to_kill)
    for part in (0.0, 0.2, 0.5):
        _kill_while_adding(server_to_kill, part * whole)
        with settled(server_to_kill) as admin:
            assert _state(admin) == before
            row = {"a": 1, "b": 2, "k": "x"}
            assert calls.predict_row(admin, row, "racing")["Prediction"] in ("yes", "no")
    with settled(server_to_kill) as admin:
        change(admin, ("+", "y"), table="public.racing")
        assert len(_state(admin)) == 2


def _state(admin: psycopg.Connection) -> list[tuple[object, ...]]:
    statement = (
        "SELECT partition_id, partition_name, digest, built_at FROM ml_schema_postgres.model_partition ORDER BY 1"
    )
    return rows(admin, statement)


def _seconds_to_add(server: Throwaway) -> float:
    """How long a partition takes that is not kept."""
    with server.connect() as admin, admin.transaction(force_rollback=True):
        start = time.monotonic()
        change(admin, ("+", "y"), table="public.racing")
        return time.monotonic() - start


def _kill_while_adding(server: Throwaway, wait: float) -> None:
    """Kill a backend that adds a partition, ``wait`` seconds after its process has started to fit."""
    session = server.connect()
    pid = value(session, "SELECT pg_backend_pid()")

    def add() -> None:
        with contextlib.suppress(psycopg.OperationalError):
            change(session, ("+", "y"), table="public.racing")
            raise AssertionError("it was not killed")

    with ThreadPoolExecutor(1) as pool:
        adding = pool.submit(add)
        children = _children(pid)
        time.sleep(wait)
        os.kill(pid, signal.SIGKILL)
        adding.result()
    session.close()
    end = time.monotonic() + 5
    while any(os.path.exists(f"/proc/{child}/exe") for child in children):
        assert time.monotonic() < end, "a process is left"
        time.sleep(0.05)


def _children(pid: int) -> list[int]:
    """Processes that a process has started, as soon as there is one."""
    for _ in range(500):
        with open(f"/proc/{pid}/task/{pid}/children") as file:
            found = [int(word) for word in file.read().split()]
        if found:
            return found
        time.sleep(0.01)
    raise AssertionError("no process was started")
