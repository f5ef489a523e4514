"""Oracle's scoring functions: single values for a row, usable anywhere in SQL."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

from mlshare import cache, document, errors
from mlshare.routines.boundary import routine

if TYPE_CHECKING:
    from mlshare.cache import Entry
    from mlshare.partitioned import PartitionedScorer
    from mlshare.prediction import Answer
    from mlshare.scorer import Scorer

Row = dict[str, Any]


@routine
def prediction(model: str | None, row: str | None) -> str | None:
    loaded, found = _predicted(model, row)
    if found is None:
        return None
    return json.dumps(found.value) if found.label is None else str(loaded.results.names[found.label])


@routine
def prediction_number(model: str | None, row: str | None) -> float | None:
    loaded, found = _predicted(model, row)
    if found is None:
        return None
    if found.label is None:
        return found.value
    label = loaded.results.classes[found.label]
    if isinstance(label, str):
        raise errors.InvalidArgument(
            argument="model", reason="its classes are no numbers", hint="sys.prediction(…) gives them as text."
        )
    return float(label)


@routine
def prediction_probability(model: str | None, row: str | None, class_label: str | None) -> float | None:
    loaded, found = _predicted(model, row)
    names = _class_names(loaded)
    chosen = None if class_label is None else _position(names, class_label)
    if found is None or found.probabilities is None:
        return None
    assert found.label is not None
    return found.probabilities[found.label if chosen is None else chosen]


@routine
def prediction_set(
    model: str | None, row: str | None, best_n: int | None, cutoff: float | None
) -> list[tuple[str, float]]:
    loaded, found = _predicted(model, row)
    names = _class_names(loaded)
    if found is None or found.probabilities is None:
        return []
    pairs = zip(names, found.probabilities, strict=True)
    ranked = sorted(pairs, key=lambda pair: -pair[1])
    return [pair for pair in ranked if cutoff is None or pair[1] >= cutoff][:best_n]


@routine
def prediction_details(
    model: str | None, row: str | None, class_label: str | None, top_n: int | None, direction: str | None
) -> list[tuple[str, str | None, float, int]]:
    from mlshare import reasons

    loaded, scorer, given = _chosen(model, row)
    chosen = _class(loaded, class_label)
    if scorer is None or not _knows(scorer, chosen):
        return []
    found = reasons.explain_row(scorer, given, chosen, 5 if top_n is None else top_n, direction or "DESC")
    return [(r.attribute, _shown(r.value), r.weight, r.rank) for r in found]


@routine
def prediction_bounds(
    model: str | None, row: str | None, confidence_level: float | None, class_label: str | None
) -> list[tuple[float, float]]:
    from mlshare import reasons

    loaded, scorer, given = _chosen(model, row)
    chosen = _class(loaded, class_label)
    if scorer is None or not _knows(scorer, chosen):
        return []
    return [reasons.bounds(scorer, given, 0.95 if confidence_level is None else confidence_level, chosen)]


@routine
def ora_dm_partition_name(model: str | None, row: str | None) -> str | None:
    loaded = cache.usable(model)
    if row is None or not loaded.scorer.key_columns:
        return None
    scorer: PartitionedScorer = loaded.scorer  # type: ignore[assignment]
    return scorer.quick_name(row) or scorer.name_of(_parsed(row), row)


# --- what they have in common --------------------------------------------------------------------


def _predicted(model: str | None, text: str | None) -> tuple[Entry, Answer | None]:
    """The open model and its prediction; None if there is none: a NULL row, or a key without a partition."""
    loaded = cache.usable(model)
    if text is None:
        return loaded, None
    found = loaded.scorer.quick(text) or loaded.scorer.answer(_row(loaded, text), text)
    return loaded, found if found.known else None


def _chosen(model: str | None, text: str | None) -> tuple[Entry, Scorer | None, Row]:
    """The open model, what of it predicts the row, and the row."""
    loaded = cache.usable(model)
    if text is None:
        return loaded, None, {}
    row = _row(loaded, text)
    if not loaded.scorer.key_columns:
        return loaded, loaded.scorer, row  # type: ignore[return-value]
    return loaded, loaded.scorer.scorer_of(row, text), row  # type: ignore[union-attr]


def _class(loaded: Entry, label: str | None) -> Any:
    """The class of a label. Errors: InvalidArgument."""
    return None if label is None else loaded.results.classes[_position(_class_names(loaded), label)]


def _knows(scorer: Scorer, chosen: Any) -> bool:
    """Whether a class is one of a sub-model's, which may have seen fewer than the model."""
    return chosen is None or chosen in (scorer.classes or ())


def _shown(value: Any) -> str | None:
    return value if value is None or isinstance(value, str) else json.dumps(value)


def _row(loaded: Entry, text: str) -> Row:
    """The row; attributes that are not in it count as NULL, key columns must be there."""
    row = _parsed(text)
    return row if loaded.attributes.keys() <= row.keys() else {**loaded.attributes, **row}


def _parsed(text: str) -> Row:
    row = document.parse(text)
    if row is None:
        raise errors.InvalidArgument(
            argument="row",
            reason="it is not a JSON object",
            hint="Give a record, or columns by name: sys.json_object('column', value, …).",
        )
    return row


def _class_names(loaded: Entry) -> list[str]:
    if loaded.scorer.task == "regression":
        raise errors.InvalidArgument(
            argument="model", reason="a regression has no classes", hint="sys.prediction_number(…) gives its numbers."
        )
    return loaded.results.names


def _position(names: list[str], wanted: str) -> int:
    if wanted not in names:
        shown = ", ".join(names[:20])
        raise errors.InvalidArgument(
            argument="class_label", reason=f'"{wanted}" is not a class of the model', hint=f"Its classes: {shown}."
        )
    return names.index(wanted)
