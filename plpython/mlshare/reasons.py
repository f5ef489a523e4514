"""Why a model answers as it does for one row, and how sure a linear one is. For the process that scores."""

from __future__ import annotations

import math
from collections.abc import Mapping
from functools import lru_cache
from statistics import NormalDist
from typing import Any, Literal, NamedTuple
from weakref import WeakKeyDictionary

import numpy as np
from numpy.typing import NDArray

from mlshare.covariance import Covariance, scores
from mlshare.encoding import Encoder
from mlshare.errors import BoundsUnknown, InvalidArgument, InvalidFeatureValue
from mlshare.prediction import Answer
from mlshare.scorer import Scorer

Direction = Literal["DESC", "ASC", "ABS"]

DIRECTIONS: tuple[Direction, ...] = ("DESC", "ASC", "ABS")
_FAR = 700.0  # a logit beyond which the probability is 0 or 1


class Reason(NamedTuple):
    """A column, its value in the row, how much the answer owes to it, its rank from 1."""

    attribute: str
    value: Any
    weight: float
    rank: int


def explain_row(
    scorer: Scorer, row: Mapping[str, Any], class_: Any = None, top_n: int = 5, direction: str = "ABS"
) -> list[Reason]:
    """The columns that an answer owes most to: each is weighed by what the probability of a class (the predicted one,
    if none is given) or the value loses when the column is NULL.

    ``direction``: DESC the greatest weights first, ASC the least, ABS the greatest without their sign.
    Errors: InvalidArgument (class, top_n, direction; a model without probabilities), and those of predicting, where a
    model that a user brought takes no NULL.
    """
    order = next((d for d in DIRECTIONS if d == direction.upper()), None)
    if order is None:
        raise InvalidArgument(argument="direction", reason=f"it is not one of {', '.join(DIRECTIONS)}")
    if top_n < 1:
        raise InvalidArgument(argument="top_n", reason="it is not above 0")
    whole = scorer.answer(row)
    position = _position(scorer, whole, class_)
    answer = _answer(whole, position)
    weights = [(c.name, answer - _answer(_without(scorer, row, c.name), position)) for c in scorer.inputs]
    keys = {"DESC": lambda w: -w[1], "ASC": lambda w: w[1], "ABS": lambda w: -abs(w[1])}
    ranked = sorted(weights, key=keys[order])[:top_n]
    return [Reason(name, row[name], weight, rank) for rank, (name, weight) in enumerate(ranked, 1)]


def _without(scorer: Scorer, row: Mapping[str, Any], name: str) -> Answer:
    try:
        return scorer.answer({**row, name: None})
    except InvalidFeatureValue as error:
        if row[name] is None:
            raise
        error.detail = f'To explain an answer, the model must take NULL in column "{name}", and it does not.'
        raise


def _position(scorer: Scorer, found: Answer, class_: Any) -> int | None:
    """Of the class that is asked about; None for a regression."""
    if scorer.classes is None:
        if class_ is not None:
            raise InvalidArgument(argument="class", reason="a regression model has none")
        return None
    if found.probabilities is None:
        raise InvalidArgument(argument="model", reason="it gives no probabilities")
    if class_ is None:
        return found.probabilities.index(max(found.probabilities))
    texts = [_text(c) for c in scorer.classes]
    if _text(class_) not in texts:
        hint = "The classes are " + ", ".join(texts)[:200] + "."
        raise InvalidArgument(argument="class", reason="it is not a class of the model", hint=hint)
    return texts.index(_text(class_))


def _text(label: Any) -> str:
    """A class as it is told from others: numbers by their value, booleans as PostgreSQL casts them to text."""
    if isinstance(label, bool):
        return "true" if label else "false"
    return repr(int(label)) if isinstance(label, float) and label.is_integer() else str(label)


def _answer(found: Answer, position: int | None) -> float:
    number = found.value if position is None else (found.probabilities or ())[position]
    assert number is not None
    return number


# --- bounds --------------------------------------------------------------------------------------

_known: WeakKeyDictionary[Scorer, tuple[Encoder, Covariance]] = WeakKeyDictionary()


