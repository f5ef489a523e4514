"""What a build hands back: a short entry for each partition, its model and its description in the blob."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

READY, FAILED = "ready", "failed"
_NOTHING = memoryview(b"")


@dataclass(frozen=True)
class Built:
    """One sub-model: its file and its description (JSON), or why there is none."""

    id: int
    rows: int
    seconds: float
    model: memoryview = _NOTHING
    description: memoryview = _NOTHING
    score: float | None = None
    error: str | None = None
    sqlstate: str | None = None


def packed(plan: Mapping[str, Any], built: Sequence[Built]) -> tuple[dict[str, Any], list[memoryview]]:
    """The result and the pieces of the blob."""
    entries: list[dict[str, Any]] = []
    pieces: list[memoryview] = []
    offset = 0
    for one in built:
        middle = offset + one.model.nbytes
        entries.append(_entry(one, offset, middle))
        pieces += (one.model, one.description)
        offset = middle + one.description.nbytes
    return {"plan": dict(plan), "partitions": entries}, pieces


def _entry(one: Built, offset: int, middle: int) -> dict[str, Any]:
    return {
        "id": one.id,
        "status": READY if one.error is None else FAILED,
        "error": one.error,
        "sqlstate": one.sqlstate,
        "rows": one.rows,
        "score": one.score,
        "seconds": round(one.seconds, 6),
        "offset": offset,
        "length": one.model.nbytes,
        "description": [middle, one.description.nbytes],
    }


def partitions(result: Mapping[str, Any], blob: bytes) -> Iterator[tuple[dict[str, Any], memoryview]]:
    """Entry and model file of each partition, in order, one at a time.

    An entry: id, status, error and sqlstate (of a failed one), rows, score, seconds, and all that single.fit said of
    a ready one.
    """
    whole = memoryview(blob)
    for entry in result["partitions"]:
        start, length = entry["description"]
        own = {name: value for name, value in entry.items() if name not in ("offset", "length", "description")}
        said = json.loads(bytes(whole[start : start + length])) if length else {}
        yield {**said, **own}, whole[entry["offset"] : entry["offset"] + entry["length"]]
