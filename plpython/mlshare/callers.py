"""Names in texts of the caller, looked up in the caller's search_path although that of routines is pinned.

Only the caller's own names are: the path comes as the default of a routine's last parameter, current_setting(
'search_path'), which PostgreSQL works out before the routine's own path holds. What mlshare puts around a query is
never looked up there, so that nobody can slip a function into it by making one in a schema of that path.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from mlshare import db, errors, frame, viewtext


@contextmanager
def _path(path: str | None) -> Iterator[None]:
    before = db.value("search_path")
    db.value("set_search_path", before if path is None else path)
    try:
        yield
    finally:
        db.value("set_search_path", before)


def query(text: str, path: str | None) -> frame.Source:
    """A query of the caller. All names in it are looked up once, by making a temporary view of it."""
    if path is None or not db.value("may_make_temporary"):
        return frame.query(text)
    with _path(path):
        db.run("name_query", query=text)
    named = str(db.value("named_query")).rstrip().removesuffix(";")
    db.run("forget_query")
    return _table_of(named) or frame.query(named)


def _table_of(named: str) -> frame.Source | None:
    """The table of a query that only names columns of it, as PostgreSQL writes views; its rows are read much faster."""
    name = viewtext.table_of(named)
    if name is None:
        return None
    query, table = frame.query(named), frame.relation(name)
    if not set(query.attributes) <= set(table.attributes):  # those that every table has are not listed
        return None
    return replace(table, name=query.name, attributes=query.attributes)


def relation(name: str, schema: str | None, path: str | None, argument: str) -> str:
    """The qualified and quoted name of a table or view that the caller names as in SQL."""
    written = name if schema is None else f"{db.quote_ident(_folded(schema))}.{name}"
    with _path(path):
        found = db.one("found_relation", written)
    if found is None or found["oid"] is None:
        raise errors.InvalidArgument(argument=argument, reason=f"there is no table or view {written}")
    return str(db.value("relation_name", found["oid"]))  # as it is called in the pinned path


def new_table(name: str, path: str | None) -> str:
    """The qualified and quoted name of a table that is to be made, by default in the caller's current schema."""
    names = list(db.value("folded", name))
    if len(names) == 1:
        with _path(path):
            names.insert(0, db.value("current_schema"))
    if len(names) != 2 or names[0] is None:
        raise errors.InvalidTableName(name=name)
    return ".".join(map(db.quote_ident, names))


def _folded(name: str) -> str:
    names = list(db.value("folded", name))
    if len(names) != 1:
        raise errors.InvalidTableName(name=name)
    return str(names[0])
