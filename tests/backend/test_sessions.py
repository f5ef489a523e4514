"""Transactions and sessions: rollback leaves nothing, savepoints, what one session sees of another."""

from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from backend import calls, world
from backend.calls import catalog, refused, rows, value
from backend.world import World
from fix_db import Database

GOODS = {"a": 1, "b": 2, "c": "p"}
EVERYTHING = """
SELECT (SELECT array_agg(c.oid::regclass::text || coalesce(c.relacl::text, '') ORDER BY c.oid) FROM pg_class AS c
        WHERE c.relnamespace NOT IN ('pg_catalog'::regnamespace, 'pg_toast'::regnamespace)),
       (SELECT array_agg(n.nspname || coalesce(n.nspacl::text, '') ORDER BY n.oid) FROM pg_namespace AS n),
       (SELECT array_agg(p.oid::regprocedure::text || coalesce(p.proacl::text, '') ORDER BY p.oid) FROM pg_proc AS p
        WHERE p.pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace))
"""


def snapshot(connection: psycopg.Connection) -> list[list[tuple[object, ...]]]:
    """All that a routine could leave behind."""
    schema = catalog(connection)
    tables = ("model_catalog", "model_object_catalog", "model_privilege")
    return [rows(connection, EVERYTHING), *(rows(connection, f"TABLE {schema}.{t}") for t in tables)]


def do_train(connection: psycopg.Connection, made: World) -> None:
    training = world.goods("t_int")
    calls.train(connection, training.table, training.target, training.options, "new")


def do_import(connection: psycopg.Connection, made: World) -> None:
    calls.export(connection, "t_int", "shop.sent")
    calls.import_table(connection, "shop", "sent", "new")


def do_predict(connection: psycopg.Connection, made: World) -> None:
    calls.predict_table(connection, "shop.goods", "t_int", "shop.out")
    calls.predict_table(connection, "shop.goods", "t_int", "shop.goods")


def do_grant(connection: psycopg.Connection, made: World) -> None:
    for privilege in ("PREDICT", "SELECT", "ALTER"):
        calls.grant(connection, "t_int", made.other, privilege)


def do_drop(connection: psycopg.Connection, made: World) -> None:
    connection.execute("CALL sys.ml_model_drop('t_int')")


@pytest.mark.parametrize("do", [do_train, do_import, do_predict, do_grant, do_drop])
@pytest.mark.parametrize("inner", [False, True], ids=["transaction", "savepoint"])
def test_a_rollback_leaves_nothing(
    made: World, owner: psycopg.Connection, do: Callable[[psycopg.Connection, World], None], inner: bool
) -> None:
    before = snapshot(owner)
    expected = calls.predict_row(owner, GOODS, "t_int")
    with owner.transaction(force_rollback=True):
        if inner:
            calls.export(owner, "loan", "shop.kept")
            with owner.transaction(force_rollback=True):
                do(owner, made)
            assert value(owner, "SELECT count(*) FROM shop.kept") == 1
        else:
            do(owner, made)
    assert snapshot(owner) == before
    assert calls.predict_row(owner, GOODS, "t_int") == expected
    with refused(owner, "ML200"):
        calls.predict_row(owner, GOODS, "new")


def test_a_first_training_rolled_back_leaves_no_schema(made: World, other: psycopg.Connection) -> None:
    schemas = "SELECT count(*) FROM pg_namespace WHERE nspname LIKE 'ml\\_schema\\_%'"
    before = value(other, schemas)
    with other.transaction(force_rollback=True):
        other.execute("CALL sys.ml_create_or_upgrade_catalog()")
        assert value(other, schemas) == before + 1
    assert value(other, schemas) == before


def test_an_open_transaction_is_invisible(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.owner), fresh.connect(made.owner)
    with first.transaction():
        do_import(first, made)
        with refused(second, "ML200"):
            calls.predict_row(second, GOODS, "new")
    assert calls.predict_row(second, GOODS, "new") == calls.predict_row(first, GOODS, "t_int")


def test_another_session_sees_the_change_with_its_next_statement(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.owner), fresh.connect(made.owner)
    calls.export(first, "t_text", "shop.sent")
    assert list(calls.predict_row(second, GOODS, "t_int")["ml_results"]["predictions"]) == ["t_int"]
    with first.transaction():
        first.execute("CALL sys.ml_model_drop('t_int')")
        calls.import_table(first, "shop", "sent", "t_int")
    assert list(calls.predict_row(second, GOODS, "t_int")["ml_results"]["predictions"]) == ["t_text"]
    first.execute("CALL sys.ml_model_drop('t_int')")
    with refused(second, "ML200"):
        calls.predict_row(second, GOODS, "t_int")


