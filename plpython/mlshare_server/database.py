"""Connections and named statements."""

from __future__ import annotations

import re
from functools import cache
from importlib.resources import files
from typing import Any, LiteralString, cast

import psycopg
from psycopg.conninfo import make_conninfo
from psycopg.rows import namedtuple_row

_HEADER = re.compile(r"^-- (\w+)\(.*\)$", re.M)


@cache
def statements(package: str) -> dict[str, LiteralString]:
    """The statements in statements.sql of a package by name; a header line "-- name(parameters)" begins each."""
    parts = _HEADER.split((files(package) / "statements.sql").read_text())
    return {name: cast(LiteralString, text.strip()) for name, text in zip(parts[1::2], parts[2::2], strict=True)}


def connect(dsn: str, name: str) -> psycopg.Connection[Any]:
    """A connection in autocommit mode whose rows are named tuples; a dead peer is noticed within a minute."""
    alive = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3}
    dsn = make_conninfo(dsn, fallback_application_name=name, **alive)
    connection = psycopg.connect(dsn, autocommit=True, row_factory=namedtuple_row)
    # Nothing of ours is looked up by name.
    connection.execute("SET search_path = pg_catalog, pg_temp")
    return connection
