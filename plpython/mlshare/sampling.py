"""Choosing rows: samples and folds, reproducible from a seed."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.int64]


def _dealt(y: NDArray[np.float64], seed: int, stratified: bool) -> NDArray[np.float64]:
    """For each row its place, 0 to 1, in a shuffle of all rows or of its class."""
    rng = np.random.default_rng(seed)
    place = np.empty(len(y))
    groups = [np.flatnonzero(y == c) for c in np.unique(y)] if stratified else [np.arange(len(y))]
    for group in groups:
        place[group] = (rng.permutation(len(group)) + 0.5) / len(group)
    return place


def folds(y: NDArray[np.float64], n: int, seed: int, stratified: bool) -> Iterator[tuple[Rows, Rows]]:
    """(train, test) rows of n folds; a class of at least n rows is in every part when stratified."""
    part = np.minimum((_dealt(y, seed, stratified) * n).astype(np.int64), n - 1)
    for k in range(n):
        yield np.flatnonzero(part != k), np.flatnonzero(part == k)


def holdout(y: NDArray[np.float64], share: float, seed: int, stratified: bool) -> tuple[Rows, Rows]:
    """(train, held) rows; every class keeps rows for training."""
    held = _dealt(y, seed, stratified) < share
    return np.flatnonzero(~held), np.flatnonzero(held)


def sample(y: NDArray[np.float64], size: int, seed: int, stratified: bool, least: int = 20) -> Rows:
    """About ``size`` rows in their order, at least ``least`` (or all) of every class when stratified."""
    if len(y) <= size:
        return np.arange(len(y))
    place = _dealt(y, seed, stratified)
    share = np.full(len(y), size / len(y))
    if stratified:
        _, at, counts = np.unique(y, return_inverse=True, return_counts=True)
        share = np.maximum(share, (least / counts)[at])
    return np.flatnonzero(place < share)
