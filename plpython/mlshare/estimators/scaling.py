"""Standardisation of matrix columns and of regression targets."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


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
    def none(cls, x: Floats) -> Scaling:
        """One that changes nothing."""
        return cls(np.zeros(x.shape[1:]), np.ones(x.shape[1:]))

    def apply(self, x: Floats) -> Floats:
        """(x - center) / scale."""
        return (x - self.center) / self.scale
