"""How certain the coefficients of a linear model are: kept in its model file, read to bound predictions."""

from __future__ import annotations

import base64
import binascii
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare.errors import InvalidModelMetadata

Floats = NDArray[np.float64]

FIELDS = {"center", "scale", "matrix", "freedom"}
MOST_PARAMETERS = 512  # two megabytes; a model with more coefficients goes without


def scores(classes: Sequence[Any] | None) -> int:
    """How many scores a model has: one for a value or two classes, else one for each class."""
    return 1 if classes is None or len(classes) == 2 else len(classes)


@dataclass(frozen=True)
class Covariance:
    """Of the coefficients over z = (x - center) / scale of the encoded columns x [F].

    ``matrix`` [k (F + 1), k (F + 1)] has a block for each of the k scores, the intercept last in each;
    ``freedom`` is what a regression's estimate of the error rests on (None: the normal distribution holds).
    """

    center: Floats
    scale: Floats
    matrix: Floats
    freedom: int | None = None

    def deviation(self, x: Floats, gradient: Floats) -> float:
        """The standard error of gradient [k] · scores, for one row of encoded columns x [F]."""
        z = np.append((x - self.center) / self.scale, 1.0)
        direction = np.kron(gradient, z)
        return math.sqrt(max(0.0, float(direction @ self.matrix @ direction)))

    def to_json(self) -> dict[str, Any]:
        """A JSON object that from_json reads back: float64 numbers in base64, the matrix by its lower triangle."""
        lower = self.matrix[np.tril_indices(len(self.matrix))]
        packed = {"center": _packed(self.center), "scale": _packed(self.scale), "matrix": _packed(lower)}
        return {**packed, "freedom": self.freedom}

    @classmethod
    def from_json(cls, document: Any, n_features: int, n_scores: int) -> Covariance:
        """Read to_json's object of a model of that shape; anything else raises InvalidModelMetadata."""
        if not isinstance(document, dict) or document.keys() != FIELDS:
            raise _bad("it has other fields")
        n = n_scores * (n_features + 1)
        if n > MOST_PARAMETERS:
            raise _bad("it is too large")
        center, scale = (_unpacked(document, name, n_features) for name in ("center", "scale"))
        lower = _unpacked(document, "matrix", n * (n + 1) // 2)
        matrix = np.zeros((n, n))
        matrix[np.tril_indices(n)] = lower
        matrix += np.tril(matrix, -1).T
        if (scale <= 0).any() or (matrix.diagonal() < 0).any():
            raise _bad("a scale or a variance is not above 0")
        return cls(center, scale, matrix, _freedom(document["freedom"]))


def _freedom(value: Any) -> int | None:
    if value is not None and (type(value) is not int or not 0 < value < 2**53):
        raise _bad("its freedom is not a whole number above 0")
    return value


def _packed(values: Floats) -> str:
    return base64.b64encode(np.ascontiguousarray(values, dtype="<f8").tobytes()).decode()


def _unpacked(document: Mapping[str, Any], name: str, length: int) -> Floats:
    try:
        data = base64.b64decode(document[name], validate=True)
    except (TypeError, ValueError, binascii.Error):
        raise _bad(f"{name} is not in base64") from None
    if len(data) != 8 * length:
        raise _bad(f"{name} does not fit the model")
    values = np.frombuffer(data, dtype="<f8").astype(np.float64)
    if not np.isfinite(values).all():
        raise _bad(f"{name} holds numbers that are not finite")
    return values


def _bad(reason: str) -> InvalidModelMetadata:
    return InvalidModelMetadata(reason=f"covariance: {reason}")
