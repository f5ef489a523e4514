"""The application: which path leads to which endpoint."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib.resources import files as files_of_package
from pathlib import Path
from tempfile import TemporaryDirectory

from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.middleware.gzip import GZipMiddleware
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Mount, Route

from mlshare_server.server import activation, changes, files, listing, queries, tables
from mlshare_server.server.catalog import Catalog
from mlshare_server.server.endpoint import Endpoint, Handler, Services, no_such_place
from mlshare_server.server.errors import Unavailable
from mlshare_server.server.metrics import Metrics
from mlshare_server.server.tokens import Signer

TABLE = "/shares/{share}/schemas/{schema}/tables/{table}"
DESCRIPTION = files_of_package("mlshare_server.server") / "openapi.json"
# Method, path below /delta-sharing, name in metrics and audit, handler.
PROTOCOL: tuple[tuple[str, str, str, Handler], ...] = (
    ("GET", "/shares", "list_shares", listing.shares),
    ("GET", "/shares/{share}", "get_share", listing.share),
    ("GET", "/shares/{share}/schemas", "list_schemas", listing.schemas),
    ("GET", "/shares/{share}/schemas/{schema}/tables", "list_tables", listing.tables),
    ("GET", "/shares/{share}/all-tables", "list_all_tables", listing.all_tables),
    ("GET", TABLE + "/version", "table_version", tables.version),
    ("HEAD", TABLE, "table_version", tables.version),
    ("GET", TABLE + "/metadata", "table_metadata", tables.metadata),
    ("POST", TABLE + "/query", "query_table", queries.query),
    ("GET", TABLE + "/changes", "table_changes", changes.changes),
    ("POST", TABLE + "/queries/{query}", "query_status", queries.query_status),
)


def routes() -> list[BaseRoute]:
    """All routes: the protocol, files, activation, and what operators look at."""
    protocol: list[BaseRoute] = [
        Route(path, Endpoint(name, handler), methods=[method]) for method, path, name, handler in PROTOCOL
    ]
    protocol.append(Route("/files/{file}", Endpoint("file", files.file, with_token=False), methods=["GET"]))
    protocol.append(Route("/changes/{file}", Endpoint("file", changes.file, with_token=False), methods=["GET"]))
    page = "/_adpshr/delta-sharing/download"
    return [
        Mount("/delta-sharing", routes=protocol),
        Route(page, Endpoint("show_activation", activation.show, with_token=False), methods=["GET"]),
        Route(page, Endpoint("activate", activation.activate, with_token=False), methods=["POST"]),
        Route("/health", health, methods=["GET"]),
        Route("/metrics", metrics, methods=["GET"]),
        Route("/openapi.json", description, methods=["GET"]),
    ]


async def health(request: Request) -> Response:
    """Whether the server can answer: 200 or 503"""
    services: Services = request.app.state.services
    try:
        await services.catalog.rows("health")
    except Unavailable:
        return JSONResponse({"status": "database unreachable"}, 503)
    return JSONResponse({"status": "ok"})


async def metrics(request: Request) -> Response:
    """For Prometheus"""
    services: Services = request.app.state.services
    return Response(services.metrics.text(), media_type="text/plain; version=0.0.4; charset=utf-8")


async def description(request: Request) -> Response:
    """What the server answers, as OpenAPI: nothing that the protocol does not say to everybody"""
    return Response(DESCRIPTION.read_bytes(), media_type="application/json")


def application(dsn: str, *, public_url: str | None = None, connections: int = 10) -> Starlette:
    """The sharing server of a database; public_url is what clients see in front of it, None: what they call it."""
    catalog = Catalog(dsn, connections)

    @asynccontextmanager
    async def lifespan(app: Starlette) -> AsyncIterator[None]:
        await catalog.open()
        try:
            signer = Signer(await catalog.value("secret", name="signing"))
            with TemporaryDirectory(prefix="mlshare-server-") as directory:
                url = public_url and public_url.rstrip("/")
                app.state.services = Services(catalog, signer, Metrics(), url, Path(directory))
                yield
        finally:
            await catalog.close()

    return Starlette(
        routes=routes(),
        lifespan=lifespan,
        exception_handlers={404: no_such_place, 405: no_such_place},
        middleware=[Middleware(_Compressed, minimum_size=1024, compresslevel=1)],
    )


class _Compressed(GZipMiddleware):
    """Compresses answers, but not files: they are compressed already, and ranges count their own bytes."""

    async def __call__(self, scope, receive, send):  # type: ignore[no-untyped-def]
        if scope.get("path", "").endswith(".parquet"):
            await self.app(scope, receive, send)
        else:
            await super().__call__(scope, receive, send)
