"""Hostile model files, crafted: ``CASES`` maps a name to a function that returns the bytes.

Sent to the audit with ``METADATA``, as a user would, every one must be refused with an error of mlshare.
"""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Mapping
from typing import Any

import numpy as np
from onnx import (
    AttributeProto,
    GraphProto,
    ModelProto,
    NodeProto,
    TensorProto,
    ValueInfoProto,
    helper,
    numpy_helper,
)

CASES: dict[str, Callable[[], bytes]] = {}

METADATA: dict[str, Any] = {
    "task": "regression",
    "column_names": ["a", "b", "c"],
    "target_column_name": "y",
}

FLOAT, DOUBLE, INT64, STRING = (
    TensorProto.FLOAT,
    TensorProto.DOUBLE,
    TensorProto.INT64,
    TensorProto.STRING,
)
_X = helper.make_tensor_value_info("x", FLOAT, [None, 3])
_Y = helper.make_tensor_value_info("y", FLOAT, [None, 1])


def case(function: Callable[[], ModelProto | bytes]) -> Callable[[], ModelProto | bytes]:
    """Register a function under its name; a model is turned into bytes."""

    def data() -> bytes:
        made = function()
        return made if isinstance(made, bytes) else made.SerializeToString()

    CASES[function.__name__] = data
    return function


def model(
    nodes: Iterable[NodeProto],
    *,
    inputs: Iterable[ValueInfoProto] = (_X,),
    outputs: Iterable[ValueInfoProto] = (_Y,),
    initializers: Iterable[TensorProto] = (),
    opsets: Mapping[str, int] | None = None,
    ir_version: int = 9,
) -> ModelProto:
    """A model file of one graph."""
    graph = helper.make_graph(list(nodes), "g", list(inputs), list(outputs), list(initializers))
    given = {"": 18, "ai.onnx.ml": 3} if opsets is None else opsets
    imports = [helper.make_opsetid(domain, version) for domain, version in given.items()]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version)


def linear() -> ModelProto:
    """A harmless model: y = x·w. Hostile cases change one thing of it."""
    weights = numpy_helper.from_array(np.ones((3, 1), np.float32), "w")
    return model([helper.make_node("MatMul", ["x", "w"], ["y"], "product")], initializers=[weights])


_TREE: dict[str, Any] = {
    "n_targets": 1,
    "nodes_treeids": [0, 0, 0, 1, 1, 1],
    "nodes_nodeids": [0, 1, 2, 0, 1, 2],
    "nodes_featureids": [0, 0, 0, 2, 0, 0],
    "nodes_values": [0.5, 0.0, 0.0, 1.5, 0.0, 0.0],
    "nodes_modes": ["BRANCH_LEQ", "LEAF", "LEAF"] * 2,
    "nodes_truenodeids": [1, 0, 0, 1, 0, 0],
    "nodes_falsenodeids": [2, 0, 0, 2, 0, 0],
    "target_treeids": [0, 0, 1, 1],
    "target_nodeids": [1, 2, 1, 2],
    "target_ids": [0, 0, 0, 0],
    "target_weights": [1.0, 2.0, 3.0, 4.0],
}


