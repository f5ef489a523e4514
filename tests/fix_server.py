"""The server under test: MLSHARE_TEST_DSN, the private cluster, or a container of the Docker image.

MLSHARE_TEST_HOME=docker starts a container of the image MLSHARE_TEST_IMAGE; tests do not know the difference.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from dataclasses import dataclass, field

import psycopg
import pytest

from mlshare_tools import cluster, database
from mlshare_tools.shell import ToolError
from mlshare_tools.throwaway import memory_has_room, throwaway

HOME = os.environ.get("MLSHARE_TEST_HOME", "private")
IMAGE = os.environ.get("MLSHARE_TEST_IMAGE", "mlshare")


@dataclass(frozen=True)
class Server:
    """A server with the extension files in it: the superuser's connection string, and where it lives."""

    dsn: str = field(repr=False)
    home: str

    @property
    def has_extension(self) -> bool:
        """Whether CREATE EXTENSION gives this checkout's mlshare: not so where nobody may install files."""
        if self.home != "private":
            return True
        with cluster.locked():
            return database.install_files(cluster.existing().server)

    def connect(self, **options: object) -> psycopg.Connection:
        """A superuser's connection, in autocommit mode."""
        return psycopg.connect(self.dsn, autocommit=True, **options)


def private_dsn() -> str | None:
    """Connection string of the server that is already there, if tests shall use it."""
    if named := os.environ.get("MLSHARE_TEST_DSN"):
        return named
    return cluster.existing().dsn("postgres") if HOME == "private" else None


def pytest_report_header() -> str:
    """Say which server the tests run against."""
    return f"server: {describe()}"


def describe() -> str:
    """One line about the server, for the head of the report."""
    if HOME == "docker":
        return f"container of {IMAGE}"
    try:
        with psycopg.connect(private_dsn()) as connection:
            return connection.execute("SELECT version()").fetchone()[0]
    except (psycopg.Error, ToolError) as error:
        return f"none ({str(error).strip().splitlines()[0]})"


@contextmanager
def serving(own: bool = False) -> Iterator[Server]:
    """The server under test; ``own``: one like it that nobody else uses, where one can be made."""
    if named := os.environ.get("MLSHARE_TEST_DSN"):
        yield Server(named, "given")
        return
    if HOME == "private":
        with throwaway(cluster.existing()) if own else nullcontext(cluster.existing()) as private:
            yield Server(private.dsn("postgres"), "private")
        return
    from testcontainers.community.postgres import PostgresContainer

    names = {"username": "postgres", "password": "postgres", "dbname": "postgres"}
    container = PostgresContainer(IMAGE, driver=None, shm_size="1g", **names)
    if memory_has_room():
        container.with_tmpfs_mount("/var/lib/postgresql/data", "size=3g")
    with container:
        yield Server(container.get_connection_url(), "docker")


@pytest.fixture(scope="session")
def server(request: pytest.FixtureRequest) -> Iterator[Server]:
    """The server under test; one of several processes has one of its own, see fix_workers."""
    if own := getattr(request.config, "workerinput", {}).get("server"):
        yield Server(*own)
        return
    with serving() as found:
        yield found


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Tests that look at files or processes of the server need it on this machine."""
    if HOME == "private" and "MLSHARE_TEST_DSN" not in os.environ:
        return
    skip = pytest.mark.skip(reason="needs the private cluster: looks at files or processes of the server")
    for item in items:
        if item.get_closest_marker("private"):
            item.add_marker(skip)
