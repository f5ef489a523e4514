"""Any ensemble of trees to ONE TreeEnsembleRegressor with double thresholds."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, numpy_helper

from mlshare.convert.graph import Graph

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Tree:
    """One tree of m nodes, the root first: x[feature] <= threshold goes left, else right.

    ``left`` is -1 in leaves; ``weights`` [m, k] are added to the k outputs from ``target`` on.
    """

    feature: Ints
    threshold: Floats
    left: Ints
    right: Ints
    weights: Floats
    target: int = 0


def as_float64(threshold: ArrayLike) -> Floats:
    """The t' for which x <= t' says the same of a float64 x as float32(x) <= threshold."""
    t = np.asarray(threshold, dtype=np.float64)
    low = t.astype(np.float32)
    low = np.where(low > t, np.nextafter(low, np.float32(-np.inf)), low)
    high = np.nextafter(low, np.float32(np.inf))
    middle = (low.astype(np.float64) + high.astype(np.float64)) / 2
    # A tie rounds to the even mantissa: to ``low``, which stays left, or up and away from it.
    even = low.view(np.int32) % 2 == 0
    return np.where(even, middle, np.nextafter(middle, -np.inf))


def from_sklearn(tree: Any, scale: float, columns: slice) -> Tree:
    """A fitted sklearn.tree Tree; leaves give their class shares or value, times ``scale``."""
    values = np.asarray(tree.value, dtype=np.float64)[:, 0, columns]
    left = np.asarray(tree.children_left, dtype=np.int64)
    return Tree(
        np.where(left < 0, 0, tree.feature).astype(np.int64),
        as_float64(tree.threshold),
        left,
        np.asarray(tree.children_right, dtype=np.int64),
        values * scale,
    )


def from_lightgbm(model: str, n_targets: int) -> list[Tree]:
    """The trees of a LightGBM model text (numeric splits, trained without missing values)."""
    blocks = model.split("\nend of trees")[0].split("\nTree=")[1:]
    return [_lightgbm_tree(block, i % n_targets) for i, block in enumerate(blocks)]


def _lightgbm_tree(block: str, target: int) -> Tree:
    fields = dict(line.split("=", 1) for line in block.splitlines() if "=" in line)
    leaves = np.array(fields["leaf_value"].split(), dtype=np.float64)
    inner = len(leaves) - 1

    def numbers(key: str) -> Floats:
        return np.array(fields.get(key, "").split() if inner else [], dtype=np.float64)

    def children(key: str) -> Ints:
        own = numbers(key).astype(np.int64)
        return np.concatenate([np.where(own < 0, inner + ~own, own), np.full(len(leaves), -1)])

    weights = np.concatenate([np.zeros(inner), leaves])[:, None]
    feature = np.concatenate([numbers("split_feature"), np.zeros(len(leaves))]).astype(np.int64)
    threshold = np.concatenate([numbers("threshold"), np.zeros(len(leaves))])
    return Tree(feature, threshold, children("left_child"), children("right_child"), weights, target)


def from_xgboost(raw: bytes | bytearray) -> list[Tree]:
    """The trees of an XGBoost model in JSON (numeric splits)."""
    model = json.loads(raw)["learner"]["gradient_booster"]["model"]
    return [_xgboost_tree(t, k) for t, k in zip(model["trees"], model["tree_info"], strict=True)]


def _xgboost_tree(tree: dict[str, Any], target: int) -> Tree:
    left = np.array(tree["left_children"], dtype=np.int64)
    condition = np.array(tree["split_conditions"], dtype=np.float32)
    leaf = left < 0
    # XGBoost goes left for float32(x) < t, that is, for float32(x) <= the float32 before t.
    threshold = as_float64(np.nextafter(condition, np.float32(-np.inf)))
    return Tree(
        np.where(leaf, 0, np.array(tree["split_indices"], dtype=np.int64)),
        np.where(leaf, 0.0, threshold),
        left,
        np.array(tree["right_children"], dtype=np.int64),
        np.where(leaf, condition, np.float32(0)).astype(np.float64)[:, None],
        target,
    )


def add_ensemble(graph: Graph, trees: Sequence[Tree], n_targets: int, base: ArrayLike) -> str:
    """A node that gives base [n_targets] + the sum of all trees, as float64 [n, n_targets]."""
    sizes = [len(t.left) for t in trees]
    left = np.concatenate([t.left for t in trees])
    leaf = left < 0
    attributes = {
        "nodes_treeids": np.repeat(np.arange(len(trees)), sizes),
        "nodes_nodeids": np.concatenate([np.arange(n) for n in sizes]),
        "nodes_featureids": np.concatenate([t.feature for t in trees]),
        "nodes_truenodeids": np.where(leaf, 0, left),
        "nodes_falsenodeids": np.where(leaf, 0, np.concatenate([t.right for t in trees])),
        **_leaf_attributes(trees),
    }
    thresholds = np.where(leaf, 0.0, np.concatenate([t.threshold for t in trees]))
    output = graph.node(
        "TreeEnsembleRegressor",
        "features",
        domain="ai.onnx.ml",
        n_targets=n_targets,
        nodes_modes=["LEAF" if is_leaf else "BRANCH_LEQ" for is_leaf in leaf],
        nodes_values_as_tensor=numpy_helper.from_array(thresholds, "thresholds"),
        base_values_as_tensor=numpy_helper.from_array(np.asarray(base, dtype=np.float64), "base"),
        **{key: value.tolist() for key, value in attributes.items() if key != "target_weights"},
        target_weights_as_tensor=numpy_helper.from_array(attributes["target_weights"], "weights"),
    )
    return graph.double(output)


def _leaf_attributes(trees: Sequence[Tree]) -> dict[str, NDArray[Any]]:
    nodes, owners, targets, weights = [], [], [], []
    for number, tree in enumerate(trees):
        leaves = np.flatnonzero(tree.left < 0)
        given = tree.weights[leaves]
        used = given != 0
        used[:, 0] |= ~used.any(axis=1)  # a leaf without any weight is not allowed
        at, output = np.nonzero(used)
        nodes.append(leaves[at])
        owners.append(np.full(len(at), number))
        targets.append(output + tree.target)
        weights.append(given[used])
    return {
        "target_nodeids": np.concatenate(nodes),
        "target_treeids": np.concatenate(owners),
        "target_ids": np.concatenate(targets),
        "target_weights": np.concatenate(weights),
    }


def forest_model(trees: Sequence[Tree], n_features: int, n_classes: int) -> ModelProto:
    """Class probabilities that the trees add up: of the second class (binary) or of every class."""
    graph = Graph(n_features)
    if n_classes == 2:
        return graph.finish(graph.both(add_ensemble(graph, trees, 1, [0.0])), "classification", 2)
    shares = add_ensemble(graph, trees, n_classes, np.zeros(n_classes))
    axis = graph.constant([1], np.int64)
    total = graph.node("ReduceSum", shares, axis, keepdims=1)
    return graph.finish(graph.node("Div", shares, total), "classification", n_classes)


def boosted_model(trees: Sequence[Tree], n_features: int, n_classes: int, base: ArrayLike) -> ModelProto:
    """Class probabilities: sigmoid or softmax of the scores that the trees add up."""
    graph = Graph(n_features)
    n_scores = 1 if n_classes == 2 else n_classes
    scores = add_ensemble(graph, trees, n_scores, base)
    return graph.finish(graph.probabilities(scores, n_scores), "classification", n_classes)


def regression_model(trees: Sequence[Tree], n_features: int, base: float, center: float, scale: float) -> ModelProto:
    """center + scale * (base + the sum of all trees); the operator itself answers in float32."""
    graph = Graph(n_features)
    total = add_ensemble(graph, trees, 1, [base])
    scaled = graph.node("Mul", total, graph.constant([scale]))
    return graph.finish(graph.node("Add", scaled, graph.constant([center])), "regression", 1)
