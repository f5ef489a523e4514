"""Functions of the server process that SQL has no way to call, or not cheaply enough to do it for every row."""

from __future__ import annotations

import ctypes
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import cache
from typing import Any, TypeAlias

_SECURITY_RESTRICTED_OPERATION = 2  # miscadmin.h; the same in every version


class _Snapshot(ctypes.Structure):
    """The beginning of SnapshotData (utils/snapshot.h), the same since PostgreSQL 12."""

    _fields_ = (
        ("kind", ctypes.c_int),
        ("xmin", ctypes.c_uint),
        ("xmax", ctypes.c_uint),
        ("running", ctypes.c_void_p),
        ("n_running", ctypes.c_uint),
    )


Moment: TypeAlias = tuple[int | bytes, ...]


def moment() -> Moment | None:
    """What two calls have in common that may rely on the same look-up; None where no statement with a snapshot is under
    way, as in a procedure that was called.

    It says who acts, which statement of the client it is, how far the transaction is (its command, which each change of
    its own moves on, and its subtransaction), and what the statement sees.
    """
    return _moment()()


@cache
def _moment() -> Callable[[], Moment | None]:
    server = _server()
    has_snapshot, snapshot, role = server.ActiveSnapshotSet, server.GetActiveSnapshot, server.GetUserId
    statement, command = server.GetCurrentStatementStartTimestamp, server.GetCurrentCommandId
    subtransaction, string_at = server.GetCurrentSubTransactionId, ctypes.string_at

    def work() -> Moment | None:
        if not has_snapshot():
            return None
        seen = snapshot().contents
        n = seen.n_running
        running = string_at(seen.running, 4 * n) if n else b""
        return role(), statement(), command(False), subtransaction(), seen.xmin, seen.xmax, running

    return work


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
    server.GetUserId.restype = ctypes.c_uint
    server.GetCurrentCommandId.restype = server.GetCurrentSubTransactionId.restype = ctypes.c_uint
    server.GetCurrentStatementStartTimestamp.restype = ctypes.c_int64
    server.ActiveSnapshotSet.restype = ctypes.c_bool
    server.GetActiveSnapshot.restype = ctypes.POINTER(_Snapshot)
    return server
