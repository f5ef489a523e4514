"""Scoring, routing and adding with a partitioned model, beside one model of all rows: python scoring.py DSN.

Bounds: scoring a table over all partitions at most 1.5 times the same rows with one model; adding a partition at most
1.3 times fitting it alone; the way to the partition, by ora_dm_partition_name and by ml_predict_row, 5 µs per row.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

import psycopg
from partitions import C, Rows, fill

sys.path.append(str(Path(__file__).parents[1] / "speed"))
import report
from place import Place
from report import Row, at_most

SETTINGS = {"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL", "GLMS_RIDGE_REGRESSION": "GLMS_RIDGE_REG_ENABLE"}
CREATE = "CALL dbms_data_mining.create_model2(%s, 'CLASSIFICATION', %s, %s, target_column_name => 'y')"
ROUNDS = 20  # of each repeat, where a call takes microseconds
BOUNDS = {"table": 1.5, "add": 1.3, "route": 5.0}


def create(connection: psycopg.Connection[Any], name: str, query: str, **settings: str) -> None:
    connection.execute(CREATE, (name, query, json.dumps({**SETTINGS, **settings})))


def seconds(connection: psycopg.Connection[Any], *statements: str) -> float:
    """The time of statements that are rolled back."""
    with connection.transaction(force_rollback=True):
        start = time.perf_counter()
        for statement in statements:
            connection.execute(statement.encode())
        return time.perf_counter() - start


def in_turn(
    connection: psycopg.Connection[Any],
    repeats: int,
    *statements: str,
    of: Callable[[Sequence[float]], float] = statistics.median,
) -> list[float]:
    """The medians of statements that take turns, after one round to warm up; or other figures ``of`` their times."""
    for statement in statements:
        seconds(connection, statement)
    runs = [[seconds(connection, s) for s in statements] for _ in range(repeats)]
    return [of(column) for column in zip(*runs, strict=True)]


def scoring(connection: psycopg.Connection[Any], repeats: int) -> tuple[float, float]:
    """Seconds to score the table with one model and with the partitioned one."""
    names = [f"CALL sys.ml_predict_table('public.rows', '{model}', 'public.scored')" for model in ("whole", "parts")]
    plain, parted = in_turn(connection, repeats, *names)
    return plain, parted


def adding(connection: psycopg.Connection[Any], repeats: int, size: int) -> tuple[float, float]:
    """Seconds to fit the rows of one new key alone, and as a partition more."""
    connection.execute("CREATE TABLE new AS SELECT * FROM rows WHERE g = 0")
    connection.execute("UPDATE new SET g = -1")
    settings = json.dumps(SETTINGS).replace("'", "''")
    alone = (
        "CALL dbms_data_mining.create_model2('alone', 'CLASSIFICATION', 'SELECT * FROM public.new', "
        f"'{settings}', target_column_name => 'y')"
    )
    more = "CALL dbms_data_mining.add_partition('parts', 'SELECT * FROM public.new')"
    plain, parted = in_turn(connection, repeats, alone, more)
    return plain, parted


EMPTY = """
CREATE OR REPLACE FUNCTION public.empty(model text, row_ json) RETURNS text LANGUAGE plpython3u STABLE
SET search_path = pg_catalog, pg_temp AS $$return "x"$$"""


def routing(connection: psycopg.Connection[Any], n_calls: int, rounds: int) -> dict[str, float]:
    """µs per row: the name of a row's partition, and a prediction with one model and with the partitioned one.

    Of rows in no order, so that each is of another partition than the one before.
    The least of many short rounds: a few µs are less than what other work on the machine takes from a long one.
    """
    connection.execute(f"CREATE TABLE sample AS SELECT * FROM rows ORDER BY random() LIMIT {n_calls}".encode())
    calls = {
        "to_json": "to_json(t)",
        "an empty function": "public.empty('parts', to_json(t))",
        "ora_dm_partition_name": "sys.ora_dm_partition_name('parts', t)",
        "ml_predict_row, one model": "sys.ml_predict_row(t, 'whole')",
        "ml_predict_row, partitioned": "sys.ml_predict_row(t, 'parts')",
    }
    connection.execute(EMPTY.encode())
    connection.execute("CALL sys.ml_set('cache_size', 1024)")
    found = in_turn(connection, rounds, *(f"SELECT count({call}) FROM sample AS t" for call in calls.values()), of=min)
    return dict(zip(calls, (1e6 * s / n_calls for s in found), strict=True))


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dsn", help="a superuser's, of a server on this machine")
    options.add_argument("--groups", type=int, default=1000)
    options.add_argument("--rows", type=int, default=1000, help="of each group")
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--calls", type=int, default=10_000, help="rows that functions are called for in a round")
    args = options.parse_args()
    place = Place(args.dsn, "bench_partitions")
    place.make()
    try:
        with place.session() as connection:
            found = list(measured(connection, args))
    finally:
        place.remove()
    runs = f"medians of {args.repeats} interleaved runs, µs the least of {ROUNDS * args.repeats}"
    how = f"{args.groups} partitions of {args.rows} rows and 16 columns, {runs}."
    return report.conclude("partitions_scoring", "Scoring with partitioned models", found, args.dsn, how)


def prepare(connection: psycopg.Connection[Any], rows: Rows) -> None:
    """One model of all rows, and one with a sub-model for each group."""
    fill(connection, rows)
    whole = ", ".join(f"x{i}" for i in range(16)) + ", y"
    create(connection, "whole", f"SELECT {whole} FROM public.rows", GLMS_RIDGE_VALUE=str(1 / C))
    parts = {"ODMS_PARTITION_COLUMNS": "g", "ODMS_MAX_PARTITIONS": str(rows.groups + 10)}
    create(connection, "parts", "SELECT * FROM public.rows", **parts, GLMS_RIDGE_VALUE=str(1 / C))


def measured(connection: psycopg.Connection[Any], args: argparse.Namespace) -> Iterator[Row]:
    """Every row of the table."""
    prepare(connection, Rows.make(args.groups, args.rows, 16))
    plain, parted = scoring(connection, args.repeats)
    yield Row("ml_predict_table, one model", plain, "s")
    yield Row("ml_predict_table, partitioned", parted, "s")
    yield at_most("partitioned: over one model", parted / plain, "times", BOUNDS["table"])
    plain, parted = adding(connection, args.repeats, args.rows)
    yield Row("a model of the new rows alone", plain, "s")
    yield Row("add_partition of them", parted, "s")
    yield at_most("add_partition: over the model alone", parted / plain, "times", BOUNDS["add"])
    found = routing(connection, args.calls, ROUNDS * args.repeats)
    for name, value in found.items():
        yield Row(name, value, "µs")
    more = found["ml_predict_row, partitioned"] - found["ml_predict_row, one model"]
    yield at_most("the way to the partition", more, "µs", BOUNDS["route"])
    inside = found["ora_dm_partition_name"] - found["an empty function"]
    yield at_most("ora_dm_partition_name: above an empty function", inside, "µs", BOUNDS["route"])


if __name__ == "__main__":
    sys.exit(main())
