"""The arrays of a tree ensemble: every index in bounds, every tree a tree."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray
from onnx import AttributeProto, NodeProto, helper, numpy_helper

from mlshare import errors
from mlshare.audit.limits import Limits, require

Ints = NDArray[np.int64]

_MODES = (b"LEAF", b"BRANCH_LEQ", b"BRANCH_LT", b"BRANCH_GTE", b"BRANCH_GT", b"BRANCH_EQ", b"BRANCH_NEQ")
_TRANSFORMS = (b"NONE", b"SOFTMAX", b"LOGISTIC", b"SOFTMAX_ZERO", b"PROBIT")
_AGGREGATES = (b"SUM", b"AVERAGE", b"MIN", b"MAX")


@dataclass(frozen=True)
class _Forest:
    """The nodes of an ensemble, with children as positions in these arrays (-1 below a leaf)."""

    tree: Ints
    node: Ints
    feature: Ints
    leaf: NDArray[np.bool_]
    true_child: Ints
    false_child: Ints

    def __len__(self) -> int:
        return len(self.tree)


def check_ensemble(node: NodeProto, n_features: int | None, limits: Limits) -> None:
    """UnsafeModel or ModelTooLarge unless the arrays of a TreeEnsemble* node are sound.

    ``n_features`` is the width of its input if the graph says it; if not, ONNX Runtime compares each
    batch with the largest feature number.
    """
    values = {a.name: _value(a) for a in node.attribute}
    forest = _forest(values, limits)
    features = forest.feature[~forest.leaf]
    _require(not len(features) or features.min() >= 0, "a feature number is negative")
    if n_features is not None and len(features):
        _require(features.max() < n_features, "a feature number is out of range")
    _check_reachable(forest, limits)
    _check_weights(values, forest, classifier=node.op_type == "TreeEnsembleClassifier")
    _require(values.get("post_transform", b"NONE") in _TRANSFORMS, "post_transform is unknown")
    _require(values.get("aggregate_function", b"SUM") in _AGGREGATES, "aggregate_function is unknown")


def _forest(values: Mapping[str, Any], limits: Limits) -> _Forest:
    tree, node = _ints(values, "nodes_treeids"), _ints(values, "nodes_nodeids")
    n = len(tree)
    require(n, limits.max_tree_nodes, "tree nodes")
    _require(n > 0, "it has no trees")
    modes = np.array(values.get("nodes_modes", []), dtype=object)
    arrays = [_ints(values, f"nodes_{name}") for name in ("featureids", "truenodeids", "falsenodeids")]
    thresholds = _floats(values, "nodes_values")
    _require(all(len(a) == n for a in (node, modes, thresholds, *arrays)), "its arrays differ in length")
    for optional in ("nodes_missing_value_tracks_true", "nodes_hitrates"):
        _require(len(values.get(optional, ())) in (0, n), "its arrays differ in length")
    _require(bool(np.isin(modes.astype("S16"), _MODES).all()), "a node has an unknown mode")
    _require(not np.isnan(thresholds).any(), "a threshold is not a number")
    # Trees in order, each in one piece: no reader can take the nodes for other trees than we do.
    _require(bool((np.diff(tree) >= 0).all()), "its trees are not in order")
    leaf = modes.astype("S16") == b"LEAF"
    true_child, false_child = (_children(tree, node, ~leaf, a) for a in arrays[1:])
    return _Forest(tree, node, arrays[0], leaf, true_child, false_child)


def _children(tree: Ints, node: Ints, branch: NDArray[np.bool_], child: Ints) -> Ints:
    positions = np.full(len(tree), -1, dtype=np.int64)
    positions[branch] = _find(tree, node, tree[branch], child[branch], "a child does not exist")
    return positions


def _find(tree: Ints, node: Ints, wanted_tree: Ints, wanted_node: Ints, problem: str) -> Ints:
    """Positions of (tree, node) pairs, each of which must exist."""
    order = np.lexsort((node, tree))
    trees, firsts = np.unique(tree[order], return_index=True)
    base, top = int(node.min()), int(node.max())
    _require(base >= 0 and top < 1 << 40 and len(trees) < 1 << 20, "a node number is out of range")
    rank = np.searchsorted(trees, wanted_tree)
    known = (rank < len(trees)) & (trees[np.minimum(rank, len(trees) - 1)] == wanted_tree)
    _require(bool((known & (wanted_node >= 0) & (wanted_node <= top)).all()), problem)
    span = top + 1
    keys = np.repeat(np.arange(len(trees)), np.diff([*firsts.tolist(), len(tree)])) * span + node[order]
    _require(bool((np.diff(keys) > 0).all()), "a node number is given twice")
    at = np.searchsorted(keys, rank * span + wanted_node)
    found = (at < len(keys)) & (keys[np.minimum(at, len(keys) - 1)] == rank * span + wanted_node)
    _require(bool(found.all()), problem)
    return np.asarray(order[at], dtype=np.int64)


def _check_reachable(forest: _Forest, limits: Limits) -> None:
    """Each tree starts at its first node and reaches each of its nodes by exactly one way."""
    children = np.concatenate([forest.true_child[~forest.leaf], forest.false_child[~forest.leaf]])
    parents = np.bincount(children, minlength=len(forest))
    first = np.concatenate([[True], np.diff(forest.tree) > 0])
    _require(bool((parents == np.where(first, 0, 1)).all()), "a tree has a cycle, two roots or a shared node")
    level, reached, depth = np.flatnonzero(first), 0, 0
    while len(level):
        require(depth, limits.max_tree_depth, "depth of a tree")
        reached += len(level)
        inner = level[~forest.leaf[level]]
        level = np.concatenate([forest.true_child[inner], forest.false_child[inner]])
        depth += 1
    _require(reached == len(forest), "a tree has a cycle")


def _check_weights(values: Mapping[str, Any], forest: _Forest, *, classifier: bool) -> None:
    kind = "class" if classifier else "target"
    tree, node, ids = (_ints(values, f"{kind}_{name}") for name in ("treeids", "nodeids", "ids"))
    weights = _floats(values, f"{kind}_weights")
    _require(len(tree) == len(node) == len(ids) == len(weights) > 0, "its weights differ in length")
    _require(bool(np.isfinite(weights).all()), "a weight is not finite")
    at = _find(forest.tree, forest.node, tree, node, "a weight belongs to no node")
    _require(bool(forest.leaf[at].all()), "a weight belongs to a node that is not a leaf")
    n_outputs = _n_classes(values) if classifier else values.get("n_targets", 1)
    _require(0 < n_outputs <= 10_000, "the number of outputs is out of range")
    _require(ids.min() >= 0 and ids.max() < n_outputs, "a class or target number is out of range")
    base = _floats(values, "base_values")
    _require(len(base) in (0, n_outputs) or (classifier and len(base) == 1), "base_values has a wrong length")
    _require(bool(np.isfinite(base).all()), "a base value is not finite")


def _n_classes(values: Mapping[str, Any]) -> int:
    labels = [values[n] for n in ("classlabels_strings", "classlabels_int64s") if values.get(n)]
    _require(len(labels) == 1, "a classifier needs one list of class labels")
    return len(labels[0])


def _value(attribute: AttributeProto) -> Any:
    if attribute.type == AttributeProto.TENSOR:
        return numpy_helper.to_array(attribute.t)
    return helper.get_attribute_value(attribute)


def _ints(values: Mapping[str, Any], name: str) -> Ints:
    return np.asarray(values.get(name, ()), dtype=np.int64)


def _floats(values: Mapping[str, Any], name: str) -> NDArray[np.float64]:
    given = [values[n] for n in (name, f"{name}_as_tensor") if n in values and len(values[n])]
    _require(len(given) < 2, f"{name} is given twice")
    return np.asarray(given[0] if given else (), dtype=np.float64)


def _require(condition: bool, problem: str) -> None:
    if not condition:
        raise errors.UnsafeModel(reason=f"tree ensemble: {problem}")
