"""Partitioned models under attack: changed and exchanged objects, forged parts, hostile archives, names and owners."""

from __future__ import annotations

import json
import random
import struct
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest
import zstandard

from mlshare import archive, serialized
from security import hostile_models as hostile
from security.arena import Arena
from security.test_evil_owner import reset

KEYS = ("east", "west", 'o\'hara "é"')
TABLES = ("model_catalog", "model_object_catalog", "model_partition", "model_privilege")
CATALOG = '"<owner.catalog>".model_catalog'
OBJECTS = '"<owner.catalog>".model_object_catalog'
PARTS = '"<owner.catalog>".model_partition'
ROW = '{"k": "east", "a": 3, "b": 2.5}'
PREDICT = f"SELECT sys.ml_predict_row('{ROW}', %s)"
TAMPERED = {"ML301", "ML302"}
# A refusal of model bytes; anything else would be a bug, 38000 (an exception of Python) above all.
REFUSED = {"ML204", "ML301", "ML302", "ML303", "ML304", "ML305", "ML401", "ML402", "ML405", "ML110"}
MAKE = """
CREATE TABLE work.parts AS
    SELECT i AS a, (i %% 7) / 2.0::float8 AS b, k, CASE WHEN i %% 5 > n THEN 'yes' ELSE 'no' END AS y
    FROM generate_series(1, 60) AS i, (VALUES ('east', 1), ('west', 2), ('o''hara "é"', 3)) AS v (k, n)
"""
SETTINGS = '{"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL", "ODMS_PARTITION_COLUMNS": "k"}'
CREATE = "CALL dbms_data_mining.create_model2(%s, 'CLASSIFICATION', %s, %s, NULL, 'y')"


@pytest.fixture(scope="module")
def prepared(shared_arena: Arena) -> Arena:
    """The arena of the module with two models of partitions, p and q, of which reader may use one partition."""
    owner = shared_arena.of("owner")
    owner.execute(MAKE.replace("%%", "%").encode())
    owner.execute(CREATE, ("p", "TABLE work.parts", SETTINGS))
    owner.execute(CREATE, ("q", "SELECT a, b + 1 AS b, k, y FROM work.parts", SETTINGS))
    owner.execute("CALL sys.ml_model_grant('p', %s::regrole, 'PREDICT', 'east')", (shared_arena["reader"],))
    copies = [f'CREATE TABLE saved.{t} AS TABLE "<owner.catalog>".{t}' for t in TABLES]
    shared_arena.run(None, "CREATE SCHEMA saved", *copies)
    return shared_arena


@pytest.fixture
def fight(prepared: Arena) -> Iterator[Arena]:
    """The same, put back as it was afterwards."""
    yield prepared
    inserts = [f'INSERT INTO "<owner.catalog>".{t} OVERRIDING SYSTEM VALUE TABLE saved.{t}' for t in TABLES]
    prepared.run(None, f"DELETE FROM {CATALOG}", *inserts)
    for kind in ("owner", "reader"):
        prepared.run(kind, *(f"CALL sys.ml_model_unload('{h}')" for h in ("p", "q", "p2")))


def everybody(fight: Arena, handle: str = "p") -> list[Any]:
    """What comes of scoring: by the owner, who has not loaded it, and by the reader of one partition."""
    fight.run("owner", f"CALL sys.ml_model_unload('{handle}')")
    return [
        fight.attempt("owner", PREDICT, [handle]),
        fight.tells_nothing(fight.attempt("reader", PREDICT, [f"{handle}@{fight['owner']}"])),
        fight.attempt("owner", f"SELECT prediction FROM sys.ml_predict('{handle}', 'TABLE work.parts') LIMIT 1"),
    ]


# --- stored objects --------------------------------------------------------------------------------


