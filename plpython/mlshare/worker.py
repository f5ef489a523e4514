"""The process that child.run starts: takes one task, confines itself, replies and ends."""

from __future__ import annotations

import ctypes
import faulthandler
import importlib
import io
import json
import math
import mmap
import os
import resource
import signal
import sys
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NoReturn

from mlshare import __version__, errors, transport
from mlshare.table import Table

Progress = Callable[[str, float], None]
Blob = bytes | Sequence[memoryview]  # pieces are written one after the other
Task = Callable[[dict[str, Any], Table | bytes | None, Progress], tuple[dict[str, Any], Blob]]

TASKS = {
    "ping": "mlshare.worker:ping",
    "train": "mlshare.fit:train",
    "audit": "mlshare.audit:run",
    "audit_partitions": "mlshare.audit.partitions:run",
    "compile": "mlshare.compile:run",
    "build": "mlshare.build.job:run",
    "share": "mlshare.shares.task:run",
}

_PR_SET_PDEATHSIG = 1
_PR_SET_NO_NEW_PRIVS = 38
_SPARE_ADDRESS_BYTES = 4 << 30
_SPARE_CPU_SECONDS = 10


def main(arguments: Sequence[str]) -> NoReturn:
    """Run ``TASK parent inbox outbox memory_mb seconds threads`` and leave the process."""
    task, *words = arguments
    parent, inbox, outbox, memory_mb = map(int, words[:4])
    end_with(parent)
    speech = take_stdout()
    limit(memory_mb, float(words[4]) * int(words[5]), os.fstat(inbox).st_size)
    speech.write(_encoded(_answer(task, inbox, outbox, speech)))
    speech.flush()
    # Nothing of value is left to unwind, and unloading numerical libraries takes long.
    os._exit(0)


def ping(request: dict[str, Any], payload: Table | bytes | None, progress: Progress) -> tuple[dict[str, Any], bytes]:
    """Say which versions run here, and how much arrived: the installation check."""
    progress("pong", 1.0)
    size = 0 if payload is None else len(payload)
    versions = {"python": sys.version.split()[0], "mlshare": __version__}
    return {**versions, "payload": size, "request": request}, b""


def end_with(parent: int) -> None:
    """Have this process end when its parent does, however that happens and whatever is being computed.

    Not by SIGKILL: where the postmaster is process 1, as in a container, it inherits orphans, and one that ends by a
    signal makes it restart all sessions. The handler is _exit itself, called with the signal's number, 1: a status
    that the postmaster takes for an ordinary end.
    """
    libc = ctypes.CDLL(None, use_errno=True)
    libc.signal.argtypes = (ctypes.c_int, ctypes.c_void_p)
    libc.signal(signal.SIGHUP, ctypes.cast(libc._exit, ctypes.c_void_p))
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGHUP})
    libc.prctl(_PR_SET_PDEATHSIG, signal.SIGHUP, 0, 0, 0)
    libc.prctl(_PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0)
    # The parent may have ended before the request was made.
    if os.getppid() != parent:
        os._exit(1)


def limit(memory_mb: int, cpu_seconds: float, payload_bytes: int) -> None:
    """Bound the memory and processor time of this process.

    Private writable memory is what counts (RLIMIT_DATA); the address space also holds libraries and
    the mapped payload, so it gets a wider bound.
    """
    data = memory_mb << 20
    resource.setrlimit(resource.RLIMIT_DATA, (data, data))
    space = data + payload_bytes + _SPARE_ADDRESS_BYTES
    resource.setrlimit(resource.RLIMIT_AS, (space, space))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    seconds = math.ceil(cpu_seconds) + _SPARE_CPU_SECONDS
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))


def take_stdout() -> io.BufferedWriter:
    """Keep standard output for the protocol; what libraries print there goes to standard error."""
    speech = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    faulthandler.enable()
    return speech


def _answer(task: str, inbox: int, outbox: int, speech: io.BufferedWriter) -> dict[str, Any]:
    def progress(text: str, fraction: float) -> None:
        speech.write(_encoded({"progress": [text, fraction]}))
        speech.flush()

    try:
        request, payload = transport.unpack(_mapped(inbox))
        result, blob = _function(task)(request, payload, progress)
        _write(outbox, blob)
        return {"result": result}
    except errors.MlshareError as error:
        fields = {name: _plain(value) for name, value in error.fields.items()}
        words = {"detail": error.detail, "hint": error.hint, "fields": fields}
        return {"error": {"class": type(error).__qualname__, "reason": error.message, **words}}
    except Exception as error:  # noqa: BLE001 - the process boundary: the reply carries it on
        return {"error": _report(error)}


def _function(task: str) -> Task:
    if task not in TASKS:
        raise errors.ChildError(task=task, reason="there is no such task")
    module, name = TASKS[task].split(":")
    function: Task = getattr(importlib.import_module(module), name)
    return function


def _report(error: Exception) -> dict[str, Any]:
    text = str(error)
    out_of_memory = isinstance(error, MemoryError) or "bad_alloc" in text or "bad allocation" in text
    name = "MemoryError" if out_of_memory else type(error).__name__
    import traceback

    trace = "".join(traceback.format_exception(error))[-2000:]
    return {"class": name, "reason": text[:500], "detail": trace, "hint": None, "fields": {}}


def _plain(value: object) -> object:
    return value if isinstance(value, bool | int | str) or value is None else str(value)


def _mapped(descriptor: int) -> memoryview:
    return memoryview(mmap.mmap(descriptor, 0, access=mmap.ACCESS_READ))


def _write(descriptor: int, blob: Blob) -> None:
    with open(descriptor, "wb", buffering=1 << 20, closefd=False) as file:
        for piece in [blob] if isinstance(blob, bytes) else blob:
            file.write(piece)


def _encoded(message: Mapping[str, Any]) -> bytes:
    try:
        return json.dumps(message, allow_nan=False).encode() + b"\n"
    except (TypeError, ValueError) as error:
        return json.dumps({"error": _report(error)}).encode() + b"\n"


if __name__ == "__main__":
    main(sys.argv[1:])
