"""Tokens of providers at rest: sealed under the server's key, so that SQL, dumps and backups do not show them.

The standard library has no cipher, but HMAC-SHA256 is all it takes: its output over a counter is the key stream, and
a second key authenticates. What a token is for (its owner and its endpoint) is authenticated with it, so a sealed
token that somebody puts into another row, or whose endpoint somebody changes, opens no more.
"""

from __future__ import annotations

import hmac
import secrets

from mlshare import errors

_NONCE = _TAG = 32


def seal(key: bytes, token: str, purpose: tuple[str, ...]) -> bytes:
    """A token sealed for one purpose."""
    nonce, text = secrets.token_bytes(_NONCE), token.encode()
    hidden = _xor(text, _stream(key, nonce, len(text)))
    return nonce + hidden + _tag(key, nonce + hidden, purpose)


def unseal(key: bytes, sealed: bytes, purpose: tuple[str, ...]) -> str:
    """The token. ProviderCredential if it was sealed by another server or for another purpose."""
    body, tag = sealed[:-_TAG], sealed[-_TAG:]
    if len(sealed) < _NONCE + _TAG or not hmac.compare_digest(tag, _tag(key, body, purpose)):
        raise errors.ProviderCredential(name=purpose[0])
    nonce, hidden = body[:_NONCE], body[_NONCE:]
    return _xor(hidden, _stream(key, nonce, len(hidden))).decode()


def _stream(key: bytes, nonce: bytes, length: int) -> bytes:
    own = hmac.digest(key, b"mlshare token stream 1", "sha256")
    blocks = range(-(-length // 32))
    return b"".join(hmac.digest(own, nonce + block.to_bytes(8, "big"), "sha256") for block in blocks)[:length]


def _tag(key: bytes, body: bytes, purpose: tuple[str, ...]) -> bytes:
    mac = hmac.new(hmac.digest(key, b"mlshare token seal 1", "sha256"), digestmod="sha256")
    for field in (*(text.encode() for text in purpose), body):
        mac.update(len(field).to_bytes(8, "big") + field)
    return mac.digest()


def _xor(left: bytes, right: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(left, right, strict=True))
