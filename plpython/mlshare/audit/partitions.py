"""The audit of many model files at once: the sub-models of one partitioned model. For the child process only."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from mlshare import archive, audit, errors, trunk
from mlshare.audit.limits import Limits
from mlshare.table import Table
from mlshare.trunk import Trunk


def run(
    request: Mapping[str, Any], payload: Table | bytes | None, progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], bytes]:
    """The task "audit_partitions": check an archive and every model in it.

    ``request``: "limits" (Limits by name). Raises UnsafeModel, CorruptModel, ModelTooLarge, InvalidModelMetadata or
    ScoringFailed, and names the partition. Returns {"audited": how many}.
    """
    if not isinstance(payload, bytes):
        raise errors.CorruptModel(reason="it is empty")
    limits = Limits.from_json(request.get("limits"))
    opened = archive.unpack(payload)
    common = trunk.from_bytes(opened.trunk)
    names = {row["partition_id"]: row["partition_name"] for row in opened.partitions}
    require_keys(common, opened)
    for n, (number, raw) in enumerate(opened.models.items()):
        progress(f"partition {n + 1} of {len(opened.models)}", n / len(opened.models))
        with _named(names[number]):
            require_member(common, audit.audit(bytes(raw), limits))
    return {"audited": len(opened.models)}, b""


def require_keys(common: Trunk, opened: archive.Archive) -> None:
    """CorruptModel unless every partition but the one for all other rows has a key of the model's columns."""
    wrong = [r for r in opened.partitions if r["key"] is not None and len(r["key"]) != len(common.keys)]
    if wrong:
        raise errors.CorruptModel(reason="the keys of its partitions are not those of its key columns")


def require_member(common: Trunk, document: Mapping[str, Any]) -> None:
    """InvalidModelMetadata unless a model's manifest fits the common part."""
    inputs = dict(common.inputs)
    features = document["encoder"]["features"] if document["kind"] == "encoded" else []
    fits = (
        document["kind"] == "encoded"
        and document["task"] == common.task
        and document["target"] == common.target
        and set(document["classes"] or ()) <= set(common.classes or ())
        and all(f["name"] in inputs for f in features)
    )
    if not fits:
        raise errors.InvalidModelMetadata(reason="it does not fit what the partitions have in common")


@contextmanager
def _named(partition: str) -> Iterator[None]:
    """Errors in the block say of which partition they are."""
    try:
        yield
    except errors.MlshareError as error:
        error.detail = error.detail or f'It is partition "{partition}".'
        raise
