"""What linear scores come to: probabilities, and a fitted model with its graph."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager

import numpy as np

from mlshare.convert import graph
from mlshare.covariance import Covariance
from mlshare.errors import TrainingDataError
from mlshare.estimators.base import Fitted, Floats, Inside, Problem
from mlshare.estimators.scaling import Scaling

_LARGEST = 1e15  # without standardisation


@contextmanager
def unconverged_is_fine() -> Iterator[None]:
    """The iteration limit bounds the time on purpose; the search judges what comes out."""
    from sklearn.exceptions import ConvergenceWarning

    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        yield


def probabilities(scores: Floats) -> Floats:
    """Sigmoid of [n, 1] scores, softmax of [n, C]: [n, C]."""
    both = np.hstack([np.zeros_like(scores), scores]) if scores.shape[1] == 1 else scores
    powers = np.exp(both - both.max(axis=1, keepdims=True))
    return np.asarray(powers / powers.sum(axis=1, keepdims=True))


def affine(
    problem: Problem,
    scaling: Scaling,
    slopes: Floats,
    bias: Floats,
    iterations: int | None = None,
    converged: bool = True,
    covariance: Covariance | None = None,
) -> Fitted:
    """Scores of the scaled columns, Z @ slopes [F, k] + bias [k]; the graph takes the raw ones."""
    folded = slopes / scaling.scale[:, None]
    moved = bias - scaling.center @ folded

    def predict(x: Floats) -> Floats:
        scores = scaling.apply(x) @ slopes + bias
        return scores[:, 0] if problem.task == "regression" else probabilities(scores)

    return Fitted(
        predict,
        lambda: graph.linear_model(problem.task, folded, moved),
        covariance=covariance,
        inside=lambda: Inside(coefficients=np.vstack([folded, moved]), iterations=iterations, converged=converged),
    )


def scaled(problem: Problem, x: Floats, weights: Floats | None) -> Scaling:
    """How the matrix columns are standardised, unless the problem leaves them as they are.

    Raises TrainingDataError if it does with numbers so large that their squares, and libraries, lose their way.
    """
    if problem.scaled:
        return Scaling.of_columns(x, weights)
    if np.abs(x).max(initial=0.0) > _LARGEST:
        raise TrainingDataError(
            reason=f"it holds numbers above {_LARGEST:g}, and is not to be standardised",
            hint="Leave PREP_AUTO on, or scale the column.",
        )
    return Scaling.none(x)
