"""A Dask cluster of real processes over TLS on this machine, for the tests of mlshare.build.cluster."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

import mlshare

_NEW_KEY = ("-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes")


def certificates(directory: Path) -> None:
    """An authority of its own (ca.pem), and a certificate of it for everybody (cert.pem, key.pem)."""
    runs = (
        ("req", "-x509", *_NEW_KEY, "-days", "2", "-subj", "/CN=ca", "-keyout", "ca.key", "-out", "ca.pem"),
        ("req", *_NEW_KEY, "-subj", "/CN=localhost", "-keyout", "key.pem", "-out", "request.pem"),
        (
            "x509",
            "-req",
            "-in",
            "request.pem",
            "-CA",
            "ca.pem",
            "-CAkey",
            "ca.key",
            "-CAcreateserial",
            "-days",
            "2",
            "-out",
            "cert.pem",
        ),
    )
    for words in runs:
        subprocess.run(["openssl", *words], cwd=directory, check=True, capture_output=True)


class Cluster:
    """A scheduler and its workers; each worker one process with one thread."""

    def __init__(self, directory: Path, protocol: str = "tls", failures: int = 3) -> None:
        """``failures``: how many workers a task may take with it before it is given up."""
        self.directory, self.protocol, self.failures = directory, protocol, failures
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = probe.getsockname()[1]
        where = ("--host", "127.0.0.1", "--port", str(self.port), "--protocol", protocol)
        self.scheduler = self._start("scheduler", "dask_scheduler", *where)
        self.workers: list[subprocess.Popen[bytes]] = []
        _until(self._listens)

    @property
    def executor(self) -> dict[str, str]:
        """As a request names it."""
        files = {"ca": "ca.pem", "certificate": "cert.pem", "key": "key.pem"}
        paths = {name: str(self.directory / file) for name, file in files.items()}
        return {"name": "farm", "address": f"{self.protocol}://127.0.0.1:{self.port}", **paths}

    def add_worker(self, paths: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        """One more; ``paths`` come before the sources in its module path."""
        where = (f"{self.protocol}://127.0.0.1:{self.port}", "--nthreads", "1", "--no-nanny")
        where += ("--local-directory", str(self.directory))
        self.workers.append(self._start(f"worker{len(self.workers)}", "dask_worker", *where, paths=paths))
        return self.workers[-1]

    def stop(self) -> None:
        """All processes away."""
        for process in (*self.workers, self.scheduler):
            with suppress(ProcessLookupError):
                process.send_signal(signal.SIGCONT)
                process.kill()
            process.wait()

    def log(self, name: str) -> str:
        """What a process has written: scheduler, worker0, worker1 …"""
        return (self.directory / f"{name}.log").read_text()

    def _start(self, name: str, program: str, *words: str, paths: tuple[str, ...] = ()) -> subprocess.Popen[bytes]:
        files = ("--tls-ca-file", "ca.pem", "--tls-cert", "cert.pem", "--tls-key", "key.pem")
        tls = files if self.protocol == "tls" else ()
        home = os.path.dirname(os.path.dirname(mlshare.__file__))
        environment = {"PYTHONPATH": ":".join((*paths, home)), "PATH": "/usr/bin:/bin", "DASK_CONFIG": "/dev/null/dask"}
        environment["DASK_DISTRIBUTED__SCHEDULER__ALLOWED_FAILURES"] = str(self.failures)
        environment |= {"OMP_NUM_THREADS": "1", "OPENBLAS_NUM_THREADS": "1", "PYTHONDONTWRITEBYTECODE": "1"}
        command = [sys.executable, "-m", f"distributed.cli.{program}", *words, "--no-dashboard", *tls]
        with (self.directory / f"{name}.log").open("wb") as log:
            return subprocess.Popen(command, cwd=self.directory, env=environment, stdout=log, stderr=log)

    def _listens(self) -> bool:
        with socket.socket() as probe:
            return probe.connect_ex(("127.0.0.1", self.port)) == 0


@contextmanager
def cluster(directory: Path, workers: int = 2, **words: Any) -> Iterator[Cluster]:
    """One that ends with the block."""
    made = Cluster(directory, **words)
    try:
        for _ in range(workers):
            made.add_worker()
        yield made
    finally:
        made.stop()


def _until(condition: Any) -> None:
    deadline = time.monotonic() + 30
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)
