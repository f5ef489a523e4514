"""Servers that lie, babble or break: an error with its SQLSTATE, a backend that lives on, nothing kept of it."""

from __future__ import annotations

import io
import json
import socket
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import RedirectResponse, Response
from starlette.routing import Route

from fix_db import Database, identifiers
from fix_http import HttpServer


class Liar:
    """A server whose answers a test chooses: metadata's fields, a query's file lines, a file's bytes."""

    def __init__(self) -> None:
        self.fields: Any = [{"name": "n", "type": "long"}]
        self.files: Any = [{"id": "1"}]
        self.content = b""
        self.answer: Response | None = None
        self.base = ""
        routes = [Route("/file", self.file), Route("/{path:path}", self.any, methods=["GET", "POST"])]
        self.app = Starlette(routes=routes)

    async def file(self, request: Request) -> Response:
        return Response(self.content)

    async def any(self, request: Request) -> Response:
        if self.answer:
            return self.answer
        schema = json.dumps({"type": "struct", "fields": self.fields})
        lines = [{"protocol": {"minReaderVersion": 1}}, {"metaData": {"schemaString": schema}}]
        if request.url.path.endswith("query"):
            lines += [{"file": {"url": f"{self.base}/file", **file}} for file in self.files]
        text = "\n".join(map(json.dumps, lines))
        return Response(text, headers={"Delta-Table-Version": "1"})


@pytest.fixture
def liar() -> Iterator[Liar]:
    made = Liar()
    with HttpServer(made.app) as server:
        made.base = server.url
        yield made


@pytest.fixture
def reading(db: Database, liar: Liar, role: Callable[..., str]) -> psycopg.Connection:
    """A consumer with link L to the lying server."""
    name = role(user=False)
    with db.connect() as admin:
        admin.execute("CALL dbms_share.update_default_share_property('private_endpoints', 'true')")
        admin.execute(identifiers("GRANT mlshare_consumer TO {}", name))
        admin.execute(identifiers("CREATE SCHEMA {} AUTHORIZATION {}", name, name))
    made = db.connect(name)
    profile = {"shareCredentialsVersion": 1, "endpoint": liar.base, "bearerToken": "x"}
    made.execute("CALL dbms_share.create_share_provider('p', share_profile => %s)", (json.dumps(profile),))
    made.execute("CALL dbms_share.create_share_link('l', 'p', 'S')")
    return made


def refused(reading: psycopg.Connection, state: str, text: str = "") -> None:
    """Making a view fails with this SQLSTATE, and leaves nothing; the session lives."""
    pid = reading.info.backend_pid
    with pytest.raises(psycopg.DatabaseError) as caught:
        reading.execute("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'T')")
    assert caught.value.sqlstate == state and text in str(caught.value), caught.value
    left = reading.execute("SELECT to_regclass('v'), to_regclass('\"v$data\"'), pg_backend_pid()").fetchone()
    assert left == (None, None, pid)


def parquet(table: pa.Table, **options: Any) -> bytes:
    target = io.BytesIO()
    pq.write_table(table, target, **options)
    return target.getvalue()


def test_a_sound_one_is_read(reading: psycopg.Connection, liar: Liar) -> None:
    """Also without Range, with a partition's column, a column in other letters, and one that is missing."""
    liar.fields = [{"name": name, "type": kind} for name, kind in (("N", "long"), ("day", "date"), ("more", "string"))]
    liar.files = [{"id": "1", "partitionValues": {"day": "2024-02-29"}}]
    liar.content = parquet(pa.table({"n": [1, 2]}))
    reading.execute("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'T')")
    assert [tuple(map(str, row)) for row in reading.execute("TABLE v")] == [
        ("1", "2024-02-29", "None"),
        ("2", "2024-02-29", "None"),
    ]


@pytest.mark.parametrize(
    "content", [b"", b"PAR1", b"PAR1" + b"\xff" * 100 + b"PAR1", b"<html>", b"PAR1\x00\x00\x00\x7fPAR1"]
)
def test_files_that_are_not_parquet(reading: psycopg.Connection, liar: Liar, content: bytes) -> None:
    liar.content = content
    refused(reading, "ML662", "not sound Parquet")


