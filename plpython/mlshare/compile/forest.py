"""An ensemble of trees, out of the attributes of a TreeEnsembleRegressor."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto, numpy_helper

from mlshare.errors import CompiledTooLarge, NotCompilable

# Every session that calls the function keeps it parsed: this many nodes take some 50 MB, and half a second once.
MAX_NODES = 30_000
# Expressions nest as trees do; PostgreSQL stops at max_stack_depth, 2 MB unless set otherwise.
MAX_DEPTH = 200


@dataclass(frozen=True)
class Node:
    """x[feature] <= threshold goes left, else right; a leaf (feature -1) adds its weights [k]."""

    feature: int
    threshold: float
    left: int
    right: int
    weights: tuple[float, ...]


@dataclass(frozen=True)
class Forest:
    """Scores [k]: base + the sum of all trees, rounded to float32. In each tree the root is node 0."""

    trees: tuple[tuple[Node, ...], ...]
    base: tuple[float, ...]

    @property
    def n_scores(self) -> int:
        return len(self.base)


def read_forest(attributes: Mapping[str, Any], n_features: int) -> Forest:
    """Errors: NotCompilable for what mlshare does not write, CompiledTooLarge."""
    _require_plain(attributes)
    n_targets = int(attributes["n_targets"])
    base = _floats(attributes, "base_values") if _has(attributes, "base_values") else np.zeros(n_targets)
    trees = _trees(attributes, _weights(attributes, n_targets))
    for tree in trees:
        if depth(tree) > MAX_DEPTH:
            raise CompiledTooLarge(size=depth(tree), limit=MAX_DEPTH, unit="levels in one tree")
    return Forest(trees, tuple(base.tolist()))


def _require_plain(attributes: Mapping[str, Any]) -> None:
    modes = set(attributes["nodes_modes"]) - {b"BRANCH_LEQ", b"LEAF"}
    options = attributes.get("aggregate_function", b"SUM"), attributes.get("post_transform", b"NONE")
    if modes or options != (b"SUM", b"NONE"):
        raise NotCompilable(reason="its trees are not of the kind that mlshare makes")
    n_nodes = len(attributes["nodes_modes"])
    if n_nodes > MAX_NODES:
        raise CompiledTooLarge(size=n_nodes, limit=MAX_NODES, unit="nodes")


def _has(attributes: Mapping[str, Any], name: str) -> bool:
    return name in attributes or f"{name}_as_tensor" in attributes


def _floats(attributes: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    tensor: TensorProto | None = attributes.get(f"{name}_as_tensor")
    values = attributes[name] if tensor is None else numpy_helper.to_array(tensor)
    return np.asarray(values, dtype=np.float64)


def _weights(attributes: Mapping[str, Any], n_targets: int) -> dict[tuple[int, int], list[float]]:
    """Weights [k] of each leaf, by tree and node."""
    found: dict[tuple[int, int], list[float]] = {}
    places = (attributes[f"target_{part}"] for part in ("treeids", "nodeids", "ids"))
    for tree, node, target, weight in zip(*places, _floats(attributes, "target_weights").tolist(), strict=True):
        found.setdefault((tree, node), [0.0] * n_targets)[target] += weight
    return found


def _trees(
    attributes: Mapping[str, Any], weights: Mapping[tuple[int, int], list[float]]
) -> tuple[tuple[Node, ...], ...]:
    columns = (attributes[f"nodes_{part}"] for part in ("treeids", "nodeids", "featureids", "modes"))
    children = (attributes[f"nodes_{part}"] for part in ("truenodeids", "falsenodeids"))
    thresholds = _floats(attributes, "nodes_values").tolist()
    trees: dict[int, dict[int, Node]] = {}
    for tree, number, feature, mode, yes, no, t in zip(*columns, *children, thresholds, strict=True):
        leaf = mode == b"LEAF"
        given = tuple(weights.get((tree, number), ()))
        trees.setdefault(tree, {})[number] = Node(-1 if leaf else feature, t, yes, no, given)
    return tuple(_ordered(nodes) for nodes in trees.values())


def _ordered(nodes: Mapping[int, Node]) -> tuple[Node, ...]:
    if sorted(nodes) != list(range(len(nodes))):
        raise NotCompilable(reason="the nodes of a tree are not numbered from 0 without a gap")
    return tuple(nodes[i] for i in range(len(nodes)))


def depth(tree: tuple[Node, ...]) -> int:
    """Levels of tests above the deepest leaf."""
    deepest, level = 0, [0]
    while level := [c for i in level if tree[i].feature >= 0 for c in (tree[i].left, tree[i].right)]:
        deepest += 1
    return deepest
