"""What a fresh session costs, with and without the library mlshare_preload: first call, connecting, memory of twenty.

Run by "python bench/sessions/sessions.py" in the tools environment, on Linux, as root or as the server's user. Makes a
throw-away server, and writes bench/results/sessions.md; 1 if a bound is missed.
"""

from __future__ import annotations

import os
import platform
import sys
import time
from contextlib import ExitStack
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path
from statistics import median

import psycopg

from mlshare_tools import cluster, demo, demo_data, migrate
from mlshare_tools.throwaway import Throwaway, proportional_bytes, throwaway

RESULTS = Path(__file__).parents[1] / "results" / "sessions.md"
SESSIONS, MEMORY_SESSIONS = 15, 20
WARM_MS, COLD_MS, WARM_MB = 60.0, 500.0, 500.0
OPTIONS = '{"model_list": ["LGBMClassifier"], "time_budget": 1}'
CALL = "SELECT sys.ml_predict_row(to_jsonb(t), 'bench') FROM bench AS t LIMIT 1"


@dataclass
class Measured:
    """Milliseconds of each fresh session, ``processor`` of its first call; megabytes (PSS) of twenty that scored."""

    connect: list[float] = field(default_factory=list)
    first: list[float] = field(default_factory=list)
    processor: list[float] = field(default_factory=list)
    second: list[float] = field(default_factory=list)
    memory: float = 0.0


def milliseconds(start: float) -> float:
    return (time.perf_counter() - start) * 1000


def one_session(server: Throwaway, into: Measured) -> psycopg.Connection:
    """Connect and score twice."""
    start = time.perf_counter()
    session = server.connect()
    into.connect.append(milliseconds(start))
    before = processor_ms(session.info.backend_pid)
    start = time.perf_counter()
    session.execute(CALL)
    into.first.append(milliseconds(start))
    into.processor.append(processor_ms(session.info.backend_pid) - before)
    start = time.perf_counter()
    session.execute(CALL)
    into.second.append(milliseconds(start))
    return session


def processor_ms(pid: int) -> float:
    """What a process has had of the processors: on a busy machine, the measure to trust."""
    return int(Path(f"/proc/{pid}/schedstat").read_text().split()[0]) / 1e6


def measure(server: Throwaway, libraries: str) -> Measured:
    """Sessions of the server with these shared_preload_libraries."""
    server.restart(libraries)
    found = Measured()
    one_session(server, Measured()).close()  # pages of the files come into memory
    for _ in range(SESSIONS):
        one_session(server, found).close()
    with ExitStack() as stack:
        sessions = [stack.enter_context(one_session(server, Measured())) for _ in range(MEMORY_SESSIONS)]
        found.memory = sum(proportional_bytes(session.info.backend_pid) for session in sessions) / (1 << 20)
    return found


def fill(server: Throwaway) -> None:
    """mlshare, a table and a model of boosted trees."""
    migrate.migrate(server.dsn("postgres"))
    data = demo_data.bundled("breast_cancer")
    with server.connect() as connection:
        demo.store(connection, data, "bench")
        connection.execute("CALL sys.ml_train('bench', %s, %s, 'bench')", (data.target, OPTIONS))


def report(server: Throwaway, warm: Measured, cold: Measured) -> tuple[str, bool]:
    """The table as Markdown, and whether every bound holds."""
    lines = (
        ("first ml_predict_row of a session, ms", median(warm.first), WARM_MS, median(cold.first), COLD_MS),
        ("processor time of that, ms", median(warm.processor), None, median(cold.processor), None),
        ("second call, ms", median(warm.second), None, median(cold.second), None),
        ("connecting, ms", median(warm.connect), None, median(cold.connect), None),
        (f"memory of {MEMORY_SESSIONS} sessions that have scored (PSS), MB", warm.memory, WARM_MB, cold.memory, None),
    )
    bounds = [value <= bound for line in lines for value, bound in (line[1:3], line[3:5]) if bound]
    table = [f"| {name} | {cell(a, limit_a)} | {cell(b, limit_b)} |" for name, a, limit_a, b, limit_b in lines]
    head = (
        "# Fresh sessions\n\n"
        f"Medians of {SESSIONS}; boosted trees on 30 columns. {date.today()}, PostgreSQL {server.server.major}, Python "
        f"{platform.python_version()}, {os.cpu_count()} cores, load {os.getloadavg()[0]:.1f}. "
        "Written by `bench/sessions/sessions.py`.\n\n"
        "| | with mlshare_preload | without |\n| --- | --- | --- |\n"
    )
    return head + "\n".join(table) + "\n", all(bounds)


def cell(value: float, bound: float | None) -> str:
    if bound is None:
        return f"{value:.1f}"
    return f"{value:.1f} (≤ {bound:.0f}: {'ok' if value <= bound else 'MISSED'})"


def main() -> int:
    private = cluster.existing()
    library = private.home / "preload" / "mlshare_preload.so"
    if not library.exists():
        print(f'{library} is missing: "make up" builds it where postgresql-server-dev is installed', file=sys.stderr)
        return 1
    with throwaway(private) as server:
        fill(server)
        warm, cold = (measure(server, libraries) for libraries in (str(library), ""))
        text, holds = report(server, warm, cold)
    RESULTS.write_text(text)
    print(text)
    return 0 if holds else 1


if __name__ == "__main__":
    sys.exit(main())
