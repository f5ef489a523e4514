"""From stored chunks to an open model, and back: signatures, audit, storage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Any

from mlshare import catalog, db, errors, signing, store
from mlshare.store import Chunk

if TYPE_CHECKING:
    from mlshare.child import Reply
    from mlshare.partitioned import Directory, Partition
    from mlshare.scorer import Scorer
    from mlshare.trunk import Trunk

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


def open_model(model: catalog.Model) -> Scorer | Directory:
    """Reads, verifies and opens a model; of a partitioned one what its partitions have in common and their list.

    A model that was not signed here passes the audit first.
    Errors: ModelNotReady, TamperedModel, CorruptModel, UnsafeModel, …
    """
    raw = sound_bytes(model)
    from mlshare import trunk

    if trunk.is_trunk(raw):
        return open_directory(model, trunk.from_bytes(raw), len(raw))
    from mlshare.scorer import Scorer

    return Scorer(raw)


def open_directory(model: catalog.Model, common: Trunk, size: int) -> Directory:
    from mlshare.partitioned import Directory, Partition

    rows = store.read_partitions(model)
    listed = (Partition(r["partition_id"], r["partition_name"], _parsed(r["key"]), r["digest"]) for r in rows)
    return Directory(common, tuple(listed), 2 * size + 500 * len(rows))


def _parsed(text: str | None) -> tuple[str, ...] | None:
    return None if text is None else tuple(json.loads(text))


def open_partitions(model: catalog.Model, partitions: Sequence[Partition]) -> list[Scorer]:
    """Opens sub-models, in the order of ``partitions``. Errors: as open_model."""
    from mlshare.scorer import Scorer

    return [Scorer(raw) for raw in partition_bytes(model, partitions)]


def partition_bytes(model: catalog.Model, partitions: Sequence[Partition]) -> Iterator[bytes]:
    """The model files of sub-models, verified or audited; they must not reach a caller who lacks SELECT."""
    stored: dict[int, list[Chunk]] = {}
    for chunk in store.read_chunks(model, [p.id for p in partitions]):
        stored.setdefault(chunk.partition_id, []).append(chunk)
    most = limit("import_size") << 20
    for partition in partitions:
        raw, trusted = _unpack(model, stored.get(partition.id, []), partition.digest, most)
        if not trusted:
            audit(raw, {"metadata": {}})
        yield raw


def sound_bytes(model: catalog.Model) -> bytes:
    """The model file, verified or audited; it must not reach a caller who lacks SELECT. Errors: as open_model."""
    raw, trusted = _unpack(model, _chunks(model), model.digest, limit("import_size") << 20)
    return raw if trusted else _audited(model, raw)


def _audited(model: catalog.Model, raw: bytes) -> bytes:
    """A foreign model file that passed. The common part of a partitioned model is checked as it is read."""
    from mlshare import trunk

    if not trunk.is_trunk(raw):
        metadata = store.read_row(model)["model_metadata"] or {}
        audit(raw, {"metadata": metadata, "golden": metadata.get("golden")})
    return raw


def adopt(model: catalog.Model) -> None:
    """Signs the caller's own model if it came here unsigned (restored from a dump of another server), once audited."""
    if not model.own or db.value("read_only"):
        return
    chunks = _chunks(model)
    raw, trusted = _unpack(model, chunks, model.digest, limit("import_size") << 20)
    if not trusted:
        _audited(model, raw)
        store.sign(model, signed(model, [c.data for c in chunks]))


def _chunks(model: catalog.Model) -> list[Chunk]:
    chunks = store.read_chunks(model)
    if not chunks:
        raise errors.ModelNotReady(handle=model.handle, detail="It has no model object.")
    return chunks


def _unpack(model: catalog.Model, chunks: list[Chunk], expected: str | None, most: int) -> tuple[bytes, bool]:
    """The bytes of an object of at most ``most`` bytes, and whether this server wrote them.

    Errors: TamperedModel (a changed byte, a chunk from elsewhere), CorruptModel, ModelTooLarge.
    """
    from mlshare import codec

    stored = b"".join(c.data for c in chunks)
    if [c.chunk_id for c in chunks] != list(range(1, len(chunks) + 1)):
        raise errors.CorruptModel(reason="its chunks are not numbered from 1 without a gap")
    digest = hashlib.sha256(stored).digest()
    states = {_verify(model, chunk, len(chunks), digest) for chunk in chunks}
    if expected != digest.hex():
        raise errors.TamperedModel(reason="it is not the object that the catalog row describes")
    return codec.unpack(stored, most), states == {"ours"}


def _verify(model: catalog.Model, chunk: Chunk, n_chunks: int, digest: bytes) -> str:
    identity = signing.Identity(model.schema, model.handle, chunk.partition_id)
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


def compiled(model: catalog.Model, request: dict[str, Any]) -> Reply:
    """A model as SQL, see mlshare.compile; it needs the privilege SELECT, for the text shows the parameters."""
    from mlshare import child

    return child.run(
        "compile",
        {**request, "utf8": db.value("is_utf8"), "threads": 1},
        sound_bytes(model.require("SELECT")),
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


def chunked(raw: bytes, owner: str, handle: str, partition_id: int = 0) -> tuple[list[Chunk], bytes]:
    """A model file as signed chunks, and the digest that goes into its row."""
    from mlshare import codec

    stored = codec.pack(raw)
    digest = hashlib.sha256(stored).digest()
    identity = signing.Identity(catalog.SCHEMA_PREFIX + owner, handle, partition_id)
    return _signed(identity, codec.split(stored), digest), digest


def signed(model: catalog.Model, pieces: list[bytes]) -> list[Chunk]:
    """The stored pieces of a model's own object with signatures of this server."""
    digest = hashlib.sha256(b"".join(pieces)).digest()
    return _signed(signing.Identity(model.schema, model.handle, 0), pieces, digest)


def _signed(identity: signing.Identity, pieces: list[bytes], digest: bytes) -> list[Chunk]:
    n = len(pieces)
    return [
        Chunk(i, piece, signing.sign(key(), identity, i, n, digest, piece), identity.partition_id)
        for i, piece in enumerate(pieces, start=1)
    ]
