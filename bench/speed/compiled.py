"""Models written as SQL functions: microseconds per row, beside sys.ml_predict_row."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import data
import made
import numpy as np
import psycopg
import pyarrow as pa
import xgboost
from lightgbm import LGBMClassifier
from numpy.typing import NDArray
from place import Place, seconds
from report import Row, at_most

from mlshare.convert.trees import Tree, from_lightgbm, from_xgboost
from mlshare.encoding import Encoder
from mlshare.table import Column, Table

TREES, DEPTH = 100, 6
LINEAR_BOUND, TREES_BOUND = 1.0, 10.0
REPEATS = 5


def measure(place: Place, rows: int) -> Iterator[Row]:
    """Of the first rows of the bank table, and the linear model that was trained for it."""
    kind = data.bank()
    with place.session() as session:
        session.execute(f"CREATE TABLE some_rows AS SELECT * FROM {kind.name} LIMIT {rows}".encode())
        session.execute("VACUUM ANALYZE some_rows")
        session.execute("SET jit = off; SET parallel_setup_cost = 0; SET min_parallel_table_scan_size = 0")
        encoder, ensembles = fitted(kind)
        yield from of_model(session, f"{kind.name}_linear", "compiled linear model", kind, rows, LINEAR_BOUND)
        for library, trees in ensembles.items():
            handle = library.lower()
            made.store(session, handle, made.boosted(trees, encoder), dict(kind.columns))
            leaves = max(int((tree.left < 0).sum()) for tree in trees)
            title = f"compiled, {TREES} trees of depth {DEPTH} with up to {leaves} leaves ({library})"
            yield from of_model(session, handle, title, kind, rows, TREES_BOUND)


def of_model(
    session: psycopg.Connection[Any], handle: str, title: str, kind: data.Kind, rows: int, bound: float
) -> Iterator[Row]:
    """What one model costs, above reading the table: by one process, by several, and not compiled."""
    function = f"of_{handle}"
    session.execute(
        "CALL sys.ml_model_compile(%s, %s, %s)", (handle, f"public.{function}", '{"output": "probability"}')
    )
    columns = ", ".join(f't."{name}"' for name in kind.names)
    call = f"{function}({columns})"

    def timed(expression: str, source: str = "some_rows", n: int = rows) -> float:
        query = f"SELECT sum({expression}) FROM {source} AS t".encode()
        # The shortest of some: other processes can only make one longer.
        return 1e6 * min(seconds(lambda: session.execute(query)) for _ in range(REPEATS)) / n

    session.execute("SET max_parallel_workers_per_gather = 0")
    reading = timed("t.age")
    yield at_most(title, timed(call) - reading, "µs per row", bound)
    yield Row(f"{title}: one row in a statement", timed(call, "(SELECT * FROM some_rows LIMIT 1)", 1), "µs")
    answer = f"(sys.ml_predict_row(t, '{handle}') #>> '{{ml_results,probabilities,yes}}')::float8"
    yield Row(f"{title}: ml_predict_row(t, …)", timed(answer) - reading, "µs per row")
    session.execute("SET max_parallel_workers_per_gather = 2")
    yield Row(f"{title}: parallel plan", timed(call), "µs per row")


def fitted(kind: data.Kind) -> tuple[Encoder, dict[str, list[Tree]]]:
    """An encoder and ensembles of two libraries, of the sample."""
    sample = next(data.batches(kind, data.SAMPLE))
    truth = np.asarray(sample[data.TARGET].to_pylist()) == "yes"
    table = Table(tuple(column(sample, name, type_name) for name, type_name in kind.columns))
    encoder = Encoder.fit(table, "ordinal", truth.astype(np.float64))
    x = encoder.encode(table)
    return encoder, {"LightGBM": by_lightgbm(x, truth), "XGBoost": by_xgboost(x, truth)}


def column(sample: pa.Table, name: str, type_name: str) -> Column:
    """A column of the sample as mlshare reads it."""
    values = sample[name].to_numpy()
    if type_name != "text":
        return Column(name, "numeric", values=values.astype(np.float64))
    dictionary, codes = np.unique(values.astype(str), return_inverse=True)
    return Column(name, "category", codes=codes.astype(np.int32), dictionary=tuple(dictionary.tolist()))


def by_lightgbm(x: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[Tree]:
    """As many leaves as LightGBM makes unless told otherwise: 31."""
    model = LGBMClassifier(n_estimators=TREES, max_depth=DEPTH, n_jobs=1, verbose=-1, random_state=1).fit(x, truth)
    return from_lightgbm(model.booster_.model_to_string(), 1)


def by_xgboost(x: NDArray[np.float64], truth: NDArray[np.bool_]) -> list[Tree]:
    """As many leaves as the depth allows, where there are rows for them."""
    settings = {"max_depth": DEPTH, "objective": "binary:logistic", "base_score": 0.5, "nthread": 1, "seed": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(x, truth.astype(np.float64)), TREES)
    return from_xgboost(booster.save_raw("json"))
