"""The simple SQL of predicateHints as the same trees that jsonPredicateHints have."""

from __future__ import annotations

import re
from typing import Any

from mlshare_server.server.hints import HINT_BYTES, few

_NAME = r"(?P<name>`[^`]+`|\"[^\"]+\"|[A-Za-z_][\w.]*)"
_VALUE = r"(?:(?P<kind>date|timestamp)\s*)?(?P<value>'(?:[^']|'')*'|[+-]?\d+(?:\.\d+)?|true|false)"
_COMPARISON = re.compile(rf"{_NAME}\s*(?P<op><=|>=|=|<|>|!=|<>)\s*{_VALUE}", re.I)
_NULL = re.compile(rf"{_NAME}\s+IS\s+(?P<negated>NOT\s+)?NULL", re.I)
_OPS = {"=": "equal", "<": "lessThan", "<=": "lessThanOrEqual", ">": "greaterThan", ">=": "greaterThanOrEqual"}


def predicate(hints: Any, schema: dict[str, Any]) -> dict[str, Any] | None:
    """All hints that compare a column with a constant, or say IS [NOT] NULL, joined by AND; other hints are left out.

    A hint is one condition, or several with AND between them and no parentheses.
    """
    if not isinstance(hints, list):
        return None
    kinds = {field["name"].lower(): field["type"] for field in schema.get("fields", ())}
    texts = [hint for hint in hints if isinstance(hint, str) and len(hint) <= HINT_BYTES]
    made = {"op": "and", "children": [tree for text in texts for tree in _conditions(text, kinds)]}
    return made if made["children"] and few(made) else None


def _conditions(text: str, kinds: dict[str, Any]) -> list[dict[str, Any]]:
    """The conditions of one hint; none if one is anything else: a piece of NOT (a AND b) says nothing by itself."""
    # Split only where no string constant can hold the word.
    parts = re.split(r"\sAND\s", text, flags=re.I) if "'" not in text else [text]
    found = [tree for part in parts if (tree := _condition(part.strip(), kinds))]
    return found if len(found) == len(parts) else []


def _condition(text: str, kinds: dict[str, Any]) -> dict[str, Any] | None:
    if matched := _NULL.fullmatch(text):
        tree = {"op": "isNull", "children": [_column(matched["name"], kinds)]}
        return {"op": "not", "children": [tree]} if matched["negated"] else tree
    if not (matched := _COMPARISON.fullmatch(text)):
        return None
    column = _column(matched["name"], kinds)
    value = matched["value"]
    text_value = value[1:-1].replace("''", "'") if value.startswith("'") else value
    literal = {"op": "literal", "value": text_value, "valueType": column["valueType"]}
    op = _OPS.get(matched["op"], "equal")
    tree = {"op": op, "children": [column, literal]}
    return {"op": "not", "children": [tree]} if matched["op"] in ("!=", "<>") else tree


def _column(name: str, kinds: dict[str, Any]) -> dict[str, Any]:
    bare = name.strip('`"')
    kind = kinds.get(bare.lower())
    return {"op": "column", "name": bare, "valueType": kind if isinstance(kind, str) else "unknown"}
