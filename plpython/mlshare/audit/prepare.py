"""Writes the manifest of a graph that a user brought."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from onnx import ModelProto, NodeProto, TensorProto, ValueInfoProto, helper

from mlshare import errors, manifest

_DTYPES: dict[int, str] = {
    TensorProto.FLOAT: "float32",
    TensorProto.DOUBLE: "float64",
    TensorProto.INT64: "int64",
    TensorProto.INT32: "int32",
    TensorProto.BOOL: "bool",
    TensorProto.STRING: "string",
}
_FLOATING = (TensorProto.FLOAT, TensorProto.DOUBLE)
_FIXED_TYPES = {"float16", "float32", "float64", "int8", "int16", "int32", "int64", "uint8"}
_DATA_TYPES = _FIXED_TYPES | {"bool", "bool_", "str", "str_", "object"}
_LABEL_ATTRIBUTES = ("classlabels_strings", "classlabels_int64s", "classlabels_ints")


def manifest_for(model: ModelProto, metadata: Mapping[str, Any]) -> dict[str, Any]:
    """The manifest of an audited graph, from itself and from what its user says in ``metadata``:

    - ``task`` "classification" (default) or "regression"; ``target_column_name`` (default "target");
    - ``column_names``: the table's columns in the order of a matrix input. Needed when the graph has one
      input of several columns; with one input per column, the names of the inputs are the default;
    - ``onnx_inputs_info`` (optional): {"columns": [{"name": column, "kind": kind, "input": graph input}]}
      where kind (numeric, boolean, date, timestamp, category, text) defaults by the element type, and
      "data_types_map": {"tensor(float)": "float64"}, whose types are checked and otherwise not needed;
    - ``onnx_outputs_info`` (optional): {"predictions_name", "prediction_probabilities_name",
      "labels_map": {raw answer: label}}; defaults follow from the types of the outputs;
    - ``classes`` (optional): the labels in the order of the probabilities; by default those of
      labels_map, or the class labels that the graph itself holds.

    Raises InvalidModelMetadata if these do not fit the graph.
    """
    task = metadata.get("task") or "classification"
    outputs = _outputs(model, task, _section(metadata, "onnx_outputs_info"))
    classes = _classes(model, metadata, outputs["labels_map"]) if task == "classification" else None
    inputs_info = _section(metadata, "onnx_inputs_info")
    _check_data_types(inputs_info)
    kind, inputs = _inputs(list(model.graph.input), metadata.get("column_names"), inputs_info.get("columns"))
    document = {
        "version": manifest.VERSION,
        "kind": kind,
        "task": task,
        "target": metadata.get("target_column_name") or "target",
        "target_kind": _target_kind(classes),
        "classes": classes,
        "inputs": inputs,
        "outputs": outputs,
    }
    return manifest.validated(document).document


def attach(model: ModelProto, document: Mapping[str, Any]) -> None:
    """Put a manifest into a model that has none."""
    helper.set_model_props(model, {manifest.KEY: json.dumps(document, ensure_ascii=False, sort_keys=True)})


def _section(metadata: Mapping[str, Any], name: str) -> dict[str, Any]:
    section = metadata.get(name, {})
    section = {} if section is None else section
    if not isinstance(section, dict):
        raise _bad(f"{name} is not an object")
    return section


def _check_data_types(info: Mapping[str, Any]) -> None:
    types = info.get("data_types_map") or {}
    if not isinstance(types, dict) or not {str(v) for v in types.values()} <= _DATA_TYPES:
        raise _bad(f"data_types_map leads to types other than {', '.join(sorted(_DATA_TYPES))}")


def _inputs(graph_inputs: Sequence[ValueInfoProto], names: Any, columns: Any) -> tuple[str, list[dict[str, str]]]:
    if columns is None:
        columns = _default_columns(graph_inputs, names)
    if not isinstance(columns, list) or not all(isinstance(c, dict) for c in columns):
        raise _bad('the columns of onnx_inputs_info are not a list of {"name", "kind", "input"}')
    types = {v.name: _tensor_type(v) for v in graph_inputs}
    kind = "matrix" if len(graph_inputs) == 1 else "columns"
    entries = [_entry(column, types) for column in columns]
    if {e["input"] for e in entries} != set(types):
        raise _bad("the columns do not cover the inputs of the graph")
    _check_shapes(graph_inputs, kind, len(entries))
    return kind, entries


def _default_columns(graph_inputs: Sequence[ValueInfoProto], names: Any) -> list[dict[str, Any]]:
    if names is None:
        names = [v.name for v in graph_inputs]
    if not isinstance(names, list):
        raise _bad("column_names is not a list")
    if len(graph_inputs) == 1:
        return [{"name": name, "input": graph_inputs[0].name} for name in names]
    # Inputs named like columns are taken by name; otherwise both lists are in the same order.
    ordered = [v.name for v in graph_inputs]
    if set(ordered) == set(names):
        ordered = names
    if len(ordered) != len(names):
        raise _bad(f"the graph has {len(ordered)} inputs, column_names has {len(names)}")
    return [{"name": n, "input": i} for n, i in zip(names, ordered, strict=True)]


def _entry(column: Mapping[str, Any], types: Mapping[str, int]) -> dict[str, Any]:
    graph_input = column.get("input", column.get("name"))
    if not isinstance(graph_input, str) or graph_input not in types:
        raise _bad(f"the graph has no input {graph_input!r:.100}")
    dtype = _DTYPES.get(types[graph_input])
    if dtype is None:
        raise _bad(f"input {graph_input!r:.100} has an element type that a column cannot have")
    default = {"string": "category", "bool": "boolean"}.get(dtype, "numeric")
    kind = column.get("kind", default)
    return {"name": column.get("name", graph_input), "kind": kind, "input": graph_input, "dtype": dtype}


def _check_shapes(graph_inputs: Sequence[ValueInfoProto], kind: str, n_columns: int) -> None:
    for value in graph_inputs:
        dims = value.type.tensor_type.shape.dim
        width = [d.dim_value if d.HasField("dim_value") else None for d in dims[1:]]
        if kind == "matrix" and width not in ([n_columns], [None]) and not (n_columns == 1 and not width):
            raise _bad(f"the graph takes {width} columns, column_names has {n_columns}")
        if kind == "columns" and width not in ([], [1], [None]):
            raise _bad(f"input {value.name!r:.100} takes more than one column")
        if not dims or (dims[0].HasField("dim_value") and dims[0].dim_value < 1):
            raise _bad(f"input {value.name!r:.100} has no dimension for the rows")


def _tensor_type(value: ValueInfoProto) -> int:
    return int(value.type.tensor_type.elem_type)


def _outputs(model: ModelProto, task: str, info: Mapping[str, Any]) -> dict[str, Any]:
    values = list(model.graph.output)
    predictions, probabilities = info.get("predictions_name"), info.get("prediction_probabilities_name")
    if predictions is None and probabilities is None:
        predictions, probabilities = _default_outputs(values, task)
    unknown = {predictions, probabilities} - {v.name for v in values} - {None}
    if unknown:
        raise _bad(f"the graph has no output {str(unknown.pop())[:100]!r}")
    if task == "regression" and predictions is None:
        raise _bad("a regression needs predictions_name")
    probabilities = probabilities if task == "classification" else None
    labels_map = info.get("labels_map") or None
    return {"predictions": predictions, "probabilities": probabilities, "labels_map": labels_map}


def _default_outputs(values: Sequence[ValueInfoProto], task: str) -> tuple[str | None, str | None]:
    scores = [v.name for v in values if _tensor_type(v) in _FLOATING or v.type.HasField("sequence_type")]
    labels = [v.name for v in values if v.name not in scores]
    if task == "regression" and len(values) == 1:
        return values[0].name, None
    if task == "classification" and len(scores) < 2 and len(labels) < 2:
        return next(iter(labels), None), next(iter(scores), None)
    raise _bad("onnx_outputs_info must name the outputs")


def _classes(model: ModelProto, metadata: Mapping[str, Any], labels_map: Any) -> list[Any]:
    if metadata.get("classes"):
        return list(metadata["classes"])
    if isinstance(labels_map, dict):
        numeric = all(raw.lstrip("-").isdecimal() for raw in labels_map)
        raws = sorted(labels_map, key=int) if numeric else list(labels_map)
        return list(dict.fromkeys(labels_map[raw] for raw in raws))
    found = [labels for node in model.graph.node if (labels := _labels(node))]
    if not found or any(labels != found[0] for labels in found):
        raise _bad("the classes are not known: give labels_map in onnx_outputs_info")
    return found[0]


def _labels(node: NodeProto) -> list[Any]:
    for attribute in node.attribute:
        if attribute.name in _LABEL_ATTRIBUTES:
            values = helper.get_attribute_value(attribute)
            return [v.decode() if isinstance(v, bytes) else v for v in values]
    return []


def _target_kind(classes: Sequence[Any] | None) -> str:
    if classes and all(isinstance(c, bool) for c in classes):
        return "boolean"
    return "category" if classes and any(isinstance(c, str) for c in classes) else "numeric"


def _bad(reason: str) -> errors.InvalidModelMetadata:
    return errors.InvalidModelMetadata(reason=reason)
