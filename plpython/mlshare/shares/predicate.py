"""The conditions of a WHERE clause that a server and Parquet statistics can use: comparisons joined by AND."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

Condition = tuple[str, str, Any]
_NAME = r"(?P<name>\"(?:[^\"]|\"\")+\"|[a-z_][a-z0-9_]*)"
_VALUE = r"(?P<value>'(?:[^']|'')*'|[+-]?\d+)"
_CONDITION = re.compile(rf"\s*{_NAME}\s*(?P<op><=|>=|=|<|>)\s*{_VALUE}\s*", re.I)
_OPS = {"=": "equal", "<": "lessThan", "<=": "lessThanOrEqual", ">": "greaterThan", ">=": "greaterThanOrEqual"}
_WHOLE = ("long", "integer", "short", "byte")


def conditions(clause: str | None, kinds: Mapping[str, Any]) -> list[Condition]:
    """Comparisons of whole numbers and text columns with constants; kinds: Delta's type by name.

    The clause is split at AND only if that cannot be inside of anything else; PostgreSQL applies the whole clause
    to the rows anyway, so what is not understood here only fetches more.
    """
    if not clause or re.search(r"[()]|\b(or|not|between|case)\b|--|/\*|\$|\\", clause, re.I):
        return []
    if re.search(r"'[^']*\band\b[^']*'", clause, re.I):
        return []
    found = [_CONDITION.fullmatch(part) for part in re.split(r"\band\b", clause, flags=re.I)]
    return [c for matched in found if matched and (c := _typed(matched, kinds))]


def _typed(matched: re.Match[str], kinds: Mapping[str, Any]) -> Condition | None:
    written, value = matched["name"], matched["value"]
    name = written[1:-1].replace('""', '"') if written.startswith('"') else written.lower()
    kind = kinds.get(name)
    quoted = value.startswith("'")
    # Texts compare by the database's collation here and by code points there: only equality is the same.
    if kind == "string" and quoted and matched["op"] == "=":
        return name, "=", value[1:-1].replace("''", "'")
    return (name, matched["op"], int(value)) if kind in _WHOLE and not quoted else None


def hints(found: list[Condition], kinds: Mapping[str, Any]) -> dict[str, Any]:
    """The body of a query that says so; the server may leave out files, or not."""
    if not found:
        return {}
    trees = [_tree(name, op, value, str(kinds[name])) for name, op, value in found]
    return {"jsonPredicateHints": json.dumps(trees[0] if len(trees) == 1 else {"op": "and", "children": trees})}


def _tree(name: str, op: str, value: Any, kind: str) -> dict[str, Any]:
    known = {"integer": "int", "short": "int", "byte": "int"}.get(kind, kind)
    column = {"op": "column", "name": name, "valueType": known}
    return {"op": _OPS[op], "children": [column, {"op": "literal", "value": str(value), "valueType": known}]}
