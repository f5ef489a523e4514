"""ml_train: what it takes as input, the column rules, the choice of algorithms, what data it refuses."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from backend import calls, world
from backend.calls import metadata, refused, value

FAST = {"model_list": ["GaussianNB"], **world.QUICK}
ROWS = "SELECT i AS id, i % 7 AS a, (i * 5) % 11 AS b, (ARRAY['x', 'y', 'z'])[1 + i % 3] AS c, i % 2 = 0 AS y"


def make(connection: psycopg.Connection, more: str = "", count: int = 60) -> None:
    """A small table with a target y, and more columns."""
    connection.execute(f"CREATE TABLE shop.small AS {ROWS}{more} FROM generate_series(1, {count}) AS i")


def test_the_defaults(owner: psycopg.Connection) -> None:
    make(owner)
    owner.execute("CALL sys.ml_train('shop.small', 'y', '{\"time_budget\": 0.01}', 'd')")
    found = metadata(owner, "d")
    assert (found["task"], found["optimization_metric"]) == ("classification", "neg_log_loss")
    assert found["training_params"]["random_state"] == 0
    assert found["classes"] == [False, True]


def test_columns_are_dropped_for_a_reason(owner: psycopg.Connection) -> None:
    make(
        owner,
        ", 5 AS same, NULL::int AS nothing, nullif(i % 3, 0) AS gaps, nullif(i % 10, 0) AS few, md5(i::text) AS each",
    )
    calls.train(owner, "shop.small", "y", FAST, "d")
    found = metadata(owner, "d")
    assert found["selected_column_names"] == ["id", "a", "b", "c", "few"]
    assert found["dropped_columns"] == {
        "same": "constant",
        "nothing": "all values are missing",
        "gaps": "33 % of the values are missing",
        "each": "every value is different",
    }
    assert (found["n_columns"], found["n_selected_columns"]) == (9, 5)
    with refused(owner, "ML400", 'lacks column "few"'):
        calls.predict_row(owner, {"id": 1, "a": 1, "b": 1, "c": "x"}, "d")


def test_included_columns_stay(owner: psycopg.Connection) -> None:
    make(owner, ", 5 AS same, nullif(i % 3, 0) AS gaps")
    options = {**FAST, "include_column_list": ["same", "gaps"], "exclude_column_list": ["id", "c"]}
    calls.train(owner, "shop.small", "y", options, "d")
    assert metadata(owner, "d")["selected_column_names"] == ["a", "b", "same", "gaps"]


def test_rows_without_target_are_left_out(owner: psycopg.Connection) -> None:
    make(owner)
    owner.execute("UPDATE shop.small SET y = NULL WHERE id <= 12")
    calls.train(owner, "shop.small", "y", FAST, "d")
    found = metadata(owner, "d")
    assert (found["n_rows"], found["n_selected_rows"]) == (60, 48)


def test_only_listed_algorithms_are_tried(owner: psycopg.Connection) -> None:
    make(owner)
    calls.train(owner, "shop.small", "y", {"model_list": ["GaussianNB", "DecisionTreeClassifier"]}, "d")
    assert metadata(owner, "d")["algorithm_name"] in ("GaussianNB", "DecisionTreeClassifier")


def test_excluded_algorithms_are_not_tried(owner: psycopg.Connection) -> None:
    make(owner)
    trees = ["RandomForestRegressor", "ExtraTreesRegressor", "XGBRegressor", "LGBMRegressor", "SVR", "LinearSVR"]
    options = {"task": "regression", "exclude_model_list": [*trees, "DecisionTreeRegressor"], **world.QUICK}
    calls.train(owner, "shop.small", "a", {**options, "optimization_metric": "r2"}, "d")
    found = metadata(owner, "d")
    assert (found["algorithm_name"], found["optimization_metric"]) == ("LinearRegression", "r2")
    assert found["training_score"] <= 1


def test_the_time_budget_ends_the_search(owner: psycopg.Connection) -> None:
    assert metadata(owner, "loan")["training_params"] == {
        "time_budget": 0.01,
        "random_state": 0,
        "trials": 1,
        "stopped_by_time": True,
    }


def test_free_text_is_read(owner: psycopg.Connection) -> None:
    found = metadata(owner, "types")
    assert "body" in found["selected_column_names"]
    row = calls.rows(owner, "SELECT to_jsonb(t) FROM shop.types AS t WHERE id = 1")[0][0]
    shares = {
        word: calls.predict_row(owner, {**row, "body": f"{word} warm"}, "types")["ml_results"]["probabilities"]["yes"]
        for word in ("good", "bad")
    }
    assert shares["good"] > shares["bad"]


def test_every_type_is_used(owner: psycopg.Connection) -> None:
    found = metadata(owner, "types")
    assert found["selected_column_names"] == list(world.TYPE_COLUMNS)
    assert found["lineage"]["columns"]["dom_int"] == "integer", "what the domain is based on"
    assert found["lineage"]["columns"]["s_char"] == "character(8)"
    assert found["training_score"] > -0.65  # better than the shares of the classes


def test_the_name_of_the_session_is_its_own_again(owner: psycopg.Connection) -> None:
    make(owner)
    for name in ("first", "second", "third"):
        owner.execute(f"SET LOCAL application_name = '{name}'")
        if name == "first":
            with refused(owner, "ML104"):
                calls.train(owner, "shop.small", "y", {"exclude_column_list": ["id", "a", "b", "c"]})
        else:
            calls.train(owner, "shop.small", "y", FAST, name)
        assert value(owner, "SHOW application_name") == name


# --- the data ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("more", "target", "task", "sqlstate", "words"),
    [
        (", '{}'::jsonb AS j", "y", "classification", "ML101", 'column "j" has type jsonb, which a model cannot use'),
        (", ARRAY[i] AS j", "y", "classification", "ML101", 'column "j" has type integer[]'),
        (", interval '1 day' AS j", "y", "classification", "ML101", 'column "j" has type interval'),
        (", 'x'::bytea AS j", "y", "classification", "ML101", 'column "j" has type bytea'),
        (", ROW(1, 2) AS j", "y", "classification", "ML101", 'column "j" has type shop.record'),
        (", '{}'::jsonb AS j", "j", "classification", "ML102", "its type is jsonb"),
        (", now() AS t", "t", "classification", "ML102", "its type is timestamp with time zone"),
        (", current_date + i AS t", "t", "regression", "ML102", "its type is date"),
    ],
)
def test_types_that_cannot_be_used(
    owner: psycopg.Connection, more: str, target: str, task: str, sqlstate: str, words: str
) -> None:
    make(owner, more) if "ROW" not in more else owner.execute(
        "CREATE TYPE shop.record AS (a int); CREATE TABLE shop.small (j shop.record, y boolean)"
    )
    hint = "Cast it in a view, or leave it out" if sqlstate == "ML101" else ""
    with refused(owner, sqlstate, words, hint=hint):
        calls.train(owner, "shop.small", target, {**FAST, "task": task})


@pytest.mark.parametrize(
    ("change", "target", "options", "sqlstate", "words"),
    [
        ("DELETE FROM shop.small", "y", {}, "ML103", "at least 10 are needed"),
        ("UPDATE shop.small SET y = NULL", "y", {}, "ML103", "0 rows have a target"),
        ("DELETE FROM shop.small WHERE id > 9", "y", {}, "ML103", "9 rows have a target"),
        ("UPDATE shop.small SET c = 'rare' WHERE id < 4", "c", {}, "ML103", "class 'rare' of column"),
        ("UPDATE shop.small SET y = true", "y", {}, "ML102", "fewer than two distinct values"),
        ("SELECT", "c", {"task": "regression", "model_list": ["SVR"]}, "ML102", "needs numbers, not a category"),
        ("SELECT", "y", {"task": "regression", "model_list": ["SVR"]}, "ML102", "needs numbers, not a boolean"),
        ("UPDATE shop.small SET a = 1, b = 1, c = 'x', id = 1", "y", {}, "ML104", "no usable feature columns are left"),
        ("SELECT", "y", {"exclude_column_list": ["id", "a", "b", "c"]}, "ML104", "no usable feature columns"),
        ("SELECT", "y", {"model_list": ["Oracle"]}, "ML002", '"Oracle" is not an algorithm for classification'),
        ("SELECT", "y", {"model_list": ["LGBMRegressor"]}, "ML002", "is not an algorithm for classification"),
        ("SELECT", "c", {"optimization_metric": "f1"}, "ML403", "classification with 3 classes"),
        ("ALTER TABLE shop.small ALTER a TYPE float8 USING CASE id WHEN 3 THEN 'Infinity'::float8 ELSE a END", "y", {},
         "ML100", 'column "a" holds infinity'),
        ("ALTER TABLE shop.small ADD d float8 DEFAULT 'Infinity'", "d", {"task": "regression", "model_list": ["SVR"]},
         "ML102", "it holds infinity"),
    ],
)  # fmt: skip
def test_data_that_cannot_be_learned(
    owner: psycopg.Connection, change: str, target: str, options: dict[str, Any], sqlstate: str, words: str
) -> None:
    make(owner)
    owner.execute(change)
    before = calls.handles(owner)
    with refused(owner, sqlstate, words):
        calls.train(owner, "shop.small", target, {**FAST, **options})
    assert calls.handles(owner) == before


def test_excluding_every_algorithm(owner: psycopg.Connection) -> None:
    make(owner)
    with refused(owner, "ML002", hint="Known are: ") as _:
        calls.train(owner, "shop.small", "y", {"exclude_model_list": ["nothing"]})
    everything = "LogisticRegression GaussianNB DecisionTreeClassifier RandomForestClassifier ExtraTreesClassifier"
    everything += " XGBClassifier LGBMClassifier SVC LinearSVC"
    with refused(owner, "ML105", "no algorithm is left to try"):
        calls.train(owner, "shop.small", "y", {"exclude_model_list": everything.split()})


@pytest.mark.parametrize(
    ("table", "target", "sqlstate", "words"),
    [
        ("shop.nowhere", "y", "42P01", 'relation "shop.nowhere" does not exist'),
        ("shop.loan", "nope", "42703", 'column "nope" does not exist in "shop.loan"'),
        ("shop.loan", "ANSWER", "42703", 'column "ANSWER" does not exist'),
        ("shop.loan", None, "22023", "need a target column"),
        ("shop.loan", "", "42703", 'column "" does not exist'),
        (None, "y", "22023", "a table must be given"),
        ("shop.bare", "y", "22023", "shop.bare has no columns"),
    ],
)
def test_tables_and_targets(
    owner: psycopg.Connection, table: Any, target: str | None, sqlstate: str, words: str
) -> None:
    owner.execute("CREATE TABLE shop.bare ()")
    with refused(owner, sqlstate, words):
        calls.train(owner, table, target, FAST)


def test_somebody_elses_table(other: psycopg.Connection) -> None:
    with refused(other, "42501", "permission denied for schema shop"):
        calls.train(other, "shop.loan", "answer", FAST)


def test_the_catalog_of_a_newcomer_is_made_by_a_training(other: psycopg.Connection) -> None:
    other.execute(f"CREATE TEMPORARY TABLE small AS {ROWS} FROM generate_series(1, 60) AS i")
    handle = calls.train(other, "small", "y", FAST)
    assert calls.handles(other) == {handle}
    assert value(other, 'SELECT sys.ml_predict_row(\'{"id": 1, "a": 1, "b": 1, "c": "x"}\', %s)', handle)
