"""Progress of long work: in pg_stat_activity at once, and to the client as a notice every few seconds."""

from __future__ import annotations

import time
from collections.abc import Callable

from mlshare import db

_NOTICE_SECONDS = 2.0


def begin(text: str) -> None:
    db.begin_progress()
    db.show_progress(text)


def end() -> None:
    db.show_progress(None)


def reporter() -> Callable[[str, float], None]:
    """A function that takes what is done, and which share of the whole."""
    last = time.monotonic()

    def report(text: str, fraction: float) -> None:
        nonlocal last
        db.show_progress(f"{fraction:.0%} {text}")
        if time.monotonic() - last >= _NOTICE_SECONDS:
            last = time.monotonic()
            db.notice(f"{fraction:.0%} {text}")

    return report
