"""One attempt at a sub-model, here or on another machine: what came of it, never an exception."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from mlshare import errors

_TEXT = 500


@dataclass(frozen=True)
class Attempt:
    """The model file and its description (JSON), or why there is none."""

    seconds: float
    model: bytes = b""
    description: bytes = b""
    score: float | None = None
    error: str | None = None
    sqlstate: str | None = None


def attempt(work: Callable[[], tuple[dict[str, Any], bytes]]) -> Attempt:
    """Do it, and take the time."""
    start = time.perf_counter()
    try:
        said, model = work()
        description = json.dumps(said, allow_nan=False).encode()
        return Attempt(time.perf_counter() - start, model, description, said.get("score"))
    except errors.MlshareError as error:
        why = (error.message, error.sqlstate)
    except Exception as error:  # noqa: BLE001 - one sub-model must not end the others: the answer carries it on
        why = _unexpected(error)
    return Attempt(time.perf_counter() - start, error=why[0], sqlstate=why[1])


def _unexpected(error: Exception) -> tuple[str, str]:
    text = str(error)
    if isinstance(error, MemoryError) or "bad_alloc" in text or "bad allocation" in text:
        return "it needed more than its part of the memory", errors.ChildOutOfMemory.sqlstate
    return f"{type(error).__name__}: {text[:_TEXT]}", errors.ChildError.sqlstate
