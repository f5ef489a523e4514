"""The worker's loop: wait for jobs, take them, keep an eye on those of others."""

from __future__ import annotations

import argparse
import logging
import os
import signal
import threading
import time
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import suppress
from typing import Any

import psycopg

from mlshare_server.database import connect, statements
from mlshare_server.errors import NoDatabase
from mlshare_server.worker.jobs import NAME, Job
from mlshare_server.worker.publish import Publication
from mlshare_server.worker.upkeep import DROP, purge, storage_of, validate

log = logging.getLogger("mlshare_server.worker")
STATEMENTS = statements(__package__ or "")
# Seconds between looks at what nobody announces: jobs of dead workers, shares that are due.
TICK = 5.0
# A job whose worker died is taken again so often.
ATTEMPTS = 3


def arguments(parser: argparse.ArgumentParser) -> None:
    """The options of ``mlshare-server worker``."""
    given = os.environ.get("MLSHARE_WORKER_DSN")
    text = "connection string of a login in role mlshare_worker (default: the variable MLSHARE_WORKER_DSN)"
    parser.add_argument("dsn", nargs="?", default=given, help=text)
    parser.add_argument("--jobs", type=int, default=2, help="jobs that run at once")
    parser.add_argument("--once", action="store_true", help="end when nothing is left to do")


def main(args: argparse.Namespace) -> int:
    """Work until told to stop."""
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(message)s")
    if not args.dsn:
        raise NoDatabase()
    worker = Worker(args.dsn, args.jobs)
    for number in (signal.SIGTERM, signal.SIGINT):
        signal.signal(number, lambda *_: worker.stop())
    worker.run(once=args.once)
    return 0


