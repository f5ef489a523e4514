"""The routines as Python functions over a connection, and what a refusal must look like."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

Options = Mapping[str, Any] | None


def as_json(value: Any) -> str | None:
    """A value for a jsonb parameter; None is NULL."""
    return None if value is None else json.dumps(value)


def rows(connection: psycopg.Connection, statement: str, *arguments: Any) -> list[tuple[Any, ...]]:
    """All rows of a query."""
    return connection.execute(statement, arguments or None).fetchall()


def value(connection: psycopg.Connection, statement: str, *arguments: Any) -> Any:
    """The first column of the first row."""
    row = connection.execute(statement, arguments or None).fetchone()
    assert row is not None
    return row[0]


def column_types(connection: psycopg.Connection, table: str) -> dict[str, str]:
    """Columns of a table in order, with their types."""
    found = rows(
        connection,
        "SELECT attname, format_type(atttypid, atttypmod) FROM pg_attribute "
        "WHERE attrelid = %s::regclass AND attnum > 0 AND NOT attisdropped ORDER BY attnum",
        table,
    )
    return dict(found)


def primary_key(connection: psycopg.Connection, table: str) -> list[str]:
    """The columns of a table's primary key, in order."""
    statement = (
        "SELECT attname FROM pg_index, unnest(indkey) WITH ORDINALITY AS k (attnum, n) "
        "JOIN pg_attribute AS a USING (attnum) "
        "WHERE indrelid = %(t)s::regclass AND attrelid = indrelid AND indisprimary ORDER BY n"
    )
    return [row[0] for row in connection.execute(statement, {"t": table})]


# --- routines --------------------------------------------------------------------------------------


def train(
    connection: psycopg.Connection, table: str, target: str | None, options: Options = None, handle: str | None = None
) -> str:
    """ml_train; the handle."""
    return str(value(connection, "CALL sys.ml_train(%s, %s, %s, %s)", table, target, as_json(options), handle))


def predict_row(connection: psycopg.Connection, row: Any, handle: str, options: Options = None) -> dict[str, Any]:
    """ml_predict_row of one row given as a dictionary."""
    return dict(
        value(connection, "SELECT sys.ml_predict_row(%s, %s, %s)", as_json(row), handle, as_json(options)),
    )


def predict_table(
    connection: psycopg.Connection, table: str, handle: str, output: str, options: Options = None
) -> None:
    """ml_predict_table."""
    connection.execute("CALL sys.ml_predict_table(%s, %s, %s, %s)", (table, handle, output, as_json(options)))


def predict(
    connection: psycopg.Connection, handle: str, query: str, options: Options = None
) -> list[tuple[dict[str, Any], str, dict[str, Any]]]:
    """ml_predict of a query: (row, prediction, ml_results)."""
    return rows(connection, "SELECT * FROM sys.ml_predict(%s, %s, %s)", handle, query, as_json(options))


def score(
    connection: psycopg.Connection, table: str, target: str, handle: str, metric: str, options: Options = None
) -> float:
    """ml_score."""
    statement = "CALL sys.ml_score(%s, %s, %s, %s, NULL, %s)"
    return float(value(connection, statement, table, target, handle, metric, as_json(options)))


def export(connection: psycopg.Connection, handle: str, output: str) -> None:
    """ml_model_export."""
    connection.execute("CALL sys.ml_model_export(%s, %s)", (handle, output))


def import_table(connection: psycopg.Connection, schema: str, table: str, handle: str | None = None) -> str:
    """ml_model_import from an export table; the handle."""
    return import_object(connection, None, {"schema": schema, "table": table}, handle)


def import_object(connection: psycopg.Connection, model: bytes | None, metadata: Any, handle: str | None = None) -> str:
    """ml_model_import; the handle."""
    statement = "CALL sys.ml_model_import(%s, %s, %s)"
    return str(value(connection, statement, model, as_json(metadata), handle))


def grant(connection: psycopg.Connection, handle: str, grantee: str, privilege: str = "PREDICT") -> None:
    """ml_model_grant to a role given by its bare name."""
    connection.execute("CALL sys.ml_model_grant(%s, quote_ident(%s)::regrole, %s)", (handle, grantee, privilege))


def revoke(connection: psycopg.Connection, handle: str, grantee: str, privilege: str | None = None) -> None:
    """ml_model_revoke from a role given by its bare name."""
    connection.execute("CALL sys.ml_model_revoke(%s, quote_ident(%s)::regrole, %s)", (handle, grantee, privilege))


# --- the catalog -----------------------------------------------------------------------------------


def catalog(connection: psycopg.Connection, role: str | None = None) -> str:
    """The quoted schema of a role's catalog (default: the connection's role)."""
    return str(value(connection, "SELECT quote_ident('ml_schema_' || coalesce(%s, current_user))", role))


def metadata(connection: psycopg.Connection, handle: str) -> dict[str, Any]:
    """The metadata of one of the caller's own models."""
    table = catalog(connection) + ".model_catalog"
    return dict(value(connection, f"SELECT model_metadata FROM {table} WHERE model_handle = %s", handle))


def handles(connection: psycopg.Connection, role: str | None = None) -> set[str]:
    """The handles in a catalog."""
    return {row[0] for row in rows(connection, f"SELECT model_handle FROM {catalog(connection, role)}.model_catalog")}


# --- refusals --------------------------------------------------------------------------------------


@contextmanager
def refused(
    connection: psycopg.Connection, sqlstate: str, message: str = "", *, detail: str = "", hint: str = ""
) -> Iterator[None]:
    """The block must fail with this SQLSTATE and with these words; the transaction stays usable.

    A detail or hint that is not asked for may be there or not.
    """
    with pytest.raises(psycopg.Error) as caught, connection.transaction():
        yield
    found = caught.value.diag
    assert found.sqlstate == sqlstate, f"{found.sqlstate}: {found.message_primary}"
    for words, text in ((message, found.message_primary), (detail, found.message_detail), (hint, found.message_hint)):
        assert words in (text or ""), f"{words!r} is not in {text!r}"
    assert "Traceback" not in (found.message_primary or "")
