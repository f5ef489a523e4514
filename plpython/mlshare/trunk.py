"""What the partitions of a model have in common, kept as a signed JSON object beside theirs."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Any, get_args

from mlshare.encoding import Input
from mlshare.errors import FeatureTypeMismatch, InvalidModelMetadata
from mlshare.keys import KeyColumn, KeyKind
from mlshare.rules import Rules
from mlshare.table import Kind

_VERSION = 1
_MARK = b'{"mlshare": "partitioned"'


@dataclass(frozen=True)
class Trunk:
    """The common part of a partitioned model.

    ``classes`` are the JSON values of all sub-models, sorted (None: regression); ``inputs`` the superset of their raw
    columns, ``categories`` the strings that any of them knows of each. ``plan`` (see mlshare.build.plan) says how
    partitions are built.
    ``revision`` grows with each change of the partitions, and ``contents`` is a digest of them all: so that the bytes,
    and with them the model's digest, differ, even from those of a change that was rolled back.
    """

    task: str
    target: str
    target_kind: Kind
    classes: tuple[Any, ...] | None
    keys: tuple[KeyColumn, ...]
    inputs: tuple[Input, ...]
    categories: Mapping[str, tuple[str, ...]]
    rules: Rules
    plan: Mapping[str, Any]
    revision: int = 1
    next_id: int = 1
    contents: str = ""

    def to_bytes(self) -> bytes:
        document = {
            "mlshare": "partitioned",
            "version": _VERSION,
            "revision": self.revision,
            "next_id": self.next_id,
            "contents": self.contents,
            "task": self.task,
            "target": self.target,
            "target_kind": self.target_kind,
            "classes": None if self.classes is None else list(self.classes),
            "keys": [list(k) for k in self.keys],
            "inputs": [list(i) for i in self.inputs],
            "categories": {name: list(strings) for name, strings in self.categories.items()},
            "rules": self.rules.to_json(),
            "plan": dict(self.plan),
        }
        return json.dumps(document).encode()

    def extended(self, described: Iterable[Mapping[str, Any]]) -> Trunk:
        """With what newly built sub-models use and know, as mlshare.build describes them."""
        inputs = dict(self.inputs)
        strings = {name: dict.fromkeys(known) for name, known in self.categories.items()}
        classes = dict.fromkeys(self.classes or ())
        for one in described:
            for name, kind in one["inputs"]:
                inputs[name] = _wider(name, inputs.get(name, kind), kind)
            for name, known in one["categories"].items():
                strings.setdefault(name, {}).update(dict.fromkeys(known))
            classes.update(dict.fromkeys(one["classes"] or ()))
        return replace(
            self,
            inputs=tuple(Input(n, k) for n, k in inputs.items()),
            # Of free text every string counts, not only those that some sub-model knows as a category.
            categories={name: tuple(known) for name, known in strings.items() if inputs[name] != "text"},
            classes=None if self.classes is None else tuple(sorted(classes)),
        )


_WIDER: dict[Kind, Kind] = {"category": "text", "boolean": "numeric", "date": "timestamp"}


def _wider(name: str, first: Kind, second: Kind) -> Kind:
    """The kind that a column is read as, whose sub-models take it as these; FeatureTypeMismatch if none suits both."""
    if first == second or _WIDER.get(second) == first:
        return first
    if _WIDER.get(first) == second:
        return second
    raise FeatureTypeMismatch(column=name, type=second, expected=first)


def is_trunk(raw: bytes) -> bool:
    return raw.startswith(_MARK)


def from_bytes(raw: bytes) -> Trunk:
    """Reads to_bytes; anything else raises InvalidModelMetadata."""
    try:
        return _checked(json.loads(raw))
    except (KeyError, TypeError, ValueError, AttributeError, RecursionError) as error:
        raise InvalidModelMetadata(reason=f"common part of the partitions: {error}") from None


def _checked(d: Any) -> Trunk:
    if d["version"] != _VERSION:
        raise ValueError(f"version {d['version']!r} is not known")
    task, classes = _one_of(d["task"], ("classification", "regression")), d["classes"]
    if (classes is None) != (task == "regression") or not isinstance(classes, list | None):
        raise ValueError("task and classes do not fit")
    keys = tuple(KeyColumn(_text(n), _one_of(k, get_args(KeyKind))) for n, k in d["keys"])
    if not keys or len({k.name for k in keys}) != len(keys):
        raise ValueError("no key columns, or one twice")
    return Trunk(
        task,
        _text(d["target"]),
        _one_of(d["target_kind"], get_args(Kind)),
        None if classes is None else tuple(_scalar(c) for c in classes),
        keys,
        tuple(Input(_text(n), _one_of(k, get_args(Kind))) for n, k in d["inputs"]),
        {_text(name): tuple(_text(s) for s in strings) for name, strings in d["categories"].items()},
        _rules(d["rules"], keys),
        {**d["plan"]},
        int(d["revision"]),
        int(d["next_id"]),
        _text(d.get("contents", "")),
    )


def _rules(document: Any, keys: tuple[KeyColumn, ...]) -> Rules:
    rules = Rules.from_json(document)
    _one_of(rules.on_partition_error, ("error", "skip", "fallback"))
    _one_of(rules.unseen_key, ("null", "error", "fallback"))
    if rules.columns != tuple(k.name for k in keys):
        raise ValueError("rules and key columns do not fit")
    return replace(rules, max_partitions=int(rules.max_partitions), min_rows=int(rules.min_rows))


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError(f"{value!r:.40} is not a string")
    return value


def _scalar(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float):
        raise TypeError(f"{value!r:.40} is not a class")
    return value


def _one_of(value: Any, known: Iterable[str]) -> Any:
    if value not in tuple(known):
        raise ValueError(f"{value!r:.40} is not known")
    return value
