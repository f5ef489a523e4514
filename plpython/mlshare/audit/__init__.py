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
    returned bytes, "kind"} and the bytes, which are the ones to store: the given ones if they carry a
    manifest, otherwise new ones.
    """
    if not isinstance(payload, bytes):
        raise errors.CorruptModel(reason="it is empty")
    limits = Limits.from_json(request.get("limits"))
    progress("reading the model", 0.0)
    ready, document = _ready(payload, request.get("metadata"), limits)
    progress("trying the model", 0.5)
    trial.check(ready, request.get("golden"), limits)
    digest = hashlib.sha256(ready).hexdigest()
    return {"manifest": document, "sha256": digest, "kind": document["kind"]}, ready


def audit(onnx_bytes: bytes, limits: Limits | None = None) -> dict[str, Any]:
    """The manifest of a model file that has one; UnsafeModel, CorruptModel, ModelTooLarge, InvalidModelMetadata or
    ScoringFailed unless it is sound."""
    limits = limits or Limits()
    ready, document = _ready(onnx_bytes, None, limits)
    trial.check(ready, None, limits)
    return document


def prepare_foreign(onnx_bytes: bytes, metadata: Mapping[str, Any]) -> tuple[bytes, dict[str, Any]]:
    """A model file with manifest, and the manifest, of a graph that a user brought; not tried yet."""
    return _ready(onnx_bytes, metadata, Limits())


def _ready(onnx_bytes: bytes, metadata: Mapping[str, Any] | None, limits: Limits) -> tuple[bytes, dict[str, Any]]:
    """The bytes to store and their manifest: the one the model carries, or a new one put into it."""
    model = structure.load(onnx_bytes, limits)
    text = _manifest_text(model)
    if text is None:
        document = prepare.manifest_for(model, metadata or {})
        prepare.attach(model, document)
        return structure.serialized(model), document
    if structure.serialized(model) != onnx_bytes:
        # A stored model is opened as it is: nothing in it may be read differently by another reader.
        raise errors.UnsafeModel(reason="it holds more than a model of mlshare, or holds it in another form")
    return onnx_bytes, manifest.parse(text).document


def _manifest_text(model: ModelProto) -> str | None:
    return next((p.value for p in model.metadata_props if p.key == manifest.KEY), None)
