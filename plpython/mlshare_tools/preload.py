"""The optional library mlshare_preload: built where the server's headers are, installed beside the server's own."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

from mlshare_tools.build import CHECKOUT
from mlshare_tools.cluster import Cluster
from mlshare_tools.environment import digest
from mlshare_tools.server import Server, ensure_packages
from mlshare_tools.shell import ToolError, as_root, run, say, step

NAME = "mlshare_preload"
SOURCE = CHECKOUT / "preload"


def install(server: Server) -> None:
    """Build it and put it where shared_preload_libraries finds it by name; a line says so where that is impossible."""
    with tempfile.TemporaryDirectory() as directory:
        library = build(server, Path(directory) / "build")
        if library:
            run([*(as_root() or ()), "install", "-m", "0644", library, server.settings["PKGLIBDIR"]])


def ensure(cluster: Cluster) -> None:
    """Build it beside the private cluster, which does not use it by itself; only what has changed."""
    texts = (path.read_text() for path in sorted(SOURCE.iterdir()))
    state = digest(*texts, *cluster.server.settings.values(), *missing(cluster.server))
    if not cluster.stamps.fresh("preload", state):
        build(cluster.server, cluster.home / "preload")
        cluster.stamps.set("preload", state)


def ensure_headers(server: Server) -> None:
    """Install what building it needs, where that is possible."""
    if as_root() is not None:
        try:
            ensure_packages(missing(server))
        except ToolError as error:
            say(str(error))


def build(server: Server, directory: Path) -> Path | None:
    """The library, built in that directory; None, and a line that says why, where it cannot be."""
    lacking = missing(server)
    if lacking:
        say(f"without the optional {NAME} (docs/operations.md, Warm sessions): it needs {' '.join(lacking)}")
        return None
    shutil.rmtree(directory, ignore_errors=True)
    shutil.copytree(SOURCE, directory)
    try:
        with step(f"building {NAME}"):
            run(["make", "-s", "-C", directory, f"PG_CONFIG={server.pg_config}"])
    except ToolError as error:
        say(f"without the optional {NAME}: {error}")
        return None
    return directory / f"{NAME}.so"


def missing(server: Server) -> list[str]:
    """What building it needs and this machine lacks, as Debian's packages."""
    query = "import sysconfig; print(sysconfig.get_path('include'))"
    python = Path(run([server.python, "-c", query]).strip())
    found = {
        f"postgresql-server-dev-{server.major}": Path(server.settings["INCLUDEDIR-SERVER"], "postgres.h").exists(),
        f"lib{server.python.name}-dev": (python / "Python.h").exists(),
        "gcc": shutil.which("gcc"),
        "make": shutil.which("make"),
    }
    return [package for package, there in found.items() if not there]
