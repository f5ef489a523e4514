"""Rows as JSON."""

from __future__ import annotations

import json
from typing import Any

import orjson


def parse(text: str) -> dict[str, Any] | None:
    """The object that a text holds; None if it holds none. Integers of more than 64 bits become floats."""
    try:
        found = orjson.loads(text)
    except orjson.JSONDecodeError:
        found = _leniently(text)
    return found if isinstance(found, dict) else None


def _leniently(text: str) -> Any:
    """What PostgreSQL takes as JSON, and orjson does not: any number, half a surrogate."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None