def forest(**changes: Any) -> ModelProto:
    """A sound forest of two stumps, but for ``changes`` of its attributes."""
    attributes = _present({**_TREE, **changes})
    node = helper.make_node("TreeEnsembleRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)
    return model([node])


def classifier(**changes: Any) -> ModelProto:
    """The same forest as a classifier."""
    attributes = {name.replace("target_", "class_"): value for name, value in _TREE.items()}
    del attributes["n_targets"]
    attributes = _present({**attributes, "classlabels_int64s": [0, 1], **changes})
    outputs = [
        helper.make_tensor_value_info("label", INT64, [None]),
        helper.make_tensor_value_info("p", FLOAT, [None, 2]),
    ]
    names = ["label", "p"]
    node = helper.make_node("TreeEnsembleClassifier", ["x"], names, domain="ai.onnx.ml", **attributes)
    return model([node], outputs=outputs)


def _present(attributes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in attributes.items() if value != []}


def chain(length: int) -> ModelProto:
    """One tree whose branches hang on each other: ``length`` levels deep."""
    n = 2 * length + 1
    inner = np.arange(n) % 2 == 0
    inner[-1] = False
    steps = np.arange(n)
    return forest(
        nodes_treeids=[0] * n,
        nodes_nodeids=steps.tolist(),
        nodes_featureids=[0] * n,
        nodes_values=[0.0] * n,
        nodes_modes=["BRANCH_LEQ" if branch else "LEAF" for branch in inner],
        nodes_truenodeids=np.where(inner, steps + 1, 0).tolist(),
        nodes_falsenodeids=np.where(inner, steps + 2, 0).tolist(),
        target_treeids=[0],
        target_nodeids=[n - 1],
        target_ids=[0],
        target_weights=[1.0],
    )


def subgraph() -> GraphProto:
    """A graph for the body of a control flow operator."""
    value = helper.make_tensor_value_info("z", FLOAT, [None, 3])
    return helper.make_graph([helper.make_node("Identity", ["x"], ["z"])], "body", [], [value])


def _register(rows: Mapping[str, Callable[[], ModelProto]]) -> None:
    for name, make in rows.items():
        make.__name__ = name
        case(make)


# --- trees ---------------------------------------------------------------------------------------

_register(
    {
        "tree_child_beyond_the_end": lambda: forest(nodes_truenodeids=[99, 0, 0, 1, 0, 0]),
        "tree_child_negative": lambda: forest(nodes_falsenodeids=[-5, 0, 0, 2, 0, 0]),
        "tree_child_huge": lambda: forest(nodes_falsenodeids=[2**62, 0, 0, 2, 0, 0]),
        "tree_self_loop": lambda: forest(nodes_truenodeids=[0, 0, 0, 1, 0, 0]),
        "tree_cycle": lambda: forest(
            nodes_modes=["BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_falsenodeids=[2, 2, 0, 2, 0, 0],
            target_nodeids=[2, 2, 1, 2],
        ),
        "tree_detached_cycle": lambda: forest(
            nodes_treeids=[0] * 5,
            nodes_nodeids=[0, 1, 2, 3, 4],
            nodes_featureids=[0] * 5,
            nodes_values=[0.0] * 5,
            nodes_modes=["LEAF", "BRANCH_LEQ", "BRANCH_LEQ", "LEAF", "LEAF"],
            nodes_truenodeids=[0, 2, 1, 0, 0],
            nodes_falsenodeids=[0, 3, 4, 0, 0],
            target_treeids=[0],
            target_nodeids=[0],
            target_ids=[0],
            target_weights=[1.0],
        ),
        "tree_shared_child": lambda: forest(nodes_falsenodeids=[1, 0, 0, 2, 0, 0]),
        "tree_feature_beyond_the_input": lambda: forest(nodes_featureids=[1000, 0, 0, 2, 0, 0]),
        "tree_feature_negative": lambda: forest(nodes_featureids=[-1, 0, 0, 2, 0, 0]),
        "tree_feature_huge": lambda: forest(nodes_featureids=[2**40, 0, 0, 2, 0, 0]),
        "tree_target_beyond_the_outputs": lambda: forest(target_ids=[0, 7, 0, 0]),
        "tree_target_negative": lambda: forest(target_ids=[0, -7, 0, 0]),
        "tree_target_of_unknown_tree": lambda: forest(target_treeids=[0, 0, 1, 9]),
        "tree_target_of_unknown_node": lambda: forest(target_nodeids=[1, 2, 1, 77]),
        "tree_target_of_a_branch": lambda: forest(target_nodeids=[0, 2, 1, 2]),
        "tree_ids_out_of_order": lambda: forest(nodes_treeids=[0, 1, 0, 1, 0, 1]),
        "tree_node_twice": lambda: forest(nodes_nodeids=[0, 1, 1, 0, 1, 2]),
        "tree_node_negative": lambda: forest(nodes_nodeids=[0, -1, 2, 0, 1, 2]),
        "tree_short_weights": lambda: forest(target_weights=[1.0]),
        "tree_short_thresholds": lambda: forest(nodes_values=[0.5]),
        "tree_short_modes": lambda: forest(nodes_modes=["LEAF"]),
        "tree_short_missing_tracks": lambda: forest(nodes_missing_value_tracks_true=[1]),
        "tree_unknown_mode": lambda: forest(nodes_modes=["BRANCH_MEMBER", "LEAF", "LEAF"] * 2),
        "tree_without_nodes": lambda: forest(**{n: [] for n, v in _TREE.items() if isinstance(v, list)}),
        "tree_weight_not_finite": lambda: forest(target_weights=[1.0, float("inf"), 3.0, 4.0]),
        "tree_threshold_nan": lambda: forest(nodes_values=[float("nan"), 0.0, 0.0, 1.5, 0.0, 0.0]),
        "tree_no_targets": lambda: forest(n_targets=0),
        "tree_negative_targets": lambda: forest(n_targets=-1),
        "tree_huge_targets": lambda: forest(n_targets=2**40),
        "tree_base_values_too_long": lambda: forest(base_values=[0.0] * 1000),
        "tree_unknown_transform": lambda: forest(post_transform="SHELL"),
        "tree_chain_overflows_the_stack": lambda: chain(200_000),
        "classifier_class_beyond_the_labels": lambda: classifier(class_ids=[0, 1_000_000, 0, 1]),
        "classifier_class_negative": lambda: classifier(class_ids=[0, -2, 0, 1]),
        "classifier_without_labels": lambda: classifier(classlabels_int64s=[]),
        "classifier_labels_twice": lambda: classifier(classlabels_strings=["a", "b"]),
    }
)


# --- tensors and shapes --------------------------------------------------------------------------


def _with_weights(change: Callable[[TensorProto], object]) -> ModelProto:
    made = linear()
    change(made.graph.initializer[0])
    return made


def _external(path: str) -> ModelProto:
    made = linear()
    weights = made.graph.initializer[0]
    weights.ClearField("raw_data")
    weights.data_location = TensorProto.EXTERNAL
    weights.external_data.add(key="location", value=path)
    return made


def _shaped(dims: list[int]) -> ModelProto:
    made = linear()
    del made.graph.initializer[0].dims[:]
    made.graph.initializer[0].dims.extend(dims)
    return made


_register(
    {
        "external_data_absolute": lambda: _external("/etc/passwd"),
        "external_data_path_traversal": lambda: _external("../../../../../../etc/passwd"),
        "external_data_inside_the_data_directory": lambda: _external("base/1/1259"),
        "external_data_device": lambda: _external("/dev/zero"),
        "external_data_named_but_not_used": lambda: _with_weights(
            lambda w: w.external_data.add(key="location", value="x")
        ),
        "tensor_declared_huge": lambda: _shaped([2**40, 2**20]),
        "tensor_product_overflows": lambda: _shaped([2**32, 2**32]),
        "tensor_huge_beside_zero": lambda: _shaped([2**62, 0]),
        "tensor_negative_dimension": lambda: _shaped([-3, 1]),
        "tensor_longer_than_its_data": lambda: _shaped([3000, 1]),
        "tensor_shorter_than_its_data": lambda: _shaped([1, 1]),
        "tensor_hundred_dimensions": lambda: _shaped([1] * 99 + [3]),
        "tensor_data_twice": lambda: _with_weights(lambda w: w.float_data.extend([1.0, 2.0, 3.0])),
        "tensor_odd_bytes": lambda: _with_weights(lambda w: setattr(w, "raw_data", b"12345")),
        "tensor_unknown_type": lambda: _with_weights(lambda w: setattr(w, "data_type", 999)),
        "tensor_complex": lambda: _with_weights(lambda w: setattr(w, "data_type", TensorProto.COMPLEX128)),
        "tensor_segment": lambda: _with_weights(lambda w: setattr(w.segment, "begin", 5)),
        "weights_do_not_fit_the_input": lambda: _shaped([1, 3]),
        "input_declared_huge": lambda: model(
            linear().graph.node,
            inputs=[helper.make_tensor_value_info("x", FLOAT, [None, 2**40])],
            initializers=linear().graph.initializer,
        ),
    }
)


@case
def tensor_sparse() -> ModelProto:
    made = linear()
    values = numpy_helper.from_array(np.ones(1, np.float32), "s")
    indices = numpy_helper.from_array(np.array([2**40]), "i")
    made.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [2**50]))
    return made


