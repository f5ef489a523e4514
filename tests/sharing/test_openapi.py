"""The sharing server is what its description says: every route, every answer, whatever it is asked."""

from __future__ import annotations

import json
from collections import Counter
from itertools import product
from typing import Any

import pyarrow as pa
import pytest
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, given, seed, settings
from hypothesis.errors import Unsatisfiable
from schemathesis.checks import not_a_server_error
from schemathesis.generation import GenerationMode
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    ignored_auth,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
    unsupported_method,
)
from starlette.routing import Mount, Route

from fix_http import HttpServer, Shop
from mlshare_server.server.app import DESCRIPTION, routes
from mlshare_server.server.catalog import Catalog
from mlshare_server.server.errors import Unavailable
from mlshare_server.storage.local import LocalStorage

TEXT = DESCRIPTION.read_text()
PAGE = "/_adpshr/delta-sharing/download"
TABLE = "/delta-sharing/shares/{share}/schemas/{schema}/tables/{table}"
# Not those that want a request of the wrong shape refused: a reader of the protocol passes over what it does not know.
EXPECTED = [
    not_a_server_error,
    status_code_conformance,
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    ignored_auth,
    unsupported_method,
]


@schemathesis.deserializer("application/x-ndjson")
def lines(_: Any, response: Any) -> list[Any]:
    """Lines of JSON as the array that the description speaks of."""
    assert response.content.endswith(b"\n")
    found = [json.loads(line) for line in response.content.splitlines()]
    # In this order, which OpenAPI could say but no reader of it here looks at.
    assert "protocol" in found[0] and "metaData" in found[1]
    return found


@pytest.fixture
def history(shop: Shop) -> Shop:
    """Share DEMO with two versions of a table that has a primary key, and one with times without a zone."""
    shop.share(version_access="ANY")
    shop.provider.execute("CALL dbms_share.update_recipient_property('READER', 'version_access', 'VERSION_ACCESS_ANY')")
    times = pa.table({"t": pa.array([0], pa.timestamp("us"))})
    for name in ("Ada", "Bob"):
        people = pa.table({"id": [1, 2], "name": [name, "Cem"]})
        shop.publish("DEMO", {"S.T": [people], "S.NTZ": [times]}, key=["id"], published="2026-01-02")
    return shop


def described(http: HttpServer) -> Any:
    """The description, as the running server gives it."""
    schema = schemathesis.openapi.from_url(f"{http.url}/openapi.json")
    schema.validate()
    schema.config.update(base_url=http.url)
    return schema


def operations() -> list[tuple[str, str, dict[str, Any]]]:
    """Path, method and what is said of it."""
    paths = json.loads(TEXT)["paths"].items()
    return [(path, method, one) for path, item in paths for method, one in item.items() if method != "parameters"]


# --- the same routes ---------------------------------------------------------------------------------


def test_every_route_is_described_and_nothing_else() -> None:
    """HEAD comes with every GET; it is described where it is a route of its own."""
    found = set()
    for route in routes():
        below = route.routes if isinstance(route, Mount) else [route]
        for one in below:
            assert isinstance(one, Route) and one.methods
            path = (route.path if isinstance(route, Mount) else "") + one.path
            found |= {(path, method) for method in one.methods - ({"HEAD"} if "GET" in one.methods else set())}
    paths = json.loads(TEXT)["paths"]
    assert found == {
        (path, method.upper()) for path, item in paths.items() for method in item if method != "parameters"
    }


def test_the_server_gives_its_description(http: HttpServer) -> None:
    answer = requests.get(f"{http.url}/openapi.json", timeout=5)
    assert answer.headers["content-type"] == "application/json" and answer.text == TEXT


# --- whatever it is asked ----------------------------------------------------------------------------

NAMES = {"share": "DEMO", "schema": "s", "table": "t"}


