"""Publishing: one snapshot over all tables of a share becomes files, and the files become the version served."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from contextlib import ExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from itertools import count
from typing import Any
from uuid import UUID

import pyarrow as pa
from adbc_driver_manager import dbapi
from psycopg.types.json import Jsonb
from pyarrow.lib import ArrowException

from mlshare_server.errors import PublishFailed, SeveralDimensions, UnsharableRelation
from mlshare_server.storage import Storage
from mlshare_server.worker.arrow import Assembler
from mlshare_server.worker.files import Parts, Written
from mlshare_server.worker.jobs import Job
from mlshare_server.worker.relations import Part, Table, describe, fingerprint, ranges
from mlshare_server.worker.sessions import Reader, Session, Snapshot

SESSIONS = 2
# So often a snapshot is taken for a version whose tables are truncated meanwhile.
SNAPSHOTS = 5


@dataclass
class Segment:
    """A part of a table on its way into the version: one row of user_share_job_segments."""

    number: int
    table: Table
    part: Part
    fingerprint: str | None
    before: list[Written]
    # By the order of its pieces, so that equal rows give equal lists.
    pieces: dict[int, list[Written]] = field(default_factory=dict)
    reused: bool = False

    @property
    def files(self) -> list[Written]:
        """The files of the part in this version."""
        return self.before if self.reused else [file for number in sorted(self.pieces) for file in self.pieces[number]]


class Publication:
    """The work of one PUBLISH job."""

    def __init__(self, job: Job, dsn: str, storage: Storage) -> None:
        self.job, self.dsn, self.storage = job, dsn, storage
        self.share = job.one("share", share_id=job.row.share_id)
        self.properties: dict[str, Any] = self.share.properties
        self.base: int | None = job.one("last_exported", share_id=self.share.share_id).share_version
        self.version = 0

    def _property(self, name: str, default: str) -> str:
        return str(self.properties.get(name, default))

    # --- the whole -------------------------------------------------------------------------------

    def run(self) -> dict[str, Any]:
        """Export what has changed and serve the new version; what the job gives."""
        with ExitStack() as stack:
            reader = self._reader()
            snapshot = Snapshot(reader)
            stack.callback(snapshot.close)
            stack.enter_context(self.job.cancelling(snapshot.cancel))
            self._begin(snapshot)
            tables = self._locked(snapshot)
            numbers = count(1)
            segments = [self._segment(snapshot, t, p, next(numbers)) for t in tables for p in t.parts]
            self._export(snapshot, [segment for segment in segments if not segment.reused])
        for segment in segments:
            self._end_segment(segment)
        return self._serve(tables, segments)

    def _reader(self) -> Reader:
        row = self.job.row
        login = self.job.one("reader_login", owner=row.owner)
        if login is None or login.reader is None:
            raise PublishFailed(
                reason=f'role "{row.owner_name}" has not been enabled to share data', hint="dbms_share.enable_schema"
            )
        return Reader.of(self.dsn, login.reader, login.password, row.owner_name)

    def _begin(self, snapshot: Snapshot) -> None:
        values = {"share_id": self.share.share_id, "job_id": self.job.id, "export_time": snapshot.moment}
        self.version = self.job.one("begin_version", **values).share_version
        self.job.run("clear_segments", job_id=self.job.id)
        self.job.event("STARTED", share_version=self.version)

    def _locked(self, snapshot: Snapshot) -> list[Table]:
        """The tables, locked. A file that TRUNCATE put in a table's place meanwhile would be empty to the snapshot."""
        for _ in range(SNAPSHOTS):
            tables = [self._describe(snapshot, share) for share in self._tables()]
            for table in tables:
                for part in table.parts:
                    # Names and privileges as the export will find them, but with errors that have an SQLSTATE.
                    snapshot.execute(f"EXPLAIN {table.query(part)}")
            if not snapshot.rows("replaced"):
                return tables
            self.job.check()
            snapshot.begin()
            key = {"share_id": self.share.share_id, "share_version": self.version}
            self.job.run("begin_again", export_time=snapshot.moment, **key)
        raise PublishFailed(reason="its tables are replaced again and again", hint="Publish it at another time.")

    def _tables(self) -> list[Any]:
        return self.job.run("share_tables", share_id=self.share.share_id)

    def _describe(self, snapshot: Snapshot, share: Any) -> Table:
        wanted = {**self.properties, **share.properties}
        rules = {"numeric": wanted.get("NUMERIC", "DOUBLE"), "non_finite": wanted.get("NON_FINITE", "NULL")}
        return describe(snapshot, share, **rules)

    # --- what has not changed ----------------------------------------------------------------------

    def _segment(self, snapshot: Snapshot, table: Table, part: Part, number: int) -> Segment:
        ids = {"table_id": table.share.table_id, "partition_name": part.name}
        self.job.run("begin_segment", job_id=self.job.id, segment_no=number, **ids)
        self.job.check()
        made = Segment(number, table, part, fingerprint(snapshot, table, part), [])
        if self.base is not None:
            base = {"share_id": self.share.share_id, "share_version": self.base, **ids}
            rows = self.job.run("files_of", storage_link_id=self.share.storage_link_id, **base)
            made.before = [Written(r.file_id, r.size, r.num_rows, r.sha256) for r in rows]
            known = self.job.one("fingerprint_of", **base)
            made.reused = known is not None and made.fingerprint is not None and known.fingerprint == made.fingerprint
        return made

    def _end_segment(self, segment: Segment) -> None:
        # Rows of which nothing could be told beforehand may still have given the very same files.
        old = [file.sha256 for file in segment.before]
        if not segment.reused and old and old == [file.sha256 for file in segment.files]:
            segment.reused = True
        files, status = segment.files, "REUSED" if segment.reused else "COMPLETED"
        sums = {"num_rows": sum(f.num_rows for f in files), "size": sum(f.size for f in files)}
        self.job.run("end_segment", job_id=self.job.id, segment_no=segment.number, status=status, **sums)
        event = "REUSED" if segment.reused else "EXPORTED"
        self.job.event(event, segment.table.name, segment.part.name or None, num_files=len(files), **sums)

    # --- export ------------------------------------------------------------------------------------

    def _export(self, snapshot: Snapshot, segments: list[Segment]) -> None:
        self.job.run("expect", job_id=self.job.id, total_rows=sum(s.part.num_rows for s in segments))
        sessions = int(self._property("JOB_DOP", str(SESSIONS)))
        pieces = [(s, n, c) for s in segments for n, c in enumerate(ranges(snapshot, s.part, sessions))]
        work = iter(pieces)
        if not pieces:
            return
        with ThreadPoolExecutor(min(sessions, len(pieces)), "export", in_batches) as pool:
            # next() of one iterator is atomic: each piece goes to one session.
            running = [pool.submit(self._export_some, snapshot, work) for _ in range(min(sessions, len(pieces)))]
            done, rest = wait(running, return_when=FIRST_EXCEPTION)
            failed = next((error for future in done if (error := future.exception())), None)
            if failed and rest:
                self.stop_others()
        if failed:
            raise failed

    def stop_others(self) -> None:
        """One session failed: the others need not go on."""
        self._failed = True

    _failed = False

    def _export_some(self, snapshot: Snapshot, work: Iterator[tuple[Segment, int, str]]) -> None:
        session = Session(snapshot.reader, snapshot.name)
        try:
            with self.job.cancelling(session.cancel):
                for segment, number, condition in work:
                    segment.pieces[number] = self._export_piece(session, segment, condition)
        finally:
            session.close()

    def _export_piece(self, session: Session, segment: Segment, condition: str) -> list[Written]:
        table = segment.table
        assembler = Assembler(table.columns, non_finite=table.non_finite)
        parts = self._parts(segment, assembler)
        with aborting(parts), explained(table):
            for batch in session.read(table.query(segment.part, condition)):
                parts.add(assembler.batch(batch))
                self.job.advance(rows=batch.num_rows)
                if self._failed:
                    raise PublishFailed(reason="another part failed")
            written = parts.close()
        if dropped := +assembler.dropped:
            self.job.event("WARNING", table.name, segment.part.name or None, values_set_to_null=dict(dropped))
        return written

    def _parts(self, segment: Segment, assembler: Assembler) -> Parts:
        share, table, part = self.share, segment.table.share, segment.part
        folder = f"{share.storage_folder}{safe(table.share_schema_name)}/{safe(table.share_table_name)}/"
        folder += f"{safe(part.name)}/" if part.name else ""

        def begin(file_id: UUID) -> str:
            path = f"{folder}V{self.version}_{file_id}.parquet"
            ids = {"file_id": file_id, "storage_link_id": share.storage_link_id, "share_id": share.share_id}
            where = {"table_id": table.table_id, "partition_name": part.name, "first_version": self.version}
            self.job.run("begin_file", path=path, **ids, **where)
            return path

        def end(file: Written) -> None:
            told = {"num_rows": file.num_rows, "sha256": file.sha256, "stats": file.stats}
            self.job.run("end_file", file_id=file.file_id, size=file.size, **told)
            self.job.advance(size=file.size)

        compression = self._property("COMPRESSION", self.job.setting("compression"))
        split_size = int(self._property("SPLIT_SIZE", self.job.setting("split_size")))
        schema = assembler.schema
        return Parts(self.storage, schema, begin=begin, end=end, split_size=split_size, compression=compression)

    # --- the new version ---------------------------------------------------------------------------

    def _serve(self, tables: list[Table], segments: list[Segment]) -> dict[str, Any]:
        """In one transaction: all of the version is there, and it is the one that is served."""
        job, key = self.job, {"share_id": self.share.share_id, "share_version": self.version}
        with job.connection.transaction():
            row = job.one("lock_job", job_id=job.id)
            if row is None or row.cancel_requested or row.status != "RUNNING":
                job.cancel()
                job.check()
            for table in tables:
                self._record(table, [s for s in segments if s.table is table])
            job.run("end_version", **key)
            job.run("serve", **key)
            self._drop_old()
            job.event("COMPLETED", share_version=self.version, num_rows=job.num_rows, size=job.size)
            result = {"share_version": self.version}
            job.complete(result)
        return result

    def _record(self, table: Table, segments: list[Segment]) -> None:
        files = [file for segment in segments for file in segment.files]
        key = {"share_id": self.share.share_id, "share_version": self.version, "table_id": table.share.table_id}
        self.job.run(
            "end_table",
            schema_name=table.share.share_schema_name,
            table_name=table.share.share_table_name,
            table_schema=Jsonb(table.schema(), dumps=json.dumps),
            primary_key=table.primary_key,
            comment=table.comment,
            num_files=len(files),
            num_rows=sum(file.num_rows for file in files),
            size=sum(file.size for file in files),
            **key,
        )
        self.job.run("end_table_files", files=[file.file_id for file in files], **key)
        for segment in segments:
            self.job.run("end_partition", partition_name=segment.part.name, fingerprint=segment.fingerprint, **key)

    def _drop_old(self) -> None:
        if self.job.row.arguments.get("drop_prior_versions"):
            self.job.run("drop_older", share_id=self.share.share_id, before=self.version)
        elif kept := self.properties.get("RETENTION"):
            self.job.run("keep_last", share_id=self.share.share_id, kept=int(kept))


def in_batches() -> None:
    """Let this thread wait until the server has sent much, instead of interrupting it for every 8 kB."""
    with suppress(OSError):
        os.sched_setscheduler(0, os.SCHED_BATCH, os.sched_param(0))


@contextmanager
def explained(table: Table) -> Iterator[None]:
    """Turns the failure of an array's cast into the error that it stands for (see Mapper)."""
    try:
        yield
    except (OSError, ArrowException, dbapi.Error) as error:
        if 'malformed array literal: "{[' not in str(error):
            raise
        arrays = [column.name for column in table.columns if pa.types.is_list(column.arrow)]
        hint = "Declare the column with as many dimensions, such as integer[][]: then it is shared as text."
        raise SeveralDimensions(table=table.name, columns=" or ".join(arrays), hint=hint) from error


@contextmanager
def aborting(parts: Parts) -> Iterator[None]:
    """Leaves no open file behind when the block fails."""
    try:
        yield
    except BaseException:
        parts.abort()
        raise


def safe(name: str) -> str:
    """A name as part of a path."""
    made = "".join(c if c.isalnum() or c in "-_" else "_" for c in name)
    if not made:
        raise UnsharableRelation(table=name, reason="its name is empty")
    return made[:100]
