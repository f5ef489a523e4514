"""Partitioned models: made, changed, scored and shared, by roles that have no special rights."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import psycopg
import pytest

from backend import calls, world
from backend.calls import refused, rows, value
from backend.conftest import copied
from backend.world import World
from fix_db import Database, identifiers
from fix_server import Server

NB = {"model_list": ["GaussianNB"], **world.QUICK}
LINEAR = {"task": "regression", "model_list": ["LinearRegression"], **world.QUICK}
REGIONS = ("east", "north", 'o\'hara "é"', "west")
OUT = ["c_dec", "amount"]  # of shop.sales: no features
TABLE = """
CREATE TABLE shop.sales AS
SELECT i AS id, (ARRAY['east', 'north', 'o''hara "é"', 'west'])[1 + i % 4] AS region,
       (1 + i % 3)::numeric(4, 2) AS grade, i % 2 = 0 AS member,
       date '2024-01-01' + i % 2 AS day, (i * 37) % 100 AS a, (i * 11) % 17 / 3.0::float8 AS b,
       chr(112 + i % 3) AS c, NULL::text AS answer, NULL::float8 AS amount
FROM generate_series(1, 480) AS i;
UPDATE shop.sales
SET amount = a * length(region) + b, answer = CASE WHEN a + b > 30 + 8 * (id % 4) THEN 'yes' ELSE 'no' END;
"""


@contextmanager
def sales(server: Server, made: World) -> Iterator[Database]:
    """A database with shop.sales, and the model "sales" of its answers by region."""
    with copied(server, made) as db, db.connect(made.owner) as owner:
        owner.execute(TABLE)
        train(owner, ["region"], "sales")
        yield db


@pytest.fixture(scope="module")
def shop(server: Server, made: World) -> Iterator[Database]:
    with sales(server, made) as db:
        yield db


@pytest.fixture
def owner(shop: Database, made: World) -> Iterator[psycopg.Connection]:
    """The model's owner, in a transaction that is rolled back."""
    with shop.connect(made.owner) as connection, connection.transaction(force_rollback=True):
        yield connection


def train(
    connection: psycopg.Connection, key: list[str], handle: str, source: str = "shop.sales", **options: Any
) -> str:
    """A partitioned model of answers."""
    left_out = [c for c in ("id", "amount", "region", "grade", "member", "day") if c not in key]
    chosen = {**NB, "partition_columns": key, "exclude_column_list": left_out, **options}
    return calls.train(connection, source, "answer", chosen, handle)


def partitions(connection: psycopg.Connection, handle: str, what: str = "partition_name") -> list[Any]:
    """Columns of the partitions of one of the caller's models, by their numbers."""
    table = calls.catalog(connection) + ".model_partition"
    found = rows(connection, f"SELECT {what} FROM {table} WHERE model_handle = %s ORDER BY partition_id", handle)
    return [row[0] if len(row) == 1 else row for row in found]


def prediction(connection: psycopg.Connection, handle: str, **row: Any) -> Any:
    """What ml_predict_row says of a row of shop.sales."""
    given = {"a": 50, "b": 1.5, "c": "p", **row}
    return calls.predict_row(connection, given, handle)["Prediction"]


def add(connection: psycopg.Connection, query: str, how: str | None = None, handle: str = "sales") -> None:
    """ml_model_add_partition."""
    connection.execute("CALL sys.ml_model_add_partition(%s, %s, coalesce(%s, 'ERROR'))", (handle, query, how))


def of(region: str, shift: int = 0) -> str:
    """A query for rows of the region east under another name."""
    return f"SELECT a + {shift} AS a, b, c, '{region}' AS region, answer FROM shop.sales WHERE region = 'east'"


# --- building ------------------------------------------------------------------------------------


def test_a_partition_for_each_key(owner: psycopg.Connection) -> None:
    assert partitions(owner, "sales") == list(REGIONS)
    assert partitions(owner, "sales", "n_rows") == [120] * 4
    assert partitions(owner, "sales", "status") == ["ready"] * 4
    assert all(s is not None for s in partitions(owner, "sales", "score"))
    meta = calls.metadata(owner, "sales")
    assert meta["partition_columns"] == ["region"] and meta["partitions"] == 4
    assert meta["column_names"] == ["a", "b", "c"], "the key is no feature"


