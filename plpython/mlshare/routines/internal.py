"""Routines that only other routines call."""

from __future__ import annotations

from mlshare import db


def _in_snapshot() -> None:
    db.pick_up("in_snapshot")


def _as_owner() -> None:
    db.pick_up("as_owner")


def _create_key() -> None:
    from mlshare import loading

    loading.key()
