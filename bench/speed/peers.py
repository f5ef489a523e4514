"""Other ways to the same result: what a user would write around a database that cannot score by itself."""

from __future__ import annotations

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import onnxruntime as ort
import pandas as pd
import psycopg
import pyarrow as pa
import pyarrow.compute
import pyarrow.csv
from adbc_driver_postgresql import dbapi
from data import CATEGORIES, SAMPLE, TARGET, Kind, batches
from lightgbm import LGBMClassifier
from place import Place
from sklearn.compose import make_column_transformer
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import OneHotEncoder, OrdinalEncoder, StandardScaler

from mlshare.convert.trees import boosted_model, from_lightgbm

OUTPUT = "peer_output"
Predict = Callable[[Any], Any]  # the matrix of a batch -> probabilities [n, 2]


@dataclass(frozen=True)
class Models:
    """The same family of model as two clients would keep it: of DataFrames, and of a matrix of codes."""

    of_frames: Any
    of_codes: Predict
    labels: tuple[str, ...]


def fitted(kind: Kind, family: str, parameters: dict[str, Any]) -> Models:
    """Models of a family with the parameters that the search inside the database has found."""
    sample = next(batches(kind, SAMPLE))
    frame, target = sample.select(kind.names).to_pandas(), sample[TARGET].to_pandas()
    named = make_pipeline(_encoder(kind, family), _estimator(family, parameters)).fit(frame, target)
    of_codes = _by_coefficients(kind, named) if family == "linear" else _by_runtime(kind, sample, target, parameters)
    return Models(named, of_codes, tuple(named.classes_))


def _estimator(family: str, parameters: dict[str, Any]) -> Any:
    if family == "linear":
        return LogisticRegression(max_iter=1000, **parameters)
    return LGBMClassifier(verbose=-1, n_jobs=os.cpu_count(), random_state=0, **parameters)


def _encoder(kind: Kind, family: str) -> Any:
    texts = [n for n, t in kind.columns if t == "text"]
    numbers = [n for n, t in kind.columns if t != "text"]
    known = [list(CATEGORIES[n]) for n in texts]
    if family == "linear":
        return make_column_transformer(
            (OneHotEncoder(categories=known, handle_unknown="ignore", sparse_output=False), texts),
            (StandardScaler(), numbers),
        )
    ordinal = OrdinalEncoder(categories=known, handle_unknown="use_encoded_value", unknown_value=-1)
    return make_column_transformer((ordinal, texts), ("passthrough", numbers))


def _by_coefficients(kind: Kind, pipeline: Any) -> Predict:
    """A linear model as an expert would run it: one look-up for each text, one product for the numbers."""
    encoder, model = pipeline[0], pipeline[-1]
    weights = model.coef_[0]
    texts = [(i, CATEGORIES[n]) for i, (n, t) in enumerate(kind.columns) if t == "text"]
    places = [i for i, (_, t) in enumerate(kind.columns) if t != "text"]
    ends = np.cumsum([len(known) for _, known in texts], dtype=int).tolist()
    tables = [(i, np.append(weights[e - len(k) : e], 0.0)) for (i, k), e in zip(texts, ends, strict=True)]
    scaler = encoder.transformers_[-1][1]
    slopes = weights[len(weights) - len(places) :] / scaler.scale_
    base = float(model.intercept_[0] - scaler.mean_ @ slopes)

    def predict(x: Any) -> Any:
        score = base + x[:, places] @ slopes
        for i, table in tables:
            score += table[x[:, i].astype(np.int32)]
        positive = 1 / (1 + np.exp(-score))
        return np.stack([1 - positive, positive], axis=1)

    return predict


def _by_runtime(kind: Kind, sample: pa.Table, target: Any, parameters: dict[str, Any]) -> Predict:
    """Boosted trees on codes, in ONNX Runtime on all cores."""
    model = _estimator("boosted", parameters).fit(matrix(kind, sample), target)
    trees = from_lightgbm(model.booster_.model_to_string(), 1)
    graph = boosted_model(trees, len(kind.columns), 2, [0.0])
    opened = ort.InferenceSession(graph.SerializeToString(), providers=["CPUExecutionProvider"])
    return lambda x: opened.run(["probabilities"], {"features": x})[0]


