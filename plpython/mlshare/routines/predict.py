"""Predicting: one row, any query, a whole table; and scoring predictions against the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import TYPE_CHECKING

from mlshare import cache, catalog, db, errors
from mlshare import options as opt
from mlshare.routines.boundary import routine
from mlshare.routines.models import _given

if TYPE_CHECKING:
    from mlshare.results import Results
    from mlshare.scorer import Scorer


@routine
def ml_predict_row(input: str | None, model_handle: str | None, options: str | None) -> str | None:
    scorer = cache.scorer(catalog.find(_given(model_handle)))
    if input is None:
        return None
    from mlshare import results

    row = json.loads(input)
    if not isinstance(row, dict):
        raise errors.InvalidArgument(argument="input", reason="it is not a JSON object")
    prediction = scorer.predict_row(row)
    if options is not None:
        threshold = opt.parse(options, opt.PREDICT).get("threshold")
        prediction = results.with_threshold(scorer, prediction, threshold)
    return results.output_row(row, *_renderer(scorer).of_row(prediction))


def _renderer(scorer: Scorer) -> Results:
    from mlshare.results import Results

    return Results(scorer)


def ml_predict(model_handle: str | None, query: str | None, options: str | None) -> Iterator[tuple[str, str, str]]:
    from mlshare import frame, results, scoring

    chosen = opt.parse(options, opt.PREDICT)
    scorer = cache.scorer(catalog.find(_given(model_handle)))
    if query is None:
        raise errors.InvalidArgument(argument="query", reason="a query must be given")
    source = frame.query(query)
    renderer = results.Results(scorer)
    for documents, table in frame.read_documents(source, *scoring.needs(scorer)):
        prediction = results.with_threshold(scorer, scorer.predict(table), chosen.get("threshold"))
        for i, document in enumerate(documents):
            label, result = renderer.of_row(prediction, i)
            yield document, results.label_text(label), json.dumps(result)


@routine
def ml_predict_table(
    table_name: str | None, model_handle: str | None, output_table_name: str | None, options: str | None
) -> None:
    from mlshare import scoring

    chosen = opt.parse(options, opt.PREDICT)
    model = catalog.find(_given(model_handle))
    if table_name is None or output_table_name is None:
        missing = "table_name" if table_name is None else "output_table_name"
        raise errors.InvalidArgument(argument=missing, reason="a table must be given")
    scoring.score_table(table_name, model, output_table_name, chosen)
    catalog.touch(model)


def _scored() -> tuple[bytes | None, str | None]:
    from mlshare import scoring

    return scoring.current_job().columns()


def _scored_values() -> list[tuple[int, str, str]]:
    from mlshare import scoring

    return scoring.current_job().entries()


@routine
def ml_score(
    table_name: str | None,
    target_column_name: str | None,
    model_handle: str | None,
    metric: str | None,
    options: str | None,
) -> tuple[float]:
    from mlshare import frame, scoring

    chosen = opt.parse(options, opt.SCORE)
    model = catalog.find(_given(model_handle))
    scorer = cache.scorer(model)
    if table_name is None or target_column_name is None or metric is None:
        raise errors.InvalidArgument(argument="NULL", reason="table_name, target_column_name and metric must be given")
    source = frame.relation(table_name)
    score = db.in_snapshot(lambda: scoring.evaluate(source, target_column_name, scorer, metric, chosen))
    catalog.touch(model)
    return (score,)
