"""Roles in one session and over time: a loaded model never replaces the check, and rights follow the roles."""

from __future__ import annotations

import psycopg

from fix_db import PASSWORD, identifiers
from security.arena import ROW, Arena

PREDICT = f"SELECT sys.ml_predict_row('{ROW}', 'm')"
EXACT = f"SELECT sys.ml_predict_row('{ROW}', 'm@<owner>')"
TRAP = 'SELECT sys.ml_predict_row(\'{"a": 1, "b": 2, "d": 3}\', \'trap@<mallory>\')'


def members(arena: Arena, role: str, *kinds: str) -> None:
    for kind in kinds:
        arena.run(None, f'GRANT "{role}" TO "<{kind}>"')


def test_set_role_with_a_warm_cache(arena: Arena) -> None:
    """One session of a pool serves all roles; each sees only what it has, whoever loaded it."""
    pool = arena.session(None)
    for _ in range(2):
        for kind, allowed in (
            ("owner", True),
            ("other", False),
            ("reader", True),
            ("mallory", False),
            ("outsider", False),
        ):
            pool.execute(identifiers("SET ROLE {}", arena[kind]))
            for statement in (PREDICT, EXACT, "SELECT * FROM sys.ml_predict('m@<owner>', 'TABLE public.input')"):
                if kind == "owner" or statement != PREDICT or kind == "reader":
                    assert arena.tells_nothing(arena.attempt(pool, statement)).refused is not allowed, (kind, statement)
            active = arena.attempt(pool, "CALL sys.ml_model_active('all', NULL)")
            assert allowed or ("algorithm" not in active.text and arena["owner"] not in active.text)
            pool.execute("RESET ROLE")


def test_role_before_does_not_matter(arena: Arena) -> None:
    """After SET ROLE to the attacker and back, her catalog is not read with the superuser's rights."""
    catalog = '"<mallory.catalog>".model_catalog'
    pool = arena.session(None)
    pool.execute(identifiers("SET ROLE {}", arena["mallory"]))
    arena.attempt(pool, TRAP)
    pool.execute("RESET ROLE")
    arena.run(
        "mallory",
        f"ALTER TABLE {catalog} RENAME TO kept",
        f"CREATE VIEW {catalog} AS SELECT * FROM \"<mallory.catalog>\".kept WHERE evil.yes('view')",
        f'GRANT ALL ON SCHEMA "<mallory.catalog>" TO PUBLIC; GRANT ALL ON {catalog} TO PUBLIC',
    )
    for statement in (PREDICT, EXACT, TRAP, "TABLE sys.ml_model_privileges", "CALL sys.ml_model_active('all', NULL)"):
        arena.attempt(pool, statement)
    arena.nothing_ran()


def test_wrapper_functions_of_a_third_role(arena: Arena) -> None:
    """A SECURITY DEFINER function uses the rights of its owner, and gives nobody else's."""
    arena.run(
        "mallory",
        "CREATE FUNCTION evil.wrap() RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS "
        f"$$ SELECT sys.ml_predict_row('{ROW}', 'm@<owner>') $$",
    )
    for kind in ("reader", "owner", None):
        arena.attempt(kind, PREDICT)
        arena.refused(kind, "SELECT evil.wrap()")
    arena.run(
        "reader",
        "CREATE FUNCTION public.fair() RETURNS jsonb LANGUAGE sql SECURITY DEFINER AS "
        f"$$ SELECT sys.ml_predict_row('{ROW}', 'm@<owner>') $$",
        "CREATE FUNCTION public.unfair() RETURNS void LANGUAGE plpgsql SECURITY DEFINER AS "
        "$$ BEGIN CALL sys.ml_model_export('m@<owner>', 'public.stolen'); END $$",
    )
    assert not arena.attempt("other", "SELECT public.fair()").refused
    arena.refused("other", "SELECT public.unfair()")
    arena.refused("inspector", "SELECT public.unfair()")
    arena.run(
        "mallory",
        "CREATE FUNCTION evil.make() RETURNS void LANGUAGE sql SECURITY DEFINER AS $$ SELECT "
        "sys._create_catalog_schema() $$",
    )
    arena.attempt("other", "SELECT evil.make()")
    owner = arena.run(None, "SELECT pg_get_userbyid(nspowner) FROM pg_namespace WHERE nspname = '<other.catalog>'")
    assert owner in ([], [(arena["other"],)])


def test_revoking_is_effective_at_once(arena: Arena) -> None:
    open_session = arena.session("reader")
    assert not arena.attempt(open_session, EXACT).refused
    arena.run("owner", "CALL sys.ml_model_revoke('m', '<reader>'::regrole, NULL)")
    assert arena.attempt(open_session, EXACT).refused
    arena.run("owner", "CALL sys.ml_model_grant('m', '<reader>'::regrole, 'PREDICT')")
    assert not arena.attempt(open_session, EXACT).refused
    arena.run("owner", "DELETE FROM \"<owner.catalog>\".model_privilege WHERE grantee = '<reader>'::regrole")
    assert arena.attempt(open_session, EXACT).refused


