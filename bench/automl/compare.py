"""FLAML against Optuna as the engine of the automatic choice: quality, time, determinism, weight.

Run: python bench/automl/compare.py [bank-full.csv]; needs flaml besides mlshare's own requirements.
Both get the same encoded matrix, the same five families and one thread. FLAML uses its own search spaces
and its own order, once with as many trials as mlshare's search and once with a time budget.
"""

from __future__ import annotations

import csv
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator
from importlib.metadata import requires, version
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray
from sklearn import datasets
from sklearn.model_selection import train_test_split

from mlshare import metrics, search
from mlshare.columns import learnable, split_target
from mlshare.encoding import Encoder
from mlshare.estimators import registry
from mlshare.estimators.base import Problem
from mlshare.table import Column, Table

Floats = NDArray[np.float64]
SECONDS = 12
FAMILIES = ("LGBM", "XGB", "RandomForest", "ExtraTrees", "LogisticRegression", "LinearRegression")
FLAML_FAMILIES = ["lgbm", "xgboost", "rf", "extra_tree"]


class Task(NamedTuple):
    """A data set, split; ``x`` by layout."""

    name: str
    task: str
    x: dict[str, Floats]
    y: Floats
    x_test: dict[str, Floats]
    y_test: Floats


def column(name: str, values: list[str]) -> Column:
    """A numeric column where every value is a number, else a category."""
    try:
        return Column(name, "numeric", values=np.array(values, dtype=np.float64))
    except ValueError:
        distinct, codes = np.unique(values, return_inverse=True)
        return Column(name, "category", codes=codes.astype(np.int32), dictionary=tuple(distinct.tolist()))


def table_of(x: Floats, y: Floats) -> Table:
    """Numbers as a table with target y."""
    own = [Column(f"x{i}", "numeric", values=np.asarray(v, dtype=np.float64)) for i, v in enumerate(x.T)]
    return Table((*own, Column("y", "numeric", values=y.astype(np.float64))))


def tables(bank: Path | None) -> Iterator[tuple[str, str, Table]]:
    """Name, task and rows of each data set."""
    if bank is not None:
        rows = list(csv.reader(bank.read_text().splitlines()))
        yield (
            "bank",
            "classification",
            Table(tuple(column(name, list(v)) for name, v in zip(rows[0], zip(*rows[1:], strict=True), strict=True))),
        )
    for name in ("breast_cancer", "wine", "digits"):
        yield name, "classification", table_of(*getattr(datasets, f"load_{name}")(return_X_y=True))
    made = datasets.make_classification(20_000, 30, n_informative=12, n_classes=3, random_state=0)
    yield "made_20k_3_classes", "classification", table_of(*made)
    yield "diabetes", "regression", table_of(*datasets.load_diabetes(return_X_y=True))
    yield (
        "friedman_10k",
        "regression",
        table_of(*datasets.make_friedman1(10_000, 15, noise=1.0, random_state=0)),
    )


def split(name: str, task: str, table: Table) -> Task:
    """70 % to train on; encoders learn from these only."""
    features, raw = split_target(table, "y")
    y = learnable(raw, task).y
    train, test = train_test_split(
        np.arange(len(y)), test_size=0.3, random_state=1, stratify=y if task == "classification" else None
    )
    x: dict[str, Floats] = {}
    x_test: dict[str, Floats] = {}
    for layout in ("onehot", "ordinal"):
        encoder = Encoder.fit(features, layout)  # type: ignore[arg-type]
        whole = encoder.encode(features)
        x[layout], x_test[layout] = whole[train], whole[test]
    return Task(name, task, x, y[train], x_test, y[test])


