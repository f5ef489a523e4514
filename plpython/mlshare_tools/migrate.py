"""Install or upgrade mlshare in a database without CREATE EXTENSION."""

from __future__ import annotations

import sys

from mlshare_tools.build import plain_script
from mlshare_tools.shell import ToolError, say


def migrate(dsn: str, script: str | None = None) -> str:
    """Run the plain script in one transaction and return the version the database then has.

    Any number of runners may start at once: they wait for each other and find everything done. A database
    that has the extension, or a newer version, is left alone and the error says what to do.
    """
    import psycopg

    try:
        with psycopg.connect(dsn, autocommit=True) as connection:
            connection.add_notice_handler(print_notice)
            connection.execute((script or plain_script()).encode())
            row = connection.execute("SELECT version FROM sys._migration WHERE name = 'sql'").fetchone()
    except psycopg.Error as error:
        hint = error.diag.message_hint
        raise ToolError(f"{error}".strip() + (f"\nHINT: {hint}" if hint else "")) from error
    return str(row[0]) if row else ""


def print_notice(notice: object) -> None:
    """Pass a warning of the server on."""
    print(f"mlshare: {getattr(notice, 'message_primary', notice)}", file=sys.stderr)


def main(dsn: str) -> None:
    """Migrate the database and say which version it has."""
    say(f"the database has mlshare {migrate(dsn)}")
