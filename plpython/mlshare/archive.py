"""A partitioned model as one piece of bytes: the common part, the list of its partitions and their model files.

A safetensors file: a header that says where each part lies, then the parts. Nothing in it is compressed or nested, so
nothing in it can be larger than the file itself.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlshare import transport
from mlshare.errors import CorruptModel, ModelTooLarge

MOST_PARTITIONS = 1_000_000
_MARK, _VERSION = "mlshare.partitions", "1"
_TRUNK, _LIST = "trunk", "partitions"
FIELDS: dict[str, tuple[type, ...]] = {
    "partition_id": (int,),
    "partition_name": (str,),
    "key": (list, type(None)),
    "status": (str,),
    "n_rows": (int,),
    "score": (int, float, type(None)),
    "build_seconds": (int, float, type(None)),
    "fingerprint": (str, type(None)),
    "error": (str, type(None)),
    "details": (dict, type(None)),
}


@dataclass(frozen=True)
class Archive:
    """``partitions`` are rows of the catalog (see FIELDS), ``models`` the files of those that are ready, by number."""

    trunk: bytes
    partitions: Sequence[Mapping[str, Any]]
    models: Mapping[int, memoryview]


def pack(trunk: bytes, partitions: Sequence[Mapping[str, Any]], models: Mapping[int, bytes]) -> bytes:
    """The bytes that ``unpack`` reads."""
    kept = [{name: row[name] for name in FIELDS} for row in partitions]
    parts = {_TRUNK: trunk, _LIST: json.dumps(kept).encode(), **{str(n): raw for n, raw in models.items()}}
    tensors = {name: transport.Tensor("U8", memoryview(raw)) for name, raw in parts.items()}
    return b"".join(transport.write(tensors, {"format": _MARK, "version": _VERSION}))


def is_archive(raw: bytes) -> bool:
    """Whether bytes begin as ``pack`` writes them; an ONNX file does not."""
    return _MARK.encode() in raw[:200] and raw[8:9] == b"{"


def unpack(raw: bytes) -> Archive:
    """Errors: CorruptModel, ModelTooLarge. What the parts hold is for others to check."""
    tensors, metadata = transport.read(memoryview(raw))
    if metadata != {"format": _MARK, "version": _VERSION} or not {_TRUNK, _LIST} <= tensors.keys():
        raise CorruptModel(reason="it is not an archive of partitions")
    # Each byte belongs to one part: no part can be counted, and read, many times.
    if sum(len(t) for t in tensors.values()) > len(raw) or any(t.dtype != "U8" for t in tensors.values()):
        raise CorruptModel(reason="the parts of its archive overlap")
    rows = _listed(bytes(tensors.pop(_LIST).data))
    trunk = bytes(tensors.pop(_TRUNK).data)
    ready = {str(row["partition_id"]) for row in rows if row["status"] == "ready"}
    if ready != tensors.keys():
        raise CorruptModel(reason="its archive does not hold a model for each partition that is ready, and no other")
    return Archive(trunk, rows, {int(name): tensor.data for name, tensor in tensors.items()})


def _listed(text: bytes) -> list[dict[str, Any]]:
    try:
        rows = json.loads(text)
    except (ValueError, RecursionError):
        raise CorruptModel(reason="the list of its partitions is not JSON") from None
    if not isinstance(rows, list) or not all(map(_is_row, rows)):
        raise CorruptModel(reason="the list of its partitions is damaged")
    if len(rows) > MOST_PARTITIONS:
        raise ModelTooLarge(reason=f"it has {len(rows)} partitions")
    for what in ("partition_id", "partition_name", "key"):
        if len({json.dumps(row[what]) for row in rows}) < len(rows):
            raise CorruptModel(reason=f"two of its partitions have the same {what}")
    return rows


def _is_row(row: Any) -> bool:
    return (
        isinstance(row, dict)
        and row.keys() == FIELDS.keys()
        and all(isinstance(row[name], types) and not isinstance(row[name], bool) for name, types in FIELDS.items())
        and row["status"] in ("ready", "failed")
        and 0 < row["partition_id"] < 2**31
        and 0 <= row["n_rows"] < 2**63
        and all(isinstance(text, str) for text in row["key"] or ())
        and _is_hex(row["fingerprint"] or "")
        and not any("\0" in text for text in (row["partition_name"], row["error"] or "", *(row["key"] or ())))
    )


def _is_hex(text: str) -> bool:
    return len(text) % 2 == 0 and all(c in "0123456789abcdef" for c in text)
