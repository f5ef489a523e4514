"""Arrays of PostgreSQL as numpy columns: numbers as they are, strings by their hashes."""

from __future__ import annotations

import os
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
_ROOM, _MUCH_ROOM = 16, 65_536  # places for each string that is known, as long as there are not too many


class Lookup:
    """From hashes to codes, positions in a dictionary of strings.

    A hash table: a hash is in its slot, or at most ``_longest`` places further on. Slots are drawn by chance, so nobody
    can think of strings that all share one.
    """

    def __init__(self, dictionary: tuple[str, ...], hashes: Hashes) -> None:
        known = np.concatenate([[_NO_HASH], hashes])
        codes = np.arange(-1, len(hashes), dtype=np.int32)
        room = max(2 * len(known), min(_ROOM * len(known), _MUCH_ROOM))
        n_bits = (room - 1).bit_length()
        self._factor, self._shift = np.frombuffer(os.urandom(8), np.uint64)[0] | np.uint64(1), np.uint64(64 - n_bits)
        slots = self._slots(known)
        order, n = np.argsort(slots, kind="stable"), np.arange(len(known))
        places = np.maximum.accumulate(slots[order] - n) + n  # the first that is free, from the slot on
        self._longest = int((places - slots[order]).max())
        # An empty place has no hash, and its code.
        self._hashes = np.full((1 << n_bits) + len(known), _NO_HASH)
        self._codes = np.full(len(self._hashes), -1, np.int32)
        self._hashes[places], self._codes[places] = known[order], codes[order]
        self.other = np.int32(len(dictionary))
        self.dictionary = (*dictionary, UNKNOWN)

    def codes(self, hashes: Hashes) -> NDArray[np.int32]:
        """The code of each hash; -1 of none, ``other`` of one that is not in the dictionary."""
        at = self._slots(hashes)
        for _ in range(self._longest):
            at += self._hashes[at] != hashes
        return np.where(self._hashes[at] == hashes, self._codes[at], self.other)

    def _slots(self, hashes: Hashes) -> NDArray[np.int64]:
        # The first bits of such a product are the same for two hashes as seldom as if they were thrown.
        slots: NDArray[np.int64] = ((hashes.view(np.uint64) * self._factor) >> self._shift).view(np.int64)
        return slots


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
