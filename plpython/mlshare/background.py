"""One thread beside the backend's own, for calculations that need nothing of PostgreSQL."""

from __future__ import annotations

import signal
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from typing import TypeVar

T = TypeVar("T")
U = TypeVar("U")

_AHEAD = 2  # results that are being made, or wait, while the one before is used

_thread: ThreadPoolExecutor | None = None


def ahead(work: Iterable[tuple[T, Callable[[], U]]]) -> Iterator[tuple[T, U]]:
    """The results of some calculations, in order, each with what belongs to it.

    While the caller is busy with one, the thread makes the next. A calculation must not touch the database: the
    server knows one thread only. What it raises is raised here.
    """
    waiting: deque[tuple[T, Future[U]]] = deque()
    try:
        for item, calculation in work:
            waiting.append((item, _start(calculation)))
            if len(waiting) > _AHEAD:
                yield _next(waiting)
        while waiting:
            yield _next(waiting)
    finally:
        for _, future in waiting:
            future.cancel()


def _next(waiting: deque[tuple[T, Future[U]]]) -> tuple[T, U]:
    item, future = waiting.popleft()
    return item, future.result()


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
