"""From stored chunks to an open model, and back: signatures, audit, storage."""

from __future__ import annotations

import hashlib
import os
from typing import TYPE_CHECKING, Any

from mlshare import catalog, db, errors, signing, store
from mlshare.store import Chunk

if TYPE_CHECKING:
    from mlshare.child import Reply
    from mlshare.scorer import Scorer

# Relative to the data directory, in which every server process runs: the key goes with physical backups and
# standbys, and no SQL user can name another place.
KEY_FILE = "mlshare.key"
_NO_LIMIT_SECONDS = 30 * 86_400

_key: bytes | None = None


def key() -> bytes:
    """The server's key, made if there is none yet."""
    global _key
    if _key is None:
        if not os.path.exists(KEY_FILE):
            signing.create_key(KEY_FILE)
        _key = signing.load_key(KEY_FILE)
    return _key


def limit(name: str) -> int:
    """A limit of sys.ml_settings, in its own unit."""
    return int(db.value("setting", name))


# --- to an open model ----------------------------------------------------------------------------


def open_model(model: catalog.Model) -> Scorer:
    """Reads, verifies and opens a model. A model that was not signed here passes the audit first.

    Errors: ModelNotReady, TamperedModel, CorruptModel, UnsafeModel, …
    """
    from mlshare.scorer import Scorer

    return Scorer(sound_bytes(model))


def sound_bytes(model: catalog.Model) -> bytes:
    """The model file, verified or audited; it must not reach a caller who lacks SELECT. Errors: as open_model."""
    chunks = _chunks(model)
    raw, trusted = _unpack(model, chunks)
    if not trusted:
        audit(raw, _described(model))
    return raw


def adopt(model: catalog.Model) -> None:
    """Signs the caller's own model if it came here unsigned (restored from a dump of another server), once audited."""
    if not model.own or db.value("read_only"):
        return
    chunks = _chunks(model)
    raw, trusted = _unpack(model, chunks)
    if trusted:
        return
    audit(raw, _described(model))
    digest = hashlib.sha256(b"".join(c.data for c in chunks)).digest()
    signed = _signed(model.owner, model.handle, [c.data for c in chunks], digest)
    store.sign(model, {c.chunk_id: c.signature for c in signed if c.signature})


def _chunks(model: catalog.Model) -> list[Chunk]:
    chunks = store.read_chunks(model)
    if not chunks:
        raise errors.ModelNotReady(handle=model.handle, detail="It has no model object.")
    return chunks


def _described(model: catalog.Model) -> dict[str, Any]:
    metadata = store.read_row(model)["model_metadata"] or {}
    return {"metadata": metadata, "golden": metadata.get("golden")}


def _unpack(model: catalog.Model, chunks: list[Chunk]) -> tuple[bytes, bool]:
    """The bytes of a model, and whether this server wrote them.

    Errors: TamperedModel (a changed byte, a chunk from elsewhere), CorruptModel, ModelTooLarge.
    """
    from mlshare import codec

    stored = b"".join(c.data for c in chunks)
    if [c.chunk_id for c in chunks] != list(range(1, len(chunks) + 1)):
        raise errors.CorruptModel(reason="its chunks are not numbered from 1 without a gap")
    digest = hashlib.sha256(stored).digest()
    states = {_verify(model, chunk, len(chunks), digest) for chunk in chunks}
    if model.digest != digest.hex():
        raise errors.TamperedModel(reason="it is not the object that the catalog row describes")
    return codec.unpack(stored, limit("import_size") << 20), states == {"ours"}


def _verify(model: catalog.Model, chunk: Chunk, n_chunks: int, digest: bytes) -> str:
    identity = signing.Identity(model.schema, model.handle, 0)
    return signing.verify(key(), chunk.signature, identity, chunk.chunk_id, n_chunks, digest, chunk.data)


def audit(raw: bytes, request: dict[str, Any]) -> Reply:
    """Has a process beside the backend look a foreign model over; its reply holds the bytes to use.

    Errors: UnsafeModel, CorruptModel, InvalidModelMetadata, ChildError, …
    """
    from mlshare import child

    return child.run(
        "audit",
        {**request, "limits": {"max_bytes": limit("import_size") << 20}},
        raw,
        memory_mb=limit("audit_memory"),
        seconds=limit("audit_seconds"),
        tick=db.check_interrupts,
        progress=lambda text, fraction: None,
    )


def training_limits() -> dict[str, Any]:
    """Arguments of child.run for a training process."""
    return {
        "memory_mb": limit("training_memory"),
        "seconds": limit("training_seconds") or _NO_LIMIT_SECONDS,
        "tick": db.check_interrupts,
    }


# --- to stored chunks ----------------------------------------------------------------------------


def chunked(raw: bytes, owner: str, handle: str) -> tuple[list[Chunk], bytes]:
    """A model as signed chunks, and the digest that goes into its catalog row."""
    from mlshare import codec

    stored = codec.pack(raw)
    pieces = codec.split(stored)
    digest = hashlib.sha256(stored).digest()
    return _signed(owner, handle, pieces, digest), digest


def _signed(owner: str, handle: str, pieces: list[bytes], digest: bytes) -> list[Chunk]:
    identity = signing.Identity(catalog.SCHEMA_PREFIX + owner, handle, 0)
    return [
        Chunk(i, piece, signing.sign(key(), identity, i, len(pieces), digest, piece))
        for i, piece in enumerate(pieces, start=1)
    ]
