"""Ensembles of trees, one row at a time: they say what the runtime says, and only what is sound reaches the library."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from mlshare import scorer, trees
from mlshare.convert import trees as convert
from mlshare.encoding import Encoder
from mlshare.estimators import registry
from mlshare.estimators.base import Problem
from mlshare.prediction import answer
from mlshare.scorer import Scorer
from unit.learning import mixed, only
from unit.single_rows import by_runtime, stored

TABLE = only(mixed(600), "a", "b", "flag", "color")
TARGETS = mixed(600)
ENCODER = Encoder.fit(TABLE, "ordinal")
X = ENCODER.encode(TABLE)
WIDTH = X.shape[1]
FORESTS = ("RandomForest", "ExtraTrees")
BOOSTED = ("LGBM", "XGB")
random = np.random.default_rng(11)


def fitted(name: str, target: str) -> onnx.ModelProto:
    task = "regression" if target == "amount" else "classification"
    (estimator,) = registry.candidates(task, 600, [name], None)
    column = TARGETS[target]
    y = column.values if column.codes is None else column.codes.astype(np.float64)
    assert y is not None
    n_classes = len(np.unique(y)) if task == "classification" else 0
    params = {**estimator.first, **({} if name.startswith("Decision") else {"n_estimators": 20})}
    return estimator.load()(Problem(task, n_classes, 0, 1), params, X[:400], y[:400], None).to_onnx()


def thresholds(model: onnx.ModelProto) -> list[float]:
    (values,) = (a for a in model.graph.node[0].attribute if a.name == "nodes_values_as_tensor")
    return [float(v) for v in numpy_helper.to_array(values.t)]


CASES = [(f"{kind}Classifier", "two") for kind in (*FORESTS, *BOOSTED, "DecisionTree")]
CASES += [(f"{kind}Classifier", "three") for kind in BOOSTED]
CASES += [(f"{kind}Regressor", "amount") for kind in (*FORESTS, *BOOSTED, "DecisionTree")]


@pytest.mark.parametrize(("name", "target"), CASES)
def test_it_says_what_the_runtime_says(name: str, target: str) -> None:
    model = fitted(name, target)
    found, runs = trees.of_graph(model.SerializeToString(), WIDTH), by_runtime(model, WIDTH)
    assert found is not None
    rows = X.tolist()
    # At thresholds, beside them, and where the library would take a number of a dense row for 0.
    for value in [0.0, -0.0, 1e-40, -1e-40, 5e-324, 1e-36, 1e300, -1e300, *random.choice(thresholds(model), 100)]:
        for near in (value, np.nextafter(value, np.inf), np.nextafter(value, -np.inf)):
            rows.append([float(near)] * WIDTH)
    for row in rows:
        if target == "amount":
            assert found.answers(row) == runs(row)
        else:
            np.testing.assert_allclose(found.answers(row), runs(row), rtol=0, atol=1e-15)


def test_a_model_that_answers_many_rows_changes_to_its_trees(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scorer, "_PATIENCE", 100)
    open_ = Scorer(stored(ENCODER, fitted("LGBMClassifier", "two"), "LGBMClassifier"))
    graph_ = open_._graph
    assert isinstance(graph_, scorer._Encoded)
    usual = ENCODER.usual
    assert usual is not None
    work, whole, n_quick = graph_.work(usual), open_.predict(TABLE), 0
    for i in range(len(TABLE)):
        values = tuple(value_of(name, i) for name, _ in usual.columns)
        found = work(values)
        assert ("_of_trees" in vars(graph_)) == (n_quick + (found is not None) >= 100)
        if found is not None:
            n_quick += 1
            expected = answer(whole, i)
            assert found.label == expected.label
            assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-12)
    assert n_quick > 100 and vars(graph_)["_of_trees"] is not None


def value_of(name: str, i: int) -> Any:
    column = TABLE[name]
    if column.codes is not None:
        return column.dictionary[column.codes[i]] if column.codes[i] >= 0 else None
    assert column.values is not None
    value = float(column.values[i])
    return bool(value) if column.kind == "boolean" else value


# --- what is not sound never reaches the library ---------------------------------------------------


def small() -> onnx.ModelProto:
    """Two trees of two and one tests, and one of a single leaf."""

    def tree(feature: list[int], left: list[int], right: list[int], leaves: int) -> convert.Tree:
        n = len(left)
        weights = np.where(np.arange(n) >= n - leaves, 0.5, 0.0)[:, None]
        return convert.Tree(*(np.array(a) for a in (feature, [0.25] * n, left, right)), weights)  # type: ignore[arg-type]

    first = tree([1, 0, 0, 0, 0], [1, 3, -1, -1, -1], [2, 4, -1, -1, -1], 3)
    second = tree([WIDTH - 1, 0, 0], [1, -1, -1], [2, -1, -1], 2)
    return convert.boosted_model([first, second, tree([0], [-1], [-1], 1)], WIDTH, 2, [0.1])


def changed(name: str, change: Callable[[list[int]], None]) -> bytes:
    model = small()
    (attribute,) = (a for a in model.graph.node[0].attribute if a.name == name)
    values = list(attribute.ints)
    change(values)
    attribute.ints[:] = values
    return bytes(model.SerializeToString())


def put(at: int, value: int) -> Callable[[list[int]], None]:
    return lambda values: values.__setitem__(at, value)


UNSOUND = [
    *[("nodes_featureids", 0, v) for v in (WIDTH, 1 << 31, 1 << 40, -1)],
    *[("nodes_truenodeids", 0, v) for v in (0, 5, 99, -1)],  # itself, another tree's, none
    *[("nodes_falsenodeids", 1, v) for v in (0, 1, 5)],  # back to the root
    *[("nodes_nodeids", 2, v) for v in (0, 1, 7)],
    *[("nodes_treeids", 5, v) for v in (0, 2, 9)],
    *[("target_nodeids", 0, v) for v in (0, 1, 8, 1 << 33)],  # a test, none
    *[("target_treeids", 0, v) for v in (3, -1)],
    ("target_ids", 0, 1),
]


@pytest.mark.parametrize(("name", "at", "value"), UNSOUND)
def test_trees_that_are_not_trees(name: str, at: int, value: int) -> None:
    assert trees.of_graph(small().SerializeToString(), WIDTH) is not None
    assert trees.of_graph(changed(name, put(at, value)), WIDTH) is None


@pytest.mark.parametrize("name", ["nodes_treeids", "nodes_featureids", "nodes_truenodeids", "target_ids"])
def test_lists_of_other_lengths(name: str) -> None:
    assert trees.of_graph(changed(name, lambda values: values.pop()), WIDTH) is None
    assert trees.of_graph(changed(name, lambda values: values.append(values[-1])), WIDTH) is None


def test_other_operators_and_attributes() -> None:
    model = small()
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("post_transform", "LOGISTIC"))
    assert trees.of_graph(model.SerializeToString(), WIDTH) is None
    model = small()
    model.graph.node[2].op_type = "Tanh"
    assert trees.of_graph(model.SerializeToString(), WIDTH) is None
    model = small()
    (modes,) = (a for a in model.graph.node[0].attribute if a.name == "nodes_modes")
    modes.strings[0] = b"BRANCH_LT"
    assert trees.of_graph(model.SerializeToString(), WIDTH) is None
    assert trees.of_graph(small().SerializeToString(), WIDTH - 1) is None


def test_sums_of_too_few_trees() -> None:
    third = small().graph
    (targets,) = (a for a in third.node[0].attribute if a.name == "n_targets")
    targets.i = 0
    assert trees.of_graph(onnx.helper.make_model(third).SerializeToString(), WIDTH) is None


def test_too_many_nodes(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(trees, "MOST_NODES", 8)
    assert trees.of_graph(small().SerializeToString(), WIDTH) is None


def test_bytes_that_were_bent() -> None:
    """Whatever is still taken can be asked without an end of the process."""
    whole, taken = small().SerializeToString(), 0
    bent = [bytearray(whole[:end]) for end in range(len(whole))]
    for _ in range(4000):
        bent.append(bytearray(whole))
        bent[-1][random.integers(len(whole))] = random.integers(256)
    for data in bent:
        found = trees.of_graph(bytes(data), WIDTH)
        if found is not None:
            taken += 1
            for value in (-1.0, 0.3, 1e300):
                found.answers([value] * WIDTH)
    assert 0 < taken < len(bent)
