"""An owner of models against those who score them: no code of hers may run with their rights, or leave a trap."""

from __future__ import annotations

import threading
import time

import psycopg
import pytest

from security.arena import Arena

ROW = '{"a": 1, "b": 2, "d": 3}'
CATALOG = '"<mallory.catalog>"'
DOOR = "ALTER FUNCTION <mallory.door> "
EVIL_TEXT = "CREATE DOMAIN evil.text AS pg_catalog.text CHECK (evil.yes(VALUE::pg_catalog.text))"
EVIL_OID = (
    "CREATE FUNCTION evil.encode(bytea, pg_catalog.text) RETURNS pg_catalog.text LANGUAGE sql AS $$ "
    "SELECT evil.act('e') $$"
)


def replaced(table: str, columns: str = "*") -> list[str]:
    """The table under another name, and a view in its place."""
    return [
        f"ALTER TABLE {CATALOG}.{table} RENAME TO kept",
        f"CREATE VIEW {CATALOG}.{table} AS SELECT {columns} FROM {CATALOG}.kept WHERE evil.yes('{table}')",
        f"GRANT SELECT ON {CATALOG}.{table} TO PUBLIC",
    ]


MODELS = f"{CATALOG}.model_catalog"
PLOTS: dict[str, list[str]] = {
    "door_invoker": [DOOR + "SECURITY INVOKER", *replaced("model_catalog")],
    "door_invoker_with_path": [
        EVIL_TEXT,
        EVIL_OID,
        DOOR + "SECURITY INVOKER",
        DOOR + "SET search_path = evil, pg_catalog",
    ],
    "door_with_path": [EVIL_TEXT, EVIL_OID, DOOR + "SET search_path = evil, pg_catalog, pg_temp"],
    "door_with_role": [DOOR + "SECURITY INVOKER", DOOR + "SET role = '<mallory>'", *replaced("model_catalog")],
    "door_with_session": [
        DOOR + "SECURITY INVOKER",
        DOOR + "SET session_authorization = '<mallory>'",
        *replaced("model_catalog"),
    ],
    "door_definer_with_role": [DOOR + "SET role = '<mallory>'"],
    "door_immutable": [DOOR + "IMMUTABLE"],
    "door_ends_sessions": [DOOR + "SET exit_on_error = on", f"DROP TABLE {CATALOG}.model_privilege CASCADE"],
    "door_reset": [DOOR + "RESET ALL", EVIL_TEXT],
    "door_moved": [DOOR + "SET SCHEMA evil"],
    "door_dropped": ["DROP FUNCTION <mallory.door>"],
    "catalog_is_a_view": replaced("model_catalog"),
    "objects_are_a_view": replaced("model_object_catalog"),
    "privileges_are_a_view": replaced("model_privilege"),
    "catalog_is_materialized": [
        f"ALTER TABLE {MODELS} RENAME TO kept",
        f"CREATE MATERIALIZED VIEW {MODELS} AS TABLE {CATALOG}.kept",
    ],
    "policies_forced": [
        f"ALTER TABLE {MODELS} FORCE ROW LEVEL SECURITY",
        f"CREATE POLICY p ON {MODELS} USING (evil.yes('policy'))",
    ],
    "policies": [
        f"CREATE POLICY p ON {MODELS} USING (evil.yes('policy'))",
        f"CREATE POLICY p ON {CATALOG}.model_privilege USING (evil.yes('policy'))",
    ],
    "rule_on_update": [f"CREATE RULE r AS ON UPDATE TO {MODELS} DO ALSO SELECT evil.act('rule')"],
    "trigger": [
        "CREATE FUNCTION evil.fire() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM evil.act('trigger'); RETURN NULL; END $$",
        f"CREATE TRIGGER t AFTER UPDATE OR DELETE ON {MODELS} FOR EACH STATEMENT EXECUTE FUNCTION evil.fire()",
        f"CREATE CONSTRAINT TRIGGER d AFTER UPDATE OR DELETE ON {MODELS} DEFERRABLE INITIALLY DEFERRED "
        "FOR EACH ROW EXECUTE FUNCTION evil.fire()",
    ],
    "index_expression": [f"CREATE INDEX i ON {MODELS} (evil.quietly(model_handle))"],
    "index_predicate": [f"CREATE INDEX i ON {MODELS} (model_id) WHERE evil.yes('predicate')"],
    "index_predicate_on_objects": [f"CREATE INDEX i ON {CATALOG}.model_object_catalog (chunk_id) WHERE evil.yes('i')"],
    "statistics": [f"CREATE STATISTICS {CATALOG}.s ON (evil.quietly('s')), model_id FROM {MODELS}"],
    "check_constraint": [
        "SET constraint_exclusion = on",
        f"ALTER TABLE {MODELS} ADD CHECK (evil.yes('check'))",
        DOOR + "SET constraint_exclusion = on",
    ],
    "domain_column": [
        "CREATE DOMAIN evil.handle AS pg_catalog.text",
        f"ALTER TABLE {MODELS} ALTER notes TYPE evil.handle",
        "ALTER DOMAIN evil.handle ADD CHECK (evil.yes(VALUE)) NOT VALID",
    ],
    "enum_column": [
        "CREATE TYPE evil.p AS ENUM ('PREDICT', 'SELECT', 'ALTER')",
        f"DROP TABLE {CATALOG}.model_privilege CASCADE",
        f"CREATE TABLE {CATALOG}.model_privilege (model_handle text, grantee regrole, privilege "
        f"evil.p, granted_at timestamptz)",
        f"INSERT INTO {CATALOG}.model_privilege VALUES ('trap', '<reader>'::regrole, 'ALTER')",
        "CREATE FUNCTION evil.cast(evil.p) RETURNS text LANGUAGE sql AS $$ SELECT evil.act('cast') $$",
        "CREATE CAST (evil.p AS text) WITH FUNCTION evil.cast(evil.p) AS IMPLICIT",
    ],
    "generated_column": [f"ALTER TABLE {MODELS} ADD g text GENERATED ALWAYS AS (evil.quietly(notes)) STORED"],
    "child_table": [
        f"CREATE TABLE {CATALOG}.child () INHERITS ({MODELS})",
        f"ALTER TABLE {CATALOG}.child ENABLE ROW LEVEL SECURITY",
    ],
    "parent_table": [
        f"CREATE TABLE {CATALOG}.parent (LIKE {MODELS})",
        f"ALTER TABLE {MODELS} INHERIT {CATALOG}.parent",
    ],
    "wrong_columns": [f"ALTER TABLE {MODELS} RENAME model_digest TO gone"],
    "tables_gone": [f"DROP TABLE {CATALOG}.model_catalog CASCADE"],
    "schema_recreated": [
        f"ALTER SCHEMA {CATALOG} RENAME TO old",
        f"CREATE SCHEMA {CATALOG}",
        f"CREATE VIEW {MODELS} AS SELECT * FROM old.model_catalog WHERE evil.yes('schema')",
        f"GRANT ALL ON SCHEMA {CATALOG} TO PUBLIC; GRANT ALL ON {MODELS} TO PUBLIC",
    ],
    "target_type_with_cast": [
        "CREATE TYPE evil.answer AS ENUM ('1', '2')",
        "CREATE FUNCTION evil.made(text) RETURNS evil.answer LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM evil.act('cast'); RETURN '1'; END $$",
        "CREATE FUNCTION evil.made(float8) RETURNS evil.answer LANGUAGE plpgsql AS "
        "$$ BEGIN PERFORM evil.act('cast'); RETURN '1'; END $$",
        "CREATE CAST (text AS evil.answer) WITH FUNCTION evil.made(text) AS IMPLICIT",
        "CREATE CAST (float8 AS evil.answer) WITH FUNCTION evil.made(float8) AS IMPLICIT",
        f'UPDATE {MODELS} SET model_metadata = model_metadata || \'{{"target_type": "evil.answer"}}\'',
    ],
    "target_type_is_a_domain": [
        "CREATE DOMAIN evil.answer AS float8 CHECK (evil.yes('domain'))",
        f'UPDATE {MODELS} SET model_metadata = model_metadata || \'{{"target_type": "evil.answer"}}\'',
    ],
    "target_type_is_sql": [
        f"UPDATE {MODELS} SET model_metadata = model_metadata || "
        '\'{"target_type": "text AS x, evil.act($$sql$$)::text"}\''
    ],
    "metadata_is_not_an_object": [f"UPDATE {MODELS} SET model_metadata = '[1, \"evil.act()\"]'"],
}

