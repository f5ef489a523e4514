"""Standardisation of matrix columns and of regression targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]

_NEAREST = 1e-9  # spread, as a part of the distance from zero


@dataclass(frozen=True)
class Scaling:
    """Centre and scale: of every matrix column, or of a regression target."""

    center: Floats
    scale: Floats

    @classmethod
    def of(cls, x: Floats, weights: Floats | None = None) -> Scaling:
        """Mean and standard deviation, 1 where a column is constant; rows count by their weights [n]."""
        center = np.average(x, axis=0, weights=weights)
        scale = x.std(axis=0) if weights is None else np.sqrt(np.average((x - center) ** 2, axis=0, weights=weights))
        still = ~(scale > 1e-12 * np.maximum(1.0, np.abs(center)))
        return cls(center, np.where(still, 1.0, scale))

    @classmethod
    def of_columns(cls, x: Floats, weights: Floats | None = None) -> Scaling:
        """The same, but columns far from zero for their spread hardly count: on raw ones digits would be lost."""
        found = cls.of(x, weights)
        distance = np.abs(found.center)
        return cls(found.center, np.where(found.scale < _NEAREST * distance, distance, found.scale))

    @classmethod
    def none(cls, x: Floats) -> Scaling:
        """One that changes nothing."""
        return cls(np.zeros(x.shape[1:]), np.ones(x.shape[1:]))

    def apply(self, x: Floats) -> Floats:
        """(x - center) / scale."""
        return (x - self.center) / self.scale
