"""Scores a whole relation in one statement, so that reading and writing see one snapshot."""

from __future__ import annotations

import json
import secrets
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

from mlshare import arrays, batches, cache, catalog, db, errors, frame, inline, results, store
from mlshare.batches import Job, needs
from mlshare.inline import Inline
from mlshare.partitioned import AnyScorer
from mlshare.prediction import Prediction
from mlshare.results import label_text
from mlshare.table import Column, Kind

KEY = "_4aad19ca6e_pk_id"  # HeatWave's name for the key it adds
PREDICTION, RESULTS = "prediction", "ml_results"
_FEW = 16  # labels that are written as a CASE
# Between what a number has to be so that, rounded, it fits; of bigint, with the 15 digits of a float8 as numeric.
_RANGES = {
    "smallint": (-32768.5, 32767.5),
    "integer": (-2147483648.5, 2147483647.5),
    "bigint": (-9.22337203685477e18, 9.22337203685477e18),
}
_NUMBER = "_4aad19ca6e_n"  # numbers the rows inside the statement that writes them


def require_inputs(source: frame.Source, scorer: AnyScorer) -> None:
    """MissingKeyColumn or MissingFeature unless a relation or query has the columns that a model needs."""
    for name, _ in needs(scorer)[0]:
        if name not in source:
            error = errors.MissingKeyColumn if name in scorer.key_columns else errors.MissingFeature
            raise error(column=name, detail=f"{source.name} has no such column.")


# --- ml_predict_table ----------------------------------------------------------------------------


_job: Job | Inline | None = None


def current_job() -> Job | Inline:
    if _job is None:
        raise errors.InvalidArgument(argument="call", reason="this function is not for direct use")
    return _job


def current_batches() -> Iterator[batches.Scored]:
    job = current_job()
    return job.batches() if isinstance(job, Job) else iter(())


def score_table(table: str, model: catalog.Model, output: str, options: dict[str, Any]) -> None:
    """ml_predict_table: writes a new table, or adds the columns when the output is the input itself."""
    scorer = cache.scorer(model)
    source = frame.relation(table)
    _check_columns(source, scorer)
    output = db.qualified(output)
    parts = {**_expressions(scorer, target_type(model, scorer)), "output": output}
    if db.value("same_table", output, table):
        _add_to(model, source, parts, options)
    else:
        _write_to(model, source, parts, options)


def _check_columns(source: frame.Source, scorer: AnyScorer) -> None:
    require_inputs(source, scorer)
    for name in (PREDICTION, RESULTS, _NUMBER):
        if name in source:
            raise errors.ReservedColumn(column=name, table=source.name)
    if KEY in source and [r["name"] for r in db.query("primary_key", source.text)] != [KEY]:
        raise errors.ReservedColumn(column=KEY, table=source.name)


def target_type(model: catalog.Model, scorer: AnyScorer) -> dict[str, Any]:
    """The type of the target, if it is one that this database can be trusted to convert to."""
    metadata = store.read_row(model)["model_metadata"] or {}
    row = db.one("target_type", str(metadata.get("target_type") or ""))
    default = "double precision" if scorer.task == "regression" else "text"
    return row or {"type": default, "whole": False}


def _expressions(scorer: AnyScorer, target: dict[str, Any]) -> dict[str, str]:
    """The type of the prediction, and both columns of a row as what a batch has for it."""
    type_name = str(target["type"])
    if scorer.task == "regression":
        before, after = map(db.quote_literal, results.around_number(scorer.target))
        value = f"s.numbers[i.{_NUMBER} + 1]"
        prediction = whole(value, type_name) if target["whole"] else f"{value}::{type_name}"
        document = db.text("document_of_number", before=before, number=value, after=after)
    else:
        prediction = _label([label_text(c) for c in scorer.classes or ()], type_name, batches.label_position(scorer))
        document = db.text("document_of_label", code=db.text("code"))
    return {"type": type_name, "prediction": prediction, "document": document}


