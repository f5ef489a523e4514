"""Processes that share this one's memory and work through a list of numbered jobs, in the given order.

They are forked: what this process has mapped and imported is theirs at once, and nothing is copied. So it must run no
parallel code of its own before: OpenMP's threads do not survive a fork, and a process that waits for them hangs. Each
process has a file in memory, its shelf, into which it writes models and descriptions; what it says of them comes back
through a socket as JSON, of many jobs at once.
"""

from __future__ import annotations

import contextlib
import gc
import json
import mmap
import os
import select
import signal
import socket
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

from mlshare import errors
from mlshare.build.member import Work, line, serve
from mlshare.worker import Progress

_BATCH_SECONDS = 0.05  # of work that is given out at once
_BATCH_MOST = 500


@dataclass(frozen=True)
class Done:
    """A finished job: where on which shelf its bytes and, after them, its description are, or why it failed."""

    shelf: int
    number: int
    seconds: float
    start: int = 0
    model_bytes: int = 0
    description_bytes: int = 0
    score: float | None = None
    error: str | None = None
    sqlstate: str | None = None


@dataclass
class _Process:
    """The jobs it has now, and what it has said of them so far."""

    pid: int
    channel: socket.socket
    shelf: int
    jobs: list[int] = field(default_factory=list)
    heard: bytearray = field(default_factory=bytearray)


class Pool:
    """``processes`` processes that do ``work(number, progress)``, each with ``threads`` threads."""

    def __init__(self, work: Work, processes: int, threads: int, progress: Progress) -> None:
        self._work, self._processes, self._threads, self._progress = work, processes, threads, progress
        self._running: dict[int, _Process] = {}
        self._shelves: list[int] = []
        self._maps: dict[int, memoryview] = {}
        self._waiting: deque[int] = deque()
        self._suspects: set[int] = set()
        self._poll = select.poll()

    def run(self, numbers: Sequence[int]) -> Iterator[Done]:
        """Each job as it is finished, in any order; leaving the iterator early ends the processes."""
        self._waiting = deque(numbers)
        try:
            for _ in range(min(self._processes, len(numbers))):
                self._start()
            while self._running:
                for descriptor, _ in self._poll.poll():
                    yield from self._hear(self._running[descriptor])
        finally:
            for process in list(self._running.values()):
                os.kill(process.pid, signal.SIGKILL)
                self._bury(process)

    def views(self, done: Done) -> tuple[memoryview, memoryview]:
        """Model and description of a job, mapped; once all are done."""
        if done.shelf not in self._maps:
            self._maps[done.shelf] = _mapped(self._shelves[done.shelf])
        middle = done.start + done.model_bytes
        whole = self._maps[done.shelf]
        return whole[done.start : middle], whole[middle : middle + done.description_bytes]

    def document(self, done: Done) -> dict[str, Any]:
        """The description of a job."""
        said: dict[str, Any] = json.loads(bytes(self.views(done)[1]))
        return said

    def _start(self) -> None:
        ours, theirs = socket.socketpair()
        shelf = os.memfd_create("mlshare-shelf", os.MFD_CLOEXEC)
        parent = os.getpid()
        gc.freeze()  # a collection in the forked process would touch, and so copy, every object
        pid = os.fork()
        if pid == 0:
            serve(parent, theirs, shelf, self._work, self._threads, self._processes)
        theirs.close()
        self._shelves.append(shelf)
        process = self._running[ours.fileno()] = _Process(pid, ours, len(self._shelves) - 1)
        self._poll.register(ours, select.POLLIN)
        self._give(process, 1)

    def _give(self, process: _Process, most: int) -> None:
        """The next jobs, a suspect alone; a process that gets none ends."""
        process.jobs = []
        while self._waiting and len(process.jobs) < most:
            if process.jobs and not self._suspects.isdisjoint((self._waiting[0], process.jobs[0])):
                break
            process.jobs.append(self._waiting.popleft())
        # A process that is gone already is noticed at the other end of the socket.
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            process.channel.sendall(line(process.jobs))

    def _hear(self, process: _Process) -> Iterator[Done]:
        data = _received(process.channel)
        if not data:
            yield from self._after(process)
        process.heard += data
        while (end := process.heard.find(b"\n")) >= 0:
            message = json.loads(bytes(process.heard[:end]))
            del process.heard[: end + 1]
            if isinstance(message, dict):
                self._progress(*message["progress"])
                continue
            done = [Done(process.shelf, *row) for row in message]
            self._give(process, self._worth(done))
            yield from done

    def _worth(self, done: Sequence[Done]) -> int:
        """How many jobs to give out at once: some time's work, and a fair part of what is left."""
        pace = sum(one.seconds for one in done) / len(done)
        fair = len(self._waiting) // (2 * self._processes)
        return max(1, min(_BATCH_MOST, fair, int(_BATCH_SECONDS / max(pace, 1e-6))))

    def _after(self, process: _Process) -> Iterator[Done]:
        """One that still had jobs has crashed; which of many jobs did it, each alone will show."""
        status = self._bury(process)
        if not process.jobs:
            return
        if len(process.jobs) == 1:
            yield Done(process.shelf, process.jobs[0], 0.0, error=_how(status), sqlstate=errors.ChildCrashed.sqlstate)
        else:
            self._suspects.update(process.jobs)
            self._waiting.extendleft(reversed(process.jobs))
        if self._waiting:
            self._start()

    def _bury(self, process: _Process) -> int:
        self._poll.unregister(process.channel)
        del self._running[process.channel.fileno()]
        process.channel.close()
        return os.waitstatus_to_exitcode(os.waitpid(process.pid, 0)[1])


def _received(channel: socket.socket) -> bytes:
    try:
        return channel.recv(1 << 18)
    except ConnectionResetError:
        return b""


def _how(status: int) -> str:
    if status >= 0:
        return f"its process ended with exit status {status}"
    hint = "; the operating system may have run out of memory" if status == -signal.SIGKILL else ""
    return f"its process ended by signal {-status}, {signal.Signals(-status).name}{hint}"


def _mapped(descriptor: int) -> memoryview:
    size = os.fstat(descriptor).st_size
    return memoryview(mmap.mmap(descriptor, size, access=mmap.ACCESS_READ) if size else b"")