def test_a_repeatable_read_keeps_its_view(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.owner), fresh.connect(made.owner)
    second.execute("BEGIN ISOLATION LEVEL REPEATABLE READ")
    expected = calls.predict_row(second, GOODS, "t_int")
    first.execute("CALL sys.ml_model_drop('t_int')")
    assert calls.predict_row(second, GOODS, "t_int") == expected
    second.execute("COMMIT")
    with refused(second, "ML200"):
        calls.predict_row(second, GOODS, "t_int")


def test_two_sessions_train_and_score_at_once(made: World, fresh: Database) -> None:
    start = threading.Barrier(4)

    def trainer(name: str) -> None:
        connection = fresh.connect(made.owner)
        start.wait()
        training = world.goods("t_int")
        calls.train(connection, training.table, training.target, training.options, name)

    def scorer(name: str) -> None:
        connection = fresh.connect(made.owner)
        start.wait()
        for i in range(10):
            calls.predict_table(connection, "shop.goods", "t_text", f"shop.{name}_{i}")
            calls.score(connection, "shop.goods", "t_text", "t_text", "accuracy")

    with ThreadPoolExecutor(4) as pool:
        jobs = [pool.submit(trainer, n) for n in ("one", "two")] + [pool.submit(scorer, n) for n in ("three", "four")]
        for job in jobs:
            job.result()
    owner = fresh.connect(made.owner)
    assert calls.handles(owner) >= {"one", "two"}
    same = "SELECT count(*) FROM shop.three_0 JOIN shop.four_9 USING (id, prediction, ml_results)"
    assert value(owner, same) == 150


def test_two_trainings_of_one_handle(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.owner), fresh.connect(made.owner)
    calls.export(first, "t_int", "shop.sent")
    with ThreadPoolExecutor(1) as pool, first.transaction():
        calls.import_table(first, "shop", "sent", "same")
        late = pool.submit(calls.import_table, second, "shop", "sent", "same")
        threading.Event().wait(1)
    with pytest.raises(psycopg.Error) as caught:
        late.result()
    assert caught.value.diag.sqlstate in ("23505", "ML201")
    assert calls.handles(first) >= {"same"}


def test_two_sessions_of_a_newcomer(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.other), fresh.connect(made.other)
    begin = "CALL sys.ml_create_or_upgrade_catalog()"
    with ThreadPoolExecutor(1) as pool:
        with first.transaction():
            first.execute(begin)
            late = pool.submit(second.execute, begin)
            threading.Event().wait(1)
            assert not late.done()
        late.result()
    assert calls.handles(second) == set()


def test_made_up_handles_of_one_second(made: World, fresh: Database) -> None:
    first, second = fresh.connect(made.owner), fresh.connect(made.owner)
    calls.export(first, "t_int", "shop.sent")
    begun = threading.Event()

    def late() -> str:
        begun.set()
        return calls.import_table(second, "shop", "sent")

    with ThreadPoolExecutor(1) as pool:
        with first.transaction():
            taken = {calls.import_table(first, "shop", "sent") for _ in range(20)}
            other = pool.submit(late)
            begun.wait()
            threading.Event().wait(1)
        assert calls.handles(first) >= {*taken, other.result()}
    assert len(taken) == 20


@pytest.mark.parametrize("mode", ["READ ONLY", "ISOLATION LEVEL SERIALIZABLE READ ONLY DEFERRABLE"])
def test_scoring_in_a_read_only_transaction(made: World, fresh: Database, mode: str) -> None:
    connection = fresh.connect(made.owner)
    connection.execute(f"BEGIN {mode}")
    assert calls.predict_row(connection, GOODS, "t_int")
    assert calls.predict(connection, "t_int", "TABLE shop.goods")
    assert calls.score(connection, "shop.goods", "t_int", "t_int", "accuracy") > 0.5
    connection.execute("CALL sys.ml_model_load('t_int')")
    with refused(connection, "25006"):
        calls.predict_table(connection, "shop.goods", "t_int", "shop.out")
    training = world.goods("t_int")
    with refused(connection, "25006", "models cannot be stored in a read-only transaction"):
        calls.train(connection, training.table, training.target, training.options, "new")
    connection.execute("COMMIT")


def test_a_change_within_a_transaction_is_seen_by_it(owner: psycopg.Connection) -> None:
    calls.export(owner, "t_text", "shop.sent")
    owner.execute("CALL sys.ml_model_drop('t_int')")
    with refused(owner, "ML200"):
        calls.predict_row(owner, GOODS, "t_int")
    calls.import_table(owner, "shop", "sent", "t_int")
    assert list(calls.predict_row(owner, GOODS, "t_int")["ml_results"]["predictions"]) == ["t_text"]
