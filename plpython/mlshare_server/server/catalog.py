"""The metadata of shares, as one recipient may see it: every statement that the server runs goes through here."""

from __future__ import annotations

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from datetime import datetime
from functools import partial
from typing import Any
from uuid import UUID

import psycopg
from anyio import to_thread
from psycopg.rows import class_row, dict_row
from psycopg_pool import AsyncConnectionPool, PoolTimeout

from mlshare_server.database import statements
from mlshare_server.server.errors import ShareNotFound, TableNotFound, Unavailable
from mlshare_server.storage import Access, Storage, open_storage

FILES_AT_ONCE = (100, 1000)  # of the first read and of later ones: the first are on their way before the last are known
STORAGE_SECONDS = 30.0  # how long a changed credential or a withdrawn storage root may go unnoticed


@dataclass(frozen=True)
class Recipient:
    """Who asks, known by the token."""

    recipient_id: UUID
    recipient_name: str
    owner: str
    token_id: UUID
    version_access: str
    log_level: int
    expires: datetime


@dataclass(frozen=True)
class Share:
    """A share granted to the recipient; history: other versions than the current one may be read."""

    share_id: UUID
    share_name: str
    comment: str | None
    current_version: int | None
    history: bool
    url_lifetime: int


@dataclass(frozen=True)
class Table:
    """A table in one version of a share; table_schema is Delta's schema, published orders time travel."""

    table_id: UUID
    share_version: int
    published: datetime
    schema_name: str
    table_name: str
    table_schema: dict[str, Any]
    primary_key: list[str] | None
    comment: str | None
    num_files: int
    size: int


@dataclass(frozen=True)
class File:
    """A Parquet file of a table; size in bytes, stats as Delta's JSON text."""

    file_no: int
    file_id: UUID
    storage_link_id: UUID
    path: str
    size: int
    num_rows: int
    stats: str | None
    created: datetime


@dataclass(frozen=True)
class Version:
    """A version that may be read, and the moment it was complete."""

    share_version: int
    published: datetime


class Catalog:
    """Reads through a pool of connections as a member of mlshare_sharing_server."""

    def __init__(self, dsn: str, connections: int = 10) -> None:
        options = {"autocommit": True, "application_name": "mlshare-server serve"}
        self.pool = AsyncConnectionPool(dsn, min_size=1, max_size=connections, timeout=10, kwargs=options, open=False)
        self._storages: dict[UUID, tuple[float, Storage]] = {}

    async def open(self) -> None:
        """Connect; an error where that is not possible."""
        await self.pool.open(wait=True, timeout=30)

    async def close(self) -> None:
        await self.pool.close()

    async def rows(self, name: str, kind: Any = None, /, **values: Any) -> list[Any]:
        """The rows of a named statement; once more where the connection was lost meanwhile."""
        try:
            try:
                return await self._rows(name, kind, values)
            except psycopg.OperationalError:
                await self.pool.check()
                return await self._rows(name, kind, values)
        except (psycopg.OperationalError, PoolTimeout) as error:
            raise Unavailable from error

    async def _rows(self, name: str, kind: Any, values: dict[str, Any]) -> list[Any]:
        factory: Any = class_row(kind) if kind else dict_row
        async with self.pool.connection() as connection, connection.cursor(row_factory=factory) as cursor:
            await cursor.execute(statements("mlshare_server.server")[name], values)
            return await cursor.fetchall()

    async def value(self, name: str, /, **values: Any) -> Any:
        """The one value of a named statement of one row."""
        [row] = await self.rows(name, **values)
        [value] = row.values()
        return value

    async def setting(self, name: str) -> str | None:
        found: str | None = await self.value("setting", name=name)
        return found

    async def authenticate(self, token_hash: bytes, address: str | None) -> Recipient | None:
        found = await self.rows("authenticate", Recipient, token_hash=token_hash, address=address)
        return found[0] if found else None

    async def share(self, recipient: UUID, name: str) -> Share:
        """A share by name, in whatever case. ShareNotFound also where it is not granted."""
        found: list[Share] = await self.rows("share", Share, recipient=recipient, share=name)
        if not found:
            raise ShareNotFound(share=name)
        return found[0]

    async def table(self, recipient: UUID, share: Share, schema: str, name: str) -> Table:
        """A table of the share's current version by name, in whatever case. TableNotFound if there is none."""
        values = {"recipient": recipient, "share_id": share.share_id, "schema": schema, "table": name}
        found: list[Table] = await self.rows("table", Table, **values)
        if not found:
            raise TableNotFound(share=share.share_name, schema=schema, table=name)
        return found[0]

    async def table_at(self, recipient: UUID, share: Share, table: Table, version: int) -> Table | None:
        """The same table in another version that may be read."""
        values = {"recipient": recipient, "share_id": share.share_id, "table_id": table.table_id, "version": version}
        found: list[Table] = await self.rows("table_at", Table, **values)
        return found[0] if found else None

    async def table_by_id(
        self, recipient: UUID, share_id: str, table_id: str
    ) -> tuple[Share | None, Table | None, list[Version]]:
        """A share and a table of its current version by their ids, with the versions that may be read."""
        shares: list[Share] = await self.rows("share_by_id", Share, recipient=recipient, share_id=share_id)
        values = {"recipient": recipient, "share_id": share_id, "table_id": table_id}
        tables: list[Table] = await self.rows("table_by_id", Table, **values) if shares else []
        if not tables:
            return None, None, []
        return shares[0], tables[0], await self.versions(recipient, shares[0], tables[0])

    async def versions(self, recipient: UUID, share: Share, table: Table) -> list[Version]:
        """The versions with that table that may be read, in order."""
        values = {"recipient": recipient, "share_id": share.share_id, "table_id": table.table_id}
        return await self.rows("versions", Version, **values)

    async def files(self, recipient: UUID, share: Share, table: Table, after: int = -1) -> AsyncIterator[list[File]]:
        """The files of a table in batches; between them no connection is held for a client that is slow."""
        values: dict[str, Any] = {"recipient": recipient, "share_id": share.share_id, "table_id": table.table_id}
        values |= {"version": table.share_version}
        count, later = FILES_AT_ONCE
        while batch := await self.rows("files", File, after=after, count=count, **values):
            yield batch
            if len(batch) < count:
                return
            after, count = batch[-1].file_no, later

    async def storage(self, link: UUID) -> Storage | None:
        """The storage of a link; None where the settings no longer allow it."""
        made, storage = self._storages.get(link, (0.0, None))
        if storage and time.monotonic() - made < STORAGE_SECONDS:
            return storage
        [row] = await self.rows("storage_access", link=link)
        if row["uri"] is None:
            return None
        private = await self.setting("private_endpoints") == "true"
        opened = await to_thread.run_sync(partial(open_storage, Access(**row), private_endpoints=private))
        self._storages[link] = (time.monotonic(), opened)
        return opened
