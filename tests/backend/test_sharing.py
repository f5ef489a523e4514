"""Sharing without a copy: what each privilege allows, membership, revoking, two owners, who may see what."""

from __future__ import annotations

import psycopg
import pytest

from backend import calls
from backend.calls import catalog, refused, rows, value
from backend.world import World
from fix_db import Database, identifiers

GOODS = {"a": 1, "b": 2, "c": "p"}
QUERY = "SELECT 1 AS a, 2.0::float8 AS b, 'p' AS c"
PRIVILEGES = ("PREDICT", "SELECT", "ALTER")


@pytest.fixture
def owner(made: World, fresh: Database) -> psycopg.Connection:
    """The owner of the models, whose changes others see."""
    return fresh.connect(made.owner)


@pytest.fixture
def other(made: World, fresh: Database) -> psycopg.Connection:
    """The one that models are shared with."""
    return fresh.connect(made.other)


def granted(connection: psycopg.Connection) -> set[tuple[str, ...]]:
    """What sys.ml_model_privileges shows."""
    return set(rows(connection, "SELECT model_owner, model_handle, grantee, privilege FROM sys.ml_model_privileges"))


def test_without_a_grant_there_is_no_model(other: psycopg.Connection, made: World) -> None:
    for handle in ("t_int", f"t_int@{made.owner}"):
        with refused(other, "ML200", f'model "{handle}" does not exist'):
            calls.predict_row(other, GOODS, handle)
    with refused(other, "42501", "permission denied for schema"):
        other.execute(f"TABLE {catalog(other, made.owner)}.model_catalog")


def test_predict_allows_to_score_and_no_more(made: World, owner: psycopg.Connection, other: psycopg.Connection) -> None:
    calls.grant(owner, "t_int", made.other)
    expected = calls.predict_row(owner, GOODS, "t_int")
    for handle in ("t_int", f"t_int@{made.owner}"):
        assert calls.predict_row(other, GOODS, handle) == expected
        assert calls.predict(other, handle, QUERY)[0][2] == expected["ml_results"]
    other.execute(f"CREATE TEMPORARY TABLE goods AS {QUERY}")
    calls.predict_table(other, "goods", "t_int", "pg_temp.out")
    assert value(other, "SELECT ml_results FROM pg_temp.out") == expected["ml_results"]
    assert calls.score(other, "goods", "a", "t_int", "accuracy") in (0, 1)
    other.execute("CALL sys.ml_model_load('t_int')")
    with refused(other, "42501", 'permission denied for model "t_int": SELECT is needed', hint="ml_model_grant"):
        calls.export(other, "t_int", "pg_temp.sent")
    with refused(other, "42501", 'permission denied for model "t_int": ALTER is needed'):
        other.execute("CALL sys.ml_model_drop('t_int')")
    with refused(other, "42501", "ownership is needed", hint=f"Only {made.owner} can share it."):
        calls.grant(other, "t_int", made.third)
    for table in ("model_catalog", "model_object_catalog", "model_privilege"):
        with refused(other, "42501", "permission denied for schema"):
            other.execute(f"TABLE {catalog(other, made.owner)}.{table}")


def test_select_allows_to_inspect_and_export(made: World, owner: psycopg.Connection, other: psycopg.Connection) -> None:
    calls.grant(owner, "t_int", made.other, "SELECT")
    tables = catalog(other, made.owner)
    assert calls.handles(other, made.owner) == {"t_int"}
    assert rows(other, f"SELECT DISTINCT model_handle FROM {tables}.model_object_catalog") == [("t_int",)]
    calls.export(other, "t_int", "pg_temp.sent")
    other.execute("CREATE SCHEMA mine; CREATE TABLE mine.sent AS TABLE pg_temp.sent")
    calls.import_table(other, "mine", "sent", "copied")
    assert calls.predict_row(other, GOODS, "copied") == calls.predict_row(other, GOODS, "t_int")
    for statement in ("UPDATE {}.model_catalog SET notes = 'x'", "DELETE FROM {}.model_object_catalog"):
        with refused(other, "42501", "permission denied for table"):
            other.execute(statement.format(tables))
    with refused(other, "42501", "ALTER is needed"):
        other.execute("CALL sys.ml_model_drop('t_int')")


