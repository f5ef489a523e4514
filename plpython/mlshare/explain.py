"""Which columns a model leans on."""

from __future__ import annotations

from collections.abc import Callable, Mapping

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def permutation_importance(
    score: Callable[[Floats], float], x: Floats, spans: Mapping[str, slice], seed: int, repeats: int = 3
) -> dict[str, float]:
    """How much ``score`` of the matrix x [n, F] falls when one raw column is shuffled, by column.

    ``spans`` are the matrix columns of each raw column; the mean of ``repeats``, rounded to 6 digits.
    """
    rng = np.random.default_rng(seed)
    orders = [rng.permutation(len(x)) for _ in range(repeats)]
    whole = score(x)
    return {name: _fall(score, x, span, orders, whole) for name, span in spans.items()}


def _fall(
    score: Callable[[Floats], float], x: Floats, span: slice, orders: list[NDArray[np.int64]], whole: float
) -> float:
    shuffled = x.copy()
    falls = []
    for order in orders:
        shuffled[:, span] = x[order, span]
        falls.append(whole - score(shuffled))
    return float(f"{np.mean(falls):.6g}")
