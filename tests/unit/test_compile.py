"""Reading graphs, and SQL that nothing in a model can break out of. What the SQL answers: tests/backend."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import pytest

from mlshare import compile as compiling
from mlshare.compile import graph, sql
from mlshare.compile.arguments import type_of
from mlshare.compile.forest import MAX_NODES, Forest
from mlshare.convert import graph as write
from mlshare.convert import trees
from mlshare.encoding import Encoder
from mlshare.errors import CompiledTooLarge, InvalidOptionValue, NotCompilable
from mlshare.table import Column, Table
from unit.learning import FEATURES, mixed, only

CLASSES = {"task": "classification", "target": "y", "target_kind": "category", "classes": ["no", "it's \\"]}
NUMBER = {"task": "regression", "target": "y", "target_kind": "numeric", "classes": None}


def tree(depth: int = 2, targets: int = 1) -> trees.Tree:
    """A full tree over feature 0."""
    inner, n = (1 << depth) - 1, (2 << depth) - 1
    left = np.where(np.arange(n) < inner, 2 * np.arange(n) + 1, -1)
    weights = np.tile(np.linspace(0.1, 1.0, n)[:, None], (1, targets))
    return trees.Tree(np.zeros(n, np.int64), np.linspace(-1, 1, n), left, left + 1, weights)


GRAPHS: dict[str, Any] = {
    "identity": write.linear_model("regression", [[1.0], [2.0]], [3.0]),
    "sigmoid": write.linear_model("classification", [[1.0], [2.0]], [3.0]),
    "softmax": write.linear_model("classification", np.ones((2, 3)), np.zeros(3)),
    "complement": trees.forest_model([tree()], 2, 2),
    "shares": trees.forest_model([tree(targets=3)], 2, 3),
}


@pytest.mark.parametrize("link", GRAPHS)
def test_graphs_are_understood(link: str) -> None:
    assert graph.read(GRAPHS[link]).link == link


def test_numbers_of_a_model_are_kept() -> None:
    model = graph.read(write.gaussian_model([1, 2], [3, 4], np.ones((2, 2)), np.full((2, 2), 5.0), [6, 7]))
    scores = model.scores
    assert isinstance(scores, graph.Additive)
    assert [a.tolist() for a in (scores.center, scores.scale, scores.bias)] == [[1, 2], [3, 4], [6, 7]]
    boosted = graph.read(trees.regression_model([tree()], 2, 0.5, 10.0, 2.0))
    assert (boosted.factor, boosted.offset) == (2.0, 10.0)
    assert isinstance(boosted.scores, Forest) and boosted.scores.base == (0.5,) and len(boosted.scores.trees[0]) == 7


def test_other_graphs_are_refused() -> None:
    kernel = write.kernel_model("regression", ([0, 0], [1, 1]), 0.5, np.ones((3, 2)), np.ones((3, 1)), [0])
    with pytest.raises(NotCompilable, match="has no counterpart"):
        graph.read(kernel)


def test_swapped_inputs_are_not_taken_for_the_usual_ones() -> None:
    model = write.linear_model("classification", [[1.0], [2.0]], [3.0])
    node = next(n for n in model.graph.node if n.op_type == "Concat")
    node.input[0], node.input[1] = node.input[1], node.input[0]
    with pytest.raises(NotCompilable):
        graph.read(model)


def test_size_limits() -> None:
    many = trees.regression_model([tree(9)] * (MAX_NODES // 1023 + 1), 2, 0.0, 0.0, 1.0)
    with pytest.raises(CompiledTooLarge, match=f"nodes, the limit is {MAX_NODES}"):
        graph.read(many)
    n = 601
    chain = np.where(np.arange(n) % 2 == 0, np.arange(n) + 1, -1)
    chain[-1] = -1
    deep = trees.Tree(np.zeros(n, np.int64), np.zeros(n), chain, chain + 1, np.ones((n, 1)))
    with pytest.raises(CompiledTooLarge, match="levels in one tree"):
        graph.read(trees.regression_model([deep], 2, 0.0, 0.0, 1.0))


# --- the text ----------------------------------------------------------------------------------------


def compiled(table: Table, manifest: dict[str, Any], **request: Any) -> tuple[dict[str, Any], str]:
    encoder = Encoder.fit(table, "onehot")
    task = manifest["task"]
    raw = write.write(
        write.linear_model(task, np.ones((encoder.n_features, 1)), [0.0]),
        {"version": 1, "kind": "encoded", "encoder": encoder.to_json(), **manifest},
    )
    result, body = compiling.run({"utf8": True, **request}, raw, lambda *_: None)
    return result, body.decode()


def test_strings_cannot_end_early() -> None:
    hostile = ("'", "\\", "\\'", "''); DROP TABLE x; --", "$$", "$body$", "/*", "\n", "{body}")
    column = Column("c", "category", codes=np.arange(len(hostile), dtype=np.int32), dictionary=hostile)
    _, body = compiled(Table((column,)), CLASSES)
    strings = r"E'(?:[^'\\]|''|\\\\)*'|(?<!E)'(?:[^'\\]|'')*'"
    outside = re.sub(strings, "", body)
    assert not set(outside) & set("';\\{}\n") and "DROP" not in outside


def test_strings_that_no_text_equals_are_left_out() -> None:
    names = ("a\0b", "\ud800", "fine")
    column = Column("c", "category", codes=np.arange(3, dtype=np.int32), dictionary=names)
    _, body = compiled(Table((column,)), CLASSES)
    assert "fine" in body and "\0" not in body


def test_only_qualified_names_are_used() -> None:
    table = only(mixed(200), *(n for n in FEATURES if n != "words"))
    _, body = compiled(table, CLASSES, types={"at": "timestamp with time zone", "b": "numeric(10,2)"})
    calls = re.findall(r"(?<![.\w\"$])(\w+)\(", body)
    assert set(calls) <= {"COALESCE", "NULLIF", "OPERATOR"} and set(re.findall(r"OPERATOR\((.{11})", body)) == {
        "pg_catalog."
    }
    assert not re.findall(r"::(?!pg_catalog\.)", body)


@pytest.mark.parametrize(
    ("kind", "written", "expected"),
    [
        ("numeric", "numeric(10,2)", "numeric"),
        ("numeric", "double precision; DROP", "float8"),
        ("numeric", None, "float8"),
        ("category", "character varying(20)", "varchar"),
        ("category", "shop.mood", "text"),
        ("category", "integer", "text"),
        ("timestamp", "timestamp(3) with time zone", "timestamptz"),
    ],
)
def test_types(kind: str, written: object, expected: str) -> None:
    assert type_of(kind, written) == expected


def test_the_sql_of_constants() -> None:
    assert sql.number(1e-300) == "'1e-300'::pg_catalog.float8"
    assert sql.literal("a'b\\") == "E'a''b\\\\'"


def test_what_cannot_be_a_function() -> None:
    with pytest.raises(NotCompilable, match="free text"):
        compiled(only(mixed(200), "words"), CLASSES)
    many = Table(tuple(Column(f"c{i}", "numeric", values=np.arange(3.0)) for i in range(101)))
    with pytest.raises(NotCompilable, match="100 arguments"):
        compiled(many, NUMBER)
    with pytest.raises(InvalidOptionValue, match="no probabilities"):
        compiled(only(mixed(200), "a"), NUMBER, output="probability")
    with pytest.raises(InvalidOptionValue, match="not a class"):
        compiled(only(mixed(200), "a"), CLASSES, output="probability", **{"class": "maybe"})


def test_hidden_layers_are_not_written() -> None:
    layers = [(np.ones((2, 3)), np.zeros(3)), (np.ones((3, 1)), np.zeros(1))]
    for activation in ("logistic", "tanh", "relu", "identity"):
        with pytest.raises(NotCompilable):
            graph.read(write.network_model("regression", (np.zeros(2), np.ones(2)), layers, activation))
