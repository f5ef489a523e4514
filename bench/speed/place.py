"""Where the measuring is done: a database of its own, and clocks."""

from __future__ import annotations

import json
import os
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote

import psycopg
from psycopg.conninfo import conninfo_to_dict, make_conninfo

from mlshare_tools import build

DATABASE = "bench_speed"
ALGORITHMS = {"linear": "LogisticRegression", "boosted": "LGBMClassifier"}
_TICK = os.sysconf("SC_CLK_TCK")


class Place:
    """A database with mlshare in it, on this machine."""

    def __init__(self, dsn: str, database: str = DATABASE) -> None:
        """``dsn`` is a superuser's."""
        self.admin, self.database = dsn, database
        self.dsn = make_conninfo(dsn, dbname=database)

    @property
    def url(self) -> str:
        """The same as a URL, which some libraries want."""
        known = conninfo_to_dict(self.dsn)
        user, password, host = (quote(str(known.get(k) or ""), safe="") for k in ("user", "password", "host"))
        return f"postgresql://{user}:{password}@{host}:{known.get('port', 5432)}/{self.database}"

    def make(self) -> None:
        """The database anew."""
        self.remove()
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"CREATE DATABASE {self.database}".encode())
        with self.session() as session:
            session.execute(build.plain_script().encode())

    def remove(self) -> None:
        """The database away."""
        with psycopg.connect(self.admin, autocommit=True) as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {self.database} WITH (FORCE)".encode())

    def session(self) -> psycopg.Connection[Any]:
        """A connection in autocommit mode."""
        return psycopg.connect(self.dsn, autocommit=True)


def one(session: psycopg.Connection[Any], statement: str, *values: Any) -> Any:
    """The first value of a statement's first row."""
    row = session.execute(statement.encode(), values).fetchone()
    return row[0] if row else None


def train(
    session: psycopg.Connection[Any], table: str, target: str, algorithm: str, handle: str, budget: float
) -> None:
    """A model of one algorithm under a handle; the search ends after some seconds."""
    options = json.dumps({"task": "classification", "model_list": [algorithm], "time_budget": budget})
    one(session, "CALL sys.ml_train(%s, %s, %s, %s)", table, target, options, handle)


def drop(session: psycopg.Connection[Any], *tables: str) -> None:
    """Tables away."""
    for table in tables:
        session.execute(f"DROP TABLE IF EXISTS {table}".encode())


def seconds(work: Callable[[], object]) -> float:
    """Wall time of some work."""
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def cpu_seconds(pid: int) -> float:
    """Processor time that a process has used."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / _TICK


def peak_memory(pid: int) -> int:
    """The most memory a process of this machine has held, in bytes, without what backends share."""
    return _status(pid, "VmHWM") - _status(pid, "RssShmem")


def _status(pid: int, field: str) -> int:
    for line in Path(f"/proc/{pid}/status").read_text().splitlines():
        if line.startswith(field + ":"):
            return int(line.split()[1]) << 10
    return 0


@contextmanager
def fresh(place: Place) -> Iterator[tuple[psycopg.Connection[Any], int]]:
    """A new session and its process."""
    with place.session() as session:
        yield session, session.info.backend_pid
