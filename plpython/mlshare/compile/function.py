"""The body of a compiled function: one expression where that is enough, else a few PL/pgSQL statements."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from mlshare.compile import additive, answer, ensemble, sql
from mlshare.compile.answer import Wanted
from mlshare.compile.arguments import Argument
from mlshare.compile.columns import Column
from mlshare.compile.forest import Forest
from mlshare.compile.graph import Additive, Model
from mlshare.errors import CompiledTooLarge

# Parsing takes some 50 ms for each megabyte, once in a session.
MAX_BYTES = 8 << 20
_MAX_COST = 10_000


@dataclass(frozen=True)
class Function:
    """``language`` sql: the body is what comes after RETURN; plpgsql: the text of the body."""

    language: str
    body: str
    cost: int


def write(model: Model, columns: Sequence[Column], wanted: Wanted) -> Function:
    """The function of a model; CompiledTooLarge if its text is too long."""
    if isinstance(model.scores, Forest):
        made = _of_forest(model, model.scores, columns, wanted)
    elif model.scores.n_scores == 1:
        made = _of_one_score(model, model.scores, columns, wanted)
    else:
        made = _of_scores(model, model.scores, columns, wanted)
    size = len(made.body.encode())
    if size > MAX_BYTES:
        raise CompiledTooLarge(size=size, limit=MAX_BYTES, unit="bytes of SQL")
    return made


def _of_one_score(model: Model, scores: Additive, columns: Sequence[Column], wanted: Wanted) -> Function:
    """An expression that the planner puts into the query in place of the call."""
    quick = additive.score(scores, columns, 0, "quick")
    if not additive.needs_care(columns):
        return Function("sql", answer.of_one(model, quick, wanted), len(columns))
    # NaN and infinity are rare: only a row whose score is not finite is looked at again, with care.
    careful = answer.of_one(model, additive.score(scores, columns, 0, "careful"), wanted)
    found = answer.of_one(model, additive.finite(quick), wanted)
    return Function("sql", f"COALESCE({found}, {careful})", len(columns))


def _of_scores(model: Model, scores: Additive, columns: Sequence[Column], wanted: Wanted) -> Function:
    sums = [f"s{k} := {additive.score(scores, columns, k, 'guarded')};" for k in range(scores.n_scores)]
    before, result = answer.of_many(model, wanted)
    cost = len(columns) * scores.n_scores
    return _block(_scores(scores.n_scores), columns, [*sums, *before], result, cost)


def _of_forest(model: Model, forest: Forest, columns: Sequence[Column], wanted: Wanted) -> Function:
    if forest.n_scores == 1:
        before, result = list[str](), answer.of_one(model, "s0", wanted)
    else:
        before, result = answer.of_many(model, wanted)
    trees = ensemble.Trees(forest, columns)
    statements = [*trees.assignments(), *trees.sums(), *before]
    return _block([*trees.variables(), *_scores(forest.n_scores)], columns, statements, result, trees.visits())


def _scores(n: int) -> list[str]:
    return [*(f"s{k} {sql.FLOAT} := {sql.number(0.0)};" for k in range(n)), f"m {sql.FLOAT};"]


def _block(
    declared: Sequence[str], columns: Sequence[Column], statements: Sequence[str], result: str, cost: int
) -> Function:
    lines = ["", "#variable_conflict use_variable", "DECLARE", *declared, "BEGIN"]
    lines += [*_guard([c.argument for c in columns]), *statements, f"RETURN {result};", "END", ""]
    return Function("plpgsql", "\n".join(lines), min(_MAX_COST, max(10, cost)))


def _guard(arguments: Sequence[Argument]) -> list[str]:
    """NaN becomes NULL, and an infinite value ends it. One test of all columns tells that there is no such thing."""
    special = [a for a in arguments if a.is_special is not None]
    if not special:
        return []
    found = [f"IF {' OR '.join(str(a.is_special) for a in special)} THEN"]
    found += [f"IF {a.is_nan} THEN {a.plain} := NULL; END IF;" for a in special if a.may_be_nan]
    return [*found, f"IF {' OR '.join(str(a.is_infinite) for a in special)} THEN RETURN NULL; END IF;", "END IF;"]
