"""URLs of files: of their storage where it signs its own, else of this server; and what this server answers there."""

from __future__ import annotations

import re
import time
from collections.abc import AsyncIterator, Callable
from typing import BinaryIO
from uuid import UUID

from anyio import to_thread
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response, StreamingResponse

from mlshare_server.errors import ServerError
from mlshare_server.server.actions import Signed
from mlshare_server.server.catalog import File
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import BadFileUrl, NotFound, Unavailable
from mlshare_server.storage import Storage

CHUNK = 1 << 20
PARQUET = "application/vnd.apache.parquet"
_RANGE = re.compile(r"bytes=(\d{0,18})-(\d{0,18})", re.ASCII)
_NAME = re.compile(r"([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})\.parquet")


def base_url(request: Request, call: Call) -> str:
    """The protocol's address as clients see it, without a slash at its end."""
    if call.services.public_url:
        return call.services.public_url + "/delta-sharing"
    return str(request.base_url).rstrip("/").removesuffix("/delta-sharing") + "/delta-sharing"


async def sign_all(request: Request, call: Call, files: list[File], expires: int) -> list[Signed]:
    """The files with URLs that are good until then, in seconds since 1970."""
    storages = {link: await storage_of(call, link) for link in {file.storage_link_id for file in files}}
    seconds, base, who = max(expires - int(time.time()), 1), base_url(request, call), str(call.who)
    signer = call.services.signer

    def sign(file: File) -> Signed:
        url = storages[file.storage_link_id].sign(file.path, seconds)
        name = str(file.file_id)
        url = url or f"{base}/files/{name}.parquet?{signer.file_query(name, who, expires)}"
        return Signed(file, url, expires * 1000)

    # Signing for S3 takes long enough that others would notice.
    return await to_thread.run_sync(lambda: [sign(file) for file in files])


def signed_query(call: Call, name: str, expires: int) -> str:
    """The query of the URL of something that this server gives itself."""
    return call.services.signer.file_query(name, str(call.who), expires)


async def storage_of(call: Call, link: UUID) -> Storage:
    """The storage of a link. Unavailable where the settings do not allow it or it cannot be opened."""
    try:
        found = await call.services.catalog.storage(link)
    except ServerError as error:
        raise Unavailable from error
    if found is None:
        raise Unavailable
    return found


async def file(request: Request, call: Call) -> Response:
    """GET or HEAD of a signed URL, whole or one range"""
    values = dict(request.query_params)
    named = _NAME.fullmatch(request.path_params["file"])
    if not named or not call.services.signer.file_allowed(named[1], values):
        raise BadFileUrl
    call.recipient_id = UUID(values["r"])
    catalog = call.services.catalog
    rows = await catalog.rows("signed_file", file_id=named[1], recipient=call.recipient_id, address=call.address)
    if not rows:
        raise BadFileUrl
    row = rows[0]
    call.minor = row["log_level"] < 2
    storage = await storage_of(call, row["storage_link_id"])
    call.noted |= {"num_files": 1, "details": {"file": named[1]}}
    if url := storage.sign(row["path"], 300):
        return RedirectResponse(url)
    return await byte_answer(request, call, lambda: storage.open(row["path"]), row["size"], named[1])


async def byte_answer(request: Request, call: Call, opened: Callable[[], BinaryIO], size: int, name: str) -> Response:
    """The bytes of a file that are asked for: all, or one range."""
    first, last = 0, size - 1
    headers = {"Accept-Ranges": "bytes", "ETag": f'"{name}"', "Cache-Control": "private, max-age=3600, immutable"}
    status = 200
    condition = request.headers.get("if-range", headers["ETag"])
    if (wanted := byte_range(request.headers.get("range"), size)) and condition == headers["ETag"]:
        first, last = wanted
        if first > last:
            return Response(status_code=416, headers={**headers, "Content-Range": f"bytes */{size}"})
        status, headers["Content-Range"] = 206, f"bytes {first}-{last}/{size}"
    length = last - first + 1
    headers["Content-Length"] = str(length)

    def begin() -> tuple[BinaryIO, bytes]:
        source = opened()
        source.seek(first)
        return source, source.read(min(CHUNK, length)) if request.method != "HEAD" else b""

    try:
        # In one go: most ranges that clients ask for are small.
        source, part = await to_thread.run_sync(begin)
    except (FileNotFoundError, ServerError) as error:
        raise NotFound(what="the file is no longer there") from error
    call.noted["size"] = length
    if request.method == "HEAD":
        source.close()
        return Response(status_code=status, headers=headers, media_type=PARQUET)
    return StreamingResponse(chunks(source, part, length), status, headers, PARQUET)


def byte_range(header: str | None, size: int) -> tuple[int, int] | None:
    """First and last byte of a Range header with one range; first > last where it cannot be met; None: all."""
    found = _RANGE.fullmatch((header or "").replace(" ", ""))
    if not found or not (found[1] or found[2]):
        return None
    if not found[1]:
        length = min(int(found[2]), size)
        return (size - length, size - 1) if length else (1, 0)
    first, last = int(found[1]), min(int(found[2] or size - 1), size - 1)
    if found[2] and int(found[2]) < first:
        return None
    return (first, last) if first < size else (1, 0)


async def chunks(source: BinaryIO, part: bytes, left: int) -> AsyncIterator[bytes]:
    """What was read of a file, then the rest of so many bytes; ends early where the client goes away."""
    with source:
        while part:
            yield part
            left -= len(part)
            part = await to_thread.run_sync(source.read, min(CHUNK, left)) if left else b""
