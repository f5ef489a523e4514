"""A job in the database: its progress, whether it is to be cancelled, its end."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
from psycopg.types.json import Jsonb

from mlshare_server.database import connect, statements
from mlshare_server.errors import JobCancelled, ServerError

STATEMENTS = statements(__package__ or "")
NAME = "mlshare-server worker"
# Progress is written at most this often, in seconds.
PACE = 0.5


class Job:
    """A job that this worker has taken, with a connection of its own: when that ends, others know that the job has."""

    def __init__(self, dsn: str, row: Any) -> None:
        self.row, self.id = row, int(row.job_id)
        self.connection: psycopg.Connection[Any] = connect(dsn, f"{NAME}: job {self.id}")
        self.held = bool(self.one("hold", job_id=self.id).held)
        self.cancelled = threading.Event()
        self.num_rows = self.size = 0
        self.given_back = False
        self._lock = threading.Lock()
        self._written = time.monotonic()
        self._to_cancel: list[Callable[[], None]] = []

    # --- statements ------------------------------------------------------------------------------

    def run(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a named statement; from any thread."""
        cursor = self.connection.execute(STATEMENTS[statement], values)
        return cursor.fetchall() if cursor.description else []

    def one(self, statement: str, **values: Any) -> Any:
        """The first row of a named statement, or None."""
        rows = self.run(statement, **values)
        return rows[0] if rows else None

    def setting(self, name: str) -> str:
        """A setting of data shares."""
        return str(self.one("setting", name=name).value)

    def event(self, status: str, object_name: str | None = None, partition: str | None = None, **details: Any) -> None:
        """Tell the share's owner what happened."""
        names = {"status": status, "object_name": object_name, "partition_name": partition}
        self.run("event", share_id=self.row.share_id, job_id=self.id, details=Jsonb(details), **names)

    # --- progress and cancelling -----------------------------------------------------------------

    def advance(self, rows: int = 0, size: int = 0) -> None:
        """Count what was read and written; JobCancelled if that is wanted."""
        with self._lock:
            self.num_rows, self.size = self.num_rows + rows, self.size + size
            due = time.monotonic() - self._written > PACE
            if due:
                self._written = time.monotonic()
        if due:
            self._write_progress()
        self.check()

    def _write_progress(self) -> None:
        row = self.one("progress", job_id=self.id, num_rows=self.num_rows, size=self.size)
        if row is None or row.cancel_requested:
            # None: its share was dropped.
            self.cancel()

    def check(self) -> None:
        """JobCancelled if that is wanted."""
        if self.cancelled.is_set():
            raise JobCancelled()

    def cancel(self) -> None:
        """End the job as soon as can be, also in the middle of a long query."""
        self.cancelled.set()
        with self._lock:
            for cancel in self._to_cancel:
                cancel()

    def give_back(self) -> None:
        """End the job here, to be taken again."""
        self.given_back = True
        self.cancel()

    @contextmanager
    def cancelling(self, cancel: Callable[[], None]) -> Iterator[None]:
        """Inside, cancelling the job calls that too."""
        with self._lock:
            self._to_cancel.append(cancel)
        try:
            self.check()
            yield
        finally:
            with self._lock:
                self._to_cancel.remove(cancel)

    # --- the end ---------------------------------------------------------------------------------

    def complete(self, result: Any) -> None:
        """The job is done."""
        self.run("progress", job_id=self.id, num_rows=self.num_rows, size=self.size)
        self.run("finish", job_id=self.id, status="COMPLETED", error=None, result=Jsonb(result))

    def fail(self, error: BaseException) -> None:
        """The job is not done, and this is why."""
        told = describe(error)
        cancelled = self.cancelled.is_set()
        status = "INTERRUPTED" if self.given_back else "CANCELLED" if cancelled else "FAILED"
        text = told.pop("message")
        if cancelled:
            told, text = {"sqlstate": JobCancelled.sqlstate}, "the job was cancelled"
        with self.connection.transaction():
            if self.row.share_id:
                version = self.one("version_of_job", job_id=self.id)
                if version and version.share_version:
                    self.run("fail_version", share_id=self.row.share_id, share_version=version.share_version)
                self.event(status, message=text, **told)
            if self.given_back:
                self.run("requeue", job_id=self.id)
            else:
                self.run("finish", job_id=self.id, status=status, error=text, result=Jsonb(told))

    def close(self) -> None:
        """Let go of the job."""
        self.connection.close()


def describe(error: BaseException) -> dict[str, str]:
    """An error as the owner of the job sees it."""
    found: dict[str, str | None] = {"message": str(error) or type(error).__name__, "sqlstate": "ML632"}
    if isinstance(error, ServerError):
        found |= {"message": error.message, "sqlstate": error.sqlstate, "detail": error.detail, "hint": error.hint}
    elif isinstance(error, psycopg.Error):
        diagnosed = error.diag
        found |= {"message": diagnosed.message_primary or str(error), "sqlstate": error.sqlstate or "ML632"}
        found |= {"detail": diagnosed.message_detail, "hint": diagnosed.message_hint}
    elif state := getattr(error, "sqlstate", None):
        # Of the Arrow driver, which puts everything into one text.
        lines = str(error).replace("[libpq] ", "").splitlines()
        found |= {"message": lines[0], "sqlstate": state, "detail": "\n".join(lines[1:])}
    return {name: text for name, text in found.items() if text}
