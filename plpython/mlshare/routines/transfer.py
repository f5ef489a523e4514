"""Export to and import from tables: sharing by copy, and models that users bring."""

from __future__ import annotations

import hashlib
import json
import time
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from mlshare import catalog, db, errors, loading, store
from mlshare.routines.boundary import routine

_MOST_PARTITIONS = 1 << 30  # ever made of a model, by what an archive says
_ZSTD_MAGIC = b"\x28\xb5\x2f\xfd"
_FORMATS = ("ONNX", "ONNXv1.0", "ONNXv2.0")
# What an imported model may bring along for people to read; everything else is worked out anew.
_KEPT = (
    "notes", "options", "n_rows", "n_columns", "n_selected_rows", "n_selected_columns", "selected_column_names",
    "training_time", "training_score", "optimization_metric", "hyperparameters", "training_params", "model_quality",
    "library_versions", "lineage", "golden", "train_table_name", "target_type", "build_timestamp", "dropped_columns",
    "algorithm_name", "model_explanation", "onnx_inputs_info", "onnx_outputs_info", "mining", "details",
)  # fmt: skip


# --- export --------------------------------------------------------------------------------------


@routine
def ml_model_export(model_handle: str | None, output_table_name: str | None) -> None:
    output = _new_table(output_table_name)
    model, metadata, pieces = db.in_snapshot(lambda: _exported(catalog.find(model_handle, "SELECT")))
    db.run("create_export", output=output)
    for number, piece in enumerate(pieces, start=1):
        db.query("export_chunk", number, piece, json.dumps(metadata) if number == 1 else None, output=output)
    if not pieces:
        db.query("export_chunk", 0, None, json.dumps(metadata), output=output)
    store.touch(model)


def _exported(model: catalog.Model) -> tuple[catalog.Model, dict[str, Any], list[bytes]]:
    metadata = dict(store.read_row(model)["model_metadata"] or {})
    pieces = _pieces(model, metadata)
    return model, {**metadata, "chunks": len(pieces)}, pieces


def _pieces(model: catalog.Model, metadata: dict[str, Any]) -> list[bytes]:
    """The stored object of a model as it is; of a partitioned one an archive of all its objects."""
    chunks = store.read_chunks(model)
    if "partition_columns" not in metadata or not chunks:
        return [c.data for c in chunks]
    from mlshare import codec

    stored = codec.pack(whole_bytes(model))
    metadata["object_sha256"] = hashlib.sha256(stored).hexdigest()
    return codec.split(stored)


def whole_bytes(model: catalog.Model) -> bytes:
    """The file of a model, of a partitioned one its archive; for callers with SELECT on the whole model only."""
    from mlshare import trunk, whole

    raw = loading.sound_bytes(model)
    return whole.packed(model, loading.open_directory(model, trunk.from_bytes(raw), 0)) if trunk.is_trunk(raw) else raw


def _new_table(name: str | None) -> str:
    if name is None:
        raise errors.InvalidArgument(argument="output_table_name", reason="a table must be given")
    output = db.qualified(name)
    db.require_new(output)
    return output


# --- import --------------------------------------------------------------------------------------


@routine
def ml_model_import(model_object: bytes | None, model_metadata: str | None, model_handle: str | None) -> tuple[str]:
    given = _object(json.loads(model_metadata) if model_metadata else {})
    if model_object is None:
        table = _export_table(given)
        stored, metadata = _read_export(table)
    else:
        table, stored, metadata = None, bytes(model_object), given
    return (import_bytes(stored, metadata, model_handle, table or "imported"),)


def import_bytes(stored: bytes, metadata: Mapping[str, Any], handle: str | None, name: str = "imported") -> str:
    """Stores a model object after an audit; its handle, by default made from the name of where it came from."""
    from mlshare import archive, serialized

    raw = _raw(stored, metadata)
    if serialized.is_packed(raw):
        raw, described = serialized.unpack(raw)
        metadata = {**described, **metadata}
    schema = store.ensure()
    handle = store.new_handle(schema, handle, name.replace('"', ""))
    if archive.is_archive(raw):
        _store_archive(schema, handle, metadata, raw)
        return handle
    reply = loading.audit(raw, {"metadata": metadata, "golden": metadata.get("golden")})
    _store(schema, handle, metadata, reply.result["manifest"], reply.blob or raw)
    return handle


def _object(metadata: Any) -> dict[str, Any]:
    if not isinstance(metadata, dict):
        raise errors.InvalidModelMetadata(reason="it is not a JSON object")
    return metadata


def _export_table(given: Mapping[str, Any]) -> str:
    if set(given) != {"schema", "table"} or not all(isinstance(v, str) for v in given.values()):
        raise errors.InvalidModelMetadata(
            reason="without a model object it must name a table",
            hint='Give {"schema": "…", "table": "…"} of a table written by sys.ml_model_export.',
        )
    # Written as in SQL, or as it is in the catalog.
    written = ".".join(db.quote_ident(given[k]) for k in ("schema", "table"))
    name = written if db.value("table_exists", written) else db.qualified(f"{given['schema']}.{given['table']}")
    if not db.value("table_exists", name):
        raise errors.InvalidExportTable(table=name, reason="there is no such table")
    # Reading somebody else's view, or a table with policies, would run that person's code with the caller's rights.
    # Locked first, so that it stays what it is.
    db.run("lock_to_read", table=name)
    if not db.value("is_plain_table", name):
        raise errors.InvalidExportTable(
            table=name,
            reason="it is not a plain table, and it belongs to another role",
            hint="Copy it into a table of your own first, if you trust its owner.",
        )
    return name


