"""The kinds of values that settings have: how a text is read, and how the choice is told."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol


class Kind(Protocol):
    """A kind of value."""

    @property
    def words(self) -> str:
        """What a value must be, for messages and documentation."""
        ...

    def read(self, text: str) -> Any:
        """The value of a text; ValueError if it is of another kind."""
        ...


@dataclass(frozen=True)
class Whole:
    """A whole number, both bounds included."""

    low: int
    high: int = 2**31 - 1

    @property
    def words(self) -> str:
        return f"a whole number from {self.low} to {self.high}"

    def read(self, text: str) -> int:
        number = float(text)
        if not number.is_integer() or not self.low <= number <= self.high:
            raise ValueError
        return int(number)


@dataclass(frozen=True)
class Real:
    """A number between two bounds; ``closed`` ones included."""

    low: float
    high: float = math.inf
    closed: bool = False

    @property
    def words(self) -> str:
        above = "from" if self.closed else "above"
        below = "to" if self.closed else "below"
        return f"a number {above} {self.low:g}" + (f" {below} {self.high:g}" if math.isfinite(self.high) else "")

    def read(self, text: str) -> float:
        number = float(text)
        inside = self.low < number < self.high or (self.closed and number in (self.low, self.high))
        if not inside or not math.isfinite(number):
            raise ValueError
        return number


@dataclass(frozen=True)
class OneOf:
    """One of some symbols, in any letter case, each with the value it stands for."""

    symbols: Mapping[str, Any]

    @property
    def words(self) -> str:
        return ", ".join(self.symbols)

    def read(self, text: str) -> Any:
        for symbol, value in self.symbols.items():
            if symbol.lower() == text.lower():
                return value
        raise ValueError


@dataclass(frozen=True)
class ListOf:
    """Some values of a kind, with commas between them."""

    kind: Kind

    @property
    def words(self) -> str:
        return f"a list with commas, each {self.kind.words}"

    def read(self, text: str) -> tuple[Any, ...]:
        return tuple(self.kind.read(part.strip()) for part in text.split(","))


@dataclass(frozen=True)
class Name:
    """Any name."""

    @property
    def words(self) -> str:
        return "a name"

    def read(self, text: str) -> str:
        if not text or "\0" in text:
            raise ValueError
        return text


@dataclass(frozen=True)
class Columns:
    """Names of columns, as SQL writes them: what is not in double quotes is folded to lower case."""

    most: int

    @property
    def words(self) -> str:
        return "a column" if self.most == 1 else f"one to {self.most} columns with commas between them"

    def read(self, text: str) -> tuple[str, ...]:
        names = [_identifier(part.strip()) for part in _parts(text)]
        if not 0 < len(names) <= self.most or len(set(names)) < len(names):
            raise ValueError
        return tuple(names)


def _parts(text: str) -> list[str]:
    """The text between commas that are not in double quotes."""
    parts, quoted = [""], False
    for letter in text:
        quoted ^= letter == '"'
        if letter == "," and not quoted:
            parts.append("")
        else:
            parts[-1] += letter
    return parts


def _identifier(text: str) -> str:
    if text.startswith('"'):
        inner = text[1:-1]
        if len(text) < 3 or not text.endswith('"') or '"' in inner.replace('""', ""):
            raise ValueError
        return inner.replace('""', '"')
    if not text or '"' in text or "\0" in text:
        raise ValueError
    return text.lower()
