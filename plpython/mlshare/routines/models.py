"""Catalog, loading and dropping of models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlshare import cache, catalog, errors, loading, store
from mlshare.routines.boundary import routine


@routine
def ml_create_or_upgrade_catalog() -> None:
    store.ensure()


@routine
def ml_model_drop(model_handle: str | None) -> None:
    store.drop(catalog.find(model_handle))


@routine
def ml_model_load(model_handle: str | None, user_name: str | None) -> None:
    handle = _given(model_handle)
    if user_name and "@" not in handle:
        handle = f"{handle}@{user_name}"
    model = catalog.find(handle)
    loading.adopt(model)
    cache.scorer(model)
    store.touch(model)


@routine
def ml_model_unload(model_handle: str | None) -> None:
    handle, _, owner = _given(model_handle).partition("@")
    for loaded_owner, loaded_handle, _ in cache.entries():
        if loaded_handle == handle and owner in ("", loaded_owner):
            cache.forget(loaded_owner, loaded_handle)


@routine
def ml_model_active(user_name: str | None, model_info: str | None) -> tuple[str]:
    scope = user_name or "current"
    if scope not in ("current", "all"):
        raise errors.InvalidArgument(argument="user_name", reason="it is neither current nor all")
    return (json.dumps(_active_all() if scope == "all" else _active_current()),)


def _visible() -> list[tuple[catalog.Model, cache.Entry]]:
    """Loaded models that the caller may still use. Other roles of the session may have loaded others."""
    found = []
    for (owner, handle, digest), entry in cache.entries().items():
        try:
            model = catalog.find(f"{handle}@{owner}")
        except (errors.ModelNotFound, errors.ModelPrivilege, errors.CatalogError):
            continue
        if model.digest == digest:
            found.append((model, entry))
    return found


@routine
def _cached_models() -> Iterator[tuple[str, str, int, int, str]]:
    found = [(m.owner, m.handle, e.size, e.hits, e.loaded_at.isoformat()) for m, e in _visible()]
    return iter(found)


def _active_current() -> list[dict[str, Any]]:
    own = [(m, e) for m, e in _visible() if m.own]
    listed = {m.handle: store.read_row(m)["model_metadata"] for m, _ in own}
    return [{"total model size(bytes)": sum(e.size for _, e in own)}, listed]


def _active_all() -> list[dict[str, Any]]:
    visible = _visible()
    by_owner: dict[str, list[dict[str, Any]]] = {}
    for model, entry in visible:
        size = {"format": "ONNX", "model_size(byte)": entry.size}
        by_owner.setdefault(model.owner, []).append({model.handle: size})
    return [{"total model size(bytes)": sum(e.size for _, e in visible)}, by_owner]


def _given(handle: str | None) -> str:
    if handle is None:
        raise errors.InvalidHandle(handle="NULL", reason="a handle must be given")
    return handle
