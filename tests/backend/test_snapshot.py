"""ml_predict_table while others write: every row's prediction is the model's answer to that very row."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from backend import calls
from backend.calls import value
from backend.world import World
from fix_db import Database

ROWS = 20_000
WRITES = (
    "UPDATE shop.moving SET a = (random() * 30)::int, c = chr(112 + (random() * 2)::int) WHERE id % 50 = {k}",
    "DELETE FROM shop.moving WHERE id % 997 = {k}",
    "INSERT INTO shop.moving SELECT n, (random() * 30)::int, 1 - random(), 'q', 'x' FROM generate_series(1, 500) AS n",
    "UPDATE shop.moving SET b = random() * 6 - 3 WHERE id % 61 = {k}",
)


@pytest.fixture
def moving(made: World, fresh: Database) -> psycopg.Connection:
    """The owner of a table of several batches."""
    owner = fresh.connect(made.owner)
    owner.execute(
        "CREATE TABLE shop.moving AS SELECT i AS id, (random() * 30)::int AS a, random() * 6 - 3 AS b, "
        f"chr(112 + (random() * 2)::int) AS c, repeat('x', 300) AS pad FROM generate_series(1, {ROWS}) AS i"
    )
    assert value(owner, "SELECT pg_relation_size('shop.moving') / 8192") > 600
    return owner


def writer(connection: psycopg.Connection, number: int, done: threading.Event) -> int:
    """Commits changes until it is done; how many."""
    turn = 0
    while not done.is_set():
        # The two may meet at rows in another order; one of them then tries the next statement.
        with contextlib.suppress(psycopg.errors.DeadlockDetected):
            connection.execute(WRITES[turn % len(WRITES)].format(k=2 * turn % 40 + number))
        turn += 1
    return turn


@contextlib.contextmanager
def changes(made: World, fresh: Database) -> Iterator[None]:
    """Two sessions that change the table all the time."""
    done = threading.Event()
    with ThreadPoolExecutor(2) as pool:
        writers = [pool.submit(writer, fresh.connect(made.owner), n, done) for n in range(2)]
        try:
            yield
        finally:
            done.set()
    assert all(w.result() > 3 for w in writers)


def wrong_rows(session: psycopg.Connection, handle: str, output: str) -> int:
    """How many rows of an output carry another prediction than the model's for the row itself."""
    inner = f"SELECT id, a, b, c, ml_results AS said FROM {output}"
    wrong = "SELECT count(*) FROM sys.ml_predict(%s, %s) AS p WHERE p.ml_results IS DISTINCT FROM p.row->'said'"
    return int(value(session, wrong, handle, inner))


@pytest.mark.parametrize("handle", ["t_int", "t_numeric"])
def test_predictions_fit_their_rows(made: World, fresh: Database, moving: psycopg.Connection, handle: str) -> None:
    with changes(made, fresh):
        for turn in range(2):
            calls.predict_table(moving, "shop.moving", handle, f"shop.out_{turn}")
        score = calls.score(moving, "shop.moving", "a", "t_smallint", "r2")
    assert score < 1
    for turn in range(2):
        assert wrong_rows(moving, handle, f"shop.out_{turn}") == 0
        assert value(moving, f"SELECT count(*) FROM shop.out_{turn}") > ROWS / 2


@pytest.mark.parametrize("handle", ["t_int", "t_numeric"])
def test_a_reader_with_snapshots_of_its_own_would_be_noticed(
    made: World, fresh: Database, moving: psycopg.Connection, handle: str
) -> None:
    fresh.connect().execute("ALTER FUNCTION sys._scored() VOLATILE")
    with changes(made, fresh):
        assert any(misfits(moving, handle, f"shop.out_{turn}") for turn in range(5))


def misfits(session: psycopg.Connection, handle: str, output: str) -> bool:
    """Whether predictions are those of other rows, or there are more rows than predictions."""
    try:
        calls.predict_table(session, "shop.moving", handle, output)
    except psycopg.errors.ArraySubscriptError:
        return True
    return wrong_rows(session, handle, output) > 0
