"""Lists of shares, schemas and tables, page by page."""

from __future__ import annotations

import json
from typing import Any

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from mlshare_server.server.asked import max_results, name_of
from mlshare_server.server.catalog import Share
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import Invalid, SchemaNotFound

JSON = "application/json; charset=utf-8"


def answer(value: dict[str, Any]) -> Response:
    """A JSON answer."""
    return JSONResponse(value, media_type=JSON)


async def page(request: Request, call: Call, statement: str, **values: Any) -> tuple[list[dict[str, Any]], str | None]:
    """The rows of a page and the token of the next one, if there is one."""
    count, after = max_results(request), ""
    purpose = json.dumps([statement, *map(str, values.values()), str(call.who)])
    if token := request.query_params.get("pageToken"):
        try:
            after = call.services.signer.page_value(purpose, token)
        except ValueError:
            raise Invalid(reason="invalid 'nextPageToken'") from None
    rows = await call.services.catalog.rows(statement, recipient=call.who, after=after, count=count + 1, **values)
    if len(rows) <= count:
        return rows, None
    last = rows[count - 1]["key"] if count else after
    return rows[:count], call.services.signer.page_token(purpose, last)


def listed(items: list[dict[str, Any]], token: str | None) -> Response:
    """The answer of a list."""
    return answer({"items": items, **({"nextPageToken": token} if token else {})})


async def share_of(request: Request, call: Call) -> Share:
    """The share that the path names."""
    call.noted["share_name"] = name_of(request, "share")
    return await call.services.catalog.share(call.who, call.noted["share_name"])


def shown(name: str, share_id: Any, comment: str | None) -> dict[str, Any]:
    """A share as clients see it."""
    return {"name": name, "id": str(share_id), **({"comment": comment} if comment else {})}


async def shares(request: Request, call: Call) -> Response:
    """GET /shares"""
    rows, token = await page(request, call, "shares")
    return listed([shown(row["share_name"], row["share_id"], row["comment"]) for row in rows], token)


async def share(request: Request, call: Call) -> Response:
    """GET /shares/{share}"""
    found = await share_of(request, call)
    return answer({"share": shown(found.share_name, found.share_id, found.comment)})


async def schemas(request: Request, call: Call) -> Response:
    """GET /shares/{share}/schemas"""
    found = await share_of(request, call)
    rows, token = await page(request, call, "schemas", share_id=found.share_id)
    return listed([{"name": row["schema_name"], "share": found.share_name} for row in rows], token)


async def tables(request: Request, call: Call) -> Response:
    """GET /shares/{share}/schemas/{schema}/tables"""
    found, schema = await share_of(request, call), name_of(request, "schema")
    call.noted["schema_name"] = schema
    if not await call.services.catalog.value("has_schema", recipient=call.who, share_id=found.share_id, schema=schema):
        raise SchemaNotFound(schema=schema)
    return await _tables(request, call, found, schema)


async def all_tables(request: Request, call: Call) -> Response:
    """GET /shares/{share}/all-tables"""
    return await _tables(request, call, await share_of(request, call), None)


async def _tables(request: Request, call: Call, found: Share, schema: str | None) -> Response:
    rows, token = await page(request, call, "tables", share_id=found.share_id, schema=schema and schema.lower())
    common = {"share": found.share_name, "shareId": str(found.share_id)}
    items = [
        {"name": row["table_name"], "schema": row["schema_name"], **common, "id": str(row["table_id"])} for row in rows
    ]
    return listed(items, token)
