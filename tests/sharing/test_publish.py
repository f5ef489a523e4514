"""Publishing: what arrives in the files, and what is served."""

from __future__ import annotations

import hashlib
import json
import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pyarrow.parquet as pq
import pytest

from fix_db import Database
from mlshare_server.worker.main import STATEMENTS
from sharing.conftest import files, home, wait_for
from sharing.test_provider_sql import one, refused, rows

pytestmark = pytest.mark.usefixtures("worker")
Provider = Callable[..., psycopg.Connection]
FILES = (
    "SELECT file_name, file_size, num_rows, first_version, sha256 FROM sys.user_share_files WHERE share_version = %s"
)


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
    names = rows(
        owner,
        "SELECT f.file_name FROM sys.user_share_files AS f JOIN sys.user_shares USING (share_name) "
        "WHERE share_name = %s AND share_version = current_version AND share_table_name LIKE %s",
        share,
        table,
    )
    root = home(owner, place)
    return [row for (name,) in names for row in pq.read_table(root / name).to_pylist()]


def test_a_version(owner: psycopg.Connection, place: Path) -> None:
    assert publish(owner) == 1
    assert rows(owner, "SELECT share_version, status, num_files, num_rows FROM sys.user_share_versions") == [
        (1, "CURRENT", 1, 1000)
    ]
    found = published(owner, place)
    assert found[41] == {"id": 42, "name": "name 42", "price": Decimal("0.42")}
    assert len(found) == 1000
    ((name, size, count, first, digest),) = rows(owner, FILES, 1)
    written = (home(owner, place) / name).read_bytes()
    assert (len(written), hashlib.sha256(written).hexdigest(), count, first) == (size, digest, 1000, 1)
    assert one(owner, "SELECT status FROM sys.user_share_tables") == "PUBLISHED"
    assert rows(owner, "SELECT status, percent_done, num_rows FROM sys.user_share_jobs") == [("COMPLETED", 100, 1000)]
    assert rows(owner, "SELECT status, num_rows FROM sys.user_share_job_segments") == [("COMPLETED", 1000)]
    events = [row[0] for row in rows(owner, "SELECT status FROM sys.user_share_events ORDER BY event_id")]
    assert events == ["STARTED", "EXPORTED", "COMPLETED"]
    schema, key, comment = owner.execute(
        "SELECT table_schema, primary_key, comment FROM mlshare_share.version_table"
    ).fetchone()
    assert (key, comment) == (["id"], "things")
    assert schema == {
        "type": "struct",
        "fields": [
            {"name": "id", "type": "integer", "nullable": False, "metadata": {}},
            {"name": "name", "type": "string", "nullable": False, "metadata": {}},
            {"name": "price", "type": "decimal(8,2)", "nullable": True, "metadata": {"comment": "in euros"}},
        ],
    }
    stats = json.loads(one(owner, "SELECT stats FROM mlshare_share.file"))
    assert stats == {
        "numRecords": 1000,
        "minValues": {"id": 1, "name": "name 1", "price": 0.01},
        "maxValues": {"id": 1000, "name": "name 999", "price": 10.0},
        "nullCount": {"id": 0, "name": 0, "price": 0},
    }


def test_publish_returns_at_once(owner: psycopg.Connection) -> None:
    job = one(owner, "CALL dbms_share.publish_share('s')")
    state = "SELECT status FROM sys.user_share_jobs WHERE job_id = %s"
    wait_for(lambda: one(owner, state, job) == "COMPLETED")
    assert one(owner, "SELECT current_version FROM sys.user_shares") == 1


# --- which rows leave ----------------------------------------------------------------------------


def test_columns_and_rows(owner: psycopg.Connection, place: Path) -> None:
    owner.execute(
        "CALL dbms_share.add_to_share('s', 't', column_list => '{name,id}', where_clause => 'id % 500 = 0 -- few', "
        "share_table_name => 'few')"
    )
    publish(owner)
    assert published(owner, place, "FEW") == [{"id": 500, "name": "name 500"}, {"id": 1000, "name": "name 1000"}]
    key = "SELECT share_table_name::text, primary_key FROM mlshare_share.version_table ORDER BY 1"
    assert rows(owner, key) == [("FEW", ["id"]), ("T", ["id"])]


