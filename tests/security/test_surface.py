"""What is open to whom: privileges on everything in sys, functions with other rights, the key and the settings."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest

from security.arena import Arena

SUPER_ONLY = {"ml_set", "ml_executor_set", "_create_key"}
ACLS = """
SELECT 'routine ' || p.oid::regprocedure, coalesce(p.proacl::text, 'DEFAULT') FROM pg_proc AS p
WHERE p.pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace)
  AND p.proname NOT LIKE '\\_as\\_owner\\_%'
UNION ALL SELECT 'relation ' || c.oid::regclass, coalesce(c.relacl::text, '') FROM pg_class AS c
WHERE c.relnamespace = 'sys'::regnamespace AND c.relkind IN ('r', 'v', 'S', 'm')
UNION ALL SELECT 'schema ' || nspname, coalesce(nspacl::text, '') FROM pg_namespace
WHERE nspname IN ('sys', 'dbms_data_mining') ORDER BY 1
"""

# A call of a procedure names its OUT parameters too.
SIGNATURES = """
SELECT pronamespace::regnamespace::text || '.' || quote_ident(proname),
       ARRAY(SELECT format_type(t.oid, NULL) FROM unnest(
                          CASE WHEN prokind = 'p' AND proallargtypes IS NOT NULL THEN proallargtypes
                               ELSE proargtypes::oid[] END) WITH ORDINALITY AS t (oid, n) ORDER BY n), prokind
