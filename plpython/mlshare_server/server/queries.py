"""Queries of a table: the files of one version, or those that came and went since one."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any
from uuid import UUID

from starlette.requests import Request
from starlette.responses import Response

from mlshare_server.server import actions, changes, tables, travel
from mlshare_server.server.asked import Capabilities, body_of, number
from mlshare_server.server.catalog import Share, Table, Version
from mlshare_server.server.changes import Form
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import Invalid, NotFound


async def query(request: Request, call: Call) -> Response:
    """POST …/query"""
    share, table = await travel.table_of(request, call)
    body = await body_of(request)
    travel.only_one(body, "version", "timestamp", "startingVersion")
    first = number("startingVersion", body.get("startingVersion"))
    if first is None:
        return await tables.snapshot(request, call, share, table, body)
    return await since(request, call, share, table, first, body)


async def since(request: Request, call: Call, share: Share, table: Table, first: int, body: dict[str, Any]) -> Response:
    """The files that came and went in the versions from the first on: how a stream reads what is new."""
    travel.check_history(share, table)
    if any(tables.text_of(body, name) for name in ("pageToken", "refreshToken")) or body.get("includeRefreshToken"):
        raise Invalid(reason="pageToken, refreshToken and includeRefreshToken must not be set with startingVersion")
    versions = await call.services.catalog.versions(call.who, share, table)
    span = {"startingVersion": first, "endingVersion": body.get("endingVersion")}
    first, last = changes.span(span, versions)
    begin = await travel.by_number(call, share, table, versions, first)
    form = Form.of(request, share, begin)
    call.noted |= {"share_version": first, "num_files": 0, "size": 0}
    # All files are one page, whatever maxFiles says; who gives it waits for the end of the page all the same.
    paged = number("maxFiles", body.get("maxFiles"), least=1) is not None
    ends = paged or Capabilities.of(request.headers.get("delta-sharing-capabilities")).end_stream
    told = lines(request, call, share, begin, changes.between(versions, first, last), form, ends)
    return await changes.answer(request, first, form, told)


async def lines(
    request: Request, call: Call, share: Share, begin: Table, versions: list[Version], form: Form, ends: bool
) -> AsyncIterator[bytes]:
    """The lines of the answer: the table as it was at the beginning, then of each version what came and went."""
    told = tables.has_changes(share, begin)
    yield actions.head(begin, delta=form.delta, changes=told)
    before: dict[Any, Any] = {}
    table = begin
    for version in versions:
        at = replace(table, share_version=version.share_version)
        here = await changes.files_of(call, share, at, version)
        if version.share_version > begin.share_version:
            at = await travel.by_number(call, share, table, versions, version.share_version)
            if at.table_schema != table.table_schema:
                yield actions.line({"metaData": actions.metadata(at, form.delta, told)})
            table = at
        if version.share_version >= begin.share_version:
            gone = [file for name, file in before.items() if name not in here]
            come = [file for name, file in here.items() if name not in before]
            call.noted["num_files"] += len(gone) + len(come)
            async for line in changes.whole_files(request, call, version, gone, come, form):
                yield line
        before = here
    if ends:
        yield actions.end_line(next_page=None, refresh=None, expires=form.expires * 1000)


async def query_status(request: Request, call: Call) -> Response:
    """POST …/queries/{id}: queries are answered at once, so there is never one to ask about"""
    await travel.table_of(request, call)
    name = request.path_params["query"]
    try:
        name = str(UUID(name))
    except ValueError:
        name = "?"
    raise NotFound(what=f"query '{name}' does not exist: queries are answered at once")
