"""From a relation or query to a stored model, with or without partitions."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields
from typing import TYPE_CHECKING, Any

from mlshare import db, errors, loading, modelrow, progress, store

if TYPE_CHECKING:
    from mlshare.build.plan import Plan
    from mlshare.child import Reply
    from mlshare.frame import Source
    from mlshare.mining.settings import Settings
    from mlshare.partitions import Built, Slices
    from mlshare.rules import Rules
    from mlshare.table import Kind, Table
    from mlshare.trunk import Trunk


@dataclass(frozen=True)
class Call:
    """What a training routine was asked for. ``options`` go into the metadata as they were given."""

    source: Source
    target: str
    plan: Plan
    options: Mapping[str, Any]
    handle: str | None
    rules: Rules | None = None
    apart: tuple[str, ...] = ()  # columns that are no features, as a case identifier
    extra: Mapping[str, Any] = field(default_factory=dict)  # of the metadata

    @property
    def wanted(self) -> list[tuple[str, Kind]]:
        """The columns to train on with their kinds, the target last."""
        key = self.rules.columns if self.rules else ()
        left_out = {self.target, *self.apart, *self.plan.exclude, *key}
        names = [a.name for a in self.source.attributes if a.name not in left_out]
        return [(name, _kind(self.source, name)) for name in [*names, self.target]]


def rules_of(settings: Settings) -> Rules | None:
    """The rules of partitions that settings give; None without partition columns."""
    from mlshare.rules import Rules

    if not settings.partition_columns:
        return None
    names = [f.name for f in fields(Rules) if f.name != "columns"]
    return Rules(settings.partition_columns, **{name: getattr(settings, name) for name in names})


def check(call: Call) -> None:
    """Errors: ColumnNotFound, InvalidTarget, InvalidOptionValue, before anything is read."""
    attribute = call.source[call.target]
    if attribute.kind in (None, "date", "timestamp") or attribute.base == "time":
        raise errors.InvalidTarget(column=call.target, reason=f"its type is {attribute.type}")
    for option, names in (("include_column_list", call.plan.include), ("exclude_column_list", call.plan.exclude)):
        if call.target in names:
            raise errors.InvalidOptionValue(option=option, reason=f'it names the target column "{call.target}"')
    for name in (*call.plan.include, *call.plan.exclude, *call.apart, *filter(None, [call.plan.weights])):
        _ = call.source[name]
    if call.rules and call.target in call.rules.columns:
        raise errors.InvalidPartitionKey(reason=f'it names the target column "{call.target}"')


def _kind(source: Source, name: str) -> Kind:
    attribute = source[name]
    if attribute.kind is None:
        raise errors.UnsupportedColumnType(
            column=name,
            type=attribute.type,
            hint=f'Cast it in a view, or leave it out: {{"exclude_column_list": ["{name}"]}}.',
        )
    return attribute.kind


# --- one model for all rows ----------------------------------------------------------------------


def train(call: Call) -> str:
    """Chooses, tunes and fits an algorithm; the handle of the stored model."""
    check(call)
    wanted = call.wanted
    schema, handle = _place(call)
    reply = _fitted(_read(call.source, wanted), call)
    chunks, digest = loading.chunked(reply.blob, db.current_user(), handle)
    metadata = modelrow.metadata(call, reply.result, len(chunks), digest)
    store.insert(schema, modelrow.row(call, handle, metadata), chunks, digest)
    result = reply.result
    db.notice(f'model "{handle}" is ready: {result["algorithm_name"]}, {_scored(result)} on held-out rows')
    return handle


def _place(call: Call) -> tuple[str, str]:
    """The catalog and the handle of a new model."""
    schema = store.ensure()
    return schema, store.new_handle(schema, call.handle, call.source.name.replace('"', ""))


def _read(source: Source, wanted: Sequence[tuple[str, Kind]]) -> Table:
    from mlshare import frame

    progress.begin(f"reading {source.name}")
    table = db.in_snapshot(lambda: frame.read(source, wanted))
    db.notice(f"read {len(table)} rows of {len(wanted)} columns from {source.name}")
    return table


def _fitted(table: Table, call: Call) -> Reply:
    from mlshare import child

    threads = loading.limit("training_threads") or os.cpu_count() or 1
    request = {"target": call.target, "task": call.plan.task, "options": dict(call.options), "threads": threads}
    reply = child.run("train", request, table, progress=progress.reporter(), **loading.training_limits())
    progress.end()
    return reply


def _scored(result: Mapping[str, Any]) -> str:
    score = result["training_score"]
    return f"{result['optimization_metric']} {'unknown' if score is None else format(score, '.4f')}"


def train_plan(call: Call) -> str:
    """Fits the algorithm that the plan of a call names; the handle of the stored model."""
    from mlshare import build, child

    check(call)
    wanted = call.wanted
    schema, handle = _place(call)
    table = _read(call.source, wanted)
    request = {
        "plan": call.plan.to_json(),
        "groups": [[1, 0, len(table)]],
        "threads": loading.limit("training_threads") or os.cpu_count() or 1,
        "build_type": "intra",
        "on_error": "skip",
        "min_rows": 0,
    }
    reply = child.run("build", request, table, progress=progress.reporter(), **loading.training_limits())
    progress.end()
    ((entry, model),) = build.partitions(reply.result, reply.blob)
    if entry["error"] is not None:
        raise errors.TrainingFailed(reason=entry["error"])
    result = _result_of(reply.result["plan"], entry, table)
    chunks, digest = loading.chunked(bytes(model), db.current_user(), handle)
    document = modelrow.metadata(call, result, len(chunks), digest)
    store.insert(schema, modelrow.row(call, handle, document), chunks, digest)
    db.notice(f'model "{handle}" is ready: {result["algorithm_name"]}, {_scored(result)} on its own rows')
    return handle


def _result_of(plan: Mapping[str, Any], entry: Mapping[str, Any], table: Table) -> dict[str, Any]:
    """What HeatWave's metadata say of a model that was built as a partition is."""
    names = [name for name, _ in entry["inputs"]]
    kept = ("classes", "golden", "dropped_columns", "details")
    return {
        "algorithm_name": plan["algorithm"],
        "hyperparameters": plan["params"],
        "training_score": entry["score"],
        "optimization_metric": entry["metric"],
        "n_rows": len(table),
        "n_columns": len(table.columns) - 1,
        "n_selected_rows": entry["n_rows"],
        "n_selected_columns": len(names),
        "selected_column_names": names,
        "model_explanation": None,
        "training_time": entry["seconds"],
        **{name: entry.get(name) for name in kept},
    }


