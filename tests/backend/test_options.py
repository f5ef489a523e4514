"""Options: names, types and values, refused before anything is done.

A training with good options and a handle that is taken gets as far as the handle, and no further.
"""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from backend import calls
from backend.calls import refused

TAKEN = "loan"

GOOD = [
    {},
    {"task": "classification"},
    {"task": "REGRESSION", "optimization_metric": "r2"},
    {"model_list": ["SVC", "GaussianNB"]},
    {"exclude_model_list": ["SVC"]},
    {"optimization_metric": "f1_weighted"},
    {"include_column_list": ["age"]},
    {"exclude_column_list": ["age", "job"]},
    {"include_column_list": ["age"], "exclude_column_list": ["job"]},
    {"notes": ""},
    {"notes": 'quote " and \n line'},
    {"time_budget": 0.5},
    {"time_budget": 60},
    {"random_state": 0},
    {"random_state": 4294967295},
    {"model_list": None, "notes": None, "nonsense": None},
]
METRICS = {
    "classification": [
        "f1", "precision", "recall", "roc_auc", "accuracy", "balanced_accuracy", "neg_log_loss",
        *(f"{m}_{a}" for m in ("f1", "precision", "recall") for a in ("macro", "micro", "samples", "weighted")),
    ],
    "regression": [
        "neg_mean_absolute_error", "neg_mean_squared_error", "neg_mean_squared_log_error",
        "neg_median_absolute_error", "r2",
    ],
}  # fmt: skip


@pytest.mark.parametrize("options", GOOD, ids=json.dumps)
def test_good_options_are_taken(owner: psycopg.Connection, options: dict[str, Any]) -> None:
    with refused(owner, "ML201", 'model "loan" already exists'):
        calls.train(owner, "shop.loan", "answer", options, TAKEN)


@pytest.mark.parametrize(("task", "metric"), [(t, m) for t, names in METRICS.items() for m in names])
def test_every_metric_can_be_optimised(owner: psycopg.Connection, task: str, metric: str) -> None:
    with refused(owner, "ML201"):
        calls.train(owner, "shop.loan", "answer", {"task": task, "optimization_metric": metric}, TAKEN)


@pytest.mark.parametrize(("task", "metric"), [(t, m) for t, names in METRICS.items() for m in [*names, "nonsense"]])
def test_a_metric_of_the_other_task(owner: psycopg.Connection, task: str, metric: str) -> None:
    other = "regression" if task == "classification" else "classification"
    with refused(owner, "ML403", f'metric "{metric}" is not known for task "{other}"', hint="Known are: "):
        calls.train(owner, "shop.loan", "answer", {"task": other, "optimization_metric": metric}, TAKEN)


WRONG = {
    "task": ["clustering", "forecasting", 1, ["classification"], "", True],
    "model_list": ["SVC", [], [1], [["SVC"]], {"SVC": 1}, ["SVC", "SVC"], 7],
    "exclude_model_list": ["SVC", [], [None], {}],
    "optimization_metric": [5, ["r2"], True],
    "include_column_list": ["age", [], [3], ["age", "age"], {"age": True}],
    "exclude_column_list": ["age", [], [None], 0],
    "notes": [1, ["a"], {"a": 1}, False],
    "time_budget": [0, -1, "10", True, 1e7, [], float(10**12)],
    "random_state": [-1, 4294967296, 1.5, "1", True, [1]],
}


@pytest.mark.parametrize(("option", "given"), [(o, g) for o, many in WRONG.items() for g in many])
def test_values_of_the_wrong_kind(owner: psycopg.Connection, option: str, given: Any) -> None:
    with refused(owner, "ML002", f'invalid value for option "{option}": {json.dumps(given)[:100]} is not '):
        calls.train(owner, "shop.loan", "answer", {option: given}, TAKEN)


@pytest.mark.parametrize("option", ["Task", "contamination", "", "model list", "'; DROP TABLE shop.loan; --", "é"])
def test_unknown_options_list_the_known_ones(owner: psycopg.Connection, option: str) -> None:
    hint = (
        "Options here: exclude_column_list, exclude_model_list, executor, include_column_list, max_partitions, "
        "min_rows_per_partition, model_list, notes, on_partition_error, optimization_metric, partition_build_type, "
        "partition_columns, random_state, task, time_budget, unseen_key."
    )
    with refused(owner, "ML001", f'unknown option "{option}"', hint=hint):
        calls.train(owner, "shop.loan", "answer", {option: 1}, TAKEN)