def foreign_server(sharing: Database, me: str) -> None:
    """Server "here": this very database, for foreign tables."""
    with sharing.connect() as admin:
        admin.execute("CREATE EXTENSION postgres_fdw")
        info = sharing.opened[-1].info
        admin.execute(
            f"CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '{info.host}', port '{info.port}', "
            f"dbname '{info.dbname}'); CREATE USER MAPPING FOR \"{me}\" SERVER here OPTIONS (user '{me}', "
            f"password 'only-for-tests'); GRANT USAGE ON FOREIGN SERVER here TO \"{me}\""
        )


def test_views_and_their_like(owner: psycopg.Connection, place: Path, sharing: Database) -> None:
    me = one(owner, "SELECT current_user")
    foreign_server(sharing, me)
    owner.execute(f"""
        CREATE VIEW v AS SELECT id * 2 AS twice FROM t WHERE id <= 3;
        CREATE MATERIALIZED VIEW m AS SELECT id FROM t WHERE id <= 2;
        CREATE FOREIGN TABLE f (id int) SERVER here OPTIONS (schema_name '{me}', table_name 'm');
        CREATE TABLE parent (a int); CREATE TABLE child (b int) INHERITS (parent);
        INSERT INTO parent VALUES (1); INSERT INTO child VALUES (2, 3)
    """)
    for name in ("v", "m", "f", "parent"):
        owner.execute("CALL dbms_share.add_to_share('s', %s)", (name,))
    publish(owner)
    found = {name: published(owner, place, name.upper()) for name in ("v", "m", "f", "parent")}
    assert found == {
        "v": [{"twice": 2}, {"twice": 4}, {"twice": 6}],
        "m": [{"id": 1}, {"id": 2}],
        "f": [{"id": 1}, {"id": 2}],
        "parent": [{"a": 1}, {"a": 2}],
    }
    kinds = "SELECT share_table_name, object_type FROM sys.user_share_tables WHERE share_table_name <> 'T' ORDER BY 1"
    assert rows(owner, kinds) == [
        ("F", "FOREIGN TABLE"),
        ("M", "MATERIALIZED VIEW"),
        ("PARENT", "TABLE"),
        ("V", "VIEW"),
    ]


def test_the_owners_policies_decide(owner: psycopg.Connection, provider: Provider, place: Path) -> None:
    """Another role's table with row-level security: only the rows that the share's owner sees leave."""
    other = provider()
    mine, theirs = (one(connection, "SELECT current_user") for connection in (owner, other))
    other.execute(f"""
        CREATE TABLE hr (who text, secret text); INSERT INTO hr VALUES ('{mine}', 'a'), ('boss', 'b');
        ALTER TABLE hr ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON hr USING (who = current_user);
        GRANT USAGE ON SCHEMA "{theirs}" TO "{mine}"; GRANT SELECT ON hr TO "{mine}"
    """)
    owner.execute("CALL dbms_share.add_to_share('s', 'hr', %s)", (theirs,))
    publish(owner)
    assert published(owner, place, "HR") == [{"who": mine, "secret": "a"}]
    # The privilege counts when it is published, not when it was added.
    other.execute(f'REVOKE SELECT ON hr FROM "{mine}"')
    refused(owner, "42501", "CALL dbms_share.publish_share_wait('s')")
    assert one(owner, "SELECT current_version FROM sys.user_shares") == 1


def test_one_snapshot_over_all_tables(owner: psycopg.Connection, place: Path) -> None:
    """Two tables that always hold equally many rows do so in every version, while rows keep coming."""
    me = one(owner, "SELECT current_user")
    owner.execute(
        "CREATE TABLE a (n int); CREATE TABLE b (n int); CALL dbms_share.add_to_share('s', 'a'); "
        "CALL dbms_share.add_to_share('s', 'b')"
    )
    stop = threading.Event()

    def write() -> None:
        with psycopg.connect(owner.info.dsn, password="only-for-tests") as connection:
            while not stop.is_set():
                for name in ("a", "b"):
                    connection.execute(f'INSERT INTO "{me}".{name} SELECT generate_series(1, 100)')
                connection.commit()

    writer = threading.Thread(target=write)
    writer.start()
    try:
        for _ in range(3):
            publish(owner)
            assert len(published(owner, place, "A")) == len(published(owner, place, "B"))
    finally:
        stop.set()
        writer.join()


# --- files ---------------------------------------------------------------------------------------


