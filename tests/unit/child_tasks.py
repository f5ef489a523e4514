"""Tasks that misbehave, for the tests of mlshare.child; started through ``command``."""

from __future__ import annotations

import ctypes
import os
import subprocess
import sys
import time
from typing import Any

from mlshare import errors

_START = """
import sys
sys.path.insert(0, {here!r})
from mlshare import worker
worker.TASKS[sys.argv[1]] = "child_tasks:" + sys.argv[1]
worker.main(sys.argv[1:])
"""


def command(terms: Any, inbox: int, outbox: int) -> list[str]:
    """As mlshare.child._command, with the tasks of this module."""
    words = (os.getpid(), inbox, outbox, terms.memory_mb, terms.seconds, terms.threads)
    source = _START.format(here=os.path.dirname(__file__))
    python = os.path.join(sys.prefix, "bin", "python")
    return [python, "-I", "-B", "-c", source, terms.task, *map(str, words)]


def echo(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    return {"request": request, "kind": type(payload).__name__}, payload or b""


def chatter(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    print('{"result": "from print"}', flush=True)
    os.write(1, b'{"result": "from the descriptor"}\n')
    subprocess.run(["/bin/echo", '{"result": "from a program"}'], check=True)
    os.write(2, b"x" * 300_000)
    for i in range(50):
        progress(f"step {i}", i / 50)
    return {"said": "all"}, b""


def describe(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    columns = {
        c.name: [
            c.kind,
            None if c.values is None else c.values.tolist(),
            None if c.codes is None else [c.dictionary[k] if k >= 0 else None for k in c.codes],
        ]
        for c in payload.columns
    }
    shared = all(not (c.values if c.codes is None else c.codes).flags.owndata for c in payload.columns)
    return {"columns": columns, "shared": shared, "n": len(payload)}, b""


def greedy(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    return {"n": len(bytearray(2_000_000_000))}, b""


def greedy_numpy(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    import numpy as np

    return {"n": float(np.ones(400_000_000).sum())}, b""


def abort_like_cpp(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    os.write(2, b"terminate called after throwing an instance of 'std::bad_alloc'\n")
    os.abort()


def segfault(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    ctypes.string_at(0)
    return {}, b""


def leave(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    os.write(2, b"last words\n")
    os._exit(3)


def sleep(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    subprocess.Popen(["/bin/sleep", "60"])
    progress(str(os.getpid()), 0.0)
    time.sleep(60)
    return {}, b""


def refuse(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    raise errors.InvalidTarget(column="y", reason="it is constant", detail="the detail", hint="the hint")


def fail(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    raise LookupError("unexpected")


def not_json(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    return {"value": float("nan")}, b""


def babble(request: dict[str, Any], payload: Any, progress: Any) -> tuple[dict[str, Any], bytes]:
    # Every descriptor that is open, the protocol's among them.
    for descriptor in range(3, 20):
        try:
            os.write(descriptor, b"this is not the protocol\n")
        except OSError:
            continue
    time.sleep(60)
    return {}, b""
