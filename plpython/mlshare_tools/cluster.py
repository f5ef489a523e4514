"""The private cluster of a checkout: under .local/, or where the server's user can reach it."""

from __future__ import annotations

import fcntl
import hashlib
import os
import secrets
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from mlshare_tools import build
from mlshare_tools.environment import Environments, Stamps
from mlshare_tools.server import Server, ensure_server, installed
from mlshare_tools.shell import ToolError, as_server, clean_environment, is_root, run, say, step

LOCAL = build.CHECKOUT / ".local"
ELSEWHERE = Path("/var/lib/mlshare")
DATABASE = "mlshare"
SUPERUSER = "postgres"

SETTINGS = """\
# Written by "make up" on every start.
listen_addresses = '127.0.0.1'
port = {port}
unix_socket_directories = '{socket}'
# Throw-away data: speed matters, durability does not, except where speed is measured.
fsync = {durable}
synchronous_commit = {durable}
full_page_writes = {durable}
max_wal_size = {max_wal}
shared_buffers = 256MB
max_connections = 100
timezone = 'UTC'
log_timezone = 'UTC'
log_line_prefix = '%m [%p] %q%u@%d '
"""


class Cluster:
    """A PostgreSQL cluster with its own Python environment, in one directory."""

    max_wal = "4GB"

    def __init__(self, server: Server) -> None:
        self.server = server
        self.home = home_directory()
        self.data = self.home / "data"
        self.log = self.home / "log" / "postgresql.log"
        self.environments = Environments(self.home, server.python)
        self.stamps = Stamps(self.home / "stamps")

    # --- where and who ---------------------------------------------------------------------------

    @property
    def socket(self) -> Path:
        path = self.home / "run"
        # A socket's path is limited to 107 bytes.
        return path if len(str(path)) < 85 else Path(tempfile.gettempdir()) / f"mlshare-{checkout_id()}"

    @property
    def port(self) -> int:
        return int((self.home / "port").read_text())

    @property
    def password(self) -> str:
        return (self.home / "password").read_text().strip()

    def dsn(self, database: str = DATABASE) -> str:
        """A libpq URL of the superuser."""
        if not (self.home / "port").exists():
            raise ToolError('there is no private cluster yet: run "make up" first')
        return f"postgresql://{SUPERUSER}:{quote(self.password)}@127.0.0.1:{self.port}/{database}"

    def psql(self, sql: str, database: str = DATABASE) -> str:
        """Run SQL as the superuser and return what it prints, without decoration."""
        options = ("-XAtq", "-v", "ON_ERROR_STOP=1", "-h", "127.0.0.1", "-p", str(self.port), "-f", "-")
        command = (self.server.bin / "psql", *options, "-U", SUPERUSER, "-d", database)
        environment = {**clean_environment(), "PGPASSWORD": self.password}
        return run(command, env=environment, stdin=f"SET client_min_messages = warning;\n{sql}").strip()

    # --- the server process ----------------------------------------------------------------------

    def running(self) -> bool:
        """Whether the server runs."""
        command = as_server(self.server.bin / "pg_ctl", "-D", self.data, "status")
        done = subprocess.run([str(word) for word in command], capture_output=True, cwd="/")
        return done.returncode == 0

    def initialise(self) -> None:
        """Make the data directory, once."""
        if (self.data / "PG_VERSION").exists():
            return
        with step(f"making a PostgreSQL {self.server.major} cluster"):
            for directory in (self.data, self.socket, self.log.parent):
                owned_directory(directory)
            write_secret(self.home / "password", secrets.token_urlsafe(18))
            initdb(self.server, self.data, self.password)

    def start(self) -> None:
        """Start the server if it does not run, with the environment's bin first in PATH."""
        if self.running():
            return
        owned_directory(self.socket)
        choose_port(self.home / "port")
        self._configure(durable="off")
        command = (self.server.bin / "pg_ctl", "-D", self.data, "-l", self.log, "-w", "-s", "start")
        with step("starting the server"):
            try:
                self._run_detached(as_server("env", "-i", *self.server_environment(), *command))
            except ToolError as error:
                tail = self.log.read_text()[-2000:] if self.log.exists() else ""
                raise ToolError(f"{error}\n{tail}") from error

    def _configure(self, *, durable: str) -> None:
        settings = SETTINGS.format(port=self.port, socket=self.socket, max_wal=self.max_wal, durable=durable)
        (self.data / "mlshare.conf").write_text(settings)

    @contextmanager
    def durable(self) -> Iterator[None]:
        """The running server keeps what it commits, as every server does that is of use."""
        self._reload(durable="on")
        try:
            yield
        finally:
            self._reload(durable="off")

    def _reload(self, *, durable: str) -> None:
        self._configure(durable=durable)
        self.psql("SELECT pg_reload_conf()")

    def server_environment(self) -> list[str]:
        """The whole environment of the server: no PYTHONPATH, one thread per backend."""
        path = f"{self.environments.venv}/bin:{self.server.bin}:/usr/local/bin:/usr/bin:/bin"
        return [f"PATH={path}", "LANG=C.UTF-8", "OMP_NUM_THREADS=1", "OPENBLAS_NUM_THREADS=1"]

    def _run_detached(self, command: list[str | Path]) -> None:
        # The server inherits pg_ctl's standard streams: a pipe would keep our reader waiting for ever.
        with (self.home / "start.log").open("w+") as output:
            words = [str(word) for word in command]
            done = subprocess.run(words, stdin=subprocess.DEVNULL, stdout=output, stderr=output, cwd="/")
            if done.returncode:
                output.seek(0)
                raise ToolError(f"the server did not start: {output.read().strip()}")

    def stop(self) -> None:
        """Stop the server if it runs."""
        if (self.data / "PG_VERSION").exists() and self.running():
            run(as_server(self.server.bin / "pg_ctl", "-D", self.data, "-m", "fast", "-w", "-s", "stop"))
            say("the server is stopped")

    def remove(self) -> None:
        """Stop the server and remove everything that belongs to it."""
        self.stop()
        for directory in (self.socket, self.home, LOCAL):
            shutil.rmtree(directory, ignore_errors=True)


