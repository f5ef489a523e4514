"""Providers with a place to publish to, logins for worker and server, and a worker that runs while a test does."""

from __future__ import annotations

import os
import re
import shutil
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest
from psycopg import sql

from fix_db import PASSWORD, Database, identifiers, unique
from fix_server import Server
from mlshare_server.worker.main import Worker

READERS = "SELECT rolname FROM pg_roles WHERE rolname LIKE 'mlshare\\_reader\\_' || %s || '\\_%%'"


@pytest.fixture
def place() -> Iterator[Path]:
    """A directory for published files."""
    path = Path(tempfile.mkdtemp(prefix="mlshare-share-"))
    yield path
    shutil.rmtree(path)


@pytest.fixture
def sharing(db: Database, place: Path) -> Iterator[Database]:
    """The test's database, which lets storage links lead to ``place``; its readers are dropped afterwards."""
    with db.connect() as admin:
        number = admin.execute("SELECT oid FROM pg_database WHERE datname = current_database()").fetchone()[0]
        setting(admin, "storage_roots", f"file://{place}/ s3://")
    yield db
    with db.server.connect() as admin:
        for (reader,) in admin.execute(READERS, (str(number),)).fetchall():
            admin.execute(identifiers("DROP ROLE {}", reader))


def setting(admin: psycopg.Connection, name: str, value: str) -> None:
    """Change a setting of data shares."""
    admin.execute("CALL dbms_share.update_default_share_property(%s, %s)", (name, value))


@pytest.fixture
def provider(sharing: Database, role: Callable[..., str], place: Path) -> Callable[..., psycopg.Connection]:
    """Makes a role that may share, with a schema of its own name and a storage link; its connection."""

    def make(name: str | None = None) -> psycopg.Connection:
        made = role(name, user=False)
        with sharing.connect() as admin:
            admin.execute("CALL dbms_share.enable_schema(%s)", (made,))
            admin.execute(identifiers("CREATE SCHEMA {} AUTHORIZATION {}", made, made))
        connection = sharing.connect(made)
        link = "CALL dbms_share.create_cloud_storage_link('LINK', %s)"
        connection.execute(link, (f"file://{home(connection, place)}/",))
        return connection

    return make


def home(connection: psycopg.Connection, place: Path) -> Path:
    """The directory of a provider's storage link."""
    return place / re.sub(r"\W", "_", connection.execute("SELECT current_user").fetchone()[0])


def files(connection: psycopg.Connection, place: Path) -> set[str]:
    """What lies in a provider's storage, complete or not."""
    root = str(home(connection, place))
    # Unlike Path.rglob, it does not mind directories that go away meanwhile.
    return {os.path.relpath(os.path.join(top, name), root) for top, _, names in os.walk(root) for name in names}


def login(server: Server, group: str) -> str:
    """Makes a login that is a member of a group."""
    name = unique(group)
    with server.connect() as admin:
        admin.execute(
            identifiers("CREATE ROLE {} LOGIN IN ROLE {}", name, group) + sql.SQL(" PASSWORD {}").format(PASSWORD)
        )
    return name


@pytest.fixture(scope="session")
def worker_role(server: Server) -> Iterator[str]:
    """The login of a publish worker."""
    name = login(server, "mlshare_worker")
    yield name
    drop(server, name)


@pytest.fixture(scope="session")
def server_role(server: Server) -> Iterator[str]:
    """The login of a sharing server."""
    name = login(server, "mlshare_sharing_server")
    yield name
    drop(server, name)


def drop(server: Server, name: str) -> None:
    with server.connect() as admin:
        admin.execute(identifiers("DROP ROLE {}", name))


@pytest.fixture
def worker(sharing: Database, worker_role: str) -> Iterator[Worker]:
    """A publish worker in a thread of the test, connected."""
    made = Worker(sharing.dsn_of(worker_role), tick=1)
    thread = threading.Thread(target=made.run, daemon=True)
    thread.start()
    with sharing.connect() as admin:
        wait_for(lambda: admin.execute("SELECT mlshare_share.has_worker()").fetchone()[0])
    yield made
    made.stop()
    thread.join(20)


def wait_for(condition: Callable[[], object], seconds: float = 20) -> None:
    """Wait until something is so."""
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.02)