class Worker:
    """Takes jobs from one database, several at once."""

    def __init__(self, dsn: str, jobs: int = 2, tick: float = TICK) -> None:
        self.dsn, self.jobs, self.tick = dsn, jobs, tick
        self.stopped = threading.Event()
        self.running: dict[int, tuple[Job, Future[None]]] = {}
        self._wake_up, self._wake = os.pipe()

    def stop(self) -> None:
        """End soon: jobs that run are given back to the queue."""
        self.stopped.set()
        os.write(self._wake, b"x")

    def run(self, *, once: bool = False) -> None:
        """Work until stopped; a lost connection is made anew."""
        wait = 0.5
        with ThreadPoolExecutor(self.jobs, "job") as pool:
            while not self.stopped.is_set():
                try:
                    with connect(self.dsn, NAME) as connection:
                        wait = 0.5
                        self._work(connection, pool, once)
                        if once:
                            return
                except psycopg.OperationalError as error:
                    log.warning("no database: %s", str(error).strip())
                    self.stopped.wait(wait)
                    wait = min(2 * wait, 30)

    # --- the loop ----------------------------------------------------------------------------------

    def _work(self, connection: psycopg.Connection[Any], pool: ThreadPoolExecutor, once: bool) -> None:
        connection.execute(STATEMENTS["present"])
        connection.execute("LISTEN mlshare_share_job")
        looked = 0.0
        while not self.stopped.is_set():
            if time.monotonic() - looked >= self.tick or once:
                looked = time.monotonic()
                self._look_around(connection)
            self._cancel(connection)
            self._take(connection, pool)
            if once and not self.running:
                return
            self._sleep(connection)
        for job, _ in self.running.values():
            # Another worker, or this one later, starts them again.
            job.give_back()

    def _sleep(self, connection: psycopg.Connection[Any]) -> None:
        """Until a notification, the end of a job, or the next tick."""
        import select

        due = self._schedule(connection, "next_publish")
        seconds = self.tick if due is None or due.seconds is None else min(self.tick, max(due.seconds, 0.05))
        ready, _, _ = select.select([connection.fileno(), self._wake_up], [], [], seconds)
        if self._wake_up in ready:
            os.read(self._wake_up, 1024)
        for _ in connection.notifies(timeout=0):
            pass

    def _schedule(self, connection: psycopg.Connection[Any], statement: str) -> Any:
        """The first row of a statement about shares that are due; what one owner wrote there stops nobody's jobs."""
        try:
            cursor = connection.execute(STATEMENTS[statement])
            return cursor.fetchone() if cursor.description else None
        except psycopg.OperationalError:
            raise
        except psycopg.Error as error:
            log.warning("%s: %s", statement, str(error).strip())
            return None

    def _look_around(self, connection: psycopg.Connection[Any]) -> None:
        """Jobs of dead workers go back into the queue, shares that are due go into it."""
        self._schedule(connection, "schedule")
        for row in connection.execute(STATEMENTS["running"]).fetchall():
            if row.job_id in self.running:
                continue
            held = connection.execute(STATEMENTS["hold"], {"job_id": row.job_id}).fetchone()
            if held and held.held:
                self._bury(connection, row)
                connection.execute(STATEMENTS["release"], {"job_id": row.job_id})

    def _bury(self, connection: psycopg.Connection[Any], row: Any) -> None:
        """What a dead worker left: its version failed, its files are detached."""
        values = {"job_id": row.job_id, "share_id": row.share_id, "share_version": row.share_version}
        with connection.transaction():
            connection.execute(STATEMENTS["fail_version"], values)
            if row.attempts < ATTEMPTS:
                connection.execute(STATEMENTS["requeue"], values)
            else:
                text = f"its worker ended {row.attempts} times without a word"
                told = {"job_id": row.job_id, "status": "FAILED", "error": text, "result": None}
                connection.execute(STATEMENTS["finish"], told)
        log.warning("job %s: its worker is gone", row.job_id)

    def _cancel(self, connection: psycopg.Connection[Any]) -> None:
        connection.execute(STATEMENTS["cancel_queued"])
        for row in connection.execute(STATEMENTS["to_cancel"]).fetchall():
            if row.job_id in self.running:
                self.running[row.job_id][0].cancel()

    # --- jobs ----------------------------------------------------------------------------------------

    def _take(self, connection: psycopg.Connection[Any], pool: ThreadPoolExecutor) -> None:
        for number in [number for number, (_, future) in self.running.items() if future.done()]:
            del self.running[number]
        while len(self.running) < self.jobs and not self.stopped.is_set():
            with suppress(psycopg.errors.UniqueViolation):
                # In one transaction with the job's lock: nobody sees it running and unheld.
                with connection.transaction():
                    row = connection.execute(STATEMENTS["claim"]).fetchone()
                    job = Job(self.dsn, row) if row else None
                if job is None:
                    return
                self.running[job.id] = (job, pool.submit(self._do, job))

    def _do(self, job: Job) -> None:
        log.info("job %s: %s for %s", job.id, job.row.kind, job.row.owner_name)
        try:
            do(job, self.dsn)
            log.info("job %s: done, %s rows, %s bytes", job.id, job.num_rows, job.size)
        except Exception as error:  # noqa: BLE001 - whatever it is, the owner of the job must be told
            log.warning("job %s: %s", job.id, error)
            try:
                job.fail(error)
                clean(job)
            except Exception:
                # With the connection gone, the next look around finds the job.
                log.exception("job %s could not be ended", job.id)
        finally:
            job.close()
            with suppress(OSError):
                os.write(self._wake, b"x")


def do(job: Job, dsn: str) -> None:
    """The work of a job, whatever its kind."""
    if job.row.cancel_requested:
        job.cancel()
    job.check()
    if job.row.kind == "PUBLISH":
        share = job.one("share", share_id=job.row.share_id)
        Publication(job, dsn, storage_of(job, share.storage_link_id)).run()
        return
    link = job.row.storage_link_id
    storage = storage_of(job, link)
    if job.row.kind == "VALIDATE":
        job.complete(validate(job, storage))
    else:
        job.complete(purge(job, storage, link, int(job.row.arguments.get("purge_mode", DROP))))


def clean(job: Job) -> None:
    """Delete the files of a version that came to nothing; what cannot be deleted stays among the detached ones."""
    row = job.one("version_of_job", job_id=job.id)
    share = job.row.share_id and job.one("share", share_id=job.row.share_id)
    if share and row and row.share_version:
        job.cancelled.clear()
        storage = storage_of(job, share.storage_link_id)
        purge(job, storage, share.storage_link_id, DROP, share_id=share.share_id, first_version=row.share_version)
