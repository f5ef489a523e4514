"""ONNX Runtime as mlshare uses it: quiet, one thread, no memory arena, every failure our error."""

from __future__ import annotations

import os
import struct
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from mlshare import errors

# Once loaded, it would start a thread, write an identifier into the home directory, and report its use to its maker.
os.environ["ORT_DISABLE_TELEMETRY"] = "1"

import numpy as np
import onnxruntime as ort
from onnxruntime.capi import onnxruntime_pybind11_state as _state

# The audit runs a model with as many rows as are ever given to it at once, under a memory limit. Many: the rows of a
# range of blocks (see mlshare.frame) should be one run, for between two the thread that predicts has to wait for
# Python's lock, which the backend holds while PostgreSQL reads and writes (see mlshare.background).
BATCH_ROWS = 4096
MANY_ROWS = 32_768

# ONNX Runtime's exceptions have no common base but Exception; this names them all.
_FAILURES: tuple[type[Exception], ...] = (
    RuntimeError,
    ValueError,
    TypeError,
    *(e for e in vars(_state).values() if isinstance(e, type) and issubclass(e, Exception)),
)
_FATAL = 4

ort.set_default_logger_severity(_FATAL)
ort.disable_telemetry_events()


def open_session(onnx_bytes: bytes) -> Any:
    """An InferenceSession on the bytes of a model; ScoringFailed if the runtime refuses them."""
    options = ort.SessionOptions()
    options.intra_op_num_threads = 1
    options.inter_op_num_threads = 1
    options.execution_mode = ort.ExecutionMode.ORT_SEQUENTIAL
    options.enable_cpu_mem_arena = False
    options.enable_mem_pattern = False
    options.log_severity_level = _FATAL
    # Basic: measured no slower for our graphs, opens faster, and rewrites the graph less.
    options.graph_optimization_level = ort.GraphOptimizationLevel.ORT_ENABLE_BASIC
    # Bytes that look like the runtime's own format would otherwise go past the ONNX parser.
    options.add_session_config_entry("session.load_model_format", "ONNX")
    try:
        return ort.InferenceSession(onnx_bytes, options, providers=["CPUExecutionProvider"])
    except _FAILURES as error:
        raise failed("it cannot be opened", error) from error


def run(session: Any, outputs: Sequence[str], feed: dict[str, Any]) -> list[Any]:
    """The named outputs; ScoringFailed if the runtime fails."""
    try:
        result: list[Any] = session.run(outputs, feed)
    except _FAILURES as error:
        raise failed("the runtime reported an error", error) from error
    return result


def one_row(
    session: Any, feed: str, width: int, output: str, n_answers: int
) -> Callable[[Sequence[float]], list[float]]:
    """A function from ``width`` numbers to ``n_answers``, of a graph that takes and gives a float64 matrix.

    It reads and writes the same memory each time: making arrays takes longer than a small graph itself. Its errors:
    ScoringFailed, also for an answer of another shape.
    """
    given, found = np.zeros((1, width)), np.full((1, n_answers), np.nan)
    binding = session.io_binding()
    binding.bind_input(feed, "cpu", 0, np.float64, given.shape, given.ctypes.data)
    binding.bind_output(output, "cpu", 0, np.float64, found.shape, found.ctypes.data)
    memory, answers, write = given.data, found[0], struct.Struct(f"{width}d").pack_into

    def work(row: Sequence[float]) -> list[float]:
        write(memory, 0, *row)
        try:
            session.run_with_iobinding(binding)
        except _FAILURES as error:
            raise failed("the runtime reported an error", error) from error
        result: list[float] = answers.tolist()
        return result

    return work


def batches(n_rows: int, at_once: int = BATCH_ROWS) -> Iterator[slice]:
    """Slices of at most ``at_once`` rows; none for no rows, which many graphs cannot take."""
    for start in range(0, n_rows, at_once):
        yield slice(start, min(start + at_once, n_rows))


def failed(reason: str, error: Exception | None = None) -> errors.ScoringFailed:
    """The error for a model that does not run."""
    return errors.ScoringFailed(reason=reason, detail=None if error is None else str(error)[:2000])
