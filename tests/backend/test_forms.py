"""One answer in three forms: ml_predict_row, ml_predict and ml_predict_table agree on the same rows."""

from __future__ import annotations

import json
from typing import Any

import psycopg
import pytest

from backend import calls, world
from backend.calls import refused, rows, value

MODELS = [("loan", "shop.loan"), ("types", "shop.types"), ("amount", "shop.types"), ("tree", "shop.types")]
MODELS += [(target, "shop.goods") for target in world.TARGETS]
LOAN = {"age": 40, "income": 3100.5, "job": "nurse", "member": True, "since": "2012-05-06"}


def by_row(connection: psycopg.Connection, handle: str, table: str) -> list[dict[str, Any]]:
    """What ml_predict_row says of each row, in the order of the ids."""
    query = f"SELECT sys.ml_predict_row(to_jsonb(t), %s) FROM {table} AS t ORDER BY t.id"
    return [row[0] for row in rows(connection, query, handle)]


@pytest.mark.parametrize(("handle", "table"), MODELS)
def test_the_forms_agree_on_every_row(owner: psycopg.Connection, handle: str, table: str) -> None:
    calls.predict_table(owner, table, handle, "shop.forms")
    tabled = rows(owner, "SELECT to_jsonb(f) FROM shop.forms AS f ORDER BY id")
    queried = calls.predict(owner, handle, f"SELECT * FROM {table} ORDER BY id")
    single = by_row(owner, handle, table)
    assert len(tabled) == len(queried) == len(single) > 100
    assert [r[0]["ml_results"] for r in tabled] == [r["ml_results"] for r in single]
    assert [r[2] for r in queried] == [r["ml_results"] for r in single]
    assert [json_text(r["Prediction"]) for r in single] == [r[1] for r in queried]


@pytest.mark.parametrize("handle", [h for h, _ in MODELS])
def test_the_thousandth_row_is_answered_like_the_first(owner: psycopg.Connection, handle: str) -> None:
    """A model that answers many rows one at a time looks for a quicker way meanwhile."""
    query = (
        "SELECT sys.ml_predict_row(to_jsonb(t), %s) FROM {table} AS t, generate_series(1, {times}) AS n ORDER BY t.id"
    )
    table = dict(MODELS)[handle]
    once = rows(owner, query.format(table=table, times=1), handle)
    often = rows(owner, query.format(table=table, times=10), handle)
    assert len(often) == 10 * len(once) > 1000
    assert often == [row for row in once for _ in range(10)]


def json_text(label: Any) -> str:
    """A label as ml_predict gives it."""
    return label if isinstance(label, str) else json.dumps(label)


@pytest.mark.parametrize("handle", ["loan", "types", "t_text", "t_boolean"])
def test_probabilities_sum_to_one_and_the_greatest_is_predicted(owner: psycopg.Connection, handle: str) -> None:
    table = dict(MODELS)[handle]
    classes = calls.metadata(owner, handle)["classes"]
    for answer in by_row(owner, handle, table):
        shares = answer["ml_results"]["probabilities"]
        assert set(shares) == {json_text(c) for c in classes}
        assert sum(shares.values()) == pytest.approx(1, abs=2e-4)
        assert shares[json_text(answer["Prediction"])] == max(shares.values())


def test_the_row_is_echoed_with_what_the_model_does_not_need(owner: psycopg.Connection) -> None:
    given = {**LOAN, "more": [1, {"a": None}], "answer": "no"}
    answer = calls.predict_row(owner, given, "loan")
    assert {k: v for k, v in answer.items() if k in given} == given
    assert set(answer) == {*given, "Prediction", "ml_results"}
    assert answer["ml_results"]["predictions"] == {"answer": answer["Prediction"]}


def test_rows_that_no_table_had(owner: psycopg.Connection) -> None:
    unknown = {**LOAN, "job": "astronaut"}
    nothing = dict.fromkeys(LOAN)
    shape = "(age int, income float, job text, member bool, since date)"
    for row in (unknown, nothing):
        single = calls.predict_row(owner, row, "loan")
        query = f"SELECT * FROM jsonb_to_record('{json.dumps(row)}') AS r {shape}"
        ((_, label, results),) = calls.predict(owner, "loan", query)
        assert (single["Prediction"], single["ml_results"]) == (label, results)


