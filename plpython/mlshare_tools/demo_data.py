"""Data for the demo and the benchmarks: a set bundled with scikit-learn, or any CSV file, as rows for SQL."""

from __future__ import annotations

import csv
from collections.abc import Iterable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from mlshare_tools.shell import ToolError

HELD_OUT = 0.3
MOST_CLASSES = 20  # a number with more distinct values is a quantity
_SNIFFED = 1 << 16  # characters that show the delimiter


@dataclass(frozen=True)
class Data:
    """Named, typed columns and their rows; ``types`` are SQL types, None in a row is NULL."""

    name: str
    columns: tuple[str, ...]
    types: tuple[str, ...]
    rows: list[tuple[Any, ...]]
    target: str
    task: str

    @property
    def answers(self) -> list[Any]:
        """The target column."""
        position = self.columns.index(self.target)
        return [row[position] for row in self.rows]

    @property
    def metric(self) -> str:
        """What predictions for held-out rows are scored by."""
        return "accuracy" if self.task == "classification" else "r2"


def bundled(name: str) -> Data:
    """A data set of scikit-learn that needs no download: breast_cancer, iris, wine, digits or diabetes."""
    from sklearn import datasets

    loaded = getattr(datasets, f"load_{name}")()
    labels = [str(label) for label in getattr(loaded, "target_names", ())]
    answers = [labels[code] for code in loaded.target] if labels else loaded.target.tolist()
    rows = [(*values, answer) for values, answer in zip(loaded.data.tolist(), answers, strict=True)]
    features = tuple(str(feature).removesuffix(" (cm)").replace(" ", "_") for feature in loaded.feature_names)
    target = "diagnosis" if name == "breast_cancer" else "target"
    types = ("double precision",) * len(features) + ("text" if labels else "double precision",)
    task = "classification" if labels else "regression"
    return Data(name, (*features, target), types, rows, target, task)


def split(data: Data, seed: int = 1) -> tuple[Data, Data]:
    """Training rows and held-out ones (30 %), the shares of the classes kept: scikit-learn's own split."""
    from sklearn.model_selection import train_test_split

    answers = [str(answer) for answer in data.answers] if data.task == "classification" else None
    try:
        parts = train_test_split(range(len(data.rows)), test_size=HELD_OUT, random_state=seed, stratify=answers)
    except ValueError as error:
        raise ToolError(f"{data.name} cannot be split: {error}") from error
    train, test = (replace(data, rows=[data.rows[i] for i in part]) for part in parts)
    return train, test


# --- CSV files -------------------------------------------------------------------------------------


def from_csv(path: Path, target: str) -> Data:
    """A CSV file with a header, its types inferred by pandas; rows without a target are left out.

    ToolError if the file cannot be read or has no such column.
    """
    import pandas

    try:
        frame = pandas.read_csv(path, sep=delimiter(path), low_memory=False).convert_dtypes()
    except (OSError, ValueError) as error:
        raise ToolError(f"{path} cannot be read: {error}") from error
    if target not in frame.columns:
        raise ToolError(f'{path} has no column "{target}"; it has: {", ".join(map(str, frame.columns))}')
    frame = frame[frame[target].notna()]
    typed = [column(frame[name]) for name in frame.columns]
    rows = list(zip(*(values for _, values in typed), strict=True))
    types = tuple(sql_type for sql_type, _ in typed)
    answers = frame[target].tolist()
    task = task_of(types[list(frame.columns).index(target)], answers)
    return Data(path.name, tuple(map(str, frame.columns)), types, rows, target, task)


def delimiter(path: Path) -> str:
    """The character between the fields, by the file's beginning."""
    with path.open(encoding="utf-8", errors="replace") as file:
        head = file.read(_SNIFFED)
    try:
        return csv.Sniffer().sniff(head, ",;\t|").delimiter
    except csv.Error:
        return ","


def column(series: Any) -> tuple[str, list[Any]]:
    """The SQL type of a pandas column, and its values with None for what is missing."""
    from pandas.api import types

    if types.is_bool_dtype(series.dtype):
        return "boolean", values(series)
    if types.is_integer_dtype(series.dtype):
        whole = "bigint" if abs(int(series.max() if series.notna().any() else 0)) < 2**63 else "numeric"
        return whole, values(series)
    if types.is_float_dtype(series.dtype):
        return "double precision", values(series)
    return moments(series) or ("text", [None if v is None else str(v) for v in values(series)])


def values(series: Any) -> list[Any]:
    """Plain Python values."""
    import pandas

    return [None if value is pandas.NA or value != value else value for value in series.tolist()]


def moments(series: Any) -> tuple[str, list[Any]] | None:
    """A column of ISO dates or timestamps, or None if it holds anything else."""
    import pandas

    parsed = pandas.to_datetime(series, format="ISO8601", errors="coerce", utc=True)
    if not series.notna().any() or not (parsed.notna() == series.notna()).all():
        return None
    plain = [None if moment is pandas.NaT else moment.to_pydatetime() for moment in parsed]
    if (parsed.dropna() == parsed.dropna().dt.normalize()).all():
        return "date", [moment and moment.date() for moment in plain]
    return "timestamptz", plain


def task_of(sql_type: str, answers: Iterable[Any]) -> str:
    """Regression for a number with many values or with fractions, classification for all else."""
    if sql_type in ("boolean", "text"):
        return "classification"
    if sql_type in ("date", "timestamptz"):
        raise ToolError("a date or a time cannot be the target")
    distinct = set(answers)
    few = len(distinct) <= MOST_CLASSES and all(float(answer).is_integer() for answer in distinct)
    return "classification" if few else "regression"