def test_a_changed_byte_in_any_object(fight: Arena) -> None:
    owner, dice = fight.of("owner"), random.Random(5)
    places = fight.run(
        "owner", f"SELECT partition_id, octet_length(model_object) FROM {OBJECTS} WHERE model_handle = 'p'"
    )
    for number, length in places:
        for _ in range(15):
            at, bit = dice.randrange(length), 1 << dice.randrange(8)
            change = fight.fill(
                f"UPDATE {OBJECTS} SET model_object = set_byte(model_object, {at}, "
                f"get_byte(model_object, {at}) # {bit}) "
                f"WHERE model_handle = 'p' AND partition_id = {number}"
            ).encode()
            owner.execute(change)
            key = {0: "east"}.get(number, KEYS[0])
            name = fight.run(
                "owner",
                f"SELECT coalesce(max(key->>0), '{key}') FROM {PARTS} WHERE model_handle = 'p' AND "
                f"partition_id = {number}",
            )[0][0]
            owner.execute("CALL sys.ml_model_unload('p')")
            outcome = fight.attempt(
                "owner", "SELECT sys.prediction('p', sys.json_object('k', %s::text, 'a', 1, 'b', 1))", [name]
            )
            fight.tally.executed += not outcome.refused
            assert outcome.sqlstate in TAMPERED, outcome.text
            owner.execute(change)


