"""Generalised linear models: logistic and linear regression, with the covariance of what they estimate.

scikit-learn is imported where it is used: without it, a process that adds one partition starts much sooner.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from mlshare.covariance import MOST_PARAMETERS, Covariance
from mlshare.estimators import newton
from mlshare.estimators.base import Fitted, Floats, Held, Params, Problem
from mlshare.estimators.scaling import Scaling
from mlshare.estimators.scores import affine, probabilities, scaled, unconverged_is_fine

Mask = NDArray[np.bool_]

_NARROW = 64  # columns up to which Newton's method is the fastest
_ITERATIONS = 300
_DEPENDENT = 1e-10  # share of a column's variance that the columns before it leave unexplained


@dataclass(frozen=True)
class _Solved:
    """Coefficients [F, k] and intercepts [k] of scaled columns, and how the search for them ended."""

    coefficients: Floats
    intercepts: Floats
    iterations: int
    converged: bool
    information: Floats | None = None


def logistic(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Logistic regression, multinomial for more than two classes; C None is without a penalty.

    Without one, a column that depends on those before it gets no coefficient, and the covariance is kept.
    """
    scaling = scaled(problem, x, weights)
    z, free = scaling.apply(x), params["C"] is None
    kept = independent(z, weights) if free else np.ones(z.shape[1], dtype=bool)
    used = z if kept.all() else z[:, kept]
    narrow = problem.n_classes == 2 and used.shape[1] <= _NARROW
    found = (_by_newton if narrow else _by_gradients)(params, used, y, weights)
    covariance = None
    if free:
        information = found.information
        if information is None:
            information = _information(used, used @ found.coefficients + found.intercepts, weights)
        covariance = _covariance(scaling, information, kept, len(found.intercepts), None)
    whole = _spread(found.coefficients, kept)
    return affine(problem, scaling, whole, found.intercepts, found.iterations, found.converged, covariance)


def _by_newton(params: Params, z: Floats, y: Floats, weights: Floats | None) -> _Solved:
    ridge = 0.0 if params["C"] is None else 1.0 / params["C"]
    found = newton.solve(z, y, weights, ridge, params.get("tol", 1e-7), int(params.get("max_iter", _ITERATIONS)))
    return _Solved(found.weights[:-1, None], found.weights[-1:], found.iterations, found.converged, found.information)


def _by_gradients(params: Params, z: Floats, y: Floats, weights: Floats | None) -> _Solved:
    from sklearn import linear_model

    free, most = params["C"] is None, int(params.get("max_iter", _ITERATIONS))
    tolerance = params.get("tol", 1e-6 if free else 1e-4)
    model = linear_model.LogisticRegression(C=np.inf if free else params["C"], max_iter=most, tol=tolerance)
    with unconverged_is_fine():
        model.fit(z, y, sample_weight=weights)
    iterations = int(model.n_iter_.max())
    return _Solved(model.coef_.T, model.intercept_, iterations, iterations < most)


