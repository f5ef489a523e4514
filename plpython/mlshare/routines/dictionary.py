"""Rows of Oracle's dictionary views, and what is known of the inside of models."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from mlshare import catalog, errors
from mlshare.routines.boundary import routine
from mlshare.written import finite

Rows = Iterator[tuple[Any, ...]]

_COEFFICIENT_COLUMNS = 9
_VIEWS = {
    "model_global_statistics": "Global Name-Value Pairs",
    "model_settings": "Computed Settings",
    "model_alerts": "Model Build Alerts",
    "model_importances": "Attribute Importance",
    "model_coefficients": "Model Coefficients",
}


@routine
def _mining_models(scope: str | None) -> Rows:
    from mlshare import dictionary

    return iter(list(dictionary.models(_scope(scope))))


@routine
def _mining_model_attributes(scope: str | None) -> Rows:
    from mlshare import dictionary

    return iter(list(dictionary.attributes(_scope(scope))))


@routine
def _mining_model_settings(scope: str | None) -> Rows:
    from mlshare import dictionary

    return iter(list(dictionary.settings(_scope(scope))))


@routine
def _mining_model_partitions(scope: str | None) -> Rows:
    from mlshare import dictionary

    return iter(list(dictionary.partitions(_scope(scope))))


@routine
def _mining_model_views(scope: str | None) -> Rows:
    from mlshare import dictionary

    seen = [s.model for s in dictionary.visible(_scope(scope)) if s.model.partitions("SELECT") != frozenset()]
    return iter([(m.owner, m.handle, f"sys.{name}", kind) for m in seen for name, kind in _VIEWS.items()])


def _scope(text: str | None) -> Any:
    if text not in ("all", "dba"):
        raise errors.InvalidArgument(argument="scope", reason="it is neither all nor dba")
    return text


# --- details -------------------------------------------------------------------------------------


@routine
def model_coefficients(model: str | None, partition: str | None) -> Rows:
    def rows(part: Any) -> Rows:
        for entry in part if isinstance(part, list) else ():
            if isinstance(entry, list) and len(entry) == _COEFFICIENT_COLUMNS:
                yield (*map(_shown, entry[:3]), *map(finite, entry[3:]))

    return _details(model, partition, "coefficients", rows)


@routine
def model_importances(model: str | None, partition: str | None) -> Rows:
    def rows(part: Any) -> Rows:
        weighed = [(name, finite(value)) for name, value in _items(part)]
        ranked = sorted((pair for pair in weighed if pair[1] is not None), key=lambda pair: -(pair[1] or 0.0))
        yield from ((name, value, rank) for rank, (name, value) in enumerate(ranked, 1))

    return _details(model, partition, "importances", rows)


@routine
def model_global_statistics(model: str | None, partition: str | None) -> Rows:
    def rows(part: Any) -> Rows:
        yield from ((n, finite(v), v if isinstance(v, str) else None) for n, v in _items(part))

    return _details(model, partition, "global", rows)


@routine
def model_settings(model: str | None, partition: str | None) -> Rows:
    def rows(part: Any) -> Rows:
        yield from ((name, _shown(value)) for name, value in _items(part))

    return _details(model, partition, "settings", rows)


@routine
def model_alerts(model: str | None, partition: str | None) -> Rows:
    def rows(part: Any) -> Rows:
        yield from ((_shown(alert),) for alert in (part if isinstance(part, list) else ()))

    return _details(model, partition, "alerts", rows, failures=True)


def _details(model: str | None, partition: str | None, part: str, rows: Any, failures: bool = False) -> Rows:
    """The rows of each partition, its name before them; a failed one has its error for an alert."""
    from mlshare import dictionary

    found = catalog.find(model, "SELECT", some=True)
    out: list[tuple[Any, ...]] = []
    for name, value, error in dictionary.details(found, partition, part):
        out += ((name, *row) for row in rows(value))
        if failures and error is not None:
            out.append((name, error))
    return iter(out)


def _items(part: Any) -> list[tuple[str, Any]]:
    return list(part.items()) if isinstance(part, dict) else []


def _shown(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)