FROM pg_proc WHERE pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace)
"""


# Readable by whoever has USAGE on the schema; the last two show only what the caller may see.
OPEN = (
    "relation sys.all_share_default_settings",
    "relation sys.ml_settings",
    "relation sys.ml_model_privileges",
    "relation sys.ml_cache",
)
OPEN += tuple(
    f"relation sys.{scope}_mining_model{v}"
    for scope in ("all", "user")
    for v in ("s", "_attributes", "_settings", "_partitions", "_views", "_xforms")
)
CONVERTER = re.compile(
    r" SELECT (\* FROM )?sys\.\w+\(\$1, (\$2::pg_catalog\.json|pg_catalog\.to_json\(\$2\))(, \$\d)*\) "
    r"|SELECT sys\._predict_row\(pg_catalog\.to_json\(\$1\), \$2, \$3\)"
)


@pytest.fixture
def arena(shared_arena: Arena) -> Arena:
    return shared_arena


def test_nothing_is_open_to_everybody(arena: Arena) -> None:
    superuser = arena.run(None, "SELECT current_user")[0][0]
    for name, acl in arena.run(None, ACLS):
        arena.tally.tried[arena.category] += 1
        entries = [e.strip('{}"') for e in acl.split(",")] if acl not in ("", "DEFAULT") else [acl]
        public = [e for e in entries if e.startswith("=")]
        allowed = {f"=r/{superuser}"} if name in OPEN else set()
        assert acl != "DEFAULT" and set(public) <= allowed, f"{name}: {acl}"
        granted = [e.partition("=")[2].partition("/")[0] for e in entries if not e.startswith(f"{superuser}=")]
        assert not set("awdDxt") & set("".join(granted)), f"{name}: {acl}"


def test_every_function_pins_its_search_path(arena: Arena) -> None:
    """But those that the planner puts into queries: they only convert an argument, and name everything in full."""
    for name, config, body in arena.run(
        None,
        "SELECT oid::regprocedure::text, proconfig, prosrc FROM pg_proc "
        "WHERE pronamespace IN ('sys'::regnamespace, 'dbms_data_mining'::regnamespace)",
    ):
        arena.tally.tried[arena.category] += 1
        assert "search_path=pg_catalog, pg_temp" in (config or ()) or CONVERTER.fullmatch(body), name


def test_functions_with_the_rights_of_their_owner(arena: Arena, golden: Callable[[str, str], None]) -> None:
    found = arena.run(
        None,
        "SELECT p.oid::regprocedure::text || ' owner ' || CASE WHEN r.rolsuper THEN "
        "'superuser' ELSE 'catalog owner' END "
        "|| ' language ' || l.lanname FROM pg_proc AS p JOIN pg_roles AS r ON r.oid = p.proowner "
        "JOIN pg_language AS l "
        "ON l.oid = p.prolang WHERE p.prosecdef AND p.pronamespace IN ('sys'::regnamespace, "
        "'dbms_data_mining'::regnamespace) ORDER BY 1",
    )
    lines = "\n".join(line for (line,) in found)
    for kind in arena.names:
        lines = lines.replace(arena[kind], f"<{kind}>")
    golden("definer_functions.txt", lines.replace('"', "") + "\n")


def test_doors_are_open_for_grantees_only(arena: Arena) -> None:
    door = arena.run(None, "SELECT proacl::text FROM pg_proc WHERE oid = to_regprocedure('<owner.door>')")[0][0]
    grantees = {entry.partition("=")[0].strip('{}"\\') for entry in door.split(",")}
    assert grantees == {arena[k] for k in ("owner", "reader", "inspector", "editor")}


@pytest.mark.parametrize(
    "statement",
    [
        "CALL sys.ml_set('import_size', 999999)",
        "INSERT INTO sys._setting VALUES ('import_size', 999999)",
        "UPDATE sys._setting SET value = 0",
        "DELETE FROM sys._setting",
        "UPDATE sys.ml_settings SET value = 0",
        "TRUNCATE sys._setting",
        "TABLE sys._setting",
        "SELECT sys._create_key()",
        "CREATE FUNCTION sys.mine() RETURNS void LANGUAGE sql AS ''",
        "CREATE TABLE sys.mine (x int)",
        "CREATE OR REPLACE FUNCTION sys._version() RETURNS text LANGUAGE sql AS $$ SELECT 'x' $$",
        "CREATE FUNCTION sys._as_owner_postgres() RETURNS void LANGUAGE sql AS ''",
        "ALTER FUNCTION sys.ml_predict_row(jsonb, text, jsonb) SECURITY DEFINER",
        "DROP FUNCTION sys._version()",
        "GRANT EXECUTE ON PROCEDURE sys.ml_set TO PUBLIC",
        "ALTER SCHEMA sys RENAME TO mine",
        "CREATE FUNCTION public.code() RETURNS void LANGUAGE plpython3u AS 'import os'",
        "DO LANGUAGE plpython3u 'import os'",
        "ALTER EXTENSION mlshare UPDATE",
        "DROP EXTENSION mlshare CASCADE",
        "CREATE EVENT TRIGGER t ON ddl_command_start EXECUTE FUNCTION evil.fire()",
        "LOAD 'plpython3'",
    ],
)
@pytest.mark.parametrize("kind", ["reader", "outsider"])
def test_administration_is_not_for_users(arena: Arena, kind: str, statement: str) -> None:
    arena.refused(kind, statement)


@pytest.mark.parametrize("change", ["SET", "set_config"])
@pytest.mark.parametrize(
    "name", ["mlshare.key", "mlshare.key_file", "mlshare.import_size", "mlshare.python", "sys.import_size"]
)
def test_settings_of_the_session_mean_nothing(arena: Arena, change: str, name: str) -> None:
    before = arena.run("reader", "SELECT * FROM sys.ml_settings ORDER BY 1")
    statement = f"SET {name} = '/evil'" if change == "SET" else f"SELECT set_config('{name}', '/evil', false)"
    arena.attempt("reader", statement)
    assert arena.run("reader", "SELECT * FROM sys.ml_settings ORDER BY 1") == before
    assert not arena.attempt("reader", 'SELECT sys.ml_predict_row(\'{"a": 1, "b": 2, "c": "p"}\', \'m\')').refused


def test_outsiders_can_call_nothing(arena: Arena) -> None:
    """A role without mlshare_user may not even see the schema, nor with a grant on a model."""
    arena.run("owner", "CALL sys.ml_model_grant('m', '<outsider>'::regrole, 'PREDICT')")
    try:
        for name, types, kind in arena.run(None, SIGNATURES):
            any_type = {'"any"': "1", "anyelement": "ROW(1)"}
            values = ", ".join(any_type.get(t) or f"NULL::{t}" for t in types)
            verb = "CALL" if kind == "p" else "SELECT"
            outcome = arena.refused("outsider", f"{verb} {name}({values})")
            assert outcome.sqlstate == "42501", outcome.text
    finally:
        arena.run("owner", "CALL sys.ml_model_revoke('m', '<outsider>'::regrole, NULL)")


def test_users_cannot_run_what_administrators_run(arena: Arena) -> None:
    granted = arena.run(
        None,
        "SELECT proname FROM pg_proc WHERE pronamespace = 'sys'::regnamespace AND "
        "has_function_privilege('<reader>', oid, 'EXECUTE')",
    )
    assert not SUPER_ONLY & {name for (name,) in granted}
    assert arena.run(
        None,
        "SELECT count(*) FROM pg_proc WHERE pronamespace = 'sys'::regnamespace AND proname "
        "= ANY (ARRAY['ml_set', '_create_key'])",
    ) == [(2,)]


@pytest.mark.private
def test_key_file_is_private(arena: Arena) -> None:
    statement = "SELECT (pg_stat_file('mlshare.key')).size, current_setting('data_directory')"
    size, directory = arena.run(None, statement)[0]
    assert size == 32
    from pathlib import Path

    status = (Path(directory) / "mlshare.key").stat()
    assert status.st_mode & 0o777 == 0o600
