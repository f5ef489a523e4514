"""A model as export_sermodel gives it: its bytes, and of what only the catalog knows the types and the settings.

A safetensors file, as mlshare.archive writes them, around a model file or an archive.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from mlshare import transport
from mlshare.errors import CorruptModel

_MARK, _VERSION = "mlshare.model", "1"
_START = f'{{"__metadata__": {{"format": "{_MARK}"'.encode()


def pack(raw: bytes, known: Mapping[str, Any]) -> bytes:
    """The bytes that ``unpack`` reads; ``known`` are the model's metadata."""
    columns = (known.get("lineage") or {}).get("columns") or {}
    kept = {"lineage": {"columns": columns}, "target_type": known.get("target_type"), "mining": known.get("mining")}
    described = json.dumps(kept)
    metadata = {"format": _MARK, "version": _VERSION, "described": described}
    return b"".join(transport.write({"model": transport.Tensor("U8", memoryview(raw))}, metadata))


def is_packed(raw: bytes) -> bool:
    return raw[8 : 8 + len(_START)] == _START


def unpack(raw: bytes) -> tuple[bytes, dict[str, Any]]:
    """A model's bytes, and what goes into its metadata. Errors: CorruptModel."""
    tensors, metadata = transport.read(memoryview(raw))
    if metadata.keys() != {"format", "version", "described"} or metadata["version"] != _VERSION:
        raise CorruptModel(reason="it is not a serialized model")
    try:
        (model,) = tensors.values()
        found = json.loads(metadata["described"])
        types = [found["target_type"] or "", *found["lineage"]["columns"].values()]
        mining = found["mining"] or {}
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CorruptModel(reason="what describes the serialized model is damaged") from None
    if not all(isinstance(name, str) for name in types) or not isinstance(mining, dict):
        raise CorruptModel(reason="what describes the serialized model is damaged")
    return bytes(model.data), {name: found[name] for name in ("lineage", "target_type", "mining") if found[name]}
