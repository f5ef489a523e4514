"""ml_model_load, ml_model_unload, ml_model_active and the limit of what a session keeps."""

from __future__ import annotations

import psycopg
import pytest

from backend import calls
from backend.calls import metadata, refused, value
from backend.world import World
from fix_db import Database

GOODS = {"a": 1, "b": 2, "c": "p"}


@pytest.fixture
def session(made: World, fresh: Database) -> psycopg.Connection:
    """A session of the owner that has loaded nothing."""
    return fresh.connect(made.owner)


def active(connection: psycopg.Connection, user: str | None = None) -> list[dict[str, object]]:
    """What ml_model_active returns."""
    return list(value(connection, "CALL sys.ml_model_active(%s, NULL)", user))


def loaded(connection: psycopg.Connection) -> set[str]:
    """The caller's own loaded models."""
    return set(active(connection)[1])


def test_nothing_is_loaded_at_first(session: psycopg.Connection) -> None:
    for user in (None, "current", "all"):
        assert active(session, user) == [{"total model size(bytes)": 0}, {}]


def test_load_and_unload(session: psycopg.Connection) -> None:
    session.execute("CALL sys.ml_model_load('t_int', NULL)")
    session.execute("CALL sys.ml_model_load('loan')")
    total, models = active(session)
    assert models == {"loan": metadata(session, "loan"), "t_int": metadata(session, "t_int")}
    assert isinstance(total["total model size(bytes)"], int) and total["total model size(bytes)"] > 0
    session.execute("CALL sys.ml_model_unload('t_int')")
    assert loaded(session) == {"loan"}
    session.execute("CALL sys.ml_model_unload('t_int')")
    session.execute("CALL sys.ml_model_unload('never there')")
    assert loaded(session) == {"loan"}


def test_a_prediction_loads(session: psycopg.Connection) -> None:
    calls.predict_row(session, GOODS, "t_int")
    calls.score(session, "shop.goods", "t_text", "t_text", "accuracy")
    assert loaded(session) == {"t_int", "t_text"}


def test_all_shows_owners_and_sizes(made: World, fresh: Database, session: psycopg.Connection) -> None:
    other = fresh.connect(made.other)
    calls.grant(session, "t_int", made.other)
    other.execute("CALL sys.ml_model_load('t_int', %s)", (made.owner,))
    total, models = active(other, "all")
    ((handle, about),) = models[made.owner][0].items()  # type: ignore[index]
    assert handle == "t_int" and set(about) == {"format", "model_size(byte)"}
    assert total == {"total model size(bytes)": about["model_size(byte)"]}
    assert active(other, "current") == [{"total model size(bytes)": 0}, {}]
    assert active(session, "all") == [{"total model size(bytes)": 0}, {}]


def test_the_owner_may_be_named(made: World, session: psycopg.Connection) -> None:
    session.execute("CALL sys.ml_model_load('t_int', %s)", (made.owner,))
    session.execute("CALL sys.ml_model_load(%s)", (f"t_text@{made.owner}",))
    assert loaded(session) == {"t_int", "t_text"}
    session.execute("CALL sys.ml_model_unload(%s)", (f"t_text@{made.owner}",))
    session.execute("CALL sys.ml_model_unload(%s)", (f"t_int@{made.other}",))
    assert loaded(session) == {"t_int"}


def test_what_cannot_be_loaded(made: World, session: psycopg.Connection) -> None:
    for handle, owner in (("nothing", None), ("t_int", made.other), ("t_int@nobody", None)):
        with refused(session, "ML200", "does not exist"):
            session.execute("CALL sys.ml_model_load(%s, %s)", (handle, owner))
    for routine in ("ml_model_load", "ml_model_unload", "ml_model_drop"):
        with refused(session, "ML005", "a handle must be given"):
            session.execute(f"CALL sys.{routine}(NULL)")
    with refused(session, "22023", "it is neither current nor all"):
        active(session, "everybody")


def test_a_dropped_model_is_no_longer_active(session: psycopg.Connection) -> None:
    calls.predict_row(session, GOODS, "t_int")
    session.execute("CALL sys.ml_model_drop('t_int')")
    assert loaded(session) == set()


def test_roles_of_one_session_do_not_see_each_other(made: World, fresh: Database) -> None:
    admin = fresh.connect()
    admin.execute(f"SET ROLE {made.owner}")
    calls.predict_row(admin, GOODS, "t_int")
    admin.execute(f"SET ROLE {made.third}")
    assert active(admin, "all") == [{"total model size(bytes)": 0}, {}]
    with refused(admin, "ML200"):
        calls.predict_row(admin, GOODS, "t_int")


def test_the_cache_is_bounded(fresh: Database, session: psycopg.Connection) -> None:
    fresh.connect().execute("CALL sys.ml_set('cache_size', 0)")
    for handle in ("t_int", "t_text", "t_enum", "t_int"):
        calls.predict_row(session, GOODS, handle)
        assert loaded(session) == {handle}
