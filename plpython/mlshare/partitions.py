"""Partitioned models in the catalog: building them, and adding, dropping and refreshing partitions."""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Any

from mlshare import build, catalog, child, db, errors, fingerprint, frame, keys, loading, progress, store
from mlshare.keys import Groups, Key, KeyColumn
from mlshare.partitioned import Directory, Partition
from mlshare.rules import Rules
from mlshare.table import Table
from mlshare.trunk import Trunk

if TYPE_CHECKING:
    from mlshare.build.plan import Plan
    from mlshare.frame import Source
    from mlshare.table import Kind

FALLBACK = "DM$$_FALLBACK"
_GENERATED = "DM$$_P"
_NAME_BYTES = 128


@dataclass(frozen=True)
class Slices:
    """The rows of a source sorted by key, without the key columns; those with NULL in the key come last."""

    table: Table
    groups: Groups
    fingerprints: list[bytes]


@dataclass(frozen=True)
class Slot:
    """A partition to be built: where it is stored and which of the slices it learns from (None: all rows)."""

    id: int
    name: str
    key: Key | None
    group: int | None


@dataclass(frozen=True)
class Built:
    """What a build gave: the plan with the algorithm chosen, and a description and a model file for each slot."""

    plan: dict[str, Any]
    parts: list[tuple[Slot, dict[str, Any], bytes]]

    @property
    def ready(self) -> list[dict[str, Any]]:
        return [entry for _, entry, _ in self.parts if entry["status"] == "ready"]


# --- reading -------------------------------------------------------------------------------------


def key_columns(source: Source, names: Sequence[str]) -> tuple[KeyColumn, ...]:
    """The key columns of a source. Errors: InvalidPartitionKey, PartitionKeyType, ColumnNotFound."""
    if not 1 <= len(names) <= keys.MOST_COLUMNS:
        raise errors.InvalidPartitionKey(reason=f"it has {len(names)} columns, 1 to {keys.MOST_COLUMNS} are possible")
    if len(set(names)) < len(names):
        raise errors.InvalidPartitionKey(reason="it names a column twice")
    found = [source[name] for name in names]
    return tuple(KeyColumn(a.name, keys.kind_of(a.name, a.type, a.base)) for a in found)


def read(source: Source, columns: Sequence[KeyColumn], wanted: Sequence[tuple[str, Kind]]) -> Slices:
    """All rows of a source, by key. Errors: NoPartitions, InvalidPartitionKey, and those of frame.read."""
    progress.begin(f"reading {source.name}")
    of_key: list[tuple[str, Kind]] = [(c.name, "category") for c in columns]
    table = db.in_snapshot(lambda: frame.read(source, [*wanted, *of_key]))
    groups = keys.group(columns, [table[c.name] for c in columns])
    if not groups.keys:
        raise errors.NoPartitions()
    for key in groups.keys:
        keys.require_storable(key)
    if groups.n_null:
        db.notice(f"{groups.n_null} rows with NULL in the partition key are in no partition")
    slices = _sorted(Table(tuple(table[name] for name, _ in wanted)), groups)
    db.notice(f"read {len(table)} rows of {len(wanted)} columns from {source.name}: {len(groups.keys)} partitions")
    return slices


def _sorted(table: Table, groups: Groups) -> Slices:
    import numpy as np

    whole = np.zeros(len(table), bool)
    whole[groups.order] = True
    order = np.concatenate([groups.order, np.flatnonzero(~whole)])
    table = table.rows(order)
    keyed = table.rows(slice(len(groups.order)))
    return Slices(table, groups, fingerprint.fingerprints(keyed, groups.starts))


# --- building ------------------------------------------------------------------------------------


def fit(slices: Slices, slots: Sequence[Slot], plan: Plan, rules: Rules) -> Built:
    """Fits the sub-models of slots in processes beside the backend. Errors: PartitionFailed, ExecutorFailed, …"""
    starts, counts = slices.groups.starts.tolist(), slices.groups.counts.tolist()
    keyed = [s for s in slots if s.group is not None]
    request = {
        "plan": plan.to_json(),
        "groups": [[s.id, starts[s.group], counts[s.group]] for s in keyed if s.group is not None],
        "fallback": next((s.id for s in slots if s.group is None), None),
        "threads": loading.limit("training_threads") or os.cpu_count() or 1,
        "build_type": rules.build_type,
        "on_error": "error" if rules.on_partition_error == "error" else "skip",
        "min_rows": rules.min_rows,
        "names": {s.id: s.name for s in slots},
        "executor": _executor(rules.executor),
    }
    reply = child.run("build", request, slices.table, progress=progress.reporter(), **loading.training_limits())
    progress.end()
    by_id = {s.id: s for s in slots}
    parts = [(by_id[entry["id"]], entry, bytes(model)) for entry, model in build.partitions(reply.result, reply.blob)]
    return Built(reply.result["plan"], parts)


def _executor(name: str | None) -> dict[str, str] | None:
    if name is None:
        return None
    row = db.one("executor", name)
    if row is None:
        raise errors.InvalidOptionValue(
            option="executor",
            reason=f'there is no executor "{name}"',
            hint="sys.ml_executors lists them; an administrator adds one with CALL sys.ml_executor_set(…).",
        )
    return row


