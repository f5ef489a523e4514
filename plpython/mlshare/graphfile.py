"""The graph in a model file, read without the library that wrote it: of a protocol buffer what is needed, no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

# What reading something else ends in.
FAILURES = (StopIteration, IndexError, KeyError, ValueError, TypeError)

# Numbers of fields, and of a type, in onnx.proto.
_GRAPH, _NODE, _CONSTANT = 7, 1, 5
_INPUT, _OUTPUT, _OPERATOR, _ATTRIBUTE = 1, 2, 4, 5
_NAME, _INTEGER, _TENSOR, _INTEGERS, _STRINGS, _TYPE = 1, 3, 5, 8, 9, 20
_DOUBLE = 11

Step: TypeAlias = tuple[str, list[str], list[str]]


@dataclass(frozen=True)
class Node:
    """An operator, the names of what goes into it and comes out of it, and its attributes, which are not read yet."""

    operator: str
    inputs: list[str]
    outputs: list[str]
    attributes: dict[str, memoryview]

    @property
    def step(self) -> Step:
        """All but the attributes."""
        return self.operator, self.inputs, self.outputs


def read(model: bytes, most: int) -> tuple[list[Node], dict[str, NDArray[np.float64]]]:
    """The nodes of a graph, and its constants of doubles. Of more nodes than ``most``, one more. Errors: FAILURES."""
    graph = next(part for number, part in _fields(memoryview(model)) if number == _GRAPH)
    nodes = islice((part for number, part in _fields(graph) if number == _NODE), most + 1)
    constants = (_constant(part) for number, part in _fields(graph) if number == _CONSTANT)
    return [_node(part) for part in nodes], {name: values for name, values in constants if values is not None}


def _node(data: memoryview) -> Node:
    texts: dict[int, list[str]] = {_INPUT: [], _OUTPUT: [], _OPERATOR: []}
    attributes: dict[str, memoryview] = {}
    for number, part in _fields(data):
        if number in texts:
            texts[number].append(str(part, "utf-8"))
        elif number == _ATTRIBUTE:
            attributes[str(next(_fields(part))[1], "utf-8")] = part
    return Node(texts[_OPERATOR][0], texts[_INPUT], texts[_OUTPUT], attributes)


def _constant(data: memoryview) -> tuple[str, NDArray[np.float64] | None]:
    """Name and numbers of a tensor of doubles, as onnx.numpy_helper writes them."""
    found = dict(_fields(data))
    is_double = _varint(found[2], 0)[0] == _DOUBLE
    return str(found[8], "utf-8"), np.frombuffer(found[9], "<f8") if is_double else None


# --- attributes ------------------------------------------------------------------------------------


def integer(attribute: memoryview) -> int:
    """Errors: FAILURES."""
    return _varint(_only(attribute, _INTEGER), 0)[0]


def doubles(attribute: memoryview) -> NDArray[np.float64]:
    """The values of a tensor. Errors: FAILURES."""
    values = _constant(_only(attribute, _TENSOR))[1]
    if values is None:
        raise ValueError("not a tensor of doubles")
    return values


def integers(attribute: memoryview) -> NDArray[np.int64]:
    """A list of integers, all at once: there are many. Errors: FAILURES, also for one that is negative."""
    data = np.frombuffer(_behind_name(attribute), np.uint8)
    # Numbers of seven bits in a byte, the lowest first, the last byte below 128: by turns a field's tag and its value.
    ends = np.flatnonzero(data < 128)
    widths = np.diff(ends, prepend=-1)
    if ends[-1] != len(data) - 1 or widths.max() > 5:
        raise ValueError("not a list of small integers")
    starts = ends - widths + 1
    shift = 7 * (np.arange(len(data)) - np.repeat(starts, widths))
    numbers = np.add.reduceat((data & 127).astype(np.int64) << shift, starts)
    values: NDArray[np.int64] = numbers[1::2][numbers[::2] == _INTEGERS << 3]
    return values


def strings(attribute: memoryview, known: Sequence[bytes]) -> NDArray[np.int64]:
    """A list of strings, as positions in ``known``; none of these has a J in it. Errors: FAILURES, for others."""
    places = {bytes([len(text)]) + text: i for i, text in enumerate(known)}
    tag, rest = bytes([_STRINGS << 3 | 2]), bytes([_TYPE << 3 & 127 | 128, _TYPE >> 4, 8])
    _, *parts = bytes(_behind_name(attribute)).removesuffix(rest).split(tag)
    return np.array([places[part] for part in parts])


def _only(attribute: memoryview, wanted: int) -> memoryview:
    return next(part for number, part in _fields(attribute) if number == wanted)


def _behind_name(attribute: memoryview) -> memoryview:
    if attribute[0] != _NAME << 3 | 2:
        raise ValueError("an attribute that does not begin with its name")
    size, at = _varint(attribute, 1)
    return attribute[at + size :]


# --- protocol buffers ------------------------------------------------------------------------------


def _fields(data: memoryview) -> Iterator[tuple[int, memoryview]]:
    """Number and bytes of each field of a message; of a number its own encoding. Errors: IndexError, ValueError."""
    at = 0
    while at < len(data):
        tag, at = _varint(data, at)
        if tag & 7 == 2:
            size, start = _varint(data, at)
            at = start + size
        elif tag & 7 == 0:
            start, at = at, _varint(data, at)[1]
        else:
            raise ValueError("a field of another kind")
        if at > len(data):
            raise ValueError("it ends within a field")
        yield tag >> 3, data[start:at]


def _varint(data: memoryview, at: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    while True:
        byte = data[at]
        value |= (byte & 127) << shift
        at, shift = at + 1, shift + 7
        if byte < 128:
            return value, at
        if shift > 63:
            raise ValueError("a number that does not end")
