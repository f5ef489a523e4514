"""A server for one test or benchmark: its own data directory, the Python environment of the private cluster."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

import psycopg

from mlshare_tools import cluster

MEMORY = Path("/dev/shm")
ROOM = 4 << 30


class Throwaway(cluster.Cluster):
    """A cluster in a directory of its own."""

    max_wal = "1GB"

    def __init__(self, directory: Path, private: cluster.Cluster) -> None:
        super().__init__(private.server)
        self.home, self.data, self.log = directory, directory / "data", directory / "log" / "postgresql.log"
        self.environments = private.environments
        self._libraries = ""

    @property
    def socket(self) -> Path:
        return self.home / "run"

    def restart(self, libraries: str) -> str:
        """Run with these shared_preload_libraries; what the server wrote to its log if it had to be started."""
        if self._libraries == libraries and self.running():
            return ""
        self.stop()
        self._libraries = libraries
        (self.data / "postgresql.auto.conf").write_text(f"shared_preload_libraries = '{libraries}'\n")
        before = self.log.stat().st_size if self.log.exists() else 0
        self.start()
        return self.log.read_text()[before:]

    def connect(self) -> psycopg.Connection:
        """The superuser's connection to database postgres, in autocommit mode."""
        return psycopg.connect(self.dsn("postgres"), autocommit=True)


@contextmanager
def throwaway(private: cluster.Cluster) -> Iterator[Throwaway]:
    """A running server, removed afterwards."""
    # The server's user must be able to enter the directory, and a socket's path must be short.
    directory = Path(tempfile.mkdtemp(prefix="mlshare-", dir=MEMORY if memory_has_room() else None))
    directory.chmod(0o755)
    made = Throwaway(directory, private)
    try:
        made.initialise()
        made.start()
        yield made
    finally:
        made.stop()
        shutil.rmtree(directory)


def memory_has_room() -> bool:
    """Whether a server's files can be in memory: to make a database of 300 files takes a third of the time there."""
    with suppress(FileNotFoundError, StopIteration):
        lines = Path("/proc/meminfo").read_text().splitlines()
        available = next(int(line.split()[1]) << 10 for line in lines if line.startswith("MemAvailable:"))
        return min(available, shutil.disk_usage(MEMORY).free) > ROOM
    return False


def proportional_bytes(pid: int) -> int:
    """Memory of a process, each shared page divided among those who share it. Linux only."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]
    fields = dict(line.split(":", 1) for line in lines)
    return int(fields["Pss"].split()[0]) << 10
