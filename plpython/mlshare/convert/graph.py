"""Small ONNX graphs over one input "features" [n, F], float64."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray
from onnx import ModelProto, TensorProto, helper, numpy_helper

OPSET = 17
ML_OPSET = 3
_IR_VERSION = 8


class Graph:
    """Nodes collected one after the other; every method returns the name of its result."""

    def __init__(self, n_features: int) -> None:
        self.n_features = n_features
        self.nodes: list[Any] = []
        self.constants: list[Any] = []

    def constant(self, values: ArrayLike, dtype: type = np.float64) -> str:
        """A tensor kept in the model."""
        name = f"c{len(self.constants)}"
        array: NDArray[Any] = np.ascontiguousarray(np.asarray(values, dtype=dtype))
        self.constants.append(numpy_helper.from_array(array, name))
        return name

    def node(self, operator: str, *inputs: str, domain: str = "", **attributes: Any) -> str:
        """One operator with one output."""
        name = f"n{len(self.nodes)}"
        self.nodes.append(helper.make_node(operator, list(inputs), [name], name=name, domain=domain, **attributes))
        return name

    def affine(self, source: str, weights: ArrayLike, bias: ArrayLike) -> str:
        """source @ weights [F, k] + bias [k]."""
        product = self.node("MatMul", source, self.constant(weights))
        return self.node("Add", product, self.constant(bias))

    def double(self, source: str) -> str:
        """The tensor as float64."""
        return self.node("Cast", source, to=TensorProto.DOUBLE)

    def both(self, second: str) -> str:
        """[1 - p, p] of the probability p [n, 1] of the second class."""
        first = self.node("Sub", self.constant([1.0]), second)
        return self.node("Concat", first, second, axis=1)

    def probabilities(self, scores: str, n_scores: int) -> str:
        """Sigmoid of one score [n, 1], softmax of several [n, C]."""
        if n_scores == 1:
            return self.both(self.node("Sigmoid", scores))
        return self.node("Softmax", scores, axis=1)

    def finish(self, result: str, task: str, n_outputs: int) -> ModelProto:
        """The checked model, its output named after the task."""
        output = "probabilities" if task == "classification" else "value"
        self.nodes.append(helper.make_node("Identity", [result], [output], name="result"))
        graph = helper.make_graph(
            self.nodes,
            "mlshare",
            [helper.make_tensor_value_info("features", TensorProto.DOUBLE, ["n", self.n_features])],
            [helper.make_tensor_value_info(output, TensorProto.DOUBLE, ["n", n_outputs])],
            self.constants,
        )
        opsets = [helper.make_opsetid("", OPSET), helper.make_opsetid("ai.onnx.ml", ML_OPSET)]
        return helper.make_model(graph, producer_name="mlshare", opset_imports=opsets, ir_version=_IR_VERSION)


def write(model: ModelProto, manifest: Mapping[str, Any]) -> bytes:
    """The model file with its manifest; equal models give equal bytes."""
    entry = model.metadata_props.add()
    entry.key = "mlshare"
    entry.value = json.dumps(manifest, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return bytes(model.SerializeToString(deterministic=True))


def linear_model(task: str, weights: ArrayLike, bias: ArrayLike) -> ModelProto:
    """Scores X @ weights [F, k] + bias [k], as the answer (regression) or through sigmoid or softmax."""
    matrix = np.asarray(weights, dtype=np.float64)
    graph = Graph(len(matrix))
    scores = graph.affine("features", matrix, bias)
    if task == "regression":
        return graph.finish(scores, task, 1)
    n_scores = matrix.shape[1]
    return graph.finish(graph.probabilities(scores, n_scores), task, max(2, n_scores))


def gaussian_model(
    center: ArrayLike, scale: ArrayLike, square: ArrayLike, linear: ArrayLike, bias: ArrayLike
) -> ModelProto:
    """Softmax of Z² @ square + Z @ linear + bias, for Z = (X - center) / scale; matrices are [F, C]."""
    classes = np.asarray(linear).shape[1]
    graph = Graph(np.asarray(linear).shape[0])
    shifted = graph.node("Sub", "features", graph.constant(center))
    z = graph.node("Div", shifted, graph.constant(scale))
    quadratic = graph.node("MatMul", graph.node("Mul", z, z), graph.constant(square))
    scores = graph.node("Add", quadratic, graph.affine(z, linear, bias))
    return graph.finish(graph.node("Softmax", scores, axis=1), "classification", classes)


_ACTIVATIONS = {"logistic": "Sigmoid", "tanh": "Tanh", "relu": "Relu", "identity": "Identity"}


def network_model(
    task: str, scaling: tuple[ArrayLike, ArrayLike], layers: Sequence[tuple[ArrayLike, ArrayLike]], activation: str
) -> ModelProto:
    """Dense layers (weights [a, b], bias [b]) over the scaled X, with an activation between one and the next."""
    graph = Graph(len(np.asarray(layers[0][0])))
    shifted = graph.node("Sub", "features", graph.constant(scaling[0]))
    values = graph.node("Div", shifted, graph.constant(scaling[1]))
    for weights, bias in layers[:-1]:
        values = graph.node(_ACTIVATIONS[activation], graph.affine(values, weights, bias))
    scores = graph.affine(values, *layers[-1])
    n_scores = len(np.asarray(layers[-1][1]))
    if task == "regression":
        return graph.finish(scores, task, 1)
    return graph.finish(graph.probabilities(scores, n_scores), task, max(2, n_scores))


def kernel_model(
    task: str,
    scaling: tuple[ArrayLike, ArrayLike],
    gamma: float,
    support: ArrayLike,
    weights: ArrayLike,
    bias: ArrayLike,
) -> ModelProto:
    """Scores K @ weights [s, k] + bias with the Gaussian kernel K between the scaled X and support [s, F]."""
    vectors = np.asarray(support, dtype=np.float64)
    graph = Graph(vectors.shape[1])
    shifted = graph.node("Sub", "features", graph.constant(scaling[0]))
    z = graph.node("Div", shifted, graph.constant(scaling[1]))
    axis = graph.constant([1], np.int64)
    lengths = graph.node("ReduceSum", graph.node("Mul", z, z), axis, keepdims=1)
    # -gamma |z - s|² = 2 gamma z·s - gamma |s|² - gamma |z|²
    inner = graph.affine(z, 2 * gamma * vectors.T, -gamma * (vectors**2).sum(axis=1))
    exponent = graph.node("Sub", inner, graph.node("Mul", lengths, graph.constant([gamma])))
    scores = graph.affine(graph.node("Exp", exponent), weights, bias)
    n_scores = np.asarray(weights).shape[1]
    if task == "regression":
        return graph.finish(scores, task, 1)
    return graph.finish(graph.probabilities(scores, n_scores), task, max(2, n_scores))
