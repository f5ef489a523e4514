"""PREDICT without SELECT: nobody gets bytes or metadata of a model, however well they know the catalog."""

from __future__ import annotations

import pytest

from security.arena import ROW, Arena

PREDICT = f"SELECT sys.ml_predict_row('{ROW}', 'm')"
TABLES = ("model_catalog", "model_object_catalog", "model_privilege")


@pytest.fixture
def arena(shared_arena: Arena) -> Arena:
    return shared_arena


def secret_rows(arena: Arena, kind: str, rows: list[tuple[object, ...]]) -> list[tuple[object, ...]]:
    """Rows about m, but for those that say which privilege on it the role itself has."""
    return [row for row in rows if "m" in row and arena[kind] not in row]


def test_the_model_works_and_answers_nothing_else(arena: Arena) -> None:
    outcome = arena.attempt("reader", PREDICT)
    assert not outcome.refused
    arena.tells_nothing(outcome)
    answer = outcome.rows[0][0]
    assert set(answer) == {"a", "b", "c", "Prediction", "ml_results"}


@pytest.mark.parametrize("table", TABLES)
@pytest.mark.parametrize("kind", ["reader", "mallory", "other", "outsider"])
@pytest.mark.parametrize(
    "statement",
    [
        'SELECT * FROM "<owner.catalog>".{table}',
        'TABLE "<owner.catalog>".{table}',
        'SELECT {table} FROM "<owner.catalog>".{table}',
        "SELECT ctid, xmin, tableoid FROM \"<owner.catalog>\".{table} WHERE model_handle = 'm'",
        'COPY "<owner.catalog>".{table} TO STDOUT',
        'COPY (SELECT * FROM "<owner.catalog>".{table}) TO STDOUT',
        'SELECT * FROM "<owner.catalog>".{table} FOR UPDATE',
        "UPDATE \"<owner.catalog>\".{table} SET model_handle = model_handle WHERE model_handle = 'm' RETURNING *",
        "DELETE FROM \"<owner.catalog>\".{table} WHERE model_handle = 'm' RETURNING *",
        "SELECT query_to_xml('SELECT * FROM \"<owner.catalog>\".{table} WHERE model_handle = ''m''', true, false, '')",
        "SELECT * FROM pg_stats WHERE schemaname = '<owner.catalog>'",
        "EXPLAIN (ANALYZE, VERBOSE, COSTS OFF) SELECT * FROM \"<owner.catalog>\".{table} WHERE model_handle = 'm'",
        "SELECT table_to_xml('\"<owner.catalog>\".{table}', true, false, '')",
        'CREATE TABLE public.thief (LIKE "<owner.catalog>".{table} INCLUDING ALL)',
        'ALTER TABLE "<owner.catalog>".{table} DISABLE ROW LEVEL SECURITY',
        'DROP POLICY may_see ON "<owner.catalog>".{table}',
        'CREATE POLICY mine ON "<owner.catalog>".{table} USING (true)',
        'GRANT ALL ON "<owner.catalog>".{table} TO PUBLIC',
    ],
)
def test_tables_show_nothing(arena: Arena, kind: str, table: str, statement: str) -> None:
    connection = arena.session(kind)
    connection.autocommit = False
    outcome = arena.attempt(connection, statement.replace("{table}", table))
    arena.tells_nothing(outcome)
    assert not secret_rows(arena, kind, outcome.rows)
    connection.rollback()
    connection.close()


def test_leaky_conditions_see_no_hidden_rows(arena: Arena) -> None:
    """A cheap function in WHERE must not be shown rows before the policy has dropped them (SELECT on n, not on m)."""
    arena.run(
        "reader",
        "CREATE FUNCTION pg_temp.tell(t text) RETURNS boolean LANGUAGE plpgsql COST 0.0001 AS "
        "$$ BEGIN RAISE NOTICE 'row %', t; RETURN true; END $$",
    )
    for column in ("model_handle", "model_metadata::text", "notes", "encode(model_digest, 'hex')"):
        outcome = arena.attempt("reader", f'SELECT 1 FROM "<owner.catalog>".model_catalog WHERE pg_temp.tell({column})')
        arena.tells_nothing(outcome)
        assert "row m\n" not in outcome.text
    chunks = '"<owner.catalog>".model_object_catalog'
    arena.tells_nothing(
        arena.attempt("reader", f"SELECT 1 FROM {chunks} WHERE pg_temp.tell(encode(model_object,'hex'))")
    )
    arena.tells_nothing(
        arena.attempt("reader", f"SELECT 1/(chunk_id - chunk_id) FROM {chunks} WHERE model_handle = 'm'")
    )


