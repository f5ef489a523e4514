"""The groups of a build on a Dask cluster: which travel together, and what becomes of those that get lost."""

from __future__ import annotations

import queue
import time
from collections import deque
from collections.abc import Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, wait
from typing import Any

from mlshare.build.attempt import Attempt
from mlshare.build.client import Executor, connect, refused
from mlshare.build.groups import Group
from mlshare.build.plan import Plan
from mlshare.errors import ChildCrashed, ExecutorFailed, MlshareError
from mlshare.table import Table
from mlshare.worker import Progress

_SILENCE_SECONDS = 2.0  # after which the scheduler is asked whether it is there
_ANSWER_SECONDS = 4.0
_FETCH_SECONDS = 120.0
_WORKERLESS_SECONDS = 8.0
_MOST_BYTES = 4 << 20  # of the rows of one task
_LEAST_BYTES = 16 << 10
_TASKS_OF_A_THREAD = 8  # in all, at least
_FLYING_OF_A_THREAD = 3  # at once; the scheduler keeps their rows
_TRIES = 3
_PROGRESS_SECONDS = 0.2


def build(
    executor: Executor, table: Table, groups: Sequence[Group], plan: Plan, skip: bool, say: Progress
) -> tuple[dict[str, Any], bytes]:
    """Every group fitted by the cluster's workers: {"attempts": [[seconds, model bytes, description bytes, error,
    sqlstate] …]} in the order of the groups, and models and descriptions one after the other.

    At the first group that fails the others are given up, unless ``skip``. Raises ExecutorFailed, InstallationError.
    """
    run = _Run(executor, connect(executor), table, groups, plan, skip, say)
    run.finish()
    attempts = [run.attempts.get(group.id) or Attempt(0.0) for group in groups]
    rows = [[a.seconds, len(a.model), len(a.description), a.error, a.sqlstate] for a in attempts]
    return {"attempts": rows}, b"".join(part for a in attempts for part in (a.model, a.description))


def read(said: Mapping[str, Any], blob: memoryview) -> list[Attempt]:
    """The attempts that ``build`` returned."""
    found: list[Attempt] = []
    position = 0
    for seconds, model_bytes, description_bytes, error, sqlstate in said["attempts"]:
        middle = position + model_bytes
        model, description = blob[position:middle], blob[middle : middle + description_bytes]
        found.append(Attempt(seconds, bytes(model), bytes(description), error=error, sqlstate=sqlstate))
        position = middle + description_bytes
    return found


