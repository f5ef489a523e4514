"""pg_dump and pg_restore of a database with the extension, settings and a role's catalog."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from fix_contents import contents, members
from fix_db import Database
from mlshare_tools import cluster
from mlshare_tools.shell import run

pytestmark = pytest.mark.private

CATALOG_ROWS = """
SELECT c.relname, c.oid::regclass::text, pg_get_userbyid(c.relowner), c.relrowsecurity, c.relacl::text,
       (SELECT string_agg(pg_get_constraintdef(oid), ', ' ORDER BY conname) FROM pg_constraint WHERE conrelid = c.oid),
       (SELECT string_agg(polname, ', ' ORDER BY polname) FROM pg_policy WHERE polrelid = c.oid)
FROM pg_class AS c JOIN pg_namespace AS n ON n.oid = relnamespace WHERE nspname LIKE 'ml\\_schema\\_%' ORDER BY 1
"""


def copy(source: Database, target: Database, directory: Path) -> None:
    """Dump one database and restore it into the other, stopping at the first error."""
    binaries = cluster.existing().server.bin
    run([binaries / "pg_dump", "-Fc", "-f", directory / "dump", "-d", source.dsn])
    run([binaries / "pg_restore", "--exit-on-error", "-d", target.dsn, directory / "dump"])


def test_the_installation_survives(db: Database, empty_db: Database, tmp_path: Path) -> None:
    admin = db.connect()
    admin.execute("CALL sys.ml_set('cache_size', 77)")
    copy(db, empty_db, tmp_path)
    restored = empty_db.connect()
    assert contents(restored) == contents(admin)
    assert members(restored) == members(admin)
    setting = restored.execute("SELECT value FROM sys.ml_settings WHERE name = 'cache_size'")
    assert setting.fetchone() == (77,)


@pytest.fixture
def owner(role: Callable[..., str], connect: Callable[..., psycopg.Connection]) -> str:
    """A role with a catalog."""
    name = role()
    connect(name).execute("CALL sys.ml_create_or_upgrade_catalog()")
    return name


def test_a_catalog_survives(db: Database, empty_db: Database, owner: str, tmp_path: Path) -> None:
    admin = db.connect()
    before = admin.execute(CATALOG_ROWS).fetchall()
    assert {row[0] for row in before} >= {"model_catalog", "model_object_catalog"}
    copy(db, empty_db, tmp_path)
    restored = empty_db.connect()
    assert restored.execute(CATALOG_ROWS).fetchall() == before
    assert contents(restored) == contents(admin)
    # The restored catalog works for its owner.
    empty_db.connect(owner).execute("CALL sys.ml_create_or_upgrade_catalog()")


def test_the_plain_installation_survives(empty_db: Database, db: Database, tmp_path: Path) -> None:
    from fix_db import database
    from mlshare_tools import migrate

    migrate.migrate(empty_db.dsn)
    with database(empty_db.server, "template0") as target:
        copy(empty_db, target, tmp_path)
        assert contents(target.connect()) == contents(empty_db.connect())


def test_a_compiled_function_needs_nothing_of_us(db: Database, empty_db: Database, owner: str, tmp_path: Path) -> None:
    source, admin = db.connect(owner), db.connect()
    admin.execute(f'CREATE SCHEMA apart AUTHORIZATION "{owner}"')
    source.execute(COMPILED)
    admin.execute(f'GRANT CREATE ON DATABASE "{db.name}" TO "{owner}"')
    query = "SELECT n, apart.linear(a, b), apart.trees(a, b) FROM apart.t ORDER BY n"
    expected = source.execute(query).fetchall()
    binaries = cluster.existing().server.bin
    run([binaries / "pg_dump", "-Fc", "-n", "apart", "-f", tmp_path / "dump", "-d", db.dsn])
    run([binaries / "pg_restore", "--exit-on-error", "-d", empty_db.dsn, tmp_path / "dump"])
    restored = empty_db.connect()
    assert not restored.execute("SELECT FROM pg_language WHERE lanname = 'plpython3u'").fetchall()
    assert restored.execute(query).fetchall() == expected
    assert {row[1] for row in expected} == {"yes", "no"}


COMPILED = """
CREATE TABLE apart.t AS SELECT n, n * 37 % 101 AS a, (ARRAY['x', 'y'])[1 + n % 2] AS b,
    CASE WHEN n * 37 % 101 + n % 2 * 30 > 60 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, 300) AS n;
CALL sys.ml_train('apart.t', 'y',
                  '{"model_list": ["LogisticRegression"], "time_budget": 0.01, "exclude_column_list": ["n"]}', 'l');
CALL sys.ml_train('apart.t', 'y',
                  '{"model_list": ["DecisionTreeClassifier"], "time_budget": 0.01, "exclude_column_list": ["n"]}', 't');
CALL sys.ml_model_compile('l', 'apart.linear');
CALL sys.ml_model_compile('t', 'apart.trees');
"""