# --- files -----------------------------------------------------------------------------------------


def checkout_id() -> str:
    """A short name for this checkout's path."""
    return hashlib.sha256(str(build.CHECKOUT).encode()).hexdigest()[:12]


def home_directory() -> Path:
    """.local of the checkout or, where the server's user cannot go there, a place of its own."""
    home = LOCAL if reachable(build.CHECKOUT) else ELSEWHERE / checkout_id()
    home.mkdir(parents=True, exist_ok=True)
    if home != LOCAL:
        LOCAL.mkdir(exist_ok=True)
        for name in ("venv", "tools", "data", "log"):
            link = LOCAL / name
            if not link.is_symlink():
                link.symlink_to(home / name)
    return home


def reachable(directory: Path) -> bool:
    """Whether the server's user may enter the directory."""
    if not is_root():
        return True
    parents = (directory, *directory.parents)
    return all(parent.stat().st_mode & 0o001 for parent in parents)


def owned_directory(path: Path) -> None:
    """A directory (0700) that belongs to the server's user."""
    path.mkdir(mode=0o700, parents=True, exist_ok=True)
    if is_root():
        shutil.chown(path, "postgres", "postgres")


def write_secret(path: Path, text: str) -> None:
    """Write a file that only its owner can read."""
    path.unlink(missing_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        file.write(text)


def initdb(server: Server, data: Path, password: str) -> None:
    """Make a data directory whose superuser has that password; everyone logs in with one."""
    with tempfile.TemporaryDirectory() as directory:
        secret = Path(directory) / "password"
        write_secret(secret, password)
        if is_root():
            for path in (secret, secret.parent):
                shutil.chown(path, "postgres", "postgres")
        options = ("-U", SUPERUSER, "-A", "scram-sha-256", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync")
        run(as_server(server.bin / "initdb", "-D", data, f"--pwfile={secret}", *options))
    with (data / "postgresql.conf").open("a") as file:
        file.write("include 'mlshare.conf'\n")


def choose_port(remembered: Path) -> None:
    """Keep the remembered port; choose a free one where there is none or another program took it."""
    if remembered.exists() and port_is_free(int(remembered.read_text())):
        return
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        remembered.write_text(str(probe.getsockname()[1]))


def port_is_free(port: int) -> bool:
    """Whether a server could listen on that loopback port."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


@contextmanager
def locked() -> Iterator[None]:
    """One "make up" of a checkout at a time."""
    LOCAL.mkdir(exist_ok=True)
    with (LOCAL / "lock").open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)
        yield


def existing() -> Cluster:
    """The cluster of this checkout, for commands that do not make one."""
    server = installed()
    if not server or not LOCAL.exists():
        raise ToolError('there is no private cluster yet: run "make up" first')
    return Cluster(server)


def ensured() -> Cluster:
    """The cluster of this checkout, made and started as far as it was not."""
    cluster = Cluster(ensure_server())
    cluster.environments.ensure()
    cluster.initialise()
    cluster.start()
    return cluster
