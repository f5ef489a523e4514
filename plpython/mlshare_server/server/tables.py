"""Version, metadata and files of a table."""

from __future__ import annotations

import asyncio
import hashlib
import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from mlshare_server.server import actions, hints, sqlhints, travel
from mlshare_server.server.asked import Capabilities, moment, number
from mlshare_server.server.catalog import File, Share, Table
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import Invalid, Malformed
from mlshare_server.server.files import sign_all

NDJSON = "application/x-ndjson; charset=utf-8"
REFRESH_SECONDS = 3600
MOST_FILES = 10_000  # of one page


def headers(request: Request, version: int, *, delta: bool | None = None) -> dict[str, str]:
    """Headers of an answer about a table."""
    named = {"Delta-Table-Version": str(version)}
    if delta is not None:
        asked = Capabilities.of(request.headers.get("delta-sharing-capabilities"))
        ends = ";includeendstreamaction=true" if asked.end_stream else ""
        named["delta-sharing-capabilities"] = f"responseformat={'delta' if delta else 'parquet'}{ends}"
    if hashed := file_id_hash(request):
        named["fileidhash"] = hashed
    return named


def file_id_hash(request: Request) -> str | None:
    """How the client wants files to be named."""
    hashed = request.headers.get("fileidhash", "").lower()
    if hashed not in ("", "parquet", "delta"):
        raise Invalid(reason=f"fileidhash is not parquet or delta: {hashed:.100}")
    return hashed or None


def has_changes(share: Share, table: Table) -> bool:
    """Whether what changed between versions can be told by row."""
    return share.history and bool(table.primary_key)


async def version(request: Request, call: Call) -> Response:
    """GET …/version, and the older HEAD of the table itself"""
    share, table = await travel.table_of(request, call)
    found = table.share_version
    given = request.query_params.get("startingTimestamp")
    if given:
        travel.check_history(share, table)
    if (when := moment("startingTimestamp", given)) is not None:
        found = travel.earliest_since(await call.services.catalog.versions(call.who, share, table), when)
    return Response(headers=headers(request, found))


async def metadata(request: Request, call: Call) -> Response:
    """GET …/metadata"""
    share, table = await travel.table_of(request, call)
    values = dict(request.query_params)
    travel.only_one(values, "version", "timestamp")
    table = await travel.at(call, share, table, values)
    delta = actions.is_delta(table, Capabilities.of(request.headers.get("delta-sharing-capabilities")))
    lines = actions.head(table, delta=delta, changes=has_changes(share, table))
    return Response(lines, headers=headers(request, table.share_version, delta=delta), media_type=NDJSON)


@dataclass
class Query:
    """What is asked of one table: how much, which files, in which format."""

    table: Table
    share: Share
    delta: bool
    hashed: str | None
    ends: bool
    predicates: list[dict[str, Any]]
    limit: int | None
    most: int | None
    after: int = -1
    refresh: bool = False
    purpose: str = ""
    # Filled while the answer is on its way.
    next_page: str | None = None
    expires: int | None = None
    rows: int = field(default=0)
    files: int = field(default=0)

    def wants(self, file: File) -> bool:
        """Whether the file may hold rows that are asked for; readers of some clients stumble over one without any."""
        return file.num_rows > 0 and all(hints.keeps(predicate, file.stats) for predicate in self.predicates)

    @property
    def enough(self) -> bool:
        """Whether limitHint is reached."""
        return self.limit is not None and self.rows >= self.limit


async def snapshot(request: Request, call: Call, share: Share, table: Table, body: dict[str, Any]) -> Response:
    """The files of one version of a table"""
    wanted = await asked_for(request, call, share, table, body)
    call.noted |= {"share_version": wanted.table.share_version, "num_files": 0, "size": 0}
    named = headers(request, wanted.table.share_version, delta=wanted.delta)
    lines = stream(request, call, wanted)
    # Up to the first files before the answer begins: where they cannot be signed, it is an error and not a torn answer.
    first = await anext(lines) + await anext(lines, b"")
    return StreamingResponse(after(first, lines), headers=named, media_type=NDJSON)


