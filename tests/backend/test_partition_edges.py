"""Partitions at the edges: keys that are nearly others, who may see which, what changes beside a reader."""

from __future__ import annotations

import json
from collections.abc import Iterator
from threading import Thread

import psycopg
import pytest
import zstandard

from backend import calls, mining
from backend.calls import refused, rows, value
from backend.conftest import copied
from backend.test_partitions import add, partitions, sales, train
from backend.world import QUICK, World
from fix_db import Database, identifiers
from fix_server import Server
from mlshare import archive, serialized

TREE = {"model_list": ["DecisionTreeClassifier"], **QUICK}


@pytest.fixture(scope="module")
def shop(server: Server, made: World) -> Iterator[Database]:
    with sales(server, made) as db:
        yield db


@pytest.fixture
def owner(shop: Database, made: World) -> Iterator[psycopg.Connection]:
    """The model's owner, in a transaction that is rolled back."""
    yield from mining.rolled_back(shop, made.owner)


def keyed(connection: psycopg.Connection, type_name: str, texts: list[str]) -> None:
    """shop.keyed, whose answers depend on the key k, and its model "keyed"; each key has 100 rows."""
    connection.execute(
        f"CREATE TABLE shop.keyed AS SELECT (100 * n + i)::int AS id, t::{type_name} AS k, i AS a, "
        "CASE WHEN (i > 50) = (n %% 2 = 0) THEN 'yes' ELSE 'no' END AS y "
        "FROM unnest(%s::text[]) WITH ORDINALITY AS u (t, n), generate_series(1, 100) AS i",
        (texts,),
    )
    options = {**TREE, "partition_columns": ["k"], "exclude_column_list": ["id"]}
    calls.train(connection, "shop.keyed", "y", options, "keyed")


def require_own_partitions(connection: psycopg.Connection, n: int) -> None:
    """Each of the n keys of shop.keyed has a partition, by which its rows are answered, in the table and one by one."""
    assert len(partitions(connection, "keyed")) == n
    calls.predict_table(connection, "shop.keyed", "keyed", "shop.out")
    own = "sys.prediction('keyed', o)"
    wrong = f"SELECT count(*) FROM shop.out AS o WHERE prediction IS DISTINCT FROM y OR {own} IS DISTINCT FROM y"
    assert value(connection, wrong) == 0


def test_keys_that_float64_would_merge(owner: psycopg.Connection) -> None:
    keyed(owner, "numeric", ["1", "1.00000000000000000001", "0.1", "0.10000000000000000002", "0", "1e-30"])
    require_own_partitions(owner, 6)
    owner.execute("CALL dbms_data_mining.drop_partition('keyed', partition_key => '1.00000000000000000001')")
    assert "1" in partitions(owner, "keyed") and len(partitions(owner, "keyed")) == 5


def test_dates_beyond_the_calendar(owner: psycopg.Connection) -> None:
    keyed(owner, "date", ["0044-03-15 BC", "0044-03-15", "infinity", "-infinity", "10000-01-01", "2024-02-29"])
    require_own_partitions(owner, 6)


@pytest.mark.parametrize("key", ['["east", "more"]', "[]", '{"region": null}', '["nowhere"]'])
def test_a_key_that_names_no_partition(owner: psycopg.Connection, key: str) -> None:
    train(owner, ["region"], "full", unseen_key="fallback")
    with pytest.raises(psycopg.Error) as caught, owner.transaction():
        owner.execute("CALL dbms_data_mining.drop_partition('full', partition_key => %s)", (key,))
    assert caught.value.sqlstate in ("22023", "ML504")
    assert len(partitions(owner, "full")) == 5


def test_apply_asks_for_the_partitions_of_the_rows_only(shop: Database, made: World, owner: psycopg.Connection) -> None:
    train(owner, ["region"], "strict", unseen_key="error")
    owner.execute("CALL dbms_data_mining.apply('strict', 'shop.sales', 'id', 'shop.applied')")
    assert value(owner, "SELECT count(DISTINCT partition_name) FROM shop.applied") == 4


def test_apply_for_who_has_one_partition(server: Server, made: World) -> None:
    with sales(server, made) as db:
        owner, other = db.connect(made.owner), db.connect(made.other)
        grant = "CALL sys.ml_model_grant('sales', {}::regrole, 'PREDICT', partition => 'east')"
        owner.execute(psycopg.sql.SQL(grant).format(psycopg.sql.Literal(made.other)))
        owner.execute("CREATE VIEW shop.east AS SELECT * FROM shop.sales WHERE region = 'east'")
        owner.execute(identifiers("GRANT USAGE, CREATE ON SCHEMA shop TO {}", made.other))
        owner.execute("GRANT SELECT ON shop.east, shop.sales TO PUBLIC")
        other.execute(f"CALL dbms_data_mining.apply('sales@{made.owner}', 'shop.east', 'id', 'shop.seen')")
        assert rows(other, "SELECT DISTINCT partition_name FROM shop.seen") == [("east",)]
        with refused(other, "42501"):
            other.execute(f"CALL dbms_data_mining.apply('sales@{made.owner}', 'shop.sales', 'id', 'shop.all')")


# --- changes ---------------------------------------------------------------------------------------


