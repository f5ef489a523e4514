"""Tables, types and settings that are seldom: a table is answered as its rows are, or an error says why not."""

from __future__ import annotations

import json
from collections.abc import Iterator

import psycopg
import pytest

from backend import calls
from backend.calls import primary_key, refused, rows, value
from backend.world import QUICK, World
from fix_db import Database, identifiers
from fix_server import Server

LINEAR = {"task": "regression", "model_list": ["LinearRegression"], **QUICK}
LOGISTIC = {"model_list": ["LogisticRegression"], **QUICK}


def unlike_rows(connection: psycopg.Connection, source: str, handle: str, key: str = "id") -> int:
    """Scores a table into shop.out; how many of its rows the row function answers otherwise."""
    calls.predict_table(connection, source, handle, "shop.out")
    query = (
        f"SELECT count(*) FROM shop.out AS o JOIN {source} AS given USING ({key}) "
        f"WHERE o.ml_results IS DISTINCT FROM sys.ml_predict_row(to_jsonb(given), '{handle}') -> 'ml_results'"
    )
    return int(value(connection, query))


# --- tables ------------------------------------------------------------------------------------------


def test_a_policy_that_changes_its_mind(made: World, fresh: Database) -> None:
    """A row that it shows once, and hides when asked again, must not shift the predictions of others."""
    owner, other = fresh.connect(made.owner), fresh.connect(made.other)
    owner.execute("CREATE TABLE shop.moody AS SELECT l.*, n FROM shop.loan AS l, generate_series(1, 40) AS n")
    owner.execute("ALTER TABLE shop.moody DROP COLUMN id, ADD id serial PRIMARY KEY, ENABLE ROW LEVEL SECURITY")
    owner.execute("CREATE POLICY mood ON shop.moody USING (random() < 0.5)")
    owner.execute(identifiers("GRANT USAGE, CREATE ON SCHEMA shop TO {}", made.other))
    owner.execute(identifiers("GRANT SELECT ON shop.moody TO {}", made.other))
    calls.grant(owner, "loan", made.other)
    calls.predict_table(other, "shop.moody", f"loan@{made.owner}", "shop.seen")
    assert 4000 < value(other, "SELECT count(*) FROM shop.seen") < 5600
    own = f"sys.ml_predict_row(to_jsonb(s), 'loan@{made.owner}') -> 'ml_results'"
    assert value(other, f"SELECT count(*) FROM shop.seen AS s WHERE ml_results <> {own}") == 0


