"""Leaves out files that a predicate excludes by their statistics. Hints only prune: what is unclear keeps the file."""

from __future__ import annotations

import json
import sys
from collections.abc import Callable
from datetime import UTC, date, datetime, timedelta
from typing import Any

HINT_BYTES = 1 << 20
DEPTH = 100
# Of one predicate, which is evaluated for every file.
NODES = 1000
# May a row make it true, may a row make it false: what is known of an expression over all rows of a file.
Truth = tuple[bool, bool]
UNKNOWN: Truth = (True, True)
# Text bounds may be cut to so many characters; the true maximum is then longer.
CUT = 32
_CONVERT: dict[str, Callable[[str], Any]] = {
    **dict.fromkeys(("int", "long", "integer", "short", "byte"), int),
    **dict.fromkeys(("float", "double"), float),
    "string": str,
    "bool": lambda text: {"true": True, "false": False}[text.lower()],
    "boolean": lambda text: {"true": True, "false": False}[text.lower()],
    "date": date.fromisoformat,
    "timestamp": lambda text: _moment(text),
}


def _moment(text: str) -> datetime:
    found = datetime.fromisoformat(text)
    return found if found.tzinfo else found.replace(tzinfo=UTC)


class Unclear(Exception):
    """The predicate, or what is known of the file, does not allow a conclusion."""


def keeps(predicate: dict[str, Any] | None, stats: str | None) -> bool:
    """Whether a file with these statistics may hold rows that the predicate is true for."""
    if predicate is None or stats is None:
        return True
    try:
        known = json.loads(stats)
        # A predicate that is NULL for a row excludes it as well.
        return truth(predicate, known, 0)[0]
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return True


def parse(text: Any) -> dict[str, Any] | None:
    """A JSON predicate; None, which prunes nothing, if it is none or too large."""
    if not isinstance(text, str) or len(text) > HINT_BYTES:
        return None
    try:
        found = json.loads(text)
        return found if isinstance(found, dict) and few(found) else None
    except (ValueError, TypeError, RecursionError):
        return None


def few(predicate: Any) -> bool:
    """Whether a predicate is so small that it may be evaluated for every file."""
    level, count = [predicate], 0
    while level and count <= NODES:
        count += len(level)
        level = [child for node in level if isinstance(node, dict) for child in node.get("children", ())]
    return count <= NODES


def truth(node: Any, stats: dict[str, Any], depth: int) -> Truth:
    """What is known of one node of the predicate."""
    if depth > DEPTH or not isinstance(node, dict):
        return UNKNOWN
    children, op = node.get("children", []), node.get("op")
    try:
        if op in ("and", "or"):
            every = [truth(child, stats, depth + 1) for child in children]
            either = [any(part) for part in zip(*every, strict=True)] if every else UNKNOWN
            both = [all(part) for part in zip(*every, strict=True)] if every else UNKNOWN
            return (both[0], either[1]) if op == "and" else (either[0], both[1])
        if op == "not":
            maybe, maybe_not = truth(children[0], stats, depth + 1)
            return maybe_not, maybe
        return _leaf(op, children, stats)
    except (Unclear, ValueError, TypeError, KeyError, IndexError, AttributeError):
        return UNKNOWN


def _leaf(op: Any, children: list[Any], stats: dict[str, Any]) -> Truth:
    if op == "isNull":
        column = _find(stats["nullCount"], children[0]["name"])
        return column > 0, column < stats["numRecords"]
    if op == "column":
        return UNKNOWN
    left, right = children
    if left["op"] == "literal":
        left, right, op = right, left, _MIRRORED.get(op, op)
    if left["op"] != "column" or right["op"] != "literal":
        raise Unclear
    kind = left.get("valueType") or right["valueType"]
    convert = _CONVERT[kind]
    value, low, high = (
        convert(_text(part))
        for part in (
            right["value"],
            _find(stats["minValues"], left["name"]),
            _find(stats["maxValues"], left["name"]),
        )
    )
    # Rows whose column is NULL make neither true; NaN is above everything in a column and in no bound.
    nan = kind in ("float", "double")
    if nan and value != value:
        raise Unclear
    low, high = _below(kind, low), _above(kind, high)
    return _COMPARED[op](value, low, high, nan)


def _text(value: Any) -> str:
    """A bound or a literal as text; booleans are written in small letters."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, str | int | float):
        return str(value)
    raise Unclear


def _below(kind: str, low: Any) -> Any:
    """A bound that no value of the column is below, whether or not a client rounds constants to float32."""
    return low - _step(low) if kind == "float" else low


def _step(value: float) -> float:
    """At least what rounding to float32 changes, the value itself or what becomes it."""
    return max(abs(value) * 2**-23, 2**-149)


def _above(kind: str, high: Any) -> Any:
    """A bound that no value of the column exceeds: written ones may be cut short."""
    if kind == "float":
        return high + _step(high)
    if kind == "timestamp":
        return high + timedelta(milliseconds=1)
    return high + chr(sys.maxunicode) if kind == "string" and len(high) >= CUT else high


def _find(values: dict[str, Any], name: str) -> Any:
    """A column's entry, whatever the case of its name; a dot leads into a struct."""
    for part in name.split("."):
        named = {key.lower(): value for key, value in values.items()}
        values = named[part.lower()]
    return values


_MIRRORED = {
    "lessThan": "greaterThan",
    "greaterThan": "lessThan",
    "lessThanOrEqual": "greaterThanOrEqual",
    "greaterThanOrEqual": "lessThanOrEqual",
}
_COMPARED: dict[str, Callable[[Any, Any, Any, bool], Truth]] = {
    "equal": lambda v, low, high, nan: (low <= v <= high, nan or not low == v == high),
    "lessThan": lambda v, low, high, nan: (low < v, nan or high >= v),
    "lessThanOrEqual": lambda v, low, high, nan: (low <= v, nan or high > v),
    "greaterThan": lambda v, low, high, nan: (nan or high > v, low <= v),
    "greaterThanOrEqual": lambda v, low, high, nan: (nan or high >= v, low < v),
}