# --- one sub-model for each key ------------------------------------------------------------------


def train_partitions(call: Call) -> str:
    """Fits a sub-model for each key of call.rules; the handle of the stored model."""
    from mlshare import partitions

    assert call.rules is not None
    check(call)
    columns, wanted = partitions.key_columns(call.source, call.rules.columns), call.wanted
    schema, handle = _place(call)
    slices = partitions.read(call.source, columns, wanted)
    partitions.require_room(None, len(slices.groups.keys), call.rules.max_partitions)
    slots = partitions.new_slots(enumerate(slices.groups.keys), 1, (), call.rules.has_fallback)
    built = partitions.fit(slices, slots, call.plan, call.rules)
    if not built.ready:
        raise errors.NoPartitions(detail=f"All {len(slots)} failed, the first with: {built.parts[0][1]['error']}")
    _store_partitions(schema, handle, call, slices, built)
    return handle


def _store_partitions(schema: str, handle: str, call: Call, slices: Slices, built: Built) -> None:
    from mlshare import partitions

    trunk, role = _trunk(call, built), db.current_user()
    result = _result(slices, built, trunk)
    store.insert(schema, modelrow.row(call, handle, modelrow.metadata(call, result, 0, b"")), [], None)
    partitions.write(schema, role, handle, slices, built)
    partitions.write_trunk(schema, role, handle, trunk)
    n_ready, n_all = len(built.ready), len(built.parts)
    failed = f", {n_all - n_ready} failed" if n_ready < n_all else ""
    db.notice(
        f'model "{handle}" is ready: {result["algorithm_name"]}, {n_ready} of {n_all} partitions{failed}, '
        f"{_scored(result)} on their own rows"
    )


def _trunk(call: Call, built: Built) -> Trunk:
    from mlshare.partitions import key_columns
    from mlshare.trunk import Trunk

    assert call.rules is not None
    task, kind = call.plan.task, call.source[call.target].kind
    assert kind is not None
    empty = Trunk(
        task=task,
        target=call.target,
        target_kind=kind,
        classes=() if task == "classification" else None,
        keys=key_columns(call.source, call.rules.columns),
        inputs=(),
        categories={},
        rules=call.rules,
        plan={**built.plan, "apart": list(call.apart)},
        next_id=max(slot.id for slot, _, _ in built.parts) + 1,
    )
    return empty.extended(built.ready)


def _result(slices: Slices, built: Built, trunk: Trunk) -> dict[str, Any]:
    """What HeatWave's metadata say of a model, for all partitions together."""
    ready = built.ready
    n_rows = sum(one["rows"] for one in ready)
    names = [i.name for i in trunk.inputs]
    return {
        "algorithm_name": built.plan["algorithm"],
        "hyperparameters": built.plan["params"],
        "training_score": _mean([(one["score"], one["rows"]) for one in ready if one["score"] is not None]),
        "optimization_metric": ready[0]["metric"],
        "n_rows": len(slices.table),
        "n_columns": len(slices.table.columns) - 1,
        "n_selected_rows": n_rows,
        "n_selected_columns": len(names),
        "selected_column_names": names,
        "classes": None if trunk.classes is None else list(trunk.classes),
        "model_explanation": None,
        "partition_columns": [k.name for k in trunk.keys],
        "partitions": len(slices.groups.keys),
    }


def _mean(weighted: Sequence[tuple[float, int]]) -> float | None:
    """The mean of values with weights; None of none."""
    total = sum(weight for _, weight in weighted)
    return sum(value * weight for value, weight in weighted) / total if total else None
