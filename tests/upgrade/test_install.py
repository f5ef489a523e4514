"""One text, every way in: fresh, over itself, from an older version, without CREATE EXTENSION, ten at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import psycopg
import pytest

from fix_contents import contents, members
from fix_db import Database
from fix_server import Server
from mlshare_tools import build, cluster, database, migrate
from mlshare_tools.shell import ToolError, as_root, run


@pytest.fixture(autouse=True)
def extension(server: Server) -> None:
    """These tests are about the extension."""
    if not server.has_extension:
        pytest.skip("NOT RUN: this checkout's extension files are not in the server, and may not be put there")


def test_members_of_the_extension(admin: psycopg.Connection, golden: Callable[[str, str], None]) -> None:
    golden("members.txt", members(admin))


def test_everything_is_a_member(admin: psycopg.Connection) -> None:
    strangers = """
        SELECT oid::regclass::text FROM pg_class AS c WHERE relnamespace = 'sys'::regnamespace AND relkind <> 'i'
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = c.oid AND deptype = 'e')
        UNION ALL SELECT oid::regprocedure::text FROM pg_proc AS p
        WHERE pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace)
        AND NOT EXISTS (SELECT FROM pg_depend WHERE objid = p.oid AND deptype = 'e')"""
    assert admin.execute(strangers).fetchall() == []


def test_without_create_extension_the_database_is_the_same(db: Database, empty_db: Database) -> None:
    assert migrate.migrate(empty_db.dsn) == build.read_version()
    assert contents(empty_db.connect()) == contents(db.connect())
    assert members(empty_db.connect()) == ""


def test_a_second_run_changes_nothing(empty_db: Database) -> None:
    migrate.migrate(empty_db.dsn)
    connection = empty_db.connect()
    stamps = "SELECT name, applied_at FROM sys._migration ORDER BY 1"
    before = contents(connection), connection.execute(stamps).fetchall()
    migrate.migrate(empty_db.dsn)
    assert (contents(connection), connection.execute(stamps).fetchall()) == before


def test_ten_runners_at_once(db: Database, empty_db: Database) -> None:
    with ThreadPoolExecutor(10) as pool:
        versions = list(pool.map(migrate.migrate, [empty_db.dsn] * 10))
    assert versions == [build.read_version()] * 10
    assert contents(empty_db.connect()) == contents(db.connect())


def test_a_rolled_back_installation_leaves_nothing(empty_db: Database) -> None:
    connection = empty_db.connect()
    connection.execute("BEGIN; CREATE EXTENSION mlshare CASCADE; ROLLBACK")
    assert connection.execute("SELECT to_regnamespace('sys'), to_regnamespace('dbms_data_mining')").fetchone() == (
        None,
        None,
    )
    connection.execute("CREATE EXTENSION mlshare CASCADE")


def test_dropped_and_made_again(db: Database) -> None:
    connection = db.connect()
    before = contents(connection)
    connection.execute("DROP EXTENSION mlshare")
    assert connection.execute("SELECT to_regnamespace('sys')").fetchone() == (None,)
    connection.execute("CREATE EXTENSION mlshare")
    assert contents(connection) == before


# --- refusals ----------------------------------------------------------------------------------------


def test_the_runner_leaves_an_extension_alone(db: Database) -> None:
    with pytest.raises(ToolError, match="ALTER EXTENSION mlshare UPDATE"):
        migrate.migrate(db.dsn)


def test_the_extension_leaves_a_migrated_database_alone(empty_db: Database) -> None:
    migrate.migrate(empty_db.dsn)
    with pytest.raises(psycopg.errors.DuplicateObject, match="without CREATE EXTENSION"):
        empty_db.connect().execute("CREATE EXTENSION mlshare CASCADE")


def test_an_older_text_leaves_a_newer_database_alone(empty_db: Database) -> None:
    migrate.migrate(empty_db.dsn)
    empty_db.connect().execute("UPDATE sys._migration SET version = '1000.10.0' WHERE name = 'sql'")
    with pytest.raises(ToolError, match="which is newer"):
        migrate.migrate(empty_db.dsn)


def test_a_schema_that_somebody_else_made_is_refused(empty_db: Database) -> None:
    connection = empty_db.connect()
    connection.execute("CREATE SCHEMA sys")
    with pytest.raises(psycopg.errors.DuplicateSchema):
        connection.execute("CREATE EXTENSION mlshare CASCADE")


def test_a_changed_migration_is_reported_and_not_run_again(
    empty_db: Database, capsys: pytest.CaptureFixture[str]
) -> None:
    migrate.migrate(empty_db.dsn)
    empty_db.connect().execute("UPDATE sys._migration SET body_sha256 = 'other' WHERE name LIKE '0001%'")
    migrate.migrate(empty_db.dsn)
    assert "has changed since this database ran it" in capsys.readouterr().err


def test_an_ordinary_role_cannot_install(empty_db: Database, roles: Callable[..., str]) -> None:
    with pytest.raises(ToolError, match="permission denied"):
        migrate.migrate(empty_db.dsn_of(roles()))


# --- from older versions -----------------------------------------------------------------------------


@pytest.fixture
def old_version(extension: None) -> Iterator[str]:
    """A version 0.0.0 that had the first migration and nothing else, with its way to the current one."""
    root, version = build.source_root(), build.read_version()
    migrations = build.read_sources(root / "migrations", build.MIGRATION)
    head = build.fill(build.part("head"), VERSION="0.0.0")
    foot = build.fill(build.part("foot"), VERSION="0.0.0", SHA256="old")
    directory = cluster.existing().server.extension_dir
    files = {
        directory / "mlshare--0.0.0.sql": head + build.wrap(migrations[0], "0.0.0") + foot,
        directory / f"mlshare--0.0.0--{version}.sql": build.script(root, version),
    }
    for path, text in files.items():
        run([*(as_root() or ()), "tee", path], stdin=text)
    yield "0.0.0"
    run([*(as_root() or ()), "rm", "-f", *files])


@pytest.mark.private
def test_update_from_an_old_version(db: Database, empty_db: Database, old_version: str) -> None:
    connection = empty_db.connect()
    connection.execute(f"CREATE EXTENSION mlshare VERSION '{old_version}' CASCADE")
    connection.execute("ALTER EXTENSION mlshare UPDATE")
    # The row of the first migration rightly keeps the version that ran it.
    updated = contents(connection).replace("0.0.0", build.read_version())
    assert updated == contents(db.connect())
    assert members(connection) == members(db.connect())


def test_update_from_every_released_version(db: Database, empty_db: Database) -> None:
    fresh = db.connect()
    paths = "SELECT source FROM pg_extension_update_paths('mlshare') WHERE target = %s AND path IS NOT NULL"
    connection = empty_db.connect()
    for (source,) in fresh.execute(paths, [build.read_version()]).fetchall():
        connection.execute(f"CREATE EXTENSION mlshare VERSION '{source}' CASCADE")
        connection.execute("ALTER EXTENSION mlshare UPDATE")
        assert members(connection) == members(fresh)
        connection.execute("DROP EXTENSION mlshare")


@pytest.mark.private
def test_the_local_database_can_be_reloaded(db: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """What "make up" does after a change to the SQL of a version, when the database holds data."""
    private = cluster.existing()
    before = contents(db.connect())
    monkeypatch.setattr(cluster.Cluster, "psql", lambda _self, text: db.connect().execute(text))
    database.reload(private, build.read_version())
    assert contents(db.connect()) == before
    assert not [path for path in Path(private.server.extension_dir).glob("mlshare--*reload*")]
