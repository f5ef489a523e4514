"""Writing Parquet: files of a limited size, each with its row in the database before its first byte."""

from __future__ import annotations

import hashlib
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any, BinaryIO
from uuid import UUID, uuid4

import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from mlshare_server.storage import Storage
from mlshare_server.worker.arrow import stats

# Rows are gathered up to this size before they are written as a row group.
GROUP = 32 << 20
# Rows that tell which columns repeat themselves, and which can be compressed.
SAMPLE = 10_000
# Of the size of a column that is compressed.
LEAST_SAVED = 1 / 8


@dataclass(frozen=True)
class Written:
    """A file that is complete."""

    file_id: UUID
    size: int
    num_rows: int
    sha256: bytes
    stats: str | None = None


class Hashed:
    """A file that is written once from front to back, and what has gone through it."""

    def __init__(self, file: BinaryIO) -> None:
        self.file, self.size, self.hash, self.closed = file, 0, hashlib.sha256(), False

    def write(self, data: Any) -> int:
        self.hash.update(data)
        self.size += len(data)
        self.file.write(data)
        return len(data)

    def tell(self) -> int:
        return self.size

    def flush(self) -> None:
        """Nothing is kept back here."""

    def close(self) -> None:
        self.closed = True

    def readable(self) -> bool:
        return False

    def writable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return False


class Parts:
    """Takes the rows of one part of a table and cuts them into files."""

    def __init__(
        self,
        storage: Storage,
        schema: pa.Schema,
        *,
        begin: Callable[[UUID], str],
        end: Callable[[Written], None],
        split_size: int,
        compression: str,
    ) -> None:
        self.storage, self.schema, self.begin, self.end = storage, schema, begin, end
        self.split_size, self.compression = split_size, compression
        self.group = min(GROUP, split_size // 3)
        self.written: list[Written] = []
        self._floats = [field.name for field in schema if pa.types.is_floating(field.type)]
        self._stack: ExitStack | None = None
        self._waiting: list[pa.RecordBatch] = []
        self._bytes = 0

    def add(self, batch: pa.RecordBatch) -> None:
        """Take a batch; a full row group is written, a full file closed."""
        # A group may not be larger than what is left of a file, and encoded it is hardly larger than it is now.
        slices = -(-batch.nbytes // self.group)
        rows = -(-len(batch) // max(slices, 1))
        for start in range(0, len(batch), max(rows, 1)):
            self._waiting.append(batch.slice(start, rows))
            self._bytes += batch.nbytes // slices
            if self._bytes >= self.group:
                self._write_group()

    def close(self) -> list[Written]:
        """Write what waits; the files."""
        if self._waiting:
            self._write_group()
        if self._stack:
            self._close_file()
        return self.written

    def abort(self) -> None:
        """Leave the open file unfinished."""
        if self._stack:
            error = InterruptedError()
            self._stack.__exit__(InterruptedError, error, None)
            self._stack = None

    def _write_group(self) -> None:
        table = pa.Table.from_batches(self._waiting, self.schema)
        if not self._stack:
            self._open_file(table)
        self._waiting, self._bytes = [], 0
        self._without_nan(table)
        self._writer.write_table(table, row_group_size=len(table))
        if self._sink.size + self.group > self.split_size:
            self._close_file()

    def _without_nan(self, table: pa.Table) -> None:
        # NaN is larger than every number to some clients and no number to others: no extremes then.
        for name in self._floats:
            if name not in self._nan and pc.any(pc.is_nan(table[name])).as_py():
                self._nan.add(name)

    def _open_file(self, first: pa.Table) -> None:
        self._id, self._nan = uuid4(), set[str]()
        path = self.begin(self._id)
        self._stack = ExitStack()
        self._sink = Hashed(self._stack.enter_context(self.storage.create(path)))
        sample = first.slice(0, SAMPLE)
        options: dict[str, Any] = {"version": "2.6", "use_dictionary": repetitive(sample)}
        options["compression"] = compressible(sample, self.compression, **options)
        self._writer = pq.ParquetWriter(pa.PythonFile(self._sink, mode="w"), self.schema, **options)

    def _close_file(self) -> None:
        self._writer.close()
        metadata = self._writer.writer.metadata
        assert self._stack
        self._stack.close()
        self._stack = None
        told = stats(metadata, self.schema, self._nan)
        made = Written(self._id, self._sink.size, metadata.num_rows, self._sink.hash.digest(), told)
        self.end(made)
        self.written.append(made)


def repetitive(sample: pa.Table) -> list[str]:
    """The columns whose values repeat so often that a dictionary of them is worth the time of making it.

    For numbers that is half of the time of writing; texts are written and read faster with one, and less of them.
    """

    def repeats(field: pa.Field) -> bool:
        times = 2 if pa.types.is_string(field.type) else 10
        return int(pc.count_distinct(sample[field.name]).as_py()) * times <= len(sample)

    simple = [f for f in sample.schema if not pa.types.is_nested(f.type) and not pa.types.is_decimal(f.type)]
    return [field.name for field in simple if repeats(field)]


def compressible(sample: pa.Table, codec: str, **options: Any) -> dict[str, str]:
    """How each column is compressed, by its path in the file: not at all where that would save less than an eighth.

    Of digests, tokens and the like: trying takes a third of the time of writing, and then they are read faster too.
    """
    with pq.ParquetWriter(pa.BufferOutputStream(), sample.schema, compression=codec, **options) as trial:
        trial.write_table(sample)
    group = trial.writer.metadata.row_group(0)

    def pays(column: pq.ColumnChunkMetaData) -> bool:
        # Less than a byte for each row: NULLs and the like, which tell nothing of the rows to come.
        before, after = int(column.total_uncompressed_size), int(column.total_compressed_size)
        return before < len(sample) or after <= before * (1 - LEAST_SAVED)

    columns = [group.column(number) for number in range(group.num_columns)]
    return {column.path_in_schema: codec if pays(column) else "none" for column in columns}
