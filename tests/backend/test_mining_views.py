"""Oracle's dictionary views and the functions that show the inside of models: what is in them, and for whom."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest

from backend import calls, mining
from backend.calls import refused, rows, value
from backend.mining import GLM, REGIONS, create
from backend.world import World
from fix_db import Database

VIEWS = ("mining_models", *(f"mining_model_{v}" for v in ("attributes", "settings", "partitions", "views", "xforms")))
COLUMNS = {  # as in Oracle; ours follow
    "mining_models": "owner model_name mining_function algorithm algorithm_type creation_date "
    "build_duration model_size "
    "partitioned build_source comments",
    "mining_model_attributes": "owner model_name attribute_name attribute_type data_type data_length data_precision "
    "data_scale usage_type target attribute_spec",
    "mining_model_settings": "owner model_name setting_name setting_value setting_type",
    "mining_model_partitions": "owner model_name partition_name position column_name column_value",
    "mining_model_views": "owner model_name view_name view_type",
    "mining_model_xforms": "owner model_name attribute_name attribute_subname attribute_spec expression reverse",
}
DETAILS = ("coefficients", "importances", "global_statistics", "settings", "alerts")


@pytest.mark.parametrize("view", VIEWS)
def test_columns(miner: psycopg.Connection, view: str) -> None:
    wanted = COLUMNS[view].split()
    for scope, first in (("all", wanted), ("dba", wanted), ("user", wanted[1:])):
        assert list(calls.column_types(miner, f"sys.{scope}_{view}"))[: len(first)] == first


def test_models(miner: psycopg.Connection, made: World) -> None:
    query = (
        "SELECT model_name, mining_function, algorithm, partitioned, build_source FROM "
        "sys.all_mining_models WHERE owner = %s AND model_name = ANY (%s) ORDER BY 1"
    )
    names = ["amount", "figures", "glm", "plain"]
    found = rows(miner, query, made.owner, names)
    assert [row[:4] for row in found] == [
        ("amount", "REGRESSION", "LinearRegression", "NO"),
        ("figures", "REGRESSION", "GENERALIZED_LINEAR_MODEL", "YES"),
        ("glm", "CLASSIFICATION", "GENERALIZED_LINEAR_MODEL", "YES"),
        ("plain", "CLASSIFICATION", "GENERALIZED_LINEAR_MODEL", "NO"),
    ]
    assert [row[4] for row in found] == [
        "shop.types",
        "shop.figures",
        mining.ANSWERS,
        mining.ANSWERS.replace("region, ", ""),
    ]
    assert (
        value(
            miner, "SELECT bool_and(model_size > 0 AND creation_date <= clock_timestamp()) FROM sys.user_mining_models"
        )
        is True
    )


def test_attributes(miner: psycopg.Connection) -> None:
    query = (
        "SELECT attribute_name, attribute_type, data_type, data_precision, data_scale, target "
        "FROM sys.user_mining_model_attributes WHERE model_name = %s ORDER BY 1"
    )
    assert rows(miner, query, "figures") == [
        ("a", "NUMERICAL", "integer", None, None, "NO"),
        ("amount", "NUMERICAL", "double precision", None, None, "YES"),
        ("b", "NUMERICAL", "double precision", None, None, "NO"),
        ("grade", "PARTITION", "numeric", 4, 2, "NO"),
        ("region", "PARTITION", "text", None, None, "NO"),
    ]
    char = (
        "SELECT data_type, data_length FROM sys.user_mining_model_attributes WHERE model_name = "
        "'t_char' AND target = 'YES'"
    )
    assert rows(miner, char) == [("character", 6)]


def test_settings(miner: psycopg.Connection) -> None:
    query = (
        "SELECT setting_name, setting_value, setting_type FROM sys.user_mining_model_settings "
        "WHERE model_name = %s AND partition_name IS NULL"
    )
    found = rows(miner, query, "figures")
    assert {
        ("ALGO_NAME", "ALGO_GENERALIZED_LINEAR_MODEL", "INPUT"),
        ("ODMS_PARTITION_COLUMNS", "region,grade", "INPUT"),
        ("ODMS_RANDOM_SEED", "0", "DEFAULT"),
        ("PREP_AUTO", "ON", "DEFAULT"),
    } <= set(found)
    assert ("task", "classification", "INPUT") in rows(miner, query, "loan")


def test_computed_settings_of_each_partition(miner: psycopg.Connection) -> None:
    svm = {"ALGO_NAME": "ALGO_SUPPORT_VECTOR_MACHINES", "ODMS_PARTITION_COLUMNS": "region"}
    create(miner, "svm", settings=svm)
    query = (
        "SELECT DISTINCT partition_name FROM sys.user_mining_model_settings WHERE model_name = "
        "'svm' AND setting_type = 'COMPUTED'"
    )
    shown = {row[0] for row in rows(miner, query)}
    assert shown == {row[0] for row in rows(miner, "SELECT DISTINCT partition_name FROM sys.model_settings('svm')")}
    assert shown in ({*REGIONS}, set())


def test_partitions(miner: psycopg.Connection) -> None:
    query = (
        "SELECT partition_name, position, column_name, column_value, n_rows, score < 0, "
        "object_size > 0, build_seconds > 0, built_at IS NOT NULL, status, error FROM "
        "sys.user_mining_model_partitions WHERE model_name = 'glm'"
    )
    assert set(rows(miner, query)) == {(r, 1, "region", r, 120, True, True, True, True, "ready", None) for r in REGIONS}


def test_failed_partitions_and_the_fallback(miner: psycopg.Connection) -> None:
    query = "SELECT id, CASE WHEN id <= 3 THEN 'tiny' ELSE region END AS region, a, b, c, answer FROM shop.sales"
    create(
        miner,
        "gaps",
        query,
        {**GLM, "ODMS_PARTITION_COLUMNS": "region", "ON_PARTITION_ERROR": "fallback", "MIN_ROWS_PER_PARTITION": 10},
    )
    view = (
        "SELECT partition_name, position, status, error IS NOT NULL, n_rows FROM "
        "sys.user_mining_model_partitions WHERE model_name = 'gaps' AND (status = 'failed' OR "
        "position IS NULL) ORDER BY 1"
    )
    assert rows(miner, view) == [("DM$$_FALLBACK", None, "ready", False, 480), ("tiny", 1, "failed", True, 3)]
    alerts = rows(miner, "SELECT partition_name, error_text FROM sys.model_alerts('gaps', 'tiny')")
    assert alerts and alerts[0][0] == "tiny" and "rows" in alerts[0][1]


def test_views_name_what_shows_the_inside(miner: psycopg.Connection) -> None:
    for (name,) in rows(miner, "SELECT view_name FROM sys.user_mining_model_views WHERE model_name = 'glm'"):
        found = miner.execute(f"SELECT * FROM {name}('glm')".encode())
        assert found.description is not None and found.description[0].name == "partition_name"


def test_coefficients(miner: psycopg.Connection) -> None:
    found = rows(
        miner, "SELECT partition_name, attribute_name, coefficient, std_error FROM sys.model_coefficients('glm')"
    )
    assert {row[0] for row in found} == REGIONS and {row[1] for row in found} >= {None, "a", "b"}
    assert rows(
        miner,
        "SELECT partition_name, attribute_name, coefficient, std_error FROM sys.model_coefficients('glm', 'west')",
    ) == [row for row in found if row[0] == "west"]
    assert all(name is None for (name,) in rows(miner, "SELECT partition_name FROM sys.model_coefficients('plain')"))


def test_statistics_and_importances(miner: psycopg.Connection) -> None:
    n_rows = "SELECT partition_name, numeric_value FROM sys.model_global_statistics('glm') WHERE name = 'NUM_ROWS'"
    assert dict(rows(miner, n_rows)) == dict.fromkeys(REGIONS, 120.0)
    query = "SELECT attribute_name, importance, rank FROM sys.model_importances('glm', 'west') ORDER BY rank"
    found = rows(miner, query)
    assert [rank for *_, rank in found] == [1, 2, 3] and sum(w for _, w, _ in found) == pytest.approx(1, abs=1e-3)
    assert rows(miner, "SELECT attribute_name FROM sys.model_importances('loan')")


def test_no_such_partition_or_model(miner: psycopg.Connection) -> None:
    with refused(miner, "ML504", "moon"):
        miner.execute("SELECT sys.model_coefficients('glm', 'moon')")
    with refused(miner, "ML200"):
        miner.execute("SELECT sys.model_coefficients('nobody')")


# --- for whom ------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def shared(mine: Database, made: World) -> Iterator[Database]:
    """other has PREDICT on the whole model glm, third SELECT on one partition of it and PREDICT on another."""
    grant = "CALL sys.ml_model_grant('glm', quote_ident(%s)::regrole, %s, %s)"
    with mine.connect(made.owner) as owner:
        owner.execute(grant, (made.other, "PREDICT", None))
        owner.execute(grant, (made.third, "SELECT", "east"))
        owner.execute(grant, (made.third, "PREDICT", "west"))
        yield mine
        for role in (made.other, made.third):
            owner.execute("CALL sys.ml_model_revoke('glm', quote_ident(%s)::regrole)", (role,))


PARTS = (
    "SELECT partition_name, column_value, n_rows, score IS NULL, object_size IS NULL, built_at "
    "IS NULL, status FROM sys.all_mining_model_partitions ORDER BY 1"
)


def test_predict_shows_what_a_call_needs(shared: Database, made: World) -> None:
    with shared.connect(made.other) as other:
        assert rows(other, "SELECT * FROM sys.all_mining_models") == [
            (made.owner, "glm", "CLASSIFICATION", None, None, None, None, None, "YES", None, None)
        ]
        assert {row[0] for row in rows(other, "SELECT attribute_name FROM sys.all_mining_model_attributes")} == {
            "a",
            "b",
            "c",
            "region",
            "answer",
        }
        assert rows(other, "SELECT data_type FROM sys.all_mining_model_attributes WHERE data_type IS NOT NULL") == []
        assert {row[0] for row in rows(other, PARTS)} == REGIONS
        assert {row[2:] for row in rows(other, PARTS)} == {(None, True, True, True, None)}
        for view in ("settings", "views"):
            assert rows(other, f"SELECT * FROM sys.all_mining_model_{view}") == []
        for function in DETAILS:
            with refused(other, "42501", "SELECT is needed"):
                other.execute(f"SELECT sys.model_{function}('glm')".encode())


def test_a_privilege_on_a_partition_shows_that_partition(shared: Database, made: World) -> None:
    with shared.connect(made.third) as third:
        assert rows(
            third, "SELECT model_name, algorithm, model_size, build_source, comments FROM sys.all_mining_models"
        ) == [("glm", None, None, None, None)]
        assert rows(third, PARTS) == [
            ("east", "east", 120, False, False, False, "ready"),
            ("west", "west", None, True, True, True, None),
        ]
        assert rows(third, "SELECT DISTINCT partition_name FROM sys.model_coefficients('glm')") == [("east",)]
        assert rows(
            third, "SELECT name, numeric_value FROM sys.model_global_statistics('glm') WHERE name = 'NUM_ROWS'"
        ) == [("NUM_ROWS", 120.0)]
        for partition in ("west", "north", "moon"):
            with refused(third, "ML504", partition):
                third.execute("SELECT sys.model_coefficients('glm', %s)", (partition,))
        settings = "SELECT DISTINCT partition_name FROM sys.all_mining_model_settings"
        assert set(rows(third, settings)) <= {("east",)}


def test_the_whole_of_a_model_is_not_for_those_who_have_a_part(shared: Database, made: World) -> None:
    refusals = (
        "CALL dbms_data_mining.export_sermodel(NULL, 'glm')",
        "CALL sys.ml_model_export('glm', 'pg_temp.loot')",
        "CALL sys.ml_model_compile('glm', 'pg_temp.loot')",
        "CALL dbms_data_mining.drop_model('glm')",
        "CALL dbms_data_mining.rename_model('glm', 'mine')",
        "CALL dbms_data_mining.drop_partition('glm', 'east')",
        "CALL dbms_data_mining.add_partition('glm', 'SELECT 1')",
        "SELECT sys.ml_model_refresh_partitions('glm', 'SELECT 1')",
        "CALL sys.ml_model_grant('glm', current_user::regrole, 'SELECT')",
    )
    with shared.connect(made.third) as third:
        for statement in refusals:
            with refused(third, "42501"):
                third.execute(statement.encode())
        assert value(third, "CALL dbms_data_mining.export_sermodel(NULL, 'glm', 'east')")
        for partition in ("west", "north"):
            with refused(third, "ML504", partition):
                third.execute("CALL dbms_data_mining.export_sermodel(NULL, 'glm', %s)", (partition,))


def test_others_see_nothing(shared: Database, made: World) -> None:
    with shared.connect(made.plain) as plain:
        for view in VIEWS:
            with refused(plain, "42501"):
                plain.execute(f"TABLE sys.all_{view}".encode())


@pytest.mark.parametrize("view", VIEWS)
def test_administrators_see_all(shared: Database, made: World, view: str) -> None:
    with shared.connect() as admin:
        found = rows(admin, f"SELECT * FROM sys.dba_{view}")
        assert view.endswith("xforms") or {row[0] for row in found} == {made.owner}
        assert rows(admin, f"SELECT * FROM sys.user_{view}") == []
    with shared.connect(made.owner) as owner:
        with refused(owner, "42501"):
            owner.execute(f"TABLE sys.dba_{view}".encode())
        if not view.endswith("xforms"):
            with refused(owner, "42501", "superuser"):
                owner.execute(f"SELECT sys._{view}('dba')".encode())
            with refused(owner, "22023", "scope"):
                owner.execute(f"SELECT sys._{view}(NULL)".encode())


def test_somebody_with_alter_changes_partitions(mine: Database, made: World) -> None:
    with mine.connect(made.owner) as owner, mine.connect(made.other) as editor:
        calls.grant(owner, "figures", made.other, "ALTER")
        owner.execute(f'GRANT USAGE ON SCHEMA shop TO "{made.other}"; GRANT SELECT ON shop.figures TO "{made.other}"')
        try:
            west = "SELECT * FROM shop.figures WHERE region = 'west'"
            before = rows(owner, "SELECT sys.prediction('figures', s) FROM shop.sales AS s")
            editor.execute("CALL dbms_data_mining.drop_partition('figures', partition_key => '[\"west\", 2]')")
            editor.execute("CALL dbms_data_mining.add_partition('figures', %s, 'IGNORE')", (west,))
            editor.execute("CALL dbms_data_mining.rename_model('figures', 'numbers')")
            assert rows(owner, "SELECT sys.prediction('numbers', s) FROM shop.sales AS s") == before
            owner.execute("CALL dbms_data_mining.rename_model('numbers', 'figures')")
        finally:
            calls.revoke(owner, "figures", made.other)
        with refused(editor, "ML200"):
            editor.execute("CALL dbms_data_mining.drop_partition('figures', 'DM$$_P0')")
