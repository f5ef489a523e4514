"""The only door to PostgreSQL: named statements, kept plans, notices, and work run in another context."""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeVar

import plpy  # type: ignore[import-not-found]

from mlshare import errors

T = TypeVar("T")
Row = dict[str, Any]

_HEADER = re.compile(r"^-- (\w+)\(([^)]*)\)\s*$", re.MULTILINE)
_COLUMN = re.compile(r"^    ([a-z_]+) +([a-z0-9]+)", re.MULTILINE)


@cache
def _statements() -> dict[str, tuple[str, list[str]]]:
    """Named statements of the .sql files beside this one: text and parameter types."""
    found = {}
    here = os.path.dirname(__file__)
    for file_name in sorted(name for name in os.listdir(here) if name.endswith(".sql")):
        with open(os.path.join(here, file_name), encoding="utf-8") as file:
            _, *parts = _HEADER.split(file.read())
        for name, types, body in zip(parts[0::3], parts[1::3], parts[2::3], strict=True):
            found[name] = body.strip().rstrip(";"), [t.strip() for t in types.split(",") if t.strip()]
    return found


@cache
def _plan(name: str, parts: tuple[tuple[str, str], ...]) -> Any:
    text, types = _statements()[name]
    return plpy.prepare(_fill(text, dict(parts)), types)


def _fill(text: str, parts: dict[str, str]) -> str:
    """Puts quoted identifiers and expressions in the places written as {name}."""
    return _sound(re.sub(r"\{(\w+)\}", lambda m: parts[m[1]], text))


def _sound(statement: str) -> str:
    """A statement as the server will read it: PL/Python hands over UTF-8, whatever the database is encoded in."""
    if not statement.isascii() and not value("is_utf8"):
        raise errors.EncodingNotSupported(encoding=value("encoding"))
    return statement


def query(name: str, *args: Any, **parts: str) -> list[Row]:
    """Runs a named statement with the caller's rights; its plan is kept, and re-checks privileges on each run.

    Keyword arguments fill the places written {name} and must already be quoted.
    """
    return list(plpy.execute(_plan(name, tuple(sorted(parts.items()))), list(args)))


def not_there() -> tuple[type[Exception], ...]:
    """Errors about a relation that is not there, or not for the current role to see."""
    found = plpy.spiexceptions
    return found.UndefinedTable, found.InvalidSchemaName, found.InsufficientPrivilege


@contextmanager
def without_errors() -> Iterator[None]:
    """Ends the block at an error of the database, but not at one that is meant for the whole transaction or session."""
    try:
        yield
    except plpy.SPIError as error:
        if error.sqlstate[:2] in ("40", "57"):  # run it again; canceled, or shut down
            raise


@cache
def columns_made(*statements: str) -> tuple[list[str], list[str], list[str]]:
    """Tables, names and types of the columns that such statements make, which have a line each."""
    found = [(name, *column) for name in statements for column in _COLUMN.findall(_statements()[name][0])]
    tables, names, types = zip(*found, strict=True)
    return [t.removeprefix("create_") for t in tables], list(names), list(types)


def one(name: str, *args: Any, **parts: str) -> Row | None:
    rows = query(name, *args, **parts)
    return rows[0] if rows else None


def value(name: str, *args: Any, **parts: str) -> Any:
    """The first column of the first row."""
    row = one(name, *args, **parts)
    return None if row is None else next(iter(row.values()))


def text(name: str, **parts: str) -> str:
    """A named fragment with its places filled, to become part of another statement."""
    return _fill(_statements()[name][0], parts)


def run(name: str, *args: Any, **parts: str) -> None:
    """Runs a named statement once, without keeping its plan: for DDL and for texts that hardly repeat."""
    text, types = _statements()[name]
    plpy.execute(plpy.prepare(_fill(text, parts), types), list(args))


