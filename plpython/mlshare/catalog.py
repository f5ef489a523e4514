"""Model catalogs: who may use which model, and the rows behind it. The only place where authorisation happens."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal, TypeVar

import plpy  # type: ignore[import-not-found]

from mlshare import db, errors

T = TypeVar("T")
Privilege = Literal["PREDICT", "SELECT", "ALTER"]

PRIVILEGES: dict[str, frozenset[str]] = {  # what each privilege includes
    "PREDICT": frozenset({"PREDICT"}),
    "SELECT": frozenset({"PREDICT", "SELECT"}),
    "ALTER": frozenset({"PREDICT", "SELECT", "ALTER"}),
}
SCHEMA_PREFIX = "ml_schema_"
DOOR_PREFIX = "_as_owner_"
TABLES = {  # in the order in which they are made, with the statement that protects each
    "model_catalog": "protect_catalog",
    "model_object_catalog": "protect_object_catalog",
    "model_privilege": "protect_privilege",
}


@dataclass(frozen=True)
class Model:
    """A model that the caller was found to have a privilege on, at this moment."""

    owner: str
    handle: str
    digest: str | None
    privileges: frozenset[str]
    own: bool

    @property
    def schema(self) -> str:
        return SCHEMA_PREFIX + self.owner

    @property
    def name(self) -> str:
        """The form that names this model and no other."""
        return f"{self.handle}@{self.owner}"

    def require(self, privilege: Privilege) -> Model:
        if privilege not in self.privileges:
            raise errors.ModelPrivilege(
                handle=self.handle,
                privilege=privilege,
                hint=f"Its owner can CALL sys.ml_model_grant({self.handle!r}, …, {privilege!r}).",
            )
        return self


@dataclass(frozen=True)
class Chunk:
    """A stored piece of a model object."""

    chunk_id: int
    data: bytes
    signature: bytes | None


# --- looking up ----------------------------------------------------------------------------------


def find(handle: str, privilege: Privilege = "PREDICT") -> Model:
    """The model a caller means by a handle, after a fresh check in SQL that the caller has the privilege.

    A handle is the caller's own model first, then one shared with the caller; ``handle@owner`` names one exactly.
    Errors: ModelNotFound, AmbiguousModel, ModelPrivilege.
    """
    if not handle:
        raise errors.InvalidHandle(handle=handle, reason="it is empty")
    name, _, owner = handle.partition("@")
    role, model = _role_and_own_model(name)
    if model is not None and owner in ("", role):
        return model
    found = _shared(role, name, [owner] if owner else None)
    if len(found) > 1:
        raise errors.AmbiguousModel(
            handle=handle,
            detail="It was shared by " + ", ".join(sorted(m.owner for m in found)) + ".",
            hint="Name one exactly, as " + " or ".join(sorted(repr(m.name) for m in found)) + ".",
        )
    if not found:
        raise errors.ModelNotFound(handle=handle, hint=_not_found_hint(role))
    return found[0].require(privilege)


def _not_found_hint(role: str) -> str:
    schema = db.quote_ident(SCHEMA_PREFIX + role)
    return (
        f"SELECT model_handle FROM {schema}.model_catalog lists your models, "
        "sys.ml_model_privileges those shared with you."
    )


_last_role: str | None = None


def _role_and_own_model(handle: str) -> tuple[str, Model | None]:
    """The caller's role and its own model of that name. One statement while the session's role stays the same."""
    global _last_role
    role = _last_role or db.current_user()
    row = _acting(role, handle)
    if row is None or row["role"] != role:
        role = db.current_user()
        row = _acting(role, handle)
    _last_role = role
    if row is None or row["digest"] is None:
        return role, None
    return role, Model(role, handle, row["digest"] or None, PRIVILEGES["ALTER"], own=True)


def _acting(role: str, handle: str) -> db.Row | None:
    """The role that acts now, and the model in the catalog of ``role``, if it has one that may be read."""
    try:
        return db.one("acting_role_and_model", handle, schema=db.quote_ident(SCHEMA_PREFIX + role))
    except (
        plpy.spiexceptions.UndefinedTable,
        plpy.spiexceptions.InvalidSchemaName,
        plpy.spiexceptions.InsufficientPrivilege,
    ):
        return None


def _shared(role: str, handle: str, owners: list[str] | None) -> list[Model]:
    if owners is None:
        owners = [row["owner"] for row in db.query("shared_doors", role)]
    else:
        owners = [o for o in owners if db.value("door_exists", o)]
    models = (_shared_by(owner, role, handle) for owner in owners)
    return [m for m in models if m is not None]


def _shared_by(owner: str, role: str, handle: str) -> Model | None:
    row = _as_owner(owner, lambda schema: db.one("shared_model", handle, role, schema=schema))
    if row is None:
        return None
    granted = frozenset[str]().union(*(PRIVILEGES[p] for p in row["privileges"]))
    if row["as_owner"]:
        granted = PRIVILEGES["ALTER"]
    return Model(owner, handle, row["digest"], granted, own=False) if granted else None


def _as_owner(owner: str, work: Callable[[str], T]) -> T:
    """Runs work with the rights of a catalog's owner; work gets the quoted name of the catalog.

    The check of current_user is what makes this safe: the owner may alter the door (it owns it), for instance to run
    with the caller's rights, and could then have rules or policies of the catalog do things in the caller's name.
    """

    def checked() -> T:
        if db.current_user() != owner:
            raise errors.CatalogError(
                schema=SCHEMA_PREFIX + owner,
                reason="its door was altered",
                hint=f"{owner} can mend it with CALL sys.ml_create_or_upgrade_catalog().",
            )
        return work(db.quote_ident(SCHEMA_PREFIX + owner))

    return db.as_owner(DOOR_PREFIX + owner, checked)


def _reading(model: Model, work: Callable[[str], T]) -> T:
    if model.own:
        return work(db.quote_ident(model.schema))
    return _as_owner(model.owner, work)


# --- reading -------------------------------------------------------------------------------------


def read_row(model: Model) -> dict[str, Any]:
    """The catalog row of a model, its JSON columns decoded. Callers decide which privilege that needs."""
    row = _reading(model, lambda schema: db.one("model_row", model.handle, schema=schema))
    if row is None:
        raise errors.ModelNotFound(handle=model.handle)
    for column in ("column_names", "model_explanation", "model_metadata"):
        row[column] = json.loads(row[column]) if row[column] else None
    return row


def read_chunks(model: Model) -> list[Chunk]:
    """The stored object of a model. It must not reach a caller who lacks SELECT."""
    rows = _reading(model, lambda schema: db.query("model_chunks", model.handle, schema=schema))
    return [Chunk(r["chunk_id"], bytes(r["model_object"]), r["signature"]) for r in rows]


# --- making and changing -------------------------------------------------------------------------


def ensure() -> str:
    """The quoted name of the caller's catalog, made if it is not there."""
    role = db.current_user()
    state = db.one("catalog_state", role)
    assert state is not None
    schema = str(state["schema"])
    if state["owned"] is False:
        raise errors.CatalogError(schema=schema, reason=f"it does not belong to role {role}")
    if state["owned"] is None or not state["door"]:
        _create_schema(role, state)
    _create_tables(schema)
    return db.quote_ident(schema)