@pytest.mark.parametrize(
    "key, names",
    [
        (["grade"], ["1", "2", "3"]),
        (["member"], ["false", "true"]),
        (["day"], ["2024-01-01", "2024-01-02"]),
        (["region", "grade"], [f"DM$$_P{i}" for i in range(12)]),
    ],
)
def test_keys_of_other_types(owner: psycopg.Connection, key: list[str], names: list[str]) -> None:
    train(owner, key, "typed")
    assert partitions(owner, "typed") == names
    query = f"SELECT id, {', '.join(key)}, a, b, c FROM shop.sales"
    calls.predict_table(owner, "shop.sales", "typed", "shop.scored")
    wrong = (
        "SELECT count(*) FROM sys.ml_predict('typed', %s) AS p JOIN shop.scored AS s ON s.id = (p.row->>'id')::int "
        "WHERE p.ml_results IS DISTINCT FROM s.ml_results OR s.prediction IS NULL "
        "OR sys.ml_predict_row(p.row, 'typed')->'ml_results' IS DISTINCT FROM s.ml_results"
    )
    assert value(owner, wrong, query) == 0


def test_numbers_are_one_key_however_they_are_written(owner: psycopg.Connection) -> None:
    train(owner, ["grade"], "graded")
    rows_of = [json.loads(f'{{"a": 1, "b": 1, "c": "p", "grade": {text}}}') for text in ("1", "1.0", '"1.00"')]
    said = {json.dumps(calls.predict_row(owner, row, "graded")["ml_results"]) for row in rows_of}
    assert len(said) == 1 and "null" not in said
    add(owner, "SELECT a, b, c, 1.000 AS grade, answer FROM shop.sales", "IGNORE", "graded")
    assert partitions(owner, "graded") == ["1", "2", "3"]