def test_large_tables_become_several_files(owner: psycopg.Connection, place: Path) -> None:
    owner.execute(
        "CREATE TABLE big AS SELECT n AS id, md5(n::text) AS text FROM generate_series(1, 60000) AS n; "
        "CALL dbms_share.add_to_share('s', 'big'); CALL dbms_share.update_share_property('s', 'split_size', '500000'); "
        "CALL dbms_share.update_share_property('s', 'compression', 'zstd')"
    )
    publish(owner)
    sizes = [row[0] for row in rows(owner, "SELECT file_size FROM sys.user_share_files WHERE share_table_name = 'BIG'")]
    assert len(sizes) >= 3 and max(sizes) <= 500_000
    assert sorted(row["id"] for row in published(owner, place, "BIG")) == list(range(1, 60001))
    name = one(owner, "SELECT file_name FROM sys.user_share_files LIMIT 1")
    group = pq.ParquetFile(home(owner, place) / name).metadata.row_group(0)
    assert group.column(0).compression == "ZSTD"


@pytest.mark.parametrize(("codec", "digests"), [("snappy", "UNCOMPRESSED"), ("zstd", "ZSTD")])
def test_what_cannot_be_compressed_is_not(owner: psycopg.Connection, place: Path, codec: str, digests: str) -> None:
    owner.execute(
        "CREATE TABLE many AS SELECT 'order ' || n AS id, md5(n::text) AS digest, ARRAY[n, n] AS list, "
        "NULL::text AS nothing FROM generate_series(1, 20000) AS n; CALL dbms_share.remove_from_share('s', 't'); "
        "CALL dbms_share.add_to_share('s', 'many');"
        f"CALL dbms_share.update_share_property('s', 'compression', '{codec}')"
    )
    publish(owner)
    name = one(owner, "SELECT file_name FROM sys.user_share_files")
    group = pq.ParquetFile(home(owner, place) / name).metadata.row_group(0)
    found = [group.column(number).compression for number in range(group.num_columns)]
    assert found == [codec.upper(), digests, codec.upper(), codec.upper()]


def test_an_empty_table_has_no_file(owner: psycopg.Connection, place: Path) -> None:
    owner.execute("TRUNCATE t")
    publish(owner)
    assert rows(owner, "SELECT num_files, num_rows FROM sys.user_share_versions") == [(0, 0)]


UNCHANGED = """
CREATE TABLE p (k int, v text) PARTITION BY LIST (k);
CREATE TABLE p1 PARTITION OF p FOR VALUES IN (1);
CREATE TABLE p2 PARTITION OF p FOR VALUES IN (2);
INSERT INTO p VALUES (1, 'a'), (2, 'b');
CREATE VIEW v AS SELECT * FROM p;
CALL dbms_share.add_to_share('s', 'p');
CALL dbms_share.add_to_share('s', 'v');
"""
STATES = """
SELECT share_table_name, partition_name, status FROM sys.user_share_job_segments
WHERE job_id = (SELECT max(job_id) FROM sys.user_share_jobs) AND share_table_name <> 'T' ORDER BY 1, 2
"""


def test_what_has_not_changed_keeps_its_files(owner: psycopg.Connection, place: Path) -> None:
    owner.execute(UNCHANGED)
    publish(owner)
    first = rows(owner, FILES, 1)
    publish(owner)
    # A view is read again, and found to have given the same bytes.
    assert rows(owner, STATES) == [("P", "p1", "REUSED"), ("P", "p2", "REUSED"), ("V", "", "REUSED")]
    assert rows(owner, FILES, 2) == first
    owner.execute("UPDATE p SET v = 'c' WHERE k = 2")
    publish(owner)
    assert rows(owner, STATES) == [("P", "p1", "REUSED"), ("P", "p2", "COMPLETED"), ("V", "", "COMPLETED")]
    assert sorted(row["v"] for row in published(owner, place, "P")) == ["a", "c"]


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE t SET name = name WHERE id = 1",
        "BEGIN; DELETE FROM t WHERE id = 1; INSERT INTO t VALUES (1, 'other', 0); COMMIT",
        "ALTER TABLE t ADD COLUMN c int DEFAULT 5",
        "ALTER TABLE t DROP COLUMN price; ALTER TABLE t ADD COLUMN price numeric(8, 2)",
        "ALTER TYPE kind RENAME VALUE 'a' TO 'b'",
        "TRUNCATE t; INSERT INTO t SELECT n, 'name ' || n, n / 100.0 FROM generate_series(1, 1000) AS n",
    ],
)
def test_every_change_is_noticed(owner: psycopg.Connection, place: Path, change: str) -> None:
    owner.execute("CREATE TYPE kind AS ENUM ('a'); ALTER TABLE t ADD COLUMN kind kind DEFAULT 'a'")
    publish(owner)
    publish(owner)
    assert one(owner, "SELECT max(first_version) FROM sys.user_share_files") == 1
    for statement in change.split("; "):
        owner.execute(statement)
    publish(owner)
    status = (
        "SELECT status FROM sys.user_share_job_segments WHERE job_id = (SELECT max(job_id) FROM sys.user_share_jobs)"
    )
    # The last one gives the same rows in the same order, so the same bytes, after it was read again.
    assert one(owner, status) == ("REUSED" if change.startswith("TRUNCATE") else "COMPLETED")
    expected = rows(owner, "SELECT id, name, price, kind::text FROM t ORDER BY id")
    assert sorted((r["id"], r["name"], r["price"], r["kind"]) for r in published(owner, place)) == expected