def new_slots(
    wanted: Iterable[tuple[int, Key]], first_id: int, taken: Iterable[str], fallback: bool = False
) -> list[Slot]:
    """Numbers and names for new partitions: a single key's own text, else DM$$_P<n>, as Oracle makes them."""
    used = {FALLBACK, *taken}
    slots: list[Slot] = []
    for number, (group, key) in enumerate(wanted, start=first_id):
        own = key[0] if len(key) == 1 else ""
        good = own.strip() and len(own.encode()) <= _NAME_BYTES and own not in used and not own.startswith(_GENERATED)
        name = own if good else f"{_GENERATED}{number - 1}"
        used.add(name)
        slots.append(Slot(number, name, key, group))
    if fallback:
        slots.append(Slot(first_id + len(slots), FALLBACK, None, None))
    return slots


# --- storing -------------------------------------------------------------------------------------


def _rows(slices: Slices, built: Built, owner: str, handle: str) -> Iterator[tuple[dict[str, Any], list[store.Chunk]]]:
    """The catalog row of each partition that was built, and its object."""
    for slot, entry, model in built.parts:
        chunks, digest = loading.chunked(model, owner, handle, slot.id) if model else ([], None)
        yield (
            {
                "partition_id": slot.id,
                "partition_name": slot.name,
                "key": None if slot.key is None else list(slot.key),
                "status": entry["status"],
                "n_rows": entry["rows"],
                "score": entry["score"],
                "object_size": sum(len(c.data) for c in chunks),
                "build_seconds": entry["seconds"],
                "fingerprint": None if slot.group is None else slices.fingerprints[slot.group].hex(),
                "digest": digest and digest.hex(),
                "error": entry["error"],
                "details": _details(entry),
            },
            chunks,
        )


def _details(entry: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("algorithm_name", "metric", "classes", "inputs", "dropped_columns", "details")
    return {name: entry[name] for name in kept if name in entry}


def write(schema: str, owner: str, handle: str, slices: Slices, built: Built) -> None:
    """Stores partitions, in the place of those with the same numbers."""
    rows, chunks = [], []
    for row, pieces in _rows(slices, built, owner, handle):
        rows.append(row)
        chunks += pieces
    db.query("delete_chunks", handle, [r["partition_id"] for r in rows], schema=schema)
    db.query("insert_partitions", handle, json.dumps(rows), schema=schema)
    store.insert_objects(schema, handle, chunks)


def write_trunk(schema: str, owner: str, handle: str, trunk: Trunk) -> None:
    """Stores what the partitions, which are there already, have in common, and with it a new digest of the model."""
    trunk = replace(trunk, contents=db.value("digest_of_partitions", handle, schema=schema))
    chunks, digest = loading.chunked(trunk.to_bytes(), owner, handle)
    db.query("delete_chunks", handle, [0], schema=schema)
    store.insert_chunks(schema, handle, chunks)
    changed = {"chunks": len(chunks), "object_sha256": digest.hex()}
    columns = json.dumps([i.name for i in trunk.inputs])
    db.query("set_model", handle, columns, json.dumps(changed), digest, schema=schema)


# --- changing ------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Opened:
    """A partitioned model that nobody else can change until the transaction ends."""

    model: catalog.Model
    directory: Directory

    @property
    def trunk(self) -> Trunk:
        return self.directory.trunk

    @cached_property
    def position(self) -> Mapping[Key, Partition]:
        return {p.key: p for p in self.directory.keyed if p.key is not None}


def open_to_change(handle: str) -> Opened:
    """Locks a model against other changes; readers do not wait.

    Errors: ModelNotFound, ModelPrivilege, NotPartitioned.
    """
    model = catalog.find(handle, "ALTER")
    catalog.reading(model, lambda schema: db.query("lock_model", model.handle, schema=schema))
    model = catalog.find(handle, "ALTER")  # as it is now, after waiting
    return Opened(model, directory_of(model))


def directory_of(model: catalog.Model) -> Directory:
    """The partitions of a model. Errors: NotPartitioned, and those of loading."""
    opened = loading.open_model(model)
    if not isinstance(opened, Directory):
        raise errors.NotPartitioned(handle=model.handle, hint="Train it with the option partition_columns.")
    return opened


def save(opened: Opened, slices: Slices, built: Built) -> None:
    """Stores newly built partitions of a model."""
    model, trunk = opened.model, opened.trunk.extended(built.ready)
    last = max((slot.id for slot, _, _ in built.parts), default=0)
    trunk = replace(trunk, revision=trunk.revision + 1, next_id=max(trunk.next_id, last + 1))

    def work(schema: str) -> None:
        write(schema, model.owner, model.handle, slices, built)
        write_trunk(schema, model.owner, model.handle, trunk)

    catalog.reading(model, work)


def remove(opened: Opened, partition: Partition) -> None:
    """Drops one partition. Errors: LastPartition."""
    model, trunk = opened.model, opened.trunk
    if len(opened.directory.keyed) == 1 and partition.key is not None:
        raise errors.LastPartition(handle=model.handle, partition=partition.name)

    def work(schema: str) -> None:
        db.query("delete_chunks", model.handle, [partition.id], schema=schema)
        db.query("delete_partition", model.handle, partition.id, schema=schema)
        revised = replace(trunk, revision=trunk.revision + 1)
        write_trunk(schema, model.owner, model.handle, revised)

    catalog.reading(model, work)


def require_room(opened: Opened | None, n_new: int, limit: int) -> None:
    """TooManyPartitions if there would be more than the model's maximum."""
    count = n_new + (len(opened.directory.keyed) if opened else 0)
    if count > limit:
        raise errors.TooManyPartitions(
            count=count,
            limit=limit,
            hint="The maximum is set when the model is made: max_partitions, or ODMS_MAX_PARTITIONS.",
        )
