"""Linear classifiers over the same numbers, one for each partition, for all rows at once.

A run of a model for the few rows of each of a thousand partitions takes longer than their sums.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from mlshare.encoding import Encoder, fitting
from mlshare.features import Matrix, Numeric, finite
from mlshare.linear import Linear
from mlshare.table import Kind, Table

Positions = NDArray[np.int64]

_ROWS = 32_768  # at a time, so that what is worked out stays in the processor's cache


class Terms(NamedTuple):
    """What each column of a row adds to its score: its value times ``weights`` [F], or ``nulls`` [F] for NULL."""

    columns: tuple[tuple[str, Kind], ...]
    weights: list[float]
    nulls: list[float]
    start: float


def terms(found: Linear, encoder: Encoder) -> Terms | None:
    """The terms of a linear classifier of two classes; None if a column of it is no number."""
    features = [f for f in encoder.features if isinstance(f, Numeric)]
    if len(found.scores) != 1 or len(features) < len(encoder.features):
        return None
    ((own, start),) = found.scores
    at = [encoder.spans[f.name].start for f in features]
    nulls = [f.impute * own[i] + (own[i + 1] if f.flag else 0.0) for f, i in zip(features, at, strict=True)]
    return Terms(tuple((f.name, f.kind) for f in features), [own[i] for i in at], nulls, start)


@dataclass(frozen=True)
class Stack:
    """The terms of P classifiers: ``weights`` and ``nulls`` [F, P], ``starts`` [P]."""

    columns: tuple[tuple[str, Kind], ...]
    weights: Matrix
    nulls: Matrix
    starts: NDArray[np.float64]

    @classmethod
    def of(cls, each: Sequence[Terms]) -> Stack | None:
        """None if they do not take the same columns."""
        if len({t.columns for t in each}) != 1:
            return None
        weights, nulls = (np.array(m).T.copy() for m in ([t.weights for t in each], [t.nulls for t in each]))
        return cls(each[0].columns, weights, nulls, np.array([t.start for t in each]))

    def probabilities(self, table: Table, rows: Positions, models: Positions) -> Matrix:
        """Of both classes [n, 2] for some rows [n], each by one of the classifiers [n].

        Errors: MissingFeature, FeatureTypeMismatch, InvalidFeatureValue.
        """
        columns = [fitting(table[name], kind) for name, kind in self.columns]
        out = np.empty((len(rows), 2))
        for first in range(0, len(rows), _ROWS):
            some, by = rows[first : first + _ROWS], models[first : first + _ROWS]
            score = np.zeros(len(some))
            for column, (_, kind), weights, nulls in zip(columns, self.columns, self.weights, self.nulls, strict=True):
                values = finite(column, kind, some)
                null = np.isnan(values)
                term = values * weights[by]
                score += np.where(null, nulls[by], term) if null.any() else term
            _sigmoid(score + self.starts[by], out[first : first + _ROWS])
        return out


def _sigmoid(score: NDArray[np.float64], out: Matrix) -> None:
    """Both probabilities of a score, without overflow."""
    share = np.exp(-np.abs(score))
    out[:, 1] = np.where(score > 0, 1.0, share) / (1.0 + share)
    np.subtract(1.0, out[:, 1], out=out[:, 0])