ACTS = (
    f"SELECT sys.ml_predict_row('{ROW}', 'trap@<mallory>')",
    f"SELECT sys.ml_predict_row('{ROW}', 'trap')",
    "SELECT * FROM sys.ml_predict('trap@<mallory>', 'SELECT 1 AS a, 2 AS b, 3 AS d')",
    "CALL sys.ml_predict_table('public.victims', 'trap@<mallory>', 'public.answers_{n}')",
    "CALL sys.ml_score('public.victims', 'y', 'trap@<mallory>', 'r2', NULL)",
    "CALL sys.ml_model_load('trap', '<mallory>')",
    "CALL sys.ml_model_active('all', NULL)",
    "TABLE sys.ml_model_privileges",
    "CALL sys.ml_model_drop('trap@<mallory>')",
)


def act(arena: Arena, victim: psycopg.Connection, n: int) -> None:
    for statement in ACTS:
        arena.attempt(victim, statement.replace("{n}", str(n)))


def require_clean(victim: psycopg.Connection, before: object) -> None:
    """The session is as it was: nothing waits in it to be run with the victim's rights."""
    assert victim.execute(STATE).fetchone() == before


STATE = """SELECT current_setting('search_path'), current_setting('role'), current_user, session_user,
    (SELECT count(*) FROM pg_class WHERE relpersistence = 't'), (SELECT count(*) FROM pg_prepared_statements),
    (SELECT count(*) FROM pg_cursors WHERE is_holdable), (SELECT count(*) FROM pg_listening_channels())"""