def test_a_null_row_gives_null(owner: psycopg.Connection) -> None:
    assert value(owner, "SELECT sys.ml_predict_row(NULL, 'loan')") is None
    assert value(owner, "SELECT sys.ml_predict_row(NULL, 'loan', NULL)") is None


@pytest.mark.parametrize("row", ["[]", "1", '"a"', "null", "true"])
def test_a_row_is_an_object(owner: psycopg.Connection, row: str) -> None:
    with refused(owner, "22023", "invalid argument input: it is not a JSON object"):
        owner.execute("SELECT sys.ml_predict_row(%s, 'loan')", (row,))


@pytest.mark.parametrize(
    ("column", "given", "words"),
    [
        ("age", "forty", "value 'forty' of column \"age\" is not a numeric value"),
        ("age", [1], "is not a numeric value"),
        ("age", "Infinity", "is not a finite value"),
        ("age", "1:2:3:4", "is not a numeric value"),
        ("job", 5, 'value 5 of column "job" is not a string'),
        ("member", "perhaps", "is not a boolean value"),
        ("member", {"a": 1}, "is not a boolean value"),
        ("since", "yesterday", "is not a date in ISO form"),
        ("since", 20120506, "is not a date in ISO form"),
    ],
)
def test_a_value_of_the_wrong_kind(owner: psycopg.Connection, column: str, given: Any, words: str) -> None:
    with refused(owner, "ML402", words):
        calls.predict_row(owner, {**LOAN, column: given}, "loan")


@pytest.mark.parametrize("column", sorted(LOAN))
def test_a_missing_column(owner: psycopg.Connection, column: str) -> None:
    row = {k: v for k, v in LOAN.items() if k != column}
    with refused(owner, "ML400", f'the input lacks column "{column}"'):
        calls.predict_row(owner, row, "loan")
    with refused(owner, "ML400", f'the input lacks column "{column}"', detail="query has no such column"):
        calls.predict(owner, "loan", "SELECT " + ", ".join(row) + " FROM shop.loan")


@pytest.mark.parametrize(
    ("query", "sqlstate"),
    [("SELECT", "ML400"), ("DELETE FROM shop.loan", "42601"), ("SELECT 1; SELECT 2", "42601"), ("nonsense", "42601")],
)
def test_what_is_no_query(owner: psycopg.Connection, query: str, sqlstate: str) -> None:
    with refused(owner, sqlstate):
        calls.predict(owner, "loan", query)


def test_a_query_without_rows(owner: psycopg.Connection) -> None:
    assert calls.predict(owner, "loan", "SELECT * FROM shop.loan WHERE false") == []


def test_a_query_with_more_rows_than_a_batch(owner: psycopg.Connection) -> None:
    query = "SELECT l.*, n FROM shop.loan AS l, generate_series(1, 100) AS n ORDER BY n, id"
    found = calls.predict(owner, "loan", query)
    assert [(r["n"], r["id"]) for r, _, _ in found] == [(n, i) for n in range(1, 101) for i in range(1, 241)]
    assert [results for _, _, results in found[:240]] == [results for _, _, results in found[-240:]]


def test_a_query_may_end_with_a_comment(owner: psycopg.Connection) -> None:
    assert len(calls.predict(owner, "loan", "SELECT * FROM shop.loan LIMIT 2 -- two")) == 2


@pytest.mark.parametrize(("threshold", "expected"), [(0.0001, {"yes"}), (0.9999, {"no"})])
def test_the_threshold_moves_the_answer_in_every_form(
    owner: psycopg.Connection, threshold: float, expected: set[str]
) -> None:
    options = {"threshold": threshold}
    calls.predict_table(owner, "shop.loan", "loan", "shop.cut", options)
    cut = rows(owner, "SELECT prediction, ml_results #>> '{predictions,answer}' FROM shop.cut")
    queried = calls.predict(owner, "loan", "SELECT * FROM shop.loan", options)
    assert {p for pair in cut for p in pair} == {label for _, label, _ in queried} == expected
    assert {calls.predict_row(owner, LOAN, "loan", options)["Prediction"]} == expected


def test_a_threshold_is_the_least_probability_of_the_second_class(owner: psycopg.Connection) -> None:
    for row, label, results in calls.predict(owner, "loan", "SELECT * FROM shop.loan", {"threshold": 0.3}):
        assert abs(results["probabilities"]["yes"] - 0.3) < 1e-4 or label == (
            "yes" if results["probabilities"]["yes"] > 0.3 else "no"
        ), row
