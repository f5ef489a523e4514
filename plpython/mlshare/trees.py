"""An ensemble of trees for one row at a time: the runtime takes several times as long to begin and to end.

The sums are rounded as the graph's operator rounds them, so what follows from them is what the runtime says, but for
the last bit of a probability.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from ctypes import c_float
from dataclasses import dataclass
from itertools import pairwise
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlshare import graphfile
from mlshare.booster import Booster
from mlshare.graphfile import Step
from mlshare.linear import of_two, softmax

# Above it the trees themselves take most of the time, and opening them again is felt.
MOST_NODES = 20_000

Ints: TypeAlias = NDArray[np.int64]
Floats: TypeAlias = NDArray[np.float64]
Link: TypeAlias = Callable[[list[float]], list[float]]

# What mlshare.convert.trees writes, as (operator, inputs, outputs).
_START: list[Step] = [("TreeEnsembleRegressor", ["features"], ["n0"]), ("Cast", ["n0"], ["n1"])]
_SIGMOID: list[Step] = [("Sigmoid", ["n1"], ["n2"]), ("Sub", ["c0", "n2"], ["n3"]), ("Concat", ["n3", "n2"], ["n4"])]
_SOFTMAX: list[Step] = [("Softmax", ["n1"], ["n2"])]
_SHARE: list[Step] = [("Sub", ["c0", "n1"], ["n2"]), ("Concat", ["n2", "n1"], ["n3"])]
_VALUE: list[Step] = [("Mul", ["n1", "c0"], ["n2"]), ("Add", ["n2", "c1"], ["n3"])]
_MOST = 6  # nodes
_MODES = (b"LEAF", b"BRANCH_LEQ")
_ATTRIBUTES = {
    "n_targets",
    "base_values_as_tensor",
    *(f"nodes_{part}" for part in ("treeids", "nodeids", "featureids", "modes", "truenodeids", "falsenodeids")),
    "nodes_values_as_tensor",
    *(f"target_{part}" for part in ("treeids", "nodeids", "ids", "weights_as_tensor")),
}


@dataclass(frozen=True)
class Trees:
    """Scores of a booster and a base [k], and what makes answers of them."""

    booster: Booster
    base: list[float]
    link: Link

    def answers(self, row: Sequence[float]) -> list[float]:
        """The probabilities [C], or the value [1], of a row's features."""
        scores = self.booster.scores(row)
        return self.link([c_float(score + base).value for score, base in zip(scores, self.base, strict=True)])


def of_graph(model: bytes, width: int) -> Trees | None:
    """The trees in a model file that take ``width`` features; None if there are none, too many, or others.

    The caller must see it agree with the runtime: of the operators behind the trees no attributes are looked at.
    """
    try:
        nodes, constants = graphfile.read(model, _MOST)
        steps = [node.step for node in nodes]
        link = _link(steps[2:-1], constants) if steps[:2] == _START else None
        if link is None:
            return None
        forest = _Forest.read(nodes[0].attributes, width)
        return Trees(Booster(forest.text(width), width, len(forest.base)), forest.base.tolist(), link)
    except (*graphfile.FAILURES, OSError):
        return None


def _link(steps: list[Step], constants: Mapping[str, Floats]) -> Link | None:
    if steps == _VALUE:
        (scale,), (center,) = constants["c0"].tolist(), constants["c1"].tolist()
        return lambda scores: [scores[0] * scale + center]
    if steps == _SHARE:
        return lambda scores: [1.0 - scores[0], scores[0]]
    if steps == _SIGMOID:
        return of_two
    return softmax if steps == _SOFTMAX else None


@dataclass(frozen=True)
class _Nodes:
    """Of all nodes [n] which tree they belong to, their number in it, and whether they test; ``first`` of each tree."""

    tree: Ints
    number: Ints
    is_test: NDArray[np.bool_]
    first: Ints

    @classmethod
    def read(cls, attributes: Mapping[str, memoryview]) -> _Nodes:
        """Errors: graphfile.FAILURES, for trees that are not in order, one after the other from their roots on, too."""
        _require(len(attributes["nodes_treeids"]) < 8 * MOST_NODES)
        tree, number = (graphfile.integers(attributes[f"nodes_{part}"]) for part in ("treeids", "nodeids"))
        first = np.flatnonzero(np.diff(tree, prepend=-1))
        _require(0 < len(tree) <= MOST_NODES and np.array_equal(tree[first], np.arange(len(first))))
        _require(bool((np.diff(tree) >= 0).all()) and np.array_equal(number, np.arange(len(tree)) - first[tree]))
        return cls(tree, number, graphfile.strings(attributes["nodes_modes"], _MODES) == 1, first)

    def starts(self, own: NDArray[np.bool_]) -> Ints:
        """Where the nodes of some kind begin in each tree, counted among themselves, and where the last ones end."""
        return np.concatenate([[0], np.cumsum(np.bincount(self.tree[own], minlength=len(self.first)))])

    def children(self, attribute: memoryview) -> Ints:
        """Positions of one child of each test. It must come after its parent: so no way goes on for ever."""
        child, tree = graphfile.integers(attribute)[self.is_test], self.tree[self.is_test]
        size = np.diff(np.append(self.first, len(self.tree)))
        _require(bool(((child > self.number[self.is_test]) & (child < size[tree])).all()))
        return self.first[tree] + child

    def weights(self, attributes: Mapping[str, memoryview], n_sums: int) -> Floats:
        """What each leaf adds to its tree's sum."""
        tree, node, target = (
            graphfile.integers(attributes[f"target_{part}"]) for part in ("treeids", "nodeids", "ids")
        )
        given = graphfile.doubles(attributes["target_weights_as_tensor"])
        at = self.first[tree] + node
        _require(bool((self.tree[at] == tree).all() and not self.is_test[at].any() and (target == tree % n_sums).all()))
        _require(len(given) == len(at) and bool(np.isfinite(given).all()))
        weights = np.zeros(len(self.tree))
        np.add.at(weights, at, given)
        return weights[~self.is_test]


