"""What a forked process of the pool does from its first to its last moment."""

from __future__ import annotations

import json
import os
import resource
import socket
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any, NoReturn

from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare import errors
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
    start = time.perf_counter()
    try:
        said, model = work(number, lambda text, part: channel.sendall(line({"progress": [text, part]})))
        description = json.dumps(said, allow_nan=False).encode()
        position = _put(shelf, model, description)
        sizes = (len(model), len(description))
        return [number, time.perf_counter() - start, position, *sizes, said.get("score")]
    except errors.MlshareError as error:
        why = (error.message, error.sqlstate)
    except Exception as error:  # noqa: BLE001 - the process boundary: the answer carries it on
        why = _unexpected(error)
    return [number, time.perf_counter() - start, 0, 0, 0, None, *why]


def _put(shelf: int, *parts: bytes) -> int:
    """Append to the shelf; where it begins."""
    position = os.lseek(shelf, 0, os.SEEK_END)
    for part in parts:
        view = memoryview(part)
        while view.nbytes:
            view = view[os.write(shelf, view) :]
    return position


def _unexpected(error: Exception) -> tuple[str, str]:
    text = str(error)
    if isinstance(error, MemoryError) or "bad_alloc" in text or "bad allocation" in text:
        return "it needed more than its part of the memory", errors.ChildOutOfMemory.sqlstate
    return f"{type(error).__name__}: {text[:500]}", errors.ChildError.sqlstate
