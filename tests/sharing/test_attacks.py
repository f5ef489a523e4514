"""What a provider tries to get more than its own rights out of the worker."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest
from psycopg.types.json import Jsonb

from fix_db import Database
from mlshare_server.errors import StorageRefused
from mlshare_server.storage import Access, open_storage
from mlshare_server.worker.main import Worker
from sharing.conftest import setting, wait_for
from sharing.test_provider_sql import one, refused, rows
from sharing.test_publish import publish, published

Provider = Callable[..., psycopg.Connection]
WAIT = "CALL dbms_share.publish_share_wait('s')"
LAST = "SELECT status, error FROM sys.user_share_jobs ORDER BY job_id DESC LIMIT 1"


@pytest.fixture
def evil(provider: Provider) -> psycopg.Connection:
    """A provider with a share S."""
    connection = provider()
    connection.execute("CREATE TABLE t (id int); CALL dbms_share.create_share('s', storage_link_name => 'link')")
    return connection


# Tries statements one by one and tells what came of each.
TRY = """
CREATE FUNCTION try() RETURNS SETOF text LANGUAGE plpgsql AS $$
DECLARE
    statement text;
BEGIN
    FOREACH statement IN ARRAY ARRAY[{attempts}] LOOP
        BEGIN
            EXECUTE statement;
            RETURN NEXT 'done: ' || statement || ' as ' || current_user;
        EXCEPTION WHEN OTHERS THEN
            RETURN NEXT sqlstate;
        END;
    END LOOP;
END $$;
CREATE VIEW v AS SELECT * FROM "{me}".try() AS outcome;
CALL dbms_share.add_to_share('s', 'v')
"""


def test_code_of_the_provider_has_the_providers_rights_only(
    evil: psycopg.Connection, provider: Provider, sharing: Database, worker: Worker, place: Path
) -> None:
    victim = provider()
    mine, theirs = (one(connection, "SELECT current_user") for connection in (evil, victim))
    victim.execute("CREATE TABLE secret AS SELECT 1 AS a")
    with sharing.connect() as admin:
        reader = "SELECT reader FROM mlshare_share.provider WHERE owner = %s::regrole"
        readers = {name: one(admin, reader, f'"{name}"') for name in (mine, theirs)}
    attempts = [
        "RESET ROLE",
        f'SET ROLE "{theirs}"',
        "SET ROLE mlshare_worker",
        "SET SESSION AUTHORIZATION postgres",
        f'SELECT * FROM "{theirs}".secret',
        "SELECT * FROM mlshare_share.job",
        "SELECT mlshare_share.reader_login(0)",
        f'CREATE TABLE "{mine}".made (a int)',
        "SET TRANSACTION READ WRITE",
        "SELECT pg_read_file('/etc/passwd')",
    ]
    listed = ", ".join("$x$" + text + "$x$" for text in attempts)
    evil.execute(TRY.format(attempts=listed, me=mine).encode())
    publish(evil)
    outcomes = [row["outcome"] for row in published(evil, place, "V")]
    # RESET ROLE works, and leads to less: the reader of this provider, who may become nobody else.
    assert outcomes[0] == f"done: RESET ROLE as {readers[mine]}"
    assert [text[:5] for text in outcomes[1:]] == [
        "42501",
        "42501",
        "42501",
        "42501",
        "42501",
        "42501",
        "25006",
        "25001",
        "42501",
    ]
    with sharing.connect() as admin:
        memberships = "SELECT roleid::regrole::text FROM pg_auth_members WHERE member = %s::regrole"
        assert [row[0] for row in rows(admin, memberships, f'"{readers[mine]}"')] == [mine]
    assert readers[mine] != readers[theirs]


def test_a_table_without_right(evil: psycopg.Connection, provider: Provider, sharing: Database, worker: Worker) -> None:
    victim = provider()
    theirs = one(victim, "SELECT current_user")
    victim.execute("CREATE TABLE secret AS SELECT 1 AS a")
    refused(evil, "42501", "CALL dbms_share.add_to_share('s', 'secret', %s)", theirs)
    # Past the routine, its own rows are its own; the export still has only its rights.
    evil.execute("CALL dbms_share.add_to_share('s', 't')")
    evil.execute("UPDATE mlshare_share.share_table SET table_owner = %s, table_name = 'secret'", (theirs,))
    refused(evil, "42501", WAIT)
    evil.execute("UPDATE mlshare_share.share_table SET table_owner = 'pg_catalog', table_name = 'pg_authid'")
    refused(evil, "42501", WAIT)


@pytest.mark.parametrize(
    "text",
    [
        "true) TO '/x'; --",
        "true); DROP TABLE t; --",
        "true)) TO STDOUT; RESET ROLE; COPY (SELECT 1 --",
        "id = 1; SELECT 1",
        "true); COMMIT; CREATE TABLE made (a int); SELECT (1",
    ],
)
def test_sql_in_a_condition(evil: psycopg.Connection, worker: Worker, text: str) -> None:
    refused(evil, "ML610", "CALL dbms_share.add_to_share('s', 't', where_clause => %s)", text)
    evil.execute("CALL dbms_share.add_to_share('s', 't')")
    evil.execute("UPDATE mlshare_share.share_table SET where_clause = %s", (text,))
    refused(evil, "42601", WAIT)
    assert one(evil, "SELECT count(*) FROM t") == 0
    assert one(evil, "SELECT to_regclass('made')") is None


def test_sql_in_names(provider: Provider, worker: Worker, place: Path) -> None:
    """Quotes in the names of role, schema, table and column are only quotes."""
    name = """o'"x"; DROP TABLE t; --"""
    owner = provider(f"{name} {place.name[-4:]}")
    quoted = '"' + name.replace('"', '""') + '"'
    owner.execute(f"CREATE TABLE {quoted} ({quoted} int)".encode())
    owner.execute(f"INSERT INTO {quoted} VALUES (1)".encode())
    owner.execute("""CALL dbms_share.create_share('"S''--"', storage_link_name => 'link')""")
    owner.execute(
        """CALL dbms_share.add_to_share('"S''--"', %s, share_table_name => '"t'';"', share_schema_name => 's')""",
        (quoted,),
    )
    publish(owner, '"S\'--"')
    assert published(owner, place, share="S'--") == [{name: 1}]


