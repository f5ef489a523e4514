"""Owners who edit their own catalog: a changed object is refused, or the model predicts as before."""

from __future__ import annotations

import random
from collections.abc import Iterator

import psycopg
import pytest
from psycopg.types.json import Jsonb

from security import hostile_models as hostile
from security.arena import ROW, Arena

FLIPS = 1000
PREDICT = f"SELECT sys.ml_predict_row('{ROW}', %s)"
OBJECTS = '"<owner.catalog>".model_object_catalog'
CATALOG = '"<owner.catalog>".model_catalog'
TAMPERED = {"ML301", "ML302"}


TABLES = ("model_catalog", "model_object_catalog", "model_privilege")


@pytest.fixture
def arena(shared_arena: Arena) -> Iterator[Arena]:
    """The arena of the module; the catalogs are put back as they were, and nothing stays loaded."""
    if not shared_arena.run(None, "SELECT 1 FROM pg_namespace WHERE nspname = 'saved_owner'"):
        for kind in ("owner", "mallory"):
            copies = [f'CREATE TABLE saved_{kind}.{t} AS TABLE "<{kind}.catalog>".{t}' for t in TABLES]
            shared_arena.run(None, f"CREATE SCHEMA saved_{kind}", *copies)
    yield shared_arena
    for kind in ("owner", "mallory"):
        shared_arena.run(
            None,
            f'DELETE FROM "<{kind}.catalog>".model_catalog',
            *(f'INSERT INTO "<{kind}.catalog>".{t} OVERRIDING SYSTEM VALUE TABLE saved_{kind}.{t}' for t in TABLES),
        )
    for kind in ("owner", "mallory", "reader"):
        shared_arena.run(kind, *(f"CALL sys.ml_model_unload('{h}')" for h in ("m", "m2", "n", "big", "trap")))


def flip(arena: Arena, owner: psycopg.Connection, column: str, position: int, bit: int) -> str | None:
    """Changes one bit of a stored byte, predicts in a session that must load the model, and changes it back."""
    table = CATALOG if column == "model_digest" else OBJECTS
    change = arena.fill(
        f"UPDATE {table} SET {column} = set_byte({column}, {position}, get_byte({column}, {position}) # {1 << bit}) "
        "WHERE model_handle = 'm'"
    ).encode()
    arena.tally.tried[arena.category] += 1
    with owner.pipeline():
        owner.execute(change)
        owner.execute("CALL sys.ml_model_unload('m')")
    try:
        return repr(owner.execute(PREDICT, ("m",)).fetchone())
    except psycopg.Error as error:
        assert error.sqlstate in TAMPERED, f"{column}[{position}] bit {bit}: {error}"
        return None
    finally:
        owner.execute(change)


def test_one_byte_changed_at_a_thousand_places(arena: Arena) -> None:
    owner, dice = arena.session("owner"), random.Random(4)
    expected = repr(owner.execute(PREDICT, ("m",)).fetchone())
    sizes = arena.run(
        "owner",
        "SELECT octet_length(o.model_object), octet_length(signature) - 8, "
        "octet_length(model_digest) "
        f"FROM {OBJECTS} AS o JOIN {CATALOG} USING (model_handle) WHERE model_handle = 'm'",
    )[0]
    places = [("model_object", 0)] * (FLIPS - 150) + [("signature", 8)] * 100 + [("model_digest", 0)] * 50
    length = dict(zip(("model_object", "signature", "model_digest"), sizes, strict=True))
    for column, first in places:
        answer = flip(arena, owner, column, first + dice.randrange(length[column]), dice.randrange(8))
        arena.tally.executed += answer is not None
        assert answer is None, f"a changed {column} was used"
    owner.execute("CALL sys.ml_model_unload('m')")
    assert repr(owner.execute(PREDICT, ("m",)).fetchone()) == expected


def test_changed_name_of_the_key(arena: Arena) -> None:
    """A signature that claims to be of another server: the model has to pass the audit, and predicts the same."""
    owner = arena.session("owner")
    expected = repr(owner.execute(PREDICT, ("m",)).fetchone())
    for position in (0, 7):
        assert flip(arena, owner, "signature", position, 0) in (expected, None)