@pytest.fixture
def arena(arena: Arena) -> Arena:
    arena.run(
        None,
        "CREATE TABLE public.victims AS SELECT i::float8 AS a, 2.0::float8 AS b, 3.0::float8 AS d, "
        "i + 5.0::float8 AS y FROM generate_series(1, 5) AS i; GRANT SELECT ON public.victims TO PUBLIC",
    )
    arena.run("mallory", "CALL sys.ml_model_grant('trap', '<reader>'::regrole, 'ALTER')")
    return arena


def reset(arena: Arena) -> None:
    """What ran while she prepared it, ran as herself and does not count."""
    arena.run(None, "ALTER SEQUENCE evil.as_itself RESTART")


@pytest.mark.parametrize("plot", PLOTS)
def test_her_code_never_runs_for_others(arena: Arena, plot: str) -> None:
    """Neither for a grantee (even one who may drop her model) nor for a superuser who has the model loaded already."""
    grantee, superuser = arena.of("reader"), arena.of(None)
    assert not arena.attempt(superuser, ACTS[0]).refused
    arena.run("mallory", *PLOTS[plot])
    reset(arena)
    for n, victim in enumerate((grantee, superuser)):
        before = victim.execute(STATE).fetchone()
        act(arena, victim, n)
        require_clean(victim, before)
    arena.nothing_ran()


