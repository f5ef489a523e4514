"""Reads an ONNX graph as mlshare writes them: follows its nodes, and knows what each of their results is."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from onnx import ModelProto, NodeProto, TensorProto, helper, numpy_helper

from mlshare.compile.forest import Forest, read_forest
from mlshare.errors import NotCompilable

Floats = NDArray[np.float64]
Link = Literal["identity", "sigmoid", "complement", "softmax", "shares"]


@dataclass(frozen=True)
class Elements:
    """((features - center) / scale) ** power, each [F]."""

    center: Floats
    scale: Floats
    power: int = 1


@dataclass(frozen=True)
class Additive:
    """Scores [k]: bias + sum over the features of square * z² + linear * z, with z = (x - center) / scale."""

    center: Floats
    scale: Floats
    square: Floats
    linear: Floats
    bias: Floats

    @property
    def n_scores(self) -> int:
        return len(self.bias)


@dataclass(frozen=True)
class Model:
    """What a graph computes: scores, times ``factor`` plus ``offset``, through a link."""

    scores: Additive | Forest
    factor: float = 1.0
    offset: float = 0.0
    link: Link = "identity"


@dataclass(frozen=True)
class Single:
    """Scores as float32, before they are cast."""

    model: Model


@dataclass(frozen=True)
class First:
    """One minus a model's answer."""

    model: Model


@dataclass(frozen=True)
class Total:
    """The sum of a model's scores."""

    model: Model


Symbol = Elements | Floats | Model | Single | First | Total


def read(model: ModelProto) -> Model:
    """What the graph computes; NotCompilable if it is not put together as mlshare does."""
    graph = model.graph
    reader = _Reader({t.name: numpy_helper.to_array(t) for t in graph.initializer})
    features = graph.input[0]
    width = features.type.tensor_type.shape.dim[1].dim_value
    reader.symbols[features.name] = Elements(np.zeros(width), np.ones(width))
    for node in graph.node:
        reader.follow(node)
    answer = reader.symbols.get(graph.output[0].name)
    if not isinstance(answer, Model) or (answer.link == "identity") != (graph.output[0].name == "value"):
        raise _unknown("its graph does not end in an answer")
    return answer


def _unknown(reason: str) -> NotCompilable:
    return NotCompilable(reason=reason, hint="Linear models, naive Bayes and trees can be compiled.")


@dataclass
class _Reader:
    symbols: dict[str, Any]
    operators: Mapping[str, Callable[..., Symbol | None]] = field(init=False)

    def __post_init__(self) -> None:
        self.operators = {
            "Identity": lambda value, **_: value,
            "MatMul": _multiplied,
            "Add": _added,
            "Sub": _subtracted,
            "Div": _divided,
            "Mul": _product,
            "Cast": _cast,
            "Sigmoid": lambda value, **_: _linked(value, "sigmoid", 1),
            "Softmax": _softmax,
            "Concat": _concatenated,
            "ReduceSum": _total,
        }

    def follow(self, node: NodeProto) -> None:
        """Gives the node's result a meaning."""
        attributes = {a.name: helper.get_attribute_value(a) for a in node.attribute}
        inputs = [self.symbols.get(name) for name in node.input]
        if node.domain == "ai.onnx.ml" and node.op_type == "TreeEnsembleRegressor":
            result: Symbol | None = _forest(inputs, attributes)
        elif node.domain in ("", "ai.onnx") and node.op_type in self.operators and _complete(inputs):
            result = self.operators[node.op_type](*inputs, **attributes)
        else:
            result = None
        if result is None or len(node.output) != 1:
            raise _unknown(f"operator {node.op_type} has no counterpart here")
        self.symbols[node.output[0]] = result


def _complete(inputs: Sequence[Any]) -> bool:
    return all(value is not None for value in inputs)


def _is_raw(value: Any) -> bool:
    return isinstance(value, Elements) and value.power == 1 and not value.center.any() and (value.scale == 1).all()


