"""Functions of the server process that SQL has no way to call, or not cheaply enough to do it for every row."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

_SECURITY_RESTRICTED_OPERATION = 2  # miscadmin.h; the same in every version


# The beginning of SnapshotData (utils/snapshot.h), the same since PostgreSQL 12: its kind, xmin, xmax, how many
# transactions between them were still running, and its command. Of two snapshots of a session that have these in common
# one is a copy of the other, for below the same xmax transactions only end.
_Snapshot: TypeAlias = ctypes.c_char * 52  # type: ignore[valid-type]

Moment: TypeAlias = tuple[int | bytes, ...]


def _first_moment() -> Moment | None:
    global moment
    moment = _moment()
    return moment()


# What two calls have in common that may rely on the same look-up; None where no statement with a snapshot is under way,
# as in a procedure that was called. It says who acts, which statement of the client it is, in which subtransaction, and
# what it sees, which each change by the transaction itself moves on, too.
# From the second time on this is the function that asks the server, without a detour: it is called for every row.
moment: Callable[[], Moment | None] = _first_moment


def _moment() -> Callable[[], Moment | None]:
    has_snapshot, snapshot = _asks("ActiveSnapshotSet", ctypes.c_bool), _asks("GetActiveSnapshot", ctypes.c_void_p)
    role, subtransaction = _asks("GetUserId", ctypes.c_uint), _asks("GetCurrentSubTransactionId", ctypes.c_uint)
    statement = _asks("GetCurrentStatementStartTimestamp", ctypes.c_int64)
    views: dict[int, Any] = {}

    def work() -> Moment | None:
        if not has_snapshot():
            return None
        at = snapshot()
        seen = views.get(at)
        if seen is None:
            views.clear()
            seen = views[at] = _Snapshot.from_address(at)
        return role(), statement(), subtransaction(), seen.raw

    return work


def _asks(name: str, result: Any) -> Callable[..., Any]:
    """A function of the server, called in half the time that an attribute of the library takes."""
    return ctypes.PYFUNCTYPE(result)((name, _server()))


@contextmanager
def confined() -> Iterator[None]:
    """Statements in this block run as PostgreSQL runs index expressions and materialized views of other roles.

    Code of a catalog's owner that gets to run here cannot leave anything behind in the session that would later
    act with the caller's rights: no deferred triggers, temporary objects, prepared statements, settings.
    """
    server = _server()
    user, context = ctypes.c_uint(), ctypes.c_int()
    server.GetUserIdAndSecContext(ctypes.byref(user), ctypes.byref(context))
    level = server.NewGUCNestLevel()
    server.SetUserIdAndSecContext(user, context.value | _SECURITY_RESTRICTED_OPERATION)
    try:
        yield
    finally:
        server.AtEOXact_GUC(ctypes.c_bool(False), level)
        server.SetUserIdAndSecContext(user, context)


@cache
def _server() -> Any:
    """The server's own functions; their signatures have not changed since 9.1."""
    server = ctypes.PyDLL(None)
    server.SetUserIdAndSecContext.restype = server.GetUserIdAndSecContext.restype = None
    server.AtEOXact_GUC.restype = None
    return server