def ready(kind: Kind, rows: int) -> Any:
    """The matrix of the whole table, in memory."""
    return np.concatenate([matrix(kind, batch) for batch in batches(kind, rows)])


def matrix(kind: Kind, rows: pa.Table) -> Any:
    """float64 [n, width]: numbers, and of texts the position among the known ones (-1: unknown)."""
    out = np.empty((len(rows), len(kind.columns)))
    for i, (name, type_name) in enumerate(kind.columns):
        column = rows[name]
        if type_name == "text":
            column = pa.compute.fill_null(pa.compute.index_in(column, pa.array(CATEGORIES[name])), -1)
        out[:, i] = column.to_numpy()
    return out


# --- paths -----------------------------------------------------------------------------------------


def naive(place: Place, kind: Kind, models: Models) -> None:
    """COPY as text, pandas, the pipeline on the DataFrame, documents made row by row, COPY back."""
    with place.session() as session:
        frame = pd.read_csv(io.BytesIO(_copied(session, kind)), names=[n for n, _ in _own(kind)], keep_default_na=False)
        probabilities = models.of_frames.predict_proba(frame[list(kind.names)])
        chosen = probabilities.argmax(axis=1)
        frame["prediction"] = [models.labels[i] for i in chosen]
        frame["ml_results"] = [
            _document(models.labels, label, row) for label, row in zip(chosen, probabilities.round(4), strict=True)
        ]
        _make(session, kind)
        with session.cursor().copy(f"COPY {OUTPUT} FROM STDIN (FORMAT csv)".encode()) as copy:
            copy.write(frame.to_csv(index=False, header=False))


def expert(place: Place, kind: Kind, models: Models) -> None:
    """COPY as CSV read by pyarrow, ONNX Runtime on codes, each distinct document made once, COPY back."""
    with place.session() as session:
        options = pa.csv.ReadOptions(column_names=[n for n, _ in _own(kind)])
        rows = pa.csv.read_csv(pa.BufferReader(_copied(session, kind)), options)
        write_back(session, kind, with_results(kind, rows, models))


def adbc(place: Place, kind: Kind, models: Models) -> None:
    """The table as Arrow by ADBC, then as the expert does."""
    rows = _arrow(place, kind)
    with place.session() as session:
        write_back(session, kind, with_results(kind, rows, models))


def duckdb(place: Place, kind: Kind, models: Models) -> None:
    """The table as Arrow into DuckDB, a query with the model as an Arrow function, COPY back."""
    import duckdb as duck

    rows = _arrow(place, kind)
    with duck.connect() as connection:
        types = {n: {"integer": "INTEGER", "text": "VARCHAR"}.get(t, "DOUBLE") for n, t in kind.columns}

        def score(row: Any) -> Any:
            return pa.array(models.of_codes(matrix(kind, pa.Table.from_struct_array(row)))[:, 1])

        connection.create_function("score", score, [duck.struct_type(types)], "DOUBLE", type="arrow")
        connection.register("rows", rows)
        packed = ", ".join(f'"{n}" := "{n}"' for n in kind.names)
        relation = connection.sql(f"SELECT *, score(struct_pack({packed})) AS p FROM rows").to_arrow_table()
    positive = relation["p"].to_numpy()
    probabilities = np.stack([1 - positive, positive], axis=1)
    with place.session() as session:
        write_back(session, kind, _results(relation.drop(["p"]), probabilities, models))


PATHS = {"naive client": naive, "expert client": expert, "ADBC client": adbc, "DuckDB with an Arrow UDF": duckdb}


# --- parts of the paths ----------------------------------------------------------------------------


def with_results(kind: Kind, rows: pa.Table, models: Models) -> pa.Table:
    """The rows with prediction and ml_results."""
    return _results(rows, models.of_codes(matrix(kind, rows)), models)


