"""One row at a time: the quick ways of reading and answering say what the others say."""

from __future__ import annotations

import json
import math
from typing import Any

import numpy as np
import onnx
import pytest

from mlshare import document, errors, linear
from mlshare.convert import graph
from mlshare.encoding import Encoder
from mlshare.rows import usual
from mlshare.scorer import Scorer
from mlshare.table import Column, Table
from unit.single_rows import by_runtime, stored

random = np.random.default_rng(5)
WIDTH = 7


def made(n_scores: int, task: str = "classification") -> onnx.ModelProto:
    return graph.linear_model(task, random.normal(size=(WIDTH, n_scores)), random.normal(size=n_scores))


@pytest.mark.parametrize(("n_scores", "n_answers"), [(1, 2), (4, 4)])
@pytest.mark.parametrize("scale", [1.0, 1e3, 1e300])
def test_a_linear_graph_is_read_as_it_runs(n_scores: int, n_answers: int, scale: float) -> None:
    model = made(n_scores)
    found, runs = linear.of_graph(model.SerializeToString(), WIDTH), by_runtime(model, WIDTH)
    assert found is not None
    for _ in range(200):
        row = (random.normal(size=WIDTH) * scale).tolist()
        assert len(runs(row)) == n_answers
        np.testing.assert_allclose(found.answers(row), runs(row), rtol=1e-10, atol=1e-12)


def test_other_graphs_and_other_bytes_are_not_read() -> None:
    ones = np.ones(WIDTH)
    network = graph.network_model("regression", (ones, ones), [(np.ones((WIDTH, 1)), [0.0])], "tanh")
    assert linear.of_graph(network.SerializeToString(), WIDTH) is None
    assert linear.of_graph(made(1, "regression").SerializeToString(), WIDTH) is None
    whole = made(1).SerializeToString()
    assert linear.of_graph(whole, WIDTH + 1) is None
    for end in range(len(whole)):
        linear.of_graph(whole[:end], WIDTH)
    for _ in range(3000):
        bent = bytearray(whole)
        bent[random.integers(len(bent))] = random.integers(256)
        linear.of_graph(bytes(bent), WIDTH)


def columns(n: int, nulls: bool = True) -> Table:
    """Numbers come last, so that they are not where they are read."""
    numbers = random.normal(size=n)
    flags = random.integers(0, 2, n).astype(float)
    codes = random.integers(0, 3, n).astype(np.int32)
    if nulls:
        numbers[::7] = np.nan
        codes[::5] = -1
    return Table(
        (
            Column("word", "category", codes=codes, dictionary=("a", "b", "c")),
            Column("flag", "boolean", values=flags),
            Column("other", "category", codes=codes[::-1].copy(), dictionary=("x", "y", "z")),
            Column("number", "numeric", values=numbers),
        )
    )


VALUES: dict[str, list[Any]] = {
    "number": [1.5, 0, -3, 2**60, 2**70, "7.25", "NaN", None, True],
    "flag": [True, False, "t", "false", None, 1],
    "word": ["a", "c", "b  ", "never seen", None],
    "other": ["x", None, "z"],
}


@pytest.mark.parametrize("layout", ["onehot", "ordinal"])
@pytest.mark.parametrize(("n", "nulls"), [(50, True), (5, True), (50, False)])
def test_the_quick_way_is_the_long_way(layout: Any, n: int, nulls: bool) -> None:
    encoder = Encoder.fit(columns(n, nulls), layout)
    weights, bias = random.normal(size=(encoder.n_features, 1)), [0.3]
    scorer = Scorer(stored(encoder, graph.linear_model("classification", weights, bias)))
    quickly = encoder.usual
    assert quickly is not None
    read, n_quick = document.reader(quickly.columns), 0
    for _ in range(500):
        row = {name: known[random.integers(len(known))] for name, known in VALUES.items()}
        numbers, text = encoder.encode_row(row), json.dumps(row)
        values, quick, answer = read(text), scorer.quick(text), scorer.answer(row)
        score = float(np.array(numbers) @ weights[:, 0] + bias[0])
        second = 1 / (1 + math.exp(-score)) if score > -700 else 0.0
        assert answer.probabilities == pytest.approx([1 - second, second], abs=1e-12)
        found = None if values is None else quickly.read(values)
        assert (found is None) == (quick is None)
        if found is not None and quick is not None:
            n_quick += 1
            assert list(quickly.numbers(found)) == numbers
            assert quick.label == answer.label
            assert quick.probabilities == pytest.approx(answer.probabilities, abs=1e-12)
    assert 0 < n_quick < 500


