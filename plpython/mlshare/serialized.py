"""A model as export_sermodel gives it: its bytes, and the types that only the catalog knows.

A safetensors file, as mlshare.archive writes them, around a model file or an archive.
"""

from __future__ import annotations

import json
from typing import Any

from mlshare import transport
from mlshare.errors import CorruptModel

_MARK, _VERSION = "mlshare.model", "1"
_START = f'{{"__metadata__": {{"format": "{_MARK}"'.encode()


def pack(raw: bytes, columns: dict[str, Any], target_type: str | None) -> bytes:
    """The bytes that ``unpack`` reads; ``columns`` are the types of the columns by name."""
    described = json.dumps({"lineage": {"columns": columns}, "target_type": target_type})
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
        described = json.loads(metadata["described"])
        (model,) = tensors.values()
        columns = {str(name): str(type_name) for name, type_name in described["lineage"]["columns"].items()}
        target = described["target_type"]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        raise CorruptModel(reason="what describes the serialized model is damaged") from None
    return bytes(model.data), {"lineage": {"columns": columns}, "target_type": None if target is None else str(target)}