EDITS = {
    "truncated": f"UPDATE {OBJECTS} SET model_object = substr(model_object, 1, octet_length(model_object) - 1)",
    "first_byte_gone": f"UPDATE {OBJECTS} SET model_object = substr(model_object, 2)",
    "longer": f"UPDATE {OBJECTS} SET model_object = model_object || '\\x00'",
    "empty": f"UPDATE {OBJECTS} SET model_object = ''",
    "empty_unsigned": f"UPDATE {OBJECTS} SET model_object = '', signature = NULL",
    "garbage_unsigned": f"UPDATE {OBJECTS} SET model_object = sha256('x'), signature = NULL",
    "flip_unsigned": f"UPDATE {OBJECTS} SET model_object = set_byte(model_object, 200, 0), signature = NULL",
    "flip_under_another_key": f"UPDATE {OBJECTS} SET model_object = set_byte(model_object, 200, 0), "
    "signature = set_byte(signature, 0, get_byte(signature, 0) # 255)",
    "short_signature": f"UPDATE {OBJECTS} SET signature = substr(signature, 1, 20)",
    "long_signature": f"UPDATE {OBJECTS} SET signature = signature || '\\x00'",
    "chunk_renumbered": f"UPDATE {OBJECTS} SET chunk_id = chunk_id + 1",
    "chunk_zero": f"UPDATE {OBJECTS} SET chunk_id = 0",
    "chunk_negative": f"UPDATE {OBJECTS} SET chunk_id = -chunk_id",
    "other_partition": f"UPDATE {OBJECTS} SET partition_id = 1",
    "chunk_added": f"INSERT INTO {OBJECTS} SELECT 2, model_handle, model_object, 0, signature FROM {OBJECTS}",
    "no_chunks": f"DELETE FROM {OBJECTS}",
    "renamed": f"UPDATE {CATALOG} SET model_handle = 'm2'",
    "digest_gone": f"UPDATE {CATALOG} SET model_digest = NULL",
    "digest_of_another": f"UPDATE {CATALOG} SET model_digest = sha256('x')",
}


@pytest.mark.parametrize("edit", EDITS)
def test_edited_objects_are_refused(arena: Arena, edit: str) -> None:
    """By the owner in a session that has the model loaded, by another session of the owner, and by a grantee."""
    warm = arena.session("owner")
    expected = warm.execute(PREDICT, ("m",)).fetchone()
    where = " WHERE model_handle = 'm'" + (" AND chunk_id = 1" if "INSERT" in EDITS[edit] else "")
    arena.run("owner", EDITS[edit] + where)
    handle = "m2" if edit == "renamed" else "m"
    for outcome in (
        arena.tells_nothing(arena.attempt("reader", PREDICT, [f"{handle}@{arena['owner']}"])),
        arena.attempt("owner", PREDICT, [handle]),
        arena.attempt(warm, PREDICT, [handle]),
    ):
        assert outcome.refused or outcome.rows == [expected], "answers are those of the model before"


SWAPS = {
    "object_of_another_model": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, signature = n.signature "
    f"FROM {OBJECTS} AS n WHERE o.model_handle = 'm' AND n.model_handle = 'n'",
    "object_and_digest_of_another_model": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, signature "
    f"= n.signature "
    f"FROM {OBJECTS} AS n WHERE o.model_handle = 'm' AND n.model_handle = 'n'; "
    f"UPDATE {CATALOG} AS o SET model_digest = n.model_digest FROM {CATALOG} AS n "
    "WHERE o.model_handle = 'm' AND n.model_handle = 'n'",
    "only_bytes_of_another_model": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object FROM {OBJECTS} AS n "
    "WHERE o.model_handle = 'm' AND n.model_handle = 'n'",
    "only_signature_of_another_model": f"UPDATE {OBJECTS} AS o SET signature = n.signature FROM {OBJECTS} AS n "
    "WHERE o.model_handle = 'm' AND n.model_handle = 'n'",
    "first_chunk_of_a_big_model": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object, signature = n.signature "
    f"FROM {OBJECTS} AS n WHERE o.model_handle = 'm' AND n.model_handle = 'big' AND n.chunk_id = 1",
    "moved_between_partitions": f"INSERT INTO {OBJECTS} SELECT chunk_id, model_handle, model_object, 1, "
    f"signature FROM {OBJECTS} "
    f"WHERE model_handle = 'n'; DELETE FROM {OBJECTS} WHERE model_handle = 'm'; "
    f"UPDATE {OBJECTS} SET model_handle = 'm', partition_id = 0 WHERE partition_id = 1",
}


@pytest.mark.parametrize("swap", SWAPS)
def test_objects_of_other_models_are_refused(arena: Arena, swap: str) -> None:
    arena.run("owner", SWAPS[swap])
    assert arena.refused("owner", PREDICT, "m").sqlstate in TAMPERED
    arena.refused("reader", PREDICT, f"m@{arena['owner']}")


