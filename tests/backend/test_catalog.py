"""The catalog: its columns, handles, what a training writes into it, and dropping."""

from __future__ import annotations

import re
import time

import psycopg
import pytest

from backend import calls, world
from backend.calls import catalog, column_types, handles, metadata, primary_key, refused, rows, value
from backend.world import World

# In the order of the reference; the digest that seals a model comes after them.
COLUMNS = {
    "model_id": "bigint", "model_handle": "text", "model_object": "text", "model_owner": "name",
    "build_timestamp": "timestamp with time zone", "target_column_name": "text", "train_table_name": "text",
    "model_object_size": "bigint", "model_type": "text", "task": "text", "column_names": "jsonb",
    "model_explanation": "jsonb", "last_accessed": "timestamp with time zone", "model_metadata": "jsonb",
    "notes": "text",
}  # fmt: skip
CHUNKS = {"chunk_id": "integer", "model_handle": "text", "model_object": "bytea"}


def test_the_model_catalog(owner: psycopg.Connection) -> None:
    table = catalog(owner) + ".model_catalog"
    assert list(column_types(owner, table).items())[:15] == list(COLUMNS.items())
    assert primary_key(owner, table) == ["model_id"]
    with refused(owner, "23505"):
        owner.execute(f"UPDATE {table} SET model_handle = 'loan' WHERE model_handle = 'types'")
    with refused(owner, "23514"):
        owner.execute(f"UPDATE {table} SET model_object = 'x'")


def test_the_object_catalog(owner: psycopg.Connection) -> None:
    table = catalog(owner) + ".model_object_catalog"
    assert list(column_types(owner, table).items())[:3] == list(CHUNKS.items())
    assert set(primary_key(owner, table)) >= {"model_handle", "chunk_id"}
    storage = "SELECT attstorage FROM pg_attribute WHERE attrelid = %s::regclass AND attname = 'model_object'"
    assert value(owner, storage, table) == "e"
    sizes = (
        f"SELECT c.model_handle FROM {catalog(owner)}.model_catalog AS c WHERE c.model_object_size IS DISTINCT FROM "
        f"(SELECT sum(octet_length(o.model_object)) FROM {table} AS o WHERE o.model_handle = c.model_handle)"
    )
    assert rows(owner, sizes) == []


def test_the_row_of_a_model(made: World, owner: psycopg.Connection) -> None:
    names = ", ".join(COLUMNS)
    row = dict(
        zip(
            COLUMNS,
            rows(owner, f"SELECT {names} FROM {catalog(owner)}.model_catalog WHERE model_handle = 'loan'")[0],
            strict=True,
        )
    )
    assert row["model_object"] is None and row["model_object_size"] > 0
    assert row["model_owner"] == made.owner
    assert (row["target_column_name"], row["train_table_name"]) == ("answer", "shop.loan")
    assert (row["model_type"], row["task"], row["notes"]) == ("LogisticRegression", "classification", "who pays")
    assert row["column_names"] == ["age", "income", "job", "member", "since"]
    assert set(row["model_explanation"]["permutation_importance"]) == set(row["column_names"])
    assert row["model_metadata"]["model_explanation"] == row["model_explanation"]
    assert row["model_metadata"]["notes"] == row["notes"]


def test_the_metadata_of_a_model(made: World, owner: psycopg.Connection) -> None:
    found = metadata(owner, "loan")
    expected = {
        "task": "classification", "notes": "who pays", "chunks": 1, "status": "Ready", "n_rows": 240, "n_columns": 5,
        "n_selected_rows": 240, "n_selected_columns": 5, "column_names": ["age", "income", "job", "member", "since"],
        "algorithm_name": "LogisticRegression", "train_table_name": "shop.loan", "target_column_name": "answer",
        "optimization_metric": "neg_log_loss", "model_quality": "high", "classes": ["no", "yes"],
        "selected_column_names": ["age", "income", "job", "member", "since"],
    }  # fmt: skip
    assert {name: found.get(name) for name in expected} == expected
    assert found["options"]["exclude_column_list"] == ["id"] and found["options"]["random_state"] == 0
    assert found["training_score"] < 0 < found["training_time"]
    assert abs(found["build_timestamp"] - time.time()) < 1800
    assert {"numpy", "scikit-learn", "onnx", "lightgbm"} <= set(found["library_versions"])
    assert set(found["hyperparameters"]) == {"C"}
    lineage = found["lineage"]
    assert (lineage["table"], lineage["rows"], lineage["role"]) == ("shop.loan", 240, made.owner)
    assert lineage["columns"]["income"] == "double precision"
    assert len(found["golden"]["rows"]) == len(found["golden"]["probabilities"]) <= 16


