"""Many sub-models from one table, one for each group of its rows: the work of a partitioned model's build.

A backend reads replies with ``partitions``; all that fits runs in the child process, as its task "build" (see job).
"""

from __future__ import annotations

from mlshare.build.reply import partitions

__all__ = ["partitions"]
