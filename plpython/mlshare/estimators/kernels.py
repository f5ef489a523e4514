"""Support vector machines with a Gaussian kernel, for small data."""

from __future__ import annotations

import numpy as np
from sklearn import svm

from mlshare.convert import graph
from mlshare.errors import TrainingDataError
from mlshare.estimators.base import Fitted, Floats, Held, Inside, Params, Problem
from mlshare.estimators.linear import Scorer, calibrate
from mlshare.estimators.scaling import Scaling
from mlshare.estimators.scores import probabilities, scaled, unconverged_is_fine

_CACHE_MB = 200
_ITERATIONS = 100_000
_LOST = 1e-7  # of an exponent


def _gamma(params: Params, x: Floats) -> float:
    """Relative to the number of columns, so that one range suits narrow and wide tables; or of a given width."""
    if "std_dev" in params:
        return float(0.5 / params["std_dev"] ** 2)
    return float(params["gamma"] / x.shape[1])


def _end(params: Params) -> dict[str, float]:
    """When to end."""
    return {"max_iter": params.get("max_iter", _ITERATIONS), "tol": params.get("tol", 1e-3)}


def _one_against_rest(params: Params, gamma: float, n_classes: int, z: Floats, y: Floats, own: Floats | None) -> Floats:
    """Support weights [n, k] of the rows, and the intercepts as a last row: [n + 1, k]."""
    positives = [1] if n_classes == 2 else list(range(n_classes))
    out = np.zeros((len(z) + 1, len(positives)))
    for k, positive in enumerate(positives):
        model = svm.SVC(C=params["C"], gamma=gamma, cache_size=_CACHE_MB, **_end(params))
        with unconverged_is_fine():
            model.fit(z, y == positive, sample_weight=own)
        out[model.support_, k] = model.dual_coef_[0]
        out[-1, k] = model.intercept_[0]
    return out


def _centred(problem: Problem, x: Floats, weights: Floats | None) -> Scaling:
    """Standardised, or only moved, which changes no distance and keeps their digits."""
    scaling = scaled(problem, x, weights)
    return scaling if problem.scaled else Scaling(x.mean(axis=0), scaling.scale)


def _require_precision(gamma: float, z: Floats) -> None:
    """TrainingDataError where distances, which are differences of squares, would be lost in rounding."""
    if gamma * float((z**2).sum(axis=1).max()) * np.finfo(np.float64).eps > _LOST:
        raise TrainingDataError(
            reason="its numbers are too large for a Gaussian kernel of this width",
            hint="Leave PREP_AUTO on, scale the columns, or give a greater SVMS_STD_DEV.",
        )


def _kernel(a: Floats, b: Floats, gamma: float) -> Floats:
    distance = (a**2).sum(axis=1)[:, None] + (b**2).sum(axis=1) - 2 * (a @ b.T)
    return np.asarray(np.exp(-gamma * distance))


def svc(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """SVC, one class against the rest; a logistic layer over its scores gives probabilities."""
    scaling = _centred(problem, x, weights)
    z, gamma = scaling.apply(x), _gamma(params, x)
    _require_precision(gamma, z)

    def fit(rows: Floats, labels: Floats, weights: Floats | None) -> Scorer:
        own = _one_against_rest(params, gamma, problem.n_classes, rows, labels, weights)
        return lambda new: np.asarray(_kernel(new, rows, gamma) @ own[:-1] + own[-1])

    own = _one_against_rest(params, gamma, problem.n_classes, z, y, weights)
    slope, shift = calibrate(problem, fit, z, y, weights)
    return _machine(problem, scaling, gamma, z, own[:-1] @ slope, own[-1] @ slope + shift)


def svr(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Support vector regression of the standardised target."""
    scaling, target = _centred(problem, x, weights), Scaling.of(y, weights)
    z, gamma = scaling.apply(x), _gamma(params, x)
    _require_precision(gamma, z)
    model = svm.SVR(C=params["C"], epsilon=params["epsilon"], gamma=gamma, cache_size=_CACHE_MB, **_end(params))
    with unconverged_is_fine():
        model.fit(z, target.apply(y), sample_weight=weights)
    own = np.zeros((len(z), 1))
    own[model.support_, 0] = model.dual_coef_[0] * target.scale
    return _machine(problem, scaling, gamma, z, own, model.intercept_ * target.scale + target.center)


def _machine(problem: Problem, scaling: Scaling, gamma: float, z: Floats, weights: Floats, bias: Floats) -> Fitted:
    used = np.flatnonzero(np.abs(weights).sum(axis=1) > 0)
    support, own = z[used], weights[used]

    def predict(rows: Floats) -> Floats:
        scores = _kernel(scaling.apply(rows), support, gamma) @ own + bias
        return scores[:, 0] if problem.task == "regression" else probabilities(scores)

    return Fitted(
        predict,
        lambda: graph.kernel_model(problem.task, (scaling.center, scaling.scale), gamma, support, own, bias),
        inside=lambda: Inside(
            settings={"SVMS_STD_DEV": (0.5 / gamma) ** 0.5}, statistics={"NUM_SUPPORT_VECTORS": len(support)}
        ),
    )
