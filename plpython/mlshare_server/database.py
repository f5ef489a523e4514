"""Connections and named statements."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import LiteralString, cast

_HEADER = re.compile(r"^-- (\w+)\(.*\)$", re.M)


@cache
def statements(package: str) -> dict[str, LiteralString]:
    """The statements in statements.sql of a package by name; a header line "-- name(parameters)" begins each."""
    parts = _HEADER.split((files(package) / "statements.sql").read_text())
    return {name: cast(LiteralString, text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}
