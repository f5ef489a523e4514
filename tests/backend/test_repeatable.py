"""The same seed and data give the same model, byte for byte."""

from __future__ import annotations

from typing import Any

import psycopg

from backend import calls, world
from backend.calls import catalog, metadata, value

COLUMNS = {"exclude_column_list": ["id", *(t for t in world.TARGETS if t != "t_int")]}
SIMPLE = {"model_list": ["GaussianNB"], **world.QUICK, **COLUMNS}
FOREST = {"model_list": ["RandomForestClassifier"], **world.QUICK, **COLUMNS}


def model_bytes(connection: psycopg.Connection, options: dict[str, Any], handle: str) -> bytes:
    """The stored object of a new model."""
    calls.train(connection, "shop.goods", "t_int", options, handle)
    stored = f"SELECT string_agg(model_object, '' ORDER BY chunk_id) FROM {catalog(connection)}.model_object_catalog"
    return bytes(value(connection, stored + " WHERE model_handle = %s", handle))


def test_a_whole_search_is_repeatable(owner: psycopg.Connection) -> None:
    options = {"model_list": ["GaussianNB", "DecisionTreeClassifier"], **COLUMNS}
    first, second = (model_bytes(owner, options, handle) for handle in ("one", "two"))
    assert first == second
    same = ("hyperparameters", "training_score", "model_explanation", "object_sha256", "golden")
    assert {k: metadata(owner, "one")[k] for k in same} == {k: metadata(owner, "two")[k] for k in same}
    assert not metadata(owner, "one")["training_params"]["stopped_by_time"]


def test_the_seed_counts(owner: psycopg.Connection) -> None:
    seeds = {"zero": 0, "five": 5}
    found = {name: model_bytes(owner, {**FOREST, "random_state": seed}, name) for name, seed in seeds.items()}
    assert found["zero"] != found["five"]
    assert metadata(owner, "five")["training_params"]["random_state"] == 5


def test_the_data_count(owner: psycopg.Connection) -> None:
    before = model_bytes(owner, SIMPLE, "before")
    owner.execute("UPDATE shop.goods SET a = a + 1 WHERE id < 40")
    assert model_bytes(owner, SIMPLE, "after") != before
