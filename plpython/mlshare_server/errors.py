"""Every error of mlshare_server: one class each, the docstring is the message."""

from __future__ import annotations

from typing import Any


class ServerError(Exception):
    """mlshare-server failed"""

    sqlstate = "ML600"

    def __init__(self, *, detail: str | None = None, hint: str | None = None, **fields: Any) -> None:
        self.message = (type(self).__doc__ or "").split("\n\n")[0].strip().format(**fields)
        super().__init__(self.message)
        self.detail, self.hint, self.fields = detail, hint, fields

    def __str__(self) -> str:
        return "\n".join(line for line in (self.message, self.detail, self.hint) if line)


class NoDatabase(ServerError):
    """no connection string was given"""

    sqlstate = "ML600"


class StorageError(ServerError):
    """storage {uri} cannot be used: {reason}"""

    sqlstate = "ML620"


class StorageRefused(StorageError):
    """storage {uri} is refused: {reason}"""

    sqlstate = "ML621"


class UnsupportedType(ServerError):
    """column "{column}" of "{table}" has type {type}, which cannot be shared"""

    sqlstate = "ML630"


class UnsharableRelation(ServerError):
    """ "{table}" cannot be shared: {reason}"""

    sqlstate = "ML631"


class SeveralDimensions(ServerError):
    """an array in "{table}" has several dimensions, which clients do not have: column {columns}"""

    sqlstate = "ML633"


class PublishFailed(ServerError):
    """the share could not be published: {reason}"""

    sqlstate = "ML632"


class JobCancelled(ServerError):
    """the job was cancelled"""

    sqlstate = "57014"


class UnreadableProfile(ServerError):
    """{path} is not a profile of a data share"""

    sqlstate = "ML650"
