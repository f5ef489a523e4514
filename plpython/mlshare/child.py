"""Runs one task in a process beside the backend: cancellable, limited, its crash an SQL error."""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import select
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mlshare import errors, transport

TICK_SECONDS = 0.02
MAX_MESSAGE_BYTES = 64 << 20
TAIL_BYTES = 2000
_WRITE_BYTES = 64 << 20
_OUT_OF_MEMORY = (b"bad_alloc", b"MemoryError", b"Cannot allocate memory", b"Memory allocation")

Tick = Callable[[], None]
Progress = Callable[[str, float], None]


@dataclass(frozen=True)
class Reply:
    """What a task returned: a JSON object and bytes."""

    result: dict[str, Any]
    blob: bytes


@dataclass(frozen=True)
class _Terms:
    task: str
    memory_mb: int
    seconds: float
    threads: int


def run(
    task: str,
    request: Mapping[str, Any],
    payload: transport.Payload = None,
    *,
    memory_mb: int,
    seconds: float,
    tick: Tick,
    progress: Progress,
) -> Reply:
    """Run ``task`` of mlshare.worker on a JSON request and a payload, and wait for its reply.

    ``tick`` is called at least every 20 ms and may raise (a cancelled statement does): whatever is
    raised here, by it or by ``progress``, passes through untouched once the process is gone.
    ``request["threads"]`` (default 1) bounds the threads of numerical libraries. Errors of mlshare
    in the child come back as the same class; otherwise ChildError, ChildCrashed, ChildOutOfMemory
    (over ``memory_mb``) or ChildTimeout (over ``seconds`` of wall-clock time).
    """
    terms = _Terms(task, memory_mb, seconds, int(request.get("threads", 1)))
    with _memory_file("request") as inbox, _memory_file("reply") as outbox:
        _fill(inbox, transport.pack(request, payload), tick)
        process = _start(terms, inbox, outbox)
        try:
            message = _converse(process, terms, tick, progress)
        finally:
            _end(process)
        if "error" in message:
            raise _rebuilt(message["error"], terms)
        return Reply(message["result"], _contents(outbox))


def _command(terms: _Terms, inbox: int, outbox: int) -> list[str]:
    python = os.path.join(sys.prefix, "bin", "python")
    numbers = (os.getpid(), inbox, outbox, terms.memory_mb, terms.seconds, terms.threads)
    return [python, "-I", "-B", "-m", "mlshare.worker", terms.task, *map(str, numbers)]


