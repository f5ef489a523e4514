"""A build whose learner only looks at its rows, for the tests of mlshare.build; started through ``command``."""

from __future__ import annotations

import ctypes
import os
import signal
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import mlshare
from mlshare import errors
from mlshare.build import job
from mlshare.build.plan import Plan
from mlshare.table import Table

_START = """
import sys
sys.path[:0] = {paths!r}
from mlshare import worker
worker.TASKS.update({tasks!r})
for missing in {missing!r}:
    sys.modules[missing] = None
worker.main(sys.argv[1:])
"""


def command(terms: Any, inbox: int, outbox: int) -> list[str]:
    """As mlshare.child._command, with the learner of this module."""
    return _command({"build": "build_tasks:build"}, terms, inbox, outbox)


def real(terms: Any, inbox: int, outbox: int) -> list[str]:
    """As mlshare.child._command, with the sources that the test itself uses."""
    return _command({}, terms, inbox, outbox)


def without_dask(terms: Any, inbox: int, outbox: int) -> list[str]:
    """The same where the packages of the extra "cluster" are not installed."""
    return _command({}, terms, inbox, outbox, ["dask", "distributed", "pyarrow"])


def _command(tasks: dict[str, str], terms: Any, inbox: int, outbox: int, missing: list[str] | None = None) -> list[str]:
    words = (os.getpid(), inbox, outbox, terms.memory_mb, terms.seconds, terms.threads)
    python = os.path.join(sys.prefix, "bin", "python")
    paths = [os.path.dirname(__file__), os.path.dirname(os.path.dirname(mlshare.__file__))]
    source = _START.format(paths=paths, tasks=tasks, missing=missing or [])
    return [python, "-I", "-B", "-c", source, terms.task, *map(str, words)]


def build(request: dict[str, Any], payload: Any, progress: Any) -> Any:
    return job.run(request, payload, progress, Double())


class Double:
    """Its model is the sum of column x; column "fate" of the first row says what befalls it."""

    def choose(self, table: Table, plan: Plan, threads: int, progress: Any) -> Plan:
        if plan.algorithm is not None:
            return plan
        if plan.metric == "unknown":
            raise errors.InvalidMetric(metric="unknown", task=plan.task)
        if plan.metric == "crash":
            os.kill(os.getpid(), signal.SIGSEGV)
        progress("looking", 0.5)
        return replace(plan, algorithm="sum", params={"threads": threads})

    def fit(self, table: Table, plan: Plan, threads: int = 1) -> tuple[dict[str, Any], bytes]:
        x, fate = table["x"], table["fate"]
        assert x.values is not None and fate.values is not None and table["word"].codes is not None
        fates[int(fate.values[0])](plan.params)
        said = {
            "score": float(x.values.max()),
            "n_rows": len(table),
            "threads": threads,
            "words": list(table["word"].dictionary),
            "codes": table["word"].codes.tolist()[:5],
            "views": not x.values.flags.owndata,
            "process": os.getpid() if plan.details else None,
        }
        return said, f"sum {x.values.sum():g};".encode()


def _refuse(params: Any) -> None:
    raise errors.InvalidTarget(column="y", reason="it is constant")


def _raise(params: Any) -> None:
    raise LookupError("unexpected")


def _crash(params: Any) -> None:
    ctypes.string_at(0)


def _greedy(params: Any) -> None:
    import numpy as np

    np.ones(params["bytes"] // 8).sum()


def _leave(params: Any) -> None:
    os._exit(3)


def _linger(params: Any) -> None:
    Path(params["note"], str(os.getpid())).touch()
    time.sleep(60)


def _nap(params: Any) -> None:
    time.sleep(params["seconds"])


def _thread(params: Any) -> None:
    thread = threading.Thread(target=time.sleep, args=(0.01,))
    thread.start()
    thread.join()


fates: list[Any] = [lambda params: None, _refuse, _raise, _crash, _greedy, _leave, _linger, _nap, _thread]
FINE, REFUSE, RAISE, CRASH, GREEDY, LEAVE, LINGER, NAP, THREAD = range(len(fates))