def test_rows_with_null_in_the_key_are_in_no_partition(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE shop.sales SET region = NULL WHERE id % 40 = 0")
    train(owner, ["region"], "gaps")
    assert partitions(owner, "gaps") == list(REGIONS)
    assert sum(partitions(owner, "gaps", "n_rows")) == 480 - 12
    assert prediction(owner, "gaps", region=None) is None
    owner.execute("UPDATE shop.sales SET region = NULL")
    with refused(owner, "ML502", "no partitions found"):
        train(owner, ["region"], "none")


@pytest.mark.parametrize(
    "key, sqlstate, words",
    [
        (["b"], "ML500", "double precision"),
        (["nothing"], "42703", "nothing"),
        (["answer"], "ML501", "target"),
        ([f"c{i}" for i in range(17)], "ML501", "17 columns"),
    ],
)
def test_keys_that_cannot_be(owner: psycopg.Connection, key: list[str], sqlstate: str, words: str) -> None:
    with refused(owner, sqlstate, words):
        train(owner, key, "bad")
    assert "bad" not in calls.handles(owner)


def test_the_maximum_holds_before_any_fit(owner: psycopg.Connection) -> None:
    with refused(owner, "54000", "12 partitions, its maximum is 11"):
        train(owner, ["region", "grade"], "many", max_partitions=11)
    train(owner, ["region"], "few", max_partitions=4)
    with refused(owner, "54000", "5 partitions"):
        add(owner, of("south"), handle="few")
    add(owner, of("west"), "REPLACE", "few")


@pytest.mark.parametrize("option", ["max_partitions", "unseen_key", "on_partition_error", "executor"])
def test_options_of_partitions_need_partitions(owner: psycopg.Connection, option: str) -> None:
    values = {"max_partitions": 5, "unseen_key": "error", "on_partition_error": "skip", "executor": "x"}
    with refused(owner, "ML002", option):
        calls.train(owner, "shop.sales", "answer", {**NB, option: values[option]}, "odd")


# --- partitions that fail ------------------------------------------------------------------------

WEAK = "UPDATE shop.sales SET answer = 'yes' WHERE region = 'west'"  # one class: nothing to learn


def test_a_weak_partition_ends_the_build(owner: psycopg.Connection) -> None:
    owner.execute(WEAK)
    with refused(owner, "ML111", "west"):
        train(owner, ["region"], "weak")
    assert "weak" not in calls.handles(owner)


def test_a_weak_partition_is_listed_as_failed(owner: psycopg.Connection) -> None:
    owner.execute(WEAK)
    train(owner, ["region"], "weak", on_partition_error="skip")
    assert partitions(owner, "weak", "status") == ["ready", "ready", "ready", "failed"]
    assert "distinct values" in partitions(owner, "weak", "error")[3]
    assert prediction(owner, "weak", region="west") is None
    assert prediction(owner, "weak", region="east") in ("yes", "no")


def test_a_weak_partition_falls_back(owner: psycopg.Connection) -> None:
    owner.execute(WEAK)
    train(owner, ["region"], "weak", on_partition_error="fallback")
    assert partitions(owner, "weak")[-1] == "DM$$_FALLBACK"
    assert prediction(owner, "weak", region="west") in ("yes", "no")
    assert prediction(owner, "weak", region="nowhere") is None, "that is unseen_key's business"


def test_too_few_rows(owner: psycopg.Connection) -> None:
    owner.execute("DELETE FROM shop.sales WHERE region = 'west' AND id > 100")
    train(owner, ["region"], "small", on_partition_error="skip", min_rows_per_partition=50)
    assert partitions(owner, "small", "status") == ["ready", "ready", "ready", "failed"]


# --- keys without a partition --------------------------------------------------------------------


@pytest.mark.parametrize("unseen", ["null", "error", "fallback"])
def test_unseen_keys(owner: psycopg.Connection, unseen: str) -> None:
    train(owner, ["region"], "unseen", unseen_key=unseen)
    owner.execute("CREATE TABLE shop.mixed AS SELECT * FROM shop.sales WHERE id <= 40")
    owner.execute("UPDATE shop.mixed SET region = 'nowhere' WHERE id <= 10")
    owner.execute("UPDATE shop.mixed SET region = NULL WHERE id = 11")
    if unseen == "error":
        with refused(owner, "ML509", "nowhere"):
            prediction(owner, "unseen", region="nowhere")
        with refused(owner, "ML509"):
            calls.predict_table(owner, "shop.mixed", "unseen", "shop.said")
        return
    calls.predict_table(owner, "shop.mixed", "unseen", "shop.said")
    count = "SELECT count(*), count(prediction), count(ml_results) FROM shop.said"
    expected = (40, 29, 29) if unseen == "null" else (40, 40, 40)
    assert rows(owner, count) == [expected]
    assert (prediction(owner, "unseen", region="nowhere") is None) == (unseen == "null")


def test_unseen_keys_of_a_regression(owner: psycopg.Connection) -> None:
    chosen = {
        **LINEAR,
        "partition_columns": ["region"],
        "exclude_column_list": ["id", "answer", "grade", "member", "day"],
    }
    calls.train(owner, "shop.sales", "amount", chosen, "amounts")
    owner.execute("UPDATE shop.sales SET region = 'nowhere' WHERE id <= 10")
    calls.predict_table(owner, "shop.sales", "amounts", "shop.said")
    assert rows(owner, "SELECT count(*), count(prediction), count(ml_results) FROM shop.said") == [(480, 470, 470)]
    close = "SELECT max(abs(prediction - amount)) FROM shop.said"
    assert value(owner, close) < 1e-3, "each region has a line of its own"
    assert calls.score(owner, "shop.sales", "amount", "amounts", "r2") > 0.999
    assert prediction(owner, "amounts", region="nowhere") is None


def test_a_missing_key_column(owner: psycopg.Connection) -> None:
    with refused(owner, "ML508", '"region"'):
        calls.predict_row(owner, {"a": 1, "b": 1, "c": "p"}, "sales")
    with refused(owner, "ML508", '"region"'):
        calls.predict(owner, "sales", "SELECT a, b, c FROM shop.sales")
    with refused(owner, "ML508", '"region"'):
        add(owner, "SELECT a, b, c, answer FROM shop.sales")


# --- adding, dropping, refreshing ----------------------------------------------------------------


def test_adding(owner: psycopg.Connection) -> None:
    before = partitions(owner, "sales", "digest")
    assert prediction(owner, "sales", region="south") is None
    add(owner, f"{of('south')} UNION ALL {of('north-east')}")
    assert partitions(owner, "sales") == [*REGIONS, "north-east", "south"]
    assert partitions(owner, "sales", "digest")[:4] == before, "nothing else is written"
    assert prediction(owner, "sales", region="south") in ("yes", "no")


def test_adding_what_is_there(owner: psycopg.Connection) -> None:
    both = f"{of('west', 7)} UNION ALL {of('south')}"
    before = partitions(owner, "sales", "digest")
    with refused(owner, "ML503", '"west"', hint="REPLACE"):
        add(owner, both)
    assert partitions(owner, "sales", "digest") == before
    add(owner, both, "ignore")
    assert partitions(owner, "sales") == [*REGIONS, "south"]
    assert partitions(owner, "sales", "digest")[:4] == before
    add(owner, both, "Replace")
    assert partitions(owner, "sales") == [*REGIONS, "south"]
    changed = [a != b for a, b in zip(before, partitions(owner, "sales", "digest"), strict=False)]
    assert changed == [False, False, False, True]
    with refused(owner, "22023", "add_options"):
        add(owner, both, "APPEND")


def test_adding_is_part_of_the_transaction(owner: psycopg.Connection) -> None:
    with owner.transaction(force_rollback=True):
        add(owner, of("south"))
        assert prediction(owner, "sales", region="south") in ("yes", "no")
    assert prediction(owner, "sales", region="south") is None
    assert partitions(owner, "sales") == list(REGIONS)


def test_new_columns_and_classes_widen_the_model(owner: psycopg.Connection) -> None:
    add(
        owner,
        "SELECT a, b, c, 'south' AS region, id AS extra, CASE WHEN a > 60 THEN 'maybe' ELSE 'no' END AS answer "
        "FROM shop.sales",
    )
    row = {"region": "south", "a": 90, "b": 1, "c": "p", "extra": 7}
    assert calls.predict_row(owner, row, "sales")["ml_results"]["probabilities"].keys() == {"maybe", "no", "yes"}
    owner.execute("CREATE TABLE shop.wide AS SELECT *, 1 AS extra FROM shop.sales")
    calls.predict_table(owner, "shop.wide", "sales", "shop.said")
    assert value(owner, "SELECT count(DISTINCT ml_results->'probabilities'->'maybe') FROM shop.said") == 1
    with refused(owner, "ML401", '"a"'):
        add(owner, "SELECT a::text AS a, b, c, 'north-west' AS region, answer FROM shop.sales")


def drop(connection: psycopg.Connection, name: str | None, key: Any = None, handle: str = "sales") -> None:
    """ml_model_drop_partition."""
    statement = "CALL sys.ml_model_drop_partition(%s, %s, %s)"
    connection.execute(statement, (handle, name, calls.as_json(key)))


def test_dropping(owner: psycopg.Connection) -> None:
    drop(owner, "east")
    drop(owner, None, {"region": "north"})
    assert prediction(owner, "sales", region="east") is None
    with refused(owner, "ML504", '"east"'):
        drop(owner, "east")
    drop(owner, None, ['o\'hara "é"'])
    with refused(owner, "ML505", '"west"', hint="drop the model"):
        drop(owner, "west")
    with refused(owner, "22023"):
        drop(owner, "west", "west")
    objects = (
        f"SELECT DISTINCT partition_id FROM {calls.catalog(owner)}.model_object_catalog WHERE model_handle = 'sales'"
    )
    assert {row[0] for row in rows(owner, objects)} == {0, 4}
    add(owner, of("east"))
    assert partitions(owner, "sales") == ["west", "east"]


def test_a_model_without_partitions(owner: psycopg.Connection) -> None:
    with refused(owner, "ML506", '"loan"'):
        add(owner, of("south"), handle="loan")
    with refused(owner, "ML506", '"loan"'):
        drop(owner, "south", handle="loan")


def test_refreshing(owner: psycopg.Connection) -> None:
    def refresh() -> dict[str, str]:
        return dict(
            rows(owner, "SELECT partition_name, action FROM sys.ml_model_refresh_partitions('sales', %s)", query)
        )

    query = "SELECT a, b, c, region, answer FROM shop.sales ORDER BY random()"
    assert refresh() == dict.fromkeys(REGIONS, "unchanged")
    owner.execute("UPDATE shop.sales SET a = a + 1 WHERE id = (SELECT min(id) FROM shop.sales WHERE region = 'west')")
    owner.execute("DELETE FROM shop.sales WHERE region = 'east'")
    owner.execute("UPDATE shop.sales SET region = 'south' WHERE region = 'north' AND id % 3 = 0")
    assert refresh() == {
        "east": "absent", "north": "rebuilt", REGIONS[2]: "unchanged", "south": "added", "west": "rebuilt",
    }  # fmt: skip
    assert set(refresh().values()) == {"unchanged", "absent"}


# --- sharing -------------------------------------------------------------------------------------


def test_a_privilege_on_one_partition(shop: Database, made: World, roles: Callable[..., str]) -> None:
    tenant, name = roles(), f"sales@{made.owner}"
    with shop.connect() as admin:
        admin.execute(identifiers("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", shop.name, tenant))
    with shop.connect(made.owner) as owner, shop.connect(tenant) as session:
        owner.execute("CALL sys.ml_model_grant('sales', %s::text::regrole, 'PREDICT', 'west')", (f'"{tenant}"',))
        assert prediction(session, name, region="west") in ("yes", "no")
        for region in ("east", "nowhere", None):
            with refused(session, "42501", "PREDICT on the partition"):
                prediction(session, name, region=region)
        with refused(session, "42501"):
            calls.predict(session, name, "SELECT 1 AS a, 2 AS b, 'p' AS c, 'east' AS region")
        assert len(calls.predict(session, name, "SELECT 1 AS a, 2 AS b, 'p' AS c, 'west' AS region")) == 1
        for statement in (
            f"CALL sys.ml_model_export('{name}', 'pg_temp.sent')",
            f"CALL sys.ml_model_drop('{name}')",
            f"CALL sys.ml_model_drop_partition('{name}', 'west')",
            f"CALL sys.ml_model_add_partition('{name}', $$SELECT 1 AS a, 'south' AS region, 'yes' AS answer$$)",
            f"TABLE {calls.catalog(owner)}.model_partition",
            f"TABLE {calls.catalog(owner)}.model_catalog",
        ):
            with refused(session, "42501"):
                session.execute(statement.encode())
        assert rows(session, "SELECT privilege, partition_name FROM sys.ml_model_privileges") == [("PREDICT", "west")]
        with refused(owner, "22023", "ALTER"):
            owner.execute("CALL sys.ml_model_grant('sales', %s::text::regrole, 'ALTER', 'west')", (f'"{tenant}"',))
        with refused(owner, "ML504"):
            owner.execute("CALL sys.ml_model_grant('sales', %s::text::regrole, 'PREDICT', 'mars')", (f'"{tenant}"',))
        owner.execute("CALL sys.ml_model_revoke('sales', %s::text::regrole, NULL, 'west')", (f'"{tenant}"',))
        with refused(session, "ML200"):
            prediction(session, name, region="west")


def test_one_session_as_several_roles(shop: Database, made: World) -> None:
    """What is loaded for one role must not serve another in the same session."""
    with shop.connect() as admin, admin.transaction(force_rollback=True):
        admin.execute(identifiers("GRANT {} TO {}", made.other, made.third))
        admin.execute(identifiers("SET LOCAL ROLE {}", made.owner))
        for role, region in ((made.other, "west"), (made.third, "east")):
            admin.execute("CALL sys.ml_model_grant('sales', %s::text::regrole, 'PREDICT', %s)", (f'"{role}"', region))
        name = f"sales@{made.owner}"
        for role, good, bad in ((made.other, ["west"], ["east"]), (made.third, ["east", "west"], ["north"])):
            admin.execute(identifiers("SET LOCAL ROLE {}", role))
            for region in good:
                assert prediction(admin, name, region=region) in ("yes", "no")
            for region in bad:
                with refused(admin, "42501"):
                    prediction(admin, name, region=region)


def test_who_may_alter_can_add_and_drop(shop: Database, made: World) -> None:
    with shop.connect() as admin, admin.transaction(force_rollback=True):
        admin.execute(identifiers("SET LOCAL ROLE {}", made.owner))
        calls.grant(admin, "sales", made.other, "ALTER")
        admin.execute(identifiers("SET LOCAL ROLE {}", made.other))
        admin.execute(
            "CREATE TEMPORARY TABLE mine AS SELECT i AS a, i / 3.0::float8 AS b, 'p' AS c, 'south' AS region, "
            "CASE WHEN i > 50 THEN 'yes' ELSE 'no' END AS answer FROM generate_series(1, 100) AS i"
        )
        name = f"sales@{made.owner}"
        add(admin, "SELECT * FROM pg_temp.mine", handle=name)
        assert prediction(admin, name, region="south", a=99) == "yes"
        drop(admin, "east", handle=name)
        assert prediction(admin, name, region="east") is None
