"""Find the PostgreSQL to work with, and install it from the distribution where it is missing."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from mlshare_tools.shell import ToolError, as_root, clean_environment, run, step

DEBIAN_SERVERS = Path("/usr/lib/postgresql")
CREATE_CLUSTER = Path("/etc/postgresql-common/createcluster.d/mlshare.conf")
# lightgbm and xgboost use the system's OpenMP.
BESIDE_THE_SERVER = ("python3-venv", "libgomp1", "ca-certificates")


@dataclass(frozen=True)
class Server:
    """An installed PostgreSQL, as its own pg_config describes it."""

    pg_config: Path

    @cached_property
    def settings(self) -> dict[str, str]:
        lines = run([self.pg_config]).splitlines()
        return {name: value for name, _, value in (line.partition(" = ") for line in lines)}

    @property
    def bin(self) -> Path:
        return Path(self.settings["BINDIR"])

    @property
    def extension_dir(self) -> Path:
        return Path(self.settings["SHAREDIR"]) / "extension"

    @property
    def plpython(self) -> Path:
        return Path(self.settings["PKGLIBDIR"]) / "plpython3.so"

    @property
    def usable(self) -> bool:
        return (self.bin / "postgres").exists() and self.plpython.exists()

    @property
    def major(self) -> int:
        found = re.search(r"PostgreSQL (\d+)", self.settings["VERSION"])
        return int(found[1]) if found else 0

    @cached_property
    def python(self) -> Path:
        """The interpreter whose minor version is that of the server's libpython."""
        found = re.search(r"libpython(3\.\d+)", run(["ldd", self.plpython]))
        if not found:
            raise ToolError(f"{self.plpython} is linked to no libpython")
        name = f"python{found[1]}"
        path = shutil.which(name, path="/usr/bin:/usr/local/bin")
        if not path:
            raise ToolError(f"the server's PL/Python needs {name}, which is not in /usr/bin")
        return Path(path)


def installed() -> Server | None:
    """The server that PG_CONFIG names, or the newest one here that has PL/Python."""
    if named := os.environ.get("PG_CONFIG"):
        server = Server(Path(named))
        if not server.usable:
            raise ToolError(f"PG_CONFIG={named}: this server has no {server.plpython}")
        return server
    paths = [*DEBIAN_SERVERS.glob("*/bin/pg_config")]
    paths += [Path(path) for path in [shutil.which("pg_config")] if path and not paths]
    servers = [server for server in map(Server, paths) if server.usable]
    return max(servers, key=lambda server: server.major, default=None)


def ensure_server() -> Server:
    """The server to use; what it lacks is installed, or named in the error where that is impossible."""
    server = installed()
    if shutil.which("dpkg-query"):
        wanted = list(BESIDE_THE_SERVER) + ([] if server else server_packages())
        ensure_packages([name for name in wanted if not is_installed(name)])
        server = server or installed()
    if not server:
        raise ToolError("no PostgreSQL with PL/Python (plpython3u) is installed; name one by PG_CONFIG=…")
    return server


def is_installed(package: str) -> bool:
    """Whether dpkg knows the package as installed."""
    query = ["dpkg-query", "-W", "-f", "${db:Status-Status}", package]
    return subprocess.run(query, capture_output=True, text=True).stdout == "installed"


def server_packages() -> list[str]:
    """The newest PostgreSQL of the distribution that has PL/Python, as package names."""
    majors = available_majors()
    if not majors and as_root() is not None:
        apt_get("update")
        majors = available_majors()
    major = max(majors) if majors else "N"
    return [f"postgresql-{major}", f"postgresql-plpython3-{major}"]


def available_majors() -> list[int]:
    """Major versions whose PL/Python package apt can install."""
    names = run(["apt-cache", "search", "--names-only", r"^postgresql-plpython3-[0-9]+$"])
    return [int(number) for number in re.findall(r"^postgresql-plpython3-(\d+) ", names, re.M)]


def ensure_packages(missing: list[str]) -> None:
    """Install Debian packages, refreshing apt's lists only if it must."""
    if not missing:
        return
    if as_root() is None:
        raise ToolError(
            f"missing Debian packages: {' '.join(missing)}\n"
            f"Install them as root (apt-get install {' '.join(missing)}) and run this again."
        )
    install = ("install", "-y", "--no-install-recommends", *missing)
    with step(f"installing {' '.join(missing)}"), no_main_cluster():
        try:
            apt_get(*install)
        except ToolError:
            apt_get("update")
            apt_get(*install)


def apt_get(*words: str) -> None:
    """apt-get without questions, waiting for another one to finish."""
    environment = {**clean_environment(), "DEBIAN_FRONTEND": "noninteractive"}
    options = ("-qq", "-o", "DPkg::Lock::Timeout=300", "-o", "Dpkg::Use-Pty=0")
    # sudo drops the environment, so it is passed again behind it.
    front = [*(as_root() or ()), "env", "DEBIAN_FRONTEND=noninteractive"]
    run([*front, "apt-get", *options, *words], env=environment)


@contextmanager
def no_main_cluster() -> Iterator[None]:
    """Keep Debian's packaging from making and starting a cluster "main" that nobody asked for."""
    front = list(as_root() or ())
    run([*front, "mkdir", "-p", CREATE_CLUSTER.parent])
    run([*front, "install", "-m", "0644", Path(__file__).with_name("createcluster.conf"), CREATE_CLUSTER])
    try:
        yield
    finally:
        run([*front, "rm", "-f", CREATE_CLUSTER])
