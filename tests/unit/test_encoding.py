"""The encoder: one row and a batch agree, JSON round trip, unknown and missing values."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import numpy as np
import pytest

from mlshare import errors
from mlshare.encoding import Encoder, Layout
from mlshare.modelfile import raw_row
from mlshare.table import Table
from unit.learning import FEATURES, mixed, numbers, only, strings

TABLE = only(mixed(300), *FEATURES)


@pytest.mark.parametrize("layout", ["onehot", "ordinal"])
def test_rows_and_batches_agree_exactly(layout: Layout) -> None:
    encoder = Encoder.from_json(json.loads(json.dumps(Encoder.fit(TABLE, layout).to_json())))
    assert encoder == Encoder.fit(TABLE, layout)
    batch = encoder.encode(TABLE)
    assert batch.shape == (300, encoder.n_features)
    assert np.isfinite(batch).all()
    for i in range(300):
        row = json.loads(json.dumps(raw_row(TABLE, i)))
        assert np.array_equal(encoder.encode_row(row), batch[i])


def test_null_takes_mean_and_most_frequent_and_raises_a_flag() -> None:
    table = Table((numbers("n", [1, 3, None, 2]), strings("c", ["x", "x", None, "y"])))
    encoder = Encoder.fit(table, "onehot")
    assert encoder.feature_names == ("n", "n is null", "c=x", "c=y", "c is null")
    assert encoder.encode(table)[2].tolist() == [2.0, 1.0, 1.0, 0.0, 1.0]
    assert encoder.encode_row({"n": None, "c": None}) == [2.0, 1.0, 1.0, 0.0, 1.0]


def test_unknown_category() -> None:
    table = Table((strings("c", ["x", "x", "y"]),))
    assert Encoder.fit(table, "onehot").encode_row({"c": "z"}) == [0.0, 0.0]
    assert Encoder.fit(table, "ordinal").encode_row({"c": "z"}) == [-1.0]
    other = Table((strings("c", ["z", "y"]),))
    assert Encoder.fit(table, "ordinal").encode(other)[:, 0].tolist() == [-1.0, 0.0]


def test_order_by_target() -> None:
    table = Table((strings("c", ["x"] * 30 + ["y"] * 20),))
    encoder = Encoder.fit(table, "ordinal", np.array([0.0] * 30 + [1.0] * 20))
    assert encoder.encode(table)[[0, -1], 0].tolist() == [0.0, 1.0]


def test_many_categories_are_capped() -> None:
    table = Table((strings("c", [f"v{i % 400}" for i in range(1000)]),))
    assert Encoder.fit(table, "onehot").n_features == 255
    assert Encoder.fit(table, "ordinal").n_features == 1
    assert Encoder.fit(table, "onehot", cells=20_000).n_features == 20


def test_calendar_before_1970_and_time_zones() -> None:
    table = Table((numbers("at", [-1.0, 86400.0 * 59 + 3600 * 5], "timestamp"),))
    encoder = Encoder.fit(table, "ordinal")
    assert encoder.encode(table)[:, 1:].tolist() == [[1969, 12, 31, 2, 23], [1970, 3, 1, 6, 5]]
    zoned = encoder.encode_row({"at": "1970-03-01T07:00:00+02:00"})
    assert zoned == encoder.encode(table)[1].tolist()


@pytest.mark.parametrize(
    ("column", "value"),
    [
        ("a", "many"), ("a", "Infinity"), ("a", [1]), ("a", 10**400), ("flag", 2), ("flag", "maybe"),
        ("day", "soon"), ("day", 5), ("color", 1), ("words", {}), ("flag", []),
    ],
)  # fmt: skip
def test_wrong_values_are_refused(column: str, value: Any) -> None:
    row = raw_row(TABLE, 0) | {column: value}
    with pytest.raises(errors.InvalidFeatureValue):
        Encoder.fit(TABLE, "onehot").encode_row(row)


def test_numbers_may_come_as_strings() -> None:
    encoder = Encoder.fit(Table((numbers("n", [1, 2]),)), "onehot")
    assert encoder.encode_row({"n": "1.5"}) == [1.5]
    assert encoder.encode_row({"n": "NaN"}) == [1.5]
    assert encoder.encode_row({"n": 2**70}) == [2.0**70]


def test_a_boolean_may_stand_for_a_number() -> None:
    encoder = Encoder.fit(Table((numbers("n", [1, 2]),)), "onehot")
    assert encoder.encode_row({"n": True}) == [1.0]
    assert encoder.encode(Table((numbers("n", [1], "boolean"),))).tolist() == [[1.0]]


def test_missing_column_wrong_kind_and_infinity() -> None:
    encoder = Encoder.fit(TABLE, "onehot")
    with pytest.raises(errors.MissingFeature, match='"color"'):
        encoder.encode_row({k: v for k, v in raw_row(TABLE, 0).items() if k != "color"})
    with pytest.raises(errors.MissingFeature):
        encoder.encode(only(TABLE, "a"))
    own = Encoder.fit(only(TABLE, "a"), "onehot")
    with pytest.raises(errors.FeatureTypeMismatch):
        own.encode(Table((strings("a", ["x"]),)))
    with pytest.raises(errors.InvalidFeatureValue):
        own.encode(Table((numbers("a", [np.inf]),)))
    with pytest.raises(errors.TrainingDataError, match="infinity"):
        Encoder.fit(Table((numbers("a", [1, np.inf]),)), "onehot")


def test_text_is_weighted_to_length_one() -> None:
    table = Table((strings("t", ["Red apple", "red PEAR, pear!", "blue pear", None], "text"),))
    encoder = Encoder.fit(table, "onehot")
    assert encoder.feature_names == ("t~pear", "t~red")
    rows = encoder.encode(table)
    assert np.linalg.norm(rows, axis=1).tolist() == pytest.approx([1, 1, 1, 0])
    assert encoder.encode_row({"t": None}) == [0.0, 0.0]


GOOD: dict[str, Any] = Encoder.fit(TABLE, "onehot").to_json()


@pytest.mark.parametrize(
    "document",
    [
        None, [], {}, {"version": 2, "features": GOOD["features"]}, {"version": 1, "features": []},
        {"version": 1, "features": GOOD["features"] * 2}, {"version": 1, "features": [{"name": "x"}]},
        {"version": 1, "features": [{"name": "x", "kind": "array", "impute": 0, "flag": False}]},
        {"version": 1, "features": [{"name": "x", "kind": "numeric", "impute": float("nan"), "flag": False}]},
        {"version": 1, "features": [{"name": "x", "kind": "numeric", "impute": "0", "flag": False}]},
        {"version": 1, "features": [{"name": "x", "kind": "text", "words": ["a"], "idf": []}]},
        {"version": 1, "features": [{"name": 1, "kind": "text", "words": [], "idf": []}]},
    ],
)  # fmt: skip
def test_damaged_documents_are_refused(document: Any) -> None:
    with pytest.raises(errors.InvalidModelMetadata):
        Encoder.from_json(document)


def test_scoring_side_imports_only_numpy() -> None:
    code = (
        "import sys, mlshare.encoding, mlshare.metrics, mlshare.estimators.registry;"
        "print([m for m in ('sklearn','pandas','scipy','lightgbm','xgboost','onnx','optuna') if m in sys.modules])"
    )
    run = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert run.stdout.strip() == "[]"
