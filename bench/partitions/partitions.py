"""Seconds to build many sub-models, beside the same fits in plain scikit-learn: python partitions.py [DSN].

The peer is a pool of forked processes, one for each core and one thread in each, that fits StandardScaler and
LogisticRegression on every group of an array it shares, and sends back what it fitted. Without DSN the build is the
child process's alone (mlshare.child.run: starting it, handing over the rows, reading models and descriptions); with
it, also CALL dbms_data_mining.create_model2 on a table, beside a loop that reads the table first, by ADBC. On a busy
machine, the processor time is the one to trust. Bound: 1.3 times the loop.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import resource
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import psycopg
from adbc_driver_postgresql import dbapi
from sklearn.linear_model import LogisticRegression
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from threadpoolctl import threadpool_limits

sys.path.append(str(Path(__file__).parents[1] / "speed"))
import report
from place import Place
from report import Row, at_most

from mlshare import build, child
from mlshare.table import Column, Table

CORES = len(os.sched_getaffinity(0))
C = 0.1
MEMORY_MB = 4000
BOUND = 1.3
CREATE = (
    "CALL dbms_data_mining.create_model2('bench_partitions', 'CLASSIFICATION', 'SELECT * FROM public.rows', %s, "
    "target_column_name => 'y')"
)


@dataclass(frozen=True)
class Rows:
    """[n, columns] numbers and 0/1 targets, group after group."""

    x: np.ndarray
    y: np.ndarray
    size: int

    @classmethod
    def make(cls, groups: int, size: int, columns: int) -> Rows:
        dice = np.random.default_rng(0)
        x = dice.normal(size=(groups * size, columns)) * np.arange(1, columns + 1)
        weights = np.repeat(dice.normal(size=(groups, columns)), size, axis=0) / np.arange(1, columns + 1)
        y = (x * weights).sum(axis=1) + dice.logistic(size=len(x)) > 0
        return cls(x, y.astype(np.float64), size)

    @property
    def groups(self) -> int:
        return len(self.y) // self.size

    def slice(self, group: int) -> slice:
        return slice(group * self.size, (group + 1) * self.size)


# --- the peer ----------------------------------------------------------------------------------------

_shared: list[Rows] = []


def _fit(group: int) -> object:
    rows, here = _shared[0], _shared[0].slice(group)
    return make_pipeline(StandardScaler(), LogisticRegression(C=C)).fit(rows.x[here], rows.y[here])


def loop(rows: Rows) -> int:
    """The plain loop on all cores; how many models it made."""
    _shared[:] = [rows]
    with multiprocessing.get_context("fork").Pool(CORES, _one_thread) as pool:
        return len(pool.map(_fit, range(rows.groups), chunksize=max(1, rows.groups // (CORES * 20))))


def _one_thread() -> None:
    _shared.append(threadpool_limits(1))  # type: ignore[arg-type]


# --- mlshare -----------------------------------------------------------------------------------------


def table(rows: Rows) -> Table:
    columns = [Column(f"x{i}", "numeric", values=np.ascontiguousarray(v)) for i, v in enumerate(rows.x.T)]
    return Table((*columns, Column("y", "numeric", values=rows.y)))


def built(given: Table, rows: Rows, threads: int = CORES) -> int:
    """One build in the child process; how many models it made."""
    plan = {"task": "classification", "target": "y", "algorithm": "LogisticRegression", "params": {"C": C}}
    groups = [[i + 1, i * rows.size, rows.size] for i in range(rows.groups)]
    request = {"plan": plan, "groups": groups, "threads": threads, "on_error": "skip"}
    reply = child.run(
        "build",
        request,
        given,
        memory_mb=MEMORY_MB,
        seconds=3600,
        tick=lambda: None,
        progress=lambda text, part: None,
    )
    return sum(entry["status"] == "ready" for entry, _ in build.partitions(reply.result, reply.blob))


def fill(connection: psycopg.Connection, rows: Rows) -> None:
    names = ", ".join(f"x{i} float8" for i in range(rows.x.shape[1]))
    connection.execute(f"CREATE TABLE rows (g integer, y integer, {names})")
    with connection.cursor().copy("COPY rows FROM STDIN") as copy:
        for i, (x, y) in enumerate(zip(rows.x.tolist(), rows.y.tolist(), strict=True)):
            copy.write_row((i // rows.size, int(y), *x))
    connection.execute("VACUUM ANALYZE rows")
    connection.execute("SELECT sys._start()")


def trained(connection: psycopg.Connection, rows: Rows) -> None:
    """The same through SQL: reads the table, sorts it by key, stores and signs every sub-model."""
    settings = {"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL", "GLMS_RIDGE_REGRESSION": "GLMS_RIDGE_REG_ENABLE"}
    settings |= {"GLMS_RIDGE_VALUE": str(1 / C), "ODMS_PARTITION_COLUMNS": "g", "ON_PARTITION_ERROR": "skip"}
    settings |= {"ODMS_MAX_PARTITIONS": str(max(2, rows.groups)), "ODMS_DETAILS": "ODMS_DISABLE"}
    with connection.transaction(force_rollback=True):
        connection.execute(CREATE, (json.dumps(settings),))


def read(dsn: str, columns: int) -> Rows:
    """The same rows as a client gets them quickest, in the order of their groups."""
    with dbapi.connect(dsn) as connection, connection.cursor() as cursor:
        cursor.execute("SELECT * FROM rows ORDER BY g")
        found = cursor.fetch_arrow_table()
    x = np.column_stack([found[f"x{i}"].to_numpy() for i in range(columns)])
    size = len(found) // len(found["g"].unique())
    return Rows(x, found["y"].to_numpy().astype(np.float64), size)


def best(run: Callable[[], object], repeats: int) -> tuple[float, float]:
    """The shortest of some runs, and the least processor time of this process and its children, in seconds."""
    found = []
    for _ in range(repeats):
        start, spent = time.perf_counter(), processor_seconds()
        run()
        found.append((time.perf_counter() - start, processor_seconds() - spent))
    return min(wall for wall, _ in found), min(spent for _, spent in found)


def processor_seconds() -> float:
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(one.ru_utime + one.ru_stime for one in used)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dsn", nargs="?", help="a superuser's, of a server on this machine")
    options.add_argument("--groups", type=int, default=1000)
    options.add_argument("--rows", type=int, default=1000, help="of each group")
    options.add_argument("--columns", type=int, default=16)
    options.add_argument("--repeats", type=int, default=3)
    args = options.parse_args()
    how = f"{args.groups} groups of {args.rows} rows and {args.columns} columns, {CORES} cores, best of {args.repeats}."
    return report.conclude("partitions_build", "Building partitioned models", list(measured(args)), args.dsn, how)


def measured(args: argparse.Namespace) -> Iterator[Row]:
    """Every row of the table."""
    rows = Rows.make(args.groups, args.rows, args.columns)
    given = table(rows)
    peer, of_peer = best(lambda: loop(rows), args.repeats)
    yield Row("scikit-learn, pool of processes, rows in memory", peer, "s")
    wall, spent = best(lambda: built(given, rows), args.repeats)
    yield Row("mlshare, the child process", wall, "s")
    yield at_most("the child process: over the loop", wall / peer, "times", BOUND)
    yield Row("the child process: processor time over the loop's", spent / of_peer, "times")
    if args.dsn:
        yield from in_server(args, rows)
    yield Row("memory of the largest process of a build", _peak_mb(), "MB")


def in_server(args: argparse.Namespace, rows: Rows) -> Iterator[Row]:
    """The whole way from a table to a stored model."""
    place = Place(args.dsn, "bench_partitions")
    with ExitStack() as stack:
        stack.callback(place.remove)
        place.make()
        connection = stack.enter_context(place.session())
        fill(connection, rows)
        peer, _ = best(lambda: loop(read(place.url, args.columns)), args.repeats)
        yield Row("scikit-learn, and reading the table", peer, "s")
        wall, _ = best(lambda: trained(connection, rows), args.repeats)
    yield Row("mlshare, create_model2", wall, "s")
    yield at_most("create_model2: over the loop that reads", wall / peer, "times", BOUND)


def _peak_mb() -> float:
    return resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss / 1024


if __name__ == "__main__":
    sys.exit(main())
