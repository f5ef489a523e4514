"""Training: from a relation to a stored model."""

from __future__ import annotations

import os
import time
from typing import TYPE_CHECKING, Any

from mlshare import db, errors, loading, store
from mlshare import options as opt
from mlshare.routines.boundary import routine

if TYPE_CHECKING:
    from mlshare.child import Progress, Reply
    from mlshare.frame import Source
    from mlshare.table import Kind, Table

_NOTICE_SECONDS = 2.0


@routine
def ml_train(
    table_name: str | None, target_column_name: str | None, options: str | None, model_handle: str | None
) -> tuple[str]:
    chosen = opt.parse_train(options)
    source = _source(table_name)
    target = _target(source, target_column_name)
    wanted = _wanted(source, target, chosen)
    schema = store.ensure()
    handle = store.new_handle(schema, model_handle, source.name.replace('"', ""))
    table = _read(source, wanted)
    reply = _fit(table, target, chosen)
    _store(schema, handle, source, target, chosen, reply)
    db.notice(f'model "{handle}" is ready: {_summary(reply.result)}')
    return (handle,)


def _source(table_name: str | None) -> Source:
    from mlshare import frame

    if table_name is None:
        raise errors.InvalidArgument(argument="table_name", reason="a table must be given")
    return frame.relation(table_name)


def _target(source: Source, name: str | None) -> str:
    if name is None:
        raise errors.InvalidArgument(
            argument="target_column_name", reason="classification and regression need a target column"
        )
    attribute = source[name]
    if attribute.kind in (None, "date", "timestamp"):
        raise errors.InvalidTarget(column=name, reason=f"its type is {attribute.type}")
    return name


def _wanted(source: Source, target: str, chosen: dict[str, Any]) -> list[tuple[str, Kind]]:
    """The columns to train on with their kinds, the target last."""
    included, excluded = chosen.get("include_column_list"), chosen.get("exclude_column_list", [])
    for name in [*(included or []), *excluded]:
        if name == target:
            raise errors.InvalidOptionValue(
                option="include_column_list" if name in (included or []) else "exclude_column_list",
                reason=f'it names the target column "{target}"',
            )
        _ = source[name]
    names = [a.name for a in source.attributes if a.name != target and a.name not in excluded]
    return [(name, _kind(source, name)) for name in [*names, target]]


def _kind(source: Source, name: str) -> Kind:
    attribute = source[name]
    if attribute.kind is None:
        raise errors.UnsupportedColumnType(
            column=name,
            type=attribute.type,
            hint=f'Cast it in a view, or leave it out: {{"exclude_column_list": ["{name}"]}}.',
        )
    return attribute.kind


def _read(source: Source, wanted: list[tuple[str, Kind]]) -> Table:
    from mlshare import frame

    db.begin_progress()
    db.show_progress(f"reading {source.name}")
    table = db.in_snapshot(lambda: frame.read(source, wanted))
    db.notice(f"read {len(table)} rows of {len(wanted)} columns from {source.name}")
    return table


def _fit(table: Table, target: str, chosen: dict[str, Any]) -> Reply:
    from mlshare import child

    threads = loading.limit("training_threads") or os.cpu_count() or 1
    request = {"target": target, "task": chosen["task"], "options": chosen, "threads": threads}
    reply = child.run("train", request, table, progress=_reporter(), **loading.training_limits())
    db.show_progress(None)
    return reply


def _reporter() -> Progress:
    """Progress goes to pg_stat_activity at once, and to the client as a notice every few seconds."""
    last = time.monotonic()

    def report(text: str, fraction: float) -> None:
        nonlocal last
        db.show_progress(f"{fraction:.0%} {text}")
        if time.monotonic() - last >= _NOTICE_SECONDS:
            last = time.monotonic()
            db.notice(f"{fraction:.0%} {text}")

    return report


def _store(schema: str, handle: str, source: Source, target: str, chosen: dict[str, Any], reply: Reply) -> None:
    role = db.current_user()
    chunks, digest = loading.chunked(reply.blob, role, handle)
    result = reply.result
    metadata = {
        "task": chosen["task"],
        "notes": chosen.get("notes"),
        "chunks": len(chunks),
        "format": "ONNX",
        "status": "Ready",
        "options": chosen,
        "train_table_name": source.name,
        "target_column_name": target,
        "target_type": source[target].type,
        "column_names": result["selected_column_names"],
        "build_timestamp": int(time.time()),
        **result,
        "lineage": _lineage(source, result, role),
        "object_sha256": digest.hex(),
    }
    row = {
        "model_handle": handle,
        "target_column_name": target,
        "train_table_name": source.name,
        "model_type": result["algorithm_name"],
        "task": chosen["task"],
        "column_names": result["selected_column_names"],
        "model_explanation": result["model_explanation"],
        "model_metadata": metadata,
        "notes": chosen.get("notes"),
    }
    store.insert(schema, row, chunks, digest)


def _lineage(source: Source, result: dict[str, Any], role: str) -> dict[str, Any]:
    return {
        "table": source.name,
        "columns": {name: source[name].type for name in result["selected_column_names"]},
        "rows": result["n_rows"],
        "role": role,
        "trained_at": db.value("now"),
        "server_version": db.value("server_version"),
    }


def _summary(result: dict[str, Any]) -> str:
    score = result["training_score"]
    return f"{result['algorithm_name']}, {result['optimization_metric']} {score:.4f} on held-out rows"
