"""Checks a sub-model that another machine fitted: its file as any foreign one, its description field by field."""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from typing import Any

from mlshare import audit
from mlshare.build.groups import Group
from mlshare.build.plan import Plan
from mlshare.encoding import Encoder
from mlshare.errors import InvalidModelMetadata, UnsafeModel

_MOST_BYTES = 4 << 20
_MOST_TEXT = 10_000
_MOST_DEPTH = 8


def checked(group: Group, plan: Plan, model: bytes, description: bytes) -> dict[str, Any]:
    """The description of a sound model of this plan; UnsafeModel, CorruptModel, InvalidModelMetadata or others of
    ModelObjectError otherwise."""
    said = _read(description)
    wrong = [name for name, fits in _FIELDS.items() if name not in said or not fits(said[name])]
    if wrong or said.keys() != _FIELDS.keys():
        names = sorted({*wrong, *(said.keys() ^ _FIELDS.keys())})
        raise InvalidModelMetadata(reason=f"a worker's description is wrong in {', '.join(names)}"[:_MOST_TEXT])
    result, _ = audit.run({"golden": said["golden"]}, model, lambda text, part: None)
    _agree(said, result["manifest"], group, plan)
    return said


def _read(description: bytes) -> dict[str, Any]:
    try:
        if len(description) > _MOST_BYTES:
            raise ValueError("it is too long")
        said = json.loads(description, parse_constant=_refuse)
        if not isinstance(said, dict):
            raise ValueError("it is not an object")
        return said
    except (ValueError, RecursionError) as error:
        raise InvalidModelMetadata(reason=f"a worker's description cannot be read: {error}"[:500]) from error


def _refuse(constant: str) -> None:
    raise ValueError(f"{constant} is not a number")


def _agree(said: Mapping[str, Any], document: Mapping[str, Any], group: Group, plan: Plan) -> None:
    """What was asked for, what the file is, and what is said of it must be one thing."""
    if document["kind"] != "encoded":
        raise UnsafeModel(reason="a worker sent a model of another kind")
    pairs = {
        "task": (plan.task, document["task"]),
        "target": (plan.target, document["target"]),
        "algorithm": (plan.algorithm, document.get("algorithm")),
        "algorithm_name": (plan.algorithm, said["algorithm_name"]),
        "classes": (said["classes"], document.get("classes")),
        "inputs": (said["inputs"], [list(i) for i in Encoder.from_json(document["encoder"]).inputs]),
        "n_rows": (True, said["n_rows"] <= group.rows),
    }
    other = [name for name, (one, another) in pairs.items() if one != another]
    if other:
        raise UnsafeModel(reason=f"a worker sent another model than was asked for: {', '.join(other)}")


def _number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool) and math.isfinite(value)


def _text(value: Any) -> bool:
    return isinstance(value, str) and len(value) <= _MOST_TEXT and "\0" not in value


def _count(value: Any) -> bool:
    return type(value) is int and value >= 0


def _plain(value: Any, depth: int = 0) -> bool:
    """A JSON value of texts, numbers, booleans and NULLs."""
    if isinstance(value, dict | list):
        inner = [*value, *value.values()] if isinstance(value, dict) else value
        return depth < _MOST_DEPTH and all(_plain(one, depth + 1) for one in inner)
    return value is None or isinstance(value, bool) or _text(value) or _number(value)


def _texts(value: Any) -> bool:
    return isinstance(value, list) and all(map(_text, value))


def _named(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, dict) and all(map(_text, value)) and all(map(fits, value.values()))


def _optional(fits: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: value is None or fits(value)


def _pairs(value: Any) -> bool:
    return isinstance(value, list) and all(_texts(pair) and len(pair) == 2 for pair in value)


def _list(value: Any) -> bool:
    return isinstance(value, list) and _plain(value)


# What single.fit says of a model.
_FIELDS: Mapping[str, Callable[[Any], bool]] = {
    "algorithm_name": _text,
    "n_rows": _count,
    "score": _optional(_number),
    "metric": _text,
    "classes": _optional(_list),
    "inputs": _pairs,
    "categories": _named(_texts),
    "dropped_columns": _named(_text),
    "details": _named(_plain),
    "golden": _named(_plain),
}
