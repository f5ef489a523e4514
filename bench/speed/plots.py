"""Plots of growth, written to docs/plots: python bench/speed/plots.py DSN [--quick]. Run by "make bench-plots"."""

from __future__ import annotations

import argparse
import sys
import threading
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import data
import matplotlib
import tables
from place import ALGORITHMS, Place, drop, seconds, train

matplotlib.use("Agg")
from matplotlib import pyplot
from matplotlib.ticker import LogLocator

PLOTS = Path(__file__).parents[2] / "docs" / "plots"
ROWS = (10_000, 100_000, 1_000_000, 10_000_000)
COLUMNS = (10, 30, 100, 300, 500)
BUDGET = 6.0  # seconds of training
SESSIONS = (1, 2, 4, 8, 16, 32)
Series = dict[str, list[tuple[float, float]]]


def over_rows(place: Place, sizes: Sequence[int]) -> Series:
    """Seconds of sys.ml_predict_table against the rows of a bank-like table."""
    found: Series = {}
    kind = data.bank()
    with place.session() as session:
        _models(session, kind)
        for rows in sizes:
            data.store(session, kind, rows, kind.name, target=True)
            _add(found, session, kind, rows)
        drop(session, kind.name)
        _forget(session, kind)
    return found


def over_columns(place: Place, widths: Sequence[int], rows: int) -> Series:
    """Seconds of sys.ml_predict_table against the float8 columns of a table."""
    found: Series = {}
    with place.session() as session:
        for width in widths:
            kind = data.numeric(width)
            _models(session, kind)
            data.store(session, kind, rows, kind.name, target=False)
            _add(found, session, kind, width)
            _forget(session, kind)
    return found


def _forget(session: Any, kind: data.Kind) -> None:
    for family in ALGORITHMS:
        session.execute(b"CALL sys.ml_model_drop(%s)", (f"{kind.name}_{family}",))


def _models(session: Any, kind: data.Kind) -> None:
    data.store(session, kind, data.SAMPLE // 4, f"{kind.name}_sample", target=True)
    for family, algorithm in ALGORITHMS.items():
        train(session, f"{kind.name}_sample", data.TARGET, algorithm, f"{kind.name}_{family}", BUDGET)


def _add(found: Series, session: Any, kind: data.Kind, x: float) -> None:
    for family in ALGORITHMS:
        call = f"CALL sys.ml_predict_table('{kind.name}', '{kind.name}_{family}', '{tables.OUTPUT}')".encode()
        taken = []
        for _ in range(2):
            drop(session, tables.OUTPUT)
            taken.append(seconds(lambda call=call: session.execute(call)))  # type: ignore[misc]
        found.setdefault(family, []).append((x, min(taken)))
        drop(session, tables.OUTPUT)


def over_sessions(place: Place, counts: Sequence[int], duration: float) -> tuple[Series, Series]:
    """Single predictions per second and MB held by all sessions, against sessions that predict at once."""
    rates: Series = {}
    memory: Series = {}
    kind = data.bank()
    with place.session() as session:
        _models(session, kind)
        data.store(session, kind, 1000, kind.name, target=True)
        for family in ALGORITHMS:
            for count in counts:
                rate, held = _crowd(place, f"{kind.name}_{family}", count, duration)
                rates.setdefault(family, []).append((count, rate))
                memory.setdefault(family, []).append((count, held))
    return rates, memory


def _crowd(place: Place, handle: str, count: int, duration: float) -> tuple[float, float]:
    query = f"SELECT sys.ml_predict_row(to_jsonb(t), '{handle}') FROM bank AS t LIMIT 20".encode()
    sessions = [place.session() for _ in range(count)]
    done = [0] * count
    try:
        for session in sessions:
            session.execute(query)
        end = time.monotonic() + duration

        def work(i: int) -> None:
            while time.monotonic() < end:
                sessions[i].execute(query)
                done[i] += 20

        threads = [threading.Thread(target=work, args=(i,)) for i in range(count)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        held = sum(_proportional(s.info.backend_pid) for s in sessions) / 2**20
    finally:
        for session in sessions:
            session.close()
    return sum(done) / duration, held


def _proportional(pid: int) -> int:
    """Memory of a process, what it shares divided among those that share it."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) << 10 for line in lines if line.startswith("Pss:"))


def draw(name: str, series: Series, x: str, y: str) -> None:
    """One plot with logarithmic axes."""
    figure, axes = pyplot.subplots(figsize=(6.4, 4.2), layout="constrained")
    for (label, points), marker in zip(series.items(), "os^v", strict=False):
        axes.loglog(*zip(*points, strict=True), marker=marker, label=label)
    ticks = sorted({point[0] for points in series.values() for point in points})
    axes.set_xticks(ticks, [f"{tick:,.0f}" for tick in ticks], minor=False)
    axes.minorticks_off()
    axes.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5)))
    axes.yaxis.set_major_formatter("{x:g}")
    axes.set_xlabel(x)
    axes.set_ylabel(y)
    axes.grid(True, which="both", alpha=0.3)
    axes.legend(frameon=False)
    PLOTS.mkdir(parents=True, exist_ok=True)
    figure.savefig(PLOTS / f"{name}.png", dpi=110, metadata={"Software": None})
    pyplot.close(figure)


def main() -> int:
    """Measure and draw everything."""
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("dsn", help="connection string of a superuser of a server on this machine")
    options.add_argument("--quick", action="store_true", help="small sizes only")
    args = options.parse_args()
    place = Place(args.dsn, "bench_plots")
    place.make()
    try:
        rows = ROWS[:2] if args.quick else ROWS
        draw("rows", over_rows(place, rows), "rows", "seconds for a table of 16 columns")
        n = 10_000 if args.quick else 100_000
        widths = COLUMNS[:3] if args.quick else COLUMNS
        draw("columns", over_columns(place, widths, n), "float8 columns", f"seconds for a table of {n:,} rows")
        counts = SESSIONS[:4] if args.quick else SESSIONS
        rates, memory = over_sessions(place, counts, 1.0 if args.quick else 5.0)
        draw("sessions", rates, "sessions at once", "single predictions per second, together")
        draw("memory", memory, "sessions", "MB of all sessions (PSS)")
    finally:
        place.remove()
    return 0


if __name__ == "__main__":
    sys.exit(main())
