"""The documents of a table's rows, each made once."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from mlshare.prediction import Prediction
from mlshare.results import Codebook, Results

RNG = np.random.default_rng(0)


def _results(n_classes: int) -> Results:
    return Results(SimpleNamespace(classes=[f"c{i}" for i in range(n_classes)], target="y"))  # type: ignore[arg-type]


def _prediction(probabilities: np.ndarray) -> Prediction:
    return Prediction(probabilities=probabilities, labels=probabilities.argmax(axis=1).astype(np.int32))


def _document(prediction: Prediction, row: int) -> dict[str, object]:
    assert prediction.probabilities is not None
    assert prediction.labels is not None
    shares = {f"c{i}": round(p, 4) for i, p in enumerate(prediction.probabilities[row].tolist())}
    return {"predictions": {"y": f"c{prediction.labels[row]}"}, "probabilities": shares}


@pytest.mark.parametrize(("n_classes", "filled"), [(2, False), (2, True), (3, False)])
def test_documents(n_classes: int, filled: bool) -> None:
    """Batch after batch; also of sums that miss one by the last digit, or (of another maker's model) by far."""
    codebook = Codebook(_results(n_classes))
    if filled:
        codebook.fill(None)
    near = RNG.dirichlet(np.ones(n_classes), 3000)
    last_digit = near[:2].round(4)
    last_digit[:, 0] += (0.0001, -0.0001)
    batches = [near[:1000], near[500:], last_digit, np.full((1, n_classes), 0.9), near[:10]]
    for probabilities in batches:
        prediction = _prediction(probabilities)
        codes = codebook.encode(prediction)
        for row, code in enumerate(codes.tolist()):
            assert json.loads(codebook.documents[code]) == _document(prediction, row)
    if n_classes == 2:
        assert len(codebook.documents) < 10_002 + 10


def test_rows_without_a_prediction() -> None:
    codebook = Codebook(_results(2))
    prediction = _prediction(np.array([[0.25, 0.75], [1.0, 0.0]]))
    assert prediction.labels is not None
    prediction.labels[0] = -1
    assert codebook.encode(prediction).tolist() == [-1, 0]
    assert json.loads(codebook.documents[0])["predictions"] == {"y": "c0"}
