"""Models whose size is known beforehand: fitted here, and imported."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import psycopg
from lightgbm import LGBMClassifier

from mlshare.convert import graph
from mlshare.convert.trees import Tree, boosted_model, from_lightgbm
from mlshare.encoding import Encoder
from mlshare.table import Column, Table


def boosted(trees: Sequence[Tree], encoder: Encoder) -> bytes:
    """A model file of trees for two classes, "no" and "yes"."""
    manifest = {
        "version": 1, "kind": "encoded", "task": "classification", "target": "y", "target_kind": "category",
        "classes": ["no", "yes"], "algorithm": "LGBMClassifier", "encoder": encoder.to_json(),
    }  # fmt: skip
    return graph.write(boosted_model(trees, encoder.n_features, 2, [0.0]), manifest)


def store(session: psycopg.Connection[Any], handle: str, model: bytes, types: dict[str, str]) -> None:
    """Imports a model file; ``types`` are those of the columns that it takes."""
    metadata = json.dumps({"lineage": {"columns": types}})
    session.execute("CALL sys.ml_model_import(%s, %s, %s)", (model, metadata, handle))


def forest(size: int) -> bytes:
    """A model file of boosted trees on noise, of about ``size`` bytes."""
    random = np.random.default_rng(1)
    x = random.normal(0, 1, (4000, 10))
    y = (random.random(4000) < 0.5).astype(int)
    table = Table(tuple(Column(f"x{i}", "numeric", values=x[:, i]) for i in range(x.shape[1])))
    encoder = Encoder.fit(table, "ordinal")

    def made(n_trees: int) -> bytes:
        model = LGBMClassifier(n_estimators=n_trees, num_leaves=1000, min_child_samples=1, n_jobs=1, verbose=-1)
        text = model.fit(x, y).booster_.model_to_string()
        return boosted(from_lightgbm(text, 1), encoder)

    return made(round(5 * size / len(made(5))))