@pytest.mark.parametrize("known", [True, False])
@pytest.mark.parametrize("mode", list(GenerationMode))
def test_any_request_gets_an_answer_that_is_described(
    history: Shop, http: HttpServer, mode: GenerationMode, known: bool
) -> None:
    """Requests as described and requests that are not, for a table that is there and for any name."""
    token, seen = history.token(), Counter()
    for found in described(http).get_all_operations():
        operation = found.ok()
        wanted = {part.name for part in operation.path_parameters} & set(NAMES)
        names = {name: NAMES[name] for name in wanted} if known else {}
        try:
            seen += asked(operation, operation.as_strategy(mode, path_parameters=names or None), token)
        except Unsatisfiable:
            # There is no wrong way to ask where there is nothing to say.
            assert mode is GenerationMode.NEGATIVE
            assert not [*operation.query, *operation.headers, *operation.body]
    assert sum(seen.values()) > 200


def asked(operation: Any, cases: Any, token: str) -> Counter[tuple[str, int]]:
    """Sends some requests and holds each answer against the description; how many of each status there were."""
    seen: Counter[tuple[str, int]] = Counter()

    @seed(1)
    @settings(max_examples=25, deadline=None, database=None, phases=[Phase.generate],
              suppress_health_check=list(HealthCheck))  # fmt: skip
    @given(case=cases)
    def ask(case: Any) -> None:
        answer = case.call_and_validate(headers={"Authorization": f"Bearer {token}"}, checks=EXPECTED, timeout=10)
        seen[operation.label, answer.status_code] += 1

    ask()
    return seen


# --- every answer that is described ------------------------------------------------------------------


class Walk:
    """Asks, holds each answer against the description, and remembers which answers were given."""

    def __init__(self, http: HttpServer, token: str) -> None:
        self.http, self.token, self.schema = http, token, described(http)
        self.seen: set[tuple[str, str, str]] = set()

    def __call__(self, path: str, method: str = "GET", token: str | None = None, url: str = "", **options: Any) -> Any:
        """Ask for a path of the description, filled in with the table's names; url: another one that it stands for."""
        url = url or self.http.url + path.format(**{**NAMES, "query": "1", **options.pop("names", {})})
        headers = {"Authorization": f"Bearer {self.token if token is None else token}", **options.pop("headers", {})}
        answer = requests.request(method, url, headers=headers, timeout=10, allow_redirects=False, **options)
        self.schema[path][method].validate_response(answer)
        self.seen.add((path, method.lower(), str(answer.status_code)))
        return answer

    def missing(self) -> set[tuple[str, str, str]]:
        """What the description says and nobody saw."""
        paths = json.loads(TEXT)["paths"].items()
        operations = [
            (path, method, one) for path, item in paths for method, one in item.items() if method != "parameters"
        ]
        return {(p, m, status) for p, m, one in operations for status in one["responses"]} - self.seen


FORMATS = [{}, {"delta-sharing-capabilities": "responseformat=delta;readerfeatures=timestampntz"}]


