"""Fingerprints of rows: equal for the same rows in any order, different as good as always for others."""

from __future__ import annotations

import hashlib

import numpy as np
from numpy.typing import NDArray

from mlshare.table import Column, Table

Hashes = NDArray[np.uint64]

_MIX = (np.uint64(0xBF58476D1CE4E5B9), np.uint64(0x94D049BB133111EB))  # of splitmix64, by Steele, Lea and Flood
_BYTES = 8


def fingerprints(table: Table, starts: NDArray[np.int64]) -> list[bytes]:
    """16 bytes for each group of consecutive rows; ``starts`` [k] are the first rows of the groups."""
    if not len(starts):
        return []
    rows = np.zeros(len(table), np.uint64)
    for column in sorted(table.columns, key=lambda c: c.name):
        with np.errstate(over="ignore"):
            rows = _mixed(rows ^ (_hashes(column) + _of_text(f"{column.name} {column.kind}")))
    sums = [np.add.reduceat(h, starts) for h in (rows, _mixed(rows))]
    return [b"".join(int(s[i]).to_bytes(_BYTES, "big") for s in sums) for i in range(len(starts))]


def _hashes(column: Column) -> Hashes:
    """A number for each value [n]."""
    if column.values is None:
        assert column.codes is not None
        known = [_of_text(text) for text in column.dictionary]
        return np.array([*known, 0], np.uint64)[column.codes]
    values = np.where(column.values == 0, 0.0, column.values)  # -0.0 is 0
    values[np.isnan(values)] = np.nan  # whichever NaN it was
    return values.view(np.uint64)


def _of_text(text: str) -> np.uint64:
    return np.uint64(int.from_bytes(hashlib.blake2b(text.encode(), digest_size=_BYTES).digest(), "big"))


def _mixed(hashes: Hashes) -> Hashes:
    with np.errstate(over="ignore"):
        for shift, factor in zip((30, 27), _MIX, strict=True):
            hashes = (hashes ^ (hashes >> np.uint64(shift))) * factor
        return hashes ^ (hashes >> np.uint64(31))