@pytest.mark.parametrize("at", range(8))
def test_parquet_with_bytes_turned(reading: psycopg.Connection, liar: Liar, at: int) -> None:
    """Whatever it does to the reader happens in a process of its own."""
    content = bytearray(parquet(pa.table({"n": list(range(1000)), "t": ["x" * (k % 50) for k in range(1000)]})))
    for position in range(at * 7 + 4, len(content) - 8, 61):
        content[position] ^= 0x55
    liar.content = bytes(content)
    try:
        reading.execute("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'T')")
    except psycopg.DatabaseError as error:
        assert error.sqlstate.startswith(("ML", "22")), error
    assert reading.execute("SELECT 1").fetchone() == (1,)


@pytest.mark.parametrize(
    ("fields", "state"),
    [
        ([], "ML667"),
        ([{"name": "n" * 64, "type": "long"}], "ML667"),
        ([{"name": "n", "type": "no such type"}], "ML667"),
        ([{"name": "n", "type": 7}], "ML667"),
        ([{"name": "n", "type": "decimal(x,y)"}], "ML667"),
        ([{"name": "n", "type": "decimal(1); DROP TABLE x; --)"}], "ML667"),
        ([{"name": "mlshare_file", "type": "long"}], "ML667"),
        ("x", "ML662"),
        ([{"type": "long"}], "ML662"),
    ],
)
def test_schemas_that_cannot_be(reading: psycopg.Connection, liar: Liar, fields: Any, state: str) -> None:
    liar.fields = fields
    refused(reading, state)


def test_names_are_quoted(reading: psycopg.Connection, liar: Liar) -> None:
    name = 'n" integer); DROP SCHEMA public CASCADE; --'
    liar.fields = [{"name": name, "type": "long"}]
    liar.content = parquet(pa.table({name: [7]}))
    reading.execute("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'T')")
    found = reading.execute("TABLE v")
    assert [column.name for column in found.description] == [name] and found.fetchall() == [(7,)]


@pytest.mark.parametrize(
    ("answer", "state"),
    [
        (Response("not json"), "ML662"),
        (Response('{"a": 1}'), "ML662"),
        (Response("[]"), "ML662"),
        (Response("\n".join(['{"endStreamAction": {"errorMessage": "out of luck"}}'])), "ML662"),
        (Response("{}", 500), "ML662"),
        (Response("", 404), "ML664"),
        (Response("", 401), "ML663"),
        (RedirectResponse("http://169.254.169.254/latest/meta-data"), "ML662"),
        (Response('{"protocol": {}}\n', headers={"Delta-Table-Version": "x"}), "ML662"),
    ],
)
def test_answers_that_are_none(reading: psycopg.Connection, liar: Liar, answer: Response, state: str) -> None:
    liar.answer = answer
    refused(reading, state)


def test_deletion_vectors_are_not_overlooked(reading: psycopg.Connection, liar: Liar) -> None:
    action = {"add": {"path": liar.base, "deletionVector": {"storageType": "u"}}}
    liar.files = [{"id": "1", "deltaSingleAction": action}]
    refused(reading, "ML662", "deletion vectors")


@pytest.mark.parametrize("url", ["file:///etc/passwd", "gopher://x", "/etc/passwd", "http://", "http://a:b@c/"])
def test_urls_of_files_that_are_no_urls(reading: psycopg.Connection, liar: Liar, url: str) -> None:
    liar.files = [{"id": "1", "url": url}]
    refused(reading, "ML661")


def test_a_server_that_is_not_there(reading: psycopg.Connection) -> None:
    profile = {"shareCredentialsVersion": 1, "endpoint": "http://127.0.0.1:9", "bearerToken": "x"}
    reading.execute("CALL dbms_share.create_share_provider('q', share_profile => %s)", (json.dumps(profile),))
    with pytest.raises(psycopg.DatabaseError) as caught:
        reading.execute("SELECT * FROM dbms_share.discover_available_shares('q')")
    assert caught.value.sqlstate == "ML662"


def test_a_server_that_never_answers(reading: psycopg.Connection) -> None:
    """A cancel ends the waiting."""
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        endpoint = f"http://127.0.0.1:{silent.getsockname()[1]}"
        profile = {"shareCredentialsVersion": 1, "endpoint": endpoint, "bearerToken": "x"}
        reading.execute("CALL dbms_share.create_share_provider('q', share_profile => %s)", (json.dumps(profile),))
        reading.execute("SET statement_timeout = '2s'")
        with pytest.raises(psycopg.errors.QueryCanceled):
            reading.execute("SELECT * FROM dbms_share.discover_available_shares('q')")
