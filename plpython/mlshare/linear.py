"""A linear classifier for one row at a time, its numbers taken from its graph: the runtime takes longer to begin with.

Its sums may differ in the last bit from what the runtime makes of many rows. Of probabilities, ml_results shows four
decimals; of a regression it would show that bit, so those are left to the runtime.
"""

from __future__ import annotations

import math
from array import array
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from operator import mul

from mlshare import graphfile
from mlshare.document import Values
from mlshare.graphfile import Step
from mlshare.prediction import Answer, QuickWork, shares
from mlshare.rows import Usual

# What mlshare.convert.graph.linear_model writes, as (operator, inputs, outputs).
_START = [("MatMul", ["features", "c0"], ["n0"]), ("Add", ["n0", "c1"], ["n1"])]
_TWO = [("Sigmoid", ["n1"], ["n2"]), ("Sub", ["c2", "n2"], ["n3"]), ("Concat", ["n3", "n2"], ["n4"])]
_MANY = [("Softmax", ["n1"], ["n2"])]
_MOST = 6  # nodes


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
        nodes, constants = graphfile.read(model, _MOST)
        steps = [node.step for node in nodes]
        if steps[:2] != _START:
            return None
        weights = constants["c0"].reshape(width, -1).T.tolist()
        link = _link(steps[2:-1], len(weights))
        return None if link is None else Linear(list(zip(weights, constants["c1"].tolist(), strict=True)), link)
    except graphfile.FAILURES:
        return None


def _link(steps: list[Step], n_scores: int) -> Callable[[list[float]], list[float]] | None:
    if steps == _TWO and n_scores == 1:
        return of_two
    return softmax if steps == _MANY else None


def of_two(scores: list[float]) -> list[float]:
    """Both probabilities of one score."""
    (score,) = scores
    share = math.exp(-abs(score))
    second = (1.0 if score > 0 else share) / (1.0 + share)
    return [1.0 - second, second]


def softmax(scores: list[float]) -> list[float]:
    """The probabilities of several scores."""
    most = max(scores)
    shares = [math.exp(s - most) for s in scores]
    total = sum(shares)
    return [s / total for s in shares]
