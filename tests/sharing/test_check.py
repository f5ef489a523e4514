"""The conformance checker on our own server, and on servers that break the protocol."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest
from starlette.applications import Starlette
from starlette.responses import JSONResponse
from starlette.routing import Route

from fix_http import HttpServer, Reader, Shop
from mlshare_server.check.client import Client
from mlshare_server.check.main import results
from mlshare_server.cli import main

Readers = Callable[[str], Reader]


@pytest.mark.parametrize("history", ["CURRENT", "ANY"])
def test_our_server_passes(
    shop: Shop, reader: Readers, tmp_path: Path, capsys: pytest.CaptureFixture[str], history: str
) -> None:
    shop.share(version_access=history)
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', %s)", (history,))
    shop.share("SECOND")
    rows = pa.table({"n": [1, 2, 3], "text": ["a", "b", None]})
    shop.publish(
        "DEMO",
        {"S.FLOWER": [rows, rows], "T.Other": [rows], "T.NTZ": [pa.table({"t": pa.array([0], pa.timestamp("us"))})]},
    )
    ask = reader(shop.token())
    profile = tmp_path / "profile.json"
    profile.write_text(json.dumps(ask.profile))
    assert main(["check", "-", str(profile), "--tables", "9"]) == 0
    printed = capsys.readouterr().out
    *lines, summary = printed.splitlines()
    assert summary.endswith(" 0 fail, 0 warn, 0 skip") and int(summary.split()[0]) > 50
    assert any("DEMO.S.FLOWER" in line and line.startswith("PASS") for line in lines)


def test_a_broken_server_fails(tmp_path: Path) -> None:
    """A server that lets everybody in and knows every share."""

    async def shares(request: object) -> JSONResponse:
        return JSONResponse({"items": [{"name": "a"}]})

    app = Starlette(routes=[Route("/{path:path}", shares, methods=["GET", "POST"])])
    with HttpServer(app) as server:
        found = {result.rule: result for result in results(Client(server.url, "token"), 1)}
    failed = {rule for rule, result in found.items() if result.outcome == "fail"}
    assert "a request without a token is answered with 401" in failed
    assert "a share that does not exist is answered with 404 and an error body" in failed
    assert found["shares and tables have UUIDs as ids, as some clients insist"].outcome == "warn"


def test_no_server_and_no_profile(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    profile = tmp_path / "profile.json"
    assert main(["check", "-", str(profile)]) == 1 and "is not a profile" in capsys.readouterr().err
    profile.write_text('{"endpoint": "http://127.0.0.1:9/x", "bearerToken": "x"}')
    assert main(["check", "-", str(profile)]) == 1 and "FAIL" in capsys.readouterr().out
