"""What a plain user should not be able to do to the server: each ends soon, with an error or an answer."""

from __future__ import annotations

import json
import time

import pytest

from security.arena import ROW, Arena

SOON = 20.0
DEEP = "[" * 50_000 + "]" * 50_000
NESTED = '{"a":' * 5_000 + "1" + "}" * 5_000


@pytest.fixture
def arena(shared_arena: Arena) -> Arena:
    return shared_arena


@pytest.mark.parametrize(
    "statement, parameters",
    [
        ("SELECT sys.ml_predict_row(%s, 'm')", (DEEP,)),
        ("SELECT sys.ml_predict_row(%s, 'm')", (NESTED,)),
        ("SELECT sys.ml_predict_row(%s, 'm', %s)", (ROW, NESTED)),
        ("SELECT sys.ml_predict_row(%s, 'm')", (json.dumps({"a": DEEP, "b": 1, "c": "p"}),)),
        ("SELECT sys.ml_predict_row(%s, 'm', %s)", (ROW, json.dumps({f"o{i}": i for i in range(100_000)}))),
        ("CALL sys.ml_train('public.input', 'c', %s, NULL)", (json.dumps({f"o{i}": i for i in range(100_000)}),)),
        ("CALL sys.ml_train('public.input', 'c', %s, NULL)", (json.dumps({"exclude_column_list": ["x"] * 200_000}),)),
        ("CALL sys.ml_train('public.input', 'c', %s, NULL)", (json.dumps({"notes": "x" * 20_000_000, "task": "x"}),)),
        ("CALL sys.ml_train('public.input', 'c', %s, NULL)", (json.dumps({"time_budget": 10**400}),)),
        ("CALL sys.ml_train('public.input', 'c', '{\"random_state\": 1e400}', NULL)", ()),
        ("CALL sys.ml_train('public.input', 'c', '{\"time_budget\": NaN}', NULL)", ()),
        ('SELECT sys.ml_predict_row(\'{"a": NaN, "b": 1, "c": "p"}\', \'m\')', ()),
        ('SELECT sys.ml_predict_row(\'{"a": "NaN", "b": "Infinity", "c": "p"}\', \'m\')', ()),
        ('SELECT sys.ml_predict_row(\'{"a": 1e308, "b": -1e308, "c": "p"}\', \'m\')', ()),
        ('SELECT sys.ml_predict_row(\'{"a": 1e999, "b": 1, "c": "p"}\', \'m\')', ()),
        ("SELECT sys.ml_predict_row(%s, 'm')", ('{"a": ' + "9" * 100_000 + ', "b": 1, "c": "p"}',)),
        ("SELECT sys.ml_predict_row(%s, 'm')", ('{"a": "' + "9" * 1_000_000 + '", "b": 1, "c": "p"}',)),
        ("SELECT sys.ml_predict_row(%s, 'm')", (json.dumps({"a": 1, "b": 1, "c": "p" * 10_000_000}),)),
        ("SELECT sys.ml_predict_row(%s, %s)", (ROW, "h" * 10_000_000)),
        ("SELECT sys.ml_predict_row(%s, %s)", (ROW, "h@" + "o" * 10_000_000)),
        ("SELECT sys.ml_predict_row(%s, %s)", (ROW, "@" * 1_000_000)),
        ("CALL sys.ml_model_load(%s, %s)", ("h" * 10_000_000, "u" * 10_000_000)),
        ("CALL sys.ml_model_unload(%s)", ("h" * 10_000_000,)),
        ("CALL sys.ml_train('public.input', 'c', NULL, %s)", ("h" * 10_000_000,)),
        ("CALL sys.ml_train('public.input', %s, NULL, NULL)", ("c" * 10_000_000,)),
        ("CALL sys.ml_predict_table('public.input', 'm', %s)", ("t" * 10_000_000,)),
        ("CALL sys.ml_predict_table('public.input', 'm', %s)", ("." * 1_000_000,)),
        ("CALL sys.ml_score('public.input', 'c', 'm', %s, NULL)", ("m" * 10_000_000,)),
        ("CALL sys.ml_model_import(%s, '{}', NULL)", (b"\0" * 50_000_000,)),
        ("CALL sys.ml_model_import('x', %s, NULL)", (NESTED,)),
        ("CALL sys.ml_model_import('x', %s, NULL)", (json.dumps({"classes": list(range(500_000))}),)),
        ("SELECT * FROM sys.ml_predict('m', %s)", ("SELECT " * 100_000,)),
        ("SELECT * FROM sys.ml_predict('m', %s)", ("(" * 100_000,)),
        ("SELECT * FROM sys.ml_predict('m', %s)", ("SELECT " + ", ".join(f"{i} AS c{i}" for i in range(1664)),)),
        ("SELECT * FROM sys.ml_predict('m', 'TABLE public.input; SELECT 1')", ()),
        ("SELECT * FROM sys.ml_predict('m', 'DROP TABLE public.input')", ()),
        ("SELECT * FROM sys.ml_predict('m', '')", ()),
        ("SELECT * FROM sys.ml_predict('m', NULL)", ()),
        ("SELECT sys.ml_predict_row(NULL, NULL, NULL)", ()),
        ("CALL sys.ml_model_import(NULL, NULL, NULL)", ()),
        ("CALL sys.ml_predict_table(NULL, NULL, NULL, NULL)", ()),
        ("CALL sys.ml_train(NULL, NULL, NULL, NULL)", ()),
        ("CALL sys.ml_train('pg_class'::regclass, 'relkind', '[]', NULL)", ()),
        ("CALL sys.ml_train('pg_toast.pg_toast_2619'::regclass, 'chunk_id', NULL, NULL)", ()),
        ("CALL sys.ml_train('pg_class_oid_index'::regclass, 'oid', NULL, NULL)", ()),
        ("CALL sys.ml_train(1::regclass, 'oid', NULL, NULL)", ()),
        ("CALL sys.ml_predict_table(4294967295::regclass, 'm', 'public.z')", ()),
    ],
)
def test_too_much(arena: Arena, statement: str, parameters: tuple[object, ...]) -> None:
    started = time.monotonic()
    arena.tells_nothing(arena.attempt("reader", statement, parameters or None))
    assert time.monotonic() - started < SOON


