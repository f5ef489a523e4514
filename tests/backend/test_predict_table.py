"""ml_predict_table: the columns and keys of its output, typed predictions, the in-place form, refusals."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from backend import calls, world
from backend.calls import column_types, primary_key, refused, rows, value

KEY = "_4aad19ca6e_pk_id"
ADDED = {"prediction": "text", "ml_results": "jsonb"}


def test_a_table_with_a_key_keeps_it(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "shop.loan", "loan", "shop.out")
    assert list(column_types(owner, "shop.out").items()) == [*column_types(owner, "shop.loan").items(), *ADDED.items()]
    assert primary_key(owner, "shop.out") == ["id"]
    left = "SELECT id, age, income, job, member, since, answer FROM shop.out"
    assert value(owner, f"SELECT count(*) FROM ({left} EXCEPT TABLE shop.loan) AS d") == 0
    assert value(owner, "SELECT count(*) FROM shop.out") == 240


def test_a_table_without_a_key_gets_one(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "shop.goods", "t_text", "shop.out")
    expected = {KEY: "bigint", **column_types(owner, "shop.goods"), **ADDED}
    assert list(column_types(owner, "shop.out").items()) == list(expected.items())
    assert primary_key(owner, "shop.out") == [KEY]
    assert rows(owner, f"SELECT {KEY} FROM shop.out ORDER BY 1") == [(n,) for n in range(1, 151)]
    assert value(owner, f"INSERT INTO shop.out (a) VALUES (1) RETURNING {KEY}") == 151


def test_a_composite_key_keeps_its_order(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE shop.pair AS SELECT * FROM shop.loan")
    owner.execute("ALTER TABLE shop.pair ADD PRIMARY KEY (answer, id)")
    calls.predict_table(owner, "shop.pair", "loan", "shop.out")
    assert primary_key(owner, "shop.out") == ["answer", "id"]


def test_a_generated_key_is_kept_like_any_other(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "shop.goods", "t_text", "shop.first")
    owner.execute("ALTER TABLE shop.first DROP COLUMN prediction, DROP COLUMN ml_results")
    owner.execute(f"DELETE FROM shop.first WHERE {KEY} % 2 = 0")
    calls.predict_table(owner, "shop.first", "t_text", "shop.out")
    assert list(column_types(owner, "shop.out"))[:2] == [KEY, "id"]
    assert primary_key(owner, "shop.out") == [KEY]
    assert rows(owner, f"SELECT {KEY} FROM shop.out ORDER BY 1") == [(n,) for n in range(1, 150, 2)]


@pytest.mark.parametrize("target", world.TARGETS)
def test_a_prediction_has_the_type_of_the_target(owner: psycopg.Connection, target: str) -> None:
    calls.predict_table(owner, "shop.goods", target, "shop.out")
    task, expected = world.TARGETS[target]
    assert column_types(owner, "shop.out")["prediction"] == expected
    if task == "classification":
        known = rows(owner, f"SELECT DISTINCT {target}::text FROM shop.goods")
        assert set(rows(owner, "SELECT DISTINCT prediction::text FROM shop.out")) <= set(known)
        assert value(owner, f"SELECT avg((prediction::text = {target}::text)::int) FROM shop.out") > 0.7
    else:
        assert value(owner, f"SELECT corr(prediction, {target}) FROM shop.out") > 0.95
    differ = f"round(prediction::numeric, 0) <> round((ml_results #>> '{{predictions,{target}}}')::numeric, 0)"
    same = "false" if task == "regression" else f"prediction::text <> (ml_results #>> '{{predictions,{target}}}')"
    condition = differ if expected == "smallint" else same
    assert value(owner, f"SELECT count(*) FROM shop.out WHERE {condition}") == 0


@pytest.mark.parametrize(
    ("handle", "target_type", "expected"),
    [
        ("t_text", "character varying(10)", "character varying"),
        ("t_text", "shop.label", "text"),  # a domain: its checks are not for predictions
        ("t_text", "name", "name"),
        ("t_int", "bigint", "bigint"),
        ("t_int", "numeric(5,1)", "numeric"),
        ("t_numeric", "bigint", "bigint"),
        ("t_numeric", "real", "real"),
        ("t_numeric", "shop.tiny", "double precision"),
    ],
)
def test_other_types_of_targets(owner: psycopg.Connection, handle: str, target_type: str, expected: str) -> None:
    change = f"UPDATE {calls.catalog(owner)}.model_catalog SET model_metadata = model_metadata || %s"
    owner.execute(change + " WHERE model_handle = %s", (calls.as_json({"target_type": target_type}), handle))
    calls.predict_table(owner, "shop.goods", handle, "shop.out")
    assert column_types(owner, "shop.out")["prediction"] == expected
    assert value(owner, "SELECT count(DISTINCT prediction) FROM shop.out") > 2


def test_an_empty_table(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE shop.none (LIKE shop.goods)")
    for target in ("t_text", "t_numeric"):
        calls.predict_table(owner, "shop.none", target, f"shop.out_{target}")
        assert value(owner, f"SELECT count(*) FROM shop.out_{target}") == 0
        assert primary_key(owner, f"shop.out_{target}") == [KEY]
        assert column_types(owner, f"shop.out_{target}")["prediction"] == world.TARGETS[target][1]


@pytest.mark.parametrize("target", ["t_text", "t_numeric"])
def test_many_blocks_and_dead_rows(owner: psycopg.Connection, target: str) -> None:
    owner.execute(
        "CREATE TABLE shop.wide AS SELECT n * 1000 + id AS id, a, b, c, repeat('x', 500) AS pad, n "
        "FROM shop.goods, generate_series(1, 80) AS n"
    )
    owner.execute("DELETE FROM shop.wide WHERE id % 3 = 0")
    owner.execute("UPDATE shop.wide SET n = n WHERE id % 7 = 0")
    assert value(owner, "SELECT pg_relation_size('shop.wide') / 8192") > 512
    calls.predict_table(owner, "shop.wide", target, "shop.out")
    expected = dict(rows(owner, "SELECT id, sys.ml_predict_row(to_jsonb(g), %s) FROM shop.goods AS g", target))
    found = rows(owner, "SELECT mod(id, 1000), ml_results FROM shop.out")
    assert len(found) == value(owner, "SELECT count(*) FROM shop.wide")
    assert all(results == expected[i]["ml_results"] for i, results in found)


# --- in place --------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["t_enum", "t_numeric"])
def test_the_columns_are_added_to_the_input(owner: psycopg.Connection, target: str) -> None:
    calls.predict_table(owner, "shop.goods", target, "shop.apart")
    calls.predict_table(owner, "shop.goods", target, "shop.goods")
    assert list(column_types(owner, "shop.goods"))[-3:] == [KEY, "prediction", "ml_results"]
    assert primary_key(owner, "shop.goods") == [KEY]
    both = "SELECT count(*) FROM shop.goods AS g JOIN shop.apart AS a USING (id, prediction, ml_results)"
    assert value(owner, both) == 150


@pytest.mark.parametrize(
    ("prepare", "table"),
    [
        ("SELECT", "shop.loan"),
        ("CREATE VIEW shop.seen AS TABLE shop.goods", "shop.seen"),
        ("CREATE MATERIALIZED VIEW shop.mat AS TABLE shop.goods", "shop.mat"),
    ],
)
def test_what_cannot_take_the_columns(owner: psycopg.Connection, prepare: str, table: str) -> None:
    owner.execute(prepare)
    with refused(owner, "22023", "plain table without primary key", hint="Name another table"):
        calls.predict_table(owner, table, "loan" if table == "shop.loan" else "t_text", table)


def test_in_place_twice_is_refused(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "shop.goods", "t_text", "shop.goods")
    with refused(owner, "42701", 'column "prediction" of "shop.goods"'):
        calls.predict_table(owner, "shop.goods", "t_text", "shop.goods")


# --- refusals --------------------------------------------------------------------------------------


@pytest.mark.parametrize("column", ["prediction", "ml_results", KEY, "_4aad19ca6e_n"])
def test_reserved_columns(owner: psycopg.Connection, column: str) -> None:
    owner.execute(f"CREATE TABLE shop.taken AS SELECT l.*, 1 AS {column} FROM shop.loan AS l")
    with refused(owner, "42701", f'column "{column}" of "shop.taken" has a name that the output needs'):
        calls.predict_table(owner, "shop.taken", "loan", "shop.out")


@pytest.mark.parametrize(
    ("output", "sqlstate", "words"),
    [
        ("shop.loan2", "42P07", 'table "shop.loan2" already exists'),
        ("out", "42602", 'invalid table name "out"'),
        ("a.b.c", "42602", 'invalid table name "a.b.c"'),
        ("", "22023", ""),
        ("nowhere.out", "3F000", 'schema "nowhere" does not exist'),
        ("sys.out", "42501", "permission denied for schema sys"),
        ('shop."x', "22023", ""),
        (None, "22023", "a table must be given"),
    ],
)
def test_output_tables(owner: psycopg.Connection, output: Any, sqlstate: str, words: str) -> None:
    owner.execute("CREATE TABLE shop.loan2 (a int)")
    with refused(owner, sqlstate, words):
        calls.predict_table(owner, "shop.loan", "loan", output)


@pytest.mark.parametrize(
    ("columns", "sqlstate", "words"),
    [
        ("age, income, job, since", "ML400", 'the input lacks column "member"'),
        ("age::text, income, job, member, since", "ML401", 'column "age" has type text, but the model was trained on'),
        ("age, income, 5 AS job, member, since", "", ""),
        ("age, income, job, member, 5 AS since", "ML401", 'column "since" has type integer'),
        ("since AS age, income, job, member, since", "ML401", 'column "age" has type date'),
        ("ARRAY[age] AS age, income, job, member, since", "ML401", 'column "age" has type integer[]'),
    ],
)
def test_columns_that_do_not_fit(owner: psycopg.Connection, columns: str, sqlstate: str, words: str) -> None:
    if not sqlstate:  # numbers can be read as strings
        owner.execute(f"CREATE VIEW shop.odd AS SELECT {columns} FROM shop.loan")
        calls.predict_table(owner, "shop.odd", "loan", "shop.out")
        return
    with refused(owner, sqlstate, words):
        owner.execute(f"CREATE VIEW shop.odd AS SELECT {columns} FROM shop.loan")
        calls.predict_table(owner, "shop.odd", "loan", "shop.out")


def test_nothing_is_left_of_a_refused_output(owner: psycopg.Connection) -> None:
    tables = "SELECT count(*) FROM pg_class WHERE relnamespace = 'shop'::regnamespace"
    owner.execute(
        "CREATE VIEW shop.half AS SELECT id, 'Infinity'::float8 AS income, age, job, member, since FROM shop.loan"
    )
    before = value(owner, tables)
    with refused(owner, "ML402", "is not a finite value"):
        calls.predict_table(owner, "shop.half", "loan", "shop.out")
    assert value(owner, tables) == before


def test_the_session_is_left_as_it_was(owner: psycopg.Connection) -> None:
    settings = "SELECT name, setting FROM pg_settings ORDER BY 1"
    before = rows(owner, settings)
    calls.predict_table(owner, "shop.loan", "loan", "shop.out")
    calls.predict_table(owner, "shop.goods", "t_numeric", "shop.goods")
    assert rows(owner, settings) == before


@pytest.mark.parametrize("size", [1, 1000])
def test_a_batch_size_is_taken(owner: psycopg.Connection, size: int) -> None:
    calls.predict_table(owner, "shop.loan", "loan", "shop.out", {"batch_size": size})
    assert value(owner, "SELECT count(*) FROM shop.out") == 240


def test_a_temporary_table_in_and_out(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TEMPORARY TABLE mine AS TABLE shop.loan")
    calls.predict_table(owner, "mine", "loan", "pg_temp.out")
    assert value(owner, "SELECT count(*) FROM pg_temp.out") == 240