@case
def string_bomb() -> ModelProto:
    node = helper.make_node(
        "LabelEncoder",
        ["x"],
        ["y"],
        domain="ai.onnx.ml",
        keys_strings=["k"],
        values_floats=[1.0],
        default_string="A" * 50_000_000,
    )
    return model([node], inputs=[helper.make_tensor_value_info("x", STRING, [None, 3])])


@case
def string_tensor_bomb() -> ModelProto:
    made = linear()
    made.graph.initializer.append(helper.make_tensor("s", STRING, [2], [b"A" * 20_000_000] * 2))
    return made


@case
def names_bomb() -> ModelProto:
    made = linear()
    made.graph.node[0].output[0] = "y" * 10_000_000
    made.graph.output[0].name = "y" * 10_000_000
    return made


@case
def nodes_bomb() -> ModelProto:
    names = ["x", *(f"n{i}" for i in range(50_000))]
    links = itertools.pairwise(names)
    nodes = [helper.make_node("Identity", [one], [two]) for one, two in links]
    return model([*nodes, helper.make_node("Identity", [names[-1]], ["y"])])


@case
def empty_nodes_bomb() -> bytes:
    # Field 7 (graph) with a million empty messages in its field 1 (node): two bytes each.
    body = b"\x0a\x00" * 1_000_000
    return b"\x08\x09\x3a" + _varint(len(body)) + body