def test_a_primary_key_with_included_columns(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE shop.pk AS SELECT *, NULL::text AS extra FROM shop.loan")
    owner.execute("ALTER TABLE shop.pk ADD PRIMARY KEY (id) INCLUDE (extra)")
    calls.predict_table(owner, "shop.pk", "loan", "shop.out")
    assert primary_key(owner, "shop.out") == ["id"]


def test_columns_named_as_what_surrounds_them(owner: psycopg.Connection) -> None:
    query = "SELECT *, CASE WHEN id % 2 = 0 THEN 7 END AS q, 8 AS i, 9 AS s, 0 AS batch FROM shop.loan ORDER BY id"
    found = calls.predict(owner, "loan", query)
    assert [(r["id"], r["q"]) for r, _, _ in found] == [(n, 7 if n % 2 == 0 else None) for n in range(1, 241)]
    owner.execute(f"CREATE TABLE shop.named AS {query}")
    assert unlike_rows(owner, "shop.named", "loan") == 0


def test_columns_one_may_not_read_are_left_out(made: World, fresh: Database) -> None:
    owner, other = fresh.connect(made.owner), fresh.connect(made.other)
    owner.execute("CREATE TABLE shop.partly AS SELECT *, 'x' AS secret FROM shop.loan")
    owner.execute(identifiers("GRANT USAGE, CREATE ON SCHEMA shop TO {}", made.other))
    columns = "id, age, income, job, member, since, answer"
    owner.execute(identifiers(f"GRANT SELECT ({columns}) ON shop.partly TO {{}}", made.other))
    calls.train(other, "shop.partly", "answer", {**LOGISTIC, "exclude_column_list": ["id", "secret"]}, "partly")
    assert calls.score(other, "shop.partly", "answer", "partly", "accuracy") > 0.5
    with refused(other, "42501", "permission denied"):
        calls.train(other, "shop.partly", "answer", {**LOGISTIC, "exclude_column_list": ["id"]}, "all")


def test_a_view_into_a_temporary_table(owner: psycopg.Connection) -> None:
    owner.execute("CREATE VIEW shop.seen AS TABLE shop.loan")
    calls.predict_table(owner, "shop.seen", "loan", "pg_temp.out")
    assert value(owner, "SELECT count(*) FROM pg_temp.out") == 240


# --- types -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("type_name", ["shop.spaced", "name"])
def test_strings_that_end_in_spaces(owner: psycopg.Connection, type_name: str) -> None:
    owner.execute("CREATE TYPE shop.spaced AS ENUM ('a ', 'b ', 'c ')")
    owner.execute(
        f"CREATE TABLE shop.spaces AS SELECT i AS id, (ARRAY['a ', 'b ', 'c '])[1 + i % 3]::{type_name} AS e, "
        "CASE WHEN i % 3 = 1 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, 300) AS i"
    )
    owner.execute("INSERT INTO shop.spaces SELECT i, NULL, 'no' FROM generate_series(301, 330) AS i")
    calls.train(owner, "shop.spaces", "y", {**LOGISTIC, "exclude_column_list": ["id"]}, "spaces")
    assert calls.score(owner, "shop.spaces", "y", "spaces", "accuracy") > 0.9
    assert unlike_rows(owner, "shop.spaces", "spaces") == 0


def test_numbers_that_the_type_of_the_target_has_not(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.grows AS SELECT i AS id, i AS a, (i * 30)::smallint AS y FROM generate_series(1, 900) AS i"
    )
    calls.train(owner, "shop.grows", "y", {**LINEAR, "exclude_column_list": ["id"]}, "grows")
    owner.execute("INSERT INTO shop.grows VALUES (901, 1092, 0), (902, 1093, 0), (903, -2000, 0)")
    assert unlike_rows(owner, "shop.grows", "grows") == 0
    query = (
        "SELECT prediction, (ml_results #>> '{predictions,y}')::numeric::int FROM shop.out WHERE id > 899 ORDER BY id"
    )
    assert rows(owner, query) == [(27000, 27000), (32760, 32760), (None, 32790), (None, -60000)]


def test_a_time_of_day_is_no_target(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.hours AS SELECT i AS a, time '00:00' + i * interval '1 min' AS y "
        "FROM generate_series(1, 99) AS i"
    )
    with refused(owner, "ML102", "time"):
        calls.train(owner, "shop.hours", "y", LINEAR, "hours")


@pytest.mark.parametrize("type_name", ["date", "timestamp", "timestamptz"])
def test_moments_beyond_the_years_of_iso(owner: psycopg.Connection, type_name: str) -> None:
    owner.execute(
        "CREATE TABLE shop.far AS SELECT i AS id, "
        f"('2000-01-01'::timestamp + i * interval '9 days')::{type_name} AS t, "
        "(i % 50)::float8 AS y FROM generate_series(1, 400) AS i"
    )
    calls.train(
        owner,
        "shop.far",
        "y",
        {**LINEAR, "model_list": ["DecisionTreeRegressor"], "exclude_column_list": ["id"]},
        "far",
    )
    texts = (
        "0044-03-15 BC",
        "4713-01-01 BC",
        "10000-02-29",
        "0001-01-01",
        "294276-12-31",
        "9999-12-31 23:59:59.999999",
    )
    for n, text in enumerate(texts, 1000):
        owner.execute(f"INSERT INTO shop.far VALUES (%s, %s::{type_name}, 0)", (n, text))
    assert unlike_rows(owner, "shop.far", "far") == 0


def test_the_end_of_the_day(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.clock AS SELECT i AS id, time '00:00' + i * interval '7 min' AS t, i % 9 AS y "
        "FROM generate_series(1, 200) AS i"
    )
    calls.train(owner, "shop.clock", "y", {**LINEAR, "exclude_column_list": ["id"]}, "clock")
    owner.execute("INSERT INTO shop.clock VALUES (201, '24:00:00', 0)")
    assert unlike_rows(owner, "shop.clock", "clock") == 0


# --- settings ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("digits", [0, -15])
def test_what_a_session_prints_changes_no_answer(owner: psycopg.Connection, digits: int) -> None:
    owner.execute(
        "CREATE TABLE shop.reals AS SELECT i AS id, (i / 7.0)::real AS r, i / 3.0::float8 AS y "
        "FROM generate_series(1, 300) AS i"
    )
    answers = "SELECT id, prediction, ml_results FROM shop.{} ORDER BY id"
    digests = []
    for handle, setting in (("plain", 1), ("set", digits)):
        owner.execute(f"SET LOCAL extra_float_digits = {setting}")
        calls.train(owner, "shop.reals", "y", {**LINEAR, "exclude_column_list": ["id"]}, handle)
        calls.predict_table(owner, "shop.reals", "plain", f"shop.{handle}")
        digests.append(calls.metadata(owner, handle)["object_sha256"])
    owner.execute("SET LOCAL extra_float_digits = 1")
    assert digests[0] == digests[1]
    assert rows(owner, answers.format("plain")) == rows(owner, answers.format("set"))


def test_strings_without_standard(owner: psycopg.Connection) -> None:
    owner.execute("CREATE TABLE shop.short AS SELECT id, age, answer::varchar(5) AS answer FROM shop.loan")
    calls.train(owner, "shop.short", "answer", {**LOGISTIC, "exclude_column_list": ["id"]}, "short")
    owner.execute("SET LOCAL standard_conforming_strings = off; SET LOCAL escape_string_warning = off")
    calls.predict_table(owner, "shop.short", "short", "shop.out")
    assert calls.column_types(owner, "shop.out")["prediction"] == "character varying"


@pytest.fixture
def latin(server: Server) -> Iterator[psycopg.Connection]:
    """A superuser in a database with mlshare whose encoding is LATIN1."""
    from fix_db import unique
    from mlshare_tools import build

    name = unique("mlshare_latin")
    with server.connect() as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'LATIN1' LC_COLLATE 'C' LC_CTYPE 'C' TEMPLATE template0")
        try:
            with server.connect(dbname=name) as connection:
                connection.execute(build.plain_script().encode())
                yield connection
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)")


def test_another_encoding_is_refused_where_it_matters(latin: psycopg.Connection) -> None:
    """PL/Python hands statements over in UTF-8: strings in them would become others."""
    latin.execute("CREATE TABLE public.t AS SELECT i % 7 AS k, (ARRAY['é', 'b', 'c'])[1 + i % 3] AS s, "
                  "CASE WHEN i % 3 = 0 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, 300) AS i")  # fmt: skip
    options = json.dumps(LOGISTIC)
    latin.execute("CALL sys.ml_train('public.t', 'y', %s, 'm')", (options,))
    latin.execute("CALL sys.ml_predict_table('public.t', 'm', 'public.out')")
    own = "sys.ml_predict_row(to_jsonb(o), 'm') -> 'ml_results'"
    assert value(latin, f"SELECT count(*) FROM public.out AS o WHERE ml_results <> {own} OR prediction <> y") == 0
    with refused(latin, "0A000", "LATIN1", hint="UTF8"):
        latin.execute("CALL sys.ml_model_compile('m', 'public.f')")
    latin.execute('ALTER TABLE public.t RENAME k TO "größe"')
    with refused(latin, "0A000", "LATIN1"):
        latin.execute("CALL sys.ml_train('public.t', 'y', %s, 'n')", (options,))
