"""Export tables that lie, and export tables of others: nothing is imported that was not audited whole."""

from __future__ import annotations

import json

import pytest
import zstandard

from security import hostile_models as hostile
from security.arena import Arena

IMPORT = "CALL sys.ml_model_import(NULL, %s, NULL)"
WHERE = '{{"schema": "{}", "table": "{}"}}'
BOMB = zstandard.ZstdCompressor(level=3).compress(bytes(600 << 20))


@pytest.fixture(scope="module")
def exported(shared_arena: Arena) -> Arena:
    """The owner exported a small model and one of several chunks."""
    shared_arena.run(
        "owner",
        "CREATE SCHEMA desk",
        "CALL sys.ml_model_export('m', 'desk.small')",
        "CALL sys.ml_model_export('big', 'desk.big')",
    )
    return shared_arena


LIES = {
    "first_chunk_missing": ("big", "DELETE FROM {t} WHERE chunk_id = 1"),
    "middle_chunk_missing": ("big", "DELETE FROM {t} WHERE chunk_id = 2"),
    "last_chunk_missing": ("big", "DELETE FROM {t} WHERE chunk_id = (SELECT max(chunk_id) FROM {t})"),
    "first_chunk_twice": (
        "big",
        "ALTER TABLE {t} DROP CONSTRAINT {n}_pkey; INSERT INTO {t} SELECT * FROM {t} WHERE chunk_id = 1",
    ),
    "second_chunk_twice": (
        "big",
        "ALTER TABLE {t} DROP CONSTRAINT {n}_pkey; INSERT INTO {t} SELECT * FROM {t} WHERE chunk_id = 2",
    ),
    "rows_exchanged": (
        "big",
        "UPDATE {t} SET chunk_id = -chunk_id; UPDATE {t} SET chunk_id = CASE chunk_id "
        "WHEN -1 THEN 2 WHEN -2 "
        "THEN 1 ELSE -chunk_id END",
    ),
    "contents_exchanged": (
        "big",
        "UPDATE {t} AS o SET model_object = n.model_object FROM {t} AS n WHERE o.chunk_id + n.chunk_id = 3",
    ),
    "contents_exchanged_without_digest": (
        "big",
        "UPDATE {t} AS o SET model_object = n.model_object FROM {t} "
        "AS n WHERE o.chunk_id + "
        "n.chunk_id = 3; UPDATE {t} SET model_metadata = model_metadata - "
        "'object_sha256'",
    ),
    "chunk_is_null": ("small", "UPDATE {t} SET model_object = NULL"),
    "metadata_is_null": ("small", "UPDATE {t} SET model_metadata = NULL, model_object = sha256('x')"),
    "metadata_is_a_list": ("small", "UPDATE {t} SET model_metadata = '[]'"),
    "metadata_is_a_string": ("small", "UPDATE {t} SET model_metadata = '\"x\"'"),
    "chunk_is_empty": ("small", "UPDATE {t} SET model_object = ''"),
    "byte_changed": (
        "small",
        "UPDATE {t} SET model_object = set_byte(model_object, 99, get_byte(model_object, 99) # 1)",
    ),
    "byte_changed_without_digest": (
        "small",
        "UPDATE {t} SET model_metadata = model_metadata - 'object_sha256', "
        "model_object = set_byte(model_object, 99, get_byte(model_object, 99) # 1)",
    ),
    "digest_lies": ("small", 'UPDATE {t} SET model_metadata = model_metadata || \'{{"object_sha256": "00"}}\''),
    "digest_is_a_number": ("small", "UPDATE {t} SET model_metadata = model_metadata || '{{\"object_sha256\": 7}}'"),
    "count_lies": ("small", "UPDATE {t} SET model_metadata = model_metadata || '{{\"chunks\": 2}}'"),
    "count_is_text": ("small", 'UPDATE {t} SET model_metadata = model_metadata || \'{{"chunks": "1"}}\''),
    "format_unknown": ("small", 'UPDATE {t} SET model_metadata = model_metadata || \'{{"format": "PYTHON"}}\''),
    "format_is_a_list": ("small", 'UPDATE {t} SET model_metadata = model_metadata || \'{{"format": ["ONNX"]}}\''),
    "golden_lies": (
        "small",
        "UPDATE {t} SET model_metadata = jsonb_set(model_metadata, '{{golden,probabilities,0,0}}', '0.123')",
    ),
    "golden_is_text": ("small", 'UPDATE {t} SET model_metadata = model_metadata || \'{{"golden": "trust me"}}\''),
    "golden_is_huge": (
        "small",
        "UPDATE {t} SET model_metadata = model_metadata || "
        "jsonb_build_object('golden', jsonb_build_object("
        "'rows', (SELECT jsonb_agg('{{}}'::jsonb) FROM generate_series(1, 100000)), "
        "'probabilities', (SELECT jsonb_agg('[]'::jsonb) FROM generate_series(1, 100000))))",
    ),
    "text_instead_of_bytes": (
        "small",
        "ALTER TABLE {t} ALTER model_object TYPE text USING encode(model_object, 'hex')",
    ),
    "text_instead_of_numbers": (
        "small",
        "ALTER TABLE {t} ALTER chunk_id DROP IDENTITY; ALTER TABLE {t} ALTER chunk_id TYPE text",
    ),
    "column_missing": ("small", "ALTER TABLE {t} DROP model_metadata"),
    "empty_table": ("small", "DELETE FROM {t}"),
    "huge_chunk": (
        "small",
        "UPDATE {t} SET model_object = decode(repeat('00', 300000000), 'hex'), "
        "model_metadata = model_metadata - 'object_sha256'",
    ),
}


