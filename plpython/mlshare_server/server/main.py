"""mlshare-server serve: runs the sharing server."""

from __future__ import annotations

import argparse
import logging
import os

import uvicorn
from starlette.types import ASGIApp

from mlshare_server.errors import NoDatabase
from mlshare_server.server.app import application
from mlshare_server.server.endpoint import JsonLines


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    given = os.environ.get("MLSHARE_SERVER_DSN")
    text = "connection string of a login in role mlshare_sharing_server (default: the variable MLSHARE_SERVER_DSN)"
    parser.add_argument("dsn", nargs="?", default=given, help=text)
    parser.add_argument("--host", default="127.0.0.1", help="address to listen on (default: %(default)s)")
    parser.add_argument("--port", type=int, default=8080, help="port to listen on (default: %(default)s)")
    parser.add_argument("--public-url", help="what clients have in front of /delta-sharing (default: what they call)")
    parser.add_argument("--prefix", default="", help="path that a proxy puts in front and leaves there")
    parser.add_argument("--proxies", default="127.0.0.1", help="addresses whose X-Forwarded-For is believed")
    parser.add_argument("--connections", type=int, default=10, help="to the database (default: %(default)s)")
    parser.add_argument("--certificate", help="PEM file, to speak TLS without a proxy")
    parser.add_argument("--key", help="PEM file of its private key")
    parser.add_argument("--grace", type=int, default=30, help="seconds for running requests at the end")


def main(args: argparse.Namespace) -> int:
    """Serve until SIGTERM or SIGINT; running requests may end first."""
    handler = logging.StreamHandler()
    handler.setFormatter(JsonLines())
    logging.basicConfig(level=logging.INFO, handlers=[handler])
    if not args.dsn:
        raise NoDatabase()
    app: ASGIApp = application(args.dsn, public_url=args.public_url, connections=args.connections)
    if args.prefix:
        app = below(app, args.prefix.rstrip("/"))
    uvicorn.run(
        app,
        host=args.host,
        port=args.port,
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=True,
        forwarded_allow_ips=args.proxies,
        ssl_certfile=args.certificate,
        ssl_keyfile=args.key,
        timeout_graceful_shutdown=args.grace,
    )
    return 0


def below(app: ASGIApp, prefix: str) -> ASGIApp:
    """The application with a path in front of its own."""

    async def moved(scope, receive, send):  # type: ignore[no-untyped-def]
        if scope["type"] == "http" and scope["path"].startswith(prefix + "/"):
            scope = {**scope, "root_path": scope.get("root_path", "") + prefix}
        await app(scope, receive, send)

    return moved