def bounds(scorer: Scorer, row: Mapping[str, Any], confidence: float = 0.95, class_: Any = None) -> tuple[float, float]:
    """The limits between which the expected value, or the probability of a class (the predicted one, if none is
    given), lies with that confidence: those of the linear part, taken through the link.

    Errors: BoundsUnknown (not a generalised linear model built without ridge), InvalidArgument, those of predicting.
    """
    if not 0 < confidence < 1:
        raise InvalidArgument(argument="confidence", reason="it is not between 0 and 1")
    encoder, covariance = _certainty(scorer)
    found = scorer.answer(row)
    position = _position(scorer, found, class_)
    x = np.array(encoder.encode_row(row))
    reach = quantile(confidence, covariance.freedom)
    if position is None:
        answer = _answer(found, None)
        margin = reach * covariance.deviation(x, np.ones(1))
        return answer - margin, answer + margin
    shares = np.array(found.probabilities)
    margin = reach * covariance.deviation(x, _gradient(shares, position))
    logit = _logit(shares, position)
    return _probability(logit - margin), _probability(logit + margin)


def _certainty(scorer: Scorer) -> tuple[Encoder, Covariance]:
    found = _known.get(scorer)
    if found is None:
        document = scorer.manifest.get("covariance")
        if document is None:
            raise BoundsUnknown(reason="it is not a generalised linear model without ridge")
        encoder = Encoder.from_json(scorer.manifest["encoder"])
        found = encoder, Covariance.from_json(document, encoder.n_features, scores(scorer.classes))
        _known[scorer] = found
    return found


def _gradient(shares: NDArray[np.float64], position: int) -> NDArray[np.float64]:
    """How the logit of one probability changes with the scores: one score of two classes, else one for each."""
    if len(shares) == 2:
        return np.array([1.0 if position == 1 else -1.0])
    others = max(_others(shares, position), np.finfo(np.float64).tiny)
    gradient = -shares / others
    gradient[position] = 1.0
    return np.asarray(gradient)


def _others(shares: NDArray[np.float64], position: int) -> float:
    """One minus a probability, without loss where it is near 1."""
    return float(shares[:position].sum() + shares[position + 1 :].sum())


def _logit(shares: NDArray[np.float64], position: int) -> float:
    own, others = float(shares[position]), _others(shares, position)
    if own <= 0:
        return -_FAR
    return math.log(own) - math.log(others) if others > 0 else _FAR


def _probability(logit: float) -> float:
    logit = min(max(logit, -_FAR), _FAR)
    return 1 / (1 + math.exp(-logit)) if logit >= 0 else math.exp(logit) / (1 + math.exp(logit))


# --- quantiles -----------------------------------------------------------------------------------

_EXACT_FREEDOM = 1000


@lru_cache(maxsize=1024)
def quantile(confidence: float, freedom: int | None) -> float:
    """The distance from 0 that a standard normal variable, or one of Student's t, exceeds with 1 - confidence.

    Up to 1000 degrees of freedom by bisection of the finite series of the t distribution (Abramowitz and Stegun
    26.7.3 and 26.7.4: terms of one sign, nothing cancels), above by Fisher's expansion about the normal quantile
    (26.7.5), whose error is then below 1e-14 of it.
    """
    normal = NormalDist().inv_cdf(0.5 + confidence / 2)
    if freedom is None:
        return normal
    return _series_quantile(confidence, freedom) if freedom <= _EXACT_FREEDOM else _expanded(normal, freedom)


def _series_quantile(confidence: float, freedom: int) -> float:
    ratios = np.arange(1 + freedom % 2, freedom - 2, 2, dtype=np.float64)
    factors = np.cumprod(np.append(1.0, ratios / (ratios + 1)))

    def inside(angle: float) -> float:
        """The probability of |t| <= tan(angle) * sqrt(freedom)."""
        sine, cosine = math.sin(angle), math.cos(angle)
        if freedom == 1:
            return 2 * angle / math.pi
        series = float(factors @ cosine ** np.arange(0, 2 * len(factors), 2))
        return sine * series if freedom % 2 == 0 else 2 / math.pi * (angle + sine * cosine * series)

    low, high = 0.0, math.pi / 2
    for _ in range(80):
        middle = (low + high) / 2
        low, high = (middle, high) if inside(middle) < confidence else (low, middle)
    return math.tan((low + high) / 2) * math.sqrt(freedom)


def _expanded(x: float, n: int) -> float:
    terms = (
        (x**3 + x) / 4,
        (5 * x**5 + 16 * x**3 + 3 * x) / 96,
        (3 * x**7 + 19 * x**5 + 17 * x**3 - 15 * x) / 384,
        (79 * x**9 + 776 * x**7 + 1482 * x**5 - 1920 * x**3 - 945 * x) / 92160,
    )
    return x + math.fsum(term / n**power for power, term in enumerate(terms, 1))