def _results(rows: pa.Table, probabilities: Any, models: Models) -> pa.Table:
    shares = np.rint(probabilities[:, 1] * 10_000).astype(np.int32)
    chosen = (probabilities[:, 1] > 0.5).astype(np.int32)
    present, position = np.unique(2 * shares + chosen, return_inverse=True)
    documents = [
        _document(models.labels, code % 2, (1 - code // 2 / 10_000, code // 2 / 10_000)) for code in present.tolist()
    ]
    coded = pa.DictionaryArray.from_arrays
    rows = rows.append_column("prediction", coded(pa.array(chosen), pa.array(models.labels)).cast(pa.string()))
    return rows.append_column("ml_results", coded(pa.array(position.astype(np.int32)), documents).cast(pa.string()))


def _document(labels: tuple[str, ...], label: int, probabilities: Any) -> str:
    shares = ", ".join(f'"{n}": {round(float(p), 4)!r}' for n, p in zip(labels, probabilities, strict=True))
    return f'{{"predictions": {{"{TARGET}": "{labels[label]}"}}, "probabilities": {{{shares}}}}}'


def write_back(session: psycopg.Connection[Any], kind: Kind, rows: pa.Table) -> None:
    """COPY as CSV written by pyarrow; as binary where all columns but the last ones are float8."""
    _make(session, kind)
    if all(t == "double precision" for _, t in kind.columns):
        with session.cursor().copy(f"COPY {OUTPUT} FROM STDIN (FORMAT binary)".encode()) as copy:
            copy.write(b"PGCOPY\n\xff\r\n\0" + bytes(8))
            _write_binary(copy, kind, rows)
            copy.write(struct.pack(">h", -1))
        return
    sink = pa.BufferOutputStream()
    pa.csv.write_csv(rows, sink, pa.csv.WriteOptions(include_header=False))
    with session.cursor().copy(f"COPY {OUTPUT} FROM STDIN (FORMAT csv)".encode()) as copy:
        copy.write(memoryview(sink.getvalue()))


def _write_binary(copy: psycopg.Copy, kind: Kind, rows: pa.Table) -> None:
    """Records of equal length at once: one run for each distinct length of the texts at the end of a row."""
    labels, documents = (rows[n].to_pylist() for n in ("prediction", "ml_results"))
    fixed = np.empty(len(rows), [("n", ">i2"), *((f"{p}{n}", t) for n in kind.names for p, t in _FIELD)])
    fixed["n"] = len(kind.columns) + 2
    for name in kind.names:
        fixed[f"l{name}"], fixed[f"v{name}"] = 8, rows[name].to_numpy()
    raw, width = fixed.tobytes(), fixed.itemsize
    tails = {key: _tail(*key) for key in set(zip(labels, documents, strict=True))}
    pieces: list[bytes] = []
    for i, key in enumerate(zip(labels, documents, strict=True)):
        pieces += (raw[i * width : (i + 1) * width], tails[key])
    copy.write(b"".join(pieces))


_FIELD = (("l", ">i4"), ("v", ">f8"))


def _tail(label: str, document: str) -> bytes:
    text = document.encode()
    return struct.pack(">i", len(label)) + label.encode() + struct.pack(">iB", len(text) + 1, 1) + text


def _own(kind: Kind) -> list[tuple[str, str]]:
    return [*kind.columns, *[(TARGET, "text")][: kind.name == "bank"]]


def _copied(session: psycopg.Connection[Any], kind: Kind) -> bytes:
    with session.cursor().copy(f"COPY {kind.name} TO STDOUT (FORMAT csv)".encode()) as copy:
        return b"".join(copy)


def _arrow(place: Place, kind: Kind) -> pa.Table:
    with dbapi.connect(place.url) as connection, connection.cursor() as cursor:
        cursor.execute(f"SELECT * FROM {kind.name}")
        return cursor.fetch_arrow_table()


def _make(session: psycopg.Connection[Any], kind: Kind) -> None:
    columns = ", ".join(f'"{n}" {t}' for n, t in [*_own(kind), ("prediction", "text"), ("ml_results", "jsonb")])
    session.execute(f"CREATE TABLE {OUTPUT} ({columns})".encode())
