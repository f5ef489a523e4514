"""What a role may see of models: the rows of Oracle's dictionary views."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlshare import catalog, db, errors
from mlshare.catalog import SCHEMA_PREFIX, Model
from mlshare.written import finite

Scope = Literal["all", "dba"]
Row = tuple[Any, ...]

_MEGABYTE = 1 << 20
_NUMBERS = ("smallint", "integer", "bigint", "real", "double precision", "numeric", "date", "time", "timestamp")
_TYPE = re.compile(r"([^(]*)\(([0-9]{1,9})(?:,(-?[0-9]{1,9}))?\)(.*)")


@dataclass(frozen=True)
class Seen:
    """A model that the caller has some privilege on, and its catalog row."""

    model: Model
    row: Mapping[str, Any]

    @property
    def open(self) -> bool:
        """Whether the caller may look at the model as a whole."""
        return "SELECT" in self.model.privileges

    @property
    def keys(self) -> list[str]:
        return [k for k in _list(self.row["keys"]) if isinstance(k, str)]

    @property
    def mining(self) -> dict[str, Any]:
        return _object(self.row["mining"])


def visible(scope: Scope) -> Iterator[Seen]:
    """The caller's own models, and those that others gave a privilege on; for administrators those of everybody."""
    role = db.current_user()
    everything = scope == "dba"
    if everything and not db.value("is_superuser"):
        raise errors.ModelPrivilege(handle="all", privilege="superuser")
    if db.value("own_catalog", role):
        yield from _seen(role, True, db.query("listed_models", role, schema=db.quote_ident(SCHEMA_PREFIX + role)))
    for door in db.query("all_doors") if everything else db.query("shared_doors", role):
        if door["owner"] != role:
            yield from _seen(door["owner"], False, _rows_of(door["owner"], role))


def _rows_of(owner: str, role: str) -> list[db.Row]:
    """The models of somebody else: none, if the catalog is broken."""
    with catalog.unless_broken():
        return catalog.as_owner(owner, lambda schema: db.query("listed_models", role, schema=schema))
    return []


def _seen(owner: str, own: bool, rows: list[db.Row]) -> Iterator[Seen]:
    for row in rows:
        granted, partial = catalog.granted(row)
        if granted or partial:
            yield Seen(Model(owner, str(row["handle"]), None, granted, own, partial), row)


# --- the views -----------------------------------------------------------------------------------


def models(scope: Scope) -> Iterator[Row]:
    """owner, model, function, algorithm, type, created, seconds, megabytes, partitioned, source, comments."""
    for seen in visible(scope):
        row, partitioned = seen.row, "YES" if seen.keys else "NO"
        function = seen.mining.get("function") or str(row["task"] or "").upper()
        shown: Row = (None,) * 5
        if seen.open:
            seconds, size = finite(_json(row["seconds"])), round((row["size"] or 0) / _MEGABYTE, 6)
            shown = (_algorithm(seen), "NATIVE", row["built_at"], seconds, size)
        source = seen.mining.get("build_source") or row["source"]
        notes = (_text(source), row["notes"]) if seen.open else (None, None)
        yield (seen.model.owner, seen.model.handle, function, *shown, partitioned, *notes)


def _algorithm(seen: Seen) -> str | None:
    """Oracle's name without ALGO_, if the model was made by it."""
    for name, value, *_ in _triples(seen.mining.get("settings")):
        if name == "ALGO_NAME":
            return value.removeprefix("ALGO_")
    return _text(seen.row["model_type"])


def attributes(scope: Scope) -> Iterator[Row]:
    """owner, model, attribute, its type, data type, length, precision, scale, usage, target, specification."""
    for seen in visible(scope):
        types = _object(seen.row["types"])
        names = [n for n in _list(seen.row["columns"]) if isinstance(n, str)]
        target = (seen.row["target"], seen.row["target_type"], "YES")
        listed = [(n, types.get(n), "NO") for n in [*names, *(k for k in seen.keys if k not in names)]]
        for name, kind, is_target in [*listed, *([target] if target[0] else [])]:
            own = "PARTITION" if name in seen.keys else _attribute_type(kind, is_target, seen.row["task"])
            details = _data_type(kind) if seen.open else (None,) * 4
            yield (seen.model.owner, seen.model.handle, name, own, *details, "ACTIVE", is_target, None)


def _attribute_type(kind: Any, is_target: str, task: Any) -> str | None:
    if is_target == "YES":
        return "NUMERICAL" if task == "regression" else "CATEGORICAL"
    if not isinstance(kind, str):
        return None
    return "NUMERICAL" if kind.startswith(_NUMBERS) else "CATEGORICAL"


def _data_type(kind: Any) -> Row:
    """Type, length, precision and scale of what format_type prints."""
    if not isinstance(kind, str):
        return None, None, None, None
    found = _TYPE.fullmatch(kind)
    if not found:
        return kind, None, None, None
    name, first, second = found[1] + found[4], int(found[2]), found[3]
    return (name, None, first, int(second or 0)) if name == "numeric" else (name, first, None, None)


