"""From scores to what the function returns: a label, a probability or a number."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlshare.compile import sql
from mlshare.compile.graph import Model

# Below some -745 exp() is an error in PostgreSQL; here it is already nothing beside any other probability.
_LEAST_EXPONENT = -700.0


@dataclass(frozen=True)
class Wanted:
    """What to return: the number of a regression, a label (``labels``: a literal for each class), or a probability."""

    labels: tuple[str, ...] | None = None
    position: int = 1  # of the class whose probability it is
    threshold: float | None = None


def sigmoid(score: str) -> str:
    """1 / (1 + exp(-score)), by way of tanh, which neither overflows nor underflows."""
    half = sql.number(0.5)
    return sql.operation(half, "+", sql.operation(half, "*", sql.call("tanh", sql.operation(half, "*", score))))


def of_one(model: Model, score: str, wanted: Wanted) -> str:
    """The answer of a model with one score: an expression in which the score occurs once, NULL if it is NULL."""
    if model.link == "identity":
        return score if (model.factor, model.offset) == (1.0, 0.0) else _scaled(model, score)
    second = sigmoid(score) if model.link == "sigmoid" else score
    if wanted.labels is None:
        return second if wanted.position == 1 else sql.operation(sql.number(1.0), "-", second)
    if wanted.threshold is not None:
        return _one_of_two(sql.operation(second, ">=", sql.number(wanted.threshold)), wanted.labels)
    # Of equal classes the first wins.
    even = sql.number(0.0 if model.link == "sigmoid" else 0.5)
    return _one_of_two(sql.operation(score, ">", even), wanted.labels)


def _scaled(model: Model, score: str) -> str:
    return sql.operation(sql.operation(score, "*", sql.number(model.factor)), "+", sql.number(model.offset))


def _one_of_two(test: str, labels: Sequence[str]) -> str:
    """The second label if the test holds, the first if not; of NULL it is NULL."""
    return f"(ARRAY[{', '.join(labels)}])[{sql.operation('1', '+', sql.cast(test, 'int4'))}]"


def of_many(model: Model, wanted: Wanted) -> tuple[list[str], str]:
    """Statements over the scores s0, s1 …, and the expression of the answer, for more than one score."""
    scores = [f"s{k}" for k in range(model.scores.n_scores)]
    highest = f"m := GREATEST({', '.join(scores)});"
    if wanted.labels is not None and wanted.threshold is None:
        return [highest], _first_of(scores, wanted.labels)
    powers = [f"s{k} := {_power(s)};" for k, s in enumerate(scores)] if model.link == "softmax" else []
    probability = sql.operation(f"s{wanted.position}", "/", sql.chain("+", scores))
    if wanted.labels is not None:
        probability = _one_of_two(sql.operation(probability, ">=", sql.number(wanted.threshold or 0.0)), wanted.labels)
    return [highest, *powers], probability


def _power(score: str) -> str:
    exponent = f"GREATEST({sql.operation(score, '-', 'm')}, {sql.number(_LEAST_EXPONENT)})"
    return sql.call("exp", exponent)


def _first_of(scores: Sequence[str], labels: Sequence[str]) -> str:
    tests = [sql.operation(s, "=", "m") for s in scores]
    return sql.case(list(zip(tests[:-1], labels[:-1], strict=True)), labels[-1])
