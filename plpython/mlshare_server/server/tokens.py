"""What the server signs: URLs of local files and page tokens, each with its own key; and hashes of what it is given."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import secrets
import time
from typing import Any
from urllib.parse import urlencode

PAGE_SECONDS = 3 * 24 * 3600


def new_token() -> str:
    """A bearer token: 256 random bits."""
    return secrets.token_urlsafe(32)


def hash_of(token: str) -> bytes:
    """What the database keeps of a token or an activation key."""
    return hashlib.sha256(token.encode("utf-8", "replace")).digest()


class Signer:
    """Signs with keys derived from the installation's secret, so that servers side by side accept each other's."""

    def __init__(self, secret: bytes) -> None:
        self._file_key, self._page_key = (hmac.digest(secret, use, "sha256") for use in (b"file url", b"page token"))

    def file_query(self, file_id: str, recipient: str, expires: int) -> str:
        """The query of a file's URL. Readers built on delta-kernel take it for HTTP because of "sp"."""
        values = {"sp": "r", "r": recipient, "exp": str(expires)}
        return urlencode({**values, "sig": self._file_signature(file_id, **values)})

    def file_allowed(self, file_id: str, values: dict[str, str]) -> bool:
        """Whether a URL's query was signed for that file, and has not expired."""
        parts = {name: values.get(name, "") for name in ("sp", "r", "exp")}
        expected = self._file_signature(file_id, **parts)
        # The signature first: an expiry that nobody signed says nothing.
        signed = hmac.compare_digest(expected.encode(), values.get("sig", "").encode("utf-8", "replace"))
        return signed and int(parts["exp"]) > time.time()

    def _file_signature(self, file_id: str, **parts: str) -> str:
        text = "\n".join([file_id, parts["sp"], parts["r"], parts["exp"]])
        return _base64(hmac.digest(self._file_key, text.encode("utf-8", "replace"), "sha256"))

    def page_token(self, purpose: str, value: Any) -> str:
        """A token that gives the value back for the same purpose, for three days."""
        body = json.dumps([value, int(time.time()) + PAGE_SECONDS]).encode()
        return _base64(self._page_mac(purpose, body) + body)

    def page_value(self, purpose: str, token: str) -> Any:
        """What a page token holds; ValueError unless it was made for that purpose and is not too old."""
        try:
            both = base64.urlsafe_b64decode(token.encode() + b"=" * (-len(token) % 4))
        except UnicodeEncodeError:
            raise ValueError("not a token") from None
        if not hmac.compare_digest(self._page_mac(purpose, both[32:]), both[:32]):
            raise ValueError("signature")
        value, expires = json.loads(both[32:])
        if expires < time.time():
            raise ValueError("expired")
        return value

    def _page_mac(self, purpose: str, body: bytes) -> bytes:
        return hmac.digest(self._page_key, purpose.encode("utf-8", "replace") + b"\0" + body, "sha256")


def _base64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()