def with_optuna(task: Task, seed: int) -> tuple[Floats, int]:
    """mlshare's search and final fit; test answers and trials."""
    n_classes = len(np.unique(task.y)) if task.task == "classification" else 0
    problem = Problem(task.task, n_classes, seed, 1)  # type: ignore[arg-type]
    data = search.Data(problem, metrics.DEFAULT[task.task], task.x, task.y)  # type: ignore[arg-type]
    names = [n for n in registry.names(task.task) if n.startswith(FAMILIES)]
    found = registry.candidates(task.task, len(task.y), names, None)
    outcome = search.Search(data, found, None, lambda text, share: None).run()
    best = outcome.best
    fitted = data.fit(best.estimator, best.params, np.arange(len(task.y)))
    return fitted.predict(task.x_test[best.estimator.layout]), outcome.trials


def with_flaml(task: Task, seed: int, **limit: Any) -> tuple[Floats, int]:
    """FLAML's search and final fit; test answers and how many times it found a better configuration."""
    import flaml

    automl = flaml.AutoML()
    families = [*FLAML_FAMILIES, *["lrl1"][: task.task == "classification"]]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        automl.fit(
            task.x["ordinal"],
            task.y,
            task=task.task,
            metric="log_loss" if task.task == "classification" else "mse",
            estimator_list=families,
            n_jobs=1,
            seed=seed,
            verbose=0,
            **limit,
        )
        x = task.x_test["ordinal"]
        answers = automl.predict_proba(x) if task.task == "classification" else automl.predict(x)
    return np.asarray(answers, dtype=np.float64), len(automl.config_history)


def measure(task: Task, name: str, run: Callable[[int], tuple[Floats, int]]) -> list[str]:
    """One row of the table; small data are run twice to see whether the answers are the same."""
    start = time.monotonic()
    answers, trials = run(1)
    seconds = time.monotonic() - start
    same = "-"
    if seconds < 20:
        same = "yes" if np.array_equal(answers, run(1)[0]) else "no"
    if task.task == "classification":
        shown = [f"{metrics.score(m, task.task, task.y_test, answers):.4f}" for m in ("neg_log_loss", "accuracy")]
    else:
        shown = [f"{metrics.score(m, task.task, task.y_test, answers):.4g}" for m in ("neg_mean_squared_error", "r2")]
    return [task.name, name, *shown, f"{seconds:.1f}", str(trials), same]


def import_seconds(module: str) -> float:
    """Median of three fresh interpreters, numpy and pandas not counted in."""
    code = f"import numpy,time;s=time.time();import {module};print(time.time()-s)"
    runs = [float(subprocess.check_output([sys.executable, "-W", "ignore", "-c", code])) for _ in range(3)]
    return sorted(runs)[1]


def main() -> None:
    """Print the comparison as Markdown."""
    for package, module in (("optuna", "optuna"), ("flaml", "flaml.automl")):
        needs = [r for r in requires(package) or [] if "extra ==" not in r]
        print(f"{package} {version(package)}: import {import_seconds(module):.2f} s; requires {', '.join(needs)}")
    heads = [
        "data",
        "engine",
        "score",
        "accuracy / r2",
        "seconds",
        "trials (FLAML: improvements)",
        "same twice",
    ]
    print(f"\n| {' | '.join(heads)} |\n|{'---|' * len(heads)}")
    bank = Path(sys.argv[1]) if len(sys.argv) > 1 else None
    for name, kind, table in tables(bank):
        task = split(name, kind, table)
        engines: dict[str, Callable[[int], tuple[Floats, int]]] = {
            "Optuna in mlshare": lambda seed, t=task: with_optuna(t, seed),  # type: ignore[misc]
            "FLAML, 27 trials": lambda seed, t=task: with_flaml(t, seed, max_iter=27, time_budget=-1),  # type: ignore[misc]
            f"FLAML, {SECONDS} s": lambda seed, t=task: with_flaml(t, seed, time_budget=SECONDS),  # type: ignore[misc]
        }
        for engine, run in engines.items():
            print("| " + " | ".join(measure(task, engine, run)) + " |", flush=True)


if __name__ == "__main__":
    main()