def test_a_foreign_child_is_read_each_time(owner: psycopg.Connection, place: Path, sharing: Database) -> None:
    me = one(owner, "SELECT current_user")
    foreign_server(sharing, me)
    owner.execute(f"""
        CREATE TABLE parent (a int); CREATE TABLE far AS SELECT 1 AS a;
        CREATE FOREIGN TABLE child () INHERITS (parent) SERVER here OPTIONS (schema_name '{me}', table_name 'far');
        CALL dbms_share.add_to_share('s', 'parent')
    """)
    publish(owner)
    # The new row is where the old one was.
    owner.execute("TRUNCATE far; INSERT INTO far VALUES (2)")
    publish(owner)
    assert published(owner, place, "PARENT") == [{"a": 2}]


@pytest.mark.parametrize("change", ["TRUNCATE t", "ALTER TABLE t RENAME TO u; CREATE TABLE t (LIKE u)"])
def test_a_table_that_is_loaded_anew_meanwhile(
    owner: psycopg.Connection, sharing: Database, place: Path, change: str
) -> None:
    """Who waits for TRUNCATE to commit has a snapshot from before it, in which the new rows are not there yet."""
    with sharing.connect(owner.info.user) as other:
        other.execute(f"BEGIN; {change}; INSERT INTO t VALUES (7, 'new')")
        job = one(owner, "CALL dbms_share.publish_share('s')")
        wait_for(lambda: one(owner, "SELECT count(*) FROM pg_locks WHERE NOT granted AND locktype = 'relation'"))
        other.execute("COMMIT")
    wait_for(lambda: one(owner, "SELECT status FROM sys.user_share_jobs WHERE job_id = %s", job) == "COMPLETED")
    assert [row["id"] for row in published(owner, place)] == [7]
    late = "SELECT export_time > (SELECT started FROM mlshare_share.job) FROM mlshare_share.version"
    assert one(owner, late)


def test_text_of_a_database_with_another_encoding_of_clients(
    owner: psycopg.Connection, sharing: Database, place: Path
) -> None:
    with sharing.connect() as admin:
        admin.execute(f'ALTER DATABASE "{admin.info.dbname}" SET client_encoding = latin1')
    owner.execute("CREATE TABLE texts AS SELECT 'äöü'::text AS one, ARRAY['äöü', 'é'] AS many")
    owner.execute("CALL dbms_share.add_to_share('s', 'texts')")
    publish(owner)
    assert published(owner, place, "TEXTS") == [{"one": "äöü", "many": ["äöü", "é"]}]


# --- versions ------------------------------------------------------------------------------------


def test_versions_are_kept_served_and_dropped(owner: psycopg.Connection, place: Path) -> None:
    for number in range(3):
        owner.execute("UPDATE t SET name = %s WHERE id = 1", (f"v{number}",))
        publish(owner)
    state = "SELECT share_version, status FROM sys.user_share_versions ORDER BY 1"
    assert rows(owner, state) == [(1, "RETIRED"), (2, "RETIRED"), (3, "CURRENT")]
    owner.execute("CALL dbms_share.set_current_share_version('s', 2)")
    assert rows(owner, state) == [(1, "RETIRED"), (2, "CURRENT"), (3, "EXPORTED")]
    refused(owner, "ML612", "CALL dbms_share.drop_share_version('s', 2)")
    refused(owner, "ML612", "CALL dbms_share.drop_share_versions('s', 1, 2)")
    owner.execute("CALL dbms_share.drop_share_version('s', 1, false)")
    assert rows(owner, "SELECT count(*) FROM sys.user_share_detached_files") == [(1,)]
    refused(owner, "ML611", "CALL dbms_share.set_current_share_version('s', 1)")
    owner.execute("CALL dbms_share.drop_unused_share_versions('s')")
    assert rows(owner, state) == [(1, "DROPPED"), (2, "CURRENT"), (3, "DROPPED")]
    wait_for(lambda: len(files(owner, place)) == 1)
    wait_for(lambda: rows(owner, "SELECT * FROM sys.user_share_detached_files") == [])
    owner.execute("CALL dbms_share.unpublish_share('s')")
    assert rows(owner, state)[1] == (2, "EXPORTED")
    assert publish(owner) == 4
    owner.execute("CALL dbms_share.drop_share('s')")
    wait_for(lambda: not files(owner, place))
    owner.execute("CALL dbms_share.drop_cloud_storage_link('link')")


