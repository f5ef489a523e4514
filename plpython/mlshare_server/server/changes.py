"""Changes between published versions of a table with a primary key: files that are worked out when they are asked for.

A version holds whole files, so what changed is found by comparing the rows of the files that differ. The result is
kept in a directory of this server; another server, or this one after a restart, works it out again from its name.
"""

from __future__ import annotations

import hashlib
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from anyio import to_thread
from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mlshare_server.errors import ServerError
from mlshare_server.server import actions, diff, tables, travel
from mlshare_server.server.asked import Capabilities, moment, number
from mlshare_server.server.catalog import File, Share, Table, Version
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import BadFileUrl, Invalid, NoChanges, NotFound, TooOld
from mlshare_server.server.files import base_url, byte_answer, sign_all, signed_query, storage_of

COMPARED_BYTES = 256 << 20  # of Parquet; beyond that whole files are told as deleted and inserted
KEPT_BYTES = 2 << 30


@dataclass(frozen=True)
class Form:
    """How lines about files are written: in which format, under which ids, with URLs that are good until when."""

    delta: bool
    hashed: str | None
    expires: int

    @classmethod
    def of(cls, request: Request, share: Share, table: Table) -> Form:
        """What the request wants."""
        asked = Capabilities.of(request.headers.get("delta-sharing-capabilities"))
        expires = int(time.time()) + share.url_lifetime
        return cls(actions.is_delta(table, asked), tables.file_id_hash(request), expires)


async def changes(request: Request, call: Call) -> Response:
    """GET …/changes"""
    share, table = await travel.table_of(request, call)
    values = dict(request.query_params)
    if not tables.has_changes(share, table):
        first_of(values)
        raise NoChanges(share=share.share_name, schema=table.schema_name, table=table.table_name)
    versions = await call.services.catalog.versions(call.who, share, table)
    first, last = span(values, versions)
    latest = await travel.by_number(call, share, table, versions, last)
    form = Form.of(request, share, latest)
    call.noted |= {"share_version": first, "num_files": 0, "size": 0}
    # Readers that ask for the metadata of old versions begin a log of their own at the version that it names.
    named = first if values.get("includeHistoricalMetadata", "").lower() == "true" else last
    latest = replace(latest, share_version=named)
    lines = stream(request, call, share, latest, between(versions, first, last), first, form)
    return await answer(request, first, form, lines)


async def answer(request: Request, first: int, form: Form, lines: AsyncIterator[bytes]) -> Response:
    """The lines as an answer about the versions from the first on."""
    start = await anext(lines) + await anext(lines, b"")
    headers = tables.headers(request, first, delta=form.delta)
    return StreamingResponse(tables.after(start, lines), headers=headers, media_type=tables.NDJSON)


def first_of(values: dict[str, Any]) -> tuple[int | None, Any]:
    """What says where to begin. Invalid if it is missing or there are two."""
    travel.only_one(values, "startingVersion", "startingTimestamp")
    travel.only_one(values, "endingVersion", "endingTimestamp")
    first = number("startingVersion", values.get("startingVersion"))
    when = moment("startingTimestamp", values.get("startingTimestamp"))
    if first is None and when is None:
        raise Invalid(reason="No startingVersion or startingTimestamp provided for CDF read.")
    return first, when


def span(values: dict[str, Any], versions: list[Version]) -> tuple[int, int]:
    """The first and the last version whose changes are asked for."""
    first, when = first_of(values)
    if when is not None:
        travel.check_since(versions, when)
        first = travel.earliest_since(versions, when)
    assert first is not None
    last = number("endingVersion", values.get("endingVersion"))
    if (until := moment("endingTimestamp", values.get("endingTimestamp"))) is not None:
        last = travel.latest_until(versions, until)
    last = versions[-1].share_version if last is None else min(last, versions[-1].share_version)
    if first > last:
        raise Invalid(reason=f"CDF range from start {first} to end {last} was invalid. End cannot be before start.")
    if first < versions[0].share_version:
        raise TooOld(version=versions[0].share_version)
    return first, last


def between(versions: list[Version], first: int, last: int) -> list[Version]:
    """The versions from the first to the last, after the one before them, if there is one."""
    before = [version for version in versions if version.share_version < first]
    return before[-1:] + [version for version in versions if first <= version.share_version <= last]


async def stream(
    request: Request, call: Call, share: Share, latest: Table, versions: list[Version], first: int, form: Form
) -> AsyncIterator[bytes]:
    """The lines of the answer: of each version what differs from the one before."""
    yield actions.head(latest, delta=form.delta, changes=True)
    before: dict[Any, File] | None = None
    for version in versions:
        here = await files_of(call, share, latest, version)
        if version.share_version >= first:
            known = before or {}
            gone = [file for name, file in known.items() if name not in here]
            come = [file for name, file in here.items() if name not in known]
            if before is not None and gone and sum(file.size for file in gone + come) <= COMPARED_BYTES:
                name = name_of(latest, share, version, gone, come)
                path = await made(call, name, latest, gone, come)
                url = f"{base_url(request, call)}/changes/{name}.parquet?{signed_query(call, name, form.expires)}"
                # Without rows it is other files of the same rows, and readers stumble over such a file.
                if (await to_thread.run_sync(pq.read_metadata, path)).num_rows:
                    yield change_line("cdf", url, name, path.stat().st_size, version, form)
            else:
                async for line in whole_files(request, call, version, gone, come, form):
                    yield line
        before = here


