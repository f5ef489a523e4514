"""Large tables: a linear model as an expression of the writing statement answers as one that reads the rows."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.world import World
from fix_db import Database

# One row fills a block, so that few rows make a large table.
WIDE = """
CREATE TABLE shop.big WITH (fillfactor = 10) AS
SELECT row_number() OVER () AS number, l.age, l.income, l.member, l.since,
       CASE n % 5 WHEN 0 THEN l.job || '  ' WHEN 1 THEN 'astronaut' ELSE l.job END AS job,
       (SELECT string_agg(md5(l.id * 31 + n * 7 + k || ''), '') FROM generate_series(1, 20) AS k) AS pad
FROM shop.loan AS l, generate_series(1, 20) AS n;
UPDATE shop.big SET income = 'NaN' WHERE number % 97 = 0;
"""
LOADED = """
CREATE FUNCTION public.expressions() RETURNS integer LANGUAGE plpython3u AS $$
from mlshare import cache
return sum(e is not None for entry in cache.entries().values() for e in entry.expressions.values())
$$;
CREATE FUNCTION public.bend_expressions(expression text) RETURNS void LANGUAGE plpython3u AS $$
from mlshare import cache
for entry in cache.entries().values():
    for types in entry.expressions:
        entry.expressions[types] = expression
$$;
GRANT EXECUTE ON FUNCTION public.expressions(), public.bend_expressions(text) TO PUBLIC"""


@pytest.fixture(scope="module")
def big(made: World, server: object) -> Iterator[Database]:
    """A copy of the world with a table of more than 4096 blocks."""
    from backend.conftest import copied

    with copied(server, made) as database:  # type: ignore[arg-type]
        database.connect().execute(LOADED)
        owner = database.connect(made.owner)
        owner.execute(WIDE)
        assert value(owner, "SELECT pg_relation_size('shop.big') / 8192") > 4096
        yield database


@pytest.fixture
def fresh_session(big: Database, made: World) -> Callable[[str], psycopg.Connection]:
    return lambda role: big.connect(getattr(made, role))


def compare(session: psycopg.Connection, table: str, handle: str, options: dict[str, float] | None = None) -> int:
    """How many rows of an output differ from what ml_predict says."""
    query = f"SELECT number, age, income, member, since, job, prediction AS label, ml_results AS said FROM {table}"
    wrong = (
        "SELECT count(*) FROM sys.ml_predict(%s, %s, %s) AS p WHERE p.ml_results IS DISTINCT FROM p.row->'said' "
        "OR p.prediction IS DISTINCT FROM p.row->>'label'"
    )
    return int(value(session, wrong, handle, query, calls.as_json(options)))


@pytest.mark.parametrize("options", [None, {"threshold": 0.3}])
def test_the_answers_are_the_same(
    fresh_session: Callable[[str], psycopg.Connection], options: dict[str, float] | None
) -> None:
    owner = fresh_session("owner")
    calls.predict_table(owner, "shop.big", "loan", "shop.out", options)
    assert value(owner, "SELECT public.expressions()") == 1
    assert value(owner, "SELECT count(*) FROM shop.out") == 4800
    assert rows(
        owner, "SELECT count(DISTINCT prediction), count(*) FILTER (WHERE ml_results IS NULL) FROM shop.out"
    ) == [(2, 0)]
    assert compare(owner, "shop.out", "loan", options) == 0
    assert calls.primary_key(owner, "shop.out") == ["_4aad19ca6e_pk_id"]
    assert value(owner, "INSERT INTO shop.out (age) VALUES (1) RETURNING _4aad19ca6e_pk_id") == 4801
    owner.execute("DROP TABLE shop.out")


def test_who_may_only_predict_never_meets_the_parameters(
    fresh_session: Callable[[str], psycopg.Connection], made: World
) -> None:
    owner, other = fresh_session("owner"), fresh_session("other")
    calls.grant(owner, "loan", made.other, "PREDICT")
    owner.execute(f'GRANT USAGE, CREATE ON SCHEMA shop TO "{made.other}"; GRANT SELECT ON shop.big TO "{made.other}"')
    calls.predict_table(other, "shop.big", "loan", "shop.out_other")
    assert value(other, "SELECT public.expressions()") == 0
    assert compare(other, "shop.out_other", "loan") == 0
    calls.grant(owner, "loan", made.other, "SELECT")
    calls.predict_table(other, "shop.big", "loan", "shop.out_other_2")
    assert value(other, "SELECT public.expressions()") == 1
    both = "SELECT number, prediction, ml_results FROM shop.out_other"
    assert value(other, f"SELECT count(*) FROM ({both} EXCEPT {both}_2) AS d") == 0


def test_a_value_that_the_model_refuses_is_named(fresh_session: Callable[[str], psycopg.Connection]) -> None:
    owner = fresh_session("owner")
    with owner.transaction(force_rollback=True):
        owner.execute("UPDATE shop.big SET income = 'Infinity' WHERE number = 3000")
        with refused(owner, "ML402", "value 'infinity' of column \"income\" is not a finite value"):
            calls.predict_table(owner, "shop.big", "loan", "shop.out")
    calls.predict_table(owner, "shop.big", "loan", "shop.out")
    assert value(owner, "SELECT public.expressions()") == 1
    owner.execute("DROP TABLE shop.out")


def test_an_expression_that_fails_late_leaves_no_trace(fresh_session: Callable[[str], psycopg.Connection]) -> None:
    """Numbers that it took from the sequence of the key do not come back: the batches begin anew."""
    owner = fresh_session("owner")
    calls.predict_table(owner, "shop.big", "loan", "shop.out")
    owner.execute("SELECT public.bend_expressions('1.0 / (q.number <> 3000)::integer')")
    calls.predict_table(owner, "shop.big", "loan", "shop.out_2")
    assert value(owner, "SELECT count(*) FROM (TABLE shop.out EXCEPT TABLE shop.out_2) AS d") == 0
    keys = "SELECT count(*), min(_4aad19ca6e_pk_id), max(_4aad19ca6e_pk_id) FROM shop.out_2"
    assert rows(owner, keys) == [(4800, 1, 4800)]
    owner.execute("DROP TABLE shop.out, shop.out_2")
