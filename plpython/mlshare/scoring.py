"""Scores a whole relation in one statement, so that reading and writing see one snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare import cache, catalog, db, errors, frame, store
from mlshare.partitioned import AnyScorer
from mlshare.prediction import Prediction
from mlshare.results import Codebook, Results, label_text, with_threshold
from mlshare.table import Column, Kind, Table

KEY = "_4aad19ca6e_pk_id"  # HeatWave's name for the key it adds
PREDICTION, RESULTS = "prediction", "ml_results"
_WINDOW_CELLS = 32_000_000  # of a table that a partitioned model scores at a time: 256 MB
_NUMBER = "_4aad19ca6e_n"  # numbers the rows inside the statement that writes them


def needs(scorer: AnyScorer) -> tuple[list[tuple[str, Kind]], dict[str, tuple[str, ...]]]:
    """The columns a model needs, and the strings it knows of each (absent: it takes any text)."""
    return [(i.name, i.kind) for i in scorer.inputs], dict(scorer.known)


def require_inputs(source: frame.Source, scorer: AnyScorer) -> None:
    """MissingKeyColumn or MissingFeature unless a relation or query has the columns that a model needs."""
    for name, _ in needs(scorer)[0]:
        if name not in source:
            error = errors.MissingKeyColumn if name in scorer.key_columns else errors.MissingFeature
            raise error(column=name, detail=f"{source.name} has no such column.")


def read_batches(source: frame.Source, scorer: AnyScorer) -> Iterator[Table]:
    """The rows that a model scores. A partitioned one gets many at a time, to call each sub-model seldom."""
    wanted, known = needs(scorer)
    batches = frame.read_batches(source, wanted, known)
    if not scorer.key_columns:
        yield from batches
        return
    most = _WINDOW_CELLS // len(wanted)
    held: list[Table] = []
    for table in batches:
        held.append(table)
        if sum(map(len, held)) >= most:
            yield frame.joined(wanted, held)
            held = []
    if held:
        yield frame.joined(wanted, held)


# --- ml_predict_table ----------------------------------------------------------------------------


class Job:
    """One scoring of a relation. It runs when the statement that writes the output asks for its results."""

    def __init__(self, source: frame.Source, model: catalog.Model, threshold: float | None = None) -> None:
        self.source, self._model, self._threshold = source, model, threshold
        self._codebook = Codebook()
        self._columns: tuple[bytes | None, str | None] | None = None
        self.n_rows = 0
        self.failure: errors.MlshareError | None = None

    def columns(self) -> tuple[bytes | None, str | None]:
        """Codes of all rows as an array literal in bytes, or numbers of all rows as one in text."""
        if self._columns is None:
            try:
                # In the snapshot of the statement: sub-models that it does not see may be gone by now.
                self.scorer = cache.scorer(catalog.find(self._model.name))
                require_inputs(self.source, self.scorer)
                self._columns = self._scored()
            except errors.MlshareError as error:  # on its way through SQL it would become another
                self.failure = error
                raise
        return self._columns

    def _scored(self) -> tuple[bytes | None, str | None]:
        return (None, self._numbers()) if self.scorer.task == "regression" else (self._codes(), None)

    def entries(self) -> list[tuple[int, str | None, str | None]]:
        self.columns()
        return self._codebook.entries(Results(self.scorer))

    def _codes(self) -> bytes:
        literal = self._literal(
            self._codebook.encode(with_threshold(self.scorer, self.scorer.predict(table), self._threshold))
            for table in read_batches(self.source, self.scorer)
        )
        return literal.encode()

    def _numbers(self) -> str:
        batches = read_batches(self.source, self.scorer)
        return self._literal(np.asarray(self.scorer.predict(table).values) for table in batches)

    def _literal(self, batches: Iterable[NDArray[Any]]) -> str:
        """An array literal of all values: a subscript finds one quicker than get_byte puts one together."""
        parts = []
        for values in batches:
            self.n_rows += len(values)
            parts.append(",".join(map(repr, values.tolist())))
        # NaN is a row without a prediction: what a model says is finite.
        return ("{" + ",".join(parts) + "}").replace("nan", "NULL")


_job: Job | None = None


def current_job() -> Job:
    if _job is None:
        raise errors.InvalidArgument(argument="call", reason="this function is not for direct use")
    return _job


def score_table(table: str, model: catalog.Model, output: str, options: dict[str, Any]) -> None:
    """ml_predict_table: writes a new table, or adds the columns when the output is the input itself."""
    scorer = cache.scorer(model)
    source = frame.relation(table)
    _check_columns(source, scorer)
    output = db.qualified(output)
    parts = {**_expressions(scorer, target_type(model, scorer)), "output": output}
    if db.value("same_table", output, table):
        _add_to(source, model, parts, options)
    else:
        _write_to(source, model, parts, options)


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
    number = "(SELECT s.numbers FROM scored AS s)[i._4aad19ca6e_n + 1]"
    return {
        "type": str(target["type"]),
        "code": "(SELECT s.codes FROM scored AS s)[i._4aad19ca6e_n + 1]",
        "number": f"round({number}::numeric)" if target["whole"] else number,
        "target": db.quote_literal(scorer.target),
        "what": "numbers" if scorer.task == "regression" else "labels",
    }


def _write_to(source: frame.Source, model: catalog.Model, parts: dict[str, str], options: dict[str, Any]) -> None:
    if db.value("table_exists", parts["output"]):
        raise errors.TableExists(table=parts["output"], hint="Drop it, or choose another name.")
    key = [r["name"] for r in db.query("primary_key", source.text)]
    with staged(source, parts["output"]) as rows:
        job = Job(rows, model, options.get("threshold"))
        run(job, f"write_{parts['what']}", {**parts, "columns": _columns(rows, key)})
    _add_key(parts["output"], key, job.n_rows)


@contextmanager
def staged(source: frame.Source, output: str) -> Iterator[frame.Source]:
    """A source that gives the same rows in the same order when it is read again: a copy of what a view gives."""
    if source.blocks is not None:
        yield source
        return
    staging = f"{db.quote_ident(db.value('folded', output)[0])}._mlshare_staging_{db.value('pid')}"
    db.run("stage", staging=staging, source=source.text)
    yield frame.relation(staging)
    db.run("drop_table", table=staging)


def _columns(source: frame.Source, key: list[str]) -> str:
    own = [f"i.{a.quoted}" for a in source.attributes]
    return ", ".join(own if key else [f"i._4aad19ca6e_n + 1 AS {KEY}", *own])


def _add_key(output: str, key: list[str], n_rows: int) -> None:
    columns = ", ".join(map(db.quote_ident, key or [KEY]))
    db.run("add_primary_key", output=output, columns=columns)
    if not key:
        db.run("make_identity", output=output)
        db.query("continue_identity", output, max(n_rows, 1))


def _add_to(source: frame.Source, model: catalog.Model, parts: dict[str, str], options: dict[str, Any]) -> None:
    if source.blocks is None or not db.value("is_table", source.text) or db.query("primary_key", source.text):
        raise errors.InvalidArgument(
            argument="output_table_name",
            reason="the columns can only be added to a plain table without primary key",
            hint="Name another table for the output.",
        )
    db.run("add_output_columns", **{k: parts[k] for k in ("output", "type")})
    job = Job(frame.relation(source.text), model, options.get("threshold"))
    run(job, f"fill_{parts['what']}", parts)


def run(job: Job, statement: str, parts: dict[str, str]) -> None:
    """Runs the one statement that reads the job's rows, asks the job for their scores and writes both."""
    global _job
    _job = job
    try:
        before = db.query("scan_in_heap_order")
        db.run(statement, source=job.source.text, **parts)
        db.query("restore_settings", [r["name"] for r in before], [r["before"] for r in before])
    finally:
        _job = None
        if job.failure is not None:
            raise job.failure


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
    for table in frame.read_batches(source, [*(w for w in wanted if w[0] != target), (target, kind)], known):
        truth, present = _truth(table[target], scorer)
        prediction = scorer.predict(table)
        there = predicted(prediction)
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


def predicted(prediction: Prediction) -> Any:
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
