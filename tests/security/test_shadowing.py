"""Names that mean something else: functions, operators, casts and types like ours or PostgreSQL's, and SQL in names."""

from __future__ import annotations

import json

import pytest

from security.arena import ROW, Arena

# Everything the statements of mlshare call without a schema, as the attacker would like to have it called.
SHADOWS = [
    "CREATE SCHEMA IF NOT EXISTS {s}",
    *(
        f"CREATE FUNCTION {{s}}.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS $$ BEGIN PERFORM "
        f"evil.act('{name}'); "
        f"RETURN NULL; END $$"
        for name, arguments, result in (
            ("encode", "bytea, text", "text"),
            ("quote_ident", "text", "text"),
            ("to_regclass", "text", "regclass"),
            ("parse_ident", "text", "text[]"),
            ("current_setting", "text", "text"),
            ("set_config", "text, text, boolean", "text"),
            ("pg_has_role", "name, name, text", "boolean"),
            ("pg_has_role", "name, oid, text", "boolean"),
            ("pg_get_userbyid", "oid", "name"),
            ("has_function_privilege", "name, oid, text", "boolean"),
            ("format_type", "oid, integer", "text"),
            ("to_jsonb", "anyelement", "jsonb"),
            ("array_send", "anyarray", "bytea"),
            ("hashtextextended", "text, bigint", "bigint"),
            ("row_number", "", "bigint"),
            ("jsonb_build_object", "text, jsonb", "jsonb"),
            ("get_byte", "bytea, integer", "integer"),
            ("octet_length", "bytea", "integer"),
            ("statement_timestamp", "", "timestamptz"),
        )
    ),
    *(
        f"CREATE OPERATOR {{s}}.{operator} (LEFTARG = {left}, RIGHTARG = {right}, FUNCTION = {{s}}.{name})"
        for operator, left, right, name in (
            ("=", "text", "text", "same_text"),
            ("=", "name", "name", "same_name"),
            ("=", "oid", "oid", "same_oid"),
            ("<>", "text", "text", "same_text"),
            ("||", "text", "text", "joined"),
            ("~~", "name", "text", "like"),
        )
    ),
    "CREATE TABLE {s}.pg_class (oid oid, relname name)",
    "CREATE VIEW {s}.pg_proc AS SELECT 1::oid AS oid, evil.act('pg_proc')::name AS proname",
    "CREATE VIEW {s}.pg_namespace AS SELECT evil.act('pg_namespace')::name AS nspname, 1::oid AS nspowner",
    "CREATE VIEW {s}.ml_settings AS SELECT evil.act('settings') AS name, 1 AS value",
    "CREATE VIEW {s}.model_catalog AS SELECT evil.act('catalog') AS model_handle",
    "CREATE DOMAIN {s}.jsonb AS pg_catalog.text CHECK (evil.yes('jsonb'))",
    "CREATE DOMAIN {s}.float8 AS pg_catalog.float8 CHECK (evil.yes('float8'))",
    "CREATE DOMAIN {s}.regclass AS pg_catalog.text CHECK (evil.yes('regclass'))",
]
HELPERS = [
    f"CREATE FUNCTION {{s}}.{name}({arguments}) RETURNS {result} LANGUAGE plpgsql AS $$ BEGIN PERFORM "
    f"evil.act('{name}'); RETURN NULL; END $$"
    for name, arguments, result in (
        ("same_text", "text, text", "boolean"),
        ("same_name", "name, name", "boolean"),
        ("same_oid", "oid, oid", "boolean"),
        ("joined", "text, text", "text"),
        ("like", "name, text", "boolean"),
    )
]
CALLS = (
    f"SELECT sys.ml_predict_row('{ROW}'::pg_catalog.jsonb, 'm@<owner>')",
    "SELECT * FROM sys.ml_predict('m@<owner>', 'SELECT 3 AS a, 2.5::pg_catalog.float8 AS b, "
    "''p''::pg_catalog.text AS c')",
    "CALL sys.ml_predict_table('public.input'::pg_catalog.regclass, 'm@<owner>', 'public.out_{n}')",
    "CALL sys.ml_score('public.input'::pg_catalog.regclass, 'c', 'm@<owner>', 'accuracy', NULL)",
    "CALL sys.ml_model_load('m', '<owner>')",
    "CALL sys.ml_model_active('all', NULL)",
    "SELECT * FROM sys.ml_model_privileges",
    "SELECT * FROM sys.ml_settings",
    "CALL sys.ml_create_or_upgrade_catalog()",
    'CALL sys.ml_model_import(NULL, \'{"schema": "public", "table": "input"}\'::pg_catalog.jsonb, NULL)',
    "CALL sys.ml_model_export('n@<owner>', 'public.copy_{n}')",
)


@pytest.mark.parametrize("place", ["public", "evil", "pg_temp", "own"])
def test_shadows_are_not_called(arena: Arena, place: str) -> None:
    """In public, in a schema first in the victim's path, among temporary objects, in a schema of the role's name."""
    schema = f'"{arena["reader"]}"' if place == "own" else place
    maker = None if place in ("public", "own") else "reader" if place == "pg_temp" else "mallory"
    made = 0
    for statement in [SHADOWS[0], *HELPERS, *SHADOWS[1:]]:
        made += not arena.attempt(maker, statement.format(s=schema)).refused
    assert made > 20 or place == "pg_temp"
    if place == "own":
        arena.run(None, f"GRANT USAGE ON SCHEMA {schema} TO PUBLIC")
    arena.run("reader", "SET search_path = evil, pg_temp, public, pg_catalog" if place != "own" else "SELECT 1")
    arena.run(
        None,
        "ALTER SEQUENCE evil.as_itself RESTART",
        "ALTER SEQUENCE evil.as_another RESTART",
        "DELETE FROM vault.ledger",
    )
    for n, statement in enumerate(CALLS):
        arena.attempt("reader", statement.replace("{n}", str(n)))
    arena.nothing_ran()