def least_squares(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Linear regression of the standardised target.

    ``alpha`` is a shrinkage for each row, so that dependent columns do no harm; ``ridge`` one for all rows together.
    With ridge 0, a column that depends on those before it gets no coefficient, and the covariance is kept.
    """
    from sklearn import linear_model

    scaling, target = scaled(problem, x, weights), Scaling.of(y, weights)
    z = scaling.apply(x)
    alpha = params["ridge"] if "ridge" in params else params["alpha"] * len(x)
    kept = np.ones(z.shape[1], dtype=bool) if alpha else independent(z, weights)
    used = z if kept.all() else z[:, kept]
    model = linear_model.Ridge(alpha=alpha) if alpha else linear_model.LinearRegression()
    model.fit(used, target.apply(y), sample_weight=weights)
    own = np.asarray(model.coef_)[:, None] * target.scale
    intercepts = np.array([model.intercept_ * target.scale + target.center])
    covariance = None
    freedom = len(y) - used.shape[1] - 1
    if not alpha and freedom > 0:
        variance = _residual(y - (used @ own[:, 0] + intercepts[0]), weights) / freedom
        covariance = _covariance(scaling, _gram(used, weights) / variance, kept, 1, freedom) if variance else None
    return affine(problem, scaling, _spread(own, kept), intercepts, covariance=covariance)


def _residual(differences: Floats, weights: Floats | None) -> float:
    """The sum of squares."""
    return float(differences @ (differences if weights is None else differences * weights))


def independent(z: Floats, weights: Floats | None) -> Mask:
    """Which columns are no linear combination of the intercept and the columns before them."""
    centred = z - np.average(z, axis=0, weights=weights)
    moments = centred.T @ (centred if weights is None else centred * weights[:, None])
    lengths = np.sqrt(moments.diagonal())
    still = lengths <= 1e-12 * np.sqrt(len(z)) * np.maximum(1.0, np.abs(z).max(axis=0))
    lengths[still] = 1.0
    correlations = moments / lengths[:, None] / lengths
    kept: Mask = ~still
    return kept if kept.all() and _regular(correlations) else _swept(correlations, kept)


def _regular(correlations: Floats) -> bool:
    """Whether something is left of every column: the squares on the diagonal of Cholesky's factor are these shares."""
    try:
        return bool(np.linalg.cholesky(correlations).diagonal().min() > _DEPENDENT**0.5)
    except np.linalg.LinAlgError:
        return False


def _swept(correlations: Floats, kept: Mask) -> Mask:
    """Gaussian elimination column by column, leaving out those that nothing is left of."""
    left = correlations.copy()
    for j in range(len(left)):
        if not kept[j] or left[j, j] <= _DEPENDENT:
            kept[j] = False
            continue
        left -= np.outer(left[:, j], left[j] / left[j, j])
    return kept


def _gram(z: Floats, weights: Floats | None) -> Floats:
    x = np.column_stack([z, np.ones(len(z))])
    return np.asarray(x.T @ (x if weights is None else x * weights[:, None]))


def _information(z: Floats, scores: Floats, weights: Floats | None) -> Floats | None:
    """Fisher's information about the coefficients of all scores, those of one score side by side."""
    shares = probabilities(scores)
    if scores.shape[1] == 1:
        shares = shares[:, 1:]
    k, width = scores.shape[1], z.shape[1] + 1
    if k * width > MOST_PARAMETERS:
        return None
    own = np.ones(len(z)) if weights is None else weights
    out = np.zeros((k, width, k, width))
    for a in range(k):
        for b in range(a, k):
            curvature = own * shares[:, a] * ((a == b) - shares[:, b])
            out[a, :, b] = out[b, :, a] = _gram(z, curvature)
    return out.reshape(k * width, k * width)


def _covariance(
    scaling: Scaling, information: Floats | None, kept: Mask, k: int, freedom: int | None
) -> Covariance | None:
    """The inverse of the information, zero for columns without coefficient; None where it says nothing."""
    used = np.tile(np.append(kept, True), k)
    if information is None or len(used) > MOST_PARAMETERS:
        return None
    # The scores of several classes may all be moved together: only the differences are known.
    inverse = np.linalg.pinv(information, hermitian=True) if k > 1 else _inverse(information)
    if inverse is None or not np.isfinite(inverse).all() or (inverse.diagonal() < 0).any():
        return None
    matrix = np.zeros((len(used), len(used)))
    matrix[np.ix_(used, used)] = (inverse + inverse.T) / 2
    return Covariance(scaling.center, scaling.scale, matrix, freedom)


def _inverse(information: Floats) -> Floats | None:
    try:
        return np.asarray(np.linalg.inv(information))
    except np.linalg.LinAlgError:
        return None


def _spread(coefficients: Floats, kept: Mask) -> Floats:
    """Coefficients [F, k] of all columns: 0 for those not kept."""
    out = np.zeros((len(kept), coefficients.shape[1]))
    out[kept] = coefficients
    return out
