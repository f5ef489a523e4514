"""Queries that PostgreSQL would like to run in parallel: scoring asks SQL questions, which no parallel plan allows."""

from __future__ import annotations

import psycopg
import pytest

from backend.calls import rows, value

EAGER = (
    "parallel_setup_cost = 0", "parallel_tuple_cost = 0", "min_parallel_table_scan_size = 0",
    "max_parallel_workers_per_gather = 2",
)  # fmt: skip
CALLS = (
    "sys.ml_predict_row(to_jsonb(t), 'loan')",
    "sys.ml_predict_row(to_jsonb(t)::text, 'loan')",
    "sys.ml_predict_row(t, 'loan')",
    "sys.prediction('loan', t)",
    "sys.prediction('loan', to_jsonb(t)::text)",
    "sys.prediction_probability('loan', t, 'yes')",
    "(SELECT array_agg(s::text) FROM sys.prediction_set('loan', t) AS s)",
    "sys.ora_dm_partition_name('loan', t)",
)


@pytest.mark.parametrize("call", CALLS)
def test_a_large_table_in_a_select(owner: psycopg.Connection, call: str) -> None:
    owner.execute("CREATE TABLE shop.large AS SELECT l.* FROM shop.loan AS l, generate_series(1, 40)")
    owner.execute("ANALYZE shop.large")
    query = f"SELECT {call} FROM shop.large AS t WHERE id % 40 = 7 ORDER BY id"
    expected = rows(owner, query)
    for setting in EAGER:
        owner.execute(f"SET LOCAL {setting}")
    plain = "\n".join(r[0] for r in rows(owner, "EXPLAIN SELECT id FROM shop.large WHERE id % 40 = 7 ORDER BY id"))
    assert "Gather" in plain
    for _ in range(3):
        assert rows(owner, query) == expected and len(expected) == 240


def test_no_function_in_python_says_that_it_is_safe(owner: psycopg.Connection) -> None:
    """Each asks SQL questions in subtransactions, which before PostgreSQL 17 end a parallel query, and the session."""
    python = "SELECT oid FROM pg_language WHERE lanname = 'plpython3u'"
    wrong = f"SELECT oid::regprocedure FROM pg_proc WHERE prolang = ({python}) AND proparallel <> 'u'"
    assert rows(owner, wrong) == []
    assert value(owner, f"SELECT count(*) FROM pg_proc WHERE prolang = ({python})") > 50
    wrappers = "SELECT oid::regprocedure FROM pg_proc WHERE prosrc ~ 'sys[.](_predict_row|prediction|ora_dm)'"
    assert rows(owner, f"{wrappers} AND proparallel <> 'u'") == [] and len(rows(owner, wrappers)) > 10


def test_a_session_may_begin_in_a_mode_that_is_always_parallel(owner: psycopg.Connection) -> None:
    name = "debug_parallel_query" if owner.info.server_version >= 160000 else "force_parallel_mode"
    owner.execute(f"SET LOCAL {name} = on")
    assert value(owner, "SELECT sys.ml_predict_row(t, 'loan') IS NOT NULL FROM shop.loan AS t LIMIT 1")
