"""Where published files lie: a directory or an S3 bucket behind one small interface."""

from __future__ import annotations

from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from typing import Any, BinaryIO, Protocol


@dataclass(frozen=True)
class Access:
    """A storage link with what it takes to use it, as mlshare_share.storage_access gives it."""

    uri: str
    username: str | None = None
    password: str | None = field(default=None, repr=False)
    metadata: dict[str, Any] = field(default_factory=dict)


class Storage(Protocol):
    """Files below one storage link; every path is relative to the link's uri."""

    def create(self, path: str) -> AbstractContextManager[BinaryIO]:
        """A new file: there under its name only after the block ended without an error."""

    def open(self, path: str) -> BinaryIO:
        """A file to read, seekable."""

    def read(self, path: str) -> bytes:
        """All bytes of a file."""

    def size(self, path: str) -> int:
        """Bytes of a file; FileNotFoundError where there is none."""

    def delete(self, path: str) -> None:
        """Remove a file; one that is not there is no error."""

    def sign(self, path: str, seconds: int) -> str | None:
        """A URL that gives the file to whoever has it, for so long; None where the server must give it itself."""


def open_storage(access: Access, *, private_endpoints: bool = False) -> Storage:
    """The storage that a link names."""
    if access.uri.startswith("file:///"):
        from mlshare_server.storage.local import LocalStorage

        return LocalStorage(access)
    from mlshare_server.storage.s3 import S3Storage

    return S3Storage(access, private_endpoints=private_endpoints)
