"""Rows and bytes on their way to a child process: one buffer in the safetensors layout.

The layout is an 8-byte little-endian length, a JSON header of that length that gives type, shape and
position of every tensor, then the tensors. The receiver maps the buffer and copies nothing.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from mlshare import errors
from mlshare.table import Column, Table

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

Payload = Table | bytes | bytearray | memoryview | None

_ITEM_BYTES = {"F64": 8, "I32": 4, "U8": 1}
_LENGTH_BYTES = 8


@dataclass(frozen=True)
class Tensor:
    """A one-dimensional array of a safetensors type, as bytes."""

    dtype: str
    data: memoryview

    def __len__(self) -> int:
        return self.data.nbytes // _ITEM_BYTES[self.dtype]


def pack(request: Mapping[str, Any], payload: Payload) -> list[memoryview]:
    """The buffers which, written one after the other, carry a request and its payload."""
    metadata = {"request": json.dumps(request, allow_nan=False)}
    if payload is None:
        return write({}, metadata)
    if isinstance(payload, Table):
        metadata["columns"] = json.dumps([[c.name, c.kind] for c in payload.columns])
        return write(_table_tensors(payload), metadata)
    return write({"payload": Tensor("U8", memoryview(payload).cast("B"))}, metadata)


def unpack(buffer: memoryview) -> tuple[dict[str, Any], Table | bytes | None]:
    """The request and payload of a packed buffer; the columns of a table are views into the buffer."""
    tensors, metadata = read(buffer)
    request = json.loads(metadata["request"])
    if "columns" in metadata:
        columns = json.loads(metadata["columns"])
        return request, Table(tuple(_column(i, n, k, tensors) for i, (n, k) in enumerate(columns)))
    if "payload" in tensors:
        return request, bytes(tensors["payload"].data)
    return request, None


def write(tensors: Mapping[str, Tensor], metadata: Mapping[str, str]) -> list[memoryview]:
    """The buffers of a safetensors file; wide types first, so that every tensor is aligned."""
    order = sorted(tensors, key=lambda name: -_ITEM_BYTES[tensors[name].dtype])
    header: dict[str, Any] = {"__metadata__": dict(metadata)}
    offset = 0
    for name in order:
        tensor = tensors[name]
        end = offset + tensor.data.nbytes
        header[name] = {"dtype": tensor.dtype, "shape": [len(tensor)], "data_offsets": [offset, end]}
        offset = end
    text = json.dumps(header, ensure_ascii=False).encode()
    text += b" " * (-len(text) % 8)
    start = memoryview(len(text).to_bytes(_LENGTH_BYTES, "little") + text)
    return [start, *(tensors[name].data for name in order)]


def read(buffer: memoryview) -> tuple[dict[str, Tensor], dict[str, str]]:
    """Tensors and metadata of a safetensors buffer; CorruptModel if it is not one."""
    try:
        length = int.from_bytes(buffer[:_LENGTH_BYTES], "little")
        header = json.loads(bytes(buffer[_LENGTH_BYTES : _LENGTH_BYTES + length]))
        metadata = header.pop("__metadata__", {})
        body = buffer[_LENGTH_BYTES + length :]
        return {name: _tensor(entry, body) for name, entry in header.items()}, metadata
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise errors.CorruptModel(reason="it is not a safetensors buffer", detail=str(error)) from error


def _tensor(entry: Mapping[str, Any], body: memoryview) -> Tensor:
    begin, end = entry["data_offsets"]
    (count,) = entry["shape"]
    if not 0 <= begin <= end <= body.nbytes or (end - begin) != count * _ITEM_BYTES[entry["dtype"]]:
        raise ValueError(f"tensor at {begin}..{end} of {body.nbytes} bytes")
    return Tensor(entry["dtype"], body[begin:end])


def _table_tensors(table: Table) -> dict[str, Tensor]:
    tensors: dict[str, Tensor] = {}
    for i, column in enumerate(table.columns):
        if column.values is not None:
            tensors[f"{i}.values"] = Tensor("F64", _bytes_of(column.values))
        if column.codes is not None:
            tensors[f"{i}.codes"] = Tensor("I32", _bytes_of(column.codes))
            tensors[f"{i}.dictionary"] = Tensor("U8", _strings(column.dictionary))
    return tensors


def _column(i: int, name: str, kind: Any, tensors: Mapping[str, Tensor]) -> Column:
    import numpy as np

    values, codes = tensors.get(f"{i}.values"), tensors.get(f"{i}.codes")
    if values is not None:
        return Column(name, kind, values=np.frombuffer(values.data, dtype=np.float64))
    if codes is None:
        raise errors.CorruptModel(reason=f'column "{name}" has no data')
    dictionary = tuple(json.loads(bytes(tensors[f"{i}.dictionary"].data)))
    return Column(name, kind, codes=np.frombuffer(codes.data, dtype=np.int32), dictionary=dictionary)


def _bytes_of(array: NDArray[np.float64] | NDArray[np.int32]) -> memoryview:
    import numpy as np

    # An empty array has a zero in its strides' product, which memoryview.cast refuses.
    return np.ascontiguousarray(array).data.cast("B") if array.size else memoryview(b"")


def _strings(strings: Sequence[str]) -> memoryview:
    return memoryview(json.dumps(list(strings), ensure_ascii=False).encode())
