"""Speed as ratios, all measured side by side in one run: python bench/speed/speed.py DSN [--quick] [--rows N] …

Run by "make bench"; writes bench/results/speed.md; 1 if a bound is missed. Times of a shared machine are noisy:
compare ratios.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator

import compiled
import data
import fresh
import report
import rows as single
import tables
from place import Place
from report import Row

RESULTS = report.RESULTS / "speed.md"


def parser() -> argparse.ArgumentParser:
    """The options."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dsn", help="connection string of a superuser of a server on this machine")
    options.add_argument("--quick", action="store_true", help="100,000 rows, one round")
    options.add_argument("--rows", type=int, help="rows of a table; default 1,000,000")
    options.add_argument("--repeats", type=int, help="rounds; default 3")
    options.add_argument("--other", help="connection string of another server to measure beside this one")
    options.add_argument("--other-sql", help="file of the statements that score there; {kind}: bank or numeric")
    return options


def measured(place: Place, args: argparse.Namespace) -> Iterator[Row]:
    """Every row of the table."""
    n_rows = args.rows or (100_000 if args.quick else 1_000_000)
    repeats = args.repeats or (1 if args.quick else 3)
    kinds = [data.bank(), data.numeric()]
    other = tables.other_server(args.other, args.other_sql)
    tables.prepare(place, kinds, n_rows, tables.QUICK_BUDGET if args.quick else tables.BUDGET)
    for kind in kinds:
        for family in tables.ALGORITHMS:
            yield from tables.measure(place, kind, family, n_rows, repeats, other)
    some = 10_000 if args.quick else 100_000
    for kind in kinds:
        for family in tables.ALGORITHMS:
            yield from single.measure(place, kind, family, some, repeats)
    yield from single.loading(place, repeats)
    yield from compiled.measure(place, 20_000 if args.quick else 100_000)
    yield from fresh.measure(args.quick)


def main() -> int:
    """Measure, print, write; 1 if a bound is missed."""
    args = parser().parse_args()
    place = Place(args.dsn)
    place.make()
    found: list[Row] = []
    print(report.HEAD, flush=True)
    try:
        where = report.machine(args.dsn)
        for row in measured(place, args):
            found.append(row)
            print(report.line(row), flush=True)
            # A run that is ended early leaves what it has measured.
            RESULTS.write_text(report.document("Speed", found, where, how(args)))
    finally:
        place.remove()
    print(report.summary(found))
    return int(bool(report.missed(found)))


def how(args: argparse.Namespace) -> str:
    """What was asked for."""
    words = " ".join(sys.argv[2:])
    rows = args.rows or (100_000 if args.quick else 1_000_000)
    return f"`make bench`{f' with {words}' if words else ''}: tables of {rows:,} rows, medians of interleaved runs."


if __name__ == "__main__":
    sys.exit(main())
