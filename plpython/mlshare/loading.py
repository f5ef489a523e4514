"""From stored chunks to an open model, and back: signatures, audit, storage."""

from __future__ import annotations

import hashlib
import json
import os
from collections.abc import Iterator, Mapping, Sequence
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
AT_ONCE = 1000  # partitions whose objects are read together

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
    n = len(common.keys)
    listed = (Partition(r["partition_id"], r["partition_name"], _parsed(r["key"], n), r["digest"]) for r in rows)
    return Directory(common, tuple(listed), 2 * size + 500 * len(rows))


def _parsed(text: str | None, length: int) -> tuple[str, ...] | None:
    try:
        key = None if text is None else json.loads(text)
    except RecursionError:
        key = ()
    if key is None:
        return None
    if not isinstance(key, list) or len(key) != length or not all(isinstance(part, str) for part in key):
        raise errors.CorruptModel(reason="the keys of its partitions are not those of its key columns")
    return tuple(key)


def open_partitions(model: catalog.Model, partitions: Sequence[Partition]) -> list[Scorer]:
    """Opens sub-models, in the order of ``partitions``. Errors: as open_model."""
    from mlshare.scorer import Scorer

    return [Scorer(raw) for raw in partition_bytes(model, partitions)]


def partition_bytes(model: catalog.Model, partitions: Sequence[Partition]) -> Iterator[bytes]:
    """The model files of sub-models, verified or audited; they must not reach a caller who lacks SELECT."""
    found = _unpacked(model, partitions)
    foreign = {p.id: raw for p, (raw, trusted, _) in zip(partitions, found, strict=True) if not trusted}
    if foreign:
        audit_partitions(model, [p for p in partitions if p.id in foreign], foreign)
    return (raw for raw, _, _ in found)


def _unpacked(model: catalog.Model, partitions: Sequence[Partition]) -> list[tuple[bytes, bool, list[Chunk]]]:
    """The file of each sub-model, whether this server wrote it, and its chunks. Errors: as _unpack, ModelNotReady."""
    stored: dict[int, list[Chunk]] = {}
    for chunk in store.read_chunks(model, [p.id for p in partitions]):
        stored.setdefault(chunk.partition_id, []).append(chunk)
    most = limit("import_size") << 20
    found = []
    for partition in partitions:
        chunks = stored.get(partition.id, [])
        if not chunks:
            raise errors.ModelNotReady(handle=model.handle, detail=f'Partition "{partition.name}" has no object.')
        found.append((*_unpack(model, chunks, partition.digest, most), chunks))
    return found


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
    from mlshare import trunk

    if trunk.is_trunk(raw):
        _adopt_partitions(model, open_directory(model, trunk.from_bytes(raw), len(raw)))


def _adopt_partitions(model: catalog.Model, directory: Directory) -> None:
    ready = [p for p in directory.partitions if p.digest is not None]
    for first in range(0, len(ready), AT_ONCE):
        some = ready[first : first + AT_ONCE]
        found = dict(zip((p.id for p in some), _unpacked(model, some), strict=True))
        foreign = [p for p in some if not found[p.id][1]]
        if foreign:
            audit_partitions(model, foreign, {p.id: found[p.id][0] for p in foreign})
        for partition in foreign:
            store.sign(model, signed(model, [c.data for c in found[partition.id][2]], partition.id))


def _chunks(model: catalog.Model) -> list[Chunk]:
    chunks = store.read_chunks(model)
    if not chunks:
        raise errors.ModelNotReady(handle=model.handle, detail="It has no model object.")
    return chunks


def is_ours(model: catalog.Model, chunks: list[Chunk], expected: str | None) -> bool:
    """Whether this server signed an object of a model. Errors: as _unpack."""
    return _states(model, chunks, expected) == {"ours"}


def _unpack(model: catalog.Model, chunks: list[Chunk], expected: str | None, most: int) -> tuple[bytes, bool]:
    """The bytes of an object of at most ``most`` bytes, and whether this server wrote them.

    Errors: TamperedModel (a changed byte, a chunk from elsewhere), CorruptModel, ModelTooLarge.
    """
    from mlshare import codec

    states = _states(model, chunks, expected)
    return codec.unpack(b"".join(c.data for c in chunks), most), states == {"ours"}


def _states(model: catalog.Model, chunks: list[Chunk], expected: str | None) -> set[str]:
    if [c.chunk_id for c in chunks] != list(range(1, len(chunks) + 1)):
        raise errors.CorruptModel(reason="its chunks are not numbered from 1 without a gap")
    digest = hashlib.sha256(b"".join(c.data for c in chunks)).digest()
    states = {_verify(model, chunk, len(chunks), digest) for chunk in chunks}
    if expected != digest.hex():
        raise errors.TamperedModel(reason="it is not the object that the catalog row describes")
    return states


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


def audit_partitions(model: catalog.Model, partitions: Sequence[Partition], models: Mapping[int, bytes]) -> None:
    """Has one process look all these sub-models over. Errors: as audit, with the partition in their detail."""
    from mlshare import archive

    empty = {**dict.fromkeys(archive.FIELDS), "status": "ready", "n_rows": 0}
    rows = [
        {**empty, "partition_id": p.id, "partition_name": p.name, "key": None if p.key is None else list(p.key)}
        for p in partitions
    ]
    trunk = _unpack(model, _chunks(model), model.digest, limit("import_size") << 20)[0]
    audit_archive(archive.pack(trunk, rows, models), len(models))


def audit_archive(packed: bytes, n_models: int) -> None:
    """The same for an archive; it gets the time of an ordinary audit for every thousand models in it."""
    from mlshare import child

    child.run(
        "audit_partitions",
        {"limits": {"max_bytes": limit("import_size") << 20}},
        packed,
        memory_mb=limit("audit_memory"),
        seconds=limit("audit_seconds") * (1 + n_models // 1000),
        tick=db.check_interrupts,
        progress=lambda text, fraction: None,
    )


def compiled(model: catalog.Model, request: dict[str, Any]) -> Reply:
    """A model as SQL, see mlshare.compile; it needs the privilege SELECT, for the text shows the parameters."""
    from mlshare import child, trunk

    raw = sound_bytes(model.require("SELECT"))
    if trunk.is_trunk(raw):
        raise errors.NotCompilable(
            reason="it has partitions",
            hint="Make a model of one partition: dbms_data_mining.export_sermodel(…, partition_name), import_sermodel.",
        )
    return child.run(
        "compile",
        {**request, "utf8": db.value("is_utf8"), "threads": 1},
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


def chunked(raw: bytes, owner: str, handle: str, partition_id: int = 0) -> tuple[list[Chunk], bytes]:
    """A model file as signed chunks, and the digest that goes into its row."""
    from mlshare import codec

    stored = codec.pack(raw)
    digest = hashlib.sha256(stored).digest()
    identity = signing.Identity(catalog.SCHEMA_PREFIX + owner, handle, partition_id)
    return _signed(identity, codec.split(stored), digest), digest


def signed(model: catalog.Model, pieces: list[bytes], partition_id: int = 0) -> list[Chunk]:
    """The stored pieces of a model's own object, or one of its partitions, with signatures of this server."""
    digest = hashlib.sha256(b"".join(pieces)).digest()
    return _signed(signing.Identity(model.schema, model.handle, partition_id), pieces, digest)


def _signed(identity: signing.Identity, pieces: list[bytes], digest: bytes) -> list[Chunk]:
    n = len(pieces)
    return [
        Chunk(i, piece, signing.sign(key(), identity, i, n, digest, piece), identity.partition_id)
        for i, piece in enumerate(pieces, start=1)
    ]