PRIVILEGES = f"{CATALOG}.model_privilege"
UNCHECKED = f"ALTER TABLE {PRIVILEGES} DROP CONSTRAINT model_privilege_privilege_check"
DAMAGE: dict[str, list[str]] = {
    "a_view": PLOTS["catalog_is_a_view"],
    "no_right_to_read": [f"REVOKE SELECT ON {MODELS} FROM <mallory>"],
    "no_right_to_schema": [f"REVOKE USAGE ON SCHEMA {CATALOG} FROM <mallory>"],
    "no_digest": [f"ALTER TABLE {MODELS} DROP model_digest"],
    "digest_as_text": [f"ALTER TABLE {MODELS} ALTER model_digest TYPE text"],
    "no_partitions": [f"ALTER TABLE {PRIVILEGES} DROP partition_id CASCADE"],
    "unknown_privilege": [UNCHECKED, f"UPDATE {PRIVILEGES} SET privilege = 'X' WHERE privilege = 'ALTER'"],
    "unknown_privilege_on_partition": [
        UNCHECKED,
        f"ALTER TABLE {PRIVILEGES} DROP CONSTRAINT model_privilege_model_handle_partition_id_fkey",
        f"UPDATE {PRIVILEGES} SET privilege = 'X', partition_id = 1 WHERE privilege = 'ALTER'",
    ],
    "null_privilege_on_partition": [
        f"ALTER TABLE {PRIVILEGES} ALTER privilege DROP NOT NULL",
        f"ALTER TABLE {PRIVILEGES} DROP CONSTRAINT model_privilege_model_handle_partition_id_fkey",
        f"UPDATE {PRIVILEGES} SET privilege = NULL, partition_id = 1 WHERE privilege = 'ALTER'",
    ],
    "unknown_grantee": [
        f"DROP POLICY own_rows ON {PRIVILEGES}",
        f"DROP POLICY may_see ON {MODELS}; DROP POLICY may_update ON {MODELS}; DROP POLICY may_delete ON {MODELS}",
        *(
            f"DROP POLICY {p} ON {CATALOG}.{t}"
            for t in ("model_object_catalog", "model_partition")
            for p in ("may_see", "may_insert", "may_update", "may_delete")
        ),
        f"ALTER TABLE {PRIVILEGES} ALTER grantee TYPE name USING 'no ' || grantee::text",
    ],
    "columns_as_text": [f"ALTER TABLE {MODELS} ALTER column_names TYPE text USING '['"],
    "moment_as_text": [f"ALTER TABLE {MODELS} ALTER build_timestamp TYPE text USING 'soon'"],
    "moment_of_grant_as_text": [f"ALTER TABLE {PRIVILEGES} ALTER granted_at TYPE text USING 'soon'"],
    "size_as_text": [
        f"ALTER TABLE {MODELS} ALTER model_object_size DROP DEFAULT",
        f"ALTER TABLE {MODELS} ALTER model_object_size TYPE text USING 'large'",
    ],
    "number_with_too_many_digits": [f"UPDATE {MODELS} SET model_metadata = '{{\"training_time\": 1e5000}}'"],
}


@pytest.mark.parametrize("damage", DAMAGE)
def test_a_broken_catalog_does_not_hide_the_models_of_others(arena: Arena, damage: str) -> None:
    arena.run("mallory", *DAMAGE[damage])
    assert not arena.attempt("reader", 'SELECT sys.ml_predict_row(\'{"a": 1, "b": 2, "c": "p"}\', \'m\')').refused
    assert arena["owner"] in arena.attempt("reader", "TABLE sys.ml_model_privileges").text
    for role, scope in (("reader", "all"), (None, "dba")):
        for view in ("models", "model_attributes", "model_settings", "model_partitions"):
            seen = arena.attempt(role, f"TABLE sys.{scope}_mining_{view}")
            assert not seen.refused, seen.text
            assert view in ("model_settings", "model_partitions") or arena["owner"] in seen.text


def test_metadata_that_are_no_object_are_none(arena: Arena) -> None:
    for n, metadata in enumerate(("[1]", '"text"', "7", "null")):
        arena.run("mallory", f"UPDATE {MODELS} SET model_metadata = '{metadata}'")
        for statement in ACTS[:-1]:
            outcome = arena.attempt("reader", statement.replace("{n}", str(n)))
            assert outcome.sqlstate != "38000", outcome.text


def test_what_ends_a_statement_is_no_broken_catalog(arena: Arena) -> None:
    mallory, reader = arena.session("mallory"), arena.of("reader")
    reader.execute("SET statement_timeout = '500ms'")
    with mallory.transaction():
        mallory.execute(arena.fill(f"LOCK TABLE {MODELS}").encode())
        assert arena.attempt(reader, f"SELECT sys.ml_predict_row('{ROW}', 'm')").sqlstate == "57014"


@pytest.mark.parametrize("victim", ["other", "postgres"])
def test_a_catalog_in_the_name_of_another(arena: Arena, victim: str) -> None:
    """She makes ml_schema_<victim> before the victim does."""
    name = arena.names.get(victim, victim)
    schema = f'"ml_schema_{name}"'
    arena.run(
        "mallory",
        f"CREATE SCHEMA {schema}; GRANT ALL ON SCHEMA {schema} TO PUBLIC",
        f"CREATE VIEW {schema}.model_catalog AS SELECT 'm'::text AS model_handle, evil.act('v')::bytea "
        f"AS model_digest, "
        "'{}'::jsonb AS model_metadata",
        f"CREATE VIEW {schema}.model_object_catalog AS SELECT 'm'::text AS model_handle, 1 AS chunk_id, "
        "0 AS partition_id, evil.act('v')::bytea AS model_object, ''::bytea AS signature",
        f"CREATE VIEW {schema}.model_privilege AS SELECT 'm'::text AS model_handle, 0::regrole AS grantee, "
        "evil.act('v') AS privilege, now() AS granted_at",
        f"GRANT ALL ON ALL TABLES IN SCHEMA {schema} TO PUBLIC",
    )
    connection = arena.session(None if victim == "postgres" else victim)
    for statement in (
        f"SELECT sys.ml_predict_row('{ROW}', 'm')",
        f"SELECT sys.ml_predict_row('{ROW}', 'm@{name}')",
        "TABLE sys.ml_model_privileges",
        "SELECT sys._create_catalog_schema()",
        "TABLE sys.ml_model_privileges",
        "CALL sys.ml_create_or_upgrade_catalog()",
        "CALL sys.ml_model_export('m', 'public.x')",
        "CALL sys.ml_model_drop('m')",
        "CALL sys.ml_train('public.victims', 'y', '{\"task\": \"regression\"}', 'mine')",
    ):
        arena.attempt(connection, statement)
    arena.nothing_ran()


