"""The audit: sound models pass unchanged, hostile ones are refused, and none takes the process along."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlshare import audit, child, errors
from mlshare.scorer import Scorer
from mlshare.table import Column, Table
from security import hostile_models as hostile
from unit import child_tasks

REFUSED = {
    "CorruptModel",
    "InvalidModelMetadata",
    "ModelTooLarge",
    "UnsafeModel",
    "ScoringFailed",
    "MemoryError",
}
_START = child_tasks._START.replace("child_tasks:", "audit_tasks:")


@pytest.fixture
def batch(monkeypatch: pytest.MonkeyPatch) -> None:
    """Have child.run start the tasks of audit_tasks."""
    monkeypatch.setattr(child_tasks, "_START", _START)
    monkeypatch.setattr(child, "_command", child_tasks.command)


def call(task: str, request: dict[str, Any], payload: Any = None, **terms: Any) -> child.Reply:
    said: list[str] = []
    defaults = {"memory_mb": 2000, "seconds": 100, "tick": lambda: None}
    try:
        return child.run(task, request, payload, progress=lambda text, _: said.append(text), **{**defaults, **terms})
    except errors.ChildError as error:
        raise AssertionError(f"at {said[-1:]}: {error} {error.detail}") from error


def run(model: Any, metadata: Any = None, **request: Any) -> tuple[dict[str, Any], bytes]:
    data = model if isinstance(model, bytes) else model.SerializeToString()
    request = {"metadata": hostile.METADATA if metadata is None else metadata, **request}
    return audit.run(request, data, lambda text, fraction: None)


# --- hostile models ------------------------------------------------------------------------------


def test_every_hostile_model_is_refused_and_the_child_survives_all(batch: None, tmp_path: Path) -> None:
    for name, make in hostile.CASES.items():
        (tmp_path / name).write_bytes(make())
    request = {"directory": str(tmp_path), "metadata": hostile.METADATA}
    outcomes = call("audit_files", request).result
    assert len(outcomes) == len(hostile.CASES) >= 130
    assert {name: o for name, o in outcomes.items() if o not in REFUSED} == {}


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("tree_cycle", errors.UnsafeModel),
        ("external_data_path_traversal", errors.UnsafeModel),
        ("outer_product_bomb", errors.ScoringFailed),
        ("garbage", errors.CorruptModel),
        ("string_bomb", errors.ModelTooLarge),
        ("manifest_not_json", errors.InvalidModelMetadata),
    ],
)
def test_refusals_reach_the_backend_as_themselves(name: str, expected: type[Exception]) -> None:
    with pytest.raises(expected):
        child.run(
            "audit",
            {"metadata": hostile.METADATA},
            hostile.CASES[name](),
            memory_mb=1500,
            seconds=60,
            tick=lambda: None,
            progress=lambda text, fraction: None,
        )


@pytest.mark.parametrize("make", [hostile.linear, hostile.forest, hostile.classifier])
def test_thousand_flipped_bytes_of_a_model_never_crash(batch: None, make: Any) -> None:
    model = make()
    metadata = hostile.METADATA | ({"task": "classification"} if make is hostile.classifier else {})
    request = {"flips": 1000, "seed": 1, "metadata": metadata}
    counts = call("audit_flips", request, model.SerializeToString()).result
    assert sum(counts.values()) == 1000
    assert set(counts) <= REFUSED | {"accepted"}


# --- sound models --------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [hostile.linear, hostile.forest])
def test_sound_model_passes_and_gets_a_manifest(make: Any) -> None:
    result, ready = run(make())
    assert result["manifest"]["kind"] == "matrix"
    assert [i["name"] for i in result["manifest"]["inputs"]] == ["a", "b", "c"]
    again, same = run(ready)
    assert (again, same) == (result, ready)
    audit.audit(ready)


def test_forest_scores_as_it_should() -> None:
    _, ready = run(hostile.forest())
    rows = {"a": [0.0, 1.0, 1.0], "b": [0.0] * 3, "c": [0.0, 0.0, 2.0]}
    columns = tuple(Column(n, "numeric", values=np.array(v)) for n, v in rows.items())
    assert Scorer(ready).predict(Table(columns)).values is not None
    np.testing.assert_allclose(Scorer(ready).predict(Table(columns)).values, [4.0, 5.0, 6.0])
    np.testing.assert_allclose(Scorer(ready).answer({"a": 1, "b": None, "c": "2"}).as_prediction().values, [6.0])


def test_what_a_model_does_not_need_is_dropped() -> None:
    model = hostile.linear()
    model.doc_string = "x" * 1000
    model.graph.node[0].doc_string = "y" * 1000
    model.metadata_props.add(key="author", value="someone")
    unknown = b"\xfa\x7f\x03abc"
    result, ready = run(model.SerializeToString() + unknown)
    assert (result, ready) == run(hostile.linear())


def test_stored_model_must_hold_nothing_else() -> None:
    _, ready = run(hostile.linear())
    for more in (b"\xfa\x7f\x03abc", b"\x32\x03doc"):
        with pytest.raises(errors.UnsafeModel, match="another form"):
            run(ready + more)


def test_operator_set_named_twice_alike_is_named_once() -> None:
    model = hostile.linear()
    model.opset_import.append(model.opset_import[0])
    assert run(model) == run(hostile.linear())


def test_zipmap_labels_and_class_names() -> None:
    result, ready = run(_string_classifier(zipmap=True), {"column_names": ["a", "b", "c"]})
    assert result["manifest"]["classes"] == ["no", "yes"]
    assert result["manifest"]["target_kind"] == "category"
    prediction = Scorer(ready).answer({"a": 1, "b": 0, "c": 0}).as_prediction()
    assert prediction.labels is not None and prediction.probabilities is not None
    assert prediction.labels.tolist() == [1]
    assert prediction.probabilities.argmax() == 1


def test_probability_tensor_is_taken_in_the_order_of_the_classes() -> None:
    _, ready = run(_string_classifier(zipmap=False), {"column_names": ["a", "b", "c"]})
    scorer = Scorer(ready)
    prediction = scorer.answer({"a": -1, "b": 0, "c": 0}).as_prediction()
    assert prediction.labels is not None and scorer.classes is not None
    assert scorer.classes[prediction.labels[0]] == "no"


def test_labels_map_gives_names_to_numbers() -> None:
    metadata = {
        "column_names": ["a", "b", "c"],
        "onnx_outputs_info": {
            "predictions_name": "label",
            "prediction_probabilities_name": "p",
            "labels_map": {"1": "yes", "0": "no"},
        },
    }
    result, ready = run(hostile.classifier(target_ids=[], class_ids=[0, 1, 0, 1]), metadata)
    assert result["manifest"]["classes"] == ["no", "yes"]
    assert Scorer(ready).classes == ["no", "yes"]


def test_one_input_per_column() -> None:
    result, ready = run(_columns_model(), {"task": "regression", "column_names": ["age", "job"]})
    assert result["manifest"]["kind"] == "columns"
    assert [(i["name"], i["kind"], i["dtype"]) for i in result["manifest"]["inputs"]] == [
        ("age", "numeric", "int64"),
        ("job", "category", "string"),
    ]
    scorer = Scorer(ready)
    codes = np.array([0, 1, -1], dtype=np.int32)
    job = Column("job", "category", codes=codes, dictionary=("clerk", "chef"))
    ages = Column("age", "numeric", values=np.array([10.0, 20.0, 30.0]))
    np.testing.assert_allclose(scorer.predict(Table((job, ages))).values, [11.0, 22.0, 30.0])
    np.testing.assert_allclose(scorer.answer({"age": 10, "job": "clerk"}).as_prediction().values, [11.0])
    for value in (None, 1.5, "x", 2**53, 2**53 + 1, -(2**53) - 1, 2**70):
        with pytest.raises(errors.InvalidFeatureValue):
            scorer.answer({"age": value, "job": "clerk"})
    with pytest.raises(errors.MissingFeature):
        scorer.answer({"age": 1})
    with pytest.raises(errors.InvalidFeatureValue):
        scorer.answer({"age": 1, "job": 5})


def test_fixed_number_of_rows_is_padded() -> None:
    model = hostile.linear()
    for value in (model.graph.input[0], model.graph.output[0]):
        value.type.tensor_type.shape.dim[0].dim_value = 4
    _, ready = run(model)
    columns = tuple(Column(n, "numeric", values=np.arange(6.0)) for n in "abc")
    np.testing.assert_allclose(Scorer(ready).predict(Table(columns)).values, 3 * np.arange(6.0))


@pytest.mark.parametrize(
    "metadata",
    [
        {"task": "forecasting", "column_names": ["a", "b", "c"]},
        {"task": "regression", "column_names": ["a", "b"]},
        {"task": "regression", "column_names": ["a", "b", "b"]},
        {"task": "regression", "column_names": "a"},
        {"task": "regression"},
        {"task": "classification", "column_names": ["a", "b", "c"]},
        {"task": "regression", "column_names": ["a", "b", "c"], "onnx_inputs_info": []},
        {"task": "regression", "column_names": ["a", "b", "c"], "onnx_inputs_info": {"columns": [1]}},
        {
            "task": "regression",
            "column_names": ["a", "b", "c"],
            "onnx_inputs_info": {"data_types_map": {"tensor(float)": "os.system"}},
        },
        {
            "task": "regression",
            "column_names": ["a", "b", "c"],
            "onnx_outputs_info": {"predictions_name": "nothing"},
        },
    ],
)
def test_metadata_that_does_not_fit_is_refused(metadata: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidModelMetadata):
        run(hostile.linear(), metadata)


def test_golden_sample_is_replayed() -> None:
    rows = [{"a": 1, "b": 2, "c": 3}, {"a": 0, "b": 0, "c": 0}]
    run(hostile.linear(), golden={"rows": rows, "values": [6.0, 0.0]})
    with pytest.raises(errors.CorruptModel, match="golden"):
        run(hostile.linear(), golden={"rows": rows, "values": [6.0, 0.00001]})
    for golden in ({}, {"rows": rows}, {"rows": rows, "values": [1.0]}, {"rows": [1], "values": [1.0]}):
        with pytest.raises(errors.InvalidModelMetadata):
            run(hostile.linear(), golden=golden)


def test_limits_by_name() -> None:
    with pytest.raises(errors.ModelTooLarge):
        run(hostile.linear(), limits={"max_bytes": 10})
    with pytest.raises(errors.ModelTooLarge):
        run(hostile.forest(), limits={"max_tree_nodes": 5})
    with pytest.raises(errors.ModelTooLarge):
        run(hostile.linear(), limits={"trial_seconds": 1e-9})
    for limits in ({"unknown": 1}, {"max_bytes": "many"}, {"max_bytes": -1}):
        with pytest.raises(errors.InvalidModelMetadata):
            run(hostile.linear(), limits=limits)


def test_chain_within_the_depth_limit_is_safe_to_open() -> None:
    run(hostile.chain(990))


def test_prepare_foreign_gives_bytes_and_manifest() -> None:
    ready, manifest = audit.prepare_foreign(hostile.linear().SerializeToString(), hostile.METADATA)
    assert Scorer(ready).manifest == json.loads(json.dumps(manifest))


def _string_classifier(*, zipmap: bool) -> Any:
    attributes = {
        "coefficients": [-1.0, 0.0, 0.0, 1.0, 0.0, 0.0],
        "intercepts": [0.0, 0.0],
        "classlabels_strings": ["no", "yes"],
        "post_transform": "SOFTMAX",
    }
    names = ["label", "raw" if zipmap else "p"]
    nodes = [helper.make_node("LinearClassifier", ["x"], names, domain="ai.onnx.ml", **attributes)]
    p = helper.make_tensor_value_info("p", TensorProto.FLOAT, [None, 2])
    if zipmap:
        labels = {"classlabels_strings": ["no", "yes"]}
        nodes.append(helper.make_node("ZipMap", ["raw"], ["p"], domain="ai.onnx.ml", **labels))
        element = helper.make_tensor_type_proto(TensorProto.FLOAT, [])
        entry = helper.make_map_type_proto(TensorProto.STRING, element)
        p = helper.make_value_info("p", helper.make_sequence_type_proto(entry))
    label = helper.make_tensor_value_info("label", TensorProto.STRING, [None])
    return hostile.model(nodes, outputs=[label, p])


def _columns_model() -> Any:
    encode = helper.make_node(
        "LabelEncoder",
        ["job"],
        ["code"],
        domain="ai.onnx.ml",
        keys_strings=["clerk", "chef"],
        values_floats=[1.0, 2.0],
        default_float=0.0,
    )
    cast = helper.make_node("Cast", ["age"], ["years"], to=TensorProto.FLOAT)
    add = helper.make_node("Add", ["years", "code"], ["y"])
    inputs = [
        helper.make_tensor_value_info("age", TensorProto.INT64, ["n", 1]),
        helper.make_tensor_value_info("job", TensorProto.STRING, ["n", 1]),
    ]
    output = helper.make_tensor_value_info("y", TensorProto.FLOAT, ["n", 1])
    unused = numpy_helper.from_array(np.zeros(1, np.float32), "unused")
    return hostile.model([encode, cast, add], inputs=inputs, outputs=[output], initializers=[unused])