async def after(first: bytes, lines: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """What was read already, then what is still to come."""
    yield first
    async for part in lines:
        yield part


async def asked_for(request: Request, call: Call, share: Share, table: Table, body: dict[str, Any]) -> Query:
    """The query of a request's body. Invalid or Malformed if it contradicts itself."""
    asked = Capabilities.of(request.headers.get("delta-sharing-capabilities"))
    travels = any(body.get(name) not in (None, "") for name in ("version", "timestamp"))
    page, refresh = (text_of(body, name) for name in ("pageToken", "refreshToken"))
    include_refresh = body.get("includeRefreshToken") is True
    if (include_refresh or refresh) and (travels or page):
        raise Invalid(
            reason="includeRefreshToken and refreshToken must not be set with version, timestamp or pageToken"
        )
    table = await travel.at(call, share, table, body)
    most = number("maxFiles", body.get("maxFiles"), least=1)
    limit = number("limitHint", body.get("limitHint"))
    if body.get("jsonPredicateHints") or body.get("predicateHints"):
        # A predicate, understood or not, may still drop rows of the files that count.
        limit = None
    hinted = [
        hints.parse(body.get("jsonPredicateHints")),
        sqlhints.predicate(body.get("predicateHints"), table.table_schema),
    ]
    digest = hashlib.sha256(json.dumps([hinted, limit], sort_keys=True).encode()).hexdigest()
    purpose = f"query {call.who} {table.table_id} {digest}"
    after = -1
    if token := page or refresh:
        pinned, after = token_value(call, purpose if page else f"refresh {call.who} {table.table_id}", token)
        table = await pinned_table(call, share, table, pinned)
    paged = bool(most or page)
    return Query(
        table,
        share,
        actions.is_delta(table, asked),
        file_id_hash(request),
        asked.end_stream or paged or include_refresh or bool(refresh),
        [part for part in hinted if part],
        limit,
        min(most or MOST_FILES, MOST_FILES) if paged else None,
        after,
        include_refresh or bool(refresh),
        purpose,
    )


def text_of(body: dict[str, Any], name: str) -> str | None:
    """A text in the body, if it is there."""
    value = body.get(name)
    if value is not None and not isinstance(value, str):
        raise Malformed(reason=f"{name} is not a text")
    return value or None


def token_value(call: Call, purpose: str, token: str) -> tuple[int, int]:
    """Version and last file of a page token or a refresh token."""
    try:
        version, after = call.services.signer.page_value(purpose, token)
        return int(version), int(after)
    except ValueError:
        raise Invalid(reason="invalid 'nextPageToken' or 'refreshToken'") from None


async def pinned_table(call: Call, share: Share, table: Table, version: int) -> Table:
    """The version that a token was made for; clients match files of the same version."""
    if table.share_version == version:
        return table
    found = await call.services.catalog.table_at(call.who, share, table, version)
    if found is None:
        raise Invalid(reason="the version of the table that this token was made for is no longer shared")
    return found


async def stream(request: Request, call: Call, wanted: Query) -> AsyncIterator[bytes]:
    """The lines of the answer: the first are sent before the files are read."""
    yield actions.head(wanted.table, delta=wanted.delta, changes=has_changes(wanted.share, wanted.table))
    expires = int(time.time()) + wanted.share.url_lifetime
    async for batch in chosen(call, wanted):
        signed = await sign_all(request, call, batch, expires)
        wanted.expires = expires * 1000
        lines = [actions.file_line(one, delta=wanted.delta, hashed=wanted.hashed) for one in signed]
        call.noted["num_files"] += len(batch)
        call.noted["size"] += sum(file.size for file in batch)
        yield b"".join(lines)
    if wanted.ends:
        signer, table = call.services.signer, wanted.table
        refresh = f"refresh {call.who} {table.table_id}"
        token = signer.page_token(refresh, [table.share_version, -1]) if wanted.refresh else None
        yield actions.end_line(next_page=wanted.next_page, refresh=token, expires=wanted.expires)


async def chosen(call: Call, wanted: Query) -> AsyncIterator[list[File]]:
    """The files that are asked for, in batches, until the limit or the page is full."""
    async for batch in call.services.catalog.files(call.who, wanted.share, wanted.table, wanted.after):
        kept: list[File] = []
        for file in batch:
            if wanted.enough:
                break
            if not wanted.wants(file):
                continue
            if wanted.most is not None and wanted.files == wanted.most:
                wanted.next_page = call.services.signer.page_token(
                    wanted.purpose, [wanted.table.share_version, wanted.after]
                )
                break
            kept.append(file)
            wanted.files += 1
            wanted.rows += file.num_rows
            wanted.after = file.file_no
        if kept:
            yield kept
        if wanted.enough or wanted.next_page:
            return
        await asyncio.sleep(0)
