"""A sharing server in a thread, and shares published by hand: rows and Parquet files as a worker would leave them."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import requests
import uvicorn

from fix_db import Database
from mlshare_server.server.app import application
from mlshare_server.server.tokens import hash_of, new_token

DELTA = {"int64": "long", "int32": "integer", "int16": "short", "double": "double", "float": "float", "bool": "boolean"}
DELTA |= {"string": "string", "binary": "binary", "date32[day]": "date", "timestamp[us]": "timestamp_ntz"}
DELTA |= {"timestamp[us, tz=UTC]": "timestamp"}


def delta_schema(table: pa.Table) -> dict[str, Any]:
    """Delta's schema of an Arrow table of simple types."""
    kinds = [(f.name, DELTA.get(str(f.type)) or str(f.type).replace("128", "").replace(" ", "")) for f in table.schema]
    return {
        "type": "struct",
        "fields": [{"name": n, "type": t, "nullable": True, "metadata": {"comment": f"about {n}"}} for n, t in kinds],
    }


def delta_stats(table: pa.Table) -> str:
    """Statistics as Delta's, of columns that have an order."""
    low, high, nulls = {}, {}, {}
    for name in table.column_names:
        values = [value for value in table.column(name).to_pylist() if value is not None]
        nulls[name] = table.num_rows - len(values)
        if values and not isinstance(values[0], bytes | list | dict | bool):
            plain = all(isinstance(value, int | float) for value in values)
            low[name], high[name] = (each(values) if plain else str(each(values)) for each in (min, max))
    return json.dumps({"numRecords": table.num_rows, "minValues": low, "maxValues": high, "nullCount": nulls})


@dataclass
class Shop:
    """A provider, one recipient, and the installer's connection to publish with."""

    db: Database
    admin: psycopg.Connection
    provider: psycopg.Connection
    owner: str
    place: Path
    tables: dict[tuple[str, str, str], str] = field(default_factory=dict)

    def share(self, name: str = "DEMO", recipient: str | None = "READER", **properties: str) -> str:
        """A share, granted to a recipient that is made if need be."""
        self.provider.execute("CALL dbms_share.create_share(%s, storage_link_name => 'LINK')", (name,))
        for key, value in properties.items():
            self.admin.execute(
                "UPDATE mlshare_share.share SET properties = properties || jsonb_build_object(%s::text, %s::text) "
                "WHERE owner = %s::regrole AND share_name = %s",
                (key.upper(), value, self.owner, name),
            )
        if recipient:
            self.recipient(recipient)
            self.provider.execute("CALL dbms_share.grant_to_recipient(%s, %s)", (name, recipient))
        return name

    def recipient(self, name: str) -> None:
        found = self.provider.execute("SELECT 1 FROM mlshare_share.recipient WHERE recipient_name = %s", (name,))
        if not found.fetchone():
            self.provider.execute("CALL dbms_share.create_share_recipient(%s)", (name,))

    def token(self, recipient: str = "READER", lifetime: str = "1 hour") -> str:
        """A bearer token of a recipient."""
        token = new_token()
        self.admin.execute(
            "INSERT INTO mlshare_share.token (recipient_id, token_hash, expires) "
            "SELECT recipient_id, %s, now() + %s::interval FROM mlshare_share.recipient "
            "WHERE recipient_name = %s AND owner = %s::regrole",
            (hash_of(token), lifetime, recipient, self.owner),
        )
        return token

    def publish(
        self,
        share: str,
        tables: dict[str, list[pa.Table]],
        *,
        key: list[str] | None = None,
        published: str = "now",
        compression: str = "zstd",
    ) -> int:
        """A new current version that holds these tables, by "schema.table", each of some files."""
        [(share_id, link, folder, version)] = self.admin.execute(
            "UPDATE mlshare_share.share SET last_version = last_version + 1 "
            "WHERE owner = %s::regrole AND share_name = %s "
            "RETURNING share_id, storage_link_id, storage_folder, last_version",
            (self.owner, share),
        ).fetchall()
        with self.admin.transaction():
            self.admin.execute("INSERT INTO mlshare_share.version VALUES (%s, %s)", (share_id, version))
            for name, parts in tables.items():
                self._table(share_id, link, folder, version, name, parts, key, compression)
            self.admin.execute(
                "UPDATE mlshare_share.version SET status = 'EXPORTED', published = %s "
                "WHERE share_id = %s AND share_version = %s",
                (published, share_id, version),
            )
            self.admin.execute(
                "UPDATE mlshare_share.share SET current_version = %s WHERE share_id = %s", (version, share_id)
            )
        return int(version)

    def _table(self, share_id: Any, link: Any, folder: str, version: int, name: str, parts: list[pa.Table],
               key: list[str] | None, compression: str) -> None:  # fmt: skip
        schema, table = name.split(".")
        [[known]] = self.admin.execute("SELECT gen_random_uuid()")
        known = self.tables.setdefault((share_id, schema, table), known)
        files = [self._file(link, folder, f"{schema}/{table}/V{version}_{n}.parquet", part, share_id, known, version,
                            compression) for n, part in enumerate(parts)]  # fmt: skip
        size, rows = sum(size for _, size in files), sum(part.num_rows for part in parts)
        self.admin.execute(
            "INSERT INTO mlshare_share.version_table VALUES (%s, %s, %s, %s, %s, %s, %s, %s, %s, %s, %s)",
            (share_id, version, known, schema, table, json.dumps(delta_schema(parts[0])), key, "a table", len(files),
             rows, size),
        )  # fmt: skip
        for number, (file, _) in enumerate(files):
            self.admin.execute(
                "INSERT INTO mlshare_share.version_file VALUES (%s, %s, %s, %s, %s)",
                (share_id, version, known, number, file),
            )

    def _file(self, link: Any, folder: str, name: str, part: pa.Table, share_id: Any, table_id: Any, version: int,
              compression: str) -> tuple[Any, int]:  # fmt: skip
        [[uri]] = self.admin.execute("SELECT uri FROM mlshare_share.storage_link WHERE storage_link_id = %s", (link,))
        path = Path(uri.removeprefix("file://")) / folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        pq.write_table(part, path, compression=compression)
        [[file]] = self.admin.execute(
            "INSERT INTO mlshare_share.file (storage_link_id, share_id, table_id, path, first_version, complete, size, "
            "num_rows, stats) VALUES (%s, %s, %s, %s, %s, true, %s, %s, %s) RETURNING file_id",
            (link, share_id, table_id, folder + name, version, path.stat().st_size, part.num_rows, delta_stats(part)),
        )
        return file, path.stat().st_size


