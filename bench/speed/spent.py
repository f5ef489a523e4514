"""Where the time of sys.ml_predict_table goes: python bench/speed/spent.py DSN [--rows N].

A procedure made in the benchmark's own database wraps the functions of mlshare in clocks of processor time.
"""

from __future__ import annotations

import argparse
import json
import sys

import data
import tables
from place import ALGORITHMS, Place, drop, one

PROFILER = """
CREATE OR REPLACE FUNCTION public.bench_spent(call text) RETURNS text LANGUAGE plpython3u AS $$
import functools, json, threading, time
from mlshare import arrays, batches, db, encoding, results, scorer
spent, own = {}, threading.local()
def clocked(name, function):
    @functools.wraps(function)
    def work(*args, **parts):
        label, running = name or args[0], own.__dict__.setdefault("running", [])
        start = time.thread_time()
        running.append(0.0)
        try:
            return function(*args, **parts)
        finally:
            taken = time.thread_time() - start
            spent[label] = spent.get(label, 0.0) + taken - running.pop()
            if running:
                running[-1] += taken
    return work
places = [(db, "query", ""), (db, "run", ""), (scorer._Encoded, "_run", "predict"),
          (encoding.Encoder, "encode", "encode"), (arrays, "table", "numpy columns"),
          (results.Codebook, "encode", "codes"), (batches.Job, "_rendered_labels", "codes")]
kept = [getattr(where, name) for where, name, _ in places]
for (where, name, label), function in zip(places, kept):
    setattr(where, name, clocked(label, function))
start = time.process_time()
try:
    plpy.execute(call)
finally:
    for (where, name, _), function in zip(places, kept):
        setattr(where, name, function)
spent["all"] = time.process_time() - start
return json.dumps(spent)
$$"""
PARTS = {
    "read": ("read_blocks", "hash_strings", "relation_attributes"),
    "numpy columns": ("numpy columns",),
    "encode": ("encode",),
    "predict": ("predict",),
    "codes and documents": ("codes",),
    "write": ("write_batches", "write_inline"),
    "key and index": ("add_primary_key", "make_identity", "begin_identity", "continue_identity", "skip_identity"),
}


def measured(place: Place, rows: int) -> dict[str, dict[str, float]]:
    """Microseconds of processor time per row, by table and model, then by part."""
    found = {}
    kinds = [data.bank(), data.numeric()]
    tables.prepare(place, kinds, rows)
    with place.session() as session:
        session.execute("SELECT sys._start()")
        session.execute(PROFILER.encode())
        for kind in kinds:
            for family in ALGORITHMS:
                handle = f"{kind.name}_{family}"
                one(session, f"SELECT sys.ml_predict_row(to_jsonb(t), '{handle}') FROM {kind.name} AS t LIMIT 1")
                call = f"CALL sys.ml_predict_table('{kind.name}', '{handle}', '{tables.OUTPUT}')"
                found[f"{kind.name}, {family}"] = by_part(
                    json.loads(one(session, "SELECT bench_spent(%s)", call)), rows
                )
                drop(session, tables.OUTPUT)
    return found


def by_part(spent: dict[str, float], rows: int) -> dict[str, float]:
    """Microseconds per row of each part, and of what is left."""
    parts = {part: sum(spent.get(name, 0.0) for name in names) for part, names in PARTS.items()}
    parts["other"] = spent["all"] - sum(parts.values())
    return {part: 1e6 * value / rows for part, value in parts.items()}


def table(found: dict[str, dict[str, float]]) -> str:
    """Markdown: a column for each table and model."""
    head = f"| µs of processor time per row | {' | '.join(found)} |\n|---|{'---:|' * len(found)}"
    parts = [*PARTS, "other"]
    return "\n".join([head, *(f"| {p} | {' | '.join(f'{f[p]:.2f}' for f in found.values())} |" for p in parts)])


def main() -> int:
    """Measure and print."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dsn", help="connection string of a superuser of a server on this machine")
    options.add_argument("--rows", type=int, default=300_000)
    args = options.parse_args()
    place = Place(args.dsn, "bench_spent")
    place.make()
    try:
        print(table(measured(place, args.rows)))
    finally:
        place.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