def test_who_is_no_longer_enabled(evil: psycopg.Connection, sharing: Database, worker_role: str) -> None:
    """A job that was queued before is refused, and the reader cannot log in any more."""
    me = one(evil, "SELECT current_user")
    evil.execute("CALL dbms_share.add_to_share('s', 't'); CALL dbms_share.publish_share('s')")
    with sharing.connect() as admin:
        login = admin.execute("SELECT reader, reader_password FROM mlshare_share.provider").fetchone()
        admin.execute("CALL dbms_share.enable_schema(%s, false)", (me,))
        with pytest.raises(psycopg.OperationalError):
            psycopg.connect(sharing.dsn, user=login[0], password=login[1])
        Worker(sharing.dsn_of(worker_role)).run(once=True)
        assert admin.execute("SELECT status, error FROM sys.dba_share_jobs").fetchone() == (
            "FAILED",
            f'the share could not be published: role "{me}" has not been enabled to share data',
        )


def test_the_workers_login_reads_no_data(evil: psycopg.Connection, sharing: Database, worker_role: str) -> None:
    worker = sharing.connect(worker_role)
    me = one(evil, "SELECT current_user")
    refused(worker, "42501", f'SELECT * FROM "{me}".t')
    refused(worker, "42501", f'SET ROLE "{me}"')
    refused(worker, "42501", "SELECT password FROM mlshare_share.credential")
    refused(worker, "42501", "UPDATE mlshare_share.share SET storage_folder = 'x'")


def test_storage_that_is_no_longer_allowed(evil: psycopg.Connection, sharing: Database, worker: Worker) -> None:
    evil.execute("CALL dbms_share.add_to_share('s', 't')")
    with sharing.connect() as admin:
        setting(admin, "storage_roots", "s3://")
    refused(evil, "ML621", WAIT)


@pytest.mark.parametrize(
    "endpoint", ["http://127.0.0.1:9000", "http://169.254.169.254/", "http://[::1]/", "http://10.0.0.1", "file:///etc"]
)
def test_endpoints_in_private_networks(evil: psycopg.Connection, worker: Worker, endpoint: str) -> None:
    evil.execute("CALL dbms_share.create_credential('c', 'key', 'secret')")
    evil.execute(
        "CALL dbms_share.create_cloud_storage_link('s3', 's3://bucket/', metadata => %s)",
        (Jsonb({"endpoint": endpoint}),),
    )
    evil.execute("CALL dbms_share.set_storage_credential('s3', 'c')")
    refused(evil, "ML621", "CALL dbms_share.validate_share_storage('s3')")


def test_paths_stay_below_the_link() -> None:
    with tempfile.TemporaryDirectory() as outer:
        root = Path(outer, "root")
        root.mkdir()
        Path(outer, "secret").write_text("s")
        (root / "link").symlink_to(outer)
        storage = open_storage(Access(f"file://{root}/"))
        for path in ("../secret", "link/secret", "/etc/passwd", "a/../../secret"):
            with pytest.raises(StorageRefused):
                storage.read(path)
            with pytest.raises(StorageRefused):
                storage.delete(path)
            with pytest.raises(StorageRefused), storage.create(path):
                pass
        assert Path(outer, "secret").read_text() == "s"


def test_files_of_others_are_not_deleted(
    evil: psycopg.Connection, provider: Provider, worker: Worker, place: Path
) -> None:
    """A link to somebody else's directory holds none of the provider's files, so a purge finds nothing there."""
    victim = provider()
    theirs = one(victim, "SELECT current_user")
    victim.execute(
        "CREATE TABLE d AS SELECT 1 AS a; CALL dbms_share.create_share('s', storage_link_name => 'link'); "
        "CALL dbms_share.add_to_share('s', 'd')"
    )
    publish(victim)
    evil.execute("CALL dbms_share.create_cloud_storage_link('their', %s)", (f"file://{place}/{theirs}/",))
    evil.execute("CALL dbms_share.purge_detached_files(2, 'their')")
    wait_for(lambda: rows(evil, LAST)[0][0] == "COMPLETED")
    assert len(published(victim, place)) == 1
