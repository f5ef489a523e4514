"""Runs a checked model once, as a backend would: on made-up rows and on its golden sample."""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from mlshare import errors
from mlshare.audit.limits import Limits
from mlshare.encoding import Input
from mlshare.prediction import Floats, Prediction
from mlshare.scorer import Scorer
from mlshare.table import Column, Table

TOLERANCE = 1e-6
# Libraries sum in another order for one row than for many; float32 graphs show it.
_BATCH_TOLERANCE = 1e-4
_COMPARED_ROWS = 8
_MAX_GOLDEN_ROWS = 1000


def check(onnx_bytes: bytes, golden: Mapping[str, Any] | None, limits: Limits) -> None:
    """Raise an error unless the model runs, in time, and answers its golden sample as it did.

    ``golden`` is {"rows": [{column: value}], "probabilities": [[…]] or "values": […]}.
    """
    started = time.monotonic()
    scorer = Scorer(onnx_bytes)
    _check_batches(scorer)
    if golden is not None:
        _check_golden(scorer, golden)
    if time.monotonic() - started > limits.trial_seconds:
        raise errors.ModelTooLarge(reason=f"it takes more than {limits.trial_seconds:g} s to try")


def _check_batches(scorer: Scorer) -> None:
    dice = np.random.default_rng(0)
    for n_rows in (0, 1, scorer.rows_at_once):
        table = Table(tuple(_column(i, n_rows, dice) for i in scorer.inputs))
        prediction = scorer.predict(table)
        if len(prediction) != n_rows:
            raise errors.UnsafeModel(reason=f"it gives {len(prediction)} answers for {n_rows} rows")
    for row in range(_COMPARED_ROWS):
        alone = scorer.predict(table.rows(slice(row, row + 1)))
        if not _close(_answers(alone)[0], _answers(prediction)[row], _BATCH_TOLERANCE):
            raise errors.UnsafeModel(reason="its answer for a row depends on the rows beside it")


def _column(wanted: Input, n_rows: int, dice: np.random.Generator) -> Column:
    """Made-up values that models can take, logarithms and strings that are cast to numbers included."""
    if wanted.kind in ("category", "text"):
        codes = dice.integers(0, 2, n_rows, dtype=np.int32)
        return Column(wanted.name, wanted.kind, codes=codes, dictionary=("0", "1"))
    lowest, end = {"boolean": (0, 2), "numeric": (1, 6)}.get(wanted.kind, (1, 2_000_000_000))
    values = dice.integers(lowest, end, n_rows).astype(np.float64)
    return Column(wanted.name, wanted.kind, values=values)


def _answers(prediction: Prediction) -> Floats:
    """What a prediction says, as numbers [n, …]; labels only where there is nothing finer."""
    for found in (prediction.values, prediction.probabilities, prediction.labels):
        if found is not None:
            return found.astype(np.float64)
    raise errors.UnsafeModel(reason="it gives no answers")


def _check_golden(scorer: Scorer, golden: Any) -> None:
    if not isinstance(golden, dict):
        raise errors.InvalidModelMetadata(reason="the golden sample is not an object")
    rows = golden.get("rows")
    expected = golden.get("probabilities" if scorer.task == "classification" else "values")
    if not isinstance(rows, list) or not isinstance(expected, list) or len(rows) != len(expected):
        raise errors.InvalidModelMetadata(reason="the golden sample has no rows, or no answers to them")
    if len(rows) > _MAX_GOLDEN_ROWS or not all(isinstance(row, dict) for row in rows):
        raise errors.InvalidModelMetadata(reason="the golden sample is too long or its rows are not objects")
    for row, answer in zip(rows, expected, strict=True):
        _check_row(scorer, row, _wanted(answer))


def _check_row(scorer: Scorer, row: Mapping[str, Any], wanted: Floats) -> None:
    """CorruptModel unless the row is answered as wanted, in every way that there is."""
    for found in (scorer.answer(row), scorer.quick(json.dumps(row))):
        if found is not None:
            _check_answer(found.as_prediction(), wanted)


def _check_answer(prediction: Prediction, wanted: Floats) -> None:
    found = _answers(prediction)[0]
    same = _close(found, wanted, TOLERANCE)
    if prediction.labels is not None and same:
        # Of two classes equally likely, either may be named.
        same = bool(wanted[prediction.labels[0]] >= wanted.max() - TOLERANCE)
    if not same:
        raise errors.CorruptModel(
            reason="it answers its golden sample differently",
            detail=f"found {found.tolist()!s:.200}, expected {wanted.tolist()!s:.200}",
        )


def _wanted(answer: Any) -> Floats:
    try:
        return np.asarray(answer, dtype=np.float64)
    except (TypeError, ValueError) as error:
        reason = "the golden sample has an answer that is not a number"
        raise errors.InvalidModelMetadata(reason=reason) from error


def _close(found: Floats | Sequence[float], wanted: Floats, tolerance: float) -> bool:
    found = np.asarray(found)
    if found.shape != wanted.shape:
        return False
    return bool((np.abs(found - wanted) <= tolerance * np.maximum(1.0, np.abs(wanted))).all())