def test_recursion_through_views_and_queries(arena: Arena) -> None:
    """A function that scores a query that calls the function, and a view that scores itself."""
    arena.run(
        "reader",
        "CREATE FUNCTION public.again(n integer) RETURNS float8 LANGUAGE plpgsql AS $$ BEGIN "
        "RETURN (SELECT count(*) FROM "
        "sys.ml_predict('m', format('SELECT public.again(%s) AS a, 1 AS b, ''p'' AS c', n + 1))); END $$",
    )
    arena.run("reader", "SET statement_timeout = '15s'")
    arena.refused("reader", "SELECT public.again(0)")
    arena.run("reader", "CREATE VIEW public.looped AS SELECT 1 AS a, 1.0::float8 AS b, 'p'::text AS c")
    arena.attempt(
        "reader",
        "CREATE OR REPLACE VIEW public.looped AS SELECT count(*)::int AS a, 1.0::float8 AS "
        "b, 'p'::text AS c FROM "
        "sys.ml_predict('m', 'TABLE public.looped')",
    )
    arena.refused("reader", "CALL sys.ml_predict_table('public.looped', 'm', 'public.loops')")
    arena.run("reader", "RESET statement_timeout")


def test_scoring_inside_a_scoring(arena: Arena) -> None:
    """A trigger on the table that is scored in place scores another one, and asks for the results of the first."""
    arena.run(
        "reader",
        "CREATE TABLE public.mine AS TABLE public.input",
        "CREATE FUNCTION public.meddle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM * FROM "
        "sys._scored(); "
        "PERFORM * FROM sys._scored_values(); CALL sys.ml_predict_table('public.input', 'm', "
        "'public.more'); RETURN new; END $$",
        "CREATE TRIGGER t BEFORE UPDATE ON public.mine FOR EACH ROW EXECUTE FUNCTION public.meddle()",
    )
    arena.tells_nothing(arena.attempt("reader", "CALL sys.ml_predict_table('public.mine', 'm', 'public.mine')"))
    arena.refused("reader", "SELECT * FROM sys._scored()")
