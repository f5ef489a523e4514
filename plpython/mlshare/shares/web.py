"""HTTP that goes only where the settings allow: addresses are checked after they are looked up, and then used."""

from __future__ import annotations

import ipaddress
import socket
import ssl
import time
from collections.abc import Mapping
from http.client import HTTPConnection, HTTPException, HTTPMessage
from typing import NamedTuple
from urllib.parse import urlsplit

from mlshare import errors

SECONDS = 60
TRIES = 4
# Networks that lead to addresses inside another one.
_TUNNELS = tuple(map(ipaddress.ip_network, ("64:ff9b::/96", "64:ff9b:1::/48", "2002::/16", "2001::/32")))


class Answer(NamedTuple):
    """An answer: its status, headers and body."""

    status: int
    headers: HTTPMessage
    body: bytes


def is_public(text: str) -> bool:
    """Whether an address is one of the internet, not of this machine or its networks."""
    address = ipaddress.ip_address(text.partition("%")[0])
    if isinstance(address, ipaddress.IPv6Address):
        if address.ipv4_mapped:
            return is_public(str(address.ipv4_mapped))
        if any(address in network for network in _TUNNELS):
            return False
    return address.is_global and not address.is_multicast


class _Connection(HTTPConnection):
    """A connection to an address that was found to be allowed: a name cannot lead elsewhere in between."""

    def __init__(self, host: str, port: int, tls: bool, private: bool) -> None:
        super().__init__(host, port, timeout=SECONDS)
        self._tls, self._private = tls, private

    def connect(self) -> None:
        found = socket.getaddrinfo(self.host, self.port, type=socket.SOCK_STREAM)
        allowed = [place[4] for place in found if self._private or is_public(str(place[4][0]))]
        if not allowed:
            raise errors.EndpointRefused(host=self.host, reason="it is in a private network, or this machine")
        self.sock = socket.create_connection((str(allowed[0][0]), int(allowed[0][1])), self.timeout)
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        if self._tls:
            self.sock = ssl.create_default_context().wrap_socket(self.sock, server_hostname=self.host)


class Web:
    """Requests with kept connections. ``private``: also to private networks, and without TLS."""

    def __init__(self, private: bool) -> None:
        self.private = private
        self._kept: dict[tuple[str, str, int], _Connection] = {}

    def request(
        self, url: str, *, method: str = "GET", body: bytes | None = None, headers: Mapping[str, str] | None = None,
        most: int = 1 << 30,
    ) -> Answer:  # fmt: skip
        """The answer to one request, tried again when the server is busy; redirects are not followed.

        EndpointRefused where the settings do not allow the place, ShareServerError without an answer
        or with one of more than ``most`` bytes.
        """
        for attempt in range(TRIES):
            answer = self._request(url, method, body, dict(headers or {}), most)
            if answer.status != 429 and answer.status < 500:
                return answer
            if attempt < TRIES - 1:
                time.sleep(0.2 * 2**attempt)
        return answer

    def _request(self, url: str, method: str, body: bytes | None, headers: dict[str, str], most: int) -> Answer:
        place = allowed_place(url, self.private)
        parts = urlsplit(url)
        path = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        for fresh in (False, True):
            connection = self._connection(place, fresh)
            try:
                connection.request(method, path, body, headers)
                answer = connection.getresponse()
                data = answer.read(most + 1)
                if len(data) > most:
                    raise errors.ShareServerError(host=place[1], reason=f"its answer has more than {most} bytes")
                return Answer(answer.status, answer.headers, data)
            except (OSError, HTTPException) as error:
                # A kept connection may have been closed meanwhile; a new one has no excuse.
                if fresh or isinstance(error, TimeoutError):
                    raise errors.ShareServerError(host=place[1], reason=str(error) or type(error).__name__) from error
        raise AssertionError

    def _connection(self, place: tuple[str, str, int], fresh: bool) -> _Connection:
        if fresh or place not in self._kept:
            if place in self._kept:
                self._kept[place].close()
            scheme, host, port = place
            self._kept[place] = _Connection(host, port, scheme == "https", self.private)
        return self._kept[place]


def allowed_place(url: str, private: bool) -> tuple[str, str, int]:
    """Scheme, host and port of a URL. EndpointRefused if it is none, or without TLS where that is asked for."""
    try:
        parts = urlsplit(url)
        host, port = parts.hostname, parts.port
    except ValueError:
        host, port = None, None
        parts = urlsplit("")
    if parts.scheme not in ("http", "https") or not host or parts.username or any(c <= " " or c == "\x7f" for c in url):
        raise errors.EndpointRefused(host=str(host or url)[:100], reason="it is not a plain address with http or https")
    if parts.scheme == "http" and not private:
        raise errors.EndpointRefused(host=host, reason="it is without TLS, and a token would travel in the clear")
    return parts.scheme, host, port or {"http": 80, "https": 443}[parts.scheme]