@case
def doubling_bomb() -> ModelProto:
    names = ["x", *(f"d{i}" for i in range(40))]
    links = itertools.pairwise(names)
    nodes = [helper.make_node("Concat", [one, one], [two], axis=1) for one, two in links]
    axes = numpy_helper.from_array(np.array([1]), "axes")
    total = helper.make_node("ReduceSum", [names[-1], "axes"], ["y"], keepdims=1)
    return model([*nodes, total], initializers=[axes])


@case
def outer_product_bomb() -> ModelProto:
    # Outer products of all values, twice: nothing for one row, all of memory for the rows of a batch.
    tall = helper.make_node("Reshape", ["x", "tall"], ["t"])
    flat = helper.make_node("Reshape", ["x", "flat"], ["f"])
    product = helper.make_node("MatMul", ["t", "f"], ["o"])
    deep = helper.make_node("Reshape", ["o", "tall"], ["ot"])
    square = helper.make_node("MatMul", ["ot", "f"], ["oo"])
    total = helper.make_node("ReduceSum", ["oo"], ["s"], keepdims=1)
    rows = helper.make_node("ReduceSum", ["x", "axes"], ["r"], keepdims=1)
    answer = helper.make_node("Add", ["r", "s"], ["y"])
    shapes = [
        numpy_helper.from_array(np.array([1]), "axes"),
        numpy_helper.from_array(np.array([-1, 1]), "tall"),
        numpy_helper.from_array(np.array([1, -1]), "flat"),
    ]
    return model([tall, flat, product, deep, square, total, rows, answer], initializers=shapes)


# --- operators -----------------------------------------------------------------------------------


def _operator(op_type: str, inputs: list[str], *, domain: str = "", **attributes: Any) -> ModelProto:
    node = helper.make_node(op_type, inputs, ["y"], domain=domain)
    node.attribute.extend(helper.make_attribute(name, value) for name, value in attributes.items())
    opsets = {"": 18, "ai.onnx.ml": 3} | ({domain: 1} if domain not in ("", "ai.onnx.ml") else {})
    sizes = numpy_helper.from_array(np.array([2**30, 2**10]), "sizes")
    return model([node], initializers=[sizes], opsets=opsets)


