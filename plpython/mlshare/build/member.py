"""What a forked process of the pool does from its first to its last moment."""

from __future__ import annotations

import json
import os
import resource
import socket
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare.build.attempt import attempt
from mlshare.worker import Progress, end_with

Work = Callable[[int, Progress], tuple[dict[str, Any], bytes]]


def serve(parent: int, channel: socket.socket, shelf: int, work: Work, threads: int, processes: int) -> NoReturn:
    """Do the jobs that lines of ``channel`` name until an empty one, and answer each line with one."""
    try:
        end_with(parent)
        _share_memory(processes)
        # Linear algebra in one thread, so that sums do not depend on how many there are.
        limits = threadpool_limits({"blas": 1, "openmp": threads})
        with channel.makefile("rb") as ears:
            while jobs := json.loads(ears.readline() or b"[]"):
                channel.sendall(line([_done(number, channel, shelf, work) for number in jobs]))
        del limits
        os._exit(0)
    except BaseException:  # noqa: BLE001 - the process boundary: nothing may return into the parent's code
        traceback.print_exc()
        os._exit(1)


def line(message: object) -> bytes:
    """A message as it goes through a socket."""
    return json.dumps(message, allow_nan=False).encode() + b"\n"


def _share_memory(processes: int) -> None:
    """Bound this process to its part of what the parent still may take."""
    soft, hard = resource.getrlimit(resource.RLIMIT_DATA)
    if soft == resource.RLIM_INFINITY:
        return
    words = Path("/proc/self/status").read_text().split()
    used = int(words[words.index("VmData:") + 1]) << 10
    resource.setrlimit(resource.RLIMIT_DATA, (used + max(0, soft - used) // processes, hard))


def _done(number: int, channel: socket.socket, shelf: int, work: Work) -> list[Any]:
    """Do one job: the fields of pool.Done after the shelf."""

    def progress(text: str, part: float) -> None:
        channel.sendall(line({"progress": [text, part]}))

    got = attempt(lambda: work(number, progress))
    start = _put(shelf, got.model, got.description)
    return [number, got.seconds, start, len(got.model), len(got.description), got.score, got.error, got.sqlstate]


def _put(shelf: int, *parts: bytes) -> int:
    """Append to the shelf; where it begins."""
    position = os.lseek(shelf, 0, os.SEEK_END)
    for part in parts:
        view = memoryview(part)
        while view.nbytes:
            view = view[os.write(shelf, view) :]
    return position
