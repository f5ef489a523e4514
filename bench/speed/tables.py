"""Whole tables: sys.ml_predict_table beside its floor and its peers, interleaved in one run."""

from __future__ import annotations

import json
import statistics
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import data
import peers
import psycopg
from place import ALGORITHMS, Place, drop, one, peak_memory, seconds, train
from report import Row, at_least, at_most

OUTPUT = "public.bench_output"
BUDGET, QUICK_BUDGET = 15.0, 4.0  # seconds of training: less, and the first ensemble is cut off with a few trees
NAIVE, EXPERT = 4.0, 1.8
FLOOR_BOUND = {"linear": 1.5, "boosted": 2.2}
EXTRA_MEMORY = 300.0  # MB above the input matrix
DOCUMENT = '{"predictions": {"y": "no"}, "probabilities": {"no": 0.8766, "yes": 0.1234}}'


class Other(NamedTuple):
    """A server of somebody else's: a connection string, and statements; {kind} stands for bank or numeric."""

    dsn: str
    statements: str


def prepare(place: Place, kinds: list[data.Kind], rows: int, budget: float = BUDGET) -> None:
    """Tables to score, and a model of each family trained on a sample of each kind.

    How many trees there are depends on how far the search gets; the report says it.
    """
    with place.session() as session:
        for kind in kinds:
            data.store(session, kind, rows, kind.name, target=kind.name == "bank")
            data.store(session, kind, data.SAMPLE, f"{kind.name}_sample", target=True)
            for family, algorithm in ALGORITHMS.items():
                train(session, f"{kind.name}_sample", data.TARGET, algorithm, f"{kind.name}_{family}", budget)


def parameters(session: psycopg.Connection[Any], handle: str) -> dict[str, Any]:
    """What the search has chosen for a model."""
    query = "SELECT model_metadata -> 'hyperparameters' FROM ml_schema_postgres.model_catalog WHERE model_handle = %s"
    return dict(one(session, query, handle) or {})


def measure(place: Place, kind: data.Kind, family: str, rows: int, repeats: int, other: Other | None) -> Iterator[Row]:
    """Rows of the report for one kind of table and one family of models."""
    with place.session() as session:
        handle = f"{kind.name}_{family}"
        models = peers.fitted(kind, family, parameters(session, handle))
        ways = _ways(place, session, kind, handle, models, other)
        times = interleaved(ways, repeats, lambda: _clean(session))
        trees = parameters(session, handle).get("n_estimators")
    if trees:
        yield Row(f"{kind.name}, {family}: size of the ensemble", trees, "trees")
    yield from ratios(f"{kind.name}, {family}", family, times, rows)
    yield at_most(
        f"{kind.name}, {family}: memory above the matrix", _memory(place, kind, handle, rows), "MB", EXTRA_MEMORY
    )


def _ways(
    place: Place,
    session: psycopg.Connection[Any],
    kind: data.Kind,
    handle: str,
    models: peers.Models,
    other: Other | None,
) -> dict[str, Callable[[], object]]:
    ways: dict[str, Callable[[], object]] = {
        "mlshare": lambda: session.execute(_call(kind, handle)),
    }
    ways |= {name: (lambda floor=floor: session.execute(floor(kind))) for name, floor in FLOORS.items()}
    ways |= {name: (lambda path=path: path(place, kind, models)) for name, path in peers.PATHS.items()}
    matrix = peers.ready(kind, int(one(session, f"SELECT count(*) FROM {kind.name}")))
    ways["the model alone, matrix in memory"] = lambda: models.of_codes(matrix)
    if other:
        statements = other.statements.format(kind=kind.name)
        ways["the other server"] = lambda: _elsewhere(other.dsn, statements)
    _clean(session)
    ways["mlshare"]()  # loads the model: what is measured is a warm session
    return ways


def _call(kind: data.Kind, handle: str) -> bytes:
    return f"CALL sys.ml_predict_table('{kind.name}', '{handle}', '{OUTPUT}')".encode()


def _floor(kind: data.Kind, number: str = "1::bigint") -> bytes:
    answer = f"'no'::text AS prediction, '{DOCUMENT}'::jsonb AS ml_results"
    return f"CREATE TABLE {OUTPUT} AS SELECT {number} AS id, t.*, {answer} FROM {kind.name} AS t".encode()


def _floor_with_key(kind: data.Kind) -> bytes:
    """What the output of sys.ml_predict_table costs with nothing predicted: its rows get numbers, and a primary key."""
    return _floor(kind, "row_number() OVER ()") + f"; ALTER TABLE {OUTPUT} ADD PRIMARY KEY (id)".encode()


FLOORS: dict[str, Callable[[data.Kind], bytes]] = {"floor": _floor, "floor with a key": _floor_with_key}


def _elsewhere(dsn: str, statements: str) -> None:
    with psycopg.connect(dsn, autocommit=True) as connection:
        connection.execute(statements.encode())


def _clean(session: psycopg.Connection[Any]) -> None:
    drop(session, OUTPUT, peers.OUTPUT)


def interleaved(ways: dict[str, Callable[[], object]], repeats: int, clean: Callable[[], None]) -> dict[str, float]:
    """The median time of each way; each round runs all of them, so that noise meets all alike."""
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(repeats):
        for name, work in ways.items():
            clean()
            times[name].append(seconds(work))
    clean()
    return {name: statistics.median(found) for name, found in times.items()}


def ratios(what: str, family: str, times: dict[str, float], rows: int) -> Iterator[Row]:
    """Times as ratios to ours: how often slower each peer is, and how far we are above the floor."""
    own = times["mlshare"]
    bounds = {"naive client": NAIVE, "expert client": EXPERT}
    yield Row(f"{what}: sys.ml_predict_table", 1e6 * own / rows, "µs per row")
    for floor in FLOORS:
        yield at_most(f"{what}: over the {floor}", own / times[floor], "times", FLOOR_BOUND[family])
    for name, time in times.items():
        if name not in ("mlshare", *FLOORS):
            title = f"{what}: faster than {name}"
            least = bounds.get(name)
            yield at_least(title, time / own, "times", least) if least else Row(title, time / own, "times")


def _memory(place: Place, kind: data.Kind, handle: str, rows: int) -> float:
    """What a session needs to score a table, in MB beyond the input as a matrix."""
    with place.session() as session:
        pid = session.info.backend_pid
        session.execute("SELECT 1")
        before = peak_memory(pid)
        session.execute(_call(kind, handle))
        needed = peak_memory(pid) - before - rows * kind.matrix_bytes
        _clean(session)
    return needed / 2**20


def other_server(dsn: str | None, file: str | None) -> Other | None:
    """What the options --other and --other-sql name."""
    return Other(dsn, Path(file).read_text()) if dsn and file else None


def describe(session: psycopg.Connection[Any], handle: str) -> str:
    """A model in a few words."""
    return f"{handle} {json.dumps(parameters(session, handle))}"
