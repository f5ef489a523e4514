"""Adapts a graph that a user brought: columns to its inputs, its outputs to a prediction."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import numpy as np
from numpy.typing import NDArray

from mlshare import prediction
from mlshare.encoding import Input
from mlshare.errors import FeatureTypeMismatch, InvalidFeatureValue, InvalidModelMetadata, MissingFeature
from mlshare.manifest import ColumnInput, Manifest
from mlshare.prediction import Answer, Floats, Prediction
from mlshare.runtime import BATCH_ROWS, batches, failed, run
from mlshare.table import Column, Kind, Table

_STRINGS = ("category", "text")
_TYPES: dict[str, Any] = {
    "float32": np.float32,
    "float64": np.float64,
    "int64": np.int64,
    "int32": np.int32,
    "bool": np.bool_,
    "string": np.object_,
}
_RANGES = {
    "int64": (1 - 2.0**53, 2.0**53 - 1),  # beyond, a float64 may stand for another number
    "int32": (-(2.0**31), 2.0**31 - 1),
    "bool": (0.0, 1.0),
}


class Adapter:
    """A model of manifest kind "columns" or "matrix"."""

    rows_at_once, divisible = BATCH_ROWS, False
    terms = None  # see mlshare.stacked
    usual = None

    def __init__(self, session: Any, parsed: Manifest) -> None:
        self._session = session
        self._manifest = parsed
        self.inputs = tuple(Input(c.name, cast(Kind, c.kind)) for c in parsed.inputs)
        shapes = {n.name: n.shape for n in session.get_inputs()}
        if set(shapes) != {c.graph_input for c in parsed.inputs}:
            raise InvalidModelMetadata(reason="the inputs of the graph are not those of the manifest")
        self._ranks = {name: len(shape) for name, shape in shapes.items()}
        self._fixed_rows = next((s[0] for s in shapes.values() if s and isinstance(s[0], int)), None)
        self._outputs = [n for n in (parsed.predictions, parsed.probabilities) if n is not None]
        self._positions = _positions(parsed)
        self._n_classes = len(parsed.classes or ())

    def begin(self, table: Table) -> Callable[[], Prediction]:
        arrays = [_from_column(table[c.name], c) for c in self._manifest.inputs]

        def rest() -> Prediction:
            parts = [self._batch([a[rows] for a in arrays]) for rows in batches(len(table))]
            return prediction.joined(parts, self._n_classes)

        return rest

    def work(self, usual: object) -> prediction.QuickWork:
        return prediction.never_quick

    def answer(self, row: Mapping[str, Any]) -> Answer:
        return prediction.answer(self._batch([_from_row(row, c) for c in self._manifest.inputs]))

    def _batch(self, arrays: Sequence[NDArray[Any]]) -> Prediction:
        n, fixed = len(arrays[0]), self._fixed_rows
        if fixed is None or n == fixed:
            return self._run(arrays, n)
        if fixed < 1:
            raise failed("it takes no rows")
        parts = [self._padded([a[i : i + fixed] for a in arrays], fixed) for i in range(0, n, fixed)]
        return prediction.joined(parts, self._n_classes)

    def _padded(self, arrays: Sequence[NDArray[Any]], fixed: int) -> Prediction:
        n = len(arrays[0])
        whole = self._run([np.concatenate([a, _filler(a, fixed - n)]) for a in arrays], fixed)
        return prediction.part(whole, slice(n))

    def _run(self, arrays: Sequence[NDArray[Any]], n: int) -> Prediction:
        found = dict(zip(self._outputs, run(self._session, self._outputs, self._feed(arrays)), strict=True))
        predictions = found.get(self._manifest.predictions or "")
        probabilities = found.get(self._manifest.probabilities or "")
        if self._manifest.task == "regression":
            return prediction.regression(_numbers(predictions), n)
        result = Prediction()
        if probabilities is not None:
            found_p = self._probabilities(probabilities, n)
            result = prediction.classification(found_p, n, self._n_classes)
        if predictions is not None:
            result.labels = self._labels(predictions, n)
        return result

    def _feed(self, arrays: Sequence[NDArray[Any]]) -> dict[str, NDArray[Any]]:
        inputs = self._manifest.inputs
        if self._manifest.kind == "matrix":
            return {inputs[0].graph_input: np.column_stack(arrays)}
        return {
            c.graph_input: a.reshape((len(a),) + (1,) * (self._ranks[c.graph_input] - 1))
            for c, a in zip(inputs, arrays, strict=True)
        }

    def _probabilities(self, output: Any, n: int) -> Floats:
        if isinstance(output, list):
            return self._from_maps(output)
        array = _numbers(output)
        if array.shape in ((n,), (n, 1)) and self._n_classes == 2:
            array = array.reshape(n)
            return np.column_stack([1.0 - array, array])
        return array

    def _from_maps(self, maps: list[Any]) -> Floats:
        array = np.full((len(maps), self._n_classes), math.nan)
        for i, probabilities in enumerate(maps):
            for raw, p in probabilities.items():
                array[i, self._position(raw)] = p
        return array

    def _labels(self, output: Any, n: int) -> NDArray[np.int32]:
        raw = np.asarray(output, dtype=object).ravel().tolist()
        if len(raw) != n:
            raise failed(f"it gave {len(raw)} labels for {n} rows")
        known = {label: self._position(label) for label in set(raw)}
        return np.array([known[label] for label in raw], dtype=np.int32)

    def _position(self, raw: Any) -> int:
        position = self._positions.get(_key(raw))
        if position is None:
            raise failed(f"it answered {str(raw)[:80]!r}, which is not one of its classes")
        return position


def _filler(array: NDArray[Any], n: int) -> NDArray[Any]:
    return np.full(n, "" if array.dtype == np.object_ else 0, dtype=array.dtype)


def _positions(parsed: Manifest) -> dict[str, int]:
    """Position in the classes of each raw label a graph may answer, by its text."""
    classes = [_key(c) for c in parsed.classes or ()]
    if parsed.labels_map is None:
        return {text: i for i, text in enumerate(classes)}
    try:
        return {raw: classes.index(_key(label)) for raw, label in parsed.labels_map.items()}
    except ValueError as error:
        raise InvalidModelMetadata(reason="labels_map leads to a label that is not a class") from error


def _key(raw: Any) -> str:
    """The text of a label; whole floats are integers and booleans 1 and 0, as graphs give them."""
    if isinstance(raw, bytes):
        return raw.decode(errors="replace")
    if isinstance(raw, bool | np.bool_):
        return str(int(raw))
    if isinstance(raw, float | np.floating) and math.isfinite(raw) and raw == int(raw):
        return str(int(raw))
    return str(raw)


def _numbers(output: Any) -> Floats:
    try:
        return np.asarray(output, dtype=np.float64)
    except (TypeError, ValueError) as error:
        raise failed("its output is not a tensor of numbers", error) from error


def _from_column(column: Column, wanted: ColumnInput) -> NDArray[Any]:
    if (column.kind in _STRINGS) != (wanted.dtype == "string"):
        raise FeatureTypeMismatch(column=wanted.name, type=column.kind, expected=wanted.kind)
    if column.codes is not None:
        # Code -1, a NULL, picks the last entry: the graph gets an empty string.
        return np.array([*column.dictionary, ""], dtype=object)[column.codes]
    values = np.zeros(0) if column.values is None else column.values
    return _cast(values, wanted)


def _from_row(row: Mapping[str, Any], wanted: ColumnInput) -> NDArray[Any]:
    if wanted.name not in row:
        raise MissingFeature(column=wanted.name)
    value = row[wanted.name]
    if wanted.dtype == "string":
        if value is not None and not isinstance(value, str):
            raise InvalidFeatureValue(column=wanted.name, value=repr(value)[:80], expected="a string")
        return np.array([(value or "").rstrip(" ")], dtype=object)
    return _cast(np.array([_number(value, wanted)]), wanted)


def _number(value: Any, wanted: ColumnInput) -> float:
    if value is None:
        return math.nan
    try:
        if isinstance(value, str) and wanted.kind in ("date", "timestamp"):
            return _seconds(value)
        return float(value)
    except (TypeError, ValueError, OverflowError) as error:
        expected = f"a {wanted.kind}"
        raise InvalidFeatureValue(column=wanted.name, value=repr(value)[:80], expected=expected) from error


def _seconds(text: str) -> float:
    from datetime import UTC, datetime

    moment = datetime.fromisoformat(text)
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def _cast(values: Floats, wanted: ColumnInput) -> NDArray[Any]:
    """The values in the graph's type; a NULL or a value that the type cannot hold is an error."""
    if wanted.dtype in ("float32", "float64"):
        return values.astype(_TYPES[wanted.dtype])
    least, greatest = _RANGES[wanted.dtype]
    wrong = np.isnan(values) | (values != np.trunc(values)) | (values < least) | (values > greatest)
    if wrong.any():
        value = values[wrong][0].item()
        text = "NULL" if math.isnan(value) else repr(value)
        raise InvalidFeatureValue(column=wanted.name, value=text, expected=f"a value for {wanted.dtype}")
    return values.astype(_TYPES[wanted.dtype])