def test_rows_of_other_types_are_not_added(owner: psycopg.Connection) -> None:
    wrong_key = "SELECT a, b, c, 7 AS region, answer FROM shop.sales WHERE region = 'east'"
    with refused(owner, "ML401", "region"):
        add(owner, wrong_key)
    wrong_target = "SELECT a, b, c, 'new' AS region, answer = 'yes' AS answer FROM shop.sales WHERE region = 'east'"
    with refused(owner, "ML401", "answer"):
        add(owner, wrong_target)


def test_a_part_of_the_rows_leaves_the_fallback_alone(owner: psycopg.Connection) -> None:
    train(owner, ["region"], "full", unseen_key="fallback")
    unseen = 'SELECT sys.prediction_probability(\'full\', \'{"a": 50, "b": 1, "c": "p", "region": "new"}\', \'yes\')'
    before = value(owner, unseen)
    owner.execute("UPDATE shop.sales SET answer = 'no' WHERE region = 'east' AND a > 60")
    part = "SELECT * FROM sys.ml_model_refresh_partitions('full', 'SELECT * FROM shop.sales {}')"
    found = dict((name, what) for name, what, _ in rows(owner, part.format("WHERE region = ''east''")))
    assert found["east"] == "rebuilt" and found["west"] == "absent" and found["DM$$_FALLBACK"] == "unchanged"
    assert value(owner, unseen) == before
    owner.execute("UPDATE shop.sales SET answer = 'no' WHERE region = 'west' AND a > 60")
    found = dict((name, what) for name, what, _ in rows(owner, part.format("")))
    assert found["DM$$_FALLBACK"] == "rebuilt" and value(owner, unseen) != before


def serialized_model(connection: psycopg.Connection, handle: str) -> bytes:
    packed = value(connection, "CALL dbms_data_mining.export_sermodel(NULL, %s)", handle)
    return zstandard.decompress(bytes(packed))


def test_an_imported_model_numbers_new_partitions_itself(owner: psycopg.Connection) -> None:
    opened = archive.unpack(serialized.unpack(serialized_model(owner, "sales"))[0])
    for next_id in (1, -5, 2**40):
        trunk = json.dumps({**json.loads(opened.trunk), "next_id": next_id}).encode()
        models = {n: bytes(m) for n, m in opened.models.items()}
        with owner.transaction(force_rollback=True):
            raw = archive.pack(trunk, opened.partitions, models)
            owner.execute("CALL dbms_data_mining.import_sermodel(%s, 'copy')", (raw,))
            add(owner, "SELECT a, b, c, 'new' AS region, answer FROM shop.sales WHERE region = 'west'", handle="copy")
            assert sorted(partitions(owner, "copy")) == sorted([*partitions(owner, "sales"), "new"])


def test_a_serialized_model_keeps_its_settings(owner: psycopg.Connection) -> None:
    query = "SELECT a, c, region, answer FROM shop.sales"
    settings = calls.as_json({"ALGO_NAME": "ALGO_NAIVE_BAYES", "ODMS_PARTITION_COLUMNS": "region"})
    owner.execute(
        "CALL dbms_data_mining.create_model2('nb', 'CLASSIFICATION', %s, %s, NULL, 'answer')", (query, settings)
    )
    owner.execute("CALL dbms_data_mining.import_sermodel(%s, 'copy')", (serialized_model(owner, "nb"),))
    listed = "SELECT setting_name, setting_value FROM sys.user_mining_model_settings WHERE model_name = %s ORDER BY 1"
    assert rows(owner, listed, "copy") == rows(owner, listed, "nb") != []


def test_numbers_that_float64_has_not_in_a_catalog(owner: psycopg.Connection) -> None:
    table = calls.catalog(owner) + ".model_catalog"
    huge = "1" + "0" * 400
    document = f'{{"training_time": {huge}, "lineage": {{"columns": {{"a": "numeric({"9" * 5000})"}}}}}}'
    owner.execute(
        f"UPDATE {table} SET model_metadata = model_metadata || %s::jsonb WHERE model_handle = 'sales'", (document,)
    )
    assert value(owner, "SELECT count(*) FROM sys.all_mining_models WHERE model_name = 'sales'") == 1
    assert value(owner, "SELECT count(*) FROM sys.all_mining_model_attributes WHERE model_name = 'sales'") > 0


# --- beside others -----------------------------------------------------------------------------------


def test_using_a_model_is_no_conflict(server: Server, made: World) -> None:
    """Two transactions that only read a model note when it was used; neither may fail for that."""
    with copied(server, made) as db:
        first, second = db.connect(made.owner), db.connect(made.owner)
        with first.transaction():
            first.execute("SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            first.execute("SELECT count(*) FROM shop.loan")
            calls.predict_table(second, "shop.loan", "loan", "shop.two")
            calls.predict_table(first, "shop.loan", "loan", "shop.one")


def test_a_model_that_goes_away_is_not_renamed(server: Server, made: World) -> None:
    with copied(server, made) as db:
        first, second = db.connect(made.owner), db.connect(made.owner)
        failures: list[psycopg.Error] = []

        def rename() -> None:
            try:
                second.execute("CALL dbms_data_mining.rename_model('loan', 'debt')")
            except psycopg.Error as error:
                failures.append(error)

        with first.transaction():
            first.execute("CALL dbms_data_mining.drop_model('loan')")
            thread = Thread(target=rename)
            thread.start()
            thread.join(1)
            assert thread.is_alive(), "it waits for the lock"
        thread.join(30)
        assert [f.sqlstate for f in failures] == ["ML200"]