@pytest.mark.parametrize(
    "statement",
    [
        "SELECT <owner.door>",
        "SELECT <owner.door> FROM generate_series(1, 10)",
        "SELECT sys._in_snapshot()",
        "SELECT * FROM sys._scored()",
        "SELECT * FROM sys._scored_values()",
        "CREATE OR REPLACE FUNCTION <owner.door> RETURNS void LANGUAGE sql AS ''",
        "ALTER FUNCTION <owner.door> SECURITY INVOKER",
        "ALTER FUNCTION <owner.door> OWNER TO CURRENT_USER",
        "DROP FUNCTION <owner.door>",
        "CALL sys.ml_model_export('m', 'public.stolen')",
        "CALL sys.ml_model_export('m@<owner>', 'public.stolen')",
        "CALL sys.ml_model_grant('m', '<other>'::regrole, 'SELECT')",
        "CALL sys.ml_model_grant('m@<owner>', '<reader>'::regrole, 'SELECT')",
        "CALL sys.ml_model_revoke('m@<owner>', '<inspector>'::regrole, NULL)",
        "CALL sys.ml_model_compile('m', 'public.stolen')",
        "CALL sys.ml_model_compile('m@<owner>', 'public.stolen', NULL)",
        "CALL sys.ml_model_drop('m')",
        "CALL sys.ml_model_drop('m@<owner>')",
        'CALL sys.ml_model_import(NULL, \'{"schema": "<owner.catalog>", "table": "model_object_catalog"}\', NULL)',
        "CALL sys.ml_train('\"<owner.catalog>\".model_catalog'::regclass, 'task', NULL, NULL)",
        'SET ROLE "<owner>"',
        'SET SESSION AUTHORIZATION "<owner>"',
        "SELECT set_config('role', '<owner>', false)",
        "SELECT sys.ml_predict_row('[]', 'm')",
        "SELECT sys.ml_predict_row('{}', 'm')",
        'SELECT sys.ml_predict_row(\'{"a": {}, "b": [], "c": 1}\', \'m\')',
        'SELECT sys.ml_predict_row(\'{"a": "x", "b": "y", "c": null}\', \'m\')',
        "SELECT * FROM sys.ml_predict('m', 'SELECT 1 AS a')",
        "SELECT * FROM sys.ml_predict('m', 'SELECT now() AS a, now() AS b, now() AS c')",
        "CALL sys.ml_score('public.input', 'c', 'm', 'no such metric', NULL)",
        "CALL sys.ml_predict_table('public.input', 'm', 'pg_catalog.stolen')",
        "CALL sys.ml_predict_table('public.input', 'm', '\"<owner.catalog>\".stolen')",
    ],
)
def test_refusals_tell_nothing(arena: Arena, statement: str) -> None:
    arena.refused("reader", statement)


@pytest.mark.parametrize(
    "query",
    [
        'SELECT 3 AS a, 2.5 AS b, "<owner.door>"::text AS c',
        "SELECT 3 AS a, 2.5 AS b, <owner.door>::text AS c",
        "SELECT 3 AS a, 2.5 AS b, sys._in_snapshot()::text AS c",
        "SELECT 3 AS a, 2.5 AS b, encode((sys._scored()).codes, 'hex') AS c",
        "SELECT 3 AS a, 2.5 AS b, sys._scored_values()::text AS c",
        "SELECT 3 AS a, 2.5 AS b, encode(model_object, 'hex') AS c FROM \"<owner.catalog>\".model_object_catalog "
        "WHERE model_handle = 'm'",
        'SELECT 3 AS a, 2.5 AS b, model_metadata::text AS c FROM "<owner.catalog>".model_catalog WHERE '
        "model_handle = 'm'",
        "SELECT 3 AS a, 2.5 AS b, sys.ml_predict_row(jsonb_build_object('a', 1, 'b', 2, 'c', 'p'), 'm')::text AS c",
        "SELECT a, b, row::text AS c FROM sys.ml_predict('m', 'TABLE public.input') JOIN public.input ON true",
        "SELECT 3 AS a, 2.5 AS b, current_user::text || session_user AS c",
        "SELECT 3 AS a, 2.5 AS b, current_query() AS c",
        "SELECT 3 AS a, 2.5 AS b, string_agg(query, ' ') AS c FROM pg_stat_activity",
        "SELECT 3 AS a, 2.5 AS b, string_agg(statement, ' ') AS c FROM pg_prepared_statements",
        "SELECT 3 AS a, 2.5 AS b, string_agg(name || statement, ' ') AS c FROM pg_cursors",
    ],
)
def test_code_inside_a_scoring_gets_nothing(arena: Arena, query: str) -> None:
    """The query given to ml_predict, a view given to ml_predict_table and ml_score, a function in either."""
    arena.tells_nothing(arena.attempt("reader", "SELECT * FROM sys.ml_predict('m', $q$" + query + "$q$)"))
    view = "CREATE OR REPLACE VIEW public.nested AS SELECT v.a, v.b::float8 AS b, v.c, 'yes'::text AS y FROM ({}) AS v"
    if not arena.attempt("reader", "DROP VIEW IF EXISTS public.nested; " + view.format(query)).refused:
        arena.tells_nothing(
            arena.attempt("reader", "CALL sys.ml_predict_table('public.nested', 'm', 'public.answers')")
        )
        arena.tells_nothing(arena.attempt("reader", "TABLE public.answers"))
        arena.tells_nothing(arena.attempt("reader", "CALL sys.ml_score('public.nested', 'y', 'm', 'accuracy', NULL)"))
        arena.attempt("reader", "DROP TABLE IF EXISTS public.answers")
    definition = (
        "CREATE OR REPLACE FUNCTION public.nest() RETURNS text LANGUAGE plpgsql AS $f$ BEGIN RETURN "
        "(SELECT q::text FROM ("
    )
    arena.attempt("reader", definition + query + ") AS q LIMIT 1); END $f$")
    outcome = arena.attempt(
        "reader", "SELECT * FROM sys.ml_predict('m', 'SELECT 3 AS a, 2.5 AS b, public.nest() AS c')"
    )
    arena.tells_nothing(outcome)