def whole(value: str, type_name: str) -> str:
    """A number rounded to an integer type: NULL where it is out of range, for ml_results has it all the same."""
    least, beyond = _RANGES[type_name]
    return f"(CASE WHEN {value} > {least} AND {value} < {beyond} THEN round({value}::numeric)::{type_name} END)"


def _label(labels: list[str], type_name: str, position: str) -> str:
    """The label at a position, from 1 on; NULL at any other. Few need no array, in which each row would search."""
    if len(labels) > _FEW:
        return db.text("labels", type=type_name, classes=db.quote_literal(json.dumps(labels))) + f"[{position}]"
    cases = (f"WHEN {n} THEN {db.quote_literal(label)}::{type_name}" for n, label in enumerate(labels, 1))
    return f"(CASE {position} {' '.join(cases)} END)" if labels else "NULL"


def _write_to(model: catalog.Model, source: frame.Source, parts: dict[str, str], options: dict[str, Any]) -> None:
    db.require_new(parts["output"])
    key = [r["name"] for r in db.query("primary_key", source.text)]
    with staged(source, parts["output"]) as rows:
        names = [a.quoted for a in rows.attributes]
        columns = ", ".join(f"i.{name}" for name in names)
        _make_output(rows, parts, key, columns)
        parts = {**parts, "columns": columns, "names": ", ".join(names)}
        if not _written_inline(model, rows, parts, options.get("threshold")):
            parts |= _numbered(parts, key)
            run(Job(rows, model, options.get("threshold")), "write_batches", rows, parts)
    _add_key(parts["output"], key)


def _numbered(parts: dict[str, str], key: list[str]) -> dict[str, str]:
    """How the rows of a batch are numbered; if they get a key, it is that."""
    if key:
        return {}
    sequence = db.quote_literal(db.value("begin_identity", parts["output"]))
    return {
        "number": db.text("number_by_key", sequence=sequence),
        "names": f"{KEY}, {parts['names']}",
        "columns": f"s.start + 1 + i.{_NUMBER}, {parts['columns']}",
    }


def _add_key(output: str, key: list[str]) -> None:
    db.run("add_primary_key", output=output, columns=", ".join(map(db.quote_ident, key or [KEY])))
    if not key:
        db.run("continue_identity", output=output)
        db.run("skip_identity", output, output=output)


@contextmanager
def staged(source: frame.Source, output: str) -> Iterator[frame.Source]:
    """A source that gives the same rows in the same order when it is read again: a copy of what a view gives."""
    if source.blocks is not None:
        yield source
        return
    schema = db.value("folded", output)[0]
    staging = f"{db.quote_ident(schema)}._mlshare_staging_{db.value('pid')}_{secrets.token_hex(4)}"
    db.run("stage", staging=staging, source=source.text, unlogged="" if schema.startswith("pg_temp") else "UNLOGGED")
    yield frame.relation(staging)
    db.run("drop_table", table=staging)


def _make_output(source: frame.Source, parts: dict[str, str], key: list[str], columns: str) -> None:
    """The empty table. What its key needs costs nothing as long as there are no rows."""
    output, own = parts["output"], columns if key else f"NULL::bigint AS {KEY}, {columns}"
    db.run("make_output", output=output, columns=own, source=source.text, type=parts["type"])
    for name in key:
        db.run("set_not_null", output=output, column=db.quote_ident(name))
    if not key:
        db.run("make_identity", output=output)


def _add_to(model: catalog.Model, source: frame.Source, parts: dict[str, str], options: dict[str, Any]) -> None:
    if source.blocks is None or not db.value("is_table", source.text) or db.query("primary_key", source.text):
        raise errors.InvalidArgument(
            argument="output_table_name",
            reason="the columns can only be added to a plain table without primary key",
            hint="Name another table for the output.",
        )
    db.run("add_output_columns", **{k: parts[k] for k in ("output", "type")})
    source = frame.relation(source.text)
    run(Job(source, model, options.get("threshold")), "fill_batches", source, parts)


