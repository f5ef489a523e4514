"""Everything that has rows can be trained on and scored: views, partitions, heirs, foreign tables, queries."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import conninfo_to_dict

from backend import calls, world
from backend.calls import primary_key, refused, rows, value
from backend.world import World
from fix_db import PASSWORD, Database, identifiers

KEY = "_4aad19ca6e_pk_id"
KINDS = {
    "view": "CREATE VIEW shop.input AS TABLE shop.loan",
    "joined view": (
        "CREATE VIEW shop.input AS SELECT a.id, a.age, b.income, b.job, a.member, a.since, b.answer "
        "FROM shop.loan AS a JOIN shop.loan AS b USING (id) ORDER BY md5(id::text)"
    ),
    "materialized view": "CREATE MATERIALIZED VIEW shop.input AS TABLE shop.loan",
    "unlogged table": "CREATE UNLOGGED TABLE shop.input AS TABLE shop.loan",
    "partitioned table": (
        "CREATE TABLE shop.input (LIKE shop.loan) PARTITION BY LIST (answer);"
        "CREATE TABLE shop.input_yes PARTITION OF shop.input FOR VALUES IN ('yes');"
        "CREATE TABLE shop.input_no PARTITION OF shop.input DEFAULT;"
        "INSERT INTO shop.input TABLE shop.loan"
    ),
    "parent": (
        "CREATE TABLE shop.input (LIKE shop.loan); CREATE TABLE shop.child (more int) INHERITS (shop.input);"
        "INSERT INTO shop.input SELECT * FROM shop.loan WHERE id <= 100;"
        "INSERT INTO shop.child SELECT * FROM shop.loan WHERE id > 100"
    ),
    "reordered columns": (
        "CREATE TABLE shop.input AS SELECT since, answer, 1 AS gone, member, job, income, age, id FROM shop.loan;"
        "ALTER TABLE shop.input DROP COLUMN gone; ALTER TABLE shop.input ADD late int DEFAULT 3"
    ),
}


@pytest.fixture(params=KINDS)
def relation(request: pytest.FixtureRequest, owner: psycopg.Connection) -> str:
    """A relation with the rows of shop.loan."""
    owner.execute(KINDS[request.param])
    return "shop.input"


def test_predictions_are_those_of_the_table(owner: psycopg.Connection, relation: str) -> None:
    expected = rows(
        owner, "SELECT id, sys.ml_predict_row(to_jsonb(l), 'loan')->'ml_results' FROM shop.loan AS l ORDER BY 1"
    )
    calls.predict_table(owner, relation, "loan", "shop.out")
    assert primary_key(owner, "shop.out") == [KEY]
    assert rows(owner, "SELECT id, ml_results FROM shop.out ORDER BY id") == expected
    found = calls.predict(owner, "loan", f"SELECT * FROM {relation} ORDER BY id")
    assert [(r["id"], d) for r, _, d in found] == expected
    score = calls.score(owner, "shop.loan", "answer", "loan", "neg_log_loss")
    assert calls.score(owner, relation, "answer", "loan", "neg_log_loss") == pytest.approx(score)


def test_nothing_is_left_beside_the_output(owner: psycopg.Connection, relation: str) -> None:
    tables = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'shop'::regnamespace AND relkind IN ('r', 'v', 'm', 'p')"
    )
    before = set(rows(owner, tables))
    calls.predict_table(owner, relation, "loan", "shop.out")
    assert set(rows(owner, tables)) - before == {("out",)}


@pytest.mark.parametrize("kind", ["joined view", "partitioned table", "parent"])
def test_training_reads_all_rows(owner: psycopg.Connection, kind: str) -> None:
    owner.execute(KINDS[kind])
    options = {"model_list": ["GaussianNB"], "exclude_column_list": ["id"], **world.QUICK}
    calls.train(owner, "shop.input", "answer", options, "m")
    found = calls.metadata(owner, "m")
    assert (found["n_rows"], found["train_table_name"]) == (240, "shop.input")


def test_the_key_of_a_partitioned_table_is_kept(owner: psycopg.Connection) -> None:
    owner.execute(KINDS["partitioned table"])
    owner.execute("ALTER TABLE shop.input ADD PRIMARY KEY (id, answer)")
    calls.predict_table(owner, "shop.input", "loan", "shop.out")
    assert primary_key(owner, "shop.out") == ["id", "answer"]


def test_the_key_of_a_parent_is_not(owner: psycopg.Connection) -> None:
    owner.execute(KINDS["parent"])
    owner.execute("ALTER TABLE shop.input ADD PRIMARY KEY (id); UPDATE shop.child SET id = mod(id, 100) + 1")
    calls.predict_table(owner, "shop.input", "loan", "shop.out")
    assert primary_key(owner, "shop.out") == [KEY]
    assert value(owner, "SELECT count(*) FROM shop.out") == 240


@pytest.mark.parametrize("kind", [k for k in KINDS if "view" in k or k in ("partitioned table", "parent")])
def test_in_place_is_for_plain_tables(owner: psycopg.Connection, kind: str) -> None:
    owner.execute(KINDS[kind])
    with refused(owner, "22023", "plain table without primary key"):
        calls.predict_table(owner, "shop.input", "loan", "shop.input")


def test_a_volatile_view_is_read_once(owner: psycopg.Connection) -> None:
    owner.execute(
        "CREATE VIEW shop.input AS SELECT id, (random() * 50)::int + 20 AS age, income, job, member, since "
        "FROM shop.loan ORDER BY random()"
    )
    calls.predict_table(owner, "shop.input", "loan", "shop.out")
    wrong = (
        "SELECT count(*) FROM shop.out AS o WHERE sys.ml_predict_row(to_jsonb(o), 'loan')->'ml_results' <> ml_results"
    )
    assert value(owner, wrong) == 0


def test_a_foreign_table(made: World, fresh: Database) -> None:
    admin = fresh.connect()
    if not value(admin, "SELECT count(*) FROM pg_available_extensions WHERE name = 'postgres_fdw'"):
        pytest.skip("NOT RUN: the server has no postgres_fdw")
    port = value(admin, "SELECT coalesce(inet_server_port(), current_setting('port')::int)")
    admin.execute("CREATE EXTENSION postgres_fdw")
    admin.execute(
        sql.SQL(
            "CREATE SERVER here FOREIGN DATA WRAPPER postgres_fdw OPTIONS (host '127.0.0.1', port {}, dbname {})"
        ).format(str(port), conninfo_to_dict(fresh.dsn)["dbname"])
    )
    admin.execute(identifiers("GRANT USAGE ON FOREIGN SERVER here TO {}", made.owner))
    owner = fresh.connect(made.owner)
    mapping = "CREATE USER MAPPING FOR CURRENT_USER SERVER here OPTIONS (user {}, password {})"
    owner.execute(sql.SQL(mapping).format(made.owner, PASSWORD))
    owner.execute("CREATE SCHEMA away; IMPORT FOREIGN SCHEMA shop LIMIT TO (loan) FROM SERVER here INTO away")
    calls.predict_table(owner, "away.loan", "loan", "shop.out")
    calls.predict_table(owner, "shop.loan", "loan", "shop.same")
    assert value(owner, "SELECT count(*) FROM shop.out JOIN shop.same USING (id, ml_results)") == 240
    assert calls.score(owner, "away.loan", "answer", "loan", "accuracy") > 0.7
    calls.train(owner, "away.loan", "answer", {"model_list": ["GaussianNB"], **world.QUICK}, "afar")
    assert calls.metadata(owner, "afar")["n_rows"] == 240


def test_rows_that_a_policy_hides_are_not_read(made: World, fresh: Database) -> None:
    owner, other = fresh.connect(made.owner), fresh.connect(made.other)
    calls.grant(owner, "loan", made.other)
    owner.execute("ALTER TABLE shop.loan ENABLE ROW LEVEL SECURITY")
    owner.execute("CREATE POLICY few ON shop.loan FOR SELECT USING (id <= 10)")
    owner.execute(identifiers("GRANT USAGE, CREATE ON SCHEMA shop TO {}", made.other))
    owner.execute(identifiers("GRANT SELECT ON shop.loan TO {}", made.other))
    calls.predict_table(other, "shop.loan", "loan", "shop.seen")
    assert value(other, "SELECT count(*) FROM shop.seen") == 10
    assert len(calls.predict(other, "loan", "TABLE shop.loan")) == 10
