"""Lines of an answer about a table, in the two formats of the protocol."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from typing import Any

from mlshare_server.server.asked import Capabilities
from mlshare_server.server.catalog import File, Table
from mlshare_server.server.errors import Invalid

# The reader feature that a table with columns of type timestamp (without time zone) needs in the format delta.
NTZ = "timestampNtz"


@dataclass(frozen=True)
class Signed:
    """A file with the URL that gives it until then (milliseconds since 1970)."""

    file: File
    url: str
    expires: int


# Made once: json.dumps with options makes one for each call.
_ENCODER = json.JSONEncoder(separators=(",", ":"), ensure_ascii=False)


def line(value: dict[str, Any]) -> bytes:
    """One line of ndjson."""
    return _ENCODER.encode(value).encode() + b"\n"


def milliseconds(when: Any) -> int:
    """Milliseconds since 1970 of a datetime."""
    return int(when.timestamp() * 1000)


def uses_ntz(kind: Any) -> bool:
    """Whether timestamp_ntz occurs anywhere in a schema."""
    if isinstance(kind, dict):
        return any(uses_ntz(part) for name, part in kind.items() if name not in ("metadata", "name"))
    return any(map(uses_ntz, kind)) if isinstance(kind, list) else kind == "timestamp_ntz"


def without_ntz(kind: Any) -> Any:
    """A schema for clients of the format parquet, which know timestamp_ntz only as timestamp."""
    if isinstance(kind, dict):
        return {name: part if name in ("metadata", "name") else without_ntz(part) for name, part in kind.items()}
    if isinstance(kind, list):
        return [without_ntz(part) for part in kind]
    return "timestamp" if kind == "timestamp_ntz" else kind


def is_delta(table: Table, asked: Capabilities) -> bool:
    """Which format to answer in: parquet where the client can read the table in it. Invalid if it can in none."""
    advanced = uses_ntz(table.table_schema)
    readable = not advanced or NTZ.lower() in asked.features
    if "parquet" in asked.formats and not (advanced and readable and "delta" in asked.formats):
        return False
    if not readable:
        raise Invalid(
            reason=f"table {table.schema_name}.{table.table_name} has columns without time zone: "
            f"ask for it with readerfeatures={NTZ.lower()}, or with responseformat=parquet"
        )
    return True


def head(table: Table, *, delta: bool, changes: bool) -> bytes:
    """The two lines before the files: protocol and metadata."""
    return line({"protocol": _protocol(table, delta, changes)}) + line({"metaData": metadata(table, delta, changes)})


def _protocol(table: Table, delta: bool, changes: bool) -> dict[str, Any]:
    if not delta:
        return {"minReaderVersion": 1}
    reading = [NTZ] if uses_ntz(table.table_schema) else []
    writing = [*reading, *(["changeDataFeed"] if changes else [])]
    protocol: dict[str, Any] = {"minReaderVersion": 3 if reading else 1, "minWriterVersion": 7 if writing else 2}
    if reading:
        protocol["readerFeatures"] = reading
    if writing:
        protocol["writerFeatures"] = writing
    return {"deltaProtocol": protocol}


def metadata(table: Table, delta: bool, changes: bool) -> dict[str, Any]:
    """The metadata of a table in one version."""
    schema = table.table_schema if delta else without_ntz(table.table_schema)
    common: dict[str, Any] = {"id": str(table.table_id), "name": f"{table.schema_name}.{table.table_name}"}
    if table.comment:
        common["description"] = table.comment
    common["format"] = {"provider": "parquet", "options": {}} if delta else {"provider": "parquet"}
    common["schemaString"] = _ENCODER.encode(schema)
    common["partitionColumns"] = []
    flag = "delta.enableChangeDataFeed" if delta else "enableChangeDataFeed"
    common["configuration"] = {flag: "true"} if changes else {}
    size = {"version": table.share_version, "size": table.size, "numFiles": table.num_files}
    if not delta:
        return {**common, **size}
    return {"deltaMetadata": {**common, "createdTime": milliseconds(table.published)}, **size}


def file_id(file: File, hashed: str | None) -> str:
    """The id that a client tells files apart by; the same at every time."""
    if hashed:
        return hashlib.new({"parquet": "md5", "delta": "sha256"}[hashed], file.path.encode()).hexdigest()
    return file.file_id.hex


def file_line(signed: Signed, *, delta: bool, hashed: str | None = None) -> bytes:
    """One file of a snapshot."""
    file, name = signed.file, file_id(signed.file, hashed)
    common: dict[str, Any] = {"partitionValues": {}, "size": file.size}
    if file.stats:
        common["stats"] = file.stats
    if not delta:
        return line({"file": {"url": signed.url, "id": name, **common, "expirationTimestamp": signed.expires}})
    add = {"path": signed.url, **common, "modificationTime": milliseconds(file.created), "dataChange": True}
    return line({"file": {"id": name, "expirationTimestamp": signed.expires, "deltaSingleAction": {"add": add}}})


def end_line(*, next_page: str | None, refresh: str | None, expires: int | None) -> bytes:
    """The last line, for clients that asked for it: others fail on it."""
    values = {"refreshToken": refresh, "nextPageToken": next_page, "minUrlExpirationTimestamp": expires}
    return line({"endStreamAction": {name: value for name, value in values.items() if value is not None}})
