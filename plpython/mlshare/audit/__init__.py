"""The audit that every model passes which this server did not store itself. For the child process only."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping
from typing import Any

from onnx import ModelProto

from mlshare import errors, manifest
from mlshare.audit import prepare, structure, trial
from mlshare.audit.limits import Limits
from mlshare.table import Table

__all__ = ["Limits", "audit", "prepare_foreign", "run"]


def run(
    request: Mapping[str, Any], payload: Table | bytes | None, progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], bytes]:
    """The task "audit": check a model file and return it ready to store.

    ``request``: "golden" (sample to replay), "metadata" (of a model without manifest, as in
    prepare.manifest_for), "limits" (Limits by name), all optional. Returns {"manifest", "sha256" of the
    returned bytes, "kind"} and the bytes, which are the ones to store: they can differ from those given.
    """
    if not isinstance(payload, bytes):
        raise errors.CorruptModel(reason="it is empty")
    limits = Limits.from_json(request.get("limits"))
    progress("reading the model", 0.0)
    model = structure.load(payload, limits)
    document = _manifest(model, request.get("metadata"))
    ready = structure.serialized(model)
    progress("trying the model", 0.5)
    trial.check(ready, request.get("golden"), limits)
    digest = hashlib.sha256(ready).hexdigest()
    return {"manifest": document, "sha256": digest, "kind": document["kind"]}, ready


def audit(onnx_bytes: bytes, limits: Limits | None = None) -> None:
    """Raise UnsafeModel, CorruptModel, ModelTooLarge, InvalidModelMetadata or ScoringFailed unless a model
    file with a manifest is sound."""
    limits = limits or Limits()
    model = structure.load(onnx_bytes, limits)
    _manifest(model, None)
    trial.check(structure.serialized(model), None, limits)


def prepare_foreign(onnx_bytes: bytes, metadata: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """A model file with manifest, and the manifest, of a graph that a user brought; not tried yet."""
    model = structure.load(onnx_bytes, Limits())
    document = _manifest(model, metadata)
    return structure.serialized(model), document


def _manifest(model: ModelProto, metadata: Mapping[str, Any] | None) -> dict[str, Any]:
    """The manifest a model carries, validated; or a new one, put into it."""
    texts = [p.value for p in model.metadata_props if p.key == manifest.KEY]
    if texts:
        return manifest.parse(texts[0]).document
    document = prepare.manifest_for(model, metadata or {})
    prepare.attach(model, document)
    return document
