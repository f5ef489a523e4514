"""A task that audits many files in one process: starting a child for each would take minutes."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path
from typing import Any

from mlshare import audit, errors


def audit_files(
    request: dict[str, Any], payload: Any, progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], bytes]:
    """How each file of a directory fares: the class of the error, or "accepted"."""
    outcomes = {}
    for path in sorted(Path(request["directory"]).iterdir()):
        progress(path.name, 0.0)
        outcomes[path.name] = _outcome(path.read_bytes(), request["metadata"])
    return outcomes, b""


def audit_flips(
    request: dict[str, Any], payload: bytes, progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], bytes]:
    """How often each outcome occurs when single bytes of the payload are changed."""
    dice = random.Random(request["seed"])
    counts: dict[str, int] = {}
    for _ in range(request["flips"]):
        at, change = dice.randrange(len(payload)), dice.randrange(1, 256)
        progress(f"{at} ^ {change}", 0.0)
        changed = payload[:at] + bytes([payload[at] ^ change]) + payload[at + 1 :]
        outcome = _outcome(changed, request["metadata"])
        counts[outcome] = counts.get(outcome, 0) + 1
    return counts, b""


def _outcome(data: bytes, metadata: dict[str, Any]) -> str:
    try:
        audit.run({"metadata": metadata}, data, lambda text, fraction: None)
    except errors.ModelObjectError as error:
        return type(error).__qualname__
    except errors.ScoringFailed:
        return "ScoringFailed"
    except MemoryError:
        return "MemoryError"
    return "accepted"
