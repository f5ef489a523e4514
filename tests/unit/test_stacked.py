"""Many linear classifiers at once say what each of them says."""

from __future__ import annotations

import numpy as np
import pytest

from mlshare import errors
from mlshare.convert import graph
from mlshare.encoding import Encoder
from mlshare.scorer import Scorer
from mlshare.stacked import Stack
from mlshare.table import Column, Table

random = np.random.default_rng(8)
N, MODELS = 5000, 7


def table(n: int, nulls: bool = True, word: bool = False) -> Table:
    """Numbers of three sizes, the second with NULLs, and a boolean; with ``word`` a string, too."""
    numbers = [random.normal(size=n) * scale for scale in (1.0, 1e6, 1e-6)]
    numbers[1][::5] = np.nan if nulls else 0.0
    flag = random.integers(0, 2, n).astype(float)
    flag[::11] = np.nan if nulls else 1.0
    columns = [Column(f"x{i}", "numeric", values=values) for i, values in enumerate(numbers)]
    words = [Column("word", "category", codes=random.integers(0, 2, n).astype(np.int32), dictionary=("a", "b"))]
    return Table((*columns, Column("flag", "boolean", values=flag), *(words if word else [])))


def model(fitted: Table, n_classes: int = 2) -> Scorer:
    """A linear classifier with an encoder of its own."""
    encoder = Encoder.fit(fitted, "onehot")
    width, n_scores = encoder.n_features, 1 if n_classes == 2 else n_classes
    made = graph.linear_model("classification", random.normal(size=(width, n_scores)), random.normal(size=n_scores))
    manifest = {
        "version": 1, "kind": "encoded", "task": "classification", "target": "y", "target_kind": "category",
        "classes": [f"c{i}" for i in range(n_classes)], "algorithm": "LogisticRegression", "encoder": encoder.to_json(),
    }  # fmt: skip
    return Scorer(graph.write(made, manifest))


def stack(scorers: list[Scorer]) -> Stack:
    found = Stack.of([s.terms for s in scorers if s.terms is not None])
    assert found is not None and len(found.starts) == len(scorers)
    return found


@pytest.mark.parametrize("n", [0, 1, N, 40_000])
def test_a_stack_says_what_its_models_say(n: int) -> None:
    scorers = [model(table(200)) for _ in range(MODELS)]
    given, by = table(n), random.integers(0, MODELS, n)
    rows = np.flatnonzero(random.random(n) < 0.8)
    found = stack(scorers).probabilities(given, rows, by[rows])
    expected = np.stack([s.predict(given).probabilities for s in scorers])[by[rows], rows] if n else np.empty((0, 2))
    np.testing.assert_allclose(found, expected, rtol=1e-12, atol=1e-12)


def test_scores_of_any_size_have_probabilities() -> None:
    given = Table((Column("x", "numeric", values=np.array([-1e300, -750.0, 0.0, 750.0, 1e300])),))
    found = stack([model(Table((Column("x", "numeric", values=np.arange(9.0)),)))])
    shares = found.probabilities(given, np.arange(5), np.zeros(5, np.int64))
    assert np.isfinite(shares).all() and set(shares[[0, -1]].ravel().tolist()) == {0.0, 1.0}


def test_infinity_is_refused_where_it_is_asked_for() -> None:
    scorer, given = model(table(200)), table(10, nulls=False)
    given["x0"].values[3] = np.inf
    found, zeros = stack([scorer]), np.zeros(10, np.int64)
    found.probabilities(given, np.arange(3), zeros[:3])
    with pytest.raises(errors.InvalidFeatureValue):
        found.probabilities(given, np.arange(10), zeros)
    words = Table((Column("x0", "category", codes=np.zeros(1, np.int32), dictionary=("a",)), *table(1).columns[1:]))
    with pytest.raises(errors.FeatureTypeMismatch):
        found.probabilities(words, np.arange(1), zeros[:1])


def test_other_models_have_no_terms() -> None:
    assert model(table(200, word=True)).terms is None
    assert model(table(200), n_classes=3).terms is None
    one, other = model(table(200)), model(Table(table(200).columns[:2]))
    assert one.terms is not None and other.terms is not None and Stack.of([one.terms, other.terms]) is None
