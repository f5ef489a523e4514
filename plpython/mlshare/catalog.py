"""Model catalogs: who may use which model, and the rows behind it. The only place where authorisation happens."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Literal, TypeVar

from mlshare import backend, db, errors

T = TypeVar("T")
Privilege = Literal["PREDICT", "SELECT", "ALTER"]

PRIVILEGES: dict[str, frozenset[str]] = {  # what each privilege includes
    "PREDICT": frozenset({"PREDICT"}),
    "SELECT": frozenset({"PREDICT", "SELECT"}),
    "ALTER": frozenset({"PREDICT", "SELECT", "ALTER"}),
}
_NONE: frozenset[str] = frozenset()  # what any other text includes: an owner can write what she likes
SCHEMA_PREFIX = "ml_schema_"
DOOR_PREFIX = "_as_owner_"
_MADE_BY = ("create_model_catalog", "create_model_object_catalog", "create_model_partition", "create_model_privilege")
_SEARCH_PATH = "pg_catalog, pg_temp"


@dataclass(frozen=True)
class Model:
    """A model that the caller was found to have a privilege on, at this moment.

    ``partial`` are the privileges on single partitions, by their numbers, beyond those on the whole model.
    """

    owner: str
    handle: str
    digest: str | None
    privileges: frozenset[str]
    own: bool
    partial: Mapping[int, frozenset[str]] = field(default_factory=dict)

    @property
    def schema(self) -> str:
        return SCHEMA_PREFIX + self.owner

    @property
    def name(self) -> str:
        """The form that names this model and no other."""
        return f"{self.handle}@{self.owner}"

    def partitions(self, privilege: Privilege) -> frozenset[int] | None:
        """The partitions on which the caller has a privilege; None: all of them."""
        if privilege in self.privileges:
            return None
        return frozenset(n for n, granted in self.partial.items() if privilege in granted)

    def require(self, privilege: Privilege, some: bool = False) -> Model:
        """The model itself, if the caller has the privilege on it, or on ``some`` of its partitions."""
        if privilege not in self.privileges and not (some and self.partitions(privilege)):
            raise errors.ModelPrivilege(
                handle=self.handle,
                privilege=privilege,
                hint=f"Its owner can CALL sys.ml_model_grant({self.handle!r}, …, {privilege!r}).",
            )
        return self


# --- looking up ----------------------------------------------------------------------------------


def find(handle: str | None, privilege: Privilege = "PREDICT", some: bool = False) -> Model:
    """The model a caller means by a handle, after a check in SQL that the caller has the privilege.

    ``some``: on single partitions is enough, and always is for PREDICT; the caller of this function must then look
    at ``Model.partitions``, which for PREDICT mlshare.cache does. A handle is the caller's own model first, then one
    shared with the caller; ``handle@owner`` names one exactly.
    Errors: InvalidHandle, ModelNotFound, AmbiguousModel, ModelPrivilege.
    """
    if handle is None:
        raise errors.InvalidHandle(handle="NULL", reason="a handle must be given")
    return _look_up(handle).require(privilege, some or privilege == "PREDICT")


def _look_up(handle: str) -> Model:
    if not handle:
        raise errors.InvalidHandle(handle=handle, reason="it is empty")
    name, _, owner = handle.partition("@")
    role = db.current_user()
    # A schema of that name that somebody else made could hold views that act in the caller's name.
    own = _own(role, name) if owner in ("", role) and db.value("has_catalog") else None
    if own is not None:
        return own
    found = _shared(role, name, [owner] if owner else None)
    if len(found) > 1:
        raise errors.AmbiguousModel(
            handle=handle,
            detail="It was shared by " + ", ".join(sorted(m.owner for m in found)) + ".",
            hint="Name one exactly, as " + " or ".join(sorted(repr(m.name) for m in found)) + ".",
        )
    if not found:
        raise errors.ModelNotFound(handle=handle, hint=_not_found_hint(role))
    return found[0]


def _not_found_hint(role: str) -> str:
    schema = db.quote_ident(SCHEMA_PREFIX + role)
    return (
        f"SELECT model_handle FROM {schema}.model_catalog lists your models, "
        "sys.ml_model_privileges those shared with you."
    )


def _own(role: str, handle: str) -> Model | None:
    try:
        row = db.one("own_model", handle, schema=db.quote_ident(SCHEMA_PREFIX + role))
    except db.not_there():  # the schema is there, its tables are not yet
        return None
    return None if row is None else Model(role, handle, row["digest"], PRIVILEGES["ALTER"], own=True)


def _shared(role: str, handle: str, owners: list[str] | None) -> list[Model]:
    if owners is not None:
        models = [_shared_by(o, role, handle) for o in owners if db.value("door_exists", o)]
        return [m for m in models if m is not None]
    found = []
    for row in db.query("shared_doors", role):
        with unless_broken():
            found.append(_shared_by(row["owner"], role, handle))
    return [m for m in found if m is not None]


@contextlib.contextmanager
def unless_broken() -> Iterator[None]:
    """For one of many catalogs. Anybody may share with anybody: one that its owner broke must not hide the others."""
    with db.without_errors(), contextlib.suppress(errors.CatalogError):
        yield


def _shared_by(owner: str, role: str, handle: str) -> Model | None:
    row = as_owner(owner, lambda schema: db.one("shared_model", handle, role, schema=schema))
    if row is None:
        return None
    privileges, partial = granted(row)
    return (
        Model(owner, handle, row["digest"], privileges, own=False, partial=partial) if privileges or partial else None
    )


def granted(row: db.Row) -> tuple[frozenset[str], dict[int, frozenset[str]]]:
    """Privileges on a whole model and, by number, on single partitions, of a row with as_owner, privileges, partial."""
    privileges = _NONE.union(*(PRIVILEGES.get(p, _NONE) for p in row["privileges"]))
    if row["as_owner"]:
        privileges = PRIVILEGES["ALTER"]
    partial: dict[int, frozenset[str]] = {}
    for number, _, privilege in (text.partition(" ") for text in row["partial"] if text):
        partial[int(number)] = partial.get(int(number), _NONE) | PRIVILEGES.get(privilege, _NONE)
    return privileges, partial


def as_owner(owner: str, work: Callable[[str], T]) -> T:
    """Runs work with the rights of a catalog's owner; work gets the quoted name of the catalog.

    The owner may alter the door and replace the tables, so nothing is taken for granted behind the door: the rights
    must come from SECURITY DEFINER (rights from SET ROLE could be cast off by the owner's code), names must resolve
    as they do here, the tables must be plain ones, and what runs is confined. See docs/security.md.
    """
    outside = db.one("context")
    assert outside is not None

    def checked() -> T:
        if db.one("context") != {**outside, "user": owner, "path": _SEARCH_PATH}:
            raise _unusable(owner, "its door was altered")
        with backend.confined():
            _require_plain(owner, outside["statement"])
            return work(db.quote_ident(SCHEMA_PREFIX + owner))

    return db.as_owner(DOOR_PREFIX + owner, checked)


_plain: dict[str, str] = {}


def _require_plain(owner: str, statement: str) -> None:
    """Looks once in a statement of the client: what changes meanwhile is confined all the same."""
    if _plain.get(owner) != statement:
        if not db.value("plain_catalog", SCHEMA_PREFIX + owner, *db.columns_made(*_MADE_BY)):
            raise _unusable(owner, "its tables were altered")
        _plain[owner] = statement


def _unusable(owner: str, reason: str) -> errors.CatalogError:
    return errors.CatalogError(
        schema=SCHEMA_PREFIX + owner,
        reason=reason,
        hint=f"{owner} can mend the door with CALL sys.ml_create_or_upgrade_catalog().",
    )


def reading(model: Model, work: Callable[[str], T]) -> T:
    """Runs work on the catalog of a model, with its owner's rights; work gets the catalog's quoted name."""
    if model.own:
        return work(db.quote_ident(model.schema))
    return as_owner(model.owner, work)