BIG = {
    "chunks_exchanged": f"UPDATE {OBJECTS} SET chunk_id = -chunk_id WHERE model_handle = 'big'; "
    f"UPDATE {OBJECTS} SET chunk_id = CASE chunk_id WHEN -1 THEN 2 WHEN -2 THEN 1 ELSE -chunk_id END WHERE "
    f"model_handle = 'big'",
    "contents_exchanged": f"UPDATE {OBJECTS} AS o SET model_object = n.model_object FROM {OBJECTS} AS n WHERE "
    f"o.model_handle = 'big' "
    "AND n.model_handle = 'big' AND o.chunk_id + n.chunk_id = 3",
    "last_chunk_gone": f"DELETE FROM {OBJECTS} WHERE model_handle = 'big' AND chunk_id > 2",
    "first_chunk_gone": f"DELETE FROM {OBJECTS} WHERE model_handle = 'big' AND chunk_id = 1",
    "middle_chunk_gone": f"DELETE FROM {OBJECTS} WHERE model_handle = 'big' AND chunk_id = 2",
    "one_unsigned_and_changed": f"UPDATE {OBJECTS} SET signature = NULL, model_object = set_byte(model_object, "
    f"5000, 1) "
    "WHERE model_handle = 'big' AND chunk_id = 2",
    "all_unsigned_and_cut": f"DELETE FROM {OBJECTS} WHERE model_handle = 'big' AND chunk_id > 1; "
    f"UPDATE {OBJECTS} SET signature = NULL WHERE model_handle = 'big'",
}


@pytest.mark.parametrize("edit", BIG)
def test_chunks_of_a_big_model(arena: Arena, edit: str) -> None:
    arena.run("owner", BIG[edit])
    arena.refused("owner", PREDICT, "big")


def test_object_of_another_owner(arena: Arena) -> None:
    """A model stolen with its signature is signed for another catalog; without it, it is a foreign model."""
    stolen = arena.run(
        None,
        f"SELECT o.model_object, signature, model_digest FROM {OBJECTS} AS o JOIN "
        f"{CATALOG} USING (model_handle) "
        "WHERE model_handle = 'm'",
    )[0]
    mallory = arena.of("mallory")
    update = "UPDATE {}.model_object_catalog SET model_object = %s, signature = %s WHERE model_handle = 'trap'"
    mallory.execute(update.format(f'"{arena.catalog("mallory")}"').encode(), stolen[:2])
    mallory.execute(f'UPDATE "{arena.catalog("mallory")}".model_catalog SET model_digest = %s'.encode(), stolen[2:])
    assert arena.attempt("mallory", PREDICT, ["trap"]).sqlstate in TAMPERED
    mallory.execute(update.format(f'"{arena.catalog("mallory")}"').encode(), (stolen[0], None))
    arena.attempt("mallory", PREDICT, ["trap"])


def test_an_old_object_with_its_old_signature(arena: Arena) -> None:
    """Replaying an own earlier object whole is going back to it; in parts it is refused."""
    old = arena.run("owner", f"SELECT model_object, signature FROM {OBJECTS} WHERE model_handle = 'n'")[0]
    arena.run("owner", "CALL sys.ml_model_drop('n')")
    raw = hostile.forest().SerializeToString()
    arena.of("owner").execute("CALL sys.ml_model_import(%s, %s, 'n')", (raw, Jsonb(hostile.METADATA)))
    update = arena.fill(f"UPDATE {OBJECTS} SET model_object = %s, signature = %s WHERE model_handle = 'n'").encode()
    arena.of("owner").execute(update, old)
    assert arena.attempt("owner", PREDICT, ["n"]).sqlstate == "ML302"


@pytest.mark.parametrize("name", ["tree_child_beyond_the_end", "tree_self_loop", "garbage", "truncated"])
def test_hostile_models_put_into_the_catalog_by_hand(arena: Arena, name: str) -> None:
    """Without ml_model_import: unsigned, compressed or not, read by the owner and by a grantee."""
    if name not in hostile.CASES:
        pytest.skip("no such case")
    import zstandard

    raw = hostile.CASES[name]()
    for stored in (raw, zstandard.compress(raw)):
        update = arena.fill(
            f"UPDATE {OBJECTS} SET model_object = %s, signature = NULL WHERE model_handle = 'm'"
        ).encode()
        arena.of("owner").execute(update, (stored,))
        arena.refused("owner", PREDICT, "m")
        arena.refused("reader", PREDICT, f"m@{arena['owner']}")
