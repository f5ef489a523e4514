"""How one column becomes numbers: a class for each kind, the same for a batch and for one row."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare import text, written
from mlshare.errors import FeatureTypeMismatch, InvalidFeatureValue
from mlshare.table import Column, Kind

Matrix = NDArray[np.float64]
Writer = Callable[[list[float], Any], None]
# What a JSON value is in the matrix; KeyError for one that is not usual.
Reader = Callable[[Any], float]

_CALENDAR = ("year", "month", "day", "weekday")
_BOOLEANS: dict[Any, float] = {True: 1.0, False: 0.0, "t": 1.0, "f": 0.0, "true": 1.0, "false": 0.0}


def _bad(name: str, value: object, expected: str) -> InvalidFeatureValue:
    shown = repr(value)
    return InvalidFeatureValue(column=name, value=shown[:60], expected=expected)


def _strings(column: Column, expected: Kind) -> NDArray[np.int32]:
    if column.codes is None:
        raise FeatureTypeMismatch(column=column.name, type=column.kind, expected=expected)
    return column.codes


def finite(column: Column, expected: Kind, rows: NDArray[np.int64] | slice = slice(None)) -> Matrix:
    """The values of some rows [n], NaN for NULL. Infinity is refused: no mean, distance or tree was fitted for it."""
    if column.values is None:
        raise FeatureTypeMismatch(column=column.name, type=column.kind, expected=expected)
    values: Matrix = column.values[rows]
    if np.isinf(values).any():
        raise _bad(column.name, "infinity", "a finite value")
    return values


@dataclass(frozen=True)
class Numeric:
    """A number or boolean: its value (NULL: ``impute``), then 1 for NULL when ``flag``."""

    name: str
    kind: Kind
    impute: float
    flag: bool

    @property
    def names(self) -> list[str]:
        """Feature names, one for each matrix column."""
        return [self.name, f"{self.name} is null"][: 1 + self.flag]

    def encode(self, column: Column, out: Matrix) -> None:
        """Write the features of all rows into out [n, width]."""
        values = finite(column, self.kind)
        null = np.isnan(values)
        out[:, 0] = np.where(null, self.impute, values)
        if self.flag:
            out[:, 1] = null

    def value(self, value: Any) -> float:
        """The number a JSON value stands for; NaN for NULL."""
        if value is None:
            return math.nan
        try:
            number = written.number(value)
        except (TypeError, ValueError, OverflowError):
            raise _bad(self.name, value, f"a {self.kind} value") from None
        if math.isinf(number):
            raise _bad(self.name, value, "a finite value")
        return number

    def writer(self, at: int) -> Writer:
        """A function that writes one value's features from position ``at`` on."""
        impute, flag, parse = self.impute, self.flag, self.value

        def write(out: list[float], value: Any) -> None:
            number = parse(value)
            if number == number:
                out[at] = number
                return
            out[at] = impute
            if flag:
                out[at + 1] = 1.0

        return write if self.kind == "numeric" else self._boolean_writer(at)

    def _boolean_writer(self, at: int) -> Writer:
        known = _BOOLEANS

        def write(out: list[float], value: Any) -> None:
            if value is None:
                out[at : at + 1 + self.flag] = [self.impute, 1.0][: 1 + self.flag]
            elif isinstance(value, (bool, str, int, float)) and value in known:
                out[at] = known[value]
            else:
                raise _bad(self.name, value, "a boolean value")

        return write


@dataclass(frozen=True)
class Moment:
    """A date or timestamp: seconds since 1970, calendar parts (UTC), then 1 for NULL when ``flag``."""

    name: str
    kind: Kind
    impute: float
    flag: bool

    @property
    def names(self) -> list[str]:
        """Feature names, one for each matrix column."""
        parts = ["epoch", *_CALENDAR, *["hour"][: self.kind == "timestamp"], *["is null"][: self.flag]]
        return [f"{self.name} {part}" for part in parts]

    def encode(self, column: Column, out: Matrix) -> None:
        """Write the features of all rows into out [n, width]."""
        values = finite(column, self.kind)
        null = np.isnan(values)
        seconds = np.where(null, self.impute, values)
        days = np.floor_divide(seconds, 86400.0)  # exact, as seconds / 86400 is not
        out[:, 0] = seconds
        day = days.astype("datetime64[D]")
        month = day.astype("datetime64[M]")
        year = day.astype("datetime64[Y]")
        out[:, 1] = year.astype(np.int64) + 1970
        out[:, 2] = (month - year).astype(np.int64) + 1
        out[:, 3] = (day - month).astype(np.int64) + 1
        out[:, 4] = (days + 3) % 7
        if self.kind == "timestamp":
            out[:, 5] = np.floor((seconds - days * 86400.0) / 3600.0)
        if self.flag:
            out[:, -1] = null

    def value(self, value: Any) -> float:
        """Seconds since 1970 UTC of an ISO date or timestamp; NaN for NULL."""
        if value is None:
            return math.nan
        try:
            return written.seconds(value, self.kind == "date")
        except (TypeError, ValueError):
            raise _bad(self.name, value, f"a {self.kind} in ISO form") from None

    def writer(self, at: int) -> Writer:
        """A function that writes one value's features from position ``at`` on."""
        width = len(self.names)

        def write(out: list[float], value: Any) -> None:
            row = np.zeros((1, width))
            self.encode(Column(self.name, self.kind, values=np.array([self.value(value)])), row)
            out[at : at + width] = row[0].tolist()

        return write


