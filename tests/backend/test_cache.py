"""sys.ml_cache: what a session holds in memory, as far as the caller may know."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import psycopg

from backend.calls import grant, predict_row, refused, revoke, rows, train, value
from backend.world import World
from fix_db import Database, identifiers

CACHED = "SELECT model_owner, model_handle, hits FROM sys.ml_cache ORDER BY model_handle"
GOODS = {"a": 1, "b": 2.0, "c": "x"}


def test_it_lists_what_was_loaded(made: World, fresh: Database) -> None:
    with fresh.connect(made.owner) as session:
        assert rows(session, CACHED) == []
        session.execute("CALL sys.ml_model_load('t_double')")
        before = value(session, "SELECT now()")
        for _ in range(3):
            predict_row(session, GOODS, "t_text")
        assert rows(session, CACHED) == [(made.owner, "t_double", 1), (made.owner, "t_text", 3)]
        newer = "SELECT model_handle FROM sys.ml_cache WHERE loaded_at >= %s AND loaded_at <= clock_timestamp()"
        assert rows(session, newer, before) == [("t_text",)]
        assert value(session, "SELECT min(bytes) > 100 FROM sys.ml_cache")
        session.execute("CALL sys.ml_model_unload('t_text')")
        assert rows(session, CACHED) == [(made.owner, "t_double", 1)]


def test_an_older_version_of_a_model_is_not_listed(made: World, fresh: Database) -> None:
    with fresh.connect(made.owner) as session, fresh.connect(made.owner) as other:
        predict_row(session, GOODS, "t_text")
        other.execute("CALL sys.ml_model_drop('t_text')")
        assert rows(session, CACHED) == []
        options = {"model_list": ["GaussianNB"], "time_budget": 0.01, "include_column_list": ["a", "b", "c"]}
        train(other, "shop.goods", "t_text", options, "t_text")
        assert rows(session, CACHED) == []


def test_a_role_sees_only_what_it_may_use(made: World, fresh: Database) -> None:
    with fresh.connect(made.owner) as owner, fresh.connect() as session:
        grant(owner, "t_text", made.other)

        def seen_by(role: str) -> list[tuple[Any, ...]]:
            session.execute(identifiers("SET SESSION AUTHORIZATION {}", role))
            found = rows(session, CACHED)
            session.execute("RESET SESSION AUTHORIZATION")
            return found

        session.execute(identifiers("SET SESSION AUTHORIZATION {}", made.owner))
        predict_row(session, GOODS, "t_text")
        predict_row(session, GOODS, "t_int")
        session.execute("RESET SESSION AUTHORIZATION")
        assert [handle for _, handle, _ in seen_by(made.owner)] == ["t_int", "t_text"]
        assert seen_by(made.other) == [(made.owner, "t_text", 1)]
        assert seen_by(made.third) == []
        revoke(owner, "t_text", made.other)
        assert seen_by(made.other) == []


def test_it_is_for_users_of_mlshare(made: World, within: Callable[..., psycopg.Connection]) -> None:
    plain = within(made.plain)
    with refused(plain, "42501"):
        plain.execute("SELECT * FROM sys.ml_cache")


# One statement of the client, in which a role is given a model and loses it again by what is rolled back.
TAKEN_BACK = """
DO $do$
BEGIN
    BEGIN
        SET LOCAL ROLE {owner};
        CALL sys.ml_model_grant('t_text', '{other}');
        SET LOCAL ROLE {other};
        PERFORM sys.ml_predict_row('{{"a": 1, "b": 2.0, "c": "x"}}', 't_text@{owner}');
        RAISE EXCEPTION 'enough' USING ERRCODE = 'ZZ001';
    EXCEPTION WHEN SQLSTATE 'ZZ001' THEN
        NULL;
    END;
    SET LOCAL ROLE {other};
    PERFORM sys.ml_predict_row('{{"a": 1, "b": 2.0, "c": "x"}}', 't_text@{owner}');
END
$do$
"""


def test_what_was_rolled_back_was_never_granted(made: World, fresh: Database) -> None:
    with fresh.connect() as session:
        with refused(session, "ML200"):
            session.execute(TAKEN_BACK.format(owner=made.owner, other=made.other).encode())
        with session.transaction(force_rollback=True):
            session.execute("SAVEPOINT before")
            session.execute(identifiers("SET LOCAL ROLE {}", made.owner))
            grant(session, "t_text", made.other)
            session.execute(identifiers("SET LOCAL ROLE {}", made.other))
            predict_row(session, GOODS, f"t_text@{made.owner}")
            session.execute("ROLLBACK TO before")
            session.execute(identifiers("SET LOCAL ROLE {}", made.other))
            with refused(session, "ML200"):
                predict_row(session, GOODS, f"t_text@{made.owner}")
