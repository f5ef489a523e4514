"""What the library mlshare_preload imports in the postmaster, once for all sessions (docs/operations.md).

Only imports: a thread or an OpenMP region started here would be missing, or hang, in the sessions, which are forks.
"""

from __future__ import annotations

import gc
import os
import sys
from contextlib import suppress
from importlib import import_module
from types import ModuleType

import mlshare
from mlshare import booster

# PL/Python is not there yet. When it comes, the library fills this module with what is in the true one.
_plpy = sys.modules.setdefault("plpy", ModuleType("plpy"))
_plpy.__dict__.setdefault("Error", type("Error", (Exception,), {}))

# Libraries read these when they are loaded.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")

for _name in ("mlshare.child", "mlshare.codec", "mlshare.routines", "mlshare.scoring", "msgspec"):
    import_module(_name)
with suppress(OSError):  # whoever has no LightGBM does without, see mlshare.trees
    booster.load()

_TASKS = "/proc/self/task"


def is_stale() -> bool:
    """Whether mlshare was installed anew since: its modules on disk may not fit those in memory."""
    return _installed() != _at_start


def _installed() -> tuple[int, int] | None:
    try:
        found = os.stat(str(mlshare.__file__))
    except FileNotFoundError:
        return None
    return found.st_ino, found.st_mtime_ns


_at_start = _installed()
if os.path.isdir(_TASKS) and len(os.listdir(_TASKS)) > 1:
    raise ImportError("a library started a thread when it was imported")
# The collector writes to every object that it looks at, and a page that is written to is no longer shared.
gc.collect()
gc.freeze()
