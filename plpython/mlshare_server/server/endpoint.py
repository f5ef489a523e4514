"""What every endpoint does around its own work: tell who asks, turn errors into answers, count, log and record."""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID
from weakref import WeakValueDictionary

import psycopg
from psycopg.types.json import Jsonb
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.types import Message, Receive, Scope, Send

from mlshare_server.server.catalog import Catalog, Recipient
from mlshare_server.server.errors import NotAllowed, NotFound, ProtocolError, Unauthenticated
from mlshare_server.server.metrics import Metrics
from mlshare_server.server.tokens import Signer, hash_of

log = logging.getLogger("mlshare_server")
_RESERVED = set(logging.makeLogRecord({}).__dict__) | {"message"}


@dataclass
class Services:
    """What the endpoints of one server share."""

    catalog: Catalog
    signer: Signer
    metrics: Metrics
    public_url: str | None
    directory: Path
    _locks: WeakValueDictionary[str, asyncio.Lock] = field(default_factory=WeakValueDictionary)

    def lock(self, name: str) -> asyncio.Lock:
        """A lock for work that one request does for all that want the same."""
        return self._locks.setdefault(name, asyncio.Lock())


@dataclass
class Call:
    """One request: who asks, and what the audit will say about it."""

    services: Services
    endpoint: str
    address: str | None
    recipient: Recipient | None = None
    recipient_id: UUID | None = None
    # Not worth a row unless it fails: clients read a file in many ranges.
    minor: bool = False
    # By the names of mlshare_share.record_request: share_name, schema_name, table_name, share_version, num_files, size.
    noted: dict[str, Any] = field(default_factory=dict)

    @property
    def who(self) -> UUID:
        """The recipient, once known."""
        assert self.recipient_id is not None
        return self.recipient_id


Handler = Callable[[Request, Call], Awaitable[Response]]


class Endpoint:
    """An ASGI application around one handler; with_token: only recipients with a bearer token get there."""

    def __init__(self, name: str, handler: Handler, *, with_token: bool = True) -> None:
        self.name, self.handler, self.with_token = name, handler, with_token

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request = Request(scope, receive)
        services: Services = scope["app"].state.services
        call, started = Call(services, self.name, address_of(request)), time.perf_counter()
        with services.metrics.active.track_inprogress():
            response = await self._answer(request, call)
            sent = _Sent(send)
            try:
                await response(scope, receive, sent)
            except ClientDisconnect:
                pass
            finally:
                # Also where the client went away: what it was told is kept.
                await self._note(request, call, response.status_code, time.perf_counter() - started, sent.size)

    async def _answer(self, request: Request, call: Call) -> Response:
        try:
            if self.with_token:
                call.recipient = await authenticated(request, call)
                call.recipient_id = call.recipient.recipient_id
            return await self.handler(request, call)
        except ProtocolError as error:
            return error.response()
        except Exception:
            log.exception("request failed", extra={"endpoint": self.name})
            return ProtocolError().response()

    async def _note(self, request: Request, call: Call, status: int, seconds: float, sent: int) -> None:
        call.services.metrics.count(self.name, status, seconds, sent)
        values = {"endpoint": self.name, "status": status, "seconds": round(seconds, 6), "address": call.address}
        name = call.recipient.recipient_name if call.recipient else call.recipient_id
        log.info("request", extra={**values, "recipient": name and str(name), "bytes": sent, **call.noted})
        if call.recipient_id is None or (call.minor and status < 400):
            return
        agent = clean(request.headers.get("user-agent", ""))[:500]
        record = {**dict.fromkeys(("share_name", "schema_name", "table_name", "share_version", "num_files", "size"))}
        record |= {"recipient_id": call.recipient_id, "token_id": call.recipient and call.recipient.token_id}
        try:
            details = Jsonb(call.noted.get("details", {}))
            record |= {**values, "user_agent": agent, **call.noted, "details": details}
            await call.services.catalog.rows("record_request", **record)
        except (ProtocolError, psycopg.Error):
            log.exception("request not recorded", extra={"endpoint": self.name})


class _Sent:
    """Counts the bytes of an answer on their way."""

    def __init__(self, send: Send) -> None:
        self._send, self.size = send, 0

    async def __call__(self, message: Message) -> None:
        self.size += len(message.get("body", b""))
        await self._send(message)


def clean(text: str) -> str:
    """Text that the database can keep."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()


def address_of(request: Request) -> str | None:
    """The client's address; None where there is none, as on a Unix socket."""
    try:
        return str(ip_address(request.client.host)) if request.client else None
    except ValueError:
        return None


async def authenticated(request: Request, call: Call) -> Recipient:
    """Who the bearer token belongs to. Unauthenticated if it is good for nobody."""
    scheme, _, token = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not 0 < len(token.strip()) <= 1000:
        raise Unauthenticated
    found = await call.services.catalog.authenticate(hash_of(token.strip()), call.address)
    if found is None:
        raise Unauthenticated
    return found


async def no_such_place(request: Request, error: Exception) -> Response:
    """Paths and methods that are not in the protocol."""
    if isinstance(error, HTTPException) and error.status_code == 405:
        response: Response = NotAllowed(method=request.method).response()
        response.headers.update(error.headers or {})
        return response
    return NotFound(what="there is nothing at this path").response()


class JsonLines(logging.Formatter):
    """A log line as a JSON object: time, level, event and what the caller added."""

    def format(self, record: logging.LogRecord) -> str:
        line = {"time": datetime.now(UTC).isoformat(timespec="milliseconds"), "level": record.levelname}
        line |= {"logger": record.name, "event": record.getMessage()}
        line |= {name: value for name, value in record.__dict__.items() if name not in _RESERVED}
        if record.exc_info:
            line["error"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)