def _create_schema(role: str, state: dict[str, Any]) -> None:
    if state["acting"] != role:
        raise errors.CatalogError(
            schema=str(state["schema"]),
            reason=f"it does not exist, and only {role} itself can make it",
            hint=f"As {role}: CALL sys.ml_create_or_upgrade_catalog();",
        )
    if len(role.encode()) > 63 - len(SCHEMA_PREFIX):
        raise errors.InvalidRoleName(
            role=role,
            reason=f"its name is longer than {63 - len(SCHEMA_PREFIX)} bytes",
            hint="Rename the role, or let a role with a shorter name own the models.",
        )
    db.query("create_catalog_schema")


def _create_tables(schema: str) -> None:
    present = {row["relname"] for row in db.query("catalog_tables", schema)}
    missing = [table for table in TABLES if table not in present]
    quoted = db.quote_ident(schema)
    for table in missing:
        db.run(f"create_{table}", schema=quoted)
    conditions = {
        "may_see": db.text("privilege_condition", schema=quoted, privileges="'SELECT', 'ALTER'"),
        "may_change": db.text("privilege_condition", schema=quoted, privileges="'ALTER'"),
    }
    for table in missing:
        db.run(TABLES[table], schema=quoted, **conditions)


def new_handle(schema: str, handle: str | None, table: str) -> str:
    """The handle for a new model: the one given, if it is good and new, or schema.table_role_number."""
    if handle is None:
        stem = f"{table}_{db.current_user()}_".replace("@", "_").replace('"', "")[-230:]
        return stem + str(db.value("next_handle", stem, schema=schema))
    if not 1 <= len(handle) <= 255 or "@" in handle or not handle.isprintable():
        raise errors.InvalidHandle(handle=handle, reason="it must be 1 to 255 printable characters without @")
    if db.value("handle_exists", handle, schema=schema):
        raise errors.ModelExists(handle=handle, hint="Choose another, or CALL sys.ml_model_drop(…) first.")
    return handle


