"""Predicting: one row, any query, a whole table; and scoring predictions against the truth."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import chain, islice
from typing import TYPE_CHECKING, Any

from mlshare import cache, catalog, db, document, errors, store
from mlshare import options as opt
from mlshare.routines.boundary import routine

if TYPE_CHECKING:
    from mlshare.batches import Scored
    from mlshare.prediction import Answer


@routine
def ml_predict_row(input: str | None, model_handle: str | None, options: str | None) -> str | None:
    loaded = cache.usable(model_handle)
    if input is None:
        return None
    return loaded.results.completed(input.strip(), _answer(loaded, input, options))


@routine
def _predict_row(input: str | None, model_handle: str | None, options: str | None) -> str | None:
    loaded = cache.usable(model_handle)
    if input is None:
        return None
    return loaded.results.completed("{}", _answer(loaded, input, options))


def _answer(loaded: cache.Entry, text: str, options: str | None) -> Answer:
    scorer = loaded.scorer
    found = scorer.quick(text) or scorer.answer(_parsed(text), text)
    return found if options is None else _with_options(loaded, found, options)


def _parsed(text: str) -> dict[str, Any]:
    row = document.parse(text)
    if row is None:
        raise errors.InvalidArgument(argument="input", reason="it is not a JSON object")
    return row


def _with_options(loaded: cache.Entry, found: Answer, options: str) -> Answer:
    from mlshare import prediction, results

    threshold = opt.parse(options, opt.PREDICT).get("threshold")
    return prediction.answer(results.with_threshold(loaded.scorer, found.as_prediction(), threshold))


@routine
def ml_predict(
    model_handle: str | None, query: str | None, options: str | None
) -> Iterator[tuple[str, str | None, str | None]]:
    chosen = opt.parse(options, opt.PREDICT)
    loaded = cache.usable(model_handle)
    if query is None:
        raise errors.InvalidArgument(argument="query", reason="a query must be given")
    answers = _answers(loaded, query, chosen.get("threshold"))
    # PL/Python gives an error of an iterator a text of its own; most errors come with the first row.
    return chain(list(islice(answers, 1)), answers)


def _answers(loaded: cache.Entry, query: str, threshold: float | None) -> Iterator[tuple[str, str | None, str | None]]:
    from mlshare import batches, frame, prediction, results, scoring

    scorer, renderer = loaded.scorer, loaded.results
    source = frame.query(query)
    scoring.require_inputs(source, scorer)
    for rows, table in frame.read_documents(source, *batches.needs(scorer)):
        predicted = results.with_threshold(scorer, scorer.predict(table), threshold)
        for i, row in enumerate(rows):
            found = renderer.of_row(prediction.answer(predicted, i))
            if found is None:
                yield row, None, None
            else:
                yield row, results.label_text(found[0]), json.dumps(found[1])


@routine
def ml_predict_table(
    table_name: str | None, model_handle: str | None, output_table_name: str | None, options: str | None
) -> None:
    from mlshare import scoring

    chosen = opt.parse(options, opt.PREDICT)
    model = catalog.find(model_handle)
    if table_name is None or output_table_name is None:
        missing = "table_name" if table_name is None else "output_table_name"
        raise errors.InvalidArgument(argument=missing, reason="a table must be given")
    scoring.score_table(table_name, model, output_table_name, chosen)
    store.touch(model)


def _scored() -> Iterator[Scored]:
    from mlshare import scoring

    return scoring.current_batches()


def _scored_values() -> str:
    from mlshare import scoring

    return scoring.current_job().common()


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
    model = catalog.find(model_handle)
    if table_name is None or target_column_name is None or metric is None:
        raise errors.InvalidArgument(argument="NULL", reason="table_name, target_column_name and metric must be given")
    source = frame.relation(table_name)

    def work() -> float:  # the model is looked up in the snapshot too: its partitions may change meanwhile
        return scoring.evaluate(source, target_column_name, cache.scorer(catalog.find(model.name)), metric, chosen)

    score = db.in_snapshot(work)
    store.touch(model)
    return (score,)
