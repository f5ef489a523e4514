"""Publishing: what arrives in the files, and what is served."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from fix_db import Database
from mlshare_server.worker.main import Worker
from sharing.test_provider_sql import one, refused, rows

pytestmark = pytest.mark.usefixtures("worker")
Provider = Callable[..., psycopg.Connection]
FILES = "SELECT file_name, file_size, num_rows, first_version, sha256 FROM sys.user_share_files WHERE share_version = %s"


@pytest.fixture
def owner(provider: Provider) -> psycopg.Connection:
    """A provider with a share S that holds table t."""
    connection = provider()
    connection.execute("""
        CREATE TABLE t (id int PRIMARY KEY, name text NOT NULL, price numeric(8, 2));
        COMMENT ON COLUMN t.price IS 'in euros';
        COMMENT ON TABLE t IS 'things';
        INSERT INTO t SELECT n, 'name ' || n, n / 100.0 FROM generate_series(1, 1000) AS n;
        CALL dbms_share.create_share('s', storage_link_name => 'link');
        CALL dbms_share.add_to_share('s', 't')
    """)
    return connection


def publish(owner: psycopg.Connection, share: str = "s") -> int:
    """Publish a share and wait; the number of the version."""
    job = one(owner, "CALL dbms_share.publish_share_wait(%s)", share)
    return one(owner, "SELECT share_version FROM sys.user_share_jobs WHERE job_id = %s", job)


def published(owner: psycopg.Connection, place: Path, table: str = "%", share: str = "S") -> list[dict]:
    """The rows of the current version of a table."""
    names = rows(owner, "SELECT f.file_name FROM sys.user_share_files AS f JOIN sys.user_shares USING (share_name) "
                        "WHERE share_name = %s AND share_version = current_version AND share_table_name LIKE %s", share, table)
    me = one(owner, "SELECT current_user")
    return [row for (name,) in names for row in pq.read_table(place / me / name).to_pylist()]


def test_a_version(owner: psycopg.Connection, place: Path) -> None:
    assert publish(owner) == 1
    assert rows(owner, "SELECT share_version, status, num_files, num_rows FROM sys.user_share_versions") == [(1, "CURRENT", 1, 1000)]
    found = published(owner, place)
    assert found[41] == {"id": 42, "name": "name 42", "price": Decimal("0.42")}
    assert len(found) == 1000
    (name, size, count, first, digest), = rows(owner, FILES, 1)
    written = (place / one(owner, "SELECT current_user") / name).read_bytes()
    assert (len(written), hashlib.sha256(written).hexdigest(), count, first) == (size, digest, 1000, 1)
    assert one(owner, "SELECT status FROM sys.user_share_tables") == "PUBLISHED"
    assert rows(owner, "SELECT status, percent_done, num_rows FROM sys.user_share_jobs") == [("COMPLETED", 100, 1000)]
    assert rows(owner, "SELECT status, num_rows FROM sys.user_share_job_segments") == [("COMPLETED", 1000)]
    events = [row[0] for row in rows(owner, "SELECT status FROM sys.user_share_events ORDER BY event_id")]
    assert events == ["STARTED", "EXPORTED", "COMPLETED"]
    schema, key, comment = owner.execute("SELECT table_schema, primary_key, comment FROM mlshare_share.version_table").fetchone()
    assert (key, comment) == (["id"], "things")
    assert schema == {"type": "struct", "fields": [
        {"name": "id", "type": "integer", "nullable": False, "metadata": {}},
        {"name": "name", "type": "string", "nullable": False, "metadata": {}},
        {"name": "price", "type": "decimal(8,2)", "nullable": True, "metadata": {"comment": "in euros"}}]}
    stats = json.loads(one(owner, "SELECT stats FROM mlshare_share.file"))
    assert stats == {"numRecords": 1000, "minValues": {"id": 1, "name": "name 1", "price": 0.01},
                     "maxValues": {"id": 1000, "name": "name 999", "price": 10.0}, "nullCount": {"id": 0, "name": 0, "price": 0}}


def test_publish_returns_at_once(owner: psycopg.Connection) -> None:
    job = one(owner, "CALL dbms_share.publish_share('s')")
    from sharing.conftest import wait_for

    state = "SELECT status FROM sys.user_share_jobs WHERE job_id = %s"
    wait_for(lambda: one(owner, state, job) == "COMPLETED")
    assert one(owner, "SELECT current_version FROM sys.user_shares") == 1