BOMB = [
    "CREATE TABLE evil.fuse (x int)",
    "CREATE FUNCTION evil.fire() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM evil.act('late'); RETURN "
    "NULL; END $$",
    "CREATE CONSTRAINT TRIGGER late AFTER INSERT ON evil.fuse DEFERRABLE INITIALLY DEFERRED FOR EACH ROW "
    "EXECUTE FUNCTION evil.fire()",
    "CREATE FUNCTION evil.lay(command text) RETURNS boolean LANGUAGE plpgsql VOLATILE AS "
    "$$ BEGIN PERFORM nextval('evil.as_itself'); EXECUTE command; RETURN true; EXCEPTION WHEN OTHERS THEN "
    "RETURN true; END $$",
    "CREATE FUNCTION evil.bomb() RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS $$ DECLARE c text; BEGIN "
    "FOREACH c IN ARRAY ARRAY["
    "'INSERT INTO evil.fuse VALUES (1)', 'SELECT set_config(''search_path'', ''evil'', false)', "
    "'SELECT set_config(''role'', ''none'', false)', 'RESET SESSION AUTHORIZATION', 'LISTEN evil', 'SET ROLE "
    "postgres', "
    "'CREATE TEMP VIEW victims AS SELECT evil.act(''temp'')', 'PREPARE trap AS SELECT 1', 'DEALLOCATE ALL', "
    "'DECLARE trap CURSOR WITH HOLD FOR SELECT 1', 'DISCARD PLANS'"
    "] LOOP PERFORM evil.lay(c); END LOOP; RETURN true; END $$",
]


def test_what_slips_past_the_look_at_the_tables_is_confined(arena: Arena) -> None:
    """With the look at the tables taken away, her code runs as herself and can leave nothing behind."""
    arena.run("mallory", *BOMB, f"CREATE INDEX i ON {MODELS} (model_id) WHERE evil.bomb()")
    victim = arena.of(None)
    victim.execute("SELECT sys._start()")
    victim.execute("DO LANGUAGE plpython3u 'import mlshare.catalog as c; c._require_plain = lambda *a: None'")
    victim.execute("PREPARE victims_own AS SELECT 1")
    reset(arena)
    before = victim.execute(STATE).fetchone()
    for statement in ACTS[:8]:
        assert "altered" not in arena.attempt(victim, statement.replace("{n}", "0")).text
        require_clean(victim, before)
    assert victim.execute("SELECT is_called FROM evil.as_itself").fetchone() == (True,), "the plot did not even run"
    arena.nothing_ran(itself=False)


def test_changing_tables_while_others_score(arena: Arena) -> None:
    arena.run("mallory", *BOMB)
    mallory, stop = arena.session("mallory"), threading.Event()

    def toggle() -> None:
        while not stop.is_set():
            mallory.execute(arena.fill(f"CREATE INDEX i ON {MODELS} (model_id) WHERE evil.bomb()").encode())
            mallory.execute(arena.fill(f"DROP INDEX {CATALOG}.i").encode())

    thread = threading.Thread(target=toggle)
    victim = arena.of(None)
    before = victim.execute(STATE).fetchone()
    thread.start()
    try:
        end = time.monotonic() + 3
        while time.monotonic() < end:
            arena.attempt(victim, ACTS[0])
    finally:
        stop.set()
        thread.join()
    require_clean(victim, before)
    arena.nothing_ran(itself=False)
