"""The text of queries, as PostgreSQL writes it for views."""

from __future__ import annotations

import re

_NAME = r'(?:[a-z_][a-z0-9_$]*|"(?:[^"]|"")+")'
_COLUMN = rf"(?:{_NAME}\.)?{_NAME}"
_ONLY_COLUMNS = re.compile(rf"\s*SELECT {_COLUMN}(?:,\s+{_COLUMN})*\s+FROM ({_NAME}\.{_NAME})\s*")


def table_of(text: str) -> str | None:
    """The qualified name of the table or view of which a query only names columns; None for any other query."""
    found = _ONLY_COLUMNS.fullmatch(text)
    return None if found is None else found[1]
