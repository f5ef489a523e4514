"""Scoring: one row as many, our own models and others, and errors instead of wrong answers."""

from __future__ import annotations

import json
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper

from mlshare import errors, manifest, runtime
from mlshare.encoding import Encoder
from mlshare.scorer import Scorer
from mlshare.table import Column, Table
from mlshare_tools.build import CHECKOUT
from security import hostile_models as hostile

ROWS = 10_000
DICE = np.random.default_rng(0)
TABLE = Table(
    (
        *(Column(f"n{i}", "numeric", values=DICE.normal(size=ROWS)) for i in range(14)),
        Column("b", "boolean", values=DICE.integers(0, 2, ROWS).astype(float)),
        Column("c", "category", codes=DICE.integers(0, 3, ROWS, dtype=np.int32), dictionary=("x", "y", "z")),
    )
)
ENCODER = Encoder.fit(TABLE, "onehot")
WEIGHTS = DICE.normal(size=(ENCODER.n_features, 3))


def encoded(task: str = "classification", **changes: Any) -> bytes:
    """A multinomial logistic or a linear model over TABLE, as mlshare stores it."""
    classes = ["no", "perhaps", "yes"] if task == "classification" else None
    output = "probabilities" if classes else "value"
    weights = WEIGHTS if classes else WEIGHTS[:, :1]
    first = helper.make_node("MatMul", ["features", "w"], ["z"])
    kind = {"axis": 1} if classes else {}
    last = helper.make_node("Softmax" if classes else "Identity", ["z"], [output], **kind)
    double = TensorProto.DOUBLE
    model = hostile.model(
        [first, last],
        inputs=[helper.make_tensor_value_info("features", double, [None, len(weights)])],
        outputs=[helper.make_tensor_value_info(output, double, [None, weights.shape[1]])],
        initializers=[numpy_helper.from_array(weights, "w")],
    )
    document = {
        "version": 1,
        "kind": "encoded",
        "task": task,
        "target": "y",
        "target_kind": "category" if classes else "numeric",
        "classes": classes,
        "algorithm": "LogisticRegression",
        "encoder": ENCODER.to_json(),
    }
    helper.set_model_props(model, {"mlshare": json.dumps({**document, **changes})})
    return model.SerializeToString()


def row(i: int) -> dict[str, Any]:
    """Row i of TABLE, as from jsonb."""
    return {
        c.name: c.dictionary[c.codes[i]] if c.codes is not None else c.values[i].item()  # type: ignore[index]
        for c in TABLE.columns
    }


def test_what_an_open_model_says_of_itself() -> None:
    scorer = Scorer(encoded())
    assert (scorer.task, scorer.target, scorer.target_kind) == ("classification", "y", "category")
    assert scorer.classes == ["no", "perhaps", "yes"]
    assert [i.name for i in scorer.inputs] == [c.name for c in TABLE.columns]
    assert scorer.manifest["algorithm"] == "LogisticRegression"
    assert scorer.nbytes > 0


def test_classification_is_softmax_of_the_encoded_matrix() -> None:
    prediction = Scorer(encoded()).predict(TABLE)
    z = ENCODER.encode(TABLE) @ WEIGHTS
    expected = np.exp(z) / np.exp(z).sum(axis=1, keepdims=True)
    assert prediction.probabilities is not None and prediction.labels is not None
    np.testing.assert_allclose(prediction.probabilities, expected, atol=1e-12)
    assert prediction.labels.dtype == np.int32
    assert (prediction.labels == expected.argmax(axis=1)).all()


def test_regression_gives_values() -> None:
    prediction = Scorer(encoded("regression")).predict(TABLE)
    assert prediction.values is not None and prediction.labels is None
    np.testing.assert_allclose(prediction.values, (ENCODER.encode(TABLE) @ WEIGHTS)[:, 0], atol=1e-12)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_one_row_is_scored_as_in_a_table(task: str) -> None:
    scorer = Scorer(encoded(task))
    many = scorer.predict(TABLE)
    for i in (0, 4095, 4096, ROWS - 1):
        one = scorer.answer(row(i)).as_prediction()
        assert len(one) == 1
        for name in ("values", "probabilities", "labels"):
            whole, single = getattr(many, name), getattr(one, name)
            assert (whole is None) == (single is None)
            if whole is not None:
                np.testing.assert_allclose(single[0], whole[i], atol=1e-12)


@pytest.mark.parametrize("task", ["classification", "regression"])
def test_no_rows_give_no_answers(task: str) -> None:
    empty = tuple(
        Column(
            c.name,
            c.kind,
            None if c.values is None else c.values[:0],
            None if c.codes is None else c.codes[:0],
            c.dictionary,
        )
        for c in TABLE.columns
    )
    assert len(Scorer(encoded(task)).predict(Table(empty))) == 0