def test_alter_allows_to_change_and_drop(made: World, owner: psycopg.Connection, other: psycopg.Connection) -> None:
    calls.grant(owner, "t_int", made.other, "ALTER")
    tables = catalog(other, made.owner)
    assert other.execute(f"UPDATE {tables}.model_catalog SET notes = 'by another'").rowcount == 1
    noted = value(owner, f"SELECT notes FROM {tables}.model_catalog WHERE model_handle = 't_int'")
    assert noted == "by another"
    with refused(other, "42501"):
        other.execute(f"INSERT INTO {tables}.model_privilege VALUES ('t_int', current_user::regrole, 'ALTER')")
    before = calls.handles(owner)
    other.execute("CALL sys.ml_model_drop('t_int')")
    assert before - calls.handles(owner) == {"t_int"}
    with refused(other, "ML200"):
        calls.predict_row(other, GOODS, "t_int")


@pytest.mark.parametrize("privilege", PRIVILEGES)
def test_revoking_holds_at_once_in_a_warm_session(
    made: World, owner: psycopg.Connection, other: psycopg.Connection, privilege: str
) -> None:
    calls.grant(owner, "t_int", made.other, privilege)
    calls.predict_row(other, GOODS, "t_int")
    calls.revoke(owner, "t_int", made.other, privilege if privilege == "SELECT" else None)
    for call in ("t_int", f"t_int@{made.owner}"):
        with refused(other, "ML200", "does not exist"):
            calls.predict_row(other, GOODS, call)
        with refused(other, "ML200", "does not exist"):
            calls.predict(other, call, QUERY)
    assert value(other, "CALL sys.ml_model_active('all', NULL)") == [{"total model size(bytes)": 0}, {}]
    with refused(other, "42501"):
        other.execute(f"TABLE {catalog(other, made.owner)}.model_catalog")
    assert granted(other) == granted(owner) == set()


def test_revoking_one_privilege_leaves_the_others(
    made: World, owner: psycopg.Connection, other: psycopg.Connection
) -> None:
    for privilege in PRIVILEGES:
        calls.grant(owner, "t_int", made.other, privilege)
        calls.grant(owner, "t_int", made.other, privilege.lower())
    assert {row[3] for row in granted(owner)} == set(PRIVILEGES)
    calls.revoke(owner, "t_int", made.other, "ALTER")
    with refused(other, "42501", "ALTER is needed"):
        other.execute("CALL sys.ml_model_drop('t_int')")
    calls.export(other, "t_int", "pg_temp.sent")
    calls.revoke(owner, "t_int", made.other, "select")
    with refused(other, "42501", "SELECT is needed"):
        calls.export(other, "t_int", "pg_temp.again")
    calls.predict_row(other, GOODS, "t_int")


def test_a_grant_of_one_model_says_nothing_about_another(
    made: World, owner: psycopg.Connection, other: psycopg.Connection
) -> None:
    calls.grant(owner, "t_int", made.other, "ALTER")
    calls.grant(owner, "t_text", made.other)
    calls.predict_row(other, GOODS, "t_text")
    with refused(other, "42501", "SELECT is needed"):
        calls.export(other, "t_text", "pg_temp.sent")
    with refused(other, "ML200"):
        calls.predict_row(other, GOODS, "t_enum")
    assert calls.handles(other, made.owner) == {"t_int"}


def test_members_of_a_role_share_its_grants(made: World, fresh: Database, owner: psycopg.Connection) -> None:
    admin, third = fresh.connect(), fresh.connect(made.third)
    calls.grant(owner, "t_int", made.other)
    with refused(third, "ML200"):
        calls.predict_row(third, GOODS, "t_int")
    admin.execute(identifiers("GRANT {} TO {}", made.other, made.third))
    try:
        calls.predict_row(third, GOODS, "t_int")
        assert (made.owner, "t_int", made.other, "PREDICT") in granted(third)
    finally:
        admin.execute(identifiers("REVOKE {} FROM {}", made.other, made.third))
    with refused(third, "ML200"):
        calls.predict_row(third, GOODS, "t_int")