@dataclass(frozen=True)
class _Forest:
    """Trees as LightGBM numbers them: in each, tests from 0 on, and leaves, of which ~i stands for number i.

    ``feature``, ``threshold``, ``left`` and ``right`` are of all tests, ``weight`` of all leaves, tree after tree;
    ``tests`` and ``leaves`` say where those of each tree begin, and where the last ones end. ``base`` [k] is what each
    sum begins with: tree i is part of sum i % k.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    weight: Floats
    tests: list[int]
    leaves: list[int]
    base: Floats

    @classmethod
    def read(cls, attributes: Mapping[str, memoryview], width: int) -> _Forest:
        """Of a node's attributes. Errors: graphfile.FAILURES, for whatever is not sound, too."""
        _require(set(attributes) == _ATTRIBUTES)
        nodes = _Nodes.read(attributes)
        is_test, tree = nodes.is_test, nodes.tree
        tests, leaves = nodes.starts(is_test), nodes.starts(~is_test)
        _require(np.array_equal(np.diff(leaves), np.diff(tests) + 1))
        number = np.where(is_test, np.cumsum(is_test) - 1 - tests[tree], ~(np.cumsum(~is_test) - 1 - leaves[tree]))
        left, right = (number[nodes.children(attributes[f"nodes_{side}nodeids"])] for side in ("true", "false"))
        feature = graphfile.integers(attributes["nodes_featureids"])[is_test]
        threshold = graphfile.doubles(attributes["nodes_values_as_tensor"])[is_test]
        _require(bool((feature < width).all() and np.isfinite(threshold).all()))
        base = graphfile.doubles(attributes["base_values_as_tensor"])
        _require(len(base) == graphfile.integer(attributes["n_targets"]) > 0 and len(nodes.first) % len(base) == 0)
        weight = nodes.weights(attributes, len(base))
        return cls(feature, threshold, left, right, weight, tests.tolist(), leaves.tolist(), base)

    def text(self, width: int) -> str:
        """The trees as LightGBM writes them."""
        head = (
            f"tree\nversion=v4\nnum_class={len(self.base)}\nnum_tree_per_iteration={len(self.base)}\nlabel_index=0\n"
            f"max_feature_idx={width - 1}\n"
            f"feature_names={' '.join(f'f{i}' for i in range(width))}\nfeature_infos={' '.join(['none'] * width)}\n\n"
        )
        return head + "".join(self._blocks()) + "end of trees\n\n"

    def _blocks(self) -> Iterator[str]:
        features, thresholds, weights = map(_written, (self.feature, self.threshold, self.weight))
        lefts, rights = _written(self.left), _written(self.right)
        for tree, (tests, leaves) in enumerate(zip(_slices(self.tests), _slices(self.leaves), strict=True)):
            yield (
                f"Tree={tree}\nnum_leaves={leaves.stop - leaves.start}\nnum_cat=0\n"
                f"split_feature={' '.join(features[tests])}\nthreshold={' '.join(thresholds[tests])}\n"
                f"decision_type={' '.join('0' * (tests.stop - tests.start))}\n"
                f"left_child={' '.join(lefts[tests])}\nright_child={' '.join(rights[tests])}\n"
                f"leaf_value={' '.join(weights[leaves])}\nshrinkage=1\n\n"
            )


def _slices(starts: list[int]) -> list[slice]:
    return [slice(start, stop) for start, stop in pairwise(starts)]


def _written(values: NDArray[Any]) -> list[str]:
    """Numbers as text; much quicker than one by one."""
    import msgspec

    text = msgspec.json.encode(values.tolist()).decode()[1:-1]
    return text.split(",") if text else []


def _require(sound: bool) -> None:
    if not sound:
        raise ValueError("not an ensemble that mlshare writes")
