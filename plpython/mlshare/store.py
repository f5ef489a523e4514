"""The rows of a catalog: making the tables, storing, reading and dropping models."""

from __future__ import annotations

import json
import secrets
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from mlshare import catalog, db, errors
from mlshare.catalog import SCHEMA_PREFIX, Model

TABLES = {  # in the order in which they are made, with the statement that protects each
    "model_catalog": "protect_catalog",
    "model_object_catalog": "protect_object_catalog",
    "model_partition": "protect_partition",
    "model_privilege": "protect_privilege",
}


@dataclass(frozen=True)
class Chunk:
    """A stored piece of a model object; ``partition_id`` 0: of the model itself."""

    chunk_id: int
    data: bytes
    signature: bytes | None
    partition_id: int = 0


# --- making and changing ---------------------------------------------------------------------------


def ensure() -> str:
    """The quoted name of the caller's catalog, made if it is not there."""
    role = db.current_user()
    state = db.one("catalog_state", role)
    assert state is not None
    schema = str(state["schema"])
    if state["owned"] is False:
        raise errors.CatalogError(schema=schema, reason=f"it does not belong to role {role}")
    if state["owned"] is None or not state["door"]:
        _create_schema(role, state)
    _create_tables(schema)
    if not db.value("own_catalog", role):
        raise errors.CatalogError(schema=schema, reason=f"a table in it does not belong to role {role}")
    return db.quote_ident(schema)


def _create_schema(role: str, state: dict[str, Any]) -> None:
    if state["acting"] != role:
        raise errors.CatalogError(
            schema=str(state["schema"]),
            reason=f"it does not exist, and only {role} itself can make it",
            hint=f"As {role}: CALL sys.ml_create_or_upgrade_catalog();",
        )
    if len(role.encode()) > 63 - len(SCHEMA_PREFIX):
        raise errors.InvalidRoleName(
            role=role,
            reason=f"its name is longer than {63 - len(SCHEMA_PREFIX)} bytes",
            hint="Rename the role, or let a role with a shorter name own the models.",
        )
    db.query("create_catalog_schema")


def _create_tables(schema: str) -> None:
    present = {row["relname"] for row in db.query("catalog_tables", schema)}
    missing = [table for table in TABLES if table not in present]
    quoted = db.quote_ident(schema)
    for table in missing:
        db.run(f"create_{table}", schema=quoted)
    conditions = {
        "may_see": db.text("privilege_condition", schema=quoted, privileges="'SELECT', 'ALTER'"),
        "may_change": db.text("privilege_condition", schema=quoted, privileges="'ALTER'"),
    }
    for table in missing:
        db.run(TABLES[table], schema=quoted, **conditions)


def new_handle(schema: str, handle: str | None, table: str) -> str:
    """The handle for a new model: the one given, if it is good and new, or schema.table_role_number.

    Errors: ReadOnlyTransaction, before any work for what could not be stored; InvalidHandle, ModelExists.
    """
    if db.value("read_only"):
        raise errors.ReadOnlyTransaction()
    if handle is None:
        stem = f"{table}_{db.current_user()}_".replace("@", "_").replace('"', "")[-230:]
        # The second, and digits that tell apart what begins in it: others are not to be seen before they end.
        return f"{stem}{int(time.time())}{secrets.randbelow(10**9):09}"
    if not 1 <= len(handle) <= 255 or "@" in handle or not handle.isprintable():
        raise errors.InvalidHandle(handle=handle, reason="it must be 1 to 255 printable characters without @")
    if db.value("handle_exists", handle, schema=schema):
        raise errors.ModelExists(handle=handle, hint="Choose another, or CALL sys.ml_model_drop(…) first.")
    return handle


def insert(schema: str, row: dict[str, Any], chunks: list[Chunk], digest: bytes | None) -> None:
    """Stores a model: one catalog row and its chunks."""
    handle = row["model_handle"]
    db.query(
        "insert_model",
        handle,
        row.get("target_column_name"),
        row.get("train_table_name"),
        row.get("model_type"),
        row.get("task"),
        _json(row.get("column_names")),
        _json(row.get("model_explanation")),
        _json(row.get("model_metadata")),
        row.get("notes"),
        sum(len(c.data) for c in chunks),
        digest,
        schema=schema,
    )
    insert_chunks(schema, handle, chunks)


def insert_chunks(schema: str, handle: str, chunks: list[Chunk]) -> None:
    for chunk in chunks:
        db.query("insert_chunk", handle, chunk.partition_id, chunk.chunk_id, chunk.data, chunk.signature, schema=schema)


def insert_objects(schema: str, handle: str, chunks: Sequence[Chunk]) -> None:
    """The same in one statement: for the small objects of many partitions."""
    if chunks:
        columns = zip(*((c.partition_id, c.chunk_id, c.data, c.signature) for c in chunks), strict=True)
        db.query("insert_objects", handle, *(list(c) for c in columns), schema=schema)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def sign(model: Model, chunks: list[Chunk]) -> None:
    """Puts the signatures of chunks on those that are stored of a model."""
    if not chunks:
        return
    columns = zip(*((c.partition_id, c.chunk_id, c.signature) for c in chunks), strict=True)
    parts = [list(c) for c in columns]
    catalog.reading(model, lambda schema: db.query("sign_chunks", model.handle, *parts, schema=schema))


def drop(model: Model) -> None:
    """Deletes a model's row, and with it everything that belongs to it."""
    model.require("ALTER")
    catalog.reading(model, lambda schema: db.query("delete_model", model.handle, schema=schema))


def touch(model: Model) -> None:
    """Notes that the model was used, if that can be written without waiting for anybody."""
    if model.own and not db.value("read_only"):
        db.query("touch_model", model.handle, schema=db.quote_ident(model.schema))


# --- reading -------------------------------------------------------------------------------------


def read_row(model: Model) -> dict[str, Any]:
    """The catalog row of a model, its JSON columns decoded. Callers decide which privilege that needs."""
    row = catalog.reading(model, lambda schema: db.one("model_row", model.handle, schema=schema))
    if row is None:
        raise errors.ModelNotFound(handle=model.handle)
    for column in ("column_names", "model_explanation", "model_metadata"):
        row[column] = json.loads(row[column]) if row[column] else None
    if not isinstance(row["model_metadata"], dict | None):  # an owner can write what she likes
        row["model_metadata"] = {}
    return row


def read_chunks(model: Model, partition_ids: Sequence[int] = (0,)) -> list[Chunk]:
    """The stored objects of a model or its partitions. They must not reach a caller who lacks SELECT.

    Errors: ModelTooLarge, before anything of that size is read.
    """
    limit = int(db.value("setting", "import_size")) << 20
    ids = list(partition_ids)

    def read(schema: str) -> list[db.Row]:
        size = int(db.value("object_size", model.handle, ids, schema=schema))
        if size > limit:
            raise errors.ModelTooLarge(
                reason=f"it has {size} bytes", hint="An administrator can raise import_size in sys.ml_settings."
            )
        return db.query("model_chunks", model.handle, ids, schema=schema)

    rows = catalog.reading(model, read)
    return [Chunk(r["chunk_id"], bytes(r["model_object"]), r["signature"], r["partition_id"]) for r in rows]


def read_partitions(model: Model) -> list[db.Row]:
    """What the catalog lists of a model's partitions, by their numbers."""
    return catalog.reading(model, lambda schema: db.query("partitions", model.handle, schema=schema))