def insert(schema: str, row: dict[str, Any], chunks: list[Chunk], digest: bytes | None) -> None:
    """Stores a model: one catalog row and its chunks."""
    handle = row["model_handle"]
    db.query(
        "insert_model",
        handle,
        row.get("target_column_name"),
        row.get("train_table_name"),
        row.get("model_type"),
        row.get("task"),
        _json(row.get("column_names")),
        _json(row.get("model_explanation")),
        _json(row.get("model_metadata")),
        row.get("notes"),
        sum(len(c.data) for c in chunks),
        digest,
        schema=schema,
    )
    for chunk in chunks:
        db.query("insert_chunk", handle, chunk.chunk_id, chunk.data, chunk.signature, schema=schema)


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(value)


def sign(model: Model, signatures: dict[int, bytes]) -> None:
    """Puts signatures on the chunks of the caller's own model."""
    for chunk_id, signature in signatures.items():
        db.query("sign_chunk", model.handle, chunk_id, signature, schema=db.quote_ident(model.schema))


def drop(model: Model) -> None:
    """Deletes a model's row, and with it everything that belongs to it."""
    model.require("ALTER")
    _reading(model, lambda schema: db.query("delete_model", model.handle, schema=schema))


def touch(model: Model) -> None:
    """Notes that the model was used, if that can be written without waiting for anybody."""
    if model.own and not db.value("read_only"):
        db.query("touch_model", model.handle, schema=db.quote_ident(model.schema))


# --- sharing -------------------------------------------------------------------------------------


def grant(model: Model, grantee: str, privilege: str) -> None:
    """Gives a role a privilege on the model. ``grantee`` is quoted, as regrole prints it."""
    _require_owner(model)
    schema, door = db.quote_ident(model.schema), db.quote_ident(DOOR_PREFIX + model.owner)
    db.query("insert_privilege", model.handle, grantee, privilege, schema=schema)
    db.run("open_door", door=door, grantee=grantee)
    if privilege in ("SELECT", "ALTER"):
        db.run("open_catalog", schema=schema, grantee=grantee)
    if privilege == "ALTER":
        db.run("open_catalog_for_change", schema=schema, grantee=grantee)


def revoke(model: Model, grantee: str, privilege: str | None) -> None:
    """Takes a privilege (None: all) back, and with the last one of its kind the rights behind it."""
    _require_owner(model)
    schema, door = db.quote_ident(model.schema), db.quote_ident(DOOR_PREFIX + model.owner)
    db.query("delete_privilege", model.handle, grantee, privilege, schema=schema)
    left = {row["privilege"] for row in db.query("privileges_left", grantee, schema=schema)}
    if not left:
        db.run("close_door", door=door, grantee=grantee)
    if not left & {"SELECT", "ALTER"}:
        db.run("close_catalog", schema=schema, grantee=grantee)
    elif "ALTER" not in left:
        db.run("close_catalog_for_change", schema=schema, grantee=grantee)


def _require_owner(model: Model) -> None:
    if not model.own:
        raise errors.ModelPrivilege(
            handle=model.handle, privilege="ownership", hint=f"Only {model.owner} can share it."
        )


def privileges() -> list[dict[str, Any]]:
    """Privileges on the caller's own models, and those that others gave the caller."""
    role = db.current_user()
    found: list[dict[str, Any]] = []
    if db.value("door_exists", role) is not None:
        found += db.query("shared_privileges", role, schema=db.quote_ident(SCHEMA_PREFIX + role))
    for row in db.query("shared_doors", role):
        found += _as_owner(row["owner"], lambda schema: db.query("shared_privileges", role, schema=schema))
    return found
