"""Oracle's scoring functions: prediction and its kin, anywhere in SQL."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.world import World
from fix_db import Database
from mlshare.errors import BoundsUnknown

ROW = {"region": "west", "a": 50, "b": 2.5, "c": "p"}
JSON = json.dumps(ROW)
# The ways to give the same row.
GIVEN = {
    "jsonb": f"'{JSON}'::jsonb",
    "literal": f"'{JSON}'",
    "text": f"'{JSON}'::text",
    "json": f"'{JSON}'::json",
    "record": "t",
    "composite": "(SELECT x FROM (SELECT t.*) AS x)",
    "named columns": "sys.json_object('region', region, 'a', a, 'b', b, 'c', c)",
    "jsonb of a record": "to_jsonb(t)",
}
ONE = "FROM (VALUES ('west', 50, 2.5::float8, 'p')) AS t (region, a, b, c)"


@pytest.mark.parametrize("how", GIVEN)
def test_a_row_can_be_given_as(miner: psycopg.Connection, how: str) -> None:
    expected = calls.predict_row(miner, ROW, "glm")
    query = f"SELECT sys.prediction('glm', {GIVEN[how]}), sys.ora_dm_partition_name('glm', {GIVEN[how]}) {ONE}"
    assert rows(miner, query) == [(expected["Prediction"], "west")]
    query = f"SELECT prediction, round(probability::numeric, 4)::float8 {ONE}, sys.prediction_set('glm', {GIVEN[how]})"
    assert dict(rows(miner, query)) == expected["ml_results"]["probabilities"]


def test_the_model_may_be_a_column(miner: psycopg.Connection) -> None:
    query = "SELECT m, sys.prediction(m, t) FROM (VALUES ('glm'), ('plain')) AS v (m), " + ONE.removeprefix("FROM ")
    assert {model for model, _ in rows(miner, query)} == {"glm", "plain"}


def test_usable_anywhere(miner: psycopg.Connection) -> None:
    n_yes = value(miner, "SELECT count(*)::int FROM shop.sales AS s WHERE sys.prediction('glm', s) = 'yes'")
    groups = rows(miner, "SELECT sys.prediction('glm', s), count(*) FROM shop.sales AS s GROUP BY 1 ORDER BY 1")
    assert dict(groups) == {"yes": n_yes, "no": 480 - n_yes}
    found = rows(
        miner, "SELECT id FROM shop.sales AS s ORDER BY sys.prediction_probability('glm', s, 'yes') DESC LIMIT 3"
    )
    assert len(found) == 3
    by_partition = "SELECT sys.ora_dm_partition_name('glm', s), region, count(*) FROM shop.sales AS s GROUP BY 1, 2"
    assert all(name == region and n == 120 for name, region, n in rows(miner, by_partition))


def test_the_planner_puts_conversions_into_the_query(miner: psycopg.Connection) -> None:
    plan = json.dumps(
        rows(miner, "EXPLAIN (VERBOSE, FORMAT JSON) SELECT sys.prediction('glm', s) FROM shop.sales AS s")
    )
    assert "sys.prediction('glm'::text, to_json(s.*))" in plan
    parallel = (
        "SELECT DISTINCT proparallel::text, provolatile::text FROM pg_proc WHERE "
        "pronamespace = 'sys'::regnamespace AND (proname LIKE 'prediction%' OR proname LIKE 'ora_dm%')"
    )
    assert rows(miner, parallel) == [("u", "s")]


def test_missing_attributes_count_as_null(miner: psycopg.Connection) -> None:
    sparse, full = {"region": "west", "a": 50}, {"region": "west", "a": 50, "b": None, "c": None}
    query = "SELECT sys.prediction_probability('glm', %s::jsonb, 'yes')"
    assert value(miner, query, json.dumps(sparse)) == value(miner, query, json.dumps(full))
    assert value(miner, "SELECT sys.prediction('plain', '{}')") in ("yes", "no")


FUNCTIONS = (
    "prediction",
    "prediction_probability",
    "prediction_set",
    "prediction_details",
    "prediction_bounds",
    "ora_dm_partition_name",
)


@pytest.mark.parametrize("function", FUNCTIONS)
def test_key_columns_must_be_there(miner: psycopg.Connection, function: str) -> None:
    with refused(miner, "ML508", 'partition key column "region"'):
        miner.execute(f"SELECT sys.{function}('glm', '{{\"a\": 1}}'::jsonb)")
    with refused(miner, "ML508", 'partition key column "grade"'):
        miner.execute("SELECT sys.prediction('figures', sys.json_object('region', 'west'))")


@pytest.mark.parametrize("key", ["moon", None])
def test_keys_without_a_partition(miner: psycopg.Connection, key: str | None) -> None:
    row = json.dumps({**ROW, "region": key})
    for function in ("prediction", "prediction_probability", "ora_dm_partition_name"):
        assert value(miner, f"SELECT sys.{function}('glm', %s::jsonb)", row) is None
    for function in ("prediction_set", "prediction_details", "prediction_bounds"):
        assert rows(miner, f"SELECT * FROM sys.{function}('glm', %s::jsonb)", row) == []


def test_a_null_row(miner: psycopg.Connection) -> None:
    assert value(miner, "SELECT sys.prediction('glm', NULL::jsonb)") is None
    assert value(miner, "SELECT sys.prediction('glm', NULL)") is None
    assert rows(miner, "SELECT * FROM sys.prediction_set('glm', NULL::jsonb)") == []
    with refused(miner, "ML200"):
        miner.execute("SELECT sys.prediction('nobody', NULL::jsonb)")


@pytest.mark.parametrize("row", ["[1]", '"x"', "7", "true"])
def test_what_is_no_row(miner: psycopg.Connection, row: str) -> None:
    with refused(miner, "22023", "not a JSON object", hint="json_object"):
        miner.execute("SELECT sys.prediction('glm', %s::jsonb)", (row,))


# --- the answers ---------------------------------------------------------------------------------


def test_probabilities(miner: psycopg.Connection) -> None:
    def of(label: str | None) -> float:
        return float(value(miner, "SELECT sys.prediction_probability('glm', %s::jsonb, %s)", JSON, label))

    assert of("yes") + of("no") == pytest.approx(1)
    assert of(None) == max(of("yes"), of("no"))
    with refused(miner, "22023", '"maybe" is not a class', hint="no, yes"):
        of("maybe")
    with refused(miner, "22023", "no classes", hint="prediction_number"):
        miner.execute("SELECT sys.prediction_probability('figures', s) FROM shop.sales AS s LIMIT 1")


def test_the_set_of_classes(miner: psycopg.Connection) -> None:
    found = rows(miner, "SELECT * FROM sys.prediction_set('glm', %s::jsonb)", JSON)
    assert {name for name, _ in found} == {"yes", "no"} and found[0][1] >= found[1][1]
    assert rows(miner, "SELECT * FROM sys.prediction_set('glm', %s::jsonb, 1)", JSON) == found[:1]
    assert rows(miner, "SELECT * FROM sys.prediction_set('glm', %s::jsonb, NULL, 0.5)", JSON) == found[:1]
    assert rows(miner, "SELECT * FROM sys.prediction_set('glm', %s::jsonb, 5, 1.1)", JSON) == []


def test_numbers(miner: psycopg.Connection) -> None:
    query = (
        "SELECT sys.prediction_number('figures', s), sys.prediction('figures', s), "
        "sys.ml_predict_row(to_jsonb(s), 'figures')->>'Prediction' FROM shop.sales AS s LIMIT 5"
    )
    for number, text, document in rows(miner, query):
        assert number == float(text) == float(document)
    with refused(miner, "22023", "no numbers"):
        miner.execute("SELECT sys.prediction_number('glm', %s::jsonb)", (JSON,))
    assert value(miner, "SELECT sys.prediction_number('t_int', t) FROM shop.goods AS t LIMIT 1") in (1, 2, 30)


def test_details(miner: psycopg.Connection) -> None:
    found = rows(miner, "SELECT * FROM sys.prediction_details('glm', %s::jsonb, 'yes')", JSON)
    assert [rank for *_, rank in found] == [1, 2, 3] and {name for name, *_ in found} == {"a", "b", "c"}
    assert {name: shown for name, shown, *_ in found} == {"a": "50", "b": "2.5", "c": "p"}
    assert [w for _, _, w, _ in found] == sorted((w for _, _, w, _ in found), reverse=True)
    against = rows(miner, "SELECT attribute FROM sys.prediction_details('glm', %s::jsonb, 'yes', 1, 'asc')", JSON)
    assert against == [(found[-1][0],)]
    with refused(miner, "22023", "direction"):
        miner.execute("SELECT sys.prediction_details('glm', %s::jsonb, NULL, 1, 'sideways')", (JSON,))


def test_bounds(miner: psycopg.Connection) -> None:
    query = (
        "SELECT b.lower, sys.prediction_probability('glm', %s::jsonb, 'yes'), b.upper FROM "
        "sys.prediction_bounds('glm', %s::jsonb, %s, 'yes') AS b"
    )
    wide, narrow = (rows(miner, query, JSON, JSON, level)[0] for level in (0.99, 0.5))
    assert 0 <= wide[0] <= narrow[0] <= narrow[1] <= narrow[2] <= wide[2] <= 1
    inside = (
        "SELECT count(*)::int FROM (SELECT s.*, b.* FROM shop.sales AS s, "
        "sys.prediction_bounds('figures', s, 0.999) AS b) AS x WHERE amount BETWEEN lower - 1e-6 AND upper + 1e-6"
    )
    assert value(miner, inside) > 0
    with refused(miner, "22023", "confidence"):
        miner.execute("SELECT sys.prediction_bounds('glm', %s::jsonb, 2)", (JSON,))
    with refused(miner, BoundsUnknown.sqlstate):
        miner.execute("SELECT sys.prediction_bounds('t_int', t) FROM shop.goods AS t LIMIT 1")


def test_partition_names(miner: psycopg.Connection) -> None:
    assert value(miner, "SELECT sys.ora_dm_partition_name('plain', %s::jsonb)", JSON) is None
    found = rows(miner, "SELECT DISTINCT region, grade, sys.ora_dm_partition_name('figures', s) FROM shop.sales AS s")
    listed = rows(
        miner,
        "SELECT max(column_value) FILTER (WHERE position = 1), max(column_value) FILTER (WHERE "
        "position = 2)::numeric, partition_name "
        "FROM sys.user_mining_model_partitions WHERE model_name = 'figures' GROUP BY partition_name",
    )
    assert set(found) == set(listed) and len(listed) == 12


def test_who_may_not(mine: Database, made: World) -> None:
    with mine.connect(made.plain) as plain:
        for given in ("jsonb", "text", "anyelement"):
            row = {"jsonb": "'{}'::jsonb", "text": "'{}'::text", "anyelement": "ROW(1)"}[given]
            with refused(plain, "42501"):
                plain.execute(f"SELECT sys.prediction('glm', {row})")
    with mine.connect(made.other) as other, refused(other, "ML200"):
        other.execute("SELECT sys.prediction('glm', '{}')")


def test_a_tenant_scores_its_own_rows(miner: psycopg.Connection, mine: Database, made: World) -> None:
    with mine.connect(made.owner) as owner, mine.connect(made.third) as tenant:
        grant: Any = "CALL sys.ml_model_grant('glm', quote_ident(%s)::regrole, 'PREDICT', 'west')"
        owner.execute(grant, (made.third,))
        try:
            assert value(tenant, "SELECT sys.prediction('glm', %s::jsonb)", JSON) in ("yes", "no")
            assert value(tenant, "SELECT sys.ora_dm_partition_name('glm', %s::jsonb)", JSON) == "west"
            for function in FUNCTIONS:
                for region in ("east", "moon", None):
                    with refused(tenant, "42501", "permission denied"):
                        tenant.execute(
                            f"SELECT sys.{function}('glm', %s::jsonb)".encode(),
                            (json.dumps({**ROW, "region": region}),),
                        )
        finally:
            owner.execute("CALL sys.ml_model_revoke('glm', quote_ident(%s)::regrole)", (made.third,))