@pytest.mark.parametrize(
    ("first", "second", "options"),
    [
        ("model_list", "exclude_model_list", {"model_list": ["SVC"], "exclude_model_list": ["GaussianNB"]}),
        (
            "include_column_list",
            "exclude_column_list",
            {"include_column_list": ["age", "job"], "exclude_column_list": ["job"]},
        ),
    ],
)
def test_options_in_conflict(owner: psycopg.Connection, first: str, second: str, options: dict[str, Any]) -> None:
    with refused(owner, "ML003", f'options "{first}" and "{second}" cannot be used together'):
        calls.train(owner, "shop.loan", "answer", options, TAKEN)


@pytest.mark.parametrize("option", ["include_column_list", "exclude_column_list"])
def test_column_lists_name_columns_other_than_the_target(owner: psycopg.Connection, option: str) -> None:
    with refused(owner, "ML002", f'option "{option}": it names the target column "answer"'):
        calls.train(owner, "shop.loan", "answer", {option: ["age", "answer"]}, TAKEN)
    with refused(owner, "42703", 'column "nope" does not exist in "shop.loan"', hint="Columns: id, age, income"):
        calls.train(owner, "shop.loan", "answer", {option: ["nope"]}, TAKEN)


# --- of the other routines -------------------------------------------------------------------------

CALLS = {
    "ml_predict_row": "SELECT sys.ml_predict_row('{}', 'loan', %s)",
    "ml_predict_table": "CALL sys.ml_predict_table('shop.loan', 'loan', 'shop.out', %s)",
    "ml_predict": "SELECT * FROM sys.ml_predict('loan', 'TABLE shop.loan', %s)",
    "ml_score": "CALL sys.ml_score('shop.loan', 'answer', 'loan', 'accuracy', NULL, %s)",
    "ml_train": "CALL sys.ml_train('shop.loan', 'answer', %s, 'loan')",
}
LOAN = '{"age": 1, "income": 1, "job": "nurse", "member": true, "since": "2020-01-01"}'


def call(connection: psycopg.Connection, routine: str, options: str) -> None:
    connection.execute(CALLS[routine].replace("'{}'", f"'{LOAN}'"), (options,))


@pytest.mark.parametrize("routine", CALLS)
@pytest.mark.parametrize("options", ["[]", "1", '"task"', "true", '[{"task": "regression"}]'])
def test_options_are_an_object(owner: psycopg.Connection, routine: str, options: str) -> None:
    with refused(owner, "22023", "invalid argument options: it is not a JSON object"):
        call(owner, routine, options)


@pytest.mark.parametrize("routine", sorted(set(CALLS) - {"ml_train"}))
@pytest.mark.parametrize("options", ["{}", "null", '{"threshold": null, "nonsense": null}', '{"threshold": 0.25}'])
def test_options_that_do(owner: psycopg.Connection, routine: str, options: str) -> None:
    call(owner, routine, options)


@pytest.mark.parametrize("routine", sorted(set(CALLS) - {"ml_train"}))
@pytest.mark.parametrize("given", [0, 1, -0.5, 2, "0.5", True, [0.5]])
def test_thresholds_that_do_not(owner: psycopg.Connection, routine: str, given: Any) -> None:
    with refused(owner, "ML002", 'invalid value for option "threshold"'):
        call(owner, routine, json.dumps({"threshold": given}))


@pytest.mark.parametrize("routine", ["ml_predict", "ml_predict_row", "ml_predict_table"])
@pytest.mark.parametrize("given", [0, -1, 1.5, "10", True])
def test_batch_sizes_that_do_not(owner: psycopg.Connection, routine: str, given: Any) -> None:
    with refused(owner, "ML002", 'invalid value for option "batch_size"'):
        call(owner, routine, json.dumps({"batch_size": given}))


@pytest.mark.parametrize("routine", sorted(set(CALLS) - {"ml_train"}))
def test_unknown_options_of_the_other_routines(owner: psycopg.Connection, routine: str) -> None:
    known = "threshold." if routine == "ml_score" else "batch_size, threshold."
    with refused(owner, "ML001", 'unknown option "topk"', hint=f"Options here: {known}"):
        call(owner, routine, '{"topk": 3}')
