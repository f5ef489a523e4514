"""Which version of a table is meant: the current one, one by number, or one by time."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from starlette.requests import Request

from mlshare_server.server.asked import moment, name_of, number
from mlshare_server.server.catalog import Share, Table, Version
from mlshare_server.server.endpoint import Call
from mlshare_server.server.errors import Invalid, NoHistory, ShareNotFound, TableNotFound, TooOld


async def table_of(request: Request, call: Call) -> tuple[Share, Table]:
    """The table that the path names, as it is now. TableNotFound also where the share is not granted."""
    names = {part: name_of(request, part) for part in ("share", "schema", "table")}
    call.noted |= {f"{part}_name": name for part, name in names.items()}
    try:
        share = await call.services.catalog.share(call.who, names["share"])
        table = await call.services.catalog.table(call.who, share, names["schema"], names["table"])
    except (ShareNotFound, TableNotFound):
        raise TableNotFound(**names) from None
    call.noted["share_version"] = table.share_version
    return share, table


def only_one(values: dict[str, Any], *names: str) -> None:
    """Invalid if more than one of them is given."""
    if len([name for name in names if values.get(name) not in (None, "")]) > 1:
        raise Invalid(reason=f"Please only provide one of: {','.join(names)}")


def check_history(share: Share, table: Table) -> None:
    """NoHistory if only the current version may be read."""
    if not share.history:
        raise NoHistory(share=share.share_name, schema=table.schema_name, table=table.table_name)


async def at(call: Call, share: Share, table: Table, values: dict[str, Any]) -> Table:
    """The table in the version that "version" or "timestamp" in values ask for."""
    if all(values.get(name) in (None, "") for name in ("version", "timestamp")):
        return table
    wanted = number("version", values.get("version"))
    check_history(share, table)
    when = moment("timestamp", values.get("timestamp"))
    versions = await call.services.catalog.versions(call.who, share, table)
    if when is not None:
        wanted = latest_until(versions, when)
    assert wanted is not None
    found = await by_number(call, share, table, versions, wanted)
    call.noted["share_version"] = found.share_version
    return found


def uuid_of(text: str) -> UUID:
    """A recipient that a signature vouches for."""
    return UUID(text)


async def by_number(call: Call, share: Share, table: Table, versions: list[Version], wanted: int) -> Table:
    """The table in that version."""
    if wanted < versions[0].share_version:
        raise TooOld(version=versions[0].share_version)
    if wanted > versions[-1].share_version:
        raise Invalid(reason=f"Cannot time travel to version {wanted}: the latest is {versions[-1].share_version}.")
    found = await call.services.catalog.table_at(call.who, share, table, wanted)
    if found is None:
        raise Invalid(reason=f"Version {wanted} of the table is no longer there.")
    return found


def latest_until(versions: list[Version], when: datetime) -> int:
    """The version that was the latest at that moment."""
    check_since(versions, when)
    if when > versions[-1].published:
        raise Invalid(reason=_too_late(when, versions[-1]))
    return [version for version in versions if version.published <= when][-1].share_version


def check_since(versions: list[Version], when: datetime) -> None:
    """Invalid if the moment is before the first version: what was there then is not known any more."""
    first = versions[0].published
    if when < first:
        raise Invalid(
            reason=f"{shown(when)} is before the earliest version available. "
            f"Please use a timestamp greater than or equal to {shown(first)}."
        )


def earliest_since(versions: list[Version], when: datetime) -> int:
    """The first version at or after that moment."""
    after = [version for version in versions if version.published >= when]
    if not after:
        raise Invalid(reason=_too_late(when, versions[-1]))
    return after[0].share_version


def _too_late(when: datetime, last: Version) -> str:
    return (
        f"{shown(when)} is after the latest available version {last.share_version}. "
        f"Please use a timestamp less than or equal to {shown(last.published)}."
    )


def shown(when: datetime) -> str:
    """A moment so exactly that it means the same version where it is sent back."""
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")