def test_listings_show_only_what_was_given(arena: Arena) -> None:
    arena.attempt("reader", PREDICT)
    for scope in ("current", "all", None):
        outcome = arena.tells_nothing(arena.attempt("reader", "CALL sys.ml_model_active(%s, NULL)", [scope]))
        assert "algorithm" not in outcome.text
    outcome = arena.tells_nothing(arena.attempt("reader", "TABLE sys.ml_model_privileges"))
    seen = {(row[1], row[2]) for row in outcome.rows if row[0] == arena["owner"]}
    assert seen == {("m", arena["reader"]), ("n", arena["reader"])}
    for kind in ("other", "mallory"):
        outcome = arena.attempt(kind, "TABLE sys.ml_model_privileges")
        assert not [row for row in outcome.rows if row[0] == arena["owner"]]
    assert arena.attempt("outsider", "TABLE sys.ml_model_privileges").refused


def test_other_sessions_see_nothing(arena: Arena) -> None:
    watcher = arena.session("mallory")
    watcher.execute("LISTEN mlshare")
    arena.attempt("reader", "CALL sys.ml_model_load('m', NULL)")
    arena.attempt("reader", "CALL sys.ml_predict_table('public.input', 'm', 'public.seen')")
    for statement in (
        "SELECT a::text FROM pg_stat_activity AS a",
        "SELECT l::text FROM pg_locks AS l",
        "SELECT pg_ls_tmpdir()",
        "SELECT pg_read_file('mlshare.key')",
        "SELECT pg_read_binary_file('mlshare.key')",
        "SELECT pg_stat_file('mlshare.key')",
        "SELECT pg_ls_dir('.')",
        "SELECT lo_import('mlshare.key')",
        "COPY evil.loot FROM '/etc/passwd'",
        "COPY evil.loot (what) FROM PROGRAM 'cat mlshare.key'",
    ):
        arena.tells_nothing(arena.attempt(watcher, statement))
    assert not list(watcher.notifies(timeout=0.1))


def test_select_on_one_model_is_not_select_on_another(arena: Arena) -> None:
    rows = arena.run("reader", 'SELECT model_handle FROM "<owner.catalog>".model_catalog')
    assert rows == [("n",)]
    rows = arena.run("reader", 'SELECT DISTINCT model_handle FROM "<owner.catalog>".model_object_catalog')
    assert rows == [("n",)]
    arena.run("reader", "CALL sys.ml_model_export('n@<owner>', 'public.fine')")


@pytest.mark.parametrize(
    "statement",
    [
        "UPDATE \"<owner.catalog>\".model_catalog SET model_handle = 'n' WHERE model_handle = 'm'",
        "UPDATE \"<owner.catalog>\".model_object_catalog SET model_handle = 'n' WHERE model_handle = 'm'",
        "UPDATE \"<owner.catalog>\".model_object_catalog SET model_handle = 'big' WHERE model_handle = 'm'",
        "INSERT INTO \"<owner.catalog>\".model_object_catalog VALUES (9, 'big', 'x', 0, NULL)",
        "INSERT INTO \"<owner.catalog>\".model_privilege VALUES ('big', '<editor>'::regrole, 'ALTER')",
        "UPDATE \"<owner.catalog>\".model_privilege SET model_handle = 'big'",
        "INSERT INTO \"<owner.catalog>\".model_catalog (model_handle) VALUES ('mine')",
        'TRUNCATE "<owner.catalog>".model_object_catalog',
        "CALL sys.ml_model_grant('m', '<other>'::regrole, 'ALTER')",
        "CALL sys.ml_model_drop('big@<owner>')",
    ],
)
def test_alter_on_one_model_ends_there(arena: Arena, statement: str) -> None:
    """ALTER changes one model: not its name into another's, not its privileges, not its neighbours."""
    connection = arena.session("editor")
    connection.autocommit = False
    outcome = arena.attempt(connection, statement)
    assert outcome.refused
    connection.rollback()