def _environment(terms: _Terms) -> dict[str, str]:
    variables = ("OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "MKL_NUM_THREADS")
    # Waiting threads sleep: where cores are shared, spinning ones make boosting many times slower.
    fixed = {"PATH": "/usr/bin:/bin", "LANG": "C.UTF-8", "OMP_WAIT_POLICY": "passive"}
    fixed["ORT_DISABLE_TELEMETRY"] = "1"  # see runtime
    return fixed | dict.fromkeys(variables, str(terms.threads))


def _start(terms: _Terms, inbox: int, outbox: int) -> subprocess.Popen[bytes]:
    # Its own session: a cancel from the terminal must not reach it, and one kill ends its whole group.
    return subprocess.Popen(
        _command(terms, inbox, outbox),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        bufsize=0,
        pass_fds=(inbox, outbox),
        env=_environment(terms),
        cwd="/",
        start_new_session=True,
    )


def _end(process: subprocess.Popen[bytes]) -> None:
    # The group is signalled before its leader is reaped: until then nobody else can have the number.
    with contextlib.suppress(ProcessLookupError):
        os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()


def _converse(process: subprocess.Popen[bytes], terms: _Terms, tick: Tick, progress: Progress) -> dict[str, Any]:
    ears = _Ears(process)
    deadline = time.monotonic() + terms.seconds
    while True:
        # Asked before listening, so that the last words of a process are not lost.
        ended = _has_ended(process)
        heard = ears.listen(0 if ended else TICK_SECONDS)
        for message in ears.messages(terms.task):
            if "progress" not in message:
                return message
            text, fraction = message["progress"]
            progress(str(text), float(fraction))
        if ended and not heard:
            raise _obituary(process, bytes(ears.tail), terms)
        tick()
        if time.monotonic() > deadline:
            raise errors.ChildTimeout(task=terms.task, seconds=f"{terms.seconds:g}")


class _Ears:
    """The two pipes of a child: JSON lines, and the chatter of its libraries (a tail of it)."""

    def __init__(self, process: subprocess.Popen[bytes]) -> None:
        if process.stdout is None or process.stderr is None:
            raise errors.ChildError(task="child", reason="it has no pipes")
        self._speech = process.stdout.fileno()
        self._poll = select.poll()
        for pipe in (process.stdout, process.stderr):
            os.set_blocking(pipe.fileno(), False)
            self._poll.register(pipe.fileno(), select.POLLIN)
        self._buffer = bytearray()
        self.tail = bytearray()

    def listen(self, seconds: float) -> bool:
        """Wait up to ``seconds`` for something to read; False when there was nothing."""
        heard = False
        for descriptor, _ in self._poll.poll(seconds * 1000):
            data = os.read(descriptor, 1 << 16)
            if not data:
                self._poll.unregister(descriptor)
            elif descriptor == self._speech:
                self._buffer += data
            else:
                self.tail = (self.tail + data)[-TAIL_BYTES:]
            heard = heard or bool(data)
        return heard

    def messages(self, task: str) -> Iterator[dict[str, Any]]:
        """The complete messages heard so far."""
        while (end := self._buffer.find(b"\n")) >= 0:
            line = bytes(self._buffer[:end])
            del self._buffer[: end + 1]
            yield _message(line, task)
        if len(self._buffer) > MAX_MESSAGE_BYTES:
            raise errors.ChildError(task=task, reason="its reply is too long")


def _message(line: bytes, task: str) -> dict[str, Any]:
    try:
        message = json.loads(line)
    except ValueError as error:
        raise errors.ChildError(task=task, reason="its reply is not JSON") from error
    if not isinstance(message, dict) or not message.keys() & {"progress", "result", "error"}:
        raise errors.ChildError(task=task, reason="its reply has an unknown shape")
    return message


def _has_ended(process: subprocess.Popen[bytes]) -> bool:
    # WNOWAIT: the zombie stays, and with it the process number, until _end has killed the group.
    return os.waitid(os.P_PID, process.pid, os.WEXITED | os.WNOHANG | os.WNOWAIT) is not None


def _obituary(process: subprocess.Popen[bytes], tail: bytes, terms: _Terms) -> errors.ChildError:
    _end(process)
    status = process.returncode
    detail = tail.decode(errors="replace").strip() or None
    if status == -signal.SIGXCPU:
        return errors.ChildTimeout(task=terms.task, seconds=f"{terms.seconds:g}")
    if any(sign in tail for sign in _OUT_OF_MEMORY):
        return errors.ChildOutOfMemory(task=terms.task, limit_mb=terms.memory_mb, detail=detail)
    how = f"signal {-status}, {signal.Signals(-status).name}" if status < 0 else f"exit status {status}"
    hint = "The operating system may have run out of memory." if status == -signal.SIGKILL else None
    return errors.ChildCrashed(task=terms.task, how=how, detail=detail, hint=hint)


def _rebuilt(report: Mapping[str, Any], terms: _Terms) -> errors.MlshareError:
    """The error a child reported, as the class of that name."""
    if report["class"] == "MemoryError":
        return errors.ChildOutOfMemory(task=terms.task, limit_mb=terms.memory_mb, detail=report["detail"])
    known = getattr(errors, report["class"], None)
    words = {"detail": report["detail"], "hint": report.get("hint")}
    if isinstance(known, type) and issubclass(known, errors.MlshareError):
        with contextlib.suppress(KeyError, TypeError):
            return known(**words, **report["fields"])
    reason = f"{report['class']}: {report['reason']}" if report["reason"] else report["class"]
    return errors.ChildError(task=terms.task, reason=reason, **words)


@contextlib.contextmanager
def _memory_file(name: str) -> Iterator[int]:
    descriptor = os.memfd_create(f"mlshare-{name}", os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _fill(descriptor: int, buffers: Sequence[memoryview], tick: Tick) -> None:
    for buffer in buffers:
        position = 0
        while position < buffer.nbytes:
            position += os.write(descriptor, buffer[position : position + _WRITE_BYTES])
            tick()
    # Sealed: what the child maps cannot change or shrink under it.
    seals = fcntl.F_SEAL_WRITE | fcntl.F_SEAL_GROW | fcntl.F_SEAL_SHRINK
    fcntl.fcntl(descriptor, fcntl.F_ADD_SEALS, seals)


def _contents(descriptor: int) -> bytes:
    with open(os.dup(descriptor), "rb", buffering=0) as file:
        file.seek(0)
        return file.readall()