def test_every_answer_that_is_described_is_given(
    history: Shop, http: HttpServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    walk = Walk(http, history.token())
    for rest in ("", "/{share}", "/{share}/schemas", "/{share}/schemas/{schema}/tables", "/{share}/all-tables"):
        ask_for_a_list(walk, f"/delta-sharing/shares{rest}")
    ask_for_a_table(walk)
    for table, headers in product(("t", "ntz"), FORMATS):
        ask_for_lines(walk, table, headers)
    urls = signed_urls(walk)
    for path, url in urls.items():
        ask_for_a_file(walk, path, url)
    activate(walk, history)
    for path in ("/health", "/metrics", "/openapi.json"):
        assert walk(path).status_code == 200
    files_are_gone(walk, history, urls)
    storage_signs_itself(walk, urls, monkeypatch)
    database_is_away(walk, urls, monkeypatch)
    assert not walk.missing()


def signed_urls(walk: Walk) -> dict[str, str]:
    """A file of the table and one of changes, by their paths in the description."""
    body, capable = {"maxFiles": 1}, {"delta-sharing-capabilities": "includeendstreamaction=true"}
    *_, file, end = lines(None, walk(TABLE + "/query", "POST", json=body, headers=capable))
    assert end["endStreamAction"]["minUrlExpirationTimestamp"] == file["file"]["expirationTimestamp"]
    *_, change = lines(None, walk(TABLE + "/changes", params={"startingVersion": 2}))
    return {"/delta-sharing/files/{file}": file["file"]["url"], "/delta-sharing/changes/{file}": change["cdf"]["url"]}


def ask_for_a_list(walk: Walk, path: str) -> None:
    """A list: all of it, pages of none, wrong ones, with a wrong token."""
    assert walk(path).status_code == 200
    assert walk(path, token="nobody's").status_code == 401
    if "{share}" in path:
        assert walk(path, names={"share": "NO"}).status_code == 404
    if not path.endswith("/{share}"):
        assert "nextPageToken" in walk(path, params={"maxResults": 0}).json()
        for wrong in ({"maxResults": 501}, {"pageToken": "x"}):
            assert walk(path, params=wrong).status_code == 400


def ask_for_a_table(walk: Walk) -> None:
    """What every request about a table can be told."""
    for path, method, wrong in (
        ("", "HEAD", {"params": {"startingTimestamp": "soon"}}),
        ("/version", "GET", {"params": {"startingTimestamp": "soon"}}),
        ("/metadata", "GET", {"params": {"version": 9}}),
        ("/query", "POST", {"data": "["}),
        ("/changes", "GET", {}),
        ("/queries/{query}", "POST", None),
    ):
        assert walk(TABLE + path, method, token="").status_code == 401
        assert walk(TABLE + path, method, names={"table": "NO"}).status_code == 404
        if wrong is not None:
            assert walk(TABLE + path, method, **wrong).status_code == 400
    for path, method in (("", "HEAD"), ("/version", "GET")):
        answer = walk(TABLE + path, method, params={"startingTimestamp": "2026-01-01"})
        assert answer.headers["delta-table-version"] == "1"


def ask_for_lines(walk: Walk, table: str, headers: dict[str, str]) -> None:
    """Metadata, files and changes of a table in one format."""
    common: dict[str, Any] = {"names": {"table": table}, "headers": headers}
    assert walk(TABLE + "/metadata", **common).status_code == 200
    for body in ({}, {"version": 1}, {"startingVersion": 1}):
        assert walk(TABLE + "/query", "POST", json=body, **common).status_code == 200
    if table == "t":
        assert walk(TABLE + "/changes", params={"startingVersion": 1}, **common).status_code == 200


def ask_for_a_file(walk: Walk, path: str, url: str) -> None:
    """A file: all of it, a range, a range beyond, with another signature."""
    assert walk(path, url=url).status_code == 200
    assert walk(path, url=url, headers={"Range": "bytes=0-3"}).content == b"PAR1"
    assert walk(path, url=url, headers={"Range": "bytes=9999999-"}).status_code == 416
    assert walk(path, url=url.replace("sig=", "sig=x")).status_code == 403


def files_are_gone(walk: Walk, history: Shop, urls: dict[str, str]) -> None:
    """Files whose storage has lost them; those of changes are made of others."""
    for kept in (history.place, walk.http.server.config.app.state.services.directory):
        for path in kept.rglob("*.parquet"):
            path.unlink()
    for path, url in urls.items():
        assert walk(path, url=url).status_code == 404


def activate(walk: Walk, history: Shop) -> None:
    """The page of a link, its button, and the page after that."""
    asked = "SELECT dbms_share.get_activation_link('READER', base_endpoint => %s)"
    link = history.provider.execute(asked, (walk.http.url,)).fetchone()[0]
    for status in (200, 404):
        assert walk(PAGE, url=link).status_code == status
        assert walk(PAGE, "POST", url=link).status_code == status


def storage_signs_itself(walk: Walk, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """As S3 does."""
    path = "/delta-sharing/files/{file}"
    with monkeypatch.context() as patched:
        patched.setattr(LocalStorage, "sign", lambda *_: "https://elsewhere.example/x")
        assert walk(path, url=urls[path]).headers["location"] == "https://elsewhere.example/x"


def database_is_away(walk: Walk, urls: dict[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Every endpoint that needs it says so, in the words of the description."""

    async def away(*_: Any, **__: Any) -> list[Any]:
        raise Unavailable

    with monkeypatch.context() as patched:
        patched.setattr(Catalog, "rows", away)
        for path, method, _ in operations():
            status = walk(path, method.upper(), url=urls.get(path, "")).status_code
            assert status == (200 if path in ("/metrics", "/openapi.json") else 503), path
