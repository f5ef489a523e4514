"""Parquet files of a share as JSON rows: only the columns and row groups that are asked for are fetched."""

from __future__ import annotations

import io
import json
import math
import threading
from collections.abc import Iterator, Sequence
from datetime import date, datetime, time
from decimal import Decimal
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pyarrow.parquet as pq

from mlshare import errors
from mlshare.shares.web import Web

ROWS = 5000  # of one JSON text
WHOLE_BYTES = 8 << 20  # a smaller file is fetched at once


class RemoteFile(io.RawIOBase):
    """A file behind a URL, read by ranges. Readers of Parquet ask from several threads."""

    def __init__(self, web: Web, url: str) -> None:
        self._web, self._url, self._position, self._lock = web, url, 0, threading.Lock()
        self.fetched = 0
        self._host = urlsplit(url).hostname or url
        first = self._get(f"bytes=0-{WHOLE_BYTES - 1}")
        self._whole: bytes | None = first.body
        if first.status == 206:
            self._size = int(first.headers["Content-Range"].rpartition("/")[2])
            if self._size > len(first.body):
                self._whole = None
        else:
            self._size = len(first.body)

    def _get(self, wanted: str) -> Any:
        answer = self._web.request(self._url, headers={"Range": wanted})
        if answer.status not in (200, 206):
            raise errors.ShareServerError(host=self._host, reason=f"a file is answered with status {answer.status}")
        self.fetched += len(answer.body)
        return answer

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._position

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._position, io.SEEK_END: self._size}[whence]
        self._position = max(base + offset, 0)
        return self._position

    def size(self) -> int:
        return self._size

    def read(self, size: int = -1) -> bytes:
        with self._lock:
            end = self._size if size is None or size < 0 else min(self._position + size, self._size)
            if end <= self._position:
                return b""
            if self._whole is not None:
                data = self._whole[self._position : end]
            else:
                answer = self._get(f"bytes={self._position}-{end - 1}")
                data = answer.body if answer.status == 206 else answer.body[self._position : end]
            self._position += len(data)
            return data


def batches(
    web: Web, file: dict[str, Any], names: Sequence[str], filters: list[tuple[str, str, Any]] | None
) -> Iterator[bytes]:
    """JSON arrays of row objects with those columns. ShareServerError if the file cannot be read."""
    source = RemoteFile(web, file["url"])
    try:
        parquet = pq.ParquetFile(pa.PythonFile(source, mode="r"))
        stored = {name.lower(): name for name in parquet.schema_arrow.names}
        wanted = {name: stored[name.lower()] for name in names if name.lower() in stored}
        for group in range(parquet.metadata.num_row_groups):
            if not _may_match(parquet.metadata.row_group(group), filters or [], stored):
                continue
            for batch in parquet.iter_batches(ROWS, row_groups=[group], columns=list(wanted.values())):
                yield _json(batch, wanted, names, file.get("partition") or {})
    except (pa.ArrowException, OSError, ValueError) as error:
        host = urlsplit(file["url"]).hostname
        raise errors.ShareServerError(host=host, reason=f"a file is not sound Parquet: {str(error)[:300]}") from error


def _may_match(group: Any, filters: list[tuple[str, str, Any]], stored: dict[str, str]) -> bool:
    """Whether a row group may hold rows for all conditions, by its statistics."""
    columns = {group.column(n).path_in_schema: group.column(n) for n in range(group.num_columns)}
    for name, op, value in filters:
        column = columns.get(stored.get(name.lower(), ""))
        known = column.statistics if column is not None and column.is_stats_set else None
        if known is None or not known.has_min_max or isinstance(known.min, float):
            continue
        try:
            if (op in ("=", ">", ">=") and known.max < value) or (op in ("=", "<", "<=") and known.min > value):
                return False
        except TypeError:
            continue
    return True


def _json(batch: Any, wanted: dict[str, str], names: Sequence[str], partition: dict[str, Any]) -> bytes:
    """The rows of a batch as a JSON array; a column that is not in the file is that of a partition, or NULL."""
    constant = {name.lower(): value for name, value in partition.items()}
    columns = []
    for name in names:
        if name in wanted:
            columns.append([_plain(value) for value in _readable(batch.column(wanted[name])).to_pylist()])
        else:
            columns.append([constant.get(name.lower())] * batch.num_rows)
    rows = [dict(zip(names, row, strict=True)) for row in zip(*columns, strict=True)]
    return json.dumps(rows, ensure_ascii=False, allow_nan=False).encode("utf-8", "surrogatepass")


def _readable(column: Any) -> Any:
    """Nanoseconds are more than Python's times, and PostgreSQL's, have."""
    kind = column.type
    if pa.types.is_timestamp(kind) and kind.unit == "ns":
        return column.cast(pa.timestamp("us", kind.tz), safe=False)
    return column


def _plain(value: Any) -> Any:
    """A value as JSON that PostgreSQL reads back into the column's type."""
    if value is None or isinstance(value, str | bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else str(value).replace("inf", "Infinity").replace("nan", "NaN")
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return str(value)
    if isinstance(value, dict):
        return {str(name): _plain(part) for name, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(part) for part in value]
    return str(value)
