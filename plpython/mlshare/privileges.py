"""Privileges on single models: rows that the door checks, and the grants on the tables that go with them."""

from __future__ import annotations

from typing import Any

from mlshare import catalog, db, errors
from mlshare.catalog import DOOR_PREFIX, SCHEMA_PREFIX, Model


def grant(model: Model, grantee: str, privilege: str, partition: str | None) -> None:
    """Gives a role a privilege on the model or on one partition. ``grantee`` is quoted, as regrole prints it.

    A privilege on a partition opens no table: what belongs to it is read through the door, which knows it.
    """
    _require_owner(model)
    if partition is not None and privilege not in ("PREDICT", "SELECT"):
        raise errors.InvalidArgument(argument="privilege", reason=f"{privilege} can only be granted on the whole model")
    schema, door = db.quote_ident(model.schema), db.quote_ident(DOOR_PREFIX + model.owner)
    db.query("insert_privilege", model.handle, grantee, privilege, _partition_id(model, partition), schema=schema)
    db.run("open_door", door=door, grantee=grantee)
    if partition is not None:
        return
    if privilege in ("SELECT", "ALTER"):
        db.run("open_catalog", schema=schema, grantee=grantee)
    if privilege == "ALTER":
        db.run("open_catalog_for_change", schema=schema, grantee=grantee)


def revoke(model: Model, grantee: str, privilege: str | None, partition: str | None) -> None:
    """Takes a privilege (None: all) back, and with the last one of its kind the rights behind it."""
    _require_owner(model)
    schema, door = db.quote_ident(model.schema), db.quote_ident(DOOR_PREFIX + model.owner)
    db.query("delete_privilege", model.handle, grantee, privilege, _partition_id(model, partition), schema=schema)
    rows = db.query("privileges_left", grantee, schema=schema)
    left = {row["privilege"] for row in rows if row["whole"]}
    if not rows:
        db.run("close_door", door=door, grantee=grantee)
    if not left & {"SELECT", "ALTER"}:
        db.run("close_catalog", schema=schema, grantee=grantee)
    elif "ALTER" not in left:
        db.run("close_catalog_for_change", schema=schema, grantee=grantee)


def _partition_id(model: Model, name: str | None) -> int | None:
    if name is None:
        return None
    found = db.value("partition_id", model.handle, name, schema=db.quote_ident(model.schema))
    if found is None:
        raise errors.PartitionNotFound(partition=f'"{name}"', handle=model.handle)
    return int(found)


def _require_owner(model: Model) -> None:
    if not model.own:
        raise errors.ModelPrivilege(
            handle=model.handle, privilege="ownership", hint=f"Only {model.owner} can share it."
        )


def privileges() -> list[dict[str, Any]]:
    """Privileges on the caller's own models, and those that others gave the caller."""
    role = db.current_user()
    found: list[dict[str, Any]] = []
    if db.value("own_catalog", role):
        found += db.query("shared_privileges", role, schema=db.quote_ident(SCHEMA_PREFIX + role))
    for row in db.query("shared_doors", role):
        with catalog.unless_broken():
            found += catalog.as_owner(row["owner"], lambda schema: db.query("shared_privileges", role, schema=schema))
    return found
