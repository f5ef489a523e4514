"""A linear classifier for one row at a time, its numbers taken from its graph: the runtime takes longer to begin with.

Its sums may differ in the last bit from what the runtime makes of many rows. Of probabilities, ml_results shows four
decimals; of a regression it would show that bit, so those are left to the runtime.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from itertools import islice
from operator import mul

import numpy as np
from numpy.typing import NDArray

from mlshare.document import Values
from mlshare.prediction import Answer, QuickWork, shares
from mlshare.rows import Usual

# What mlshare.convert.graph.linear_model writes, as (operator, inputs, outputs).
_START = [("MatMul", ["features", "c0"], ["n0"]), ("Add", ["n0", "c1"], ["n1"])]
_TWO = [("Sigmoid", ["n1"], ["n2"]), ("Sub", ["c2", "n2"], ["n3"]), ("Concat", ["n3", "n2"], ["n4"])]
_MANY = [("Softmax", ["n1"], ["n2"])]
_MOST = 6  # nodes
_DOUBLE = 11  # TensorProto.DataType

Node = tuple[str, list[str], list[str]]


@dataclass(frozen=True)
class Linear:
    """Scores row @ weights + start, for each of some (weights [F], start), and what makes probabilities of them."""

    scores: list[tuple[list[float], float]]
    link: Callable[[list[float]], list[float]]

    def answers(self, row: list[float]) -> list[float]:
        """The probabilities [C] of a row's features."""
        return self.link([sum(map(mul, own, row), start) for own, start in self.scores])

    def of_usual(self, usual: Usual) -> QuickWork:
        """The same of usual rows."""
        n = len(usual.places)
        scores = [(array("d", [own[at] for at in usual.places]), own.__getitem__, start) for own, start in self.scores]
        if n == usual.width and len(scores) == 1:
            return _of_numbers(array("d", [*scores[0][0], scores[0][2]]), usual, self.link)

        # An array has its numbers side by side, and a function its defaults, but not what it closes over. That counts
        # where each row meets another sub-model, which is in no cache of the processor.
        def work(
            values: Values,
            read: Callable[[Values], Values | None] = usual.read,
            scores: Sequence[tuple[array[float], Callable[[int], float], float]] = scores,
            link: Callable[[list[float]], list[float]] = self.link,
        ) -> Answer | None:
            found = read(values)
            if found is None:
                return None
            ones = found[n:]
            # Of a 0/1 feature, the weight where the 1 is.
            return shares(
                link([sum(map(mul, single, found), sum(map(marked, ones), start)) for single, marked, start in scores])
            )

        return work


def _of_numbers(weights: array[float], usual: Usual, link: Callable[[list[float]], list[float]]) -> QuickWork:
    """Linear.of_usual for one score of numbers alone, half a microsecond quicker.

    The last of the weights is what the score begins with.
    """

    def work(
        values: Values,
        weights: array[float] = weights,
        read: Callable[[Values], Values | None] = usual.read,
        link: Callable[[list[float]], list[float]] = link,
    ) -> Answer | None:
        found = read(values)
        return None if found is None else shares(link([sum(map(mul, weights, found), weights[-1])]))

    return work


def of_graph(model: bytes, width: int) -> Linear | None:
    """What the graph in a model file computes from ``width`` features; None if it is no linear classifier.

    The caller must see it agree with the runtime: the attributes of the graph's operators are not looked at.
    """
    try:
        graph = next(part for number, part in _fields(memoryview(model)) if number == 7)
        nodes = [_node(part) for part in islice((p for number, p in _fields(graph) if number == 1), _MOST + 1)]
        if nodes[:2] != _START:
            return None
        constants = dict(_tensor(part) for number, part in _fields(graph) if number == 5)
        weights = constants["c0"].reshape(width, -1).T.tolist()
        link = _link(nodes[2:-1], len(weights))
        return None if link is None else Linear(list(zip(weights, constants["c1"].tolist(), strict=True)), link)
    except (StopIteration, IndexError, KeyError, ValueError, TypeError):
        return None


def _link(nodes: list[Node], n_scores: int) -> Callable[[list[float]], list[float]] | None:
    if nodes == _TWO and n_scores == 1:
        return _of_two
    return _softmax if nodes == _MANY else None


def _of_two(scores: list[float]) -> list[float]:
    (score,) = scores
    share = math.exp(-abs(score))
    second = (1.0 if score > 0 else share) / (1.0 + share)
    return [1.0 - second, second]


def _softmax(scores: list[float]) -> list[float]:
    most = max(scores)
    shares = [math.exp(s - most) for s in scores]
    total = sum(shares)
    return [s / total for s in shares]


# --- the file, which is a protocol buffer ----------------------------------------------------------


def _node(data: memoryview) -> Node:
    texts: dict[int, list[str]] = {1: [], 2: [], 4: []}
    for number, part in _fields(data):
        if number in texts:
            texts[number].append(str(part, "utf-8"))
    return texts[4][0], texts[1], texts[2]


def _tensor(data: memoryview) -> tuple[str, NDArray[np.float64]]:
    """Name and numbers of a constant of doubles, as onnx.numpy_helper writes them. Errors: KeyError, ValueError."""
    found = dict(_fields(data))
    if _varint(found[2], 0)[0] != _DOUBLE:
        raise ValueError("not a tensor of doubles")
    return str(found[8], "utf-8"), np.frombuffer(found[9], "<f8")


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
