"""A linear model as an expression in the statement that writes its predictions: no row is read twice."""

from __future__ import annotations

import re

from mlshare import cache, catalog, db, errors, frame, loading
from mlshare.results import Results
from mlshare.scorer import Scorer

# Writing the expression takes a process of its own, once for a model: that must be worth it.
_BLOCKS = 4096
_ALGORITHMS = ("LogisticRegression", "LinearSVC")
_MODIFIER = re.compile(r"\([0-9, -]*\)")
# Types whose values the expression reads as mlshare.frame does.
_TYPES = {
    "numeric": {"smallint", "integer", "bigint", "real", "double precision", "numeric"},
    "boolean": {"boolean"},
    "date": {"date"},
    "timestamp": {"timestamp without time zone", "timestamp with time zone"},
    "category": {"text", "character varying", "character"},
}
# Numbers or dates out of range; the fallback names the column.
FAILURES = ("22003", "22008", "22012", "2201E")


class Inline:
    """What the writing statement asks for in place of mlshare.batches.Job."""

    def __init__(self, results: Results, probability: str, threshold: float | None) -> None:
        self.probability, self._results, self._threshold = probability, results, threshold

    @property
    def names(self) -> list[str]:
        """Both labels as text."""
        return self._results.names

    @property
    def second(self) -> str:
        """A condition on the probability, which goes by the name of i._4aad19ca6e_n: the second class is chosen."""
        if self._threshold is None:
            return "i._4aad19ca6e_n > 0.5::double precision"
        return f"i._4aad19ca6e_n >= {self._threshold!r}::double precision"

    def common(self) -> str:
        """All ml_results documents, as a JSON array."""
        return "[" + ", ".join(self._results.of_two(self._threshold)) + "]"


def job(model: catalog.Model, source: frame.Source, threshold: float | None) -> Inline | None:
    """The expression of a model over a table; None if there is none, or nothing is gained by it.

    Its text, which shows up in the context of errors, holds the model's parameters: it is for those only who may see
    them.
    """
    loaded = cache.entry(model)
    if "SELECT" not in model.privileges or not isinstance(loaded.scorer, Scorer) or not _is_linear(loaded.scorer):
        return None
    types = tuple(_MODIFIER.sub("", source[i.name].type) for i in loaded.scorer.inputs)
    if any(t not in _TYPES.get(i.kind, ()) for i, t in zip(loaded.scorer.inputs, types, strict=True)):
        return None
    if types not in loaded.expressions:
        if (source.blocks or 0) < _BLOCKS:
            return None
        loaded.expressions[types] = _expression(model, source, loaded.scorer, types)
    found = loaded.expressions[types]
    return None if found is None else Inline(loaded.results, found, threshold)


def _is_linear(scorer: Scorer) -> bool:
    return len(scorer.classes or ()) == 2 and scorer.manifest.get("algorithm") in _ALGORITHMS


def _expression(model: catalog.Model, source: frame.Source, scorer: Scorer, types: tuple[str, ...]) -> str | None:
    names = [i.name for i in scorer.inputs]
    request = {
        "output": "probability",
        "types": dict(zip(names, types, strict=True)),
        "given": {name: f"q.{db.quote_ident(name)}" for name in names},
    }
    try:
        reply = loading.compiled(model, request)
    except (errors.NotCompilable, errors.CompiledTooLarge):
        return None
    return reply.blob.decode() if reply.result["language"] == "sql" else None