@dataclass(frozen=True)
class Category:
    """One of some strings: a 0/1 feature for each when ``onehot``, else its position (unknown: -1).

    NULL counts as ``impute``, the most frequent one; ``flag`` adds 1 for NULL.
    """

    name: str
    categories: tuple[str, ...]
    impute: str
    onehot: bool
    flag: bool
    kind: Kind = "category"

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each known string stands."""
        return {c: i for i, c in enumerate(self.categories)}

    @property
    def names(self) -> list[str]:
        """Feature names, one for each matrix column."""
        own = [f"{self.name}={c}" for c in self.categories] if self.onehot else [self.name]
        return [*own, *[f"{self.name} is null"][: self.flag]]

    def encode(self, column: Column, out: Matrix) -> None:
        """Write the features of all rows into out [n, width]."""
        codes = _strings(column, self.kind)
        # One entry more than the dictionary: code -1 (NULL) picks the last one.
        known = [self.position.get(s.rstrip(" "), -1) for s in column.dictionary]
        found = np.array([*known, self.position.get(self.impute, -1)], dtype=np.int64)[codes]
        if self.onehot:
            rows = np.flatnonzero(found >= 0)
            out[rows, found[rows]] = 1.0
        else:
            out[:, 0] = found
        if self.flag:
            out[:, -1] = codes < 0

    def writer(self, at: int) -> Writer:
        """A function that writes one value's features from position ``at`` on."""
        position, onehot, null_at = self.position, self.onehot, at + len(self.names) - 1

        def write(out: list[float], value: Any) -> None:
            if value is None:
                value = self.impute
                if self.flag:
                    out[null_at] = 1.0
            elif not isinstance(value, str):
                raise _bad(self.name, value, "a string")
            found = position.get(value.rstrip(" "))
            if onehot:
                if found is not None:
                    out[at + found] = 1.0
            else:
                out[at] = -1.0 if found is None else found

        return write

    def reader(self, at: int = 0) -> Reader:
        """The position of a known string, counted from ``at``."""
        found: dict[Any, int] = {c: at + i for c, i in self.position.items()}
        if not self.flag and self.impute in found:
            found[None] = found[self.impute]
        return found.__getitem__


@dataclass(frozen=True)
class Text:
    """Free text: TF-IDF weights of the words of a vocabulary; NULL is the empty text."""

    name: str
    words: tuple[str, ...]
    idf: tuple[float, ...]
    kind: Kind = "text"

    @cached_property
    def position(self) -> dict[str, int]:
        """Where each known word stands."""
        return {w: i for i, w in enumerate(self.words)}

    @property
    def names(self) -> list[str]:
        """Feature names, one for each matrix column."""
        return [f"{self.name}~{w}" for w in self.words]

    def encode(self, column: Column, out: Matrix) -> None:
        """Write the features of all rows into out [n, width]."""
        codes = _strings(column, self.kind)
        present, at = np.unique(codes, return_inverse=True)
        texts = ["" if code < 0 else column.dictionary[code] for code in present.tolist()]
        out[:] = text.matrix(texts, self.position, self.idf)[at]

    def writer(self, at: int) -> Writer:
        """A function that writes one value's features from position ``at`` on."""

        def write(out: list[float], value: Any) -> None:
            if value is not None and not isinstance(value, str):
                raise _bad(self.name, value, "a string")
            for p, weight in text.vector(value or "", self.position, self.idf):
                out[at + p] = weight

        return write


Feature = Numeric | Moment | Category | Text
