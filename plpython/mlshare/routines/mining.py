"""Oracle's DBMS_DATA_MINING: its names and parameters, over the same models."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from mlshare import catalog, db, errors, loading, store
from mlshare.routines import partitions as ours
from mlshare.routines import transfer
from mlshare.routines.boundary import routine
from mlshare.routines.models import _given

if TYPE_CHECKING:
    from mlshare.frame import Source

# --- making models -------------------------------------------------------------------------------


@routine
def create_model2(
    model_name: str | None,
    mining_function: str | None,
    data_query: str | None,
    set_list: str | None,
    case_id_column_name: str | None,
    target_column_name: str | None,
    xform_list: str | None,
    search_path: str | None,
) -> None:
    from mlshare import callers

    query = _text(data_query, "data_query")
    settings = {} if set_list is None else json.loads(set_list)
    if not isinstance(settings, dict):
        raise errors.InvalidArgument(argument="set_list", reason="it is not a JSON object of names and values")
    _no_transformations(xform_list)
    source = callers.query(query, search_path)
    _create(model_name, mining_function, source, settings, case_id_column_name, target_column_name, query)


@routine
def create_model(
    model_name: str | None,
    mining_function: str | None,
    data_table_name: str | None,
    case_id_column_name: str | None,
    target_column_name: str | None,
    settings_table_name: str | None,
    data_schema_name: str | None,
    settings_schema_name: str | None,
    xform_list: str | None,
    search_path: str | None,
) -> None:
    from mlshare import callers, frame

    name = _text(data_table_name, "data_table_name")
    table = callers.relation(name, data_schema_name, search_path, "data_table_name")
    settings: dict[str, str | None] = {}
    if settings_table_name is not None:
        found = callers.relation(settings_table_name, settings_schema_name, search_path, "settings_table_name")
        settings = _settings_of(found)
    _no_transformations(xform_list)
    source = frame.relation(table)
    _create(model_name, mining_function, source, settings, case_id_column_name, target_column_name, table)


def _settings_of(table: str) -> dict[str, str | None]:
    settings: dict[str, str | None] = {}
    for row in db.query("setting_rows", table=table):
        if row["name"] is None or row["name"] in settings:
            reason = "it has a row without name" if row["name"] is None else f"it has {row['name']} twice"
            raise errors.InvalidArgument(argument="settings_table_name", reason=reason)
        settings[row["name"]] = row["value"]
    return settings


def _no_transformations(xform_list: str | None) -> None:
    if xform_list is not None and json.loads(xform_list):
        raise errors.InvalidArgument(
            argument="xform_list",
            reason="lists of transformations are not supported",
            hint="Write them into the data query, or into a view that training and scoring read.",
        )


def _create(
    name: str | None,
    function: str | None,
    source: Source,
    given: Mapping[str, Any],
    case: str | None,
    target: str | None,
    build_source: str,
) -> None:
    from mlshare import training
    from mlshare.mining import settings as mining

    found = mining.parse(given, _text(function, "mining_function"))
    if target is None:
        raise errors.InvalidArgument(
            argument="target_column_name", reason="classification and regression need a target column"
        )
    described = {
        "function": _text(function, "mining_function").strip().upper(),
        "settings": [list(setting) for setting in found.listed],
        "case_id": case,
        "build_source": build_source,
    }
    call = training.Call(
        source,
        target,
        replace(found.plan, target=target),
        {},
        _given(name),
        training.rules_of(found),
        apart=() if case is None else (case,),
        extra={"mining": described},
    )
    training.train_partitions(call) if call.rules else training.train_plan(call)


# --- partitions ----------------------------------------------------------------------------------


@routine
def add_partition(
    model_name: str | None, data_query: str | None, add_options: str | None, search_path: str | None
) -> None:
    ours.ml_model_add_partition(model_name, data_query, add_options, search_path)


@routine
def drop_partition(model_name: str | None, partition_name: str | None, partition_key: str | None) -> None:
    ours.ml_model_drop_partition(model_name, partition_name, partition_key)


# --- whole models --------------------------------------------------------------------------------


@routine
def drop_model(model_name: str | None, force: bool | None) -> None:
    store.drop(catalog.find(model_name))


@routine
def rename_model(model_name: str | None, new_model_name: str | None, versioned_model_name: str | None) -> None:
    from mlshare import whole

    new_name = _given(new_model_name)
    model = catalog.find(model_name, "ALTER")
    if versioned_model_name is not None:
        whole.rename(catalog.find(f"{new_name}@{model.owner}", "ALTER"), versioned_model_name)
    whole.rename(model, new_name)


@routine
def export_sermodel(model_data: bytes | None, model_name: str | None, partition_name: str | None) -> tuple[bytes]:
    from mlshare import codec

    return (codec.pack(db.in_snapshot(lambda: _serialized(model_name, partition_name))),)


def _serialized(model_name: str | None, partition_name: str | None) -> bytes:
    from mlshare import serialized

    model = catalog.find(model_name, "SELECT", some=partition_name is not None)
    raw = transfer.whole_bytes(model) if partition_name is None else _partition_bytes(model, partition_name)
    known = store.read_row(model)["model_metadata"] or {}
    if partition_name is not None:  # how the whole was made is not for those who may have this part
        known.pop("mining", None)
    return serialized.pack(raw, known)


def _partition_bytes(model: catalog.Model, name: str) -> bytes:
    from mlshare import partitions, whole

    directory = partitions.directory_of(model)
    partition = whole.require_partition(directory, model.handle, name, model.partitions("SELECT"))
    (raw,) = loading.partition_bytes(model, [partition])
    return raw


@routine
def import_sermodel(model_data: bytes | None, model_name: str | None) -> None:
    if model_data is None:
        raise errors.InvalidArgument(argument="model_data", reason="a serialized model must be given")
    transfer.import_bytes(bytes(model_data), {}, _given(model_name))


# --- scoring -------------------------------------------------------------------------------------


@routine
def apply(
    model_name: str | None,
    data_table_name: str | None,
    case_id_column_name: str | None,
    result_table_name: str | None,
    data_schema_name: str | None,
    search_path: str | None,
) -> None:
    from mlshare import applying, callers

    model = catalog.find(model_name)
    name = _text(data_table_name, "data_table_name")
    table = callers.relation(name, data_schema_name, search_path, "data_table_name")
    output = callers.new_table(_text(result_table_name, "result_table_name"), search_path)
    applying.apply(model, table, _text(case_id_column_name, "case_id_column_name"), output)
    store.touch(model)


def _text(value: str | None, argument: str) -> str:
    if value is None:
        raise errors.InvalidArgument(argument=argument, reason="it must be given")
    return value
