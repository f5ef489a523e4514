"""Microseconds per row of compiled functions beside ml_predict_row: python compile.py DSN [ROWS].

The times are wall-clock: on a busy machine compare them with each other only.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable

import numpy as np
import psycopg
import xgboost
from sklearn.linear_model import LogisticRegression

from mlshare.convert import graph
from mlshare.convert.trees import boosted_model, from_xgboost
from mlshare.encoding import Encoder
from mlshare.table import Column, Table

TREES, DEPTH = 100, 6
REPEATS = 5
PYTHON_ROWS = 2000  # of ml_predict_row, which is slower
NUMBERS = ("age", "balance", "day", "duration", "campaign", "pdays", "previous")
STRINGS = {"job": 12, "marital": 3, "education": 4, "in_default": 2, "housing": 2, "loan": 2, "contact": 3, "month": 12,
           "poutcome": 4}  # fmt: skip
NAMES = (*NUMBERS, *STRINGS)
SCHEMA = "mlshare_bench"


def make_table(connection: psycopg.Connection, rows: int) -> None:
    """7 integers and 9 strings, a few of which decide the target."""
    numbers = ", ".join(f"(100 * random() ^ 2)::integer AS {n}" for n in NUMBERS)
    strings = ", ".join(f"'{n}' || floor({k} * random() ^ 2)::integer AS {n}" for n, k in STRINGS.items())
    connection.execute(f"DROP SCHEMA IF EXISTS {SCHEMA} CASCADE; CREATE SCHEMA {SCHEMA}; SELECT setseed(0.5)")
    connection.execute(f"CREATE TABLE {SCHEMA}.rows AS SELECT {numbers}, {strings} FROM generate_series(1, {rows})")
    connection.execute(f"VACUUM ANALYZE {SCHEMA}.rows")


def read(connection: psycopg.Connection) -> Table:
    """At most 20,000 rows, to train on."""
    rows = connection.execute(f"SELECT {', '.join(NAMES)} FROM {SCHEMA}.rows LIMIT 20000").fetchall()
    columns = []
    for name, values in zip(NAMES, zip(*rows, strict=True), strict=True):
        if name in NUMBERS:
            columns.append(Column(name, "numeric", values=np.array(values, dtype=np.float64)))
        else:
            dictionary, codes = np.unique(values, return_inverse=True)
            columns.append(
                Column(name, "category", codes=codes.astype(np.int32), dictionary=tuple(dictionary.tolist()))
            )
    return Table(tuple(columns))


def truth(table: Table) -> np.ndarray:
    score = sum(table[n].values / 50 for n in ("age", "duration", "balance")) + (table["job"].codes % 3)
    return (score + np.random.default_rng(0).normal(size=len(table)) > 3).astype(np.float64)


def linear(table: Table, y: np.ndarray) -> bytes:
    encoder = Encoder.fit(table, "onehot", y)
    model = LogisticRegression(max_iter=2000, C=0.01).fit(encoder.encode(table), y)
    return written(graph.linear_model("classification", model.coef_.T, model.intercept_), encoder)


def trees(table: Table, y: np.ndarray) -> bytes:
    encoder = Encoder.fit(table, "ordinal", y)
    x = encoder.encode(table)
    settings = {"max_depth": DEPTH, "objective": "binary:logistic", "base_score": 0.5, "nthread": 2, "seed": 1}
    booster = xgboost.train(settings, xgboost.DMatrix(x, y), TREES)
    return written(boosted_model(from_xgboost(booster.save_raw("json")), x.shape[1], 2, [0.0]), encoder)


def written(model: object, encoder: Encoder) -> bytes:
    manifest = {"version": 1, "kind": "encoded", "task": "classification", "target": "y", "target_kind": "category",
                "classes": ["no", "yes"], "encoder": encoder.to_json()}  # fmt: skip
    return graph.write(model, manifest)


def store(connection: psycopg.Connection, name: str, raw: bytes) -> None:
    """Imports the model and compiles it to a function of its name."""
    metadata = {"lineage": {"columns": {n: "integer" if n in NUMBERS else "text" for n in NAMES}}}
    connection.execute("CALL sys.ml_create_or_upgrade_catalog()")
    handles = connection.execute(
        "SELECT model_handle FROM " + catalog(connection) + " WHERE model_handle = %s", (f"bench {name}",)
    )
    if handles.fetchone():
        connection.execute("CALL sys.ml_model_drop(%s)", (f"bench {name}",))
    connection.execute("CALL sys.ml_model_import(%s, %s, %s)", (raw, json.dumps(metadata), f"bench {name}"))
    options = json.dumps({"output": "probability"})
    connection.execute("CALL sys.ml_model_compile(%s, %s, %s)", (f"bench {name}", f"{SCHEMA}.{name}", options))


def catalog(connection: psycopg.Connection) -> str:
    return psycopg.sql.Identifier(f"ml_schema_{connection.info.user}", "model_catalog").as_string(connection)


def best(run: Callable[[], object]) -> float:
    """The shortest of some runs, in seconds: other processes can only make one longer."""
    seconds = []
    for _ in range(REPEATS):
        start = time.perf_counter()
        run()
        seconds.append(time.perf_counter() - start)
    return min(seconds)


def measure(connection: psycopg.Connection, rows: int) -> list[tuple[str, float]]:
    """What was run, and how many microseconds a row took above reading it."""
    source, arguments = f"{SCHEMA}.rows", ", ".join(NAMES)

    def seconds(expression: str, limit: int = rows) -> float:
        query = f"SELECT sum({expression}) FROM (SELECT * FROM {source} LIMIT {limit}) AS t"
        return best(
            lambda: connection.execute(query if limit < rows else f"SELECT sum({expression}) FROM {source} AS t")
        )

    found = []
    connection.execute("SET jit = off; SET max_parallel_workers_per_gather = 0")
    floor = {n: seconds("age", n) for n in (rows, PYTHON_ROWS)}
    for name in ("linear", "trees"):
        found.append((f"{name}: compiled", (seconds(f"{SCHEMA}.{name}({arguments})") - floor[rows]) / rows))
        one = seconds(f"{SCHEMA}.{name}({arguments})", 1)
        found.append((f"{name}: compiled, one row in a statement", one))
        python = f"(sys.ml_predict_row(to_jsonb(t), 'bench {name}') #>> '{{ml_results,probabilities,yes}}')::float8"
        found.append((f"{name}: ml_predict_row", (seconds(python, PYTHON_ROWS) - floor[PYTHON_ROWS]) / PYTHON_ROWS))
    connection.execute("SET max_parallel_workers_per_gather = 2; SET parallel_setup_cost = 0")
    for name in ("linear", "trees"):
        found.append((f"{name}: compiled, parallel plan", (seconds(f"{SCHEMA}.{name}({arguments})")) / rows))
    return [(what, value * 1e6) for what, value in found]


def main() -> None:
    rows = int(sys.argv[2]) if len(sys.argv) > 2 else 50_000
    with psycopg.connect(sys.argv[1], autocommit=True) as connection:
        make_table(connection, rows)
        table = read(connection)
        y = truth(table)
        for name, raw in (("linear", linear(table, y)), ("trees", trees(table, y))):
            store(connection, name, raw)
        print(f"{rows} rows of 7 integers and 9 strings, {TREES} trees of depth {DEPTH}")
        print(f"{'':42} µs per row")
        for what, value in measure(connection, rows):
            print(f"{what:42} {value:10.2f}")
        connection.execute(f"DROP SCHEMA {SCHEMA} CASCADE")


if __name__ == "__main__":
    main()