def test_answer_that_is_not_finite_is_an_error() -> None:
    scorer = Scorer(encoded("regression"))
    huge = {**row(0), "n0": 1e308, "n1": -1e308, "n2": 1e308, "n3": 1e308}
    with pytest.raises(errors.ScoringFailed, match="finite"):
        scorer.answer(huge)


def test_missing_columns_are_named() -> None:
    with pytest.raises(errors.MissingFeature, match='"n3"'):
        Scorer(encoded()).answer({k: v for k, v in row(0).items() if k != "n3"})


@pytest.mark.parametrize(
    "changes",
    [
        {"version": 2},
        {"kind": "other"},
        {"task": "clustering"},
        {"classes": None},
        {"classes": ["one"]},
        {"classes": ["a", "a", "b"]},
        {"classes": ["a", ["b"]]},
        {"encoder": {}},
        {"encoder": None},
        {"target": ""},
        {"target_kind": "text"},
        {"surprise": 1},
    ],
    ids=str,
)
def test_manifest_that_is_not_ours_is_refused(changes: dict[str, Any]) -> None:
    with pytest.raises(errors.InvalidModelMetadata):
        Scorer(encoded(**changes))


def test_classes_that_do_not_fit_the_graph_are_an_error() -> None:
    with pytest.raises(errors.ScoringFailed, match="runtime"):
        Scorer(encoded(classes=["a", "b"])).answer(row(0))


def test_true_and_one_are_different_classes() -> None:
    document = json.loads(runtime_manifest(encoded(classes=[True, 1, "x"])))
    assert manifest.validated(document).classes == (True, 1, "x")


def runtime_manifest(data: bytes) -> str:
    return str(runtime.open_session(data).get_modelmeta().custom_metadata_map["mlshare"])


@pytest.mark.parametrize("data", [b"", b"garbage", hostile.linear().SerializeToString()[:-5]])
def test_bytes_that_are_no_model_are_an_error(data: bytes) -> None:
    with pytest.raises(errors.ScoringFailed):
        Scorer(data)


def test_graph_without_manifest_is_refused() -> None:
    with pytest.raises(errors.InvalidModelMetadata, match="no manifest"):
        Scorer(hostile.linear().SerializeToString())


def test_runtime_refuses_a_matrix_narrower_than_its_trees() -> None:
    # Where a graph does not say how wide its matrix is, the audit relies on this check of the runtime.
    forest = hostile.forest(nodes_featureids=[1000, 0, 0, 2, 0, 0])
    forest.graph.input[0].type.tensor_type.shape.dim[1].ClearField("dim_value")
    session = runtime.open_session(forest.SerializeToString())
    with pytest.raises(errors.ScoringFailed):
        runtime.run(session, ["y"], {"x": np.ones((2, 3), np.float32)})


def test_scoring_loads_no_training_library() -> None:
    source = f"""
import sys; sys.path[:0] = {sys.path!r}
import mlshare.scorer, mlshare.codec, mlshare.signing, mlshare.child
heavy = ("onnx", "sklearn", "pandas", "scipy", "lightgbm", "xgboost", "skl2onnx", "joblib")
print([name for name in heavy if name in sys.modules])
"""
    done = subprocess.run([sys.executable, "-I", "-c", source], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
    assert done.stderr == ""


def test_the_runtime_is_quiet(capfd: pytest.CaptureFixture[str]) -> None:
    scorer = Scorer(encoded())
    with pytest.raises(errors.MlshareError):
        Scorer(hostile.CASES["linear_short_coefficients"]())
    scorer.answer(row(0))
    assert capfd.readouterr() == ("", "")


def test_loading_the_runtime_starts_no_thread_and_writes_nothing(tmp_path: Path) -> None:
    source = "import mlshare.runtime, os; print(len(os.listdir('/proc/self/task')))"
    environment = {"HOME": str(tmp_path), "PYTHONPATH": str(CHECKOUT / "plpython"), "OPENBLAS_NUM_THREADS": "1"}
    command = [sys.executable, "-B", "-c", source]
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "1"
    assert not list(tmp_path.iterdir())


def test_one_row_is_fast() -> None:
    scorer, one = Scorer(encoded()), row(0)
    best = min(_seconds(scorer, one) for _ in range(5))
    # Measured 21 to 25 µs; the margin is for busy machines.
    assert best < 200e-6


def _seconds(scorer: Scorer, one: dict[str, Any]) -> float:
    started = time.perf_counter()
    for _ in range(200):
        scorer.answer(one)
    return (time.perf_counter() - started) / 200


def test_a_model_need_not_name_its_algorithm() -> None:
    scorer = Scorer(encoded(algorithm="of somebody else"))
    assert scorer.rows_at_once == runtime.BATCH_ROWS
    assert Scorer(encoded()).rows_at_once > runtime.BATCH_ROWS
