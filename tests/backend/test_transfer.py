"""Export and import through tables: their layout, the same predictions after a round trip, all that is refused."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest

from backend import calls, graphs
from backend.calls import catalog, column_types, handles, metadata, primary_key, refused, rows, value

MODELS = ["loan", "types", "amount", "tree", "t_int", "t_boolean", "t_enum", "t_numeric"]
TABLES = {"loan": "shop.loan", "types": "shop.types", "amount": "shop.types", "tree": "shop.types"}


def test_the_layout_of_an_export(owner: psycopg.Connection) -> None:
    calls.export(owner, "loan", "shop.sent")
    columns = {"chunk_id": "integer", "model_object": "bytea", "model_metadata": "jsonb"}
    assert list(column_types(owner, "shop.sent").items()) == list(columns.items())
    assert primary_key(owner, "shop.sent") == ["chunk_id"]
    about = "SELECT attnotnull, attidentity, attstorage FROM pg_attribute WHERE attnum > 0 AND attrelid = 'shop.sent'::"
    assert rows(owner, about + "regclass ORDER BY attnum") == [(True, "d", "p"), (False, "", "e"), (False, "", "x")]
    assert rows(owner, "SELECT conname, contype FROM pg_constraint WHERE conrelid = 'shop.sent'::regclass") == [
        ("sent_pkey", "p")
    ]


def test_the_rows_of_an_export(owner: psycopg.Connection) -> None:
    calls.export(owner, "loan", "shop.sent")
    own = f"SELECT chunk_id, model_object FROM {catalog(owner)}.model_object_catalog WHERE model_handle = 'loan'"
    assert rows(owner, "SELECT chunk_id, model_object FROM shop.sent ORDER BY 1") == rows(owner, own + " ORDER BY 1")
    assert value(owner, "SELECT model_metadata FROM shop.sent WHERE chunk_id = 1") == metadata(owner, "loan")


def test_a_model_without_an_object_is_exported_as_row_zero(owner: psycopg.Connection) -> None:
    owner.execute(f"DELETE FROM {catalog(owner)}.model_object_catalog WHERE model_handle = 'loan'")
    calls.export(owner, "loan", "shop.sent")
    ((number, model, about),) = rows(owner, "TABLE shop.sent")
    assert (number, model, about["target_column_name"]) == (0, None, "answer")
    with refused(owner, "ML306", "the exported model has no object"):
        calls.import_table(owner, "shop", "sent")
    owner.execute("CALL sys.ml_model_unload('loan')")
    with refused(owner, "ML204", 'model "loan" is not ready'):
        calls.predict_row(owner, {}, "loan")


@pytest.mark.parametrize("handle", MODELS)
def test_a_round_trip_gives_equal_predictions(owner: psycopg.Connection, handle: str) -> None:
    table = TABLES.get(handle, "shop.goods")
    calls.export(owner, handle, "shop.sent")
    assert calls.import_table(owner, "shop", "sent", "back") == "back"
    for name in (handle, "back"):
        calls.predict_table(owner, table, name, f"shop.out_{name}")
    assert column_types(owner, f"shop.out_{handle}") == column_types(owner, "shop.out_back")
    assert value(owner, f"SELECT count(*) FROM (TABLE shop.out_{handle} EXCEPT TABLE shop.out_back) AS d") == 0
    kept = ("task", "n_rows", "training_score", "golden", "lineage", "classes", "column_names", "object_sha256")
    assert {k: metadata(owner, "back").get(k) for k in kept} == {k: metadata(owner, handle).get(k) for k in kept}


def test_many_chunks(owner: psycopg.Connection) -> None:
    about = {"task": "regression", "target_column_name": "y", "column_names": list("abcd")}
    calls.import_object(owner, graphs.network(1300), about, "large")
    calls.export(owner, "large", "shop.sent")
    size = value(owner, "SELECT sum(octet_length(model_object)) FROM shop.sent")
    count = value(owner, "SELECT count(*) FROM shop.sent")
    assert count == metadata(owner, "large")["chunks"] == -(-size // 2**20) > 2
    calls.import_table(owner, "shop", "sent", "back")
    row = {"a": 0.5, "b": -1, "c": 3, "d": 1e3}
    assert calls.predict_row(owner, row, "large") == calls.predict_row(owner, row, "back")
    for change in ("DELETE FROM shop.sent WHERE", "UPDATE shop.sent SET chunk_id = chunk_id + 10 WHERE"):
        with owner.transaction(force_rollback=True):
            owner.execute(change + " chunk_id > 1")
            with refused(owner, "ML306", "chunks"):
                calls.import_table(owner, "shop", "sent", "again")
    owner.execute(
        "UPDATE shop.sent AS a SET model_object = b.model_object FROM shop.sent AS b "
        "WHERE a.chunk_id IN (1, 2) AND b.chunk_id = 3 - a.chunk_id"
    )
    with refused(owner, "ML301", "its bytes are not those that were exported", hint="Export it again"):
        calls.import_table(owner, "shop", "sent", "again")


# --- refusals ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("change", "sqlstate", "words"),
    [
        ("DELETE FROM shop.sent", "ML306", "exactly one row with chunk_id 1"),
        ("UPDATE shop.sent SET chunk_id = 2", "ML306", "exactly one row with chunk_id 1"),
        ("UPDATE shop.sent SET chunk_id = NULL", "23502", ""),
        ("UPDATE shop.sent SET model_object = NULL", "ML306", "a chunk is NULL"),
        ("UPDATE shop.sent SET model_object = ''", "ML301", ""),
        ("UPDATE shop.sent SET model_object = substr(model_object, 1, 200)", "ML301", "not those that were exported"),
        ("UPDATE shop.sent SET model_object = set_byte(model_object, 300, get_byte(model_object, 300) # 1)", "ML301",
         "not those that were exported"),
        ("UPDATE shop.sent SET model_metadata = '[]'", "ML305", "it is not a JSON object"),
        ("UPDATE shop.sent SET model_metadata = '7'", "ML305", "it is not a JSON object"),
        ("UPDATE shop.sent SET model_metadata = model_metadata || '{\"chunks\": 5}'", "ML306", "it has 1 chunks"),
        ("UPDATE shop.sent SET model_metadata = model_metadata || '{\"format\": \"HWMLv2.0\"}'", "ML305", "format"),
        ("UPDATE shop.sent SET model_metadata = jsonb_set(model_metadata, '{golden,probabilities,0}', '[1, 0]')",
         "ML301", "it answers its golden sample differently"),
        ("UPDATE shop.sent SET model_metadata = jsonb_set(model_metadata, '{golden}', '[1]')", "ML305", "golden"),
        ("ALTER TABLE shop.sent DROP COLUMN model_metadata", "ML306", "column model_metadata is missing"),
        ("ALTER TABLE shop.sent RENAME chunk_id TO chunk", "ML306", "column chunk_id is missing"),
        ("ALTER TABLE shop.sent ALTER model_object TYPE text USING encode(model_object, 'base64')", "ML306",
         "column model_object is missing or not bytea"),
    ],
)  # fmt: skip
def test_tables_that_hold_no_model(owner: psycopg.Connection, change: str, sqlstate: str, words: str) -> None:
    calls.export(owner, "loan", "shop.sent")
    before = handles(owner)
    with refused(owner, sqlstate, words):
        owner.execute(change)
        calls.import_table(owner, "shop", "sent")
    assert handles(owner) == before


@pytest.mark.parametrize(
    ("about", "sqlstate", "words"),
    [
        (None, "ML305", "without a model object it must name a table"),
        ({}, "ML305", "must name a table"),
        ({"schema": "shop"}, "ML305", "must name a table"),
        ({"table": "shop.sent"}, "ML305", "must name a table"),
        ({"schema": "shop", "table": "sent", "more": 1}, "ML305", "must name a table"),
        ({"schema": "shop", "table": 5}, "ML305", "must name a table"),
        ([], "ML305", "it is not a JSON object"),
        ("shop.sent", "ML305", "it is not a JSON object"),
        ({"schema": "shop", "table": "nowhere"}, "ML306", "there is no such table"),
        ({"schema": "shop", "table": "loan"}, "ML306", "column chunk_id is missing"),
    ],
)
def test_what_names_no_table(owner: psycopg.Connection, about: Any, sqlstate: str, words: str) -> None:
    with refused(owner, sqlstate, words):
        calls.import_object(owner, None, about)


@pytest.mark.parametrize(
    ("model", "sqlstate"),
    [
        (b"", "ML301"),
        (b"\x00", "ML301"),
        (b"\x28\xb5\x2f\xfd", "ML301"),
        (b"GIF89a" * 100, "ML301"),
        (b"\x80\x04N.", "ML301"),
    ],
)
def test_objects_that_are_no_models(owner: psycopg.Connection, model: bytes, sqlstate: str) -> None:
    before = handles(owner)
    with refused(owner, sqlstate):
        calls.import_object(owner, model, {"task": "classification"})
    assert handles(owner) == before


@pytest.mark.parametrize(
    "type_name", ["nonsense", "a b c (", "", "'; DROP", "integer[]", 5, None, ["text"], "numeric(x"]
)
def test_an_unknown_type_of_the_target_is_text(owner: psycopg.Connection, type_name: Any) -> None:
    calls.export(owner, "t_int", "shop.sent")
    owner.execute(
        "UPDATE shop.sent SET model_metadata = model_metadata || %s", (calls.as_json({"target_type": type_name}),)
    )
    calls.import_table(owner, "shop", "sent", "back")
    calls.predict_table(owner, "shop.goods", "back", "shop.out")
    assert column_types(owner, "shop.out")["prediction"] == "text"


def test_names_that_are_taken(owner: psycopg.Connection) -> None:
    with refused(owner, "42P07", 'table "shop.loan" already exists', hint="Drop it, or choose another name."):
        calls.export(owner, "loan", "shop.loan")
    with refused(owner, "42602", 'invalid table name "sent"'):
        calls.export(owner, "loan", "sent")
    with refused(owner, "22023", "a table must be given"):
        owner.execute("CALL sys.ml_model_export('loan', NULL)")
    with refused(owner, "ML200", 'model "nothing" does not exist'):
        calls.export(owner, "nothing", "shop.sent")


def test_a_made_up_handle_names_the_table(owner: psycopg.Connection) -> None:
    calls.export(owner, "loan", "shop.sent")
    assert calls.import_table(owner, "shop", "sent").startswith("shop.sent_owner_")


def test_the_object_form_takes_an_export_too(owner: psycopg.Connection) -> None:
    calls.export(owner, "loan", "shop.sent")
    ((model, about),) = rows(owner, "SELECT model_object, model_metadata FROM shop.sent")
    calls.import_object(owner, bytes(model), about, "whole")
    calls.import_object(owner, bytes(model), None, "bare")
    expected = calls.predict(owner, "loan", "TABLE shop.loan")
    assert (
        calls.predict(owner, "whole", "TABLE shop.loan") == expected == calls.predict(owner, "bare", "TABLE shop.loan")
    )
