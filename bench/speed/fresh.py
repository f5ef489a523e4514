"""Fresh sessions with and without the preload library: bench/sessions, as rows of this report."""

from __future__ import annotations

import importlib.util
import sys
from collections.abc import Iterator
from pathlib import Path
from statistics import median
from types import ModuleType

from report import Row, at_most

from mlshare_tools import cluster

SCRIPT = Path(__file__).parents[1] / "sessions" / "sessions.py"


def measure(quick: bool) -> Iterator[Row]:
    """First calls and memory, in a throw-away server."""
    script = load(SCRIPT)
    private = cluster.existing()
    library = private.home / "preload" / "mlshare_preload.so"
    if not library.exists():
        print("!!! NOT RUN: fresh sessions; the preload library has not been built", file=sys.stderr)
        return
    script.SESSIONS = 5 if quick else script.SESSIONS
    with script.throwaway(private) as server:
        script.fill(server)
        warm, cold = (script.measure(server, libraries) for libraries in (str(library), ""))
    yield at_most("fresh session with preload: first ml_predict_row", median(warm.first), "ms", script.WARM_MS)
    yield at_most("fresh session: first ml_predict_row", median(cold.first), "ms", script.COLD_MS)
    yield at_most(f"{script.MEMORY_SESSIONS} sessions with preload", warm.memory, "MB (PSS)", script.WARM_MB)
    yield Row(f"{script.MEMORY_SESSIONS} sessions without", cold.memory, "MB (PSS)")


def load(path: Path) -> ModuleType:
    """A script as a module."""
    spec = importlib.util.spec_from_file_location(f"bench_{path.stem}", path)
    assert spec and spec.loader
    module = sys.modules[spec.name] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module
