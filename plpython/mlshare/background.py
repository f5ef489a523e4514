"""One thread beside the backend's own, for calculations that need nothing of PostgreSQL."""

from __future__ import annotations

import signal
import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

_AHEAD = 2  # results that are being made, or wait, while the one before is used
_PATIENCE = 0.02  # the share of its time for which the caller may wait before it takes over work

_thread: ThreadPoolExecutor | None = None


class Balance:
    """``own``: the share of each calculation that the caller should make itself, so that neither waits for the other.

    With w, the share of its time that the caller waits, the thread's calculation is longer by as much. A share of w / 2
    would even them out; half of that is taken at a time, for two calculations are on their way already.
    """

    def __init__(self) -> None:
        self.own, self._since = 0.0, time.monotonic()

    def waited(self, seconds: float) -> None:
        """The caller has waited for a result."""
        before, self._since = self._since, time.monotonic()
        waited = seconds / (self._since - before) if seconds else 0.0
        self.own = min(0.5, max(0.0, self.own + (waited - _PATIENCE) / 4))


def ahead(work: Iterable[tuple[T, Callable[[], U]]], balance: Balance) -> Iterator[tuple[T, U]]:
    """The results of some calculations, in order, each with what belongs to it.

    While the caller is busy with one, the thread makes the next. A calculation must not touch the database: the
    server knows one thread only. What it raises is raised here.
    """
    waiting: deque[tuple[T, Future[U]]] = deque()
    try:
        for item, calculation in work:
            waiting.append((item, _start(calculation)))
            if len(waiting) > _AHEAD:
                yield _next(waiting, balance)
        while waiting:
            yield _next(waiting, balance)
    finally:
        for _, future in waiting:
            future.cancel()


def _next(waiting: deque[tuple[T, Future[U]]], balance: Balance) -> tuple[T, U]:
    item, future = waiting.popleft()
    start = time.monotonic()
    result = future.result()
    balance.waited(time.monotonic() - start)
    return item, result


def _start(calculation: Callable[[], U]) -> Future[U]:
    global _thread
    if _thread is None:
        _thread = ThreadPoolExecutor(1, "mlshare")
    # The server's signal handlers are for its own thread: a thread inherits what is blocked when it is started.
    before = signal.pthread_sigmask(signal.SIG_BLOCK, signal.valid_signals())
    try:
        return _thread.submit(calculation)
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)
