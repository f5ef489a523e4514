"""Signatures of stored model objects, under a key that only the server process can read."""

from __future__ import annotations

import contextlib
import hashlib
import hmac
import os
import secrets
import stat
from dataclasses import dataclass
from typing import Literal

from mlshare import errors

KEY_BYTES = 32
KEY_ID_BYTES = 8
SIGNATURE_BYTES = KEY_ID_BYTES + hashlib.sha256().digest_size
_PURPOSE = b"mlshare object signature 1"


@dataclass(frozen=True)
class Identity:
    """Where an object is stored: its catalog schema, model and partition."""

    schema: str
    handle: str
    partition_id: int


def create_key(path: str) -> None:
    """Make the key file with mode 0600; an existing one is left alone."""
    temporary = f"{path}.{os.getpid()}.new"
    with contextlib.suppress(FileNotFoundError):
        os.unlink(temporary)
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(KEY_BYTES))
            file.flush()
            os.fsync(file.fileno())
        # A link appears whole or not at all: of two processes one wins and both then use its key.
        with contextlib.suppress(FileExistsError):
            os.link(temporary, path)
    finally:
        os.unlink(temporary)


def load_key(path: str) -> bytes:
    """The key. InstallationError if the file is missing, of a wrong size, or readable by others."""
    try:
        # Not blocking: a named pipe in the key's place must not hang the server.
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except OSError as error:
        raise errors.InstallationError(
            reason="the key that signs models cannot be read",
            detail=f"{path}: {error.strerror}",
            hint="It is made at installation; with another key, stored models have to be imported again.",
        ) from error
    try:
        _check_private(path, os.fstat(descriptor))
        key = os.read(descriptor, KEY_BYTES + 1)
    finally:
        os.close(descriptor)
    if len(key) != KEY_BYTES:
        raise errors.InstallationError(
            reason="the key that signs models is damaged",
            detail=f"{path} does not hold {KEY_BYTES} bytes",
            hint="Restore it from a backup of the data directory.",
        )
    return key


def sign(key: bytes, identity: Identity, chunk_id: int, n_chunks: int, object_sha256: bytes, chunk: bytes) -> bytes:
    """The signature of one chunk: 8 bytes that name the key, then 32 bytes HMAC-SHA256.

    It covers the place of the chunk and the digest of the whole object (all chunks in order), so
    neither a chunk nor an object can be moved, dropped or exchanged.
    """
    mac = hmac.new(key, digestmod=hashlib.sha256)
    place = (identity.schema, identity.handle, str(identity.partition_id), str(chunk_id), str(n_chunks))
    for field in (_PURPOSE, *(text.encode() for text in place), object_sha256, chunk):
        mac.update(len(field).to_bytes(8, "big"))
        mac.update(field)
    return key_id(key) + mac.digest()


def verify(
    key: bytes,
    signature: bytes | None,
    identity: Identity,
    chunk_id: int,
    n_chunks: int,
    object_sha256: bytes,
    chunk: bytes,
) -> Literal["ours", "foreign"]:
    """Whether a chunk was stored here, unchanged.

    "foreign" means signed by another key or not at all: it has to pass the audit before use.
    TamperedModel if it carries our key's name and anything differs from what was signed.
    """
    if not signature or signature[:KEY_ID_BYTES] != key_id(key):
        return "foreign"
    expected = sign(key, identity, chunk_id, n_chunks, object_sha256, chunk)
    if not hmac.compare_digest(signature, expected):
        raise errors.TamperedModel(reason=f"the signature of chunk {chunk_id} does not match")
    return "ours"


def key_id(key: bytes) -> bytes:
    """Eight bytes that name a key and tell nothing about it."""
    return hashlib.sha256(b"mlshare key id" + key).digest()[:KEY_ID_BYTES]


def _check_private(path: str, status: os.stat_result) -> None:
    if not stat.S_ISREG(status.st_mode):
        problem, hint = "is not a regular file", "Restore it from a backup of the data directory."
    elif status.st_mode & 0o077:
        problem, hint = "can be read by others", f"chmod 600 {path}; if others had access, replace it."
    elif status.st_uid != os.geteuid():
        problem, hint = "belongs to another user", f"chown it to the user that runs the server: {path}"
    else:
        return
    reason = "the key that signs models is not private"
    raise errors.InstallationError(reason=reason, detail=f"{path} {problem}", hint=hint)