_register(
    {
        "operator_unknown": lambda: _operator("ReadFile", ["x"]),
        "operator_of_a_custom_domain": lambda: _operator("Shell", ["x"], domain="com.evil"),
        "operator_of_microsoft": lambda: _operator("Tokenizer", ["x"], domain="com.microsoft"),
        "operator_python": lambda: _operator("PyOp", ["x"], domain="ai.onnx.contrib", module="os", name="system"),
        "operator_of_training": lambda: _operator("Gradient", ["x"], domain="ai.onnx.preview.training"),
        "operator_if": lambda: _operator("If", ["x"], then_branch=subgraph(), else_branch=subgraph()),
        "operator_loop": lambda: _operator("Loop", ["x", ""], body=subgraph()),
        "operator_scan": lambda: _operator("Scan", ["x"], body=subgraph(), num_scan_inputs=1),
        "operator_sequence_map": lambda: _operator("SequenceMap", ["x"], body=subgraph()),
        "operator_random": lambda: _operator("RandomNormalLike", ["x"]),
        "operator_expand": lambda: _operator("Expand", ["x", "sizes"]),
        "operator_tile": lambda: _operator("Tile", ["x", "sizes"]),
        "operator_constant_of_shape": lambda: _operator("ConstantOfShape", ["sizes"]),
        "operator_non_zero": lambda: _operator("NonZero", ["x"]),
        "operator_einsum": lambda: _operator("Einsum", ["x", "x"], equation="ij,kl->ijkl"),
        "operator_string_split": lambda: _operator("StringSplit", ["x"]),
        "operator_tfidf": lambda: _operator("TfIdfVectorizer", ["x"]),
        "operator_with_hidden_graph": lambda: _operator("Identity", ["x"], body=subgraph()),
        "operator_with_unknown_attribute": lambda: _operator("Identity", ["x"], path="/etc/passwd"),
        "operator_with_too_many_inputs": lambda: _operator("Identity", ["x", "x", "x"]),
    }
)


def _integer_division(nodes: list[NodeProto], constants: Iterable[TensorProto] = ()) -> ModelProto:
    cast = helper.make_node("Cast", ["x"], ["i"], to=INT64)
    back = helper.make_node("Cast", ["q"], ["y"], to=FLOAT)
    wide = helper.make_tensor_value_info("y", FLOAT, [None, 3])
    return model([cast, *nodes, back], outputs=[wide], initializers=constants)


@case
def integer_division_by_data() -> ModelProto:
    return _integer_division([helper.make_node("Div", ["i", "i"], ["q"])])


@case
def integer_division_by_minus_one() -> ModelProto:
    constant = numpy_helper.from_array(np.array([-1]), "c")
    return _integer_division([helper.make_node("Div", ["i", "c"], ["q"])], [constant])


@case
def integer_division_by_zero() -> ModelProto:
    constant = numpy_helper.from_array(np.array([0]), "c")
    return _integer_division([helper.make_node("Div", ["i", "c"], ["q"])], [constant])


@case
def integer_modulo() -> ModelProto:
    return _integer_division([helper.make_node("Mod", ["i", "i"], ["q"])])


@case
def shape_from_the_data() -> ModelProto:
    cast = helper.make_node("Cast", ["x"], ["i"], to=INT64)
    flat = helper.make_node("Reshape", ["i", "one"], ["s"])
    reshape = helper.make_node("Reshape", ["x", "s"], ["y"])
    return model([cast, flat, reshape], initializers=[numpy_helper.from_array(np.array([-1]), "one")])


