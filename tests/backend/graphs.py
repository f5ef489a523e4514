"""ONNX models as users bring them."""

from __future__ import annotations

from typing import Any

import numpy as np
from onnx import ModelProto, TensorProto, helper, numpy_helper
from skl2onnx import to_onnx
from skl2onnx.common.data_types import FloatTensorType, StringTensorType
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder

_OPSETS = {"": 17, "ai.onnx.ml": 3}


def _model(nodes: list[Any], inputs: list[Any], outputs: list[Any], weights: dict[str, Any]) -> bytes:
    initializers = [numpy_helper.from_array(array, name) for name, array in weights.items()]
    graph = helper.make_graph(nodes, "g", inputs, outputs, initializers)
    return bytes(
        helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9).SerializeToString()
    )


def _floats(name: str, width: int) -> Any:
    return helper.make_tensor_value_info(name, TensorProto.FLOAT, [None, width])


def network(width: int) -> bytes:
    """A regression of four columns with about 4 * width² bytes of weights that do not compress."""
    dice = np.random.default_rng(0)
    sizes = ((4, width), (width, width), (width, 1))
    weights = {f"w{i}": dice.normal(size=s).astype(np.float32) / s[0] for i, s in enumerate(sizes)}
    names = ["x", "h0", "h1", "y"]
    nodes = [helper.make_node("MatMul", [names[i], f"w{i}"], [names[i + 1]]) for i in range(3)]
    return _model(nodes, [_floats("x", 4)], [_floats("y", 1)], weights)


def logarithm() -> bytes:
    """A regression of column x that has no answer for a negative number."""
    return _model([helper.make_node("Log", ["x"], ["y"])], [_floats("x", 1)], [_floats("y", 1)], {})


def forbidden() -> bytes:
    """A graph with an operator that is not on the list."""
    node = helper.make_node("RandomNormalLike", ["x"], ["y"])
    return _model([node], [_floats("x", 1)], [_floats("y", 1)], {})


def fitted_matrix(classes: list[Any]) -> tuple[LogisticRegression, bytes]:
    """A scikit-learn classifier of two columns as a matrix, with its graph."""
    x = np.random.default_rng(4).normal(size=(120, 2)).astype(np.float32)
    y = np.array(classes)[np.digitize(x[:, 0] + x[:, 1], np.linspace(-1, 1, len(classes) - 1))]
    fitted = LogisticRegression().fit(x, y)
    return fitted, _bytes(to_onnx(fitted, x[:1], target_opset=_OPSETS, options={"zipmap": False}))


def fitted_columns(zipmap: bool, unknown: str = "ignore") -> tuple[Any, bytes]:
    """A scikit-learn pipeline with one input per column, with its graph."""
    import pandas

    dice = np.random.default_rng(5)
    frame = pandas.DataFrame(
        {"age": dice.normal(40, 9, 150).astype(np.float32), "job": dice.choice(["nurse", "pilot", "clerk"], 150)}
    )
    answer = np.where(frame["age"] / 10 + 3 * (frame["job"] == "nurse") > 4.6, "yes", "no")
    encoder = ColumnTransformer(
        [("job", OneHotEncoder(handle_unknown=unknown), ["job"]), ("age", "passthrough", ["age"])]
    )
    fitted = make_pipeline(encoder, LogisticRegression(max_iter=1000)).fit(frame, answer)
    types = [("age", FloatTensorType([None, 1])), ("job", StringTensorType([None, 1]))]
    options = {"zipmap": zipmap}
    return fitted, _bytes(to_onnx(fitted, initial_types=types, target_opset=_OPSETS, options=options))


def _bytes(model: ModelProto) -> bytes:
    return bytes(model.SerializeToString())
