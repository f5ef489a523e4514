"""HTTP as the checker needs it: plain requests, nothing retried, nothing interpreted."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from functools import cached_property
from http.client import HTTPConnection, HTTPException, HTTPMessage, HTTPSConnection
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

SECONDS = 60


class Unreachable(Exception):
    """The server did not answer."""


@dataclass(frozen=True)
class Answer:
    """An answer of the server."""

    status: int
    headers: HTTPMessage
    content: bytes

    @cached_property
    def json(self) -> Any:
        """The body as JSON; ValueError if it is none."""
        return json.loads(self.content)

    @cached_property
    def lines(self) -> list[Any]:
        """The body as ndjson."""
        return [json.loads(line) for line in self.content.decode().split("\n") if line.strip()]


def send(url: str, method: str = "GET", body: bytes | None = None, headers: dict[str, str] | None = None) -> Answer:
    """One request. Unreachable if there is no answer."""
    parts = urlsplit(url)
    host, port = parts.hostname or "", parts.port
    connection = (
        HTTPSConnection(host, port, timeout=SECONDS, context=ssl.create_default_context())
        if parts.scheme == "https"
        else HTTPConnection(host, port, timeout=SECONDS)
    )
    try:
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        connection.request(method, path, body, headers or {})
        answer = connection.getresponse()
        return Answer(answer.status, answer.headers, answer.read())
    except (OSError, HTTPException) as error:
        raise Unreachable(
            f"{method} {parts.scheme}://{parts.netloc}{parts.path}: {error or type(error).__name__}"
        ) from error
    finally:
        connection.close()


@dataclass(frozen=True)
class Client:
    """Requests to one endpoint with one token."""

    endpoint: str
    token: str | None

    def __call__(
        self, *names: str, method: str = "GET", body: Any = None, headers: dict[str, str] | None = None, **query: Any
    ) -> Answer:
        """names: parts of the path below the endpoint; body: sent as JSON, bytes as they are."""
        path = "/".join(quote(name, safe="") for name in names)
        url = f"{self.endpoint}/{path}" + (f"?{urlencode(query)}" if query else "")
        named = {"Authorization": f"Bearer {self.token}"} if self.token is not None else {}
        data = body if body is None or isinstance(body, bytes) else json.dumps(body).encode()
        if data is not None:
            named["Content-Type"] = "application/json; charset=utf-8"
        return send(url, method, data, {**named, **(headers or {})})

    def table(self, table: dict[str, str], *names: str, **options: Any) -> Answer:
        """A request below a table, as a listing gave it."""
        path = ("shares", table["share"], "schemas", table["schema"], "tables", table["name"])
        return self(*path, *names, **options)