@case
def linear_short_coefficients() -> ModelProto:
    attributes: dict[str, Any] = {"coefficients": [1.0], "intercepts": [0.0], "targets": 1}
    return model([helper.make_node("LinearRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)])


@case
def svm_short_vectors() -> ModelProto:
    attributes: dict[str, Any] = {
        "coefficients": [1.0] * 4,
        "kernel_params": [1.0, 0.0, 3.0],
        "kernel_type": "RBF",
        "n_supports": 1_000_000,
        "rho": [0.0],
        "support_vectors": [1.0] * 6,
    }
    return model([helper.make_node("SVMRegressor", ["x"], ["y"], domain="ai.onnx.ml", **attributes)])


@case
def extractor_negative_index() -> ModelProto:
    index = numpy_helper.from_array(np.array([-(10**9)]), "i")
    node = helper.make_node("ArrayFeatureExtractor", ["x", "i"], ["y"], domain="ai.onnx.ml")
    return model([node], initializers=[index])


@case
def gather_out_of_range() -> ModelProto:
    index = numpy_helper.from_array(np.array([10**12]), "i")
    return model([helper.make_node("Gather", ["x", "i"], ["y"], axis=1)], initializers=[index])


@case
def answer_not_finite() -> ModelProto:
    zero = helper.make_node("Sub", ["x", "x"], ["z"])
    ratio = helper.make_node("Div", ["z", "z"], ["r"])
    axes = numpy_helper.from_array(np.array([1]), "axes")
    total = helper.make_node("ReduceSum", ["r", "axes"], ["y"], keepdims=1)
    return model([zero, ratio, total], initializers=[axes])


@case
def answer_depends_on_other_rows() -> ModelProto:
    axes = [numpy_helper.from_array(np.array([i]), f"axis{i}") for i in (0, 1)]
    total = helper.make_node("ReduceSum", ["x", "axis0"], ["t"], keepdims=1)
    mixed = helper.make_node("Add", ["x", "t"], ["m"])
    answer = helper.make_node("ReduceSum", ["m", "axis1"], ["y"], keepdims=1)
    return model([total, mixed, answer], initializers=axes)


# --- the model as a whole ------------------------------------------------------------------------


def _versioned(ir_version: int = 9, **opsets: int) -> ModelProto:
    imports = {"" if d == "main" else d.replace("_", "."): v for d, v in opsets.items()} or None
    changed = linear().graph
    return model(changed.node, initializers=changed.initializer, opsets=imports, ir_version=ir_version)


def _changed(change: Callable[[ModelProto], object]) -> ModelProto:
    made = linear()
    change(made)
    return made


_register(
    {
        "ir_version_huge": lambda: _versioned(ir_version=2**62),
        "ir_version_zero": lambda: _versioned(ir_version=0),
        "ir_version_negative": lambda: _versioned(ir_version=-1),
        "opset_version_huge": lambda: _versioned(main=2**62),
        "opset_version_negative": lambda: _versioned(main=-1),
        "opset_ml_version_huge": lambda: _versioned(main=18, ai_onnx_ml=1000),
        "opset_missing": lambda: _changed(lambda m: m.ClearField("opset_import")),
        "opset_twice": lambda: _changed(lambda m: m.opset_import.append(helper.make_opsetid("", 7))),
        "opset_custom_but_not_used": lambda: _versioned(main=18, com_evil=1),
        "graph_missing": lambda: _changed(lambda m: m.ClearField("graph")),
        "graph_without_outputs": lambda: _changed(lambda m: m.graph.ClearField("output")),
        "graph_without_inputs": lambda: _changed(lambda m: m.graph.ClearField("input")),
        "input_twice": lambda: _changed(lambda m: m.graph.input.append(_X)),
        "output_twice": lambda: _changed(lambda m: m.graph.output.append(_Y)),
        "output_not_made": lambda: _changed(lambda m: setattr(m.graph.output[0], "name", "nothing")),
        "initializer_twice": lambda: _changed(lambda m: m.graph.initializer.append(m.graph.initializer[0])),
        "initializer_named_like_the_input": lambda: _changed(lambda m: setattr(m.graph.initializer[0], "name", "x")),
        "node_twice": lambda: _changed(lambda m: m.graph.node.append(m.graph.node[0])),
        "node_feeds_itself": lambda: _changed(lambda m: m.graph.node[0].input.append("y")),
        "training_information": lambda: _changed(lambda m: m.training_info.add()),
        "name_with_zero_byte": lambda: _changed(lambda m: setattr(m.graph.input[0], "name", "x\0y")),
        "attribute_reference": lambda: _changed(
            lambda m: m.graph.node[0].attribute.append(
                AttributeProto(name="axis", type=AttributeProto.INT, ref_attr_name="a")
            )
        ),
    }
)


@case
def cycle_of_nodes() -> ModelProto:
    one = helper.make_node("Add", ["x", "b"], ["a"])
    two = helper.make_node("Add", ["x", "a"], ["b"])
    return model([one, two, helper.make_node("Identity", ["b"], ["y"])])


@case
def local_function() -> ModelProto:
    made = linear()
    body = [helper.make_node("Identity", ["i"], ["o"])]
    opsets = [helper.make_opsetid("", 18)]
    made.functions.append(helper.make_function("ai.onnx.ml", "Scaler", ["i"], ["o"], body, opsets))
    return made


@case
def local_function_that_calls_itself() -> ModelProto:
    made = _operator("F", ["x"], domain="local")
    body = [helper.make_node("F", ["i"], ["o"], domain="local")]
    opsets = [helper.make_opsetid("local", 1)]
    made.functions.append(helper.make_function("local", "F", ["i"], ["o"], body, opsets))
    return made


_ENCODER = {"version": 1, "features": [{"name": "a", "kind": "numeric", "impute": 0.0, "flag": False}]}


def _with_manifest(*texts: str) -> ModelProto:
    made = linear()
    for text in texts:
        made.metadata_props.add(key="mlshare", value=text)
    return made


def _encoded(**changes: Any) -> str:
    document = {
        "version": 1,
        "kind": "encoded",
        "task": "regression",
        "target": "y",
        "target_kind": "numeric",
        "classes": None,
        "algorithm": "LinearRegression",
        "encoder": {"version": 1, "features": []},
    }
    return json.dumps({**document, **changes})


_register(
    {
        "manifest_not_json": lambda: _with_manifest("{"),
        "manifest_not_an_object": lambda: _with_manifest("[]"),
        "manifest_nested_deeply": lambda: _with_manifest("[" * 200_000),
        "manifest_twice": lambda: _with_manifest(_encoded(), _encoded()),
        "manifest_of_a_later_version": lambda: _with_manifest(_encoded(version=2)),
        "manifest_unknown_kind": lambda: _with_manifest(_encoded(kind="python")),
        "manifest_unknown_field": lambda: _with_manifest(_encoded(module="os")),
        "manifest_encoder_empty": lambda: _with_manifest(_encoded()),
        "manifest_encoder_garbage": lambda: _with_manifest(_encoded(encoder=[1, 2])),
        "manifest_encoder_other_width": lambda: _with_manifest(_encoded(encoder=_ENCODER)),
        "manifest_huge_class_count": lambda: _with_manifest(
            _encoded(task="classification", classes=list(range(20_000)))
        ),
    }
)


# --- not even a model ----------------------------------------------------------------------------


@case
def nothing() -> bytes:
    return b""


@case
def garbage() -> bytes:
    return np.random.default_rng(0).bytes(100_000)


@case
def truncated() -> bytes:
    return linear().SerializeToString()[:-7]


@case
def text() -> bytes:
    return b"import os; os.system('id')"


@case
def serialized_python_object() -> bytes:
    return b"\x80\x04\x95\x1d\x00\x00\x00\x00\x00\x00\x00\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."


@case
def runtime_format() -> bytes:
    # The start of ONNX Runtime's own flatbuffer format, which it would recognise by these letters.
    return b"\x18\x00\x00\x00ORTM" + bytes(1000)


@case
def length_beyond_the_end() -> bytes:
    return b"\x08\x09\x3a" + _varint(2**31 - 1) + b"\x0a"


@case
def groups_nested_deeply() -> bytes:
    return b"\x08\x09" + b"\x3a\x7f" * 100_000


@case
def varint_without_end() -> bytes:
    return b"\x08" + b"\xff" * 10_000


@case
def text_that_is_not_utf8() -> bytes:
    made = linear()
    made.graph.node[0].op_type = "MaaMul"
    return made.SerializeToString().replace(b"MaaMul", b"Ma\xff\xfeul")


def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 127:
        out.append(value & 127 | 128)
        value >>= 7
    return bytes([*out, value])