class _Run:
    """The batches that wait, those in flight, and what has come of the others."""

    def __init__(
        self,
        executor: Executor,
        client: Any,
        table: Table,
        groups: Sequence[Group],
        plan: Plan,
        skip: bool,
        say: Progress,
    ) -> None:
        self.attempts: dict[int, Attempt] = {}
        self._executor, self._client, self._table, self._plan = executor, client, table, plan
        self._total, self._skip, self._say = len(groups), skip, say
        self._workers_seen = self._said = time.monotonic()
        self._threads = self._wait_for_workers()
        self._waiting = deque((batch, 1) for batch in batches(table, groups, self._threads))
        self._flying: dict[Any, tuple[list[Group], int]] = {}
        self._landed: queue.Queue[Any] = queue.Queue()
        self._fetcher = ThreadPoolExecutor(1)
        self._over = False

    def finish(self) -> None:
        """Send and receive until nothing is left, or a group has failed that may not."""
        while (self._waiting or self._flying) and not self._over:
            while self._waiting and len(self._flying) < _FLYING_OF_A_THREAD * self._threads:
                self._send(*self._waiting.popleft())
            try:
                future = self._landed.get(timeout=_SILENCE_SECONDS)
            except queue.Empty:
                if refused:
                    raise self._executor.failed("a message of its scheduler is refused", ", ".join(refused)) from None
                self._threads = self._ask() or self._threads
                continue
            self._receive(future)
            refused.clear()

    def _wait_for_workers(self) -> int:
        while not (threads := self._ask()):
            time.sleep(0.2)
        return threads

    def _ask(self) -> int:
        """How many threads the workers have; ExecutorFailed without an answer, or long without a worker."""
        try:
            identity = self._client.sync(self._client.scheduler.identity, callback_timeout=_ANSWER_SECONDS)
            threads = sum(int(worker["nthreads"]) for worker in identity["workers"].values())
        except Exception as error:
            raise self._executor.failed("its scheduler does not answer", error) from error
        now = time.monotonic()
        if threads:
            self._workers_seen = now
        elif now - self._workers_seen > _WORKERLESS_SECONDS:
            raise self._executor.failed("it has no workers")
        return min(threads, 10_000)

    def _send(self, batch: list[Group], attempt: int) -> None:
        from mlshare.build import remote

        task = remote.pack_task(self._table, batch, self._plan)
        future = self._client.submit(remote.fit, task, pure=False, retries=_TRIES)
        self._flying[future.key] = (batch, attempt)
        future.add_done_callback(self._landed.put)

    def _receive(self, future: Any) -> None:
        batch, attempt = self._flying.pop(future.key)
        if future.status == "finished":
            self._take(batch, attempt, future)
        elif future.status == "error":
            self._suspect(batch)
        elif future.status == "cancelled" or attempt == _TRIES:
            raise self._executor.failed("the connection to its scheduler was lost")
        else:  # its worker was lost with the answer
            self._ask()
            self._waiting.append((batch, attempt + 1))
        future.release()

    def _take(self, batch: list[Group], attempt: int, future: Any) -> None:
        from mlshare.build import remote

        try:
            answer = self._fetched(future)
        except ExecutorFailed:
            raise
        except Exception as error:
            if attempt == _TRIES:
                raise self._executor.failed("its workers give no answers", error) from error
            self._ask()
            self._waiting.append((batch, attempt + 1))
            return
        try:
            attempts = remote.unpack_answer(answer, len(batch))
        except MlshareError as error:
            attempts = [Attempt(0.0, error=error.message, sqlstate=error.sqlstate)] * len(batch)
        for group, one in zip(batch, attempts, strict=True):
            self._note(group, one)

    def _fetched(self, future: Any) -> object:
        """What the future holds: as long as it takes, while the scheduler is there."""
        coming = self._fetcher.submit(future.result, timeout=_FETCH_SECONDS)
        while not wait([coming], timeout=_SILENCE_SECONDS).done:
            self._ask()
        return coming.result()

    def _suspect(self, batch: list[Group]) -> None:
        """The batch could not be run, or took workers with it: which of its groups did it, each alone will show."""
        if len(batch) > 1:
            self._waiting.extend(([group], 1) for group in batch)
            return
        reason = "the executor's workers could not run it, or ended while they did"
        self._note(batch[0], Attempt(0.0, error=reason, sqlstate=ChildCrashed.sqlstate))

    def _note(self, group: Group, one: Attempt) -> None:
        self.attempts[group.id] = one
        self._over = self._over or (one.error is not None and not self._skip)
        now = time.monotonic()
        if now - self._said > _PROGRESS_SECONDS or len(self.attempts) == self._total:
            self._said = now
            self._say(f"{len(self.attempts)} of {self._total} partitions", len(self.attempts) / self._total)


def batches(table: Table, groups: Sequence[Group], threads: int) -> list[list[Group]]:
    """Groups that follow one another in the table, some for each thread of the cluster; the largest first."""
    width = sum(8 + sum(map(len, column.dictionary)) / max(1, len(table)) for column in table.columns)
    fair = width * sum(group.rows for group in groups) / (_TASKS_OF_A_THREAD * threads)
    limit = max(_LEAST_BYTES, min(_MOST_BYTES, fair))
    found: list[list[Group]] = []
    size = 0.0
    for group in sorted(groups, key=lambda g: (g.start, g.rows)):
        follows = bool(found) and found[-1][-1].start + found[-1][-1].rows == group.start
        if not follows or size + width * group.rows > limit:
            found.append([])
            size = 0.0
        found[-1].append(group)
        size += width * group.rows
    return sorted(found, key=lambda batch: -sum(group.rows for group in batch))