EDITS = {
    "truncated": f"UPDATE {OBJECTS} SET model_object = substr(model_object, 1, "
    f"octet_length(model_object) - 1) WHERE model_handle = 'p'",
    "empty": f"UPDATE {OBJECTS} SET model_object = '' WHERE model_handle = 'p'",
    "gone": f"DELETE FROM {OBJECTS} WHERE model_handle = 'p' AND partition_id > 0",
    "common_part_gone": f"DELETE FROM {OBJECTS} WHERE model_handle = 'p' AND partition_id = 0",
    "rotated": f"UPDATE {OBJECTS} SET partition_id = -partition_id WHERE model_handle = 'p' AND partition_id > 0; "
    f"UPDATE {OBJECTS} SET partition_id = 1 - partition_id % 3 WHERE model_handle = 'p' AND partition_id < 0",
    "rotated_with_digests": f"UPDATE {OBJECTS} SET partition_id = -partition_id WHERE model_handle "
    f"= 'p' AND partition_id > 0; "
    f"UPDATE {OBJECTS} SET partition_id = 1 - partition_id % 3 WHERE model_handle = 'p' AND partition_id < 0; "
    f"UPDATE {PARTS} AS o SET digest = (SELECT digest FROM {PARTS} AS n WHERE n.model_handle = 'p' "
    f"AND n.partition_id = 1 + (o.partition_id + 1) % 3) WHERE model_handle = 'p'",
    "of_another_model": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, signature = "
    f"n.signature FROM {OBJECTS} AS n "
    "WHERE o.model_handle = 'p' AND n.model_handle = 'q' AND o.partition_id = n.partition_id",
    "of_another_model_with_digests": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, "
    f"signature = n.signature FROM {OBJECTS} AS n "
    "WHERE o.model_handle = 'p' AND n.model_handle = 'q' AND o.partition_id = n.partition_id AND o.partition_id > 0; "
    f"UPDATE {PARTS} AS o SET digest = n.digest FROM {PARTS} AS n WHERE o.model_handle = 'p' AND "
    f"n.model_handle = 'q' AND o.partition_id = n.partition_id",
    "common_part_of_another": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, signature "
    f"= n.signature FROM {OBJECTS} AS n "
    "WHERE o.model_handle = 'p' AND n.model_handle = 'q' AND o.partition_id = 0 AND n.partition_id = 0; "
    f"UPDATE {CATALOG} AS o SET model_digest = n.model_digest FROM {CATALOG} AS n WHERE "
    f"o.model_handle = 'p' AND n.model_handle = 'q'",
    "partition_as_the_model": f"DELETE FROM {OBJECTS} WHERE model_handle = 'p' AND partition_id = "
    f"0; UPDATE {OBJECTS} SET partition_id = 0 WHERE model_handle = 'p' AND partition_id = 1",
    "ordinary_model_as_partitions": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, "
    f"signature = NULL FROM {OBJECTS} AS n "
    f"WHERE o.model_handle = 'p' AND o.partition_id > 0 AND n.model_handle = 'n' AND n.chunk_id = 1; "
    f"UPDATE {PARTS} SET digest = (SELECT sha256(model_object) FROM {OBJECTS} WHERE model_handle = "
    f"'n') WHERE model_handle = 'p'",
    "digests_gone": f"UPDATE {PARTS} SET digest = sha256('x') WHERE model_handle = 'p'",
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_objects_are_refused(fight: Arena, edit: str) -> None:
    before = [outcome.rows for outcome in everybody(fight)]
    fight.run("owner", *EDITS[edit].split("; "))
    for outcome, expected in zip(everybody(fight), before, strict=True):
        assert outcome.sqlstate in REFUSED or outcome.rows == expected, (
            f"{edit}: {outcome.sqlstate} {outcome.text[:300]}"
        )
    assert any(outcome.sqlstate in REFUSED for outcome in everybody(fight))


HOSTILE_KEYS = {
    "no_array": "'7'",
    "object": "'{\"a\": 1}'",
    "null_inside": "'[null]'",
    "number_inside": "'[1]'",
    "nested": "'[[\"east\"]]'",
    "too_long": '\'["east", "x"]\'',
    "empty": "'[]'",
    "json_null": "'null'",
    "deep": "(repeat('[', 700) || repeat(']', 700))::jsonb",
}


@pytest.mark.parametrize("name", HOSTILE_KEYS)
def test_hostile_keys_in_the_list(fight: Arena, name: str) -> None:
    fight.run("owner", f"UPDATE {PARTS} SET key = {HOSTILE_KEYS[name]} WHERE model_handle = 'p' AND partition_id = 1")
    fight.run("owner", f"UPDATE {CATALOG} SET model_digest = model_digest WHERE model_handle = 'p'")
    for outcome in everybody(fight):
        assert outcome.sqlstate in {"ML301", "42501", None}, outcome.text
    for view in ("partitions", "settings", "attributes"):
        for kind in ("owner", "reader"):
            fight.attempt(kind, f"TABLE sys.all_mining_model_{view}")
            assert fight.attempt(kind, f"TABLE sys.all_mining_model_{view}").sqlstate != "38000"


GARBAGE = [
    "'7'",
    "'[[[1]]]'",
    "'{\"details\": 7}'",
    '\'{"details": {"settings": [1], '
    '"coefficients": {"a": 1}, "global": '
    '"x", "importances": [{}], "alerts": {"x": null}}}\'',
    '\'{"details": {"settings": {"": {"deep": []}}, "coefficients": [[1], null, '
    '[1,2,3,4,5,6,7,8,[9]]], "importances": {"a": "b", "c": null}}}\'',
]


@pytest.mark.parametrize("document", GARBAGE)
def test_garbage_in_details_and_metadata(fight: Arena, document: str) -> None:
    """An owner can write anything there: those who look get rows, or nothing."""
    fight.run(
        "owner", "CALL sys.ml_model_grant('p', '<reader>'::regrole, 'SELECT')".replace("<reader>", fight["reader"])
    )
    fight.run("owner", f"UPDATE {PARTS} SET details = {document} WHERE model_handle = 'p'")
    fight.run(
        "owner",
        f"UPDATE {CATALOG} SET model_metadata = "
        f"jsonb_build_object('partition_columns', {document}::jsonb, 'mining', {document}::jsonb, "
        f"'lineage', {document}::jsonb, 'training_time', {document}::jsonb, 'options', "
        f"{document}::jsonb), column_names = {document} WHERE model_handle = 'p'",
    )
    statements = [
        f"TABLE sys.all_mining_{v}"
        for v in ("models", "model_attributes", "model_settings", "model_partitions", "model_views")
    ]
    statements += [
        f"SELECT * FROM sys.model_{f}('p')"
        for f in ("coefficients", "importances", "global_statistics", "settings", "alerts")
    ]
    for kind in ("owner", "reader"):
        for statement in statements:
            outcome = fight.attempt(kind, statement.replace("'p'", f"'p@{fight['owner']}'"))
            assert outcome.sqlstate is None, f"{statement}: {outcome.text}"


# --- forged parts ----------------------------------------------------------------------------------


def exported(fight: Arena, handle: str = "p") -> archive.Archive:
    """The parts of the model as its owner can get them."""
    data = bytes(fight.run("owner", f"CALL dbms_data_mining.export_sermodel(NULL, '{handle}')")[0][0])
    return archive.unpack(serialized.unpack(zstandard.decompress(data))[0])


def _nested(depth: int) -> Any:
    found: Any = []
    for _ in range(depth):
        found = [found]
    return found


def changed(**fields: Any) -> Callable[[dict[str, Any]], None]:
    return lambda document: document.update(fields)


TRUNKS: dict[str, Callable[[dict[str, Any]], None]] = {
    "version": changed(version=99),
    "task": changed(task="regression"),
    "no_classes": changed(classes=None),
    "nested_classes": changed(classes=[["yes"], {}]),
    "other_classes": changed(classes=["a", "b"]),
    "no_keys": changed(keys=[]),
    "twice_the_same_key": changed(keys=[["k", "text"], ["k", "text"]]),
    "key_of_no_kind": changed(keys=[["k", "matrix"]]),
    "other_key": changed(keys=[["z", "text"]]),
    "keys_are_text": changed(keys="k"),
    "inputs": changed(inputs=[["a", "tensor"]]),
    "no_inputs": changed(inputs=[]),
    "inputs_are_a_number": changed(inputs=7),
    "categories": changed(categories={"a": 7}),
    "categories_list": changed(categories=[]),
    "rules": changed(rules={}),
    "rules_are_text": changed(rules="x"),
    "unseen_key": lambda d: d["rules"].update(unseen_key="shell"),
    "other_columns": lambda d: d["rules"].update(columns=["z"]),
    "most_partitions": lambda d: d["rules"].update(max_partitions="many"),
    "plan_is_a_list": changed(plan=[1]),
    "revision": changed(revision="x"),
    "target": changed(target=None),
    "target_kind": changed(target_kind="shell"),
    "deep": lambda d: d.update(plan={"x": _nested(900)}),
}


@pytest.mark.parametrize("name", TRUNKS)
def test_forged_common_parts(fight: Arena, name: str) -> None:
    """Put into the catalog by hand, without a signature; and as an archive to be imported."""
    parts = exported(fight)
    document = json.loads(parts.trunk)
    TRUNKS[name](document)
    raw = json.dumps(document).encode()
    stored = zstandard.compress(raw)
    update = fight.fill(
        f"UPDATE {OBJECTS} SET model_object = %s, signature = NULL WHERE model_handle = 'p' AND partition_id = 0"
    )
    fight.of("owner").execute(update.encode(), (stored,))
    digest = fight.fill(f"UPDATE {CATALOG} SET model_digest = sha256(%s) WHERE model_handle = 'p'")
    fight.of("owner").execute(digest.encode(), (stored,))
    for outcome in everybody(fight):
        assert outcome.sqlstate != "38000" or "Traceback" not in outcome.text.split("CONTEXT")[0], outcome.text
        assert outcome.sqlstate in REFUSED | {None, "ML508", "42501", "42703", "ML400"}, (
            f"{outcome.sqlstate} {outcome.text[:400]}"
        )
    imported = store(fight, archive.pack(raw, parts.partitions, {n: bytes(m) for n, m in parts.models.items()}))
    assert imported.sqlstate in REFUSED | {None}, imported.text
    fight.run(None, f"DELETE FROM {CATALOG} WHERE model_handle = 'loot'")


# --- archives ----------------------------------------------------------------------------------------


def store(fight: Arena, raw: bytes) -> Any:
    return fight.attempt("owner", "CALL dbms_data_mining.import_sermodel(%s, 'loot')", [zstandard.compress(raw)])


def header(raw: bytes) -> tuple[dict[str, Any], bytes]:
    (length,) = struct.unpack("<Q", raw[:8])
    return json.loads(raw[8 : 8 + length]), raw[8 + length :]


def with_header(document: Any, body: bytes) -> bytes:
    text = json.dumps(document).encode()
    return struct.pack("<Q", len(text)) + text + body


def _overlapping(raw: bytes) -> bytes:
    document, body = header(raw)
    for name in document:
        if name.isdigit():
            document[name].update(shape=[len(body)], data_offsets=[0, len(body)])
    return with_header(document, body)


def _beyond(raw: bytes) -> bytes:
    document, body = header(raw)
    document["1"].update(shape=[1 << 40], data_offsets=[0, 1 << 40])
    return with_header(document, body)


def _typed(raw: bytes) -> bytes:
    document, body = header(raw)
    document["1"]["dtype"] = "F64"
    return with_header(document, body)


def _deep(raw: bytes) -> bytes:
    text = (
        b'{"__metadata__": {"format": "mlshare.partitions", "version": "1"}, "x": '
        + b"[" * 100_000
        + b"]" * 100_000
        + b"}"
    )
    return struct.pack("<Q", len(text)) + text


RAW: dict[str, Callable[[bytes], bytes]] = {
    "overlapping": _overlapping,
    "beyond_the_end": _beyond,
    "other_type": _typed,
    "deep_header": _deep,
    "cut": lambda raw: raw[:-100],
    "header_only": lambda raw: raw[:300],
    "length": lambda raw: struct.pack("<Q", 1 << 62) + raw[8:],
    "zeros": lambda raw: raw[:200] + b"\0" * 10_000_000,
}


@pytest.mark.parametrize("name", RAW)
def test_hostile_archives(fight: Arena, name: str) -> None:
    parts = exported(fight)
    raw = archive.pack(parts.trunk, parts.partitions, {n: bytes(m) for n, m in parts.models.items()})
    outcome = store(fight, RAW[name](raw))
    assert outcome.sqlstate in REFUSED, outcome.text


ROWS: dict[str, dict[str, Any]] = {
    "no_id": {"partition_id": None},
    "id_zero": {"partition_id": 0},
    "id_negative": {"partition_id": -1},
    "id_huge": {"partition_id": 2**40},
    "id_text": {"partition_id": "1"},
    "id_true": {"partition_id": True},
    "id_of_another": {"partition_id": 2},
    "name_of_another": {"partition_name": "west"},
    "name_null": {"partition_name": None},
    "name_with_zero": {"partition_name": "a\0b"},
    "key_of_another": {"key": ["west"]},
    "key_short": {"key": []},
    "key_long": {"key": ["a", "b"]},
    "key_of_numbers": {"key": [1]},
    "key_deep": {"key": [["a"]]},
    "key_text": {"key": "east"},
    "status": {"status": "shell"},
    "failed_but_there": {"status": "failed"},
    "rows_negative": {"n_rows": -1},
    "rows_huge": {"n_rows": 2**70},
    "score_text": {"score": "x"},
    "fingerprint": {"fingerprint": "zz"},
    "fingerprint_odd": {"fingerprint": "abc"},
    "details_list": {"details": [1]},
    "error_object": {"error": {}},
    "extra": {"run": "this"},
}


@pytest.mark.parametrize("name", ROWS)
def test_hostile_lists_of_partitions(fight: Arena, name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    parts = exported(fight)
    rows = [dict(row) for row in parts.partitions]
    rows[0].update(ROWS[name])
    tensors = {
        "trunk": parts.trunk,
        "partitions": json.dumps(rows).encode(),
        **{str(n): bytes(m) for n, m in parts.models.items()},
    }
    from mlshare import transport

    buffers = transport.write(
        {n: transport.Tensor("U8", memoryview(b)) for n, b in tensors.items()},
        {"format": "mlshare.partitions", "version": "1"},
    )
    outcome = store(fight, b"".join(bytes(b) for b in buffers))
    assert outcome.sqlstate in REFUSED, outcome.text


def test_numbers_that_are_none(fight: Arena) -> None:
    """NaN and infinity are no JSON for PostgreSQL: a model that brings them is stored without them."""
    parts = exported(fight)
    rows = [{**row, "score": float("nan"), "build_seconds": float("inf")} for row in parts.partitions]
    outcome = store(fight, archive.pack(parts.trunk, rows, {n: bytes(m) for n, m in parts.models.items()}))
    assert outcome.sqlstate is None
    found = fight.run("owner", f"SELECT score, build_seconds FROM {PARTS} WHERE model_handle = 'loot'")
    assert set(found) == {(None, None)}


@pytest.mark.parametrize("name", sorted(hostile.CASES))
def test_hostile_models_in_an_archive(fight: Arena, name: str) -> None:
    parts = exported(fight)
    models = {n: bytes(m) for n, m in parts.models.items()}
    models[2] = hostile.CASES[name]()
    outcome = store(fight, archive.pack(parts.trunk, parts.partitions, models))
    assert outcome.sqlstate is not None and outcome.sqlstate != "38000", outcome.text
    fight.run("owner", f"SELECT 1 FROM {CATALOG} LIMIT 1")


def test_a_bomb(fight: Arena) -> None:
    fight.run(None, "CALL sys.ml_set('import_size', 10)")
    try:
        raw = archive.pack(b"{}", [], {}) + b"\0" * (200 << 20)
        assert store(fight, raw).sqlstate == "ML304"
    finally:
        fight.run(None, "CALL sys.ml_set('import_size', NULL)")


def test_restored_elsewhere(fight: Arena) -> None:
    """Objects without signatures pass one audit for all of them, and are signed at load."""
    expected = fight.run("owner", "SELECT sys.prediction_probability('p', t) FROM work.parts AS t")
    fight.run(
        "owner", f"UPDATE {OBJECTS} SET signature = NULL WHERE model_handle = 'p'", "CALL sys.ml_model_unload('p')"
    )
    assert fight.run("owner", "SELECT sys.prediction_probability('p', t) FROM work.parts AS t") == expected
    fight.run("owner", "CALL sys.ml_model_unload('p')", "CALL sys.ml_model_load('p')")
    assert fight.run(
        "owner", f"SELECT count(*)::int, count(signature)::int FROM {OBJECTS} WHERE model_handle = 'p'"
    ) == [(4, 4)]


# --- names -------------------------------------------------------------------------------------------


NAMES = (
    '"',
    "key",
    "row",
    "partition_id",
    "_4aad19ca6e_n",
    "k'; DROP TABLE work.train; --",
    "é☃",
    "{0}",
    "%s",
    "model_handle",
    "$1",
)
VALUES = (
    '"',
    "'; DROP TABLE work.train; --",
    "a\nb",
    "☃" * 30,
    "{x}",
    "%s",
    "DM$$_P0",
    "DM$$_FALLBACK",
    "null",
    "[]",
    " x",
    "\\",
    "",
)


@pytest.mark.parametrize("column", NAMES)
def test_hostile_names_and_values(fight: Arena, column: str) -> None:
    owner = fight.of("owner")
    quoted = '"' + column.replace('"', '""') + '"'
    with owner.transaction(force_rollback=True):
        owner.execute(f"CREATE TABLE work.odd (a int, b float8, {quoted} text, y text)".encode().replace(b"%", b"%"))
        with owner.cursor().copy("COPY work.odd FROM STDIN") as copy:
            for value in VALUES:
                for i in range(20):
                    copy.write_row((i, i % 7, value, "yes" if i % 2 else "no"))
        settings = json.dumps({"ALGO_NAME": "ALGO_NAIVE_BAYES", "ODMS_PARTITION_COLUMNS": quoted})
        owner.execute(CREATE, ("odd", "SELECT * FROM work.odd", settings))
        shown = owner.execute(
            "SELECT column_name, column_value, partition_name FROM sys.user_mining_model_partitions "
            "WHERE model_name = 'odd'"
        ).fetchall()
        assert {row[0] for row in shown} == {column}
        assert {row[1] for row in shown} == {value.rstrip(" ") for value in VALUES} and len(
            {row[2] for row in shown}
        ) == len(VALUES)
        wrong = (
            "SELECT count(*) FROM work.odd AS t WHERE sys.ora_dm_partition_name('odd', t) IS "
            "NULL OR sys.prediction('odd', t) IS NULL"
        )
        assert owner.execute(wrong).fetchone() == (0,)
        owner.execute(
            "CALL sys.ml_predict_table('work.odd', 'odd', 'work.odd_said')" if column != "_4aad19ca6e_n" else "SELECT 1"
        )
        owner.execute("SELECT * FROM sys.ml_predict('odd', 'TABLE work.odd')")
        for name in [row[2] for row in shown][:-1]:
            owner.execute("CALL sys.ml_model_drop_partition('odd', %s)", (name,))
        assert owner.execute("SELECT count(*) FROM work.train").fetchone() == (200,)
    fight.tally.tried[fight.category] += 1


def test_numbers_too_long_to_write_out(fight: Arena) -> None:
    owner = fight.of("owner")
    with owner.transaction(force_rollback=True):
        owner.execute(CREATE, ("n_p", "SELECT a, b, a % 2 AS k, y FROM work.parts", SETTINGS))
        for text in ("1e999999999", "-1e-999999999", "1e200001", "Infinity", "NaN", "0x1", "\u0661", "1_0"):
            outcome = fight.attempt(
                "owner", "SELECT sys.ora_dm_partition_name('n_p', sys.json_object('k', %s::text))", [text]
            )
            assert outcome.rows in ([(None,)], [("1",)]), outcome.text


# --- evil owners ---------------------------------------------------------------------------------------

M_PARTS = '"<mallory.catalog>".model_partition'
PLOTS = {
    "a_view": [
        f"ALTER TABLE {M_PARTS} RENAME TO kept",
        f"CREATE VIEW {M_PARTS} AS SELECT * FROM \"<mallory.catalog>\".kept WHERE evil.yes('v')",
        f"GRANT SELECT ON {M_PARTS} TO PUBLIC",
    ],
    "a_policy": [
        f"CREATE POLICY x ON {M_PARTS} USING (evil.yes('policy'))",
        f"ALTER TABLE {M_PARTS} FORCE ROW LEVEL SECURITY",
    ],
    "an_index": [f"CREATE INDEX i ON {M_PARTS} (evil.quietly(partition_name))"],
    "a_predicate": [f"CREATE INDEX i ON {M_PARTS} (partition_id) WHERE evil.yes('i')"],
    "statistics": [f"CREATE STATISTICS \"<mallory.catalog>\".s ON (evil.quietly('s')), partition_id FROM {M_PARTS}"],
    "a_check": [f"ALTER TABLE {M_PARTS} ADD CHECK (evil.yes('c')) NOT VALID"],
    "a_generated_column": [f"ALTER TABLE {M_PARTS} ADD g text GENERATED ALWAYS AS (evil.quietly(error)) STORED"],
    "a_domain": [
        "CREATE DOMAIN evil.name AS pg_catalog.text",
        f"ALTER TABLE {M_PARTS} ALTER partition_name TYPE evil.name",
        "ALTER DOMAIN evil.name ADD CHECK (evil.yes(VALUE)) NOT VALID",
    ],
    "a_column_of_text": [
        f"ALTER TABLE {M_PARTS} ALTER n_rows TYPE text",
        f"ALTER TABLE {M_PARTS} ALTER score TYPE text USING 'x'",
    ],
    "a_column_gone": [f"ALTER TABLE {M_PARTS} DROP COLUMN details, DROP COLUMN error"],
    "gone": [f"DROP TABLE {M_PARTS} CASCADE"],
    "a_child": [f"CREATE TABLE evil.child () INHERITS ({M_PARTS})"],
    "a_rule": [f"CREATE RULE r AS ON UPDATE TO {M_PARTS} DO ALSO SELECT evil.act('rule')"],
}
ACTS = (
    'SELECT sys.ml_predict_row(\'{"k": "east", "a": 1, "b": 1}\', \'parts@<mallory>\')',
    'SELECT sys.prediction(\'parts@<mallory>\', \'{"k": "east", "a": 1, "b": 1}\')',
    "TABLE sys.all_mining_models",
    "TABLE sys.all_mining_model_partitions",
    "TABLE sys.all_mining_model_settings",
    "TABLE sys.dba_mining_model_partitions",
    "SELECT * FROM sys.model_coefficients('parts@<mallory>')",
    "SELECT * FROM sys.model_alerts('parts@<mallory>')",
    "CALL dbms_data_mining.export_sermodel(NULL, 'parts@<mallory>')",
    "CALL dbms_data_mining.drop_partition('parts@<mallory>', 'west')",
    "CALL dbms_data_mining.rename_model('parts@<mallory>', 'other')",
    "TABLE sys.ml_model_privileges",
)


@pytest.fixture(scope="module")
def sermodel(prepared: Arena) -> bytes:
    """A model for mallory to share."""
    return bytes(prepared.run("owner", "CALL dbms_data_mining.export_sermodel(NULL, 'p')")[0][0])


@pytest.mark.parametrize("plot", PLOTS)
def test_evil_owners(arena: Arena, sermodel: bytes, plot: str) -> None:
    mallory: psycopg.Connection = arena.of("mallory")
    mallory.execute("CALL dbms_data_mining.import_sermodel(%s, 'parts')", (sermodel,))
    for kind in ("inspector", "editor"):
        mallory.execute("CALL sys.ml_model_grant('parts', %s::regrole, 'ALTER')", (arena[kind],))
    mallory.execute("CALL sys.ml_model_grant('parts', %s::regrole, 'SELECT', 'east')", (arena["reader"],))
    arena.run("mallory", *PLOTS[plot])
    reset(arena)
    for kind in ("reader", "inspector", None):
        for act in ACTS:
            outcome = arena.attempt(kind, act)
            assert outcome.sqlstate != "38000", f"{act}: {outcome.text}"
    # The models of honest owners are seen all the same.
    seen = arena.run("inspector", "SELECT model_name FROM sys.all_mining_models WHERE owner = '<owner>'")
    assert ("m",) in seen
    arena.nothing_ran()