@pytest.mark.parametrize(
    ("row", "error"),
    [
        ({"number": 1, "flag": True, "word": "a"}, errors.MissingFeature),
        ({"number": [], "flag": True, "word": "a", "other": "x"}, errors.InvalidFeatureValue),
        ({"number": "1e999", "flag": True, "word": "a", "other": "x"}, errors.InvalidFeatureValue),
        ({"number": 1, "flag": 2, "word": "a", "other": "x"}, errors.InvalidFeatureValue),
        ({"number": 1, "flag": {}, "word": "a", "other": "x"}, errors.InvalidFeatureValue),
        ({"number": 1, "flag": True, "word": 1, "other": "x"}, errors.InvalidFeatureValue),
    ],
)
def test_what_is_wrong_with_a_row_is_said(row: dict[str, Any], error: type[Exception]) -> None:
    with pytest.raises(error):
        Encoder.fit(columns(50), "onehot").encode_row(row)


def test_dates_and_free_text_have_no_quick_way() -> None:
    table = Table((Column("at", "timestamp", values=np.array([0.0, 1.0])),))
    assert usual(Encoder.fit(table, "ordinal").features) is None


def test_a_graph_that_only_looks_linear_is_left_to_the_runtime() -> None:
    """Attributes are not read; where they matter, the two ways differ on the probes and the runtime's is taken."""
    encoder = Encoder.fit(columns(50), "onehot")
    model = graph.linear_model("classification", random.normal(size=(encoder.n_features, 2)), [0.0, 0.0])
    softmax = next(node for node in model.graph.node if node.op_type == "Softmax")
    softmax.attribute[0].i = 0  # over the rows: of one row each share is 1
    scorer = Scorer(stored(encoder, model))
    assert scorer.answer({name: known[0] for name, known in VALUES.items()}).probabilities == [1.0, 1.0]


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ('{"a": 1, "b": [true, null]}', {"a": 1, "b": [True, None]}),
        (' {"a": 12345678901234567890123} ', {"a": 12345678901234567890123}),
        ('{"a": 1e400}', {"a": math.inf}),
        (r'{"a": "\ud800"}', {"a": "\ud800"}),
        ("[1]", None),
        ("{", None),
        ("[" * 100_000, None),
    ],
)
def test_documents(text: str, found: Any) -> None:
    assert document.parse(text) == found


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('{"number": 1, "word": "a"}', (1.0, "a")),
        (' {"word" : null , "other": [{"word": 1}, 1e999, "\\u0000"], "number": -2.5e3} ', (-2500.0, None)),
        ('{"number": 1, "number": 2, "word": "a", "word": "b"}', (2.0, "b")),
        (r'{"\u006eumber": 123456789012345678901234567890, "word": "\u00e4"}', (1.2345678901234568e29, "ä")),
        ('{"number": 1}', None),
        ('{"number": true, "word": "a"}', None),
        ('{"number": "1", "word": "a"}', None),
        ('{"number": null, "word": "a"}', None),
        ('{"number": 1e999, "word": "a"}', None),
        ('{"number": 1, "word": "a", "other": tru}', None),
        ('{"number": 1, "word": "a"}}', None),
        ('{"number": 1, "word": "a", "other": ' + "[" * 100_000 + "]" * 100_000 + "}", None),
        ('[1, "a"]', None),
    ],
)
def test_values_of_documents(text: str, values: Any) -> None:
    assert document.reader((("number", float), ("word", str | None)))(text) == values


def test_columns_whose_names_json_escapes_have_no_quick_way() -> None:
    name = 'a "word"'
    assert document.reader(((name, float),))(json.dumps({name: 1})) is None


def test_numbers_are_read_as_python_reads_them() -> None:
    read = document.reader((("a", float),))
    for _ in range(2000):
        text = json.dumps({"a": float(random.normal() * 10.0 ** int(random.integers(-300, 300)))})
        assert document.parse(text) == json.loads(text)
        assert read(text) == (json.loads(text)["a"],)
