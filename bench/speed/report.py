"""Measured ratios against their bounds: rows, and the table made of them."""

from __future__ import annotations

import os
import platform
from collections.abc import Iterable, Sequence
from datetime import date
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import NamedTuple

import psycopg

PACKAGES = ("numpy", "scikit-learn", "onnxruntime", "psycopg", "pandas", "pyarrow", "duckdb", "adbc-driver-postgresql")
RESULTS = Path(__file__).parents[1] / "results"
HEAD = "| what | measured | bound | |\n|---|---:|---:|---|"


class Row(NamedTuple):
    """One line of the table. ``ok`` is None where there is no bound: then the line is for information."""

    name: str
    value: float
    unit: str
    bound: str = ""
    ok: bool | None = None


def at_most(name: str, value: float, unit: str, limit: float) -> Row:
    """A row that must not exceed a limit."""
    return Row(name, value, unit, f"≤ {limit:g}", value <= limit)


def at_least(name: str, value: float, unit: str, limit: float) -> Row:
    """A row that must reach a limit."""
    return Row(name, value, unit, f"≥ {limit:g}", value >= limit)


def line(row: Row) -> str:
    """A row in Markdown."""
    mark = {None: "", True: "ok", False: "**MISSED**"}[row.ok]
    return f"| {row.name} | {number(row.value)} {row.unit} | {row.bound} | {mark} |"


def number(value: float) -> str:
    """Three digits that count, and never an exponent."""
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def table(rows: Iterable[Row]) -> str:
    """All rows in Markdown."""
    return "\n".join([HEAD, *map(line, rows)])


def missed(rows: Iterable[Row]) -> list[Row]:
    """The rows whose bound does not hold."""
    return [row for row in rows if row.ok is False]


def summary(rows: Sequence[Row]) -> str:
    """One sentence about the bounds."""
    bounds = [row for row in rows if row.ok is not None]
    return f"{len(bounds) - len(missed(bounds))} of {len(bounds)} bounds hold."


def machine(dsn: str | None) -> str:
    """Where this was measured, and with what; None: without a server."""
    text = Path("/proc/cpuinfo").read_text() if Path("/proc/cpuinfo").exists() else ""
    names = [x.partition(":")[2].strip() for x in text.splitlines() if x.startswith("model name")]
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    used = ", ".join(f"{name} {found}" for name in PACKAGES if (found := _version(name)))
    cpu = names[0] if names else platform.machine()
    load = os.getloadavg()[0]
    return (
        f"{date.today()}; {cpu}, {os.cpu_count()} cores, {memory:.0f} GB, load average {load:.1f}; "
        f"PostgreSQL {_server(dsn)}; Python {platform.python_version()}; {used}."
    )


def _server(dsn: str | None) -> str:
    """A server's version, and whether it keeps what it commits, which is a good part of what writing costs."""
    if dsn is None:
        return "none"
    query = "SELECT concat(current_setting('server_version'), ', fsync ', current_setting('fsync'))"
    with psycopg.connect(dsn) as connection:
        row = connection.execute(query).fetchone()
    return str(row[0]) if row else "unknown"


def _version(package: str) -> str | None:
    try:
        return version(package)
    except PackageNotFoundError:
        return None


def document(title: str, rows: Sequence[Row], where: str, how: str) -> str:
    """A file under bench/results."""
    return f"# {title}\n\n{how}\n\n{where}\n\n{table(rows)}\n\n{summary(rows)}\n"


def conclude(name: str, title: str, rows: Sequence[Row], dsn: str | None, how: str) -> int:
    """Prints a benchmark's table and writes it to bench/results/NAME.md; 1 if a bound is missed."""
    (RESULTS / f"{name}.md").write_text(document(title, rows, machine(dsn), how))
    print(f"{how}\n\n{table(rows)}\n\n{summary(rows)}", flush=True)
    return int(bool(missed(rows)))
