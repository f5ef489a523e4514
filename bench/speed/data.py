"""Tables to score, made from a seed: like the Bank Marketing data (7 int4, 9 text), and 30 float8."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
import pyarrow as pa
import pyarrow.csv

SEED = 20_000
CHUNK = 100_000  # rows made at a time
SAMPLE = 20_000  # rows that models are trained on
TARGET = "y"
MONTHS = ("apr", "aug", "dec", "feb", "jan", "jul", "jun", "mar", "may", "nov", "oct", "sep")
JOBS = ("admin.", "blue-collar", "entrepreneur", "housemaid", "management", "retired", "self-employed", "services")
CATEGORIES = {
    "job": (*JOBS, "student", "technician", "unemployed", "unknown"),
    "marital": ("divorced", "married", "single"),
    "education": ("primary", "secondary", "tertiary", "unknown"),
    "default": ("no", "yes"),
    "housing": ("no", "yes"),
    "loan": ("no", "yes"),
    "contact": ("cellular", "telephone", "unknown"),
    "month": MONTHS,
    "poutcome": ("failure", "other", "success", "unknown"),
}
INTEGERS = ("age", "balance", "day", "duration", "campaign", "pdays", "previous")


@dataclass(frozen=True)
class Kind:
    """A kind of table: its feature columns with their types."""

    name: str
    columns: tuple[tuple[str, str], ...]

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the feature columns."""
        return tuple(name for name, _ in self.columns)

    @property
    def matrix_bytes(self) -> int:
        """Bytes of one row as float64."""
        return 8 * len(self.columns)


def bank() -> Kind:
    """7 int4 and 9 text columns."""
    return Kind("bank", (*((n, "integer") for n in INTEGERS), *((n, "text") for n in CATEGORIES)))


def numeric(width: int = 30) -> Kind:
    """float8 columns."""
    return Kind("numeric", tuple((f"x{i}", "double precision") for i in range(width)))


def batches(kind: Kind, rows: int, seed: int = SEED) -> Iterator[pa.Table]:
    """Rows with the target, in batches; the same for the same seed."""
    for start in range(0, rows, CHUNK):
        random = np.random.default_rng([seed, start, len(kind.columns)])
        make = _bank if kind.name == "bank" else _numeric
        yield make(kind, min(CHUNK, rows - start), random)


def _bank(_kind: Kind, n: int, random: np.random.Generator) -> pa.Table:
    duration = random.lognormal(5.2, 0.9, n).astype(np.int32)
    before = random.random(n) < 0.18
    numbers = {
        "age": np.clip(random.normal(41, 10.6, n), 18, 95),
        "balance": random.normal(0, 1, n) ** 3 * 900 + 700,
        "day": random.integers(1, 32, n),
        "duration": duration,
        "campaign": 1 + random.geometric(0.4, n),
        "pdays": np.where(before, random.integers(1, 400, n), -1),
        "previous": np.where(before, random.geometric(0.35, n), 0),
    }
    arrays = {name: pa.array(values.astype(np.int32)) for name, values in numbers.items()}
    codes = {name: _skewed(len(known), n, random) for name, known in CATEGORIES.items()}
    for name, known in CATEGORIES.items():
        arrays[name] = pa.DictionaryArray.from_arrays(pa.array(codes[name]), pa.array(known)).cast(pa.string())
    score = 1.1 * np.log1p(duration) - 8.4 + 1.4 * (codes["poutcome"] == 2) - 0.6 * codes["housing"]
    score += 0.25 * (codes["month"] % 4) - 0.4 * codes["loan"] + 0.02 * np.abs(numbers["age"] - 41)
    return pa.table({**arrays, TARGET: _labels(score, random)})


def _skewed(size: int, n: int, random: np.random.Generator) -> Any:
    shares = 1.0 / np.arange(1, size + 1)
    return random.choice(size, n, p=shares / shares.sum()).astype(np.int32)


def _numeric(kind: Kind, n: int, random: np.random.Generator) -> pa.Table:
    # Six decimals: a measured quantity, and kinder to those who read it as text.
    matrix = random.normal(0, 1, (len(kind.columns), n)).round(6)
    score = matrix[0] - 0.7 * matrix[1] + matrix[2] * matrix[3] + 0.5 * np.abs(matrix[4])
    arrays = {name: pa.array(matrix[i]) for i, name in enumerate(kind.names)}
    return pa.table({**arrays, TARGET: _labels(score - 0.4, random)})


def _labels(score: Any, random: np.random.Generator) -> pa.Array:
    return pa.array(np.where(random.random(len(score)) < 1 / (1 + np.exp(-score)), "yes", "no"))


def store(connection: psycopg.Connection[Any], kind: Kind, rows: int, table: str, target: bool) -> None:
    """Make a table of rows, with its target or without."""
    columns = [*kind.columns, *[(TARGET, "text")][: int(target)]]
    connection.execute(f"DROP TABLE IF EXISTS {table}".encode())
    declared = ", ".join(f'"{name}" {type_name}' for name, type_name in columns)
    connection.execute(f"CREATE TABLE {table} ({declared})".encode())
    options = pa.csv.WriteOptions(include_header=False)
    with connection.cursor().copy(f"COPY {table} FROM STDIN (FORMAT csv)".encode()) as copy:
        for batch in batches(kind, rows):
            sink = pa.BufferOutputStream()
            pa.csv.write_csv(batch.select([n for n, _ in columns]), sink, options)
            copy.write(sink.getvalue().to_pybytes())
    connection.execute(f"VACUUM ANALYZE {table}".encode())