async def whole_files(
    request: Request, call: Call, version: Version, gone: list[File], come: list[File], form: Form
) -> AsyncIterator[bytes]:
    """Lines of the files that a version no longer has, and of those that it has anew."""
    for kind, part in (("remove", gone), ("add", come)):
        for one in await sign_all(request, call, part, form.expires):
            name = actions.file_id(one.file, form.hashed)
            yield change_line(kind, one.url, name, one.file.size, version, form, one.file.stats)


async def files_of(call: Call, share: Share, table: Table, version: Version) -> dict[Any, File]:
    """The files of the table in a version, by id."""
    at = replace(table, share_version=version.share_version)
    return {
        file.file_id: file
        async for batch in call.services.catalog.files(call.who, share, at)
        for file in batch
        if file.num_rows
    }


def change_line(
    kind: str, url: str, name: str, size: int, version: Version, form: Form, stats: str | None = None
) -> bytes:
    """One file of changes: cdf, or add and remove of a whole file."""
    published = actions.milliseconds(version.published)
    about = {"version": version.share_version, "timestamp": published, "expirationTimestamp": form.expires * 1000}
    common: dict[str, Any] = {
        "partitionValues": {},
        "size": size,
        **({"stats": stats} if stats and kind == "add" else {}),
    }
    if not form.delta:
        return actions.line({kind: {"url": url, "id": name, **common, **about}})
    action = {"path": url, **common, "dataChange": kind != "cdf"}
    if kind == "add":
        action["modificationTime"] = published
    elif kind == "remove":
        action |= {"deletionTimestamp": published, "extendedFileMetadata": True}
    single = {"cdc" if kind == "cdf" else kind: action}
    return actions.line({"file": {"id": name, **about, "deltaSingleAction": single}})


def name_of(table: Table, share: Share, version: Version, gone: list[File], come: list[File]) -> str:
    """The name of a file of changes, the same on every server: what it is of, and from which files it is made."""
    made_of = "\n".join(sorted(f"-{f.file_id}" for f in gone) + sorted(f"+{f.file_id}" for f in come))
    digest = hashlib.sha256(made_of.encode()).hexdigest()[:32]
    return f"{share.share_id}.{table.table_id}.{version.share_version}.{digest}"


async def made(call: Call, name: str, table: Table, gone: list[File], come: list[File]) -> Path:
    """Makes the file of that name unless it is there."""
    services = call.services
    path = services.directory / f"{name}.parquet"
    async with services.lock(name):
        if not path.exists():
            storages = {link: await storage_of(call, link) for link in {f.storage_link_id for f in gone + come}}
            try:
                await to_thread.run_sync(_make, path, storages, table, gone, come)
            except (FileNotFoundError, ServerError) as error:
                raise NotFound(what="a file of the table is no longer there") from error
            await to_thread.run_sync(_tidy, services.directory, path)
        return path


def _make(path: Path, storages: dict[Any, Any], table: Table, gone: list[File], come: list[File]) -> None:
    def read(files: list[File]) -> pa.Table:
        parts = []
        for file in files:
            with storages[file.storage_link_id].open(file.path) as source:
                parts.append(pq.read_table(source))
        return pa.concat_tables(parts, promote_options="permissive")

    new = read(come) if come else read(gone).slice(0, 0)
    found = diff.changes(read(gone), new, table.primary_key or [])
    written = path.with_suffix(f".{id(path)}")
    pq.write_table(found, written, compression="snappy")
    written.rename(path)


def _tidy(directory: Path, newest: Path) -> None:
    """Forgets the oldest files where there are too many; they can be made again."""
    files = sorted(directory.glob("*.parquet"), key=lambda path: path.stat().st_mtime, reverse=True)
    total = 0
    for path in files:
        total += path.stat().st_size
        if total > KEPT_BYTES and path != newest:
            path.unlink(missing_ok=True)


async def file(request: Request, call: Call) -> Response:
    """GET or HEAD of the signed URL of a file of changes"""
    name = request.path_params["file"].removesuffix(".parquet")
    if not call.services.signer.file_allowed(name, dict(request.query_params)):
        raise BadFileUrl
    share_id, table_id, version, _ = name.split(".")
    call.recipient_id = travel.uuid_of(request.query_params["r"])
    share, table, versions = await call.services.catalog.table_by_id(call.who, share_id, table_id)
    if share is None or table is None:
        raise BadFileUrl
    at = [n for n, v in enumerate(versions) if v.share_version == int(version)]
    if not at or at[0] == 0:
        raise BadFileUrl
    before, here = [await files_of(call, share, table, versions[n]) for n in (at[0] - 1, at[0])]
    gone, come = ([f for k, f in a.items() if k not in b] for a, b in ((before, here), (here, before)))
    # After a version in between was dropped, the same name would be something else.
    if name_of(table, share, versions[at[0]], gone, come) != name:
        raise BadFileUrl
    path = await made(call, name, table, gone, come)
    call.noted |= {"num_files": 1, "details": {"file": name}}
    return await byte_answer(request, call, lambda: path.open("rb"), path.stat().st_size, name)
