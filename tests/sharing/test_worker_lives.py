"""The worker is cancelled, killed, stopped, cut off: the old version is served on, and no file is unaccounted for."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import psycopg
import pytest

from fix_db import Database
from mlshare_server.worker.main import Worker
from sharing.conftest import files, wait_for
from sharing.test_provider_sql import one, refused, rows
from sharing.test_publish import publish, published

Provider = Callable[..., psycopg.Connection]
STATE = "SELECT share_version, status FROM sys.user_share_versions ORDER BY 1"
WRITTEN = """
SELECT count(*) FROM mlshare_share.file AS f
WHERE complete AND NOT EXISTS (SELECT FROM mlshare_share.version_file AS v WHERE v.file_id = f.file_id)
"""
JOBS = "SELECT status FROM sys.user_share_jobs ORDER BY job_id"


@pytest.fixture
def owner(provider: Provider) -> psycopg.Connection:
    """A provider whose share S holds a view that takes as many seconds as table pace says."""
    connection = provider()
    connection.execute(
        """
        CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1000) AS n;
        CREATE TABLE pace AS SELECT 0 AS seconds;
        CREATE FUNCTION wait() RETURNS int LANGUAGE sql VOLATILE AS
            'SELECT 1 FROM pg_sleep((SELECT seconds FROM pace))';
        CREATE VIEW slow AS SELECT wait() AS w;
        CALL dbms_share.create_share('s', storage_link_name => 'link');
        CALL dbms_share.add_to_share('s', 't');
        CALL dbms_share.add_to_share('s', 'slow')
    """.replace("FROM pace)", f'FROM "{one(connection, "SELECT current_user")}".pace)')
    )
    return connection


def slowly(owner: psycopg.Connection, seconds: int) -> int:
    """Ask for a version that takes so long, and wait until the fast part of it is written; the job."""
    owner.execute("UPDATE pace SET seconds = %s; ", (seconds,))
    owner.execute("UPDATE t SET id = id + 1")
    job = one(owner, "CALL dbms_share.publish_share('s')")
    wait_for(lambda: one(owner, WRITTEN) == 1)
    return job


def accounted(owner: psycopg.Connection) -> set[str]:
    """The files that the database knows of."""
    return {row[0] for row in rows(owner, "SELECT path FROM mlshare_share.file")}


@pytest.mark.usefixtures("worker")
def test_cancel(owner: psycopg.Connection, place: Path) -> None:
    publish(owner)
    before = files(owner, place)
    job = slowly(owner, 60)
    owner.execute("CALL dbms_share.cancel_share_job(%s)", (job,))
    wait_for(lambda: rows(owner, JOBS)[-1] == ("CANCELLED",), 10)
    assert rows(owner, STATE) == [(1, "CURRENT"), (2, "FAILED")]
    wait_for(lambda: files(owner, place) == before == accounted(owner))
    owner.execute("UPDATE pace SET seconds = 0")
    assert publish(owner) == 3


@pytest.mark.usefixtures("worker")
def test_unpublish_ends_what_runs(owner: psycopg.Connection) -> None:
    publish(owner)
    slowly(owner, 60)
    owner.execute("CALL dbms_share.unpublish_share('s')")
    wait_for(lambda: rows(owner, JOBS)[-1] == ("CANCELLED",), 10)
    assert rows(owner, STATE) == [(1, "EXPORTED"), (2, "FAILED")]


@pytest.mark.usefixtures("worker")
def test_a_share_that_is_dropped_meanwhile(owner: psycopg.Connection, place: Path) -> None:
    slowly(owner, 60)
    owner.execute("CALL dbms_share.drop_share('s')")
    wait_for(lambda: not files(owner, place) and not accounted(owner), 20)


def start(sharing: Database, role: str) -> subprocess.Popen[bytes]:
    """A worker in a process of its own."""
    environment = {**os.environ, "PYTHONPATH": str(Path(__file__).parents[2] / "plpython")}
    command = [sys.executable, "-m", "mlshare_server", "worker", sharing.dsn_of(role)]
    return subprocess.Popen(command, env=environment, stderr=subprocess.DEVNULL)


@pytest.fixture
def process(sharing: Database, worker_role: str) -> Iterator[subprocess.Popen[bytes]]:
    """A worker that can be killed."""
    made = start(sharing, worker_role)
    yield made
    made.kill()
    made.wait()


def test_a_killed_worker(
    owner: psycopg.Connection, sharing: Database, process: subprocess.Popen[bytes], worker_role: str, place: Path
) -> None:
    slowly(owner, 60)
    process.kill()
    process.wait()
    owner.execute("UPDATE pace SET seconds = 0")
    worker = Worker(sharing.dsn_of(worker_role), tick=0.2)
    thread = threading.Thread(target=worker.run)
    thread.start()
    try:
        wait_for(lambda: rows(owner, JOBS) == [("COMPLETED",)])
    finally:
        worker.stop()
        thread.join()
    assert rows(owner, STATE) == [(1, "FAILED"), (2, "CURRENT")]
    assert files(owner, place) == accounted(owner)
    left = {row[0] for row in rows(owner, "SELECT file_name FROM sys.user_share_detached_files")}
    assert len(left) >= 1 and left < accounted(owner)
    assert sorted(row["id"] for row in published(owner, place, "T")) == list(range(2, 1002))


def test_a_stopped_worker_gives_its_job_back(owner: psycopg.Connection, process: subprocess.Popen[bytes]) -> None:
    slowly(owner, 60)
    process.send_signal(signal.SIGTERM)
    assert process.wait(15) == 0
    assert rows(owner, JOBS) == [("QUEUED",)]
    assert rows(owner, STATE) == [(1, "FAILED")]


def test_lost_connections(owner: psycopg.Connection, sharing: Database, worker: Worker, place: Path) -> None:
    publish(owner)
    slowly(owner, 3)
    with sharing.connect() as admin:
        # What a restart of the server does to a worker.
        admin.execute(
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() "
            "AND application_name LIKE 'mlshare-server%'"
        )
    wait_for(lambda: rows(owner, JOBS)[-1] == ("COMPLETED",), 30)
    assert rows(owner, STATE)[-1] == (3, "CURRENT")
    assert files(owner, place) == accounted(owner)


def test_several_workers(provider: Provider, sharing: Database, worker_role: str) -> None:
    """Every job is done once, by one of them."""
    owner = provider()
    for number in range(6):
        owner.execute(f"""
            CREATE TABLE t{number} AS SELECT 1 AS a;
            CALL dbms_share.create_share('s{number}', storage_link_name => 'link');
            CALL dbms_share.add_to_share('s{number}', 't{number}');
            CALL dbms_share.publish_share('s{number}');
            CALL dbms_share.publish_share('s{number}')
        """)
    workers = [Worker(sharing.dsn_of(worker_role), jobs=2) for _ in range(3)]
    threads = [threading.Thread(target=worker.run) for worker in workers]
    for thread in threads:
        thread.start()
    wait_for(lambda: rows(owner, "SELECT DISTINCT status FROM sys.user_share_jobs") == [("COMPLETED",)], 40)
    for worker in workers:
        worker.stop()
    for thread in threads:
        thread.join()
    assert rows(
        owner,
        "SELECT DISTINCT current_version, max(share_version) FROM sys.user_shares JOIN sys.user_share_versions "
        "USING (share_name) GROUP BY share_name, current_version",
    ) == [(2, 2)]
    assert one(owner, "SELECT max(attempts) FROM mlshare_share.job") == 1


def test_without_a_worker(owner: psycopg.Connection) -> None:
    refused(owner, "ML614", "CALL dbms_share.publish_share_wait('s')")
    assert rows(owner, JOBS) == []
