"""Rows from the benchmarks beside this one: compiled functions, and fresh sessions."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import ModuleType

import psycopg
from report import Row, at_most

from mlshare_tools import cluster

BENCH = Path(__file__).parents[1]
COMPILED = {"linear: compiled": 1.0, "trees: compiled": 10.0}  # µs per row


def rows(dsn: str, quick: bool) -> Iterator[Row]:
    """All of them; what could not be run is named."""
    yield from compiled(dsn, 20_000 if quick else 100_000)
    yield from sessions(quick)


def compiled(dsn: str, n_rows: int) -> Iterator[Row]:
    """Microseconds per row of compiled functions; ``dsn`` is of a database with mlshare."""
    script = load("compile")
    if script is None:
        return
    with psycopg.connect(dsn, autocommit=True) as connection:
        script.make_table(connection, n_rows)
        table = script.read(connection)
        truth = script.truth(table)
        for name in ("linear", "trees"):
            script.store(connection, name, getattr(script, name)(table, truth))
        for name, value in script.measure(connection, n_rows):
            title = f"compiled functions, {name}"
            bound = COMPILED.get(name)
            yield at_most(title, value, "µs per row", bound) if bound else Row(title, value, "µs per row")


def sessions(quick: bool) -> Iterator[Row]:
    """First calls and memory of fresh sessions, in a throw-away server with and without the preload library."""
    script = load("sessions")
    private = cluster.existing()
    library = private.home / "preload" / "mlshare_preload.so"
    if script is None or not library.exists():
        print("!!! NOT RUN: fresh sessions; the preload library has not been built", file=sys.stderr)
        return
    script.SESSIONS = 5 if quick else script.SESSIONS
    with script.throwaway(private) as server:
        script.fill(server)
        warm, cold = (script.measure(server, libraries) for libraries in (str(library), ""))
    yield at_most("fresh session with preload: first ml_predict_row", median(warm.first), "ms", script.WARM_MS)
    yield at_most("fresh session: first ml_predict_row", median(cold.first), "ms", script.COLD_MS)
    yield at_most(f"{script.MEMORY_SESSIONS} sessions with preload", warm.memory, "MB (PSS)", script.WARM_MB)
    yield Row(f"{script.MEMORY_SESSIONS} sessions without", cold.memory, "MB (PSS)")


def load(name: str) -> ModuleType | None:
    """bench/NAME/NAME.py as a module, if it is there."""
    path = BENCH / name / f"{name}.py"
    if not path.exists():
        print(f"!!! NOT RUN: there is no bench/{name}/{name}.py", file=sys.stderr)
        return None
    spec = importlib.util.spec_from_file_location(f"bench_{name}", path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