INJECTIONS = (
    "x'; SELECT evil.act('sql'); --",
    "x\"; SELECT evil.act('sql'); --",
    "x\\'; SELECT evil.act('sql'); --",
    "x) FROM (SELECT evil.act('sql')) AS y; --",
    "x$$; SELECT evil.act('sql'); $$",
    "{x}",
    "{schema}",
    "%s",
    "%I",
    "$1",
    ":x",
    "x\ny",
    "x;y",
    "x@y",
    "x.y",
    "..",
    "../../mlshare.key",
    "",
    " ",
    "x" * 300,
    "é😀",
    "ml_schema_x",
    "pg_catalog.pg_authid",
    "evil.act('sql')",
    "(SELECT evil.act('sql'))",
    "x -- ",
    "/*",
    "\x01",
    "\u202e",
    "NULL",
    '"',
)


@pytest.mark.parametrize("text", INJECTIONS)
def test_sql_in_every_text(shared_arena: Arena, text: str) -> None:
    """In handles, table, column, option and role names, types, queries' columns, notes and JSON keys."""
    arena, quoted = shared_arena, '"' + text.replace('"', '""')[:60] + '"'
    document = json.dumps({text: 1, "a": 1, "b": 2, "c": text})
    options = json.dumps({text: text})
    for statement, parameters in (
        ("SELECT sys.ml_predict_row(%s, %s)", (document, "m@" + arena["owner"])),
        ("SELECT sys.ml_predict_row(%s, %s)", (ROW, text)),
        ("SELECT sys.ml_predict_row(%s, %s)", (ROW, "m@" + text)),
        ("SELECT sys.ml_predict_row(%s, 'm', %s)", (ROW, options)),
        ("SELECT * FROM sys.ml_predict('m', %s)", (f"SELECT 3 AS a, 2.5 AS b, 'p' AS c, 1 AS {quoted}",)),
        ("CALL sys.ml_predict_table('public.input', 'm', %s)", (text,)),
        ("CALL sys.ml_predict_table('public.input', 'm', %s)", (f"public.{text}",)),
        ("CALL sys.ml_predict_table('public.input', 'm', %s)", (f"public.{quoted}",)),
        ("CALL sys.ml_score('public.input', %s, 'm', 'accuracy', NULL)", (text,)),
        ("CALL sys.ml_score('public.input', 'c', 'm', %s, NULL)", (text,)),
        ("CALL sys.ml_model_export('n', %s)", (text,)),
        ("CALL sys.ml_model_export(%s, 'public.e')", (text,)),
        ("CALL sys.ml_model_load(%s, %s)", (text, text)),
        ("CALL sys.ml_model_load('m', %s)", (text,)),
        ("CALL sys.ml_model_unload(%s)", (text,)),
        ("CALL sys.ml_model_active(%s, NULL)", (text,)),
        ("CALL sys.ml_model_drop(%s)", (text,)),
        ("CALL sys.ml_model_grant(%s, '<reader>'::regrole, 'PREDICT')", (text,)),
        ("CALL sys.ml_model_grant('n@<owner>', '<reader>'::regrole, %s)", (text,)),
        ("CALL sys.ml_model_revoke('n', '<reader>'::regrole, %s)", (text,)),
        ("CALL sys.ml_train('public.input', %s, NULL, NULL)", (text,)),
        ("CALL sys.ml_train('public.input', 'c', %s, NULL)", (options,)),
        ("CALL sys.ml_train('public.input', 'c', %s, %s)", (json.dumps({"exclude_column_list": [text]}), text)),
        ("CALL sys.ml_model_import(NULL, %s, NULL)", (json.dumps({"schema": text, "table": text}),)),
        (
            "CALL sys.ml_model_import('x', %s, %s)",
            (json.dumps({text: text, "format": text, "target_type": text}), text),
        ),
        ("SELECT sys._catalog_schema(%s), sys._owner_door(%s)", (text[:60], text[:60])),
    ):
        arena.tells_nothing(arena.attempt("reader", statement, parameters))
    arena.nothing_ran()


@pytest.mark.parametrize(
    "name",
    ['a"b', "a'b", "A b", "a.b", "a;b", "a%b", "a{b}", "_as_owner_x", "x" * 53, "x" * 63, "é" * 26, "$$", "public2"],
)
def test_role_names(shared_arena: Arena, name: str) -> None:
    """Roles of any name make catalogs, share and score; names that are too long are refused."""
    arena = shared_arena
    role = '"' + name.replace('"', '""') + '"'
    pool = arena.session(None)
    pool.execute(f"CREATE ROLE {role}; GRANT mlshare_user TO {role}".encode())
    try:
        pool.execute(f"SET ROLE {role}".encode())
        outcome = arena.attempt(pool, "CALL sys.ml_create_or_upgrade_catalog()")
        assert outcome.refused == (len(name.encode()) > 53), outcome.text
        arena.attempt(pool, "TABLE sys.ml_model_privileges")
        arena.refused(
            pool, "SELECT sys.ml_predict_row('{}', 'nothing@" + name.replace("'", "''").replace("%", "%%") + "')"
        )
        pool.execute("RESET ROLE")
    finally:
        pool.execute(f"RESET ROLE; DROP OWNED BY {role} CASCADE; DROP ROLE {role}".encode())
    arena.nothing_ran()
