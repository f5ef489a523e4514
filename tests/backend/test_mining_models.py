"""dbms_data_mining: models made, changed, renamed, applied and moved as in Oracle."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.mining import ANSWERS, GLM, REGIONS, create, partition_names
from backend.world import World
from fix_db import Database

PREDICTIONS = "SELECT id, sys.prediction(%s, s) FROM shop.sales AS s ORDER BY id"


def said(connection: psycopg.Connection, model: str) -> list[tuple[Any, ...]]:
    """The predictions of a model for every row."""
    return rows(connection, PREDICTIONS, model)


def of_query(where: str) -> str:
    return f"{ANSWERS} WHERE {where}"


# --- making --------------------------------------------------------------------------------------


def test_a_partition_for_each_key(miner: psycopg.Connection) -> None:
    assert set(partition_names(miner, "glm")) == REGIONS
    assert partition_names(miner, "figures") == [f"DM$$_P{n}" for n in (0, 1, 10, 11, 2, 3, 4, 5, 6, 7, 8, 9)]
    assert partition_names(miner, "plain") == []


def test_a_model_without_partition_columns_is_an_ordinary_one(miner: psycopg.Connection) -> None:
    found = calls.metadata(miner, "plain")
    assert (found["algorithm_name"], found["n_rows"], found["selected_column_names"]) == (
        "LogisticRegression",
        480,
        ["a", "b", "c"],
    )
    assert "partition_columns" not in found and found["details"]["coefficients"]
    assert calls.score(miner, "shop.sales", "answer", "plain", "accuracy") > 0.8
    assert calls.score(miner, "shop.sales", "answer", "glm", "accuracy") > 0.8


def test_the_case_identifier_and_the_key_are_no_attributes(miner: psycopg.Connection) -> None:
    assert calls.metadata(miner, "glm")["selected_column_names"] == ["a", "b", "c"]


def test_a_query_is_read_in_the_search_path_of_the_caller(miner: psycopg.Connection) -> None:
    miner.execute("SET LOCAL search_path = shop, public")
    query = "SELECT id, region, a, answer FROM sales"
    create(miner, "there", query)
    miner.execute("SET LOCAL search_path = public")
    miner.execute("CALL dbms_data_mining.drop_partition('there', 'east')")
    with refused(miner, "42P01", "sales"):
        miner.execute("CALL dbms_data_mining.add_partition('there', %s)", (query,))
    miner.execute("SET LOCAL search_path = shop")
    miner.execute("CALL dbms_data_mining.add_partition('there', %s, 'ignore')", (query,))
    assert set(partition_names(miner, "there")) == REGIONS
    found = rows(miner, "SELECT action FROM sys.ml_model_refresh_partitions('there', %s)", query)
    assert {row[0] for row in found} == {"unchanged"}


def test_nothing_but_the_query_is_read_in_that_path(miner: psycopg.Connection) -> None:
    """Functions that look like those mlshare puts around a query are not called, though they would fit better."""
    miner.execute("CREATE SCHEMA trap")
    miner.execute("CREATE TABLE trap.called (x int)")
    for name in ("concat", "trim_scale", "rtrim", "hashtextextended", "count", "array_agg"):
        miner.execute(
            f"CREATE FUNCTION trap.{name}(shop.mood) RETURNS text LANGUAGE sql AS "
            "$$ INSERT INTO trap.called VALUES (1); SELECT 'x' $$"
        )
    miner.execute(
        "CREATE VIEW trap.moods AS SELECT *, CASE WHEN a > 50 THEN 'sad' ELSE 'ok' END::shop.mood AS m FROM shop.sales"
    )
    miner.execute("SET LOCAL search_path = trap, shop, pg_catalog")
    create(miner, "trapped", "SELECT id, m, a, b, answer FROM moods", {**GLM, "ODMS_PARTITION_COLUMNS": "m"})
    assert partition_names(miner, "trapped") == ["ok", "sad"]
    assert value(miner, "SELECT count(*)::int FROM trap.called") == 0


def test_create_model_takes_tables_by_name_and_schema(miner: psycopg.Connection) -> None:
    call = "CALL dbms_data_mining.create_model(%s, 'REGRESSION', %s, 'id', 'amount', %s, %s)"
    miner.execute("SET LOCAL search_path = shop")
    miner.execute(call, ("in_path", "figures", "settings", None))
    miner.execute("SET LOCAL search_path = public")
    miner.execute(call, ("qualified", "shop.figures", "shop.settings", None))
    miner.execute(call, ("no_settings", "FIGURES", None, "Shop"))
    assert said(miner, "in_path") == said(miner, "qualified") == said(miner, "figures")
    with refused(miner, "22023", "there is no table or view figures"):
        miner.execute(call, ("x", "figures", None, None))
    with refused(miner, "22023", "it has odms_details twice"):
        miner.execute(
            "CREATE TABLE shop.twice AS SELECT 'odms_details' AS setting_name, 'x' AS setting_value "
            "FROM generate_series(1, 2)"
        )
        miner.execute(call, ("x", "shop.figures", "shop.twice", None))


WRONG = {
    "function": ("'CLUSTERING', 'TABLE shop.sales', '{}', 'id', 'answer'", "22023", "CLUSTERING"),
    "setting": (
        "'CLASSIFICATION', 'TABLE shop.sales', '{\"ODMS_PARTITIONS\": 1}', 'id', 'answer'",
        "ML007",
        "ODMS_PARTITIONS",
    ),
    "value": (
        "'CLASSIFICATION', 'TABLE shop.sales', '{\"PREP_AUTO\": \"maybe\"}', 'id', 'answer'",
        "ML008",
        "PREP_AUTO",
    ),
    "settings": ("'CLASSIFICATION', 'TABLE shop.sales', '[]', 'id', 'answer'", "22023", "set_list"),
    "xforms": (
        "'CLASSIFICATION', 'TABLE shop.sales', '{}', 'id', 'answer', '{\"a\": \"log(a)\"}'",
        "22023",
        "xform_list",
    ),
    "target": ("'CLASSIFICATION', 'TABLE shop.sales', '{}', 'id'", "22023", "target"),
    "case": ("'CLASSIFICATION', 'TABLE shop.sales', '{}', 'nobody', 'answer'", "42703", "nobody"),
    "query": ("'CLASSIFICATION', NULL, '{}', 'id', 'answer'", "22023", "data_query"),
    "columns": ("'CLASSIFICATION', 'SELECT 1; SELECT 2', '{}', 'id', 'answer'", "42601", ""),
    "too many": (
        "'CLASSIFICATION', 'TABLE shop.sales', '{\"ODMS_PARTITION_COLUMNS\": \"region\", "
        '"odms_max_partitions": 3}\', '
        "'id', 'answer'",
        "54000",
        "4 partitions",
    ),
}


@pytest.mark.parametrize("case", WRONG)
def test_refused(miner: psycopg.Connection, case: str) -> None:
    arguments, sqlstate, words = WRONG[case]
    with refused(miner, sqlstate, words):
        miner.execute(f"CALL dbms_data_mining.create_model2('wrong', {arguments})".encode())
    assert "wrong" not in calls.handles(miner)


def test_an_empty_list_of_transformations_is_none(miner: psycopg.Connection) -> None:
    miner.execute(
        "CALL dbms_data_mining.create_model2('none', 'CLASSIFICATION', 'TABLE shop.sales', '{}', 'id', 'answer', '[]')"
    )


def test_a_view_and_a_role_without_temporary_tables(mine: Database, made: World) -> None:
    """Where no temporary view can be made, names in a query need their schema."""
    admin = mine.connect()
    admin.execute(f'REVOKE TEMPORARY ON DATABASE "{mine.name}" FROM PUBLIC, "{made.owner}"')
    try:
        with mine.connect(made.owner) as owner:
            create(owner, "bare")
            assert set(partition_names(owner, "bare")) == REGIONS
            owner.execute("CALL dbms_data_mining.drop_model('bare')")
    finally:
        admin.execute(f'GRANT TEMPORARY ON DATABASE "{mine.name}" TO PUBLIC, "{made.owner}"')


# --- partitions ----------------------------------------------------------------------------------


def test_partitions_come_and_go(miner: psycopg.Connection) -> None:
    before = said(miner, "glm")
    miner.execute("CALL dbms_data_mining.drop_partition('glm', 'west')")
    assert set(partition_names(miner, "glm")) == REGIONS - {"west"}
    miner.execute("CALL dbms_data_mining.drop_partition('glm', partition_key => '[\"north\"]')")
    miner.execute("CALL dbms_data_mining.drop_partition('glm', partition_key => '{\"region\": \"east\"}')")
    with refused(miner, "ML505", "only one"):
        miner.execute("CALL dbms_data_mining.drop_partition('glm', 'o''hara \"é\"')")
    miner.execute(
        "CALL dbms_data_mining.add_partition(model_name => 'glm', data_query => %s)",
        (of_query("region <> 'o''hara \"é\"'"),),
    )
    assert said(miner, "glm") == before


def test_a_model_of_one_dialect_works_in_the_other(miner: psycopg.Connection) -> None:
    miner.execute("CALL sys.ml_model_drop_partition('glm', 'west')")
    miner.execute("CALL sys.ml_model_add_partition('glm', %s)", (of_query("region = 'west'"),))
    options = {
        "model_list": ["GaussianNB"],
        "partition_columns": ["region"],
        "exclude_column_list": ["id"],
        "time_budget": 0.01,
    }
    calls.train(miner, "shop.sales", "answer", options, "heat")
    miner.execute("CALL dbms_data_mining.drop_partition('heat', 'west')")
    miner.execute("CALL dbms_data_mining.rename_model('heat', 'oracle')")
    assert calls.predict_row(miner, {"region": "east", **dict.fromkeys(json.loads(value(miner, COLUMNS)))}, "oracle")[
        "Prediction"
    ]
    miner.execute("CALL dbms_data_mining.drop_model('oracle', true)")
    assert {"heat", "oracle"}.isdisjoint(calls.handles(miner))


COLUMNS = (
    "SELECT jsonb_agg(attribute_name)::text FROM sys.user_mining_model_attributes "
    "WHERE model_name = 'oracle' AND attribute_type <> 'PARTITION' AND target = 'NO'"
)


# --- rename --------------------------------------------------------------------------------------


@pytest.mark.parametrize("model", ["glm", "figures", "plain"])
def test_rename(miner: psycopg.Connection, mine: Database, made: World, model: str) -> None:
    before = said(miner, model)
    calls.grant(miner, model, made.other)
    miner.execute("CALL dbms_data_mining.rename_model(%s, 'Renamed \"é\"')", (model,))
    assert said(miner, 'Renamed "é"') == before
    with refused(miner, "ML200", model):
        said(miner, model)
    signed = "SELECT count(*), count(signature) FROM {}.model_object_catalog WHERE model_handle = 'Renamed \"é\"'"
    total, with_signature = rows(miner, signed.format(calls.catalog(miner)))[0]
    assert total == with_signature > 0
    assert value(miner, "SELECT count(*)::int FROM sys.ml_model_privileges WHERE model_handle = 'Renamed \"é\"'") == 1


def test_rename_in_the_place_of_another(miner: psycopg.Connection) -> None:
    old, new = said(miner, "plain"), said(miner, "glm")
    assert old != new
    miner.execute("CALL dbms_data_mining.rename_model('glm', 'plain', 'plain_v1')")
    assert (said(miner, "plain"), said(miner, "plain_v1")) == (new, old)
    assert calls.handles(miner) & {"plain", "plain_v1", "glm"} == {"plain", "plain_v1"}


def test_rename_refused(miner: psycopg.Connection) -> None:
    with refused(miner, "ML201", "plain"):
        miner.execute("CALL dbms_data_mining.rename_model('glm', 'plain')")
    with refused(miner, "ML005", "@"):
        miner.execute("CALL dbms_data_mining.rename_model('glm', 'a@b')")
    with refused(miner, "ML200"):
        miner.execute("CALL dbms_data_mining.rename_model('nobody', 'a')")


def test_rename_does_not_sign_what_was_changed(miner: psycopg.Connection) -> None:
    miner.execute(
        f"UPDATE {calls.catalog(miner)}.model_object_catalog SET model_object = set_byte(model_object, 60, "
        "get_byte(model_object, 60) # 1) WHERE model_handle = 'glm' AND partition_id = 2"
    )
    with refused(miner, "ML302"):
        miner.execute("CALL dbms_data_mining.rename_model('glm', 'washed')")


# --- apply ---------------------------------------------------------------------------------------


def apply(connection: psycopg.Connection, model: str, table: str, output: str) -> None:
    connection.execute("CALL dbms_data_mining.apply(%s, %s, 'id', %s)", (model, table, output))


def test_apply_gives_a_row_for_each_class(miner: psycopg.Connection) -> None:
    apply(miner, "glm", "shop.sales", "shop.applied")
    assert calls.column_types(miner, "shop.applied") == {
        "id": "integer",
        "prediction": "text",
        "probability": "double precision",
        "partition_name": "text",
    }
    same = (
        "SELECT count(*), "
        "count(*) FILTER (WHERE abs(r.probability - sys.prediction_probability('glm', s, r.prediction)) < 1e-12), "
        "count(*) FILTER (WHERE r.partition_name = s.region) FROM shop.applied AS r JOIN shop.sales AS s USING (id)"
    )
    assert rows(miner, same) == [(960, 960, 960)]


def test_apply_of_an_ordinary_model_and_of_a_regression(miner: psycopg.Connection) -> None:
    apply(miner, "plain", "shop.sales", "shop.applied")
    assert list(calls.column_types(miner, "shop.applied")) == ["id", "prediction", "probability"]
    apply(miner, "figures", "shop.figures", "shop.applied_figures")
    assert list(calls.column_types(miner, "shop.applied_figures")) == ["id", "prediction", "partition_name"]
    wrong = (
        "SELECT count(*)::int FROM shop.applied_figures AS r JOIN shop.figures AS s USING (id) "
        "WHERE abs(r.prediction - sys.prediction_number('figures', s)) > 1e-9 "
        "OR r.partition_name <> sys.ora_dm_partition_name('figures', s)"
    )
    assert value(miner, wrong) == 0


def test_apply_of_rows_without_a_partition(miner: psycopg.Connection) -> None:
    miner.execute(
        "CREATE VIEW shop.odd AS SELECT id, CASE id % 3 WHEN 0 THEN region WHEN 1 THEN 'moon' END "
        "AS region, a, b, c FROM shop.sales"
    )
    apply(miner, "glm", "shop.odd", "shop.applied")
    query = (
        "SELECT id % 3 = 0, prediction IS NULL, probability IS NULL, partition_name IS NULL, "
        "count(*) FROM shop.applied GROUP BY 1, 2, 3, 4 ORDER BY 1"
    )
    assert rows(miner, query) == [(False, True, True, True, 320), (True, False, False, False, 320)]
    assert value(miner, "SELECT count(*)::int FROM pg_class WHERE relname LIKE '%mlshare_staging%'") == 0


def test_apply_names_columns_as_they_are(miner: psycopg.Connection) -> None:
    miner.execute(
        'CREATE TABLE shop.hostile AS SELECT id AS "codes", id AS "documents", id AS "s;""--", '
        "region, a, b, c, id AS number FROM shop.sales"
    )
    for case in ("codes", "documents", "number", 's;"--'):
        for model in ("glm", "plain"):
            output = f"shop.out_{case[0]}_{model}"
            miner.execute("CALL dbms_data_mining.apply(%s, 'shop.hostile', %s, %s)", (model, case, output))
            assert next(iter(calls.column_types(miner, output))) == case


def test_apply_in_the_search_path(miner: psycopg.Connection) -> None:
    miner.execute("SET LOCAL search_path = shop")
    apply(miner, "glm", "sales", "applied")
    miner.execute("CALL dbms_data_mining.apply('glm', 'sales', 'id', 'pg_temp.applied', 'shop')")
    assert value(miner, "SELECT count(*)::int FROM shop.applied") == value(
        miner, "SELECT count(*)::int FROM pg_temp.applied"
    )


def test_apply_refused(miner: psycopg.Connection) -> None:
    apply(miner, "glm", "shop.sales", "shop.applied")
    with refused(miner, "42P07"):
        apply(miner, "glm", "shop.sales", "shop.applied")
    with refused(miner, "ML508", "region"):
        miner.execute("CREATE VIEW shop.keyless AS SELECT id, a, b, c FROM shop.sales")
        apply(miner, "glm", "shop.keyless", "shop.other")
    with refused(miner, "42703", "nobody"):
        miner.execute("CALL dbms_data_mining.apply('glm', 'shop.sales', 'nobody', 'shop.other')")
    with refused(miner, "22023", "case_id_column_name"):
        miner.execute("CALL dbms_data_mining.apply('glm', 'shop.sales', NULL, 'shop.other')")


# --- as bytes ------------------------------------------------------------------------------------


def serialized(connection: psycopg.Connection, model: str, partition: str | None = None) -> bytes:
    return bytes(value(connection, "CALL dbms_data_mining.export_sermodel(NULL, %s, %s)", model, partition))


def store(connection: psycopg.Connection, data: bytes, name: str) -> None:
    connection.execute("CALL dbms_data_mining.import_sermodel(%s, %s)", (data, name))


@pytest.mark.parametrize("model", ["glm", "figures", "plain"])
def test_a_model_travels_as_bytes(miner: psycopg.Connection, mine: Database, made: World, model: str) -> None:
    data, expected = serialized(miner, model), said(miner, model)
    with mine.connect(made.other) as other, other.transaction(force_rollback=True):
        store(other, data, "mine")
        miner.execute(
            f'GRANT USAGE ON SCHEMA shop TO "{made.other}"; GRANT SELECT ON ALL TABLES IN SCHEMA shop TO "{made.other}"'
        )
        listed = partition_names(other, "mine")
    assert listed == partition_names(miner, model)
    store(miner, data, "again")
    assert said(miner, "again") == expected
    assert rows(miner, FACTS, "again") == rows(miner, FACTS, model)


FACTS = (
    "SELECT partition_name, position, column_name, column_value, n_rows, score, build_seconds, status "
    "FROM sys.user_mining_model_partitions WHERE model_name = %s ORDER BY 1, 2"
)


def test_an_imported_model_can_be_changed(miner: psycopg.Connection) -> None:
    store(miner, serialized(miner, "glm"), "again")
    found = rows(miner, "SELECT action FROM sys.ml_model_refresh_partitions('again', %s)", ANSWERS)
    assert {row[0] for row in found} == {"unchanged"}
    miner.execute("CALL dbms_data_mining.drop_partition('again', 'west')")
    miner.execute("CALL dbms_data_mining.add_partition('again', %s)", (of_query("region = 'west'"),))
    assert said(miner, "again") == said(miner, "glm")


def test_one_partition_becomes_an_ordinary_model(miner: psycopg.Connection) -> None:
    store(miner, serialized(miner, "glm", "west"), "west")
    query = "SELECT id, sys.prediction(%s, s) FROM shop.sales AS s WHERE region = 'west' ORDER BY id"
    assert rows(miner, query, "west") == rows(miner, query, "glm")
    assert value(miner, "SELECT partitioned FROM sys.user_mining_models WHERE model_name = 'west'") == "NO"
    with refused(miner, "ML504", "moon"):
        serialized(miner, "glm", "moon")
    with refused(miner, "ML506"):
        serialized(miner, "plain", "west")


def test_a_partitioned_model_is_not_compiled_but_a_partition_is(miner: psycopg.Connection) -> None:
    with refused(miner, "ML406", "it has partitions", hint="export_sermodel"):
        miner.execute("CALL sys.ml_model_compile('glm', 'shop.compiled')")
    store(miner, serialized(miner, "glm", "west"), "west")
    miner.execute("CALL sys.ml_model_compile('west', 'shop.compiled')")
    query = (
        "SELECT count(*)::int FROM shop.sales AS s WHERE region = 'west' AND shop.compiled(a, "
        "b, c) = sys.prediction('glm', s)"
    )
    assert value(miner, query) == 120


def test_bytes_that_are_no_model(miner: psycopg.Connection) -> None:
    for data in (b"", b"x", serialized(miner, "glm")[:-9]):
        with refused(miner, "ML301"):
            store(miner, data, "wrong")
    with refused(miner, "22023"):
        miner.execute("CALL dbms_data_mining.import_sermodel(NULL, 'wrong')")


def test_the_schema_is_for_users_only(mine: Database, made: World) -> None:
    with mine.connect(made.plain) as plain, refused(plain, "42501"):
        plain.execute("CALL dbms_data_mining.drop_model('glm')")
