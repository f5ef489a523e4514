"""Single rows: sys.ml_predict_row in a SELECT, and how long a session takes to open a model."""

from __future__ import annotations

import statistics
from collections.abc import Iterator

import data
import made
import peers
from place import Place, one, seconds
from report import Row, at_most
from tables import parameters

JSON_BOUND, RECORD_BOUND, LOAD_BOUND = 40.0, 25.0, 60.0
NAIVE_ROWS = 200
LARGE = 5 << 20  # bytes of the model that is loaded, before it is compressed


def measure(place: Place, kind: data.Kind, family: str, rows: int, repeats: int) -> Iterator[Row]:
    """Microseconds per row of each form, over the first rows of a table."""
    handle, what = f"{kind.name}_{family}", f"{kind.name}, {family}"
    with place.session() as session:
        models = peers.fitted(kind, family, parameters(session, handle))
        rows = min(rows, int(one(session, f"SELECT count(*) FROM {kind.name}")))

        def timed(expression: str) -> float:
            query = f"SELECT count({expression}) FROM (SELECT * FROM {kind.name} LIMIT {rows}) AS t"
            session.execute(f"SELECT {expression} FROM {kind.name} AS t LIMIT 1".encode())
            taken = [seconds(lambda: session.execute(query.encode())) for _ in range(repeats)]
            return 1e6 * statistics.median(taken) / rows

        alone = timed("to_jsonb(t)")
        yield Row(f"{what}: to_jsonb(t) alone", alone, "µs per row")
        for argument, bound in (("to_jsonb(t)", JSON_BOUND), ("t", RECORD_BOUND)):
            found = timed(f"sys.ml_predict_row({argument}, '{handle}')")
            yield at_most(f"{what}: ml_predict_row({argument}, …)", found, "µs per row", bound)
            # How fast the machine is just now cancels out.
            yield Row(f"{what}: ml_predict_row({argument}, …) over to_jsonb(t)", found / alone, "times")
        yield Row(f"{what}: scikit-learn row by row", naive(kind, models), "µs per row")


def naive(kind: data.Kind, models: peers.Models) -> float:
    """Microseconds of one call of scikit-learn with a DataFrame of one row."""
    frame = next(data.batches(kind, NAIVE_ROWS)).select(kind.names).to_pandas()

    def work() -> None:
        for i in range(len(frame)):
            models.of_frames.predict_proba(frame.iloc[i : i + 1])

    return 1e6 * seconds(work) / len(frame)


# --- opening a model -------------------------------------------------------------------------------

LOADER = """
CREATE OR REPLACE FUNCTION public.bench_load(handle text) RETURNS double precision LANGUAGE plpython3u AS $$
import time
from mlshare import cache, catalog
model = catalog.find(handle)
cache.forget(model.owner, model.handle)
start = time.perf_counter()
cache.entry(model)
return time.perf_counter() - start
$$"""


def loading(place: Place, repeats: int) -> Iterator[Row]:
    """Milliseconds to read, verify and open a model of 5 MB that is not in the session's cache."""
    with place.session() as session:
        made.store(session, "large", made.forest(LARGE), {f"x{i}": "double precision" for i in range(10)})
        session.execute("SELECT sys._start()")
        session.execute(LOADER.encode())
        one(session, "SELECT public.bench_load('large')")
        taken = [one(session, "SELECT public.bench_load('large')") for _ in range(max(repeats, 5))]
        size = one(
            session, "SELECT model_object_size FROM ml_schema_postgres.model_catalog WHERE model_handle = 'large'"
        )
    milliseconds = 1000 * statistics.median(taken)
    yield at_most(
        f"opening a model of {LARGE >> 20} MB ({size / 2**20:.1f} MB compressed)", milliseconds, "ms", LOAD_BOUND
    )
