"""What a client asked for: capabilities in the header, numbers and times in the query or the body."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from starlette.requests import Request

from mlshare_server.server.errors import Invalid, Malformed

BODY_BYTES = 2 << 20
MAX_RESULTS = 500
LARGEST = 2**63 - 1
_NAME = re.compile(r"[^\x00-\x1f\x7f/\ud800-\udfff]{1,255}")


@dataclass(frozen=True)
class Capabilities:
    """The header delta-sharing-capabilities, in lower case."""

    formats: frozenset[str]
    features: frozenset[str]
    end_stream: bool

    @classmethod
    def of(cls, header: str | None) -> Capabilities:
        """Parse; what cannot be read is as if it were not there."""
        found: dict[str, frozenset[str]] = {}
        for part in (header or "").lower().split(";"):
            key, _, values = part.partition("=")
            found[key.strip()] = frozenset(value.strip() for value in values.split(",") if value.strip())
        formats = found.get("responseformat", frozenset()) & {"parquet", "delta"}
        return cls(
            formats or frozenset({"parquet"}),
            found.get("readerfeatures", frozenset()),
            "true" in found.get("includeendstreamaction", ()),
        )


def name_of(request: Request, part: str) -> str:
    """A name in the path; one that cannot exist becomes one that does not."""
    name: str = request.path_params[part]
    return name if _NAME.fullmatch(name) else "?"


def max_results(request: Request) -> int:
    """How many items of a list the client wants at most."""
    text = request.query_params.get("maxResults")
    if text is None:
        return MAX_RESULTS
    number = int(text) if re.fullmatch(r"\d{1,9}", text, re.ASCII) else -1
    if not 0 <= number <= MAX_RESULTS:
        raise Invalid(
            reason=f"Acceptable values of 'maxResults' are 0 to {MAX_RESULTS}, inclusive. (Default: {MAX_RESULTS})"
        )
    return number


def number(name: str, value: Any, least: int = 0) -> int | None:
    """A whole number from the query or the body. Invalid if it is none or too small."""
    if value is None or value == "":
        return None
    if isinstance(value, str) and re.fullmatch(r"[+-]?\d{1,19}", value, re.ASCII):
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value > LARGEST:
        raise Invalid(reason=f"{name} is not a valid number: {value!r:.100}")
    if value < least:
        what = "negative" if least == 0 else f"less than {least}"
        raise Invalid(reason=f"{name} cannot be {what}.")
    return value


def moment(name: str, value: Any) -> datetime | None:
    """A time in ISO 8601, of UTC unless it says otherwise. Invalid if it cannot be read."""
    if value is None or value == "":
        return None
    try:
        found = datetime.fromisoformat(value)
        return (found if found.tzinfo else found.replace(tzinfo=UTC)).astimezone(UTC)
    except (TypeError, ValueError, OverflowError):
        raise Invalid(
            reason=f"Invalid {name}: {value!r:.100}. It should be ISO8601 like 2022-01-01T00:00:00Z"
        ) from None


async def body_of(request: Request) -> dict[str, Any]:
    """The JSON object of a request's body; an empty body is an empty object. Malformed if it is anything else."""
    parts, size = [], 0
    async for part in request.stream():
        size += len(part)
        if size > BODY_BYTES:
            raise Malformed(reason=f"the body has more than {BODY_BYTES} bytes")
        parts.append(part)
    try:
        body = json.loads(b"".join(parts) or b"{}")
    except (ValueError, RecursionError):
        raise Malformed(reason="the body is not JSON") from None
    if not isinstance(body, dict):
        raise Malformed(reason="the body is not a JSON object")
    return body
