"""The file of a fitted model, written once its graph has been seen to answer as the estimator does."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare.columns import Target
from mlshare.convert import graph
from mlshare.errors import TrainingFailed
from mlshare.estimators.base import Estimator, Fitted
from mlshare.prepare import Prepared
from mlshare.runtime import open_session
from mlshare.table import Column, Table

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]


def checked(
    prepared: Prepared,
    estimator: Estimator,
    fitted: Fitted,
    rows: Rows,
    golden_rows: int,
    expected: Floats | None = None,
) -> tuple[dict[str, Any], bytes]:
    """A golden sample and the model file, after a comparison of graph and estimator on some rows; or TrainingFailed.

    ``expected`` are the estimator's answers for these rows, if they are known.
    """
    data, encoder = prepared.data, prepared.encoders[estimator.layout]
    x = data.x[estimator.layout][rows]
    manifest = _manifest(prepared.target, estimator, encoder.to_json())
    if fitted.covariance is not None:
        manifest["covariance"] = fitted.covariance.to_json()
    blob = graph.write(fitted.to_onnx(), manifest)
    answers = run(blob, x)
    _compare(prepared.target, fitted, fitted.predict(x) if expected is None else expected, answers)
    some = np.unique(np.linspace(0, len(rows) - 1, golden_rows).astype(np.int64))
    key = "probabilities" if data.stratified else "values"
    golden = {"rows": [raw_row(prepared.table, int(rows[i])) for i in some], key: answers[some].tolist()}
    return golden, blob


def run(blob: bytes, x: Floats) -> Floats:
    """Answers of a model file: [n, C] probabilities or [n] values."""
    session = open_session(blob)
    (answers,) = session.run(None, {"features": x})
    out = np.asarray(answers, dtype=np.float64)
    return out if session.get_outputs()[0].name == "probabilities" else out[:, 0]


def _compare(target: Target, fitted: Fitted, expected: Floats, answers: Floats) -> None:
    if target.classes is None:
        unit = float(np.std(target.y)) or 1.0
        # Values far from zero for their spread cannot be closer than float64 allows.
        unit = max(unit, 1e-9 * float(np.abs(target.y).max()))
    else:
        unit = 1.0
        top = np.sort(expected, axis=1)
        clear = top[:, -1] - top[:, -2] > 2 * fitted.tolerance
        if (expected.argmax(axis=1) != answers.argmax(axis=1))[clear].any():
            raise TrainingFailed(reason="the converted model gives other labels than the fitted one")
    distance = float(np.abs(expected - answers).max()) / unit
    if not distance <= fitted.tolerance:
        raise TrainingFailed(reason=f"the converted model differs from the fitted one by {distance:.3g}")


def _manifest(target: Target, estimator: Estimator, encoder: dict[str, Any]) -> dict[str, Any]:
    return {
        "version": 1,
        "kind": "encoded",
        "task": estimator.task,
        "target": target.name,
        "target_kind": target.kind,
        "classes": None if target.classes is None else list(target.classes),
        "algorithm": estimator.name,
        "encoder": encoder,
    }


def raw_row(table: Table, row: int) -> dict[str, Any]:
    """One row as JSON values, as encode_row takes them."""
    return {c.name: _raw(c, row) for c in table.columns}


def _raw(column: Column, row: int) -> Any:
    if column.values is None:
        assert column.codes is not None
        code = int(column.codes[row])
        return None if code < 0 else column.dictionary[code]
    value = float(column.values[row])
    if np.isnan(value):
        return None
    if column.kind == "boolean":
        return bool(value)
    if column.kind == "numeric":
        return value
    return _iso(value, column.kind)


def _iso(seconds: float, kind: str) -> str:
    if kind == "date":
        return str(np.datetime64(round(seconds / 86400), "D"))
    return str(np.datetime64(round(seconds * 1e6), "us"))
