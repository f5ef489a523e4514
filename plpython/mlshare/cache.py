"""Models that this session has loaded: bounded, least recently used first out, always behind a fresh check."""

from __future__ import annotations

from collections import OrderedDict
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from mlshare import catalog, loading

if TYPE_CHECKING:
    from mlshare.results import Results
    from mlshare.scorer import Scorer

Key = tuple[str, str, str | None]


@dataclass
class Entry:
    """A loaded model; ``size`` is an estimate of its memory in bytes."""

    scorer: Scorer
    results: Results
    size: int
    hits: int = 0
    loaded_at: datetime = field(default_factory=lambda: datetime.now(UTC))


_entries: OrderedDict[Key, Entry] = OrderedDict()


def entry(model: catalog.Model) -> Entry:
    """The open model. ``model`` comes from catalog.find: its digest says which bytes the caller may use now."""
    key = (model.owner, model.handle, model.digest)
    found = _entries.get(key)
    if found is None:
        found = _load(model, key)
    found.hits += 1
    _entries.move_to_end(key)
    return found


def scorer(model: catalog.Model) -> Scorer:
    return entry(model).scorer


def _load(model: catalog.Model, key: Key) -> Entry:
    from mlshare.results import Results

    forget(model.owner, model.handle)
    opened = loading.open_model(model)
    loaded = _entries[key] = Entry(opened, Results(opened), opened.nbytes)
    _shrink(loading.limit("cache_size") << 20)
    return loaded


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
