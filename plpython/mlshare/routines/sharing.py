"""Sharing without a copy: privileges on single models."""

from __future__ import annotations

from collections.abc import Iterator

from mlshare import catalog, errors, privileges
from mlshare.routines.boundary import routine


@routine
def ml_model_grant(
    model_handle: str | None, grantee: str | None, privilege: str | None, partition: str | None = None
) -> None:
    chosen = "PREDICT" if privilege is None else _privilege(privilege)
    privileges.grant(catalog.find(model_handle), _role(grantee), chosen, partition)


@routine
def ml_model_revoke(
    model_handle: str | None, grantee: str | None, privilege: str | None, partition: str | None = None
) -> None:
    chosen = None if privilege is None else _privilege(privilege)
    privileges.revoke(catalog.find(model_handle), _role(grantee), chosen, partition)


def _model_privileges() -> Iterator[tuple[str, ...]]:
    columns = ("model_owner", "model_handle", "grantee", "privilege", "granted_at", "partition_name")
    return (tuple(row[c] for c in columns) for row in privileges.privileges())


def _role(grantee: str | None) -> str:
    if grantee is None:
        raise errors.InvalidArgument(argument="grantee", reason="a role must be given")
    return grantee


def _privilege(text: str) -> str:
    if text.upper() not in catalog.PRIVILEGES:
        raise errors.InvalidArgument(
            argument="privilege", reason=f'"{text}" is none of {", ".join(catalog.PRIVILEGES)}'
        )
    return text.upper()