def _read_export(table: str) -> tuple[bytes, dict[str, Any]]:
    columns = {r["name"]: r["base"] for r in db.query("relation_attributes", table)}
    for name, bases in {
        "chunk_id": ("int2", "int4", "int8"),
        "model_object": ("bytea",),
        # Text is how it arrives through a data share.
        "model_metadata": ("jsonb", "json", "text"),
    }.items():
        if columns.get(name) not in bases:
            raise errors.InvalidExportTable(table=table, reason=f"column {name} is missing or not {bases[0]}")
    summary = db.one("export_summary", table=table)
    assert summary is not None
    if summary["bytes"] > loading.limit("import_size") << 20:
        raise errors.ModelTooLarge(
            reason=f"it has {summary['bytes']} bytes", hint="See import_size in sys.ml_settings."
        )
    rows = db.query("export_rows", table=table)
    ids = [r["chunk_id"] for r in rows]
    if ids == [0]:
        raise errors.InvalidExportTable(table=table, reason="the exported model has no object")
    if ids.count(1) != 1:
        raise errors.InvalidExportTable(table=table, reason="there must be exactly one row with chunk_id 1")
    metadata = _object(json.loads(rows[0]["model_metadata"] or "{}"))
    _check_chunks(table, rows, metadata)
    return b"".join(bytes(r["model_object"]) for r in rows), metadata


def _check_chunks(table: str, rows: list[dict[str, Any]], metadata: Mapping[str, Any]) -> None:
    if [r["chunk_id"] for r in rows] != list(range(1, len(rows) + 1)):
        raise errors.InvalidExportTable(table=table, reason="chunks are missing or given twice")
    if any(r["model_object"] is None for r in rows):
        raise errors.InvalidExportTable(table=table, reason="a chunk is NULL")
    if metadata.get("chunks", len(rows)) != len(rows):
        raise errors.InvalidExportTable(
            table=table, reason=f"it has {len(rows)} chunks, its metadata says {metadata['chunks']}"
        )


def _raw(stored: bytes, metadata: Mapping[str, Any]) -> bytes:
    """The ONNX bytes of an object as it was exported, or as a user brings it."""
    declared = metadata.get("format", "ONNX")
    if declared not in _FORMATS:
        raise errors.InvalidModelMetadata(
            reason=f"format {declared!r:.40} is not known", hint="Known are: " + ", ".join(_FORMATS) + "."
        )
    expected = metadata.get("object_sha256")
    if expected is not None and hashlib.sha256(stored).hexdigest() != expected:
        raise errors.CorruptModel(
            reason="its bytes are not those that were exported",
            hint="Export it again; if it was changed on purpose, remove object_sha256 from its metadata.",
        )
    if not stored:
        raise errors.CorruptModel(reason="it is empty")
    limit = loading.limit("import_size") << 20
    if stored.startswith(_ZSTD_MAGIC):
        from mlshare import codec

        return codec.unpack(stored, limit)
    if len(stored) > limit:
        raise errors.ModelTooLarge(reason=f"it has {len(stored)} bytes", hint="See import_size in sys.ml_settings.")
    return stored


def _store(schema: str, handle: str, metadata: Mapping[str, Any], manifest: Mapping[str, Any], raw: bytes) -> None:
    chunks, digest = loading.chunked(raw, db.current_user(), handle)
    found = {**manifest, "columns": _columns(manifest)}
    store.insert(schema, _row(handle, metadata, found, chunks, digest), chunks, digest)


def _store_archive(schema: str, handle: str, metadata: Mapping[str, Any], raw: bytes) -> None:
    from mlshare import archive, partitions, trunk, whole

    opened = archive.unpack(raw)
    loading.audit_archive(raw, len(opened.models))
    common = trunk.from_bytes(opened.trunk)
    chunks, digest = loading.chunked(opened.trunk, db.current_user(), handle)
    found = {
        "task": common.task,
        "target": common.target,
        "classes": None if common.classes is None else list(common.classes),
        "columns": [i.name for i in common.inputs],
        "algorithm": common.plan.get("algorithm"),
    }
    row = _row(handle, metadata, found, chunks, digest)
    row["model_metadata"]["partition_columns"] = [k.name for k in common.keys]
    store.insert(schema, row, chunks, digest)
    whole.store_partitions(schema, handle, opened)
    last = max((row["partition_id"] for row in opened.partitions), default=0)
    common = replace(common, next_id=max(last + 1, min(common.next_id, _MOST_PARTITIONS)))
    partitions.write_trunk(schema, db.current_user(), handle, common)


def _row(
    handle: str, metadata: Mapping[str, Any], found: Mapping[str, Any], chunks: list[store.Chunk], digest: bytes
) -> dict[str, Any]:
    """The catalog row: what was found in the model itself, and what its metadata say for people to read."""
    kept = {k: metadata[k] for k in _KEPT if k in metadata}
    document = {
        "build_timestamp": int(time.time()),
        **kept,
        "task": found["task"],
        "chunks": len(chunks),
        "format": "ONNX",
        "status": "Ready",
        "target_column_name": found["target"],
        "column_names": found["columns"],
        "classes": found.get("classes"),
        "object_sha256": digest.hex(),
    }
    return {
        "model_handle": handle,
        "target_column_name": found["target"],
        "train_table_name": kept.get("train_table_name"),
        "model_type": found.get("algorithm") or kept.get("algorithm_name") or "ONNX",
        "task": found["task"],
        "column_names": found["columns"],
        "model_explanation": metadata.get("model_explanation"),
        "model_metadata": document,
        "notes": kept.get("notes"),
    }


def _columns(manifest: Mapping[str, Any]) -> list[str]:
    described = manifest["encoder"]["features"] if manifest["kind"] == "encoded" else manifest["inputs"]
    return [column["name"] for column in described]
