"""The extension in the server's files, and the database "mlshare" of the private cluster."""

from __future__ import annotations

import tempfile
from pathlib import Path

from mlshare_tools import build
from mlshare_tools.cluster import DATABASE, Cluster
from mlshare_tools.environment import digest
from mlshare_tools.server import Server
from mlshare_tools.shell import as_root, run, say, step

# Anything that is neither ours nor the server's: then the database is worth keeping.
USER_OBJECTS = """
SELECT EXISTS (
    SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE n.nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast')
      AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid IN (c.oid, n.oid) AND d.deptype = 'e')
      AND n.nspname NOT LIKE 'pg\\_temp%' AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
      AND n.nspname <> 'sys');
"""


def files_are_installed(server: Server) -> bool:
    """Whether the server has just these files; another checkout may have put its own there."""
    paths = {server.extension_dir / name: text for name, text in build.extension_files().items()}
    return all(path.exists() and path.read_text() == text for path, text in paths.items())


def install_files(server: Server) -> bool:
    """Copy the built extension into the server; False where this user may not."""
    front = as_root()
    if files_are_installed(server):
        return True
    if front is None:
        return False
    with tempfile.TemporaryDirectory() as directory:
        for name, text in build.extension_files().items():
            (Path(directory) / name).write_text(text)
        files = sorted(Path(directory).iterdir())
        run([*front, "install", "-m", "0644", *files, server.extension_dir])
    return True


def ensure_database(cluster: Cluster) -> None:
    """Bring the database up to date: make it, make it anew if nothing of a user is in it, or upgrade it."""
    files = build.extension_files()
    state = digest(*files.values())
    exists = cluster.psql(f"SELECT 1 FROM pg_database WHERE datname = '{DATABASE}'", "postgres")
    if exists and cluster.stamps.fresh("database", state):
        install_files(cluster.server)
        return
    with step("installing the extension"):
        as_extension = install_files(cluster.server)
        if exists and cluster.psql(USER_OBJECTS) == "t":
            upgrade(cluster, as_extension)
        else:
            recreate(cluster, as_extension)
    cluster.stamps.set("database", state)


def recreate(cluster: Cluster, as_extension: bool) -> None:
    """A new database with the extension in it."""
    cluster.psql(f"DROP DATABASE IF EXISTS {DATABASE} WITH (FORCE)", "postgres")
    cluster.psql(f"CREATE DATABASE {DATABASE}", "postgres")
    if as_extension:
        cluster.psql("CREATE EXTENSION mlshare CASCADE")
    else:
        say("no right to write the server's extension directory: running the plain script instead")
        cluster.psql(build.plain_script())


def upgrade(cluster: Cluster, as_extension: bool) -> None:
    """Run the new text over a database that holds somebody's data."""
    current = cluster.psql("SELECT extversion FROM pg_extension WHERE extname = 'mlshare'")
    if not current:
        cluster.psql(build.plain_script())
    elif current != build.read_version():
        cluster.psql("ALTER EXTENSION mlshare UPDATE")
    elif as_extension:
        reload(cluster, current)


def reload(cluster: Cluster, version: str) -> None:
    """Re-run the text of one version, by way of a version that exists for this moment only."""
    directory = cluster.server.extension_dir
    there, back = f"mlshare--{version}--reload.sql", f"mlshare--reload--{version}.sql"
    front = list(as_root() or ())
    run([*front, "tee", directory / there], stdin="-- nothing\n")
    run([*front, "cp", directory / f"mlshare--{version}.sql", directory / back])
    try:
        update = "ALTER EXTENSION mlshare UPDATE TO '{}';"
        cluster.psql(f"BEGIN; {update.format('reload')} {update.format(version)} COMMIT;")
    finally:
        run([*front, "rm", "-f", directory / there, directory / back])
