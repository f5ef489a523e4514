"""Sessions that read with a provider's rights, all of them in one snapshot.

Each logs in as the provider's reader, a role that is a member of the provider and of nothing else, and then becomes the
provider. Views, policies and functions of the provider run there; whatever they do to the session, it has no right that
the provider does not have.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime
from typing import Any

import psycopg
import pyarrow as pa
from adbc_driver_postgresql import dbapi
from psycopg import sql
from psycopg.conninfo import make_conninfo

from mlshare_server.database import connect, statements

STATEMENTS = statements(__package__ or "")
# The same text whatever the cluster's settings; and nothing is found by name that its schema does not say.
OPTIONS = {
    "search_path": "pg_catalog,pg_temp",
    "timezone": "UTC",
    "datestyle": "ISO",
    "intervalstyle": "iso_8601",
    "extra_float_digits": "1",
    "statement_timeout": "0",
    "idle_in_transaction_session_timeout": "0",
    "synchronize_seqscans": "off",
}
NAME = "mlshare-server worker: reading"


@dataclass(frozen=True)
class Reader:
    """How to log in as a provider's reader."""

    dsn: str
    owner: str

    @classmethod
    def of(cls, dsn: str, user: str, password: str, owner: str) -> Reader:
        """From the worker's own connection string."""
        options = " ".join(f"-c {name}={value}" for name, value in OPTIONS.items())
        # Not among the options: a variable of the environment would win over those.
        session = {"options": options, "client_encoding": "UTF8", "fallback_application_name": NAME}
        return cls(make_conninfo(dsn, user=user, password=password, **session), owner)


class Snapshot:
    """The session that holds the snapshot: it looks into the catalog, and others see what it sees."""

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.connection: psycopg.Connection[Any] = connect(reader.dsn, NAME)
        self.begin()

    def begin(self) -> None:
        """Take a snapshot, instead of the one that is held if there is one."""
        self.connection.rollback()
        self.connection.execute("BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY")
        self.connection.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(self.reader.owner)))
        row: Any = self.connection.execute("SELECT pg_export_snapshot() AS name, now() AS moment").fetchone()
        self.name: str = row.name
        self.moment: datetime = row.moment

    def rows(self, statement: str, **values: Any) -> list[Any]:
        """The rows of a named statement."""
        return self.connection.execute(STATEMENTS[statement], values).fetchall()

    def row(self, statement: str, **values: Any) -> Any:
        """The first row of a named statement, or None."""
        return self.connection.execute(STATEMENTS[statement], values).fetchone()

    def execute(self, query: str) -> Any:
        """The first row of a query that this package has put together; prepared, as only one statement can be."""
        return self.connection.execute(query.encode(), prepare=True).fetchone()

    def cancel(self) -> None:
        """End what runs there."""
        with suppress(psycopg.Error):
            self.connection.cancel()

    def close(self) -> None:
        """Log out; other sessions keep the snapshot that they have taken."""
        with suppress(psycopg.Error):
            self.connection.close()


class Session:
    """A session that reads rows as Arrow, in the snapshot of another."""

    def __init__(self, reader: Reader, snapshot: str) -> None:
        self.connection = dbapi.connect(reader.dsn)
        try:
            with self.connection.cursor() as cursor:
                cursor.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ, READ ONLY")
                cursor.execute(f"SET TRANSACTION SNAPSHOT '{snapshot}'")
                cursor.execute(sql.SQL("SET LOCAL ROLE {}").format(sql.Identifier(reader.owner)).as_string(None))
        except BaseException:
            self.close()
            raise

    def read(self, query: str) -> Iterator[pa.RecordBatch]:
        """The rows of a query, in batches of some megabytes."""
        with self.connection.cursor(adbc_stmt_kwargs={"adbc.postgresql.batch_size_hint_bytes": str(8 << 20)}) as cursor:
            cursor.execute(query)
            reader = cursor.fetch_record_batch()
            try:
                yield from reader
            finally:
                reader.close()

    def cancel(self) -> None:
        """End what runs there."""
        with suppress(dbapi.Error):
            self.connection.adbc_cancel()

    def close(self) -> None:
        """Log out."""
        with suppress(dbapi.Error):
            self.connection.close()