def test_last_accessed_is_noted(owner: psycopg.Connection) -> None:
    seen = f"SELECT last_accessed > now() FROM {catalog(owner)}.model_catalog WHERE model_handle = 't_enum'"
    owner.execute(f"UPDATE {catalog(owner)}.model_catalog SET last_accessed = NULL")
    calls.score(owner, "shop.goods", "t_enum", "t_enum", "accuracy")
    assert value(owner, seen)


# --- handles -----------------------------------------------------------------------------------------


def test_a_handle_is_made_up(made: World, owner: psycopg.Connection) -> None:
    training = world.goods("t_int")
    first = calls.train(owner, training.table, training.target, training.options)
    second = calls.train(owner, training.table, training.target, training.options)
    assert first != second
    for handle in (first, second):
        assert re.fullmatch(rf"shop\.goods_{made.owner}_\d{{19}}", handle)
        assert calls.predict_row(owner, {"a": 1, "b": 2, "c": "p"}, handle)["Prediction"] in (1, 2, 30)


@pytest.mark.parametrize(
    ("handle", "sqlstate"),
    [
        ("", "ML005"),
        ("a" * 256, "ML005"),
        ("loan@somebody", "ML005"),
        ("two\nlines", "ML005"),
        ("loan", "ML201"),
    ],
)
def test_handles_that_do_not(owner: psycopg.Connection, handle: str, sqlstate: str) -> None:
    hint = "Choose another" if sqlstate == "ML201" else ""
    with refused(owner, sqlstate, handle[:100], hint=hint):
        calls.train(owner, "shop.loan", "answer", None, handle)
    with refused(owner, sqlstate, handle[:100], hint=hint):
        calls.import_table(owner, "shop", "sent", handle)


@pytest.fixture(autouse=True)
def sent(owner: psycopg.Connection) -> None:
    """An export to import from."""
    calls.export(owner, "t_int", "shop.sent")


@pytest.mark.parametrize(
    "handle", ["x", "a" * 255, "Größe ☃ 'quoted\" %s {} \\ ; --", "shop.goods", "null", " ", "$1", "☃" * 255]
)
def test_handles_that_do(owner: psycopg.Connection, handle: str) -> None:
    assert calls.import_table(owner, "shop", "sent", handle) == handle
    assert handle in handles(owner)
    assert calls.predict_row(owner, {"a": 1, "b": 2, "c": "p"}, handle)["Prediction"] in (1, 2, 30)
    calls.export(owner, handle, "shop.again")
    owner.execute("CALL sys.ml_model_drop(%s)", (handle,))
    assert handle not in handles(owner)


# --- dropping ----------------------------------------------------------------------------------------


def left(connection: psycopg.Connection, handle: str) -> list[int]:
    """Rows of a model in the tables of the catalog."""
    tables = ("model_catalog", "model_object_catalog", "model_privilege")
    return [
        value(connection, f"SELECT count(*) FROM {catalog(connection)}.{t} WHERE model_handle = %s", handle)
        for t in tables
    ]


@pytest.mark.parametrize("how", ["CALL sys.ml_model_drop('loan')", "DELETE"])
def test_a_drop_takes_everything(made: World, owner: psycopg.Connection, how: str) -> None:
    calls.grant(owner, "loan", made.other)
    assert all(left(owner, "loan"))
    owner.execute(how if how != "DELETE" else f"DELETE FROM {catalog(owner)}.model_catalog WHERE model_handle = 'loan'")
    assert left(owner, "loan") == [0, 0, 0]
    with refused(owner, "ML200", 'model "loan" does not exist', hint="lists your models"):
        calls.predict_row(owner, {}, "loan")
    with refused(owner, "ML200"):
        owner.execute("CALL sys.ml_model_drop('loan')")


def test_a_name_that_is_free_again_is_another_model(owner: psycopg.Connection) -> None:
    row = {"a": 1, "b": 2, "c": "p"}
    before = calls.predict_row(owner, row, "t_text")
    owner.execute("CALL sys.ml_model_drop('t_text')")
    calls.import_table(owner, "shop", "sent", "t_text")
    after = calls.predict_row(owner, row, "t_text")
    assert list(before["ml_results"]["predictions"]) == ["t_text"]
    assert list(after["ml_results"]["predictions"]) == ["t_int"]


def test_the_upgrade_may_be_repeated(owner: psycopg.Connection) -> None:
    before = handles(owner)
    owner.execute("CALL sys.ml_create_or_upgrade_catalog()")
    owner.execute("CALL sys.ml_create_or_upgrade_catalog()")
    assert handles(owner) == before
