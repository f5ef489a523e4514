"""Partitioned models as one object: exported, imported, renamed."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from mlshare import archive, catalog, db, errors, loading, store
from mlshare.archive import Archive
from mlshare.store import Chunk
from mlshare.written import finite

if TYPE_CHECKING:
    from mlshare.partitioned import Directory, Partition


def packed(model: catalog.Model, directory: Directory) -> bytes:
    """The archive of a partitioned model; it must not reach a caller who lacks SELECT on the whole model."""
    rows = catalog.reading(model, lambda schema: db.query("partition_rows", model.handle, schema=schema))
    for row in rows:
        row["key"], row["details"] = _json(row["key"]), _json(row["details"])
    ready = [p for p in directory.partitions if p.digest is not None]
    models: dict[int, bytes] = {}
    for some in _portions(ready):
        models |= dict(zip((p.id for p in some), loading.partition_bytes(model, some), strict=True))
    return archive.pack(directory.trunk.to_bytes(), rows, models)


def _json(text: str | None) -> Any:
    return None if text is None else json.loads(text)


def _portions(partitions: Sequence[Partition]) -> Iterable[Sequence[Partition]]:
    """Some at a time, so that what is checked at once has a bound."""
    return (partitions[i : i + loading.AT_ONCE] for i in range(0, len(partitions), loading.AT_ONCE))


# --- import --------------------------------------------------------------------------------------


def store_partitions(schema: str, handle: str, opened: Archive) -> None:
    """Stores the partitions of an archive that was audited."""
    owner = db.current_user()
    rows: list[dict[str, Any]] = []
    chunks: list[Chunk] = []
    for given in opened.partitions:
        number = given["partition_id"]
        pieces, digest = _chunked(opened, owner, handle, number)
        chunks += pieces
        sizes = {"object_size": sum(len(c.data) for c in pieces), "digest": digest}
        numbers = {name: finite(given[name]) for name in ("score", "build_seconds")}
        rows.append({**given, **sizes, **numbers})
    db.query("insert_partitions", handle, json.dumps(rows), schema=schema)
    store.insert_objects(schema, handle, chunks)


def _chunked(opened: Archive, owner: str, handle: str, number: int) -> tuple[list[Chunk], str | None]:
    if number not in opened.models:
        return [], None
    chunks, digest = loading.chunked(bytes(opened.models[number]), owner, handle, number)
    return chunks, digest.hex()


# --- rename --------------------------------------------------------------------------------------


def rename(model: catalog.Model, new_handle: str) -> None:
    """Gives a model another handle, and what this server signed of it signatures for that one.

    Errors: ModelExists, InvalidHandle, ModelPrivilege, TamperedModel.
    """
    model.require("ALTER")
    catalog.reading(model, lambda schema: db.query("lock_model", model.handle, schema=schema))
    model = catalog.find(model.name, "ALTER")  # as it is now, after waiting
    listed = {row["partition_id"]: row["digest"] for row in store.read_partitions(model)}
    catalog.reading(model, lambda schema: _move(schema, model.handle, new_handle))
    ready = [number for number, digest in listed.items() if digest is not None]
    for first in range(0, len(ready) + 1, loading.AT_ONCE):
        some = ready[first : first + loading.AT_ONCE] + ([0] if first == 0 else [])
        _sign_again(model, new_handle, {n: model.digest if n == 0 else listed[n] for n in some})


def _move(schema: str, handle: str, new_handle: str) -> None:
    store.new_handle(schema, new_handle, "")
    db.query("rename_model", handle, new_handle, schema=schema)


def _sign_again(model: catalog.Model, new_handle: str, digests: dict[int, str | None]) -> None:
    renamed = catalog.Model(model.owner, new_handle, model.digest, model.privileges, model.own)
    stored: dict[int, list[Chunk]] = {}
    for chunk in store.read_chunks(renamed, list(digests)):
        stored.setdefault(chunk.partition_id, []).append(chunk)
    signed: list[Chunk] = []
    for number, chunks in stored.items():
        if loading.is_ours(model, chunks, digests[number]):
            signed += loading.signed(renamed, [c.data for c in chunks], number)
    store.sign(renamed, signed)


def require_partition(directory: Directory, handle: str, name: str, allowed: frozenset[int] | None) -> Partition:
    """The partition of a name that is ready. Errors: PartitionNotFound (also of those that are not allowed)."""
    for partition in directory.partitions:
        if partition.name == name and (allowed is None or partition.id in allowed):
            if partition.digest is None:
                raise errors.ModelNotReady(handle=handle, detail=f'Partition "{name}" could not be built.')
            return partition
    raise errors.PartitionNotFound(partition=f'"{name}"', handle=handle)