def attempt(work: Callable[[], None], sqlstates: tuple[str, ...]) -> bool:
    """Whether work was done; undone if it fails with an error of the database that has one of these SQLSTATEs."""
    try:
        with plpy.subtransaction():
            work()
    except plpy.SPIError as error:
        if error.sqlstate not in sqlstates:
            raise
        return False
    return True


def cursor(name: str, *args: Any, **parts: str) -> Iterator[Row]:
    """Rows of a named statement one by one, from one snapshot and without holding them all."""
    text, types = _statements()[name]
    portal = plpy.cursor(plpy.prepare(_fill(text, parts), types), list(args))
    try:
        yield from portal
    finally:
        portal.close()


def columns_of(query_text: str) -> list[tuple[str, int]]:
    """Names and type oids of a query's columns, without running it."""
    result = plpy.execute(plpy.prepare(_sound(f"SELECT * FROM ({query_text}\n) AS q LIMIT 0")), [])
    return list(zip(result.colnames(), result.coltypes(), strict=True))


def quote_ident(name: str) -> str:
    return str(plpy.quote_ident(name))


def quote_literal(text: str) -> str:
    return str(plpy.quote_literal(text))


def qualified(name: str) -> str:
    """schema.table, quoted, from what a user wrote. InvalidTableName if it is anything else."""
    names = value("folded", name)
    if len(names) != 2:
        raise errors.InvalidTableName(name=name)
    return ".".join(map(quote_ident, names))


def require_new(table: str) -> None:
    """TableExists if there is a relation of this qualified name."""
    if value("table_exists", table):
        raise errors.TableExists(table=table, hint="Drop it, or choose another name.")


def current_user() -> str:
    return str(value("current_user"))


def notice(text: str) -> None:
    plpy.notice(text)


def check_interrupts() -> None:
    """Raises if the statement was cancelled or has timed out; ends the session if it was terminated."""
    value("interrupts")


def begin_progress() -> None:
    """Notes the name that progress covers: that of an earlier try is no longer the session's, if that failed."""
    global _application_name
    _application_name = None


def show_progress(text: str | None) -> None:
    """Shows what the session is doing in pg_stat_activity.application_name (63 bytes); None restores it."""
    global _application_name
    if _application_name is None:
        _application_name = value("application_name")
    value("set_application_name", f"mlshare: {text}"[:63] if text else _application_name)
    if text is None:
        _application_name = None


_application_name: str | None = None


# --- work in another context ---------------------------------------------------------------------
#
# A PL/Python routine runs in the snapshot rules and with the rights of its SQL function. To run a few lines in
# another context, the work is left here, and a SQL function of the right kind is called to pick it up.

_work: list[tuple[str, Callable[[], None]]] = []


def in_snapshot(work: Callable[[], T]) -> T:
    """Runs work so that everything it reads comes from one snapshot."""
    return _elsewhere("in_snapshot", work)


def as_owner(door: str, work: Callable[[], T]) -> T:
    """Runs work with the rights of a catalog's owner, behind the function sys.{door}.

    Work must check that current_user is who it expects. Only mlshare.catalog may call this; a test sees to it.
    """
    return _elsewhere("as_owner", work, door=quote_ident(door))


def _elsewhere(place: str, work: Callable[[], T], **parts: str) -> T:
    result: list[T] = []
    failure: list[errors.MlshareError] = []

    def job() -> None:
        try:
            result.append(work())
        except errors.MlshareError as e:  # our own errors keep their class; PostgreSQL's pass through SQL
            failure.append(e)

    depth = len(_work)
    _work.append((place, job))
    try:
        query(place, **parts)
    finally:
        del _work[depth:]
    if failure:
        raise failure[0]
    if not result:
        raise errors.MlshareError(detail=f"The function for the work {place} did not do it.")
    return result[0]


def pick_up(place: str) -> None:
    """Runs the work left for a place; called by sys._in_snapshot and the doors sys._as_owner_<role>."""
    if not _work or _work[-1][0] != place:
        raise errors.InvalidArgument(argument="call", reason="this function is not for direct use")
    _work.pop()[1]()