def _forest(inputs: Sequence[Any], attributes: Mapping[str, Any]) -> Single | None:
    if len(inputs) != 1 or not _is_raw(inputs[0]):
        return None
    return Single(Model(read_forest(attributes, len(inputs[0].center))))


def _multiplied(values: Any, weights: Any) -> Symbol | None:
    if not isinstance(values, Elements) or not isinstance(weights, np.ndarray):
        return None
    if weights.ndim != 2 or len(weights) != len(values.center):
        return None
    none = np.zeros_like(weights)
    square, linear = (weights, none) if values.power == 2 else (none, weights)
    return Model(Additive(values.center, values.scale, square, linear, np.zeros(weights.shape[1])))


def _added(a: Any, b: Any) -> Symbol | None:
    if isinstance(a, np.ndarray):
        a, b = b, a
    if not isinstance(a, Model) or a.link != "identity":
        return None
    if isinstance(b, np.ndarray):
        if isinstance(a.scores, Additive) and b.shape == a.scores.bias.shape:
            return replace(a, scores=replace(a.scores, bias=a.scores.bias + b))
        return replace(a, offset=a.offset + float(b[0])) if b.shape == (1,) else None
    if isinstance(b, Model) and b.link == "identity":
        return _joined(a.scores, b.scores)
    return None


def _joined(a: Additive | Forest, b: Additive | Forest) -> Model | None:
    if not isinstance(a, Additive) or not isinstance(b, Additive) or a.n_scores != b.n_scores:
        return None
    if not np.array_equal(a.center, b.center) or not np.array_equal(a.scale, b.scale):
        return None
    return Model(Additive(a.center, a.scale, a.square + b.square, a.linear + b.linear, a.bias + b.bias))


def _subtracted(a: Any, b: Any) -> Symbol | None:
    if isinstance(a, Elements) and _is_raw(a) and isinstance(b, np.ndarray) and b.shape == a.center.shape:
        return replace(a, center=b)
    one = isinstance(a, np.ndarray) and a.shape == (1,) and a[0] == 1.0
    return First(b) if one and isinstance(b, Model) else None


def _divided(a: Any, b: Any) -> Symbol | None:
    if isinstance(a, Elements) and a.power == 1 and isinstance(b, np.ndarray) and b.shape == a.scale.shape:
        return replace(a, scale=a.scale * b)
    return _linked(a, "shares") if isinstance(b, Total) and b.model is a else None


def _product(a: Any, b: Any) -> Symbol | None:
    if isinstance(a, Elements):
        return replace(a, power=2) if a is b and a.power == 1 else None
    if isinstance(a, Model) and isinstance(a.scores, Forest) and isinstance(b, np.ndarray) and b.shape == (1,):
        return replace(a, factor=float(b[0])) if (a.factor, a.offset, a.link) == (1.0, 0.0, "identity") else None
    return None


def _cast(value: Any, to: int) -> Symbol | None:
    return value.model if isinstance(value, Single) and to == int(TensorProto.DOUBLE) else None


def _linked(value: Any, link: Link, n_scores: int | None = None) -> Model | None:
    if not isinstance(value, Model) or (value.factor, value.offset, value.link) != (1.0, 0.0, "identity"):
        return None
    if (n_scores or value.scores.n_scores) != value.scores.n_scores:
        return None
    return replace(value, link=link)


def _softmax(value: Any, axis: int = -1) -> Symbol | None:
    return _linked(value, "softmax") if axis in (-1, 1) else None


def _concatenated(first: Any, second: Any, axis: int) -> Symbol | None:
    if axis != 1 or not isinstance(first, First) or first.model is not second:
        return None
    return second if second.link == "sigmoid" else _linked(second, "complement", 1)


def _total(value: Any, axes: Any, keepdims: int = 1) -> Symbol | None:
    along = isinstance(axes, np.ndarray) and axes.tolist() == [1]
    return Total(value) if along and keepdims == 1 and isinstance(value, Model) else None
