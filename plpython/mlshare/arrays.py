"""Arrays of PostgreSQL as numpy columns: numbers as they are, strings by their hashes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare import errors
from mlshare.table import Column, Kind, Table

UNKNOWN = "\0unknown"  # stands for a string that is not among those asked for; no PostgreSQL text holds \0

# How PostgreSQL lays out a two-dimensional array in memory, behind the four bytes of its length: dimensions, where
# the values start (0: right behind, for no bitmap says which are NULL), their type, two lengths, two lower bounds.
_HEADER = 28
_LENGTH = 4

Hashes = NDArray[np.int64]
_NO_HASH = np.int64(0)  # stands for NULL; a string with this hash is not to be expected


class Lookup:
    """From hashes to codes, positions in a dictionary of strings."""

    def __init__(self, dictionary: tuple[str, ...], hashes: Hashes) -> None:
        order = np.argsort(hashes, kind="stable")
        self._hashes = hashes[order]
        self._codes = order.astype(np.int32)
        self.other = np.int32(len(dictionary))
        self.dictionary = (*dictionary, UNKNOWN)

    def codes(self, hashes: Hashes) -> NDArray[np.int32]:
        if len(self._hashes) == 0:
            return np.where(hashes == _NO_HASH, np.int32(-1), self.other).astype(np.int32)
        at = np.minimum(np.searchsorted(self._hashes, hashes), len(self._hashes) - 1)
        codes = np.where(self._hashes[at] == hashes, self._codes[at], self.other)
        return np.where(hashes == _NO_HASH, np.int32(-1), codes).astype(np.int32)


def matrix(raw: bytes, number: type[np.float64] | type[np.int64], width: int, rows: int) -> NDArray[Any]:
    """The values [rows, width] of an array in memory; of NULL, NaN or 0."""
    if width == 0:
        return np.empty((rows, 0), number)
    dimensions, start = np.frombuffer(raw, np.int32, 2).tolist()
    n, begin = rows * width, start - _LENGTH if start else _HEADER
    if dimensions != 2 or (len(raw) - begin) % 8 or (not start and len(raw) != begin + 8 * n):
        raise errors.MlshareError(detail="an array arrived in an unexpected form")
    given = np.frombuffer(raw, number, offset=begin)
    if not start:
        return given.reshape(rows, width)
    there = np.unpackbits(np.frombuffer(raw, np.uint8, offset=_HEADER), count=n, bitorder="little").view(np.bool_)
    values = np.full(n, np.nan if number is np.float64 else _NO_HASH, number)
    values[there] = given
    return values.reshape(rows, width)


def table(
    columns: Sequence[tuple[str, Kind]], floats: NDArray[Any], hashes: NDArray[Any], lookups: Mapping[str, Lookup]
) -> Table:
    """Columns by name and kind, the numbers and strings of which come in order from two matrices."""
    made: list[Column] = []
    next_float = next_hash = 0
    for name, kind in columns:
        if name in lookups:
            lookup = lookups[name]
            made.append(Column(name, kind, codes=lookup.codes(hashes[:, next_hash]), dictionary=lookup.dictionary))
            next_hash += 1
        else:
            made.append(Column(name, kind, values=floats[:, next_float].copy()))
            next_float += 1
    return Table(tuple(made))


def concatenated(wanted: Sequence[tuple[str, Kind]], batches: list[Table]) -> Table:
    """One table of all batches. Column by column, freeing as it goes: the peak is one column above the data."""
    made: list[Column] = []
    for i, (name, kind) in enumerate(wanted):
        pieces = [b.columns[i] for b in batches]
        if kind in ("category", "text"):
            codes = np.concatenate([p.codes for p in pieces if p.codes is not None] or [np.empty(0, np.int32)])
            dictionary = pieces[0].dictionary if pieces else ()
            made.append(Column(name, kind, codes=codes, dictionary=dictionary))
        else:
            values = np.concatenate([p.values for p in pieces if p.values is not None] or [np.empty(0)])
            made.append(Column(name, kind, values=values))
    return Table(tuple(made))
