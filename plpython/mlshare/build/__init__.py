"""Many sub-models from one table, one for each group of its rows: the work of a partitioned model's build.

Light to import: a backend reads replies with ``partitions``; what fits runs in the child process only.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from mlshare.build.reply import partitions

if TYPE_CHECKING:
    from mlshare.table import Table
    from mlshare.worker import Progress

__all__ = ["partitions", "run"]


def run(
    request: dict[str, Any], payload: Table | bytes | None, progress: Progress
) -> tuple[dict[str, Any], Sequence[memoryview]]:
    """The task "build": fit one sub-model for each group of contiguous rows of the payload.

    ``request``: "plan" (see plan.Plan), "groups" [[partition_id, start, n_rows] …], "fallback" (partition_id of one
    more sub-model on all rows, or None), "threads", "build_type" ("hybrid", "inter", "intra"), "on_error" ("error",
    "skip"), "min_rows", "names" {partition_id: name for messages}, "executor" (see cluster, or None). Returns the
    plan with what was chosen and the partitions, to be read by ``partitions``; the order is that of the request, and
    the bytes are the same whatever the number of processes. Raises PartitionFailed, ExecutorFailed,
    InstallationError, and what the automatic choice raises.
    """
    from mlshare.build import job

    return job.run(request, payload, progress)