def test_drop_prior_versions_and_retention(owner: psycopg.Connection) -> None:
    state = "SELECT share_version, status FROM sys.user_share_versions WHERE status <> 'DROPPED' ORDER BY 1"
    publish(owner)
    owner.execute("CALL dbms_share.publish_share_wait('s', drop_prior_versions => true)")
    assert rows(owner, state) == [(2, "CURRENT")]
    owner.execute("CALL dbms_share.update_share_property('s', 'retention', '2')")
    publish(owner)
    publish(owner)
    assert rows(owner, state) == [(3, "RETIRED"), (4, "CURRENT")]


def test_what_cannot_be_deleted(owner: psycopg.Connection, place: Path) -> None:
    publish(owner)
    publish(owner)
    name = one(owner, "SELECT file_name FROM sys.user_share_files LIMIT 1")
    owner.execute("CALL dbms_share.unpublish_share('s'); CALL dbms_share.drop_share_versions('s', 1, 2, false)")
    path = home(owner, place) / name
    # A directory in its place cannot be unlinked.
    path.unlink()
    path.mkdir()
    last = "SELECT status FROM sys.user_share_jobs ORDER BY job_id DESC LIMIT 1"
    for mode, status, left in ((1, "FAILED", 1), (2, "COMPLETED", 0)):
        owner.execute("CALL dbms_share.purge_detached_files(%s)", (mode,))
        wait_for(lambda: one(owner, last) not in ("QUEUED", "RUNNING"))
        assert one(owner, last) == status
        assert one(owner, "SELECT count(*) FROM sys.user_share_detached_files") == left


def test_scheduled_publishing(owner: psycopg.Connection) -> None:
    owner.execute("CALL dbms_share.update_share_property('s', 'publish_interval', '1 second')")
    wait_for(lambda: (one(owner, "SELECT current_version FROM sys.user_shares") or 0) >= 2)
    owner.execute("CALL dbms_share.update_share_property('s', 'publish_interval', NULL)")


@pytest.mark.parametrize(
    ("moment", "interval"),
    [("-infinity", "1 day"), ("infinity", "soon"), ("2000-01-01", "293000 years"), ("4000-01-01 BC", "-293000 years")],
)
def test_no_schedule_stops_the_worker(owner: psycopg.Connection, moment: str, interval: str) -> None:
    change = (
        "UPDATE mlshare_share.share SET next_publish = %s, "
        "properties = jsonb_build_object('PUBLISH_INTERVAL', %s::text)"
    )
    owner.execute(change, (moment, interval))
    owner.execute("CALL dbms_share.publish_share('s')")
    statuses = "SELECT DISTINCT status FROM sys.user_share_jobs"
    wait_for(lambda: rows(owner, statuses) == [("COMPLETED",)])
    # Beyond the next look at what is due.
    time.sleep(1.5)
    owner.execute("CALL dbms_share.publish_share('s')")
    wait_for(lambda: rows(owner, statuses) == [("COMPLETED",)])


def test_an_error_in_scheduling_stops_no_job(owner: psycopg.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for statement in ("schedule", "next_publish"):
        monkeypatch.setitem(STATEMENTS, statement, "SELECT 1 / 0")
    time.sleep(1.5)
    publish(owner)


def test_storage_is_really_tried(owner: psycopg.Connection, place: Path) -> None:
    validate = "CALL dbms_share.validate_share_storage('link', NULL)"
    passed = dict.fromkeys(("READ", "WRITE", "CREATE_PAR", "DELETE_PAR", "DELETE"), "PASSED")
    assert one(owner, validate) == passed
    mine = home(owner, place)
    assert list(mine.iterdir()) == []
    mine.rmdir()
    mine.write_text("no directory")
    assert one(owner, validate)["WRITE"].startswith("FAILED: ")