def _written_inline(model: catalog.Model, source: frame.Source, parts: dict[str, str], threshold: float | None) -> bool:
    """Writes the predictions of a linear model, if that can be done by an expression."""
    job = inline.job(model, source, threshold)
    if job is None:
        return False
    first, second = (f"{db.quote_literal(name)}::{parts['type']}" for name in job.names)
    label = f"(CASE WHEN {job.second} THEN {second} ELSE {first} END)"
    own = {"probability": job.probability, "second": job.second, "prediction": label}
    # A value that the model refuses is found, and named, when the table is read.
    return db.attempt(lambda: run(job, "write_inline", source, {**parts, **own}), inline.FAILURES)


def run(job: Job | Inline, statement: str, source: frame.Source, parts: dict[str, str]) -> None:
    """Runs the one statement that reads a source, asks the job for its scores and writes both."""
    global _job
    _job = job
    parts = {"number": db.text("number"), **parts, "source": source.text}
    try:
        before = db.query("scan_in_heap_order")
        db.run(statement, **parts, batches=db.text("scored_batches", **parts))
        db.query("restore_settings", [r["name"] for r in before], [r["before"] for r in before])
    finally:
        _job = None
        if isinstance(job, Job):
            job.close()


# --- ml_score ------------------------------------------------------------------------------------


def evaluate(source: frame.Source, target: str, scorer: AnyScorer, metric: str, options: dict[str, Any]) -> float:
    """A metric of the model's predictions for all rows whose target is not NULL."""
    from mlshare import metrics

    metrics.check(metric, scorer.task, len(scorer.classes) if scorer.classes else None)
    require_inputs(source, scorer)
    wanted, known = needs(scorer)
    kind: Kind = "numeric" if scorer.task == "regression" else _truth_kind(scorer)
    if kind == "category":
        known[target] = tuple(label_text(c) for c in scorer.classes or ())
    if source[target].kind is None:
        raise errors.UnsupportedColumnType(column=target, type=source[target].type)
    truths, predictions, n_without = [], [], 0
    wanted = [*(w for w in wanted if w[0] != target), (target, kind)]
    for window in batches.windows(source, wanted, known, scorer):
        table = arrays.concatenated(wanted, [b.table for b in window])
        truth, present = _truth(table[target], scorer)
        prediction = scorer.predict(table)
        there = _predicted(prediction)
        n_without += int((present & ~there).sum())
        present &= there
        truths.append(truth[present])
        predictions.append(comparable(prediction, scorer)[present])
    if not truths:
        raise errors.MetricUndefined(metric=metric, reason="there are no rows")
    if n_without:
        db.notice(f"{n_without} rows have no prediction and were left out: no partition has their key")
    threshold = options.get("threshold")
    return metrics.score(metric, scorer.task, np.concatenate(truths), np.concatenate(predictions), threshold)


def _truth_kind(scorer: AnyScorer) -> Kind:
    return "category" if scorer.target_kind == "category" else "numeric"


def _truth(column: Column, scorer: AnyScorer) -> tuple[Any, Any]:
    """True values or positions of the classes (-1: none of them) [n], and where they are not NULL [n]."""
    if column.codes is not None:
        codes = np.where(column.codes >= len(scorer.classes or ()), -1, column.codes)
        return codes, column.codes >= 0
    assert column.values is not None
    present = ~np.isnan(column.values)
    if scorer.task == "regression":
        return column.values, present
    classes = np.array([float(c) for c in scorer.classes or ()])
    matches = column.values[:, None] == classes
    return np.where(matches.any(axis=1), matches.argmax(axis=1), -1), present


def _predicted(prediction: Prediction) -> Any:
    """Which rows [n] have a prediction."""
    if prediction.labels is not None:
        return prediction.labels >= 0
    return ~np.isnan(np.asarray(prediction.values))


def comparable(prediction: Prediction, scorer: AnyScorer) -> Any:
    """Values [n], or probabilities [n, C]; a model that gives labels only is sure of them."""
    if prediction.values is not None:
        return prediction.values
    if prediction.probabilities is not None:
        return prediction.probabilities
    return np.eye(len(scorer.classes or ()))[prediction.labels]
