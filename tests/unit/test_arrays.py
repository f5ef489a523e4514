"""Strings by their hashes."""

from __future__ import annotations

import numpy as np
import pytest

from mlshare.arrays import Lookup

RNG = np.random.default_rng(0)
SMALLEST, LARGEST = -(2**63), 2**63 - 1


def _hashes(n: int) -> np.ndarray:
    return RNG.integers(SMALLEST, LARGEST, n, endpoint=True)


@pytest.mark.parametrize("n", [0, 1, 2, 13, 400, 5000, 100_000])
def test_codes(n: int) -> None:
    known = _hashes(n)
    asked = np.concatenate([known, [0, SMALLEST, -1, 1, LARGEST], _hashes(1000)])
    expected = {int(h): code for code, h in enumerate(known)} | {0: -1}
    found = Lookup(tuple(map(str, range(n))), known).codes(asked)
    assert found.dtype == np.int32
    assert found.tolist() == [expected.get(int(h), n) for h in asked]


@pytest.mark.parametrize("known", [np.arange(1, 50_000) << 14, np.arange(1, 50_000), -(np.arange(1, 50_000) << 40)])
def test_hashes_that_are_alike(known: np.ndarray) -> None:
    """As somebody could choose his strings: they do not share one slot."""
    lookup = Lookup(tuple(map(str, range(len(known)))), known)
    assert lookup.codes(known).tolist() == list(range(len(known)))
    assert lookup.codes(np.array([2**62 + 1, -(2**62) - 1, 0])).tolist() == [len(known), len(known), -1]
    assert lookup._longest < 100


def test_one_slot(monkeypatch: pytest.MonkeyPatch) -> None:
    """All in the last one, so they go on beyond the end of the table."""
    monkeypatch.setattr(Lookup, "_slots", lambda _, hashes: np.full(len(hashes), 2047))
    known = _hashes(100)
    lookup = Lookup(tuple(map(str, range(100))), known)
    assert lookup.codes(known[::-1]).tolist() == list(range(100))[::-1]
    assert lookup.codes(np.array([5, 0])).tolist() == [100, -1]


def test_no_hashes() -> None:
    assert Lookup(("a",), np.array([7])).codes(np.empty(0, np.int64)).tolist() == []


def test_a_string_with_the_hash_of_none() -> None:
    assert Lookup(("a", "b"), np.array([0, 7])).codes(np.array([0, 7])).tolist() == [-1, 1]
