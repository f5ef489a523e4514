"""Reads a model file and checks all of it that can be checked without running it."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator

import onnx
from google.protobuf.message import DecodeError  # type: ignore[import-untyped]
from onnx import AttributeProto, ModelProto, NodeProto, TensorProto, ValueInfoProto

from mlshare import errors, manifest
from mlshare.audit import operators
from mlshare.audit.limits import Limits, require
from mlshare.audit.trees import check_ensemble

IR_VERSIONS = range(3, 14)

_ITEM_BYTES: dict[int, int] = {
    TensorProto.FLOAT: 4,
    TensorProto.DOUBLE: 8,
    TensorProto.FLOAT16: 2,
    TensorProto.INT64: 8,
    TensorProto.INT32: 4,
    TensorProto.INT16: 2,
    TensorProto.INT8: 1,
    TensorProto.UINT8: 1,
    TensorProto.BOOL: 1,
}
_DATA_FIELDS = ("float_data", "int32_data", "string_data", "int64_data", "double_data", "uint64_data")
_ATTRIBUTE_FIELDS = {
    AttributeProto.FLOAT: "f",
    AttributeProto.INT: "i",
    AttributeProto.STRING: "s",
    AttributeProto.TENSOR: "t",
    AttributeProto.FLOATS: "floats",
    AttributeProto.INTS: "ints",
    AttributeProto.STRINGS: "strings",
}
_LIBRARY_ERRORS = (
    onnx.checker.ValidationError,
    onnx.shape_inference.InferenceError,
    UnicodeError,
    ValueError,
    TypeError,
    RuntimeError,
    IndexError,
    KeyError,
)


def load(onnx_bytes: bytes, limits: Limits) -> ModelProto:
    """The model, checked, and cleaned of everything that does not change what it computes.

    Raises CorruptModel, ModelTooLarge or UnsafeModel. What is used afterwards is what this returns,
    serialised anew: fields unknown to this reader cannot reach another one.
    """
    require(len(onnx_bytes), limits.max_bytes, "bytes")
    try:
        model: ModelProto = ModelProto.FromString(onnx_bytes)
    except DecodeError as error:
        raise errors.CorruptModel(reason="it is not an ONNX file", detail=str(error)[:500]) from error
    try:
        _clean(model)
        _check(model, limits)
        onnx.checker.check_model(model, full_check=True)
        operators.check_divisions(model)
        _check_ensembles(model, limits)
    except _LIBRARY_ERRORS as error:
        raise errors.CorruptModel(reason="it is not a valid ONNX model", detail=str(error)[:500]) from error
    return model


def serialized(model: ModelProto) -> bytes:
    """The bytes of a model, the same for the same content."""
    return bytes(model.SerializeToString(deterministic=True))


def _clean(model: ModelProto) -> None:
    model.DiscardUnknownFields()
    for message in (model, model.graph):
        message.ClearField("doc_string")
    for node in model.graph.node:
        node.ClearField("doc_string")
        node.ClearField("metadata_props")
    model.graph.ClearField("metadata_props")
    # Converters of scikit-learn models name a set twice, with one version; two versions are refused.
    opsets = {(o.domain, o.version): o for o in model.opset_import}
    if len(opsets) < len(model.opset_import):
        unique = list(opsets.values())
        del model.opset_import[:]
        model.opset_import.extend(unique)
    kept = [p for p in model.metadata_props if p.key == manifest.KEY]
    if len(kept) > 1:
        raise errors.UnsafeModel(reason="it has two manifests")
    del model.metadata_props[:]
    model.metadata_props.extend(kept)


def _check(model: ModelProto, limits: Limits) -> None:
    _check_versions(model)
    if model.functions or model.training_info or model.configuration:
        raise errors.UnsafeModel(reason="functions, training and device information are not allowed")
    graph = model.graph
    if graph.sparse_initializer or graph.quantization_annotation:
        raise errors.UnsafeModel(reason="sparse and quantised tensors are not allowed")
    require(len(graph.node), limits.max_nodes, "nodes")
    _check_names(graph.node, model, limits)
    for tensor in graph.initializer:
        _check_tensor(tensor, limits)
    for value in (*graph.input, *graph.output, *graph.value_info):
        _check_value(value, limits)
    for node in graph.node:
        _check_node(node, limits)
    operators.check_shapes_are_static(graph.node, (t.name for t in graph.initializer))


def _check_versions(model: ModelProto) -> None:
    if model.ir_version not in IR_VERSIONS:
        raise errors.UnsafeModel(reason=f"IR version {model.ir_version} is not supported")
    domains = Counter(operators.MAIN if o.domain == "ai.onnx" else o.domain for o in model.opset_import)
    if not domains or max(domains.values()) > 1:
        raise errors.UnsafeModel(reason="its operator sets are missing or named twice")
    for opset in model.opset_import:
        domain = operators.MAIN if opset.domain == "ai.onnx" else opset.domain
        if opset.version not in operators.OPSETS.get(domain, ()):
            reason = f"operator set {opset.domain[:100]!r} version {opset.version} is not supported"
            raise errors.UnsafeModel(reason=reason)


def _check_names(nodes: Iterable[NodeProto], model: ModelProto, limits: Limits) -> None:
    """Every name is defined once and before it is used, so there is no cycle."""
    graph = model.graph
    inputs, initializers = [v.name for v in graph.input], [t.name for t in graph.initializer]
    if set(inputs) & set(initializers):
        raise errors.UnsafeModel(reason="an input has a default value")
    defined: set[str] = set()
    for name in _defined_names(inputs, initializers, nodes):
        if isinstance(name, NodeProto):
            if not set(name.input) <= defined | {""}:
                raise errors.UnsafeModel(reason="a node uses a name that is not defined before it")
            continue
        if name in defined:
            raise errors.UnsafeModel(reason=f"the name {name[:100]!r} is defined twice")
        defined.add(name)
    require(len(defined), limits.max_names, "names")
    outputs = [v.name for v in graph.output]
    if not inputs or not outputs or len(set(outputs)) < len(outputs) or not set(outputs) <= defined:
        raise errors.UnsafeModel(reason="its inputs or outputs are missing, twice or not defined")
    nodes_named = Counter(n.name for n in nodes if n.name)
    if nodes_named and max(nodes_named.values()) > 1:
        raise errors.UnsafeModel(reason="two nodes have the same name")
    if max(map(len, defined)) > 1000 or any("\0" in name for name in defined):
        raise errors.UnsafeModel(reason="a name is too long or has a zero byte")


def _defined_names(inputs: list[str], initializers: list[str], nodes: Iterable[NodeProto]) -> Iterator[str | NodeProto]:
    """Names in the order of their definition; a node itself stands before its outputs."""
    yield from inputs
    yield from initializers
    for node in nodes:
        yield node
        yield from (name for name in node.output if name)


def _check_tensor(tensor: TensorProto, limits: Limits) -> None:
    if tensor.data_location == TensorProto.EXTERNAL or tensor.external_data:
        raise errors.UnsafeModel(reason="its data is in another file")
    if tensor.HasField("segment"):
        raise errors.UnsafeModel(reason="it has a tensor in segments")
    elements = _elements(tensor.dims, limits)
    if tensor.data_type == TensorProto.STRING:
        found, raw = len(tensor.string_data), bool(tensor.raw_data)
        require(max(map(len, tensor.string_data), default=0), limits.max_text_bytes, "bytes of a text")
    elif tensor.data_type in _ITEM_BYTES:
        raw = False
        found = sum(len(getattr(tensor, field)) for field in _DATA_FIELDS)
        if tensor.HasField("raw_data"):
            raw = bool(found)
            found, rest = divmod(len(tensor.raw_data), _ITEM_BYTES[tensor.data_type])
            raw = raw or bool(rest)
    else:
        raise errors.UnsafeModel(reason=f"a tensor has element type {tensor.data_type}")
    if raw or found != elements:
        raise errors.UnsafeModel(reason=f"a tensor of {elements} elements holds {found}")


def _check_value(value: ValueInfoProto, limits: Limits) -> None:
    kind = value.type.WhichOneof("value")
    if kind == "tensor_type":
        shape = value.type.tensor_type.shape
        _elements([d.dim_value for d in shape.dim if d.HasField("dim_value")], limits)
        require(len(shape.dim), limits.max_dimensions, "dimensions")
    elif kind not in ("sequence_type", None):
        raise errors.UnsafeModel(reason=f"a value is of the kind {kind}")


def _elements(dims: Iterable[int], limits: Limits) -> int:
    dims = list(dims)
    require(len(dims), limits.max_dimensions, "dimensions")
    if any(d < 0 for d in dims):
        raise errors.UnsafeModel(reason="a tensor has a negative dimension")
    # Each dimension for itself as well: a zero among them would hide the others.
    for count in (math.prod(dims), *dims):
        require(count, limits.max_tensor_elements, "elements of a tensor")
    return math.prod(dims)


def _check_node(node: NodeProto, limits: Limits) -> None:
    operators.check_operator(node)
    if node.overload or node.device_configurations:
        raise errors.UnsafeModel(reason="overloads and device configurations are not allowed")
    if len({a.name for a in node.attribute}) < len(node.attribute):
        raise errors.UnsafeModel(reason="an attribute is given twice")
    for attribute in node.attribute:
        _check_attribute(attribute, limits)


def _check_attribute(attribute: AttributeProto, limits: Limits) -> None:
    field = _ATTRIBUTE_FIELDS.get(attribute.type)
    present = {descriptor.name for descriptor, _ in attribute.ListFields()} - {"name", "type", "doc_string"}
    if field is None or not present <= {field}:
        reason = f"attribute {attribute.name[:100]!r} is of a kind that is not allowed"
        raise errors.UnsafeModel(reason=reason)
    if field == "t":
        _check_tensor(attribute.t, limits)
    elif field in ("ints", "floats", "strings"):
        require(len(getattr(attribute, field)), limits.max_tensor_elements, "elements of an attribute")
    texts = [attribute.s] if field == "s" else attribute.strings
    require(max(map(len, texts), default=0), limits.max_text_bytes, "bytes of a text")


def _check_ensembles(model: ModelProto, limits: Limits) -> None:
    ensembles = [n for n in model.graph.node if n.op_type.startswith("TreeEnsemble")]
    if not ensembles:
        return
    total = sum(len(a.ints) for n in ensembles for a in n.attribute if a.name == "nodes_treeids")
    require(total, limits.max_tree_nodes, "tree nodes")
    inferred = onnx.shape_inference.infer_shapes(model).graph
    widths = dict(_widths((*inferred.input, *inferred.value_info)))
    for node in ensembles:
        check_ensemble(node, widths.get(node.input[0]), limits)


def _widths(values: Iterable[ValueInfoProto]) -> Iterator[tuple[str, int]]:
    """The second dimension of each matrix, where it is a number."""
    for value in values:
        dims = value.type.tensor_type.shape.dim
        if len(dims) == 2 and dims[1].HasField("dim_value"):
            yield value.name, int(dims[1].dim_value)
