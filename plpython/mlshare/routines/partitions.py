"""Partitions of a model: adding, dropping, building anew."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import replace
from decimal import Decimal
from typing import TYPE_CHECKING, Any

from mlshare import db, errors, store
from mlshare.routines.boundary import routine
from mlshare.routines.models import _given

if TYPE_CHECKING:
    from mlshare.frame import Source
    from mlshare.keys import Key
    from mlshare.partitioned import Directory, Partition
    from mlshare.partitions import Opened, Slices, Slot

_CONFLICTS = ("ERROR", "REPLACE", "IGNORE")


@routine
def ml_model_add_partition(
    model_handle: str | None, data_query: str | None, add_options: str | None, search_path: str | None
) -> None:
    from mlshare import partitions

    conflict = (add_options or "ERROR").upper()
    if conflict not in _CONFLICTS:
        raise errors.InvalidArgument(
            argument="add_options", reason=f'"{add_options}" is none of {", ".join(_CONFLICTS)}'
        )
    opened = partitions.open_to_change(_given(model_handle))
    slices = _read(opened, data_query, search_path)
    there = [(g, key) for g, key in enumerate(slices.groups.keys) if key in opened.position]
    if there and conflict == "ERROR":
        names = [opened.position[key].name for _, key in there]
        raise errors.PartitionExists(partition=names[0], handle=opened.model.handle, detail=_listed(names))
    new = [(g, key) for g, key in enumerate(slices.groups.keys) if key not in opened.position]
    partitions.require_room(opened, len(new), opened.trunk.rules.max_partitions)
    slots = partitions.new_slots(new, opened.trunk.next_id, _names(opened))
    if conflict == "REPLACE":
        slots += [_again(opened, g, key) for g, key in there]
    _build(opened, slices, slots)


@routine
def ml_model_drop_partition(
    model_handle: str | None, partition_name: str | None, partition_key: str | None = None
) -> None:
    from mlshare import partitions

    opened = partitions.open_to_change(_given(model_handle))
    partitions.remove(opened, named(opened.directory, opened.model.handle, partition_name, partition_key))


@routine
def ml_model_refresh_partitions(
    model_handle: str | None, data_query: str | None, search_path: str | None
) -> Iterator[tuple[str, str, int]]:
    from mlshare import partitions

    opened = partitions.open_to_change(_given(model_handle))
    slices = _read(opened, data_query, search_path)
    there = [(g, key) for g, key in enumerate(slices.groups.keys) if key in opened.position]
    before = {r["partition_id"]: r["fingerprint"] for r in store.read_partitions(opened.model)}
    changed = [(g, key) for g, key in there if before[opened.position[key].id] != slices.fingerprints[g].hex()]
    new = [(g, key) for g, key in enumerate(slices.groups.keys) if key not in opened.position]
    partitions.require_room(opened, len(new), opened.trunk.rules.max_partitions)
    slots = partitions.new_slots(new, opened.trunk.next_id, _names(opened))
    slots += [_again(opened, g, key) for g, key in changed]
    if slots and (fallback := opened.directory.fallback):
        if len(there) < len(opened.position):
            db.notice(
                f'partition "{fallback.name}" is of all rows: it stays as it is, for some keys are not in the query'
            )
        else:
            slots.append(partitions.Slot(fallback.id, fallback.name, None, None))
    _build(opened, slices, slots)
    return iter(_actions(opened, slices, slots))


def _actions(opened: Opened, slices: Slices, slots: Sequence[Slot]) -> list[tuple[str, str, int]]:
    """(partition, what was done, rows read) of every partition."""
    counts = dict(zip(slices.groups.keys, slices.groups.counts.tolist(), strict=True))
    built = {slot.id for slot in slots}
    found = [(s.name, "added", counts[s.key]) for s in slots if s.key is not None and s.key not in opened.position]
    for partition in opened.directory.partitions:
        rows = len(slices.table) if partition.key is None else counts.get(partition.key, 0)
        kept = "unchanged" if rows or partition.key is None else "absent"
        found.append((partition.name, "rebuilt" if partition.id in built else kept, rows))
    return sorted(found)


# --- what they have in common --------------------------------------------------------------------


def _read(opened: Opened, data_query: str | None, search_path: str | None) -> Slices:
    from mlshare import callers, partitions, training

    if data_query is None:
        raise errors.InvalidArgument(argument="data_query", reason="a query must be given")
    trunk = opened.trunk
    source = callers.query(data_query, search_path)
    call = training.Call(source, trunk.target, _plan(opened), {}, None, trunk.rules, apart=_apart(opened, source))
    training.check(replace(call, plan=replace(call.plan, include=(), exclude=())))
    for column in trunk.keys:
        if column.name not in source:
            raise errors.MissingKeyColumn(column=column.name)
    key = partitions.key_columns(source, trunk.rules.columns)
    for own, given in zip(trunk.keys, key, strict=True):
        if own.kind != given.kind:
            raise errors.FeatureTypeMismatch(column=own.name, type=source[own.name].type, expected=own.kind)
    target = source[trunk.target]
    if target.kind != trunk.target_kind:
        raise errors.FeatureTypeMismatch(column=trunk.target, type=target.type, expected=trunk.target_kind)
    return partitions.read(source, key, call.wanted)


def _plan(opened: Opened) -> Any:
    from mlshare.build.plan import Plan

    return Plan.from_json({name: v for name, v in opened.trunk.plan.items() if name != "apart"})


def _apart(opened: Opened, source: Source) -> tuple[str, ...]:
    """Columns that are no features, where the query has them."""
    return tuple(name for name in opened.trunk.plan.get("apart", ()) if name in source)


def _build(opened: Opened, slices: Slices, slots: Sequence[Slot]) -> None:
    from mlshare import partitions

    if slots:
        built = partitions.fit(slices, slots, _plan(opened), opened.trunk.rules)
        partitions.save(opened, slices, built)
    db.notice(f'{len(slots)} partitions of model "{opened.model.handle}" were built')


def _again(opened: Opened, group: int, key: Key) -> Slot:
    from mlshare.partitions import Slot

    partition = opened.position[key]
    return Slot(partition.id, partition.name, key, group)


def _names(opened: Opened) -> list[str]:
    return [p.name for p in opened.directory.partitions]


def _listed(names: Sequence[str]) -> str:
    return f"{len(names)} partitions are there already: {', '.join(names[:10])}{', …' if len(names) > 10 else ''}."


def named(directory: Directory, handle: str, name: str | None, key: str | None) -> Partition:
    """The partition of a name, or of key values: {"column": value, …}, or [value, …] in the order of the key."""
    if (name is None) == (key is None):
        raise errors.InvalidArgument(argument="partition_name", reason="give either a name or a key")
    wanted = None if key is None else _key(directory, key)
    for partition in directory.partitions:
        if partition.name == name if key is None else wanted is not None and partition.key == wanted:
            return partition
    raise errors.PartitionNotFound(partition=f'"{name}"' if key is None else f"with key {key}", handle=handle)


def _key(directory: Directory, text: str) -> Key | None:
    from mlshare import keys

    columns, given = directory.trunk.keys, json.loads(text, parse_float=Decimal)
    if isinstance(given, dict):
        return keys.of_row(columns, given)
    values = given if isinstance(given, list) else [given]
    if len(values) != len(columns):
        raise errors.InvalidArgument(argument="partition_key", reason=f"the key has {len(columns)} columns")
    return keys.of_row(columns, dict(zip((c.name for c in columns), values, strict=True)))
