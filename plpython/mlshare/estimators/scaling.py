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
    def of(cls, x: Floats) -> Scaling:
        """Mean and standard deviation, 1 where a column is constant."""
        center = x.mean(axis=0)
        scale = x.std(axis=0)
        still = ~(scale > 1e-12 * np.maximum(1.0, np.abs(center)))
        return cls(center, np.where(still, 1.0, scale))

    def apply(self, x: Floats) -> Floats:
        """(x - center) / scale."""
        return (x - self.center) / self.scale
