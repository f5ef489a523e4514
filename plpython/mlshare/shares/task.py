"""The task "share" of the process beside the backend: asks a server, reads its files. Touches no database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from mlshare.shares.protocol import Provider

MOST_BYTES = 1 << 30


def run(request: dict[str, Any], payload: Any, progress: Callable[[str, float], None]) -> tuple[dict[str, Any], bytes]:
    """``request``: "ask" (shares, tables, version, metadata, query, rows), "endpoint", "token", "private", and what
    the method of that name takes. Rows come as bytes: JSON arrays, one a line.
    """
    provider = Provider(request["endpoint"], request["token"], request["private"])
    place = request.get("place", [])
    match request["ask"]:
        case "shares":
            return {"items": provider.shares()}, b""
        case "tables":
            return {"items": provider.tables(*place)}, b""
        case "version":
            return {"version": provider.version(*place)}, b""
        case "metadata":
            return provider.metadata(*place), b""
        case "query":
            share, schema, table = place
            return provider.query(share, schema, table, request["hints"]), b""
        case "rows":
            return _rows(provider, request)
    raise ValueError(request["ask"])


def _rows(provider: Provider, request: dict[str, Any]) -> tuple[dict[str, Any], bytes]:
    from mlshare import errors
    from mlshare.shares.rows import batches

    texts: list[bytes] = []
    size = 0
    filters = [(name, op, value) for name, op, value in request["conditions"]]
    for text in batches(provider.web, request["file"], request["columns"], filters):
        size += len(text)
        if size > MOST_BYTES:
            raise errors.ShareServerError(host=request["endpoint"], reason="a file holds more than 1 GB of rows")
        texts.append(text)
    return {"batches": len(texts)}, b"\n".join(texts)
