"""Linear models and naive Bayes, fitted on standardised columns and folded back onto raw ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from sklearn import linear_model, naive_bayes, svm

from mlshare.convert import graph
from mlshare.estimators.base import Fitted, Floats, Held, Inside, Moments, Params, Problem
from mlshare.estimators.scaling import Scaling
from mlshare.estimators.scores import affine, scaled, unconverged_is_fine
from mlshare.sampling import folds

Scorer = Callable[[Floats], Floats]

_FOLDS = 3


def _end(params: Params) -> dict[str, float]:
    """When to end."""
    return {"max_iter": params.get("max_iter", 1000), "tol": params.get("tol", 1e-4)}


def linear_svr(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Linear support vector regression."""
    scaling, target = scaled(problem, x, weights), Scaling.of(y, weights)
    # The squared loss is solved in the primal, whose cost is linear in the rows.
    model = svm.LinearSVR(
        C=params["C"],
        epsilon=params["epsilon"],
        loss="squared_epsilon_insensitive",
        dual=False,
        random_state=problem.seed,
        **_end(params),
    )
    with unconverged_is_fine():
        model.fit(scaling.apply(x), target.apply(y), sample_weight=weights)
    slopes = np.asarray(model.coef_).reshape(-1, 1) * target.scale
    return affine(problem, scaling, slopes, model.intercept_ * target.scale + target.center)


def linear_svc(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Linear support vector classifier; a logistic layer over its scores gives probabilities."""
    scaling = scaled(problem, x, weights)
    z = scaling.apply(x)

    def fit(rows: Floats, labels: Floats, weights: Floats | None) -> Any:
        penalty = params.get("penalty", "l2")
        model = svm.LinearSVC(C=params["C"], penalty=penalty, dual=False, random_state=problem.seed, **_end(params))
        with unconverged_is_fine():
            return model.fit(rows, labels, sample_weight=weights)

    model = fit(z, y, weights)
    slopes, bias = model.coef_.T, model.intercept_
    slope, shift = calibrate(problem, lambda *given: _scores(fit(*given)), z, y, weights)
    return affine(problem, scaling, slopes @ slope, bias @ slope + shift)


def _scores(model: Any) -> Scorer:
    return lambda z: np.asarray(z @ model.coef_.T + model.intercept_)


def calibrate(
    problem: Problem,
    fit: Callable[[Floats, Floats, Floats | None], Scorer],
    z: Floats,
    y: Floats,
    weights: Floats | None,
) -> tuple[Floats, Floats]:
    """A logistic layer (slope [k, k], shift [k]) over the scores that ``fit`` gives rows it did not see.

    Where a class is too small for that, over the scores of the rows it saw.
    """
    scores = None
    everything = np.arange(len(y))
    enough = np.bincount(y.astype(np.int64)).min() >= _FOLDS
    for train, test in folds(y, _FOLDS, problem.seed, stratified=True) if enough else [(everything, everything)]:
        part = fit(z[train], y[train], None if weights is None else weights[train])(z[test])
        if scores is None:
            scores = np.zeros((len(y), part.shape[1]))
        scores[test] = part
    model = linear_model.LogisticRegression(C=100.0, max_iter=300)
    with unconverged_is_fine():
        model.fit(scores, y, sample_weight=weights)
    return model.coef_.T, model.intercept_


def gaussian_nb(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """Gaussian naive Bayes."""
    scaling = scaled(problem, x, weights)
    model = naive_bayes.GaussianNB(var_smoothing=params["var_smoothing"]).fit(scaling.apply(x), y, weights)
    precision = 1.0 / model.var_.T
    bias = np.log(model.class_prior_) - 0.5 * (
        np.log(2 * np.pi * model.var_).sum(axis=1) + (model.theta_**2 / model.var_).sum(axis=1)
    )
    return Fitted(
        lambda rows: np.asarray(model.predict_proba(scaling.apply(rows))),
        lambda: graph.gaussian_model(scaling.center, scaling.scale, -0.5 * precision, model.theta_.T * precision, bias),
        inside=lambda: Inside(moments=_moments(model, scaling)),
    )


def _moments(model: Any, scaling: Scaling) -> Moments:
    scale = scaling.scale[:, None]
    return Moments(model.class_prior_, model.theta_.T * scale + scaling.center[:, None], model.var_.T * scale**2)
