"""The catalog row of a model that was trained here."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from mlshare import db

if TYPE_CHECKING:
    from mlshare.frame import Source
    from mlshare.training import Call


def metadata(call: Call, result: Mapping[str, Any], n_chunks: int, digest: bytes) -> dict[str, Any]:
    return {
        "task": call.plan.task,
        "notes": call.options.get("notes"),
        "chunks": n_chunks,
        "format": "ONNX",
        "status": "Ready",
        "options": dict(call.options),
        "train_table_name": call.source.name,
        "target_column_name": call.target,
        "target_type": call.source[call.target].plain,
        "column_names": result["selected_column_names"],
        "build_timestamp": int(time.time()),
        **result,
        "lineage": _lineage(call.source, result),
        "object_sha256": digest.hex(),
        **call.extra,
    }


def row(call: Call, handle: str, document: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "model_handle": handle,
        "target_column_name": call.target,
        "train_table_name": call.source.name,
        "model_type": document["algorithm_name"],
        "task": call.plan.task,
        "column_names": document["selected_column_names"],
        "model_explanation": document["model_explanation"],
        "model_metadata": dict(document),
        "notes": document["notes"],
    }


def _lineage(source: Source, result: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "table": source.name,
        "columns": {name: source[name].plain for name in _used(result)},
        "rows": result["n_rows"],
        "role": db.current_user(),
        "trained_at": db.value("now"),
        "server_version": db.value("server_version"),
    }


def _used(result: Mapping[str, Any]) -> list[str]:
    """The columns that a model takes, those of its key included."""
    return [*result["selected_column_names"], *result.get("partition_columns", ())]