def test_an_old_snapshot_is_not_kept(arena: Arena) -> None:
    """What a transaction saw under its snapshot does not outlive it, even if nothing else happens on the server."""
    session = arena.session("reader")
    session.autocommit = False
    session.isolation_level = psycopg.IsolationLevel.REPEATABLE_READ
    session.execute("SELECT count(*) FROM pg_class")
    arena.run("owner", "CALL sys.ml_model_revoke('m', '<reader>'::regrole, NULL)")
    arena.attempt(session, EXACT)
    session.rollback()
    assert arena.attempt(session, EXACT).refused


def test_membership(arena: Arena) -> None:
    group = f"{arena['owner']}_g"
    arena.run(None, f'CREATE ROLE "{group}"')
    try:
        arena.run("owner", f"CALL sys.ml_model_grant('m', '\"{group}\"'::regrole, 'PREDICT')")
        session = arena.session("other")
        assert arena.attempt(session, EXACT).refused
        members(arena, group, "other")
        assert not arena.attempt(session, EXACT).refused
        arena.run(None, f'REVOKE "{group}" FROM "<other>"')
        assert arena.attempt(session, EXACT).refused
        arena.run(None, 'ALTER ROLE "<other>" NOINHERIT')
        members(arena, group, "other")
        if arena.database.connect().info.server_version < 160000:
            assert arena.attempt(session, EXACT).refused, "NOINHERIT: rights only after SET ROLE"
        arena.run("owner", "CALL sys.ml_model_revoke('m', '\"" + group + "\"'::regrole, NULL)")
        assert arena.attempt(session, EXACT).refused
    finally:
        arena.run(
            None,
            f'DROP OWNED BY "{group}"',
            f'DROP ROLE "{group}"',
            'ALTER ROLE "<other>" INHERIT',
            'GRANT mlshare_user TO "<other>"',
        )


def test_a_new_role_of_an_old_name(arena: Arena) -> None:
    """Roles are dropped and made anew, or renamed and their names reused: no right is inherited by name."""
    old, new = f"{arena['reader']}_x", f"{arena['reader']}_y"
    make = 'CREATE ROLE "{0}"; GRANT mlshare_user TO "{0}"'
    arena.run(None, make.format(old))
    pool = arena.session(None)
    try:
        arena.run("owner", f"CALL sys.ml_model_grant('m', '\"{old}\"'::regrole, 'SELECT')")
        pool.execute(identifiers("SET ROLE {}", old))
        assert not arena.attempt(pool, EXACT).refused
        pool.execute("RESET ROLE")
        arena.run(None, f'DROP OWNED BY "{old}"', f'DROP ROLE "{old}"', make.format(old))
        pool.execute(identifiers("SET ROLE {}", old))
        arena.refused(pool, EXACT)
        arena.refused(pool, 'SELECT * FROM "<owner.catalog>".model_catalog')
        pool.execute("RESET ROLE")
        arena.run("owner", f"CALL sys.ml_model_grant('m', '\"{old}\"'::regrole, 'PREDICT')")
        arena.run(None, f'ALTER ROLE "{old}" RENAME TO "{new}"', make.format(old))
        pool.execute(identifiers("SET ROLE {}", old))
        arena.refused(pool, EXACT)
        pool.execute("RESET ROLE")
        pool.execute(identifiers("SET ROLE {}", new))
        assert not arena.attempt(pool, EXACT).refused
        pool.execute("RESET ROLE")
    finally:
        for name in (old, new):
            if arena.run(None, f"SELECT 1 FROM pg_roles WHERE rolname = '{name}'"):
                arena.run(None, f'DROP OWNED BY "{name}"', f'DROP ROLE "{name}"')


def test_an_owner_renamed(arena: Arena) -> None:
    """The catalog of a renamed role is not that of the name's next holder."""
    temporary = f"{arena['owner']}_was"
    arena.run(
        None,
        f'ALTER ROLE "<owner>" RENAME TO "{temporary}"',
        'CREATE ROLE "<owner>"',
        'GRANT mlshare_user TO "<owner>"',
    )
    pool = arena.session(None)
    try:
        pool.execute(identifiers("SET ROLE {}", arena["owner"]))
        for statement in (
            PREDICT,
            EXACT,
            "SELECT sys._create_catalog_schema()",
            PREDICT,
            EXACT,
            "TABLE sys.ml_model_privileges",
            "CALL sys.ml_create_or_upgrade_catalog()",
            "CALL sys.ml_model_drop('m')",
            'SELECT * FROM "<owner.catalog>".model_catalog',
        ):
            outcome = arena.tells_nothing(arena.attempt(pool, statement))
            assert not outcome.rows or (statement.startswith("SELECT sys._create") and outcome.rows == [("",)]), (
                statement
            )
        pool.execute("RESET ROLE")
        arena.tells_nothing(arena.attempt("reader", EXACT))
    finally:
        arena.run(
            None,
            'DROP OWNED BY "<owner>"',
            'DROP ROLE "<owner>"',
            f'ALTER ROLE "{temporary}" RENAME TO "<owner>"',
            f"ALTER ROLE \"<owner>\" PASSWORD '{PASSWORD}'",
        )