@pytest.mark.parametrize("lie", LIES)
def test_lies_are_refused(exported: Arena, lie: str) -> None:
    source, change = LIES[lie]
    name = f"lie_{lie}"
    exported.run(
        "owner",
        f"CREATE TABLE desk.{name} (LIKE desk.{source} INCLUDING ALL)",
        f"INSERT INTO desk.{name} OVERRIDING SYSTEM VALUE TABLE desk.{source}",
        change.format(t=f"desk.{name}", n=name),
    )
    before = counts(exported)
    exported.refused("owner", IMPORT, WHERE.format("desk", name))
    assert counts(exported) == before
    exported.run("owner", f"DROP TABLE desk.{name}")


def counts(arena: Arena) -> list[tuple[object, ...]]:
    tables = ("model_catalog", "model_object_catalog", "model_privilege")
    return arena.run("owner", "SELECT " + ", ".join(f'(SELECT count(*) FROM "<owner.catalog>".{t})' for t in tables))


def test_decompression_bombs(exported: Arena) -> None:
    exported.run(None, "CALL sys.ml_set('import_size', 64)")
    bombs = [BOMB, zstandard.compress(BOMB), BOMB[:-40], BOMB + BOMB]
    streamed = zstandard.ZstdCompressor(level=3, write_content_size=False).compressobj()
    bombs.append(streamed.compress(bytes(600 << 20)) + streamed.flush())
    for bomb in bombs:
        outcome = exported.attempt(
            "owner", "CALL sys.ml_model_import(%s, %s, NULL)", [bomb, json.dumps(hostile.METADATA)]
        )
        assert outcome.sqlstate in ("ML301", "ML303", "ML304"), outcome.text[:300]
        exported.run("owner", "CREATE TABLE desk.bomb (LIKE desk.small INCLUDING ALL)")
        exported.of("owner").execute("INSERT INTO desk.bomb VALUES (1, %s, '{}')", (bomb,))
        assert exported.attempt("owner", IMPORT, [WHERE.format("desk", "bomb")]).sqlstate in ("ML301", "ML303", "ML304")
        exported.run("owner", "DROP TABLE desk.bomb")


TRAPS = {
    "view": "CREATE VIEW evil.t AS SELECT chunk_id, evil.act('view')::bytea AS model_object, model_metadata "
    "FROM evil.plain",
    "materialized_view": "CREATE MATERIALIZED VIEW evil.t AS TABLE evil.plain",
    "policies": "CREATE TABLE evil.t (LIKE evil.plain); ALTER TABLE evil.t ENABLE ROW LEVEL SECURITY; "
    "CREATE POLICY p ON evil.t USING (evil.yes('policy'))",
    "policies_not_enabled": "CREATE TABLE evil.t (LIKE evil.plain); CREATE POLICY p ON evil.t USING "
    "(evil.yes('policy')); "
    "ALTER TABLE evil.t FORCE ROW LEVEL SECURITY; ALTER TABLE evil.t ENABLE ROW LEVEL SECURITY",
    "child_with_view": "CREATE TABLE evil.t (LIKE evil.plain); CREATE TABLE evil.child () INHERITS (evil.t)",
    "partitioned": "CREATE TABLE evil.t (LIKE evil.plain) PARTITION BY RANGE (chunk_id); CREATE TABLE "
    "evil.part PARTITION OF evil.t DEFAULT",
    "rule": "CREATE TABLE evil.t (LIKE evil.plain); CREATE RULE r AS ON UPDATE TO evil.t DO ALSO SELECT "
    "evil.act('rule')",
    "index_predicate": "CREATE TABLE evil.t (LIKE evil.plain); CREATE INDEX ON evil.t (chunk_id) WHERE "
    "evil.yes('index')",
    "index_expression": "CREATE TABLE evil.t (LIKE evil.plain); CREATE INDEX ON evil.t (evil.quietly(chunk_id::text))",
    "statistics": "CREATE TABLE evil.t (LIKE evil.plain); CREATE STATISTICS evil.s ON (evil.quietly('s')), "
    "chunk_id FROM evil.t",
    "constraint": "CREATE TABLE evil.t (LIKE evil.plain); ALTER TABLE evil.t ADD CHECK (evil.yes('c'))",
    "domain": "CREATE DOMAIN evil.bytes AS bytea; CREATE TABLE evil.t (chunk_id int, model_object evil.bytes, "
    "model_metadata jsonb); "
    "INSERT INTO evil.t VALUES (1, 'x', '{}'); ALTER DOMAIN evil.bytes ADD CHECK (evil.yes('domain')) NOT VALID",
    "enumeration": "CREATE TYPE evil.one AS ENUM ('1'); CREATE TABLE evil.t (chunk_id evil.one, model_object "
    "bytea, model_metadata jsonb); "
    "CREATE FUNCTION evil.c(evil.one) RETURNS bigint LANGUAGE sql AS $$ SELECT length(evil.act('cast'))::bigint $$; "
    "CREATE CAST (evil.one AS bigint) WITH FUNCTION evil.c(evil.one) AS IMPLICIT",
    "composite": "CREATE TYPE evil.pair AS (a text); CREATE TABLE evil.t (chunk_id int, model_object bytea, "
    "model_metadata evil.pair); "
    "CREATE FUNCTION evil.c(evil.pair) RETURNS text LANGUAGE sql AS $$ SELECT evil.act('cast') $$; "
    "CREATE CAST (evil.pair AS text) WITH FUNCTION evil.c(evil.pair) AS IMPLICIT",
    "sequence": "CREATE SEQUENCE evil.t",
    "type": "CREATE TYPE evil.t AS (chunk_id int, model_object bytea, model_metadata jsonb)",
    "default": "CREATE TABLE evil.t (LIKE evil.plain); INSERT INTO evil.t VALUES (1, 'x', '{}'); "
    "ALTER TABLE evil.t ADD more text DEFAULT 'x'",
}


