"""The manifest inside a model file: what the model needs and what its outputs mean."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlshare import errors

KEY = "mlshare"
VERSION = 1
MAX_TEXT_BYTES = 64 << 20
MAX_CLASSES = 10_000
MAX_INPUTS = 10_000

KINDS = ("encoded", "columns", "matrix")
TASKS = ("classification", "regression")
TARGET_KINDS = ("category", "numeric", "boolean")
COLUMN_KINDS = ("numeric", "boolean", "date", "timestamp", "category", "text")
DTYPES = ("float32", "float64", "int64", "int32", "bool", "string")

_FIELDS = {
    "encoded": {"algorithm", "encoder"},
    "columns": {"inputs", "outputs"},
    "matrix": {"inputs", "outputs"},
}
_OPTIONAL_FIELDS: dict[str, set[str]] = {"encoded": {"covariance"}, "columns": set(), "matrix": set()}
_COMMON_FIELDS = {"version", "kind", "task", "target", "target_kind", "classes"}


@dataclass(frozen=True)
class ColumnInput:
    """A column of a model that a user brought: where it enters the graph, and as what."""

    name: str
    kind: str
    graph_input: str
    dtype: str


@dataclass(frozen=True)
class Manifest:
    """A validated manifest; ``document`` is the JSON object it was read from."""

    document: dict[str, Any]
    kind: str
    task: str
    target: str
    target_kind: str
    classes: tuple[Any, ...] | None
    inputs: tuple[ColumnInput, ...] = ()
    predictions: str | None = None
    probabilities: str | None = None
    labels_map: Mapping[str, Any] | None = None


def parse(text: str | None) -> Manifest:
    """Read the JSON text of a manifest; anything unexpected raises InvalidModelMetadata."""
    if text is None:
        raise _bad("the model has no manifest")
    if len(text) > MAX_TEXT_BYTES:
        raise _bad("the manifest is too long")
    try:
        document = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise _bad("the manifest is not JSON") from error
    return validated(document)


def validated(document: Any) -> Manifest:
    """Check a manifest given as a JSON object; anything unexpected raises InvalidModelMetadata."""
    if not isinstance(document, dict):
        raise _bad("the manifest is not an object")
    if type(document.get("version")) is not int or document["version"] != VERSION:
        raise _bad(f"manifest version {document.get('version')!r} is not known")
    kind = _one_of(document, "kind", KINDS)
    missing = (_COMMON_FIELDS | _FIELDS[kind]) - document.keys() - {"classes", "algorithm"}
    unknown = document.keys() - _COMMON_FIELDS - _FIELDS[kind] - _OPTIONAL_FIELDS[kind]
    if missing or unknown:
        raise _bad(f"manifest fields missing: {sorted(missing)}, unknown: {sorted(unknown)}"[:500])
    task = _one_of(document, "task", TASKS)
    common: dict[str, Any] = {
        "document": document,
        "kind": kind,
        "task": task,
        "target": _text(document, "target"),
        "target_kind": _one_of(document, "target_kind", TARGET_KINDS),
        "classes": _classes(document.get("classes"), task),
    }
    if kind == "encoded":
        _check_covariance(document, common["classes"])
        return Manifest(**common)
    return Manifest(**common, inputs=_inputs(document["inputs"], kind), **_outputs(document["outputs"]))


def _check_covariance(document: Mapping[str, Any], classes: tuple[Any, ...] | None) -> None:
    if "covariance" in document:
        from mlshare.covariance import Covariance, scores
        from mlshare.encoding import Encoder

        Covariance.from_json(document["covariance"], Encoder.from_json(document["encoder"]).n_features, scores(classes))


def _classes(classes: Any, task: str) -> tuple[Any, ...] | None:
    if task == "regression":
        if classes:
            raise _bad("a regression model has classes")
        return None
    if not isinstance(classes, list) or not 1 < len(classes) <= MAX_CLASSES:
        raise _bad("a classification model needs a list of at least two classes")
    plain = all(isinstance(c, str | int | float) for c in classes)
    # In Python True equals 1; as classes they differ.
    if not plain or len({(isinstance(c, bool), c) for c in classes}) < len(classes):
        raise _bad("classes must be distinct strings, numbers or booleans")
    return tuple(classes)


def _inputs(inputs: Any, kind: str) -> tuple[ColumnInput, ...]:
    if not isinstance(inputs, list) or not 0 < len(inputs) <= MAX_INPUTS:
        raise _bad("the model has no list of inputs")
    columns = tuple(_input(entry) for entry in inputs)
    if len({c.name for c in columns}) < len(columns):
        raise _bad("two inputs are the same column")
    graph_inputs = {c.graph_input for c in columns}
    if kind == "matrix" and (len(graph_inputs) > 1 or len({c.dtype for c in columns}) > 1):
        raise _bad("the columns of a matrix enter the graph at one input, with one type")
    if kind == "columns" and len(graph_inputs) < len(columns):
        raise _bad("two columns enter the graph at the same input")
    return columns


def _input(entry: Any) -> ColumnInput:
    if not isinstance(entry, dict) or entry.keys() != {"name", "kind", "input", "dtype"}:
        raise _bad("an input needs name, kind, input and dtype")
    column = ColumnInput(
        _text(entry, "name"),
        _one_of(entry, "kind", COLUMN_KINDS),
        _text(entry, "input"),
        _one_of(entry, "dtype", DTYPES),
    )
    if (column.kind in ("category", "text")) != (column.dtype == "string"):
        raise _bad(f"column {column.name!r} of kind {column.kind} cannot be given as {column.dtype}")
    return column


def _outputs(outputs: Any) -> dict[str, Any]:
    names = {"predictions", "probabilities", "labels_map"}
    if not isinstance(outputs, dict) or not outputs.keys() <= names:
        raise _bad("outputs has predictions, probabilities and labels_map")
    found = {name: outputs.get(name) for name in names}
    for name in ("predictions", "probabilities"):
        if found[name] is not None:
            _text(found, name)
    if found["predictions"] is None and found["probabilities"] is None:
        raise _bad("neither predictions nor probabilities are named")
    if found["labels_map"] is not None and not isinstance(found["labels_map"], dict):
        raise _bad("labels_map is not an object")
    return found


def _one_of(document: Mapping[str, Any], field: str, allowed: tuple[str, ...]) -> str:
    value = document.get(field)
    if not isinstance(value, str) or value not in allowed:
        raise _bad(f"{field} is {value!r:.80}, not one of {', '.join(allowed)}")
    return value


def _text(document: Mapping[str, Any], field: str) -> str:
    value = document.get(field)
    if not isinstance(value, str) or not value or "\0" in value or len(value) > 1000:
        raise _bad(f"{field} is not a name")
    return value


def _bad(reason: str) -> errors.InvalidModelMetadata:
    return errors.InvalidModelMetadata(reason=reason)
