"""Models that this session has loaded: bounded, least recently used first out, always behind a fresh check."""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from typing import TYPE_CHECKING, TypeGuard

from mlshare import backend, catalog, loading

if TYPE_CHECKING:
    from mlshare.partitioned import AnyScorer, Directory, Partition, PartitionedScorer
    from mlshare.results import Results
    from mlshare.scorer import Scorer

Key = tuple[str, str, int, str | None]  # owner, handle, partition (0: the model itself), digest

_SESSION_BYTES = 100_000  # what an open session of a small sub-model takes, whatever its size


@dataclass
class Entry:
    """A loaded model; ``size`` is an estimate of its memory in bytes, ``attributes`` its inputs but the key columns."""

    scorer: AnyScorer
    results: Results
    size: int
    attributes: dict[str, None]
    hits: int = 0
    expressions: dict[tuple[str, ...], str | None] = field(default_factory=dict)  # see mlshare.inline
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


_entries: OrderedDict[Key, Entry] = OrderedDict()
_partitions: OrderedDict[Key, Scorer] = OrderedDict()


# What usable found, and when: it holds for as long as the same role acts in the same statement, on the same snapshot,
# and the transaction has changed nothing itself. This is what makes a call for each row of a query cheap.
_usable: dict[str | None, tuple[backend.Moment, Entry, Entry]] = {}
_MOST_USABLE = 16


def usable(handle: str | None) -> Entry:
    """The open model that the caller means by a handle and has PREDICT on.

    A partitioned model comes as the caller may use it: with the partitions that the caller has PREDICT on.
    Errors: those of catalog.find and of loading.
    """
    moment = backend.moment()
    kept = _usable.get(handle)
    if kept is None or kept[0] != moment:
        model = catalog.find(handle)
        if moment is None:
            return entry(model)
        if len(_usable) >= _MOST_USABLE:
            _usable.clear()
        kept = _usable[handle] = (moment, *_opened(model))
    kept[1].hits += 1
    return kept[2]


def entry(model: catalog.Model) -> Entry:
    """The same of a model from catalog.find, whose digest says which bytes the caller may use now."""
    found, as_usable = _opened(model)
    found.hits += 1
    return as_usable


def _opened(model: catalog.Model) -> tuple[Entry, Entry]:
    """What is kept of a model for everybody, and as the caller may use it."""
    key = (model.owner, model.handle, 0, model.digest)
    found = _entries.get(key) or _load(model, key)
    _entries.move_to_end(key)
    if not _is_partitioned(found.scorer):
        return found, found
    return found, replace(found, scorer=_scorer(model, found.scorer.directory))


def _is_partitioned(scorer: AnyScorer) -> TypeGuard[PartitionedScorer]:
    return hasattr(scorer, "directory")  # by its class, that would have to be imported for every model


def scorer(model: catalog.Model) -> AnyScorer:
    return entry(model).scorer


def _load(model: catalog.Model, key: Key) -> Entry:
    from mlshare.results import Results
    from mlshare.scorer import Scorer

    _forget_old(key)
    opened = loading.open_model(model)
    usable = opened if isinstance(opened, Scorer) else _scorer(model, opened)
    attributes = {i.name: None for i in usable.inputs if i.name not in usable.key_columns}
    loaded = _entries[key] = Entry(usable, Results(usable), usable.nbytes, attributes)
    _shrink()
    return loaded


# --- partitioned models --------------------------------------------------------------------------


def _scorer(model: catalog.Model, directory: Directory) -> PartitionedScorer:
    """A partitioned model with the caller's rights: nothing of it may be kept for the next caller."""
    from mlshare.partitioned import PartitionedScorer

    return PartitionedScorer(model.name, directory, partial(partitions, model), model.partitions("PREDICT"))


def partitions(model: catalog.Model, wanted: Sequence[Partition]) -> list[Scorer]:
    """Open sub-models; those that are not loaded yet are read together."""
    keys = [(model.owner, model.handle, p.id, p.digest) for p in wanted]
    missing = [p for p, key in zip(wanted, keys, strict=True) if key not in _partitions]
    for partition, opened in zip(missing, loading.open_partitions(model, missing) if missing else (), strict=True):
        _partitions[model.owner, model.handle, partition.id, partition.digest] = opened
    found = [_partitions[key] for key in keys]
    for key in keys:
        _partitions.move_to_end(key)
    if missing:
        _shrink()
    return found


# --- what is kept --------------------------------------------------------------------------------


def _size(scorer: Scorer) -> int:
    return scorer.nbytes + _SESSION_BYTES


def _shrink() -> None:
    """Lets go of what was not used for the longest time until the rest fits; the newest model stays in any case."""
    limit = loading.limit("cache_size") << 20
    total = sum(e.size for e in _entries.values()) + sum(map(_size, _partitions.values()))
    if total > limit:
        _usable.clear()  # it holds models, too
    while total > limit and _partitions:
        total -= _size(_partitions.popitem(last=False)[1])
    while total > limit and len(_entries) > 1:
        total -= _entries.popitem(last=False)[1].size


def _forget_old(key: Key) -> None:
    """Earlier versions of what is about to be loaded. Sub-models stay: most partitions of a new version are the old."""
    _usable.clear()
    for other in [k for k in _entries if k[:3] == key[:3]]:
        del _entries[other]


def forget(owner: str, handle: str) -> None:
    _usable.clear()
    for kept in (_entries, _partitions):
        for key in [k for k in kept if k[:2] == (owner, handle)]:
            del kept[key]


def entries() -> dict[tuple[str, str, str | None], Entry]:
    """Loaded models by owner, handle and digest, least recently used first; with the size of their sub-models.

    Callers must check which of it the caller may see.
    """
    parts: Counter[tuple[str, str]] = Counter()
    for (owner, handle, _, _), opened in _partitions.items():
        parts[owner, handle] += _size(opened)
    return {(o, h, digest): replace(e, size=e.size + parts[o, h]) for (o, h, _, digest), e in _entries.items()}
