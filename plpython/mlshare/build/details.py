"""What there is to tell of a sub-model beside its predictions: small, and every number finite."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare.build.plan import Plan
from mlshare.encoding import Encoder
from mlshare.estimators.base import Estimator, Fitted, Inside
from mlshare.prepare import Prepared
from mlshare.search import Data

Floats = NDArray[np.float64]
Row = list[Any]

_MOST_ROWS = 2_000  # of coefficients or conditionals
_GLM = ("LogisticRegression", "LinearRegression")


def describe(prepared: Prepared, estimator: Estimator, fitted: Fitted, plan: Plan, answers: Floats) -> dict[str, Any]:
    """The details of a sub-model, for the views; ``answers`` are its predictions of some or all rows of the fit:

    - "global": statistics by name; "settings": settings that were computed from the data;
    - "importances": by column, summing to 1;
    - "coefficients": [class or None, column or None (the intercept), value or None, coefficient, standard error,
      test statistic, p value, lower and upper limit]; of two classes, those of the second;
    - "priors": [class, share] and "conditionals": [class, column, value or None, mean, variance] of naive Bayes;
    - "alerts": what should be known before the model is trusted.
    """
    inside, encoder = fitted.inside(), prepared.encoders[estimator.layout]
    classes = prepared.target.classes
    return {
        "global": _statistics(prepared, estimator, fitted, inside, answers),
        "settings": {name: _plain(value) for name, value in inside.settings.items()},
        "importances": _importances(inside, encoder, prepared.data.x[estimator.layout]),
        "coefficients": list(_coefficients(fitted, inside, encoder, classes, plan))[:_MOST_ROWS],
        "priors": _priors(inside, classes),
        "conditionals": list(_conditionals(inside, encoder, classes))[:_MOST_ROWS],
        "alerts": list(_alerts(prepared, estimator, fitted, inside)),
    }


def _plain(value: Any) -> Any:
    """A finite number of seven digits, a text, or None."""
    if isinstance(value, str | bool | int):
        return value
    number = float(value)
    return float(f"{number:.7g}") if math.isfinite(number) else None


def _label(value: Any) -> Any:
    return value if isinstance(value, str | bool | int) else float(value)


def _attributes(encoder: Encoder) -> list[tuple[str, str | None]]:
    """Column, and value or part of it, of every matrix column."""
    return [(f.name, name[len(f.name) + 1 :] or None) for f in encoder.features for name in f.names]


def _statistics(
    prepared: Prepared, estimator: Estimator, fitted: Fitted, inside: Inside, answers: Floats
) -> dict[str, Any]:
    found: dict[str, Any] = {"NUM_ROWS": len(prepared.target.y), "CONVERGED": "YES" if inside.converged else "NO"}
    if inside.iterations is not None:
        found["ITERATIONS"] = inside.iterations
    found |= inside.statistics
    if estimator.name in _GLM and inside.coefficients is not None:
        found["NUM_PARAMS"] = int(np.count_nonzero(inside.coefficients))
        found["VALID_COVARIANCE_MATRIX"] = "YES" if fitted.covariance is not None else "NO"
        if len(answers) < len(prepared.target.y):
            answers = fitted.predict(prepared.data.x[estimator.layout])
        found |= (_deviance if prepared.target.classes else _squares)(prepared.data, answers, found["NUM_PARAMS"])
    return {name: _plain(value) for name, value in found.items()}


def _deviance(data: Data, answers: Floats, parameters: int) -> dict[str, float]:
    """Of a logistic regression."""
    own = np.ones(len(data.y)) if data.weights is None else data.weights
    positions = data.y.astype(np.int64)
    shares = np.bincount(positions, weights=own) / own.sum()
    with np.errstate(divide="ignore"):
        logs = np.maximum(np.log(answers[np.arange(len(positions)), positions]), -745.0)
    model, blind = -2 * float(own @ logs), -2 * float(own @ np.log(shares[positions]))
    right = float(own @ (answers.argmax(axis=1) == positions)) / float(own.sum())
    return {
        "NEG2_LL_MODEL": model,
        "NEG2_LL_INTERCEPT": blind,
        "AIC_MODEL": model + 2 * parameters,
        "PSEUDO_R_SQ_CS": 1 - math.exp(min(0.0, (model - blind) / float(own.sum()))),
        "PCT_CORRECT": 100 * right,
    }


def _squares(data: Data, answers: Floats, parameters: int) -> dict[str, float]:
    """Of a linear regression."""
    own = np.ones(len(data.y)) if data.weights is None else data.weights
    mean = float(np.average(data.y, weights=own))
    left, whole = float(own @ (data.y - answers) ** 2), float(own @ (data.y - mean) ** 2)
    freedom = len(data.y) - parameters
    share = 1 - left / whole if whole > 0 else math.nan
    more = {} if freedom < 1 else {
        "ADJUSTED_R_SQUARE": 1 - (1 - share) * (len(data.y) - 1) / freedom,
        "ROOT_MEAN_SQ": math.sqrt(left / freedom),
    }  # fmt: skip
    return {"DEPENDENT_MEAN": mean, "ERROR_SUM_SQUARES": left, "ERROR_DF": freedom, "R_SQ": share, **more}


def _importances(inside: Inside, encoder: Encoder, x: Floats) -> dict[str, float]:
    """Of the trees; or how far one deviation of each matrix column moves the scores of a linear model."""
    own = inside.importances
    if own is None:
        if inside.coefficients is None:
            return {}
        own = np.abs(inside.coefficients[:-1]).sum(axis=1) * x.std(axis=0)
    total = float(own.sum())
    return {name: _plain(own[span].sum() / total if total > 0 else 0.0) for name, span in encoder.spans.items()}


def _coefficients(
    fitted: Fitted, inside: Inside, encoder: Encoder, classes: Sequence[Any] | None, plan: Plan
) -> Iterator[Row]:
    """The rows of all scores, the intercept first in each."""
    if inside.coefficients is None:
        return
    names = [(None, None), *_attributes(encoder)]
    certainty = _certainty(fitted, inside.coefficients, float(plan.params.get("confidence", 0.95)))
    for k in range(inside.coefficients.shape[1]):
        target = None if classes is None else _label(classes[1 if len(classes) == 2 else k])
        for i, (column, value) in zip([-1, *range(len(names) - 1)], names, strict=True):
            known = (None,) * 5 if certainty is None else tuple(map(_plain, certainty[i, k]))
            yield [target, column, value, _plain(inside.coefficients[i, k]), *known]


def _certainty(fitted: Fitted, coefficients: Floats, confidence: float) -> Floats | None:
    """Standard errors, test statistics, p values and limits [F + 1, k, 5]; NaN where there are none."""
    own = fitted.covariance
    if own is None:
        return None
    from scipy import special

    width, k = coefficients.shape
    out = np.full((width, k, 5), np.nan)
    # Raw coefficients are those of scaled columns, divided; the intercept takes in all of them.
    back = np.diag(np.append(1 / own.scale, 1.0))
    back[-1, :-1] = -own.center / own.scale
    reach = special.ndtri(0.5 + confidence / 2)
    if own.freedom is not None:
        reach = special.stdtrit(own.freedom, 0.5 + confidence / 2)
    for score in range(k):
        block = own.matrix[score * width : (score + 1) * width, score * width : (score + 1) * width]
        errors = np.sqrt(np.maximum(0.0, np.einsum("ij,jk,ik->i", back, block, back)))
        known = errors > 0
        slopes, errors = coefficients[known, score], errors[known]
        margin, ratio = reach * errors, slopes / errors
        tails = special.ndtr(-np.abs(ratio)) if own.freedom is None else special.stdtr(own.freedom, -np.abs(ratio))
        out[known, score] = np.column_stack([errors, ratio, 2 * tails, slopes - margin, slopes + margin])
    return out


def _priors(inside: Inside, classes: Sequence[Any] | None) -> list[Row]:
    if inside.moments is None or classes is None:
        return []
    return [[_label(c), _plain(p)] for c, p in zip(classes, inside.moments.shares, strict=True)]


def _conditionals(inside: Inside, encoder: Encoder, classes: Sequence[Any] | None) -> Iterator[Row]:
    if inside.moments is None or classes is None:
        return
    means, variances = inside.moments.means, inside.moments.variances
    for i, (column, value) in enumerate(_attributes(encoder)):
        for c, label in enumerate(classes):
            yield [_label(label), column, value, _plain(means[i, c]), _plain(variances[i, c])]


def _alerts(prepared: Prepared, estimator: Estimator, fitted: Fitted, inside: Inside) -> Iterator[str]:
    rows = len(prepared.target.y)
    if not inside.converged:
        yield f"the fit ended after {inside.iterations} iterations without convergence"
    if estimator.max_rows is not None and rows > estimator.max_rows:
        yield f"fitted on a sample of {estimator.max_rows} of {rows} rows"
    if estimator.name in _GLM and inside.coefficients is not None and fitted.covariance is not None:
        still = int((fitted.covariance.matrix.diagonal() == 0).sum())
        if still:
            yield f"{still} coefficients depend on others and were set to 0"
    if rows < 10 * len(_attributes(prepared.encoders[estimator.layout])):
        yield f"only {rows} rows for {len(_attributes(prepared.encoders[estimator.layout]))} features"
