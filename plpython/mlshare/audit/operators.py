"""The operators a model may use, and what makes one of them unsafe.

Left out on purpose: control flow and subgraphs, random numbers, integer Mod, text splitting, and every
operator whose output can be larger than its inputs by the values it is given (Expand, Tile, Range,
ConstantOfShape, OneHot, Pad, Resize, NonZero, …). So the memory of a run depends on the number of rows
alone, and the trial with as many rows as it is ever given shows all of it.
"""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import NodeProto, TensorProto, numpy_helper

from mlshare import errors

MAIN, ML = "", "ai.onnx.ml"
OPSETS = {MAIN: range(7, 24), ML: range(1, 5)}

_MAIN_OPERATORS = """
    Abs Add And ArgMax ArgMin BatchNormalization Cast Ceil Clip Concat Constant Cos Div Dropout Elu Equal
    Erf Exp Flatten Floor Gather Gelu Gemm Greater GreaterOrEqual HardSigmoid HardSwish Identity IsInf
    IsNaN LayerNormalization LeakyRelu Less LessOrEqual Log LogSoftmax MatMul Max Mean Min Mul Neg Not Or
    PRelu Pow Reciprocal ReduceL1 ReduceL2 ReduceLogSum ReduceLogSumExp ReduceMax ReduceMean ReduceMin
    ReduceProd ReduceSum ReduceSumSquare Relu Reshape Round Selu Shape Sigmoid Sign Sin Slice Softmax
    Softplus Softsign Split Sqrt Squeeze Sub Sum Tanh TopK Transpose Unsqueeze Where Xor
"""
_ML_OPERATORS = """
    ArrayFeatureExtractor Binarizer FeatureVectorizer Imputer LabelEncoder LinearClassifier
    LinearRegressor Normalizer OneHotEncoder Scaler SVMClassifier SVMRegressor TreeEnsembleClassifier
    TreeEnsembleRegressor ZipMap
"""
ALLOWED = {MAIN: frozenset(_MAIN_OPERATORS.split()), ML: frozenset(_ML_OPERATORS.split())}

# Positions of inputs that decide the shape of the output.
_SHAPE_INPUTS = {
    "Reshape": (1,),
    "Slice": (1, 2, 3, 4),
    "Split": (1,),
    "Squeeze": (1,),
    "Unsqueeze": (1,),
    "TopK": (1,),
    **{name: (1,) for name in ALLOWED[MAIN] if name.startswith("Reduce")},
}
_FLOATING = {TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16}


def domain_of(node: NodeProto) -> str:
    """The operator set of a node; "ai.onnx" is another name of the empty one."""
    return MAIN if node.domain == "ai.onnx" else str(node.domain)


def check_operator(node: NodeProto) -> None:
    """UnsafeModel unless the operator is one of those allowed."""
    if node.op_type not in ALLOWED.get(domain_of(node), ()):
        name = f"{node.domain}.{node.op_type}" if node.domain else node.op_type
        raise errors.UnsafeModel(reason=f"operator {name[:100]!r} is not allowed")


def check_shapes_are_static(nodes: Iterable[NodeProto], initializers: Iterable[str]) -> None:
    """UnsafeModel if the values of the rows could decide the shape of a tensor."""
    static = {"", *initializers}
    for node in nodes:
        for position in _SHAPE_INPUTS.get(node.op_type, ()):
            if position < len(node.input) and node.input[position] not in static:
                reason = f"the shape of an output of {node.op_type} depends on the data"
                raise errors.UnsafeModel(reason=reason)
        if node.op_type == "Shape" or all(name in static for name in node.input):
            static.update(node.output)


def check_divisions(model: onnx.ModelProto) -> None:
    """UnsafeModel if integers are divided by anything but a constant other than 0 and -1.

    The smallest integer divided by -1 ends the process with SIGFPE.
    """
    if not any(node.op_type == "Div" for node in model.graph.node):
        return
    types = _element_types(model)
    constants = {t.name: t for t in model.graph.initializer}
    for node in model.graph.node:
        if node.op_type != "Div" or types.get(node.input[1]) in _FLOATING:
            continue
        divisor = constants.get(node.input[1])
        if divisor is None or np.isin(numpy_helper.to_array(divisor), (0, -1)).any():
            raise errors.UnsafeModel(reason="it divides integers by a value that is not a safe constant")


def _element_types(model: onnx.ModelProto) -> dict[str, int]:
    inferred = onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True).graph
    values = (*inferred.input, *inferred.output, *inferred.value_info)
    types = {v.name: int(v.type.tensor_type.elem_type) for v in values if v.type.HasField("tensor_type")}
    return {**types, **{t.name: int(t.data_type) for t in inferred.initializer}}
