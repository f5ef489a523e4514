"""Models that this session has loaded: bounded, least recently used first out, always behind a fresh check."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlshare import catalog, db, loading

if TYPE_CHECKING:
    from mlshare.scorer import Scorer

Key = tuple[str, str, str | None]


@dataclass
class Entry:
    """A loaded model; ``size`` is an estimate of its memory in bytes."""

    scorer: Scorer
    size: int
    hits: int = 0
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


_entries: OrderedDict[Key, Entry] = OrderedDict()


def scorer(model: catalog.Model) -> Scorer:
    """The open model. ``model`` comes from catalog.find: its digest says which bytes the caller may use now."""
    key = (model.owner, model.handle, model.digest)
    entry = _entries.get(key)
    if entry is None:
        entry = _load(model, key)
    entry.hits += 1
    _entries.move_to_end(key)
    return entry.scorer


def _load(model: catalog.Model, key: Key) -> Entry:
    forget(model.owner, model.handle)
    opened = loading.open_model(model)
    entry = _entries[key] = Entry(opened, opened.nbytes)
    _shrink(int(db.value("setting", "cache_size")) << 20)
    return entry


def _shrink(limit: int) -> None:
    """Lets go of the least recently used models until the rest fits; the newest one stays in any case."""
    while len(_entries) > 1 and sum(e.size for e in _entries.values()) > limit:
        _entries.popitem(last=False)


def forget(owner: str, handle: str) -> None:
    for key in [k for k in _entries if k[:2] == (owner, handle)]:
        del _entries[key]


def entries() -> dict[Key, Entry]:
    """What is loaded, least recently used first. Callers must check which of it the caller may see."""
    return dict(_entries)
