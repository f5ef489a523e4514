"""Pieces of SQL whose meaning no search_path, setting or name of a column can change."""

from __future__ import annotations

from collections.abc import Sequence

FLOAT = "pg_catalog.float8"
NULL_FLOAT = f"NULL::{FLOAT}"


def operation(left: str, sign: str, right: str) -> str:
    """A binary operator of pg_catalog."""
    return f"({left} OPERATOR(pg_catalog.{sign}) {right})"


def chain(sign: str, parts: Sequence[str]) -> str:
    """The parts joined by an operator of pg_catalog, from left to right."""
    return f"({f' OPERATOR(pg_catalog.{sign}) '.join(parts)})"


def call(function: str, *arguments: str) -> str:
    """A function of pg_catalog."""
    return f"pg_catalog.{function}({', '.join(arguments)})"


def cast(value: str, type_name: str) -> str:
    """A value as a type of pg_catalog."""
    return f"({value})::pg_catalog.{_type(type_name)}"


def _type(name: str) -> str:
    # Bare, char is the standard's character(1).
    return '"char"' if name == "char" else name


def typed(value: str, type_name: str) -> str:
    """A constant of a type of pg_catalog."""
    return f"{literal(value)}::pg_catalog.{_type(type_name)}"


def number(value: float) -> str:
    """A float8 constant, the same to the last bit."""
    return f"'{float(value)!r}'::{FLOAT}"


def whole(value: int) -> str:
    """An integer constant."""
    return str(value) if value >= 0 else f"({value})"


def numbers(values: Sequence[float]) -> str:
    """A float8[] constant."""
    return f"'{{{','.join(repr(float(v)) for v in values)}}}'::{FLOAT}[]"


def literal(text: str) -> str:
    """A string constant, whatever standard_conforming_strings says."""
    doubled = text.replace("'", "''")
    return "E'" + doubled.replace("\\", "\\\\") + "'" if "\\" in text else f"'{doubled}'"


def storable(text: str) -> bool:
    """Whether a value of type text can be equal to it: not with a zero or half a character in it."""
    return "\0" not in text and not any("\ud800" <= c <= "\udfff" for c in text)


def case(branches: Sequence[tuple[str, str]], otherwise: str) -> str:
    """A searched CASE."""
    if not branches:
        return otherwise
    whens = " ".join(f"WHEN {condition} THEN {result}" for condition, result in branches)
    return f"(CASE {whens} ELSE {otherwise} END)"
