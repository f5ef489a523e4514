"""Hostile ONNX through ml_model_import, as an object and as an export table: refused beside the backend."""

from __future__ import annotations

import json
import queue
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor

import psycopg
import pytest
import zstandard

from security import hostile_models as hostile
from security.arena import Arena, Outcome

# Every process that looks at a model takes half a second to start; the unit tests of the audit go through all cases.
AS_OBJECT, AS_TABLE = sorted(hostile.CASES)[::2], sorted(hostile.CASES)[1::8]
SIDE_BY_SIDE = 3
METADATA = json.dumps(hostile.METADATA)
# A clear refusal, or the limits of the process that looks at the model; never a crash that only happened not to matter.
REFUSALS = {"ML300", "ML301", "ML303", "ML304", "ML305", "ML405", "53200", "ML122"}


@pytest.fixture(scope="module")
def desk(shared_arena: Arena) -> Arena:
    shared_arena.run(
        "other", "CREATE SCHEMA desk", "CREATE TABLE desk.t (chunk_id int, model_object bytea, model_metadata jsonb)"
    )
    return shared_arena


@pytest.fixture(scope="module")
def outcomes(desk: Arena) -> Iterator[dict[str, Future[Outcome]]]:
    """What came of each; the processes that look at the models start side by side."""
    sessions: queue.SimpleQueue[psycopg.Connection] = queue.SimpleQueue()
    for _ in range(SIDE_BY_SIDE):
        sessions.put(desk.session("other"))

    def attack(name: str, attempt: Callable[[Arena, psycopg.Connection, bytes], Outcome]) -> Outcome:
        session = sessions.get()
        try:
            return attempt(desk, session, hostile.CASES[name]())
        finally:
            sessions.put(session)

    plans = {name: (name, as_object) for name in AS_OBJECT}
    plans |= {f"{name} in a table": (name, as_table) for name in AS_TABLE}
    with ThreadPoolExecutor(SIDE_BY_SIDE) as pool:
        yield {title: pool.submit(attack, *plan) for title, plan in plans.items()}


def as_object(desk: Arena, session: psycopg.Connection, raw: bytes) -> Outcome:
    return desk.attempt(session, "CALL sys.ml_model_import(%s, %s, NULL)", (raw, METADATA))


def as_table(desk: Arena, session: psycopg.Connection, raw: bytes) -> Outcome:
    stored, table = zstandard.compress(raw), f"t{session.info.backend_pid}"
    cut = len(stored) // 2
    session.execute(f"CREATE TABLE IF NOT EXISTS desk.{table} (LIKE desk.t)".encode())
    session.execute(f"DELETE FROM desk.{table}".encode())
    for row in ((1, stored[:cut], METADATA), (2, stored[cut:], None)):
        session.execute(f"INSERT INTO desk.{table} VALUES (%s, %s, %s)".encode(), row)
    where = json.dumps({"schema": "desk", "table": table})
    return desk.attempt(session, "CALL sys.ml_model_import(NULL, %s, NULL)", (where,))


@pytest.mark.parametrize("name", [*AS_OBJECT, *(f"{name} in a table" for name in AS_TABLE)])
def test_hostile_model_is_refused(desk: Arena, outcomes: dict[str, Future[Outcome]], name: str) -> None:
    outcome = desk.tells_nothing(outcomes[name].result())
    assert outcome.sqlstate in REFUSALS, outcome.text[:400]


def test_nothing_is_left_behind(desk: Arena, outcomes: dict[str, Future[Outcome]]) -> None:
    assert all(outcome.result().refused for outcome in outcomes.values())
    left = "SELECT count(*) FROM pg_class WHERE relnamespace = to_regnamespace('\"<other.catalog>\"')"
    assert desk.run("other", left) == [(0,)]
