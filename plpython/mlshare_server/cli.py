"""The command line: mlshare-server worker | serve | check."""

from __future__ import annotations

import argparse
import importlib
import sys
from collections.abc import Sequence

from mlshare_server.errors import ServerError

# Each module has arguments(parser) and main(args); it is imported only when its command is given.
COMMANDS = {
    "worker": ("mlshare_server.worker.main", "publish shares: take jobs from a database and write Parquet"),
    "serve": ("mlshare_server.server.main", "answer Delta Sharing clients"),
    "check": ("mlshare_server.check.main", "test a Delta Sharing server against the protocol"),
}


def main(words: Sequence[str] | None = None) -> int:
    """Run one command; 0 on success."""
    words = list(sys.argv[1:] if words is None else words)
    top = argparse.ArgumentParser(prog="mlshare-server", description=__doc__)
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    module = None
    for name, (path, text) in COMMANDS.items():
        parser = commands.add_parser(name, help=text, description=text)
        if words[:1] == [name]:
            module = importlib.import_module(path)
            module.arguments(parser)
    args = top.parse_args(words)
    try:
        return int(module.main(args) or 0) if module else 2
    except ServerError as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
