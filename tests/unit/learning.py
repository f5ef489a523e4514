"""Small tables for the tests of the learning plane."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from mlshare.table import Column, Kind, Table


def strings(name: str, values: Sequence[str | None], kind: Kind = "category") -> Column:
    """A column of strings; None is NULL."""
    distinct = tuple(sorted({v for v in values if v is not None}))
    place = {v: i for i, v in enumerate(distinct)}
    codes = np.array([-1 if v is None else place[v] for v in values], dtype=np.int32)
    return Column(name, kind, codes=codes, dictionary=distinct)


def numbers(name: str, values: Sequence[float | None], kind: Kind = "numeric") -> Column:
    """A column of numbers; None is NULL."""
    return Column(name, kind, values=np.array([np.nan if v is None else v for v in values], dtype=np.float64))


def mixed(n: int, seed: int = 0) -> Table:
    """n rows of every kind, with NULLs, and targets: "two" and "three" classes, "amount"."""
    rng = np.random.default_rng(seed)
    a, b = rng.normal(size=n), rng.normal(size=n) * 1e4 + 5e4
    color = rng.choice(["red", "green", "blue"], n)
    words = rng.choice(["good", "bad", "fast", "slow", "new", "old"], (n, 4))
    score = a + (color == "red") + 0.4 * rng.normal(size=n)
    gap = rng.random(n) < 0.05
    return Table(
        (
            numbers("a", np.where(gap, np.nan, a).tolist()),
            numbers("b", b.tolist()),
            numbers("flag", (b > 5e4).astype(float).tolist(), "boolean"),
            numbers("day", (rng.integers(-9_000, 20_000, n) * 86400.0).tolist(), "date"),
            numbers("at", rng.integers(0, 2_000_000_000, n).astype(float).tolist(), "timestamp"),
            strings("color", [None if g else c for g, c in zip(gap, color.tolist(), strict=True)]),
            strings("words", [" ".join(w) for w in words.tolist()], "text"),
            strings("two", np.where(score > 0, "yes", "no").tolist()),
            numbers("three", np.digitize(score, [-0.5, 0.8]).astype(float).tolist()),
            numbers("amount", (1e5 + 1e3 * score).tolist()),
        )
    )


def only(table: Table, *names: str) -> Table:
    """Some columns."""
    return Table(tuple(table[n] for n in names))


FEATURES = ("a", "b", "flag", "day", "at", "color", "words")
