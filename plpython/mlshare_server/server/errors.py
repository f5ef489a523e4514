"""What the protocol answers when it cannot answer: a status, a code, and the docstring as the message."""

from __future__ import annotations

from typing import Any

from starlette.responses import JSONResponse


class ProtocolError(Exception):
    """the server failed; its log says why"""

    status, code = 500, "INTERNAL_ERROR"
    headers: dict[str, str] = {}  # noqa: RUF012

    def __init__(self, **fields: Any) -> None:
        super().__init__((type(self).__doc__ or "").format(**fields))

    def response(self) -> JSONResponse:
        """The answer with the body that clients look for."""
        body = {"errorCode": self.code, "message": str(self)}
        return JSONResponse(body, self.status, headers=self.headers, media_type="application/json; charset=utf-8")


class Unauthenticated(ProtocolError):
    """the bearer token is missing, unknown, expired or revoked, or may not be used from this address"""

    status, code = 401, "UNAUTHENTICATED"
    headers = {"WWW-Authenticate": "Bearer"}  # noqa: RUF012


class Unavailable(ProtocolError):
    """the server is busy or its database cannot be reached; try again"""

    status, code = 503, "SERVICE_UNAVAILABLE"
    headers = {"Retry-After": "1"}  # noqa: RUF012


class NotFound(ProtocolError):
    """{what}"""

    status, code = 404, "RESOURCE_DOES_NOT_EXIST"


class ShareNotFound(NotFound):
    """share '{share}' not found"""


class SchemaNotFound(NotFound):
    """schema '{schema}' not found"""


class TableNotFound(NotFound):
    """[Share/Schema/Table] '{share}/{schema}/{table}' does not exist, please contact your share provider for further \
information."""


class NotAllowed(ProtocolError):
    """{method} is not a method of this resource"""

    status, code = 405, "UNSUPPORTED_OPERATION"


class Malformed(ProtocolError):
    """{reason}"""

    status, code = 400, "MALFORMED_REQUEST"


class Invalid(ProtocolError):
    """{reason}"""

    status, code = 400, "INVALID_PARAMETER_VALUE"


class NoHistory(Invalid):
    """Reading table by version or timestamp is not supported because history sharing is not enabled on table: \
{share}.{schema}.{table}"""


class NoChanges(Invalid):
    """cdf is not enabled on table {share}.{schema}.{table}"""


class TooOld(Invalid):
    """You can only query table data since version {version}."""


class BadFileUrl(ProtocolError):
    """the URL of this file is not valid, or no longer"""

    status, code = 403, "PERMISSION_DENIED"