@pytest.mark.parametrize("trap", TRAPS)
def test_tables_of_others_run_no_code(exported: Arena, trap: str) -> None:
    """Views, policies, casts … of another role, read by a user and by a superuser."""
    exported.run(
        "mallory",
        "CREATE TABLE evil.plain (chunk_id int, model_object bytea, model_metadata jsonb)",
        "INSERT INTO evil.plain VALUES (1, 'x', '{}')",
        TRAPS[trap],
        "GRANT ALL ON ALL TABLES IN SCHEMA evil TO PUBLIC",
    )
    exported.run(None, "ALTER SEQUENCE evil.as_itself RESTART")
    for victim in ("owner", None):
        exported.refused(victim, IMPORT, WHERE.format("evil", "t"))
    exported.nothing_ran()
    exported.run(
        None,
        "DO $$ DECLARE o record; BEGIN FOR o IN SELECT relname, relkind FROM pg_class WHERE "
        "relnamespace = 'evil'::regnamespace "
        "AND relname IN ('t', 'plain', 'child', 'part', 's') LOOP EXECUTE format('DROP %s IF EXISTS "
        "evil.%I CASCADE', CASE o.relkind "
        "WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW' WHEN 'S' THEN 'SEQUENCE' WHEN 'c' "
        "THEN 'TYPE' ELSE 'TABLE' END, "
        "o.relname); END LOOP; END $$",
        "DROP FUNCTION IF EXISTS evil.c CASCADE",
    )


def test_stolen_export(exported: Arena) -> None:
    """An export is readable for those it was granted to, and for nobody else; a copy without rights gives nothing."""
    for kind in ("reader", "mallory", "other", "outsider"):
        exported.refused(kind, IMPORT, WHERE.format("desk", "small"))
        exported.refused(kind, "TABLE desk.small")
    exported.run("owner", 'GRANT USAGE ON SCHEMA desk TO "<other>"; GRANT SELECT ON desk.small TO "<other>"')
    exported.run(
        "other", f"CALL sys.ml_model_import(NULL, '{WHERE.format('desk', 'small')}', 'copy')".replace("{{", "{")
    )
    exported.run("owner", 'REVOKE ALL ON desk.small FROM "<other>"')
    exported.refused("other", IMPORT, WHERE.format("desk", "small"))


@pytest.mark.parametrize(
    "where",
    [
        '{"schema": "desk"}',
        '{"table": "small"}',
        '{"schema": 1, "table": "small"}',
        '{"schema": null, "table": null}',
        "[]",
        "1",
        "null",
        '{"schema": "desk", "table": "small", "more": 1}',
        '{"schema": "desk\\"; DROP TABLE desk.small; --", "table": "small"}',
        '{"schema": "desk", "table": "small; SELECT evil.act(\'x\')"}',
        '{"schema": "", "table": ""}',
        '{"schema": "pg_catalog", "table": "pg_authid"}',
        '{"schema": "desk", "table": "small, evil.t"}',
        '{"schema": "desk.small", "table": "x"}',
    ],
)
def test_names_of_export_tables(exported: Arena, where: str) -> None:
    exported.refused("owner", IMPORT, where)
    exported.nothing_ran()
    exported.run("owner", "SELECT count(*) FROM desk.small")