@pytest.fixture
def shop(sharing: Database, provider: Callable[..., psycopg.Connection], place: Path) -> Shop:
    """A provider ready to share."""
    made = provider()
    admin = sharing.connect()
    [[owner]] = made.execute("SELECT current_user")
    return Shop(sharing, admin, made, owner, place)


class HttpServer:
    """The application served by uvicorn in a thread of this process."""

    def __init__(self, app: Any, **options: Any) -> None:
        config = uvicorn.Config(app, port=0, log_config=None, access_log=False, lifespan="on", **options)
        self.server = uvicorn.Server(config)
        self.thread = threading.Thread(target=self.server.run, daemon=True)

    def __enter__(self) -> HttpServer:
        self.thread.start()
        deadline = time.monotonic() + 20
        while not self.server.started:
            assert self.thread.is_alive() and time.monotonic() < deadline, "the server did not start"
            time.sleep(0.01)
        return self

    def __exit__(self, *_: object) -> None:
        self.server.should_exit = True
        self.thread.join(20)

    @property
    def url(self) -> str:
        """Scheme, host and port."""
        port = self.server.servers[0].sockets[0].getsockname()[1]
        return f"http://127.0.0.1:{port}"


@pytest.fixture
def http(sharing: Database, server_role: str) -> Iterator[HttpServer]:
    """The sharing server of the test's database, connected as a role that may do nothing else."""
    with HttpServer(application(sharing.dsn_of(server_role))) as running:
        yield running


@dataclass
class Reader:
    """A client that sends one recipient's token."""

    base: str
    token: str

    def __call__(self, path: str, method: str = "GET", **options: Any) -> requests.Response:
        headers = {"Authorization": f"Bearer {self.token}", **options.pop("headers", {})}
        return requests.request(method, self.base + path, headers=headers, timeout=30, **options)

    def query(self, table: str, body: dict[str, Any] | None = None, **headers: str) -> list[dict[str, Any]]:
        """The lines of a query that must succeed; table as share.schema.table."""
        share, schema, name = table.split(".")
        path = f"/shares/{share}/schemas/{schema}/tables/{name}/query"
        answer = self(path, "POST", json=body or {}, headers=headers)
        assert answer.status_code == 200, answer.text
        return [json.loads(line) for line in answer.text.splitlines()]

    def files(self, table: str, body: dict[str, Any] | None = None) -> list[str]:
        """URLs of a table's files."""
        return [line["file"]["url"] for line in self.query(table, body) if "file" in line]

    @property
    def profile(self) -> dict[str, Any]:
        return {"shareCredentialsVersion": 1, "endpoint": self.base, "bearerToken": self.token}


@pytest.fixture
def reader(http: HttpServer) -> Callable[[str], Reader]:
    """A client of the server, made from a token."""
    return lambda token: Reader(f"{http.url}/delta-sharing", token)
