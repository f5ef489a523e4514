"""Compiled functions at the edges of their types: what float64 has not, domains, models that came from elsewhere."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from backend import calls
from backend.calls import rows, value
from backend.world import QUICK

TREE = {"model_list": ["DecisionTreeClassifier"], **QUICK}
NAMES = "SELECT pg_get_function_arguments('shop.f'::regproc)"


def compiled(connection: psycopg.Connection, table: str, handle: str, options: Any = TREE) -> None:
    calls.train(connection, table, "y", options, handle)
    connection.execute("CALL sys.ml_model_compile(%s, 'shop.f')", (handle,))


def wrong(connection: psycopg.Connection, table: str, handle: str, arguments: str) -> int:
    """How many rows of a table the function shop.f answers otherwise than the model."""
    model = f"sys.ml_predict_row(to_jsonb(given), '{handle}') ->> 'Prediction'"
    return int(
        value(
            connection,
            f"SELECT count(*) FROM {table} AS given WHERE shop.f({arguments})::text IS DISTINCT FROM {model}",
        )
    )


def test_integers_that_float64_has_not(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.big AS SELECT 1800000000000000000 + i * 1000000007::bigint AS b, "
        "CASE WHEN i > 500 THEN 'hi' ELSE 'lo' END AS y FROM generate_series(1, 1000) AS i"
    )
    compiled(owner, "shop.big", "big")
    (threshold,) = [r[0] for r in rows(owner, "SELECT 1800000000500500003840::numeric / 1000")]
    near = ", ".join(f"({int(threshold) + d})" for d in range(-600, 600, 7))
    owner.execute(
        f"CREATE TABLE shop.near AS SELECT b::bigint "
        f"FROM (VALUES {near}, (9223372036854775807), (-9223372036854775808)) AS v (b)"
    )
    assert value(owner, "SELECT count(DISTINCT shop.f(b)) FROM shop.near") == 2
    assert wrong(owner, "shop.near", "big", "b") == 0


@pytest.mark.parametrize(
    ("base", "values"),
    [
        ("timestamptz", "'2020-01-01 00:00Z'::timestamptz + i * interval '77 min'"),
        ("real", "i / 10.0"),
        ("time", "time '00:00' + i * interval '1 min'"),
        ("smallint", "i"),
    ],
)
def test_a_domain_is_what_it_is_based_on(owner: psycopg.Connection, base: str, values: str) -> None:
    owner.execute(f"CREATE DOMAIN shop.own AS {base}")
    owner.execute(
        f"CREATE TABLE shop.domains AS SELECT ({values})::shop.own AS d, "
        "CASE WHEN i / 10 % 2 = 0 THEN 'a' ELSE 'b' END AS y FROM generate_series(1, 600) AS i"
    )
    compiled(owner, "shop.domains", "domains")
    long = {"timestamptz": "timestamp with time zone", "time": "time without time zone"}
    assert value(owner, NAMES) == f"d {long.get(base, base)}"
    owner.execute("SET LOCAL timezone = 'Asia/Tokyo'")
    assert wrong(owner, "shop.domains", "domains", "d") == 0


@pytest.mark.parametrize("partition", [None, "0"])
def test_a_serialized_model_keeps_its_types(owner: psycopg.Connection, partition: str | None) -> None:
    owner.execute(
        "CREATE TABLE shop.parts AS SELECT i % 2 AS part, (i / 7.0)::real AS r, i::bigint AS b, i::text::char(5) AS c, "
        "timestamptz '2020-01-01' + i * interval '77 min' AS tz, (i / 10 % 2)::smallint AS y "
        "FROM generate_series(1, 600) AS i"
    )
    options = {**TREE, "exclude_column_list": ["c"], **({"partition_columns": ["part"]} if partition else {})}
    calls.train(owner, "shop.parts", "y", options, "from")
    owner.execute(
        "DO $do$ DECLARE b bytea; BEGIN "
        f"CALL dbms_data_mining.export_sermodel(b, 'from', {(partition and repr(partition)) or 'NULL'}); "
        "CALL dbms_data_mining.import_sermodel(b, 'to'); END $do$"
    )
    owner.execute("CALL sys.ml_model_compile('to', 'shop.f')")
    first = "" if partition else "part integer, "
    assert value(owner, NAMES) == f"{first}r real, b bigint, tz timestamp with time zone"
    assert value(owner, "SELECT prorettype::regtype::text FROM pg_proc WHERE oid = 'shop.f'::regproc") == "smallint"
    owner.execute("SET LOCAL timezone = 'America/New_York'")
    owner.execute("CREATE TABLE shop.first AS SELECT * FROM shop.parts WHERE part = 0")
    assert wrong(owner, "shop.first", "to", "r, b, tz" if partition else "part, r, b, tz") == 0


def test_moments_that_float64_has_not(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.late AS SELECT '2015-01-01'::timestamp + i * interval '77 hours' AS t, "
        "concat('y', (extract(month FROM '2015-01-01'::timestamp + i * interval '77 hours') > 6), i / 50 % 3) AS y "
        "FROM generate_series(1, 1000) AS i"
    )
    compiled(owner, "shop.late", "late")
    owner.execute(
        "CREATE TABLE shop.latest AS SELECT ('1600-12-31 23:59:59.999999'::timestamp + n * interval '97 days') AS t "
        "FROM generate_series(0, 30000, 37) AS n UNION ALL SELECT t::timestamp "
        "FROM (VALUES ('9999-12-31 23:59:59.999999'), "
        "('2517-03-31 22:59:59.999999'), ('1600-06-30 23:59:59.999999'), ('0001-01-01 BC'), "
        "('20000-06-30 12:59:59.999')) AS v (t)"
    )
    assert wrong(owner, "shop.latest", "late", "t") == 0


def test_a_date_that_is_no_timestamp(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE TABLE shop.days AS SELECT '2015-01-01'::date + i AS d, CASE WHEN i % 7 > 3 THEN 'a' ELSE 'b' END AS y "
        "FROM generate_series(1, 600) AS i"
    )
    for algorithm in ("DecisionTreeClassifier", "LogisticRegression", "GaussianNB"):
        with owner.transaction(force_rollback=True):
            compiled(owner, "shop.days", "days", {**TREE, "model_list": [algorithm]})
            dates = (
                "('294276-12-31'), ('294277-01-01'), ('5874897-12-31'), ('infinity'), ('-infinity'), ('4714-11-24 BC')"
            )
            found = rows(owner, f"SELECT d, shop.f(d::date) FROM (VALUES {dates}) AS v (d)")
            assert [answer is None for _, answer in found] == [False, True, True, True, True, False]


@pytest.mark.parametrize("algorithm", ["LGBMClassifier", "DecisionTreeClassifier"])
def test_a_real_is_read_as_it_is_written(owner: psycopg.Connection, algorithm: str) -> None:
    owner.execute(
        "CREATE TABLE shop.reals AS SELECT (i / 7.0)::real AS r, CASE WHEN i % 14 > 6 THEN 'a' ELSE 'b' END AS y "
        "FROM generate_series(1, 600) AS i"
    )
    compiled(owner, "shop.reals", "reals", {**TREE, "model_list": [algorithm]})
    for digits in (1, 0, -15):
        owner.execute(f"SET LOCAL extra_float_digits = {digits}")
        found = rows(owner, "SELECT shop.f(r) FROM shop.reals")
        owner.execute("SET LOCAL extra_float_digits = 1")
        assert found == rows(
            owner, "SELECT sys.ml_predict_row(to_jsonb(t), 'reals') ->> 'Prediction' FROM shop.reals AS t"
        )


def test_a_long_name_is_known_by_its_first_63_bytes(owner: psycopg.Connection) -> None:
    name = "shop." + "n" * 70
    owner.execute("CALL sys.ml_model_compile('loan', %s)", (name,))
    with calls.refused(owner, "42723"):
        owner.execute("CALL sys.ml_model_compile('tree', %s)", (name,))