def test_set_role_counts_and_not_the_session(made: World, fresh: Database, owner: psycopg.Connection) -> None:
    calls.grant(owner, "t_int", made.other)
    admin = fresh.connect()
    for name, allowed in ((made.owner, True), (made.third, False), (made.other, True), (made.third, False)):
        admin.execute(identifiers("SET ROLE {}", name))
        if allowed:
            calls.predict_row(admin, GOODS, "t_int")
        else:
            with refused(admin, "ML200"):
                calls.predict_row(admin, GOODS, "t_int")


def test_two_owners_of_one_handle(made: World, fresh: Database, owner: psycopg.Connection) -> None:
    third, other = fresh.connect(made.third), fresh.connect(made.other)
    calls.export(owner, "t_text", "shop.sent")
    owner.execute(identifiers("GRANT USAGE ON SCHEMA shop TO {}", made.third))
    owner.execute(identifiers("GRANT SELECT ON shop.sent TO {}", made.third))
    calls.import_table(third, "shop", "sent", "t_int")
    calls.grant(owner, "t_int", made.other)
    calls.grant(third, "t_int", made.other)
    both = [f"t_int@{made.owner}", f"t_int@{made.third}"]
    with refused(other, "ML202", 'model handle "t_int" is ambiguous', detail=made.third, hint=f"'{both[0]}'"):
        calls.predict_row(other, GOODS, "t_int")
    answers = [calls.predict_row(other, GOODS, handle)["ml_results"]["predictions"] for handle in both]
    assert [list(answer) for answer in answers] == [["t_int"], ["t_text"]]
    assert granted(other) == {(o, "t_int", made.other, "PREDICT") for o in (made.owner, made.third)}
    # One's own model comes first.
    assert list(calls.predict_row(third, GOODS, "t_int")["ml_results"]["predictions"]) == ["t_text"]


def test_who_sees_which_privileges(made: World, fresh: Database, owner: psycopg.Connection) -> None:
    calls.grant(owner, "t_int", made.other)
    calls.grant(owner, "t_text", made.third, "SELECT")
    first = (made.owner, "t_int", made.other, "PREDICT")
    second = (made.owner, "t_text", made.third, "SELECT")
    assert granted(owner) == {first, second}
    assert granted(fresh.connect(made.other)) == {first}
    assert granted(fresh.connect(made.third)) == {second}
    with refused(fresh.connect(made.plain), "42501"):
        granted(fresh.connect(made.plain))


def test_refused_grants(made: World, owner: psycopg.Connection) -> None:
    for privilege in ("EXECUTE", "", "PREDICT, SELECT"):
        with refused(owner, "22023", "is none of PREDICT, SELECT, ALTER"):
            calls.grant(owner, "t_int", made.other, privilege)
        with refused(owner, "22023", "is none of PREDICT, SELECT, ALTER"):
            calls.revoke(owner, "t_int", made.other, privilege)
    with refused(owner, "22023", "a role must be given"):
        owner.execute("CALL sys.ml_model_grant('t_int', NULL)")
    with refused(owner, "42704", 'role "nobody_there" does not exist'):
        owner.execute("CALL sys.ml_model_grant('t_int', 'nobody_there')")
    with refused(owner, "ML200"):
        calls.grant(owner, "nothing", made.other)
    with refused(owner, "ML005"):
        owner.execute("CALL sys.ml_model_grant(NULL, current_user::regrole)")
    calls.revoke(owner, "t_int", made.third)  # nothing to take back is no error


def test_a_grantee_that_is_dropped(made: World, fresh: Database, owner: psycopg.Connection) -> None:
    admin = fresh.connect()
    gone = "gone_" + made.owner
    admin.execute(identifiers("CREATE ROLE {}", gone))
    calls.grant(owner, "t_int", gone)
    calls.grant(owner, "t_int", made.other)
    admin.execute(identifiers("DROP OWNED BY {}", gone))
    admin.execute(identifiers("DROP ROLE {}", gone))
    other = fresh.connect(made.other)
    calls.predict_row(other, GOODS, "t_int")
    shown = granted(owner)
    assert (made.owner, "t_int", made.other, "PREDICT") in shown and gone not in str(shown)
    assert granted(other) == {(made.owner, "t_int", made.other, "PREDICT")}
