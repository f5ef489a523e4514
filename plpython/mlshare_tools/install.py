"""Install mlshare into an existing server: an environment beside it, the extension files in it."""

from __future__ import annotations

from pathlib import Path

from mlshare_tools import database, preload
from mlshare_tools.build import CHECKOUT, read_version
from mlshare_tools.environment import compile_all, pip_install, requirements
from mlshare_tools.server import Server, ensure_server
from mlshare_tools.shell import ToolError, as_root, run, say, step

NEXT = """\
mlshare {version} is installed. Two things remain:
1. Start the server with {prefix}/bin first in its PATH.
   On Debian, write into /etc/postgresql/{major}/main/environment (or that of your cluster)
       PATH = '{prefix}/bin:/usr/local/bin:/usr/bin:/bin'
       OMP_NUM_THREADS = '1'
       OPENBLAS_NUM_THREADS = '1'
   and restart it; elsewhere do the same in the unit that starts postgres.
2. In each database, as a superuser: CREATE EXTENSION mlshare CASCADE;
   after an upgrade: ALTER EXTENSION mlshare UPDATE;"""


def install(pg_config: Path | None, prefix: Path, *, only_dependencies: bool = False) -> None:
    """Install for the server of pg_config (default: the newest one here) with its environment at prefix."""
    server = Server(pg_config) if pg_config else ensure_server()
    if not server.usable:
        raise ToolError(f"{pg_config}: this server has no PL/Python ({server.plpython})")
    install_environment(server, prefix, only_dependencies)
    if only_dependencies:
        return
    if not database.install_files(server):
        raise ToolError(f"no right to write {server.extension_dir}: run this as root, or use mlshare migrate")
    preload.install(server)
    say(NEXT.format(version=read_version(), prefix=prefix, major=server.major))


def install_environment(server: Server, prefix: Path, only_dependencies: bool) -> None:
    """An environment of the server's Python with the pinned dependencies, and mlshare from this checkout."""
    if as_root() is None and not prefix.exists():
        prefix.mkdir(parents=True)
    with step(f"installing the Python environment at {prefix}"):
        if not (prefix / "bin" / server.python.name).exists():
            run([server.python, "-m", "venv", "--clear", prefix])
        pip_install(prefix, prefix, *requirements(), *requirements("tools"))
        if not only_dependencies:
            pip_install(prefix, prefix, "--force-reinstall", "--no-deps", str(CHECKOUT))
        compile_all(prefix, server.python)