def settings(scope: Scope) -> Iterator[Row]:
    """owner, model, setting, value, INPUT, DEFAULT or COMPUTED, partition."""
    for seen in visible(scope):
        place = (seen.model.owner, seen.model.handle)
        if seen.open:
            yield from ((*place, *setting, None) for setting in _model_settings(seen))
        for row in _details_of(seen, "settings"):
            computed = _object(row["part"])
            yield from ((*place, name, _shown(v), "COMPUTED", row["partition_name"]) for name, v in computed.items())


def _model_settings(seen: Seen) -> Iterator[Row]:
    """Settings as given to create_model2, or options and parameters of ml_train; then what was computed."""
    listed = list(_triples(seen.mining.get("settings")))
    yield from listed
    if not listed:
        yield from ((n, _shown(v), "INPUT") for n, v in _object(seen.row["options"]).items())
        yield from ((n, _shown(v), "COMPUTED") for n, v in _object(seen.row["parameters"]).items())
    yield from ((n, _shown(v), "COMPUTED") for n, v in _object(seen.row["computed"]).items())


def partitions(scope: Scope) -> Iterator[Row]:
    """owner, model, partition, position, column, value, rows, score, bytes, seconds, built, status, error."""
    for seen in visible(scope):
        if not seen.keys:
            continue
        inside = seen.model.partitions("SELECT")
        for row in _listed(seen):
            facts = ("n_rows", "score", "object_size", "build_seconds", "built_at", "status", "error")
            open_ = inside is None or row["partition_id"] in inside
            shown = tuple(row[f] if open_ else None for f in facts)
            key = [k for k in _list(row["key"]) if isinstance(k, str)]
            columns: list[Row] = list(zip(range(1, 1 + len(key)), seen.keys, key, strict=False))
            place = (seen.model.owner, seen.model.handle, row["partition_name"])
            yield from ((*place, *column, *shown) for column in columns or [(None,) * 3])


def _listed(seen: Seen) -> list[db.Row]:
    wanted = seen.model.partitions("PREDICT")
    return _reading(seen, "listed_partitions", None if wanted is None else sorted(wanted))


def _details_of(seen: Seen, part: str) -> list[db.Row]:
    wanted = seen.model.partitions("SELECT")
    if not seen.keys or wanted == frozenset():
        return []
    return _reading(seen, "partition_details", None if wanted is None else sorted(wanted), part)


def _reading(seen: Seen, statement: str, *arguments: Any) -> list[db.Row]:
    def work(schema: str) -> list[db.Row]:
        return db.query(statement, seen.model.handle, *arguments, schema=schema)

    if seen.model.own:
        return catalog.reading(seen.model, work)
    with catalog.unless_broken():
        return catalog.reading(seen.model, work)
    return []


# --- details of one model ------------------------------------------------------------------------


def details(model: Model, partition: str | None, part: str) -> Iterator[tuple[str | None, Any, str | None]]:
    """(partition, what mlshare.build.details says of it, error) for each partition that the caller has SELECT on.

    A model without partitions has one, without a name. Errors: PartitionNotFound.
    """
    wanted = model.partitions("SELECT")
    numbers = None if wanted is None else sorted(wanted)

    def work(schema: str) -> list[db.Row]:
        return db.query("partition_details", model.handle, numbers, part, schema=schema)

    rows = catalog.reading(model, work)
    if not rows and wanted is None and partition is None:
        found = catalog.reading(model, lambda schema: db.one("model_details", model.handle, part, schema=schema))
        plain = _json(found["part"]) if found else None
        if plain is None and part == "importances" and found:
            plain = _object(found["explanation"]).get("permutation_importance")
        yield None, plain, None
        return
    chosen = [r for r in rows if partition is None or r["partition_name"] == partition]
    if partition is not None and not chosen:
        raise errors.PartitionNotFound(partition=f'"{partition}"', handle=model.handle)
    yield from ((r["partition_name"], _json(r["part"]), r["error"]) for r in chosen)


# --- values that may be anything: an owner can write what she likes into her catalog ----------------


def _json(text: Any) -> Any:
    try:
        return json.loads(text) if isinstance(text, str) else None
    except (RecursionError, ValueError):  # as of numbers with too many digits
        return None


def _object(text: Any) -> dict[str, Any]:
    found = _json(text)
    return found if isinstance(found, dict) else {}


def _list(text: Any) -> list[Any]:
    found = _json(text)
    return found if isinstance(found, list) else []


def _triples(listed: Any) -> Iterator[tuple[str, str, str]]:
    for entry in listed if isinstance(listed, list) else []:
        if isinstance(entry, list) and len(entry) == 3:
            yield str(entry[0]), _shown(entry[1]) or "", str(entry[2])


def _text(value: Any) -> str | None:
    return value if isinstance(value, str) else None


def _shown(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
