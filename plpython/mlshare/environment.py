"""Checks, once per session, that the server runs the Python side it was installed with."""

from __future__ import annotations

import os
import sys

from mlshare import __version__, db, errors

_HINT = (
    "Put the bin directory of mlshare's virtual environment first in the PATH of the PostgreSQL server "
    "and restart it (docs/operations.md)."
)


def check() -> None:
    """InstallationError unless this is mlshare's own virtual environment, of the version of the SQL side."""
    errors.derive_from_plpy()
    home = os.path.realpath(__file__)
    if sys.prefix == sys.base_prefix or not home.startswith(os.path.realpath(sys.prefix) + os.sep):
        raise errors.InstallationError(
            reason="the server's Python is not mlshare's virtual environment",
            detail=f"sys.prefix is {sys.prefix}, mlshare comes from {os.path.dirname(home)}",
            hint=_HINT,
        )
    installed = db.value("version")
    if installed != __version__:
        raise errors.InstallationError(
            reason=f"its SQL side is version {installed}, its Python side version {__version__}",
            hint="ALTER EXTENSION mlshare UPDATE, or install the other version of the Python package; then reconnect.",
        )
