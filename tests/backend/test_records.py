"""ml_predict_row of a row as it is, and of a literal: the same answers, and no call that PostgreSQL cannot resolve."""

from __future__ import annotations

import psycopg
import pytest

from backend import world
from backend.calls import refused, rows, value

MODELS = [("loan", "shop.loan"), ("tree", "shop.types"), *((target, "shop.goods") for target in world.TARGETS)]


@pytest.mark.parametrize(("handle", "table"), MODELS)
def test_a_row_as_it_is(owner: psycopg.Connection, handle: str, table: str) -> None:
    both = f"SELECT sys.ml_predict_row(t, %s), sys.ml_predict_row(to_jsonb(t), %s) FROM {table} AS t"
    found = rows(owner, both, handle, handle)
    assert len(found) > 100
    for given, as_json in found:
        assert set(given) == {"Prediction", "ml_results"}
        assert given == {k: as_json[k] for k in given}


def test_options_and_names(owner: psycopg.Connection) -> None:
    always = (
        "SELECT DISTINCT sys.ml_predict_row(t, 'loan', '{\"threshold\": 0.0001}') ->> 'Prediction' FROM shop.loan AS t"
    )
    assert rows(owner, always) == [("yes",)]
    named = "SELECT sys.ml_predict_row(input => t, model_handle => 'loan') ? 'ml_results' FROM shop.loan AS t LIMIT 1"
    assert value(owner, named) is True
    # Of a query, whose rows have no type with a name.
    constructed = "SELECT sys.ml_predict_row(t, 'loan') ->> 'Prediction' FROM (SELECT * FROM shop.loan LIMIT 3) AS t"
    assert len(rows(owner, constructed)) == 3


@pytest.mark.parametrize(
    "given",
    [
        '\'{"a": 1, "b": 2.5, "c": "p"}\'',
        '\'{"a": 1, "b": 2.5, "c": "p"}\'::jsonb',
        '\'{"a": 1, "b": 2.5, "c": "p"}\'::text',
        'E\' {"a": 1, "b": 2.5, "c": "p"}\\n\'',
        "jsonb_build_object('a', 1, 'b', 2.5, 'c', 'p')",
    ],
)
def test_every_way_to_write_an_object(owner: psycopg.Connection, given: str) -> None:
    answer = value(owner, f"SELECT sys.ml_predict_row({given}, 't_text')")
    assert {k: answer[k] for k in "abc"} == {"a": 1, "b": 2.5, "c": "p"}
    assert set(answer) == {"a", "b", "c", "Prediction", "ml_results"}


@pytest.mark.parametrize("text", ["", "{", "{} {}", "[1]", "{'a': 1}"])
def test_what_is_no_object(owner: psycopg.Connection, text: str) -> None:
    with refused(owner, "22023", "invalid argument input: it is not a JSON object"):
        owner.execute("SELECT sys.ml_predict_row(%s::text, 't_text')", (text,))


def test_a_row_without_a_column(owner: psycopg.Connection) -> None:
    with refused(owner, "ML400", 'the input lacks column "c"'):
        owner.execute("SELECT sys.ml_predict_row(t, 't_text') FROM (SELECT a, b FROM shop.goods) AS t")


def test_nothing_of_nothing(owner: psycopg.Connection) -> None:
    assert value(owner, "SELECT sys.ml_predict_row(NULL::shop.goods, 't_text')") is None


def test_it_is_put_into_the_query(owner: psycopg.Connection) -> None:
    plan = rows(owner, "EXPLAIN (VERBOSE) SELECT sys.ml_predict_row(t, 't_text') FROM shop.goods AS t")
    assert "_predict_row(to_json(" in str(plan)


@pytest.mark.parametrize("given", ["5", "ARRAY[1]", "now()"])
def test_other_types(owner: psycopg.Connection, given: str) -> None:
    with refused(owner, "22023", "it is not a JSON object"):
        owner.execute(f"SELECT sys.ml_predict_row({given}, 't_text')")
