"""mlshare-server check: tries the rules of the protocol on a server and prints what became of each."""

from __future__ import annotations

import argparse
import json
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mlshare_server.check import server_rules, table_rules
from mlshare_server.check.client import Client, Unreachable
from mlshare_server.check.rules import SERVER, TABLE, Broken, Result, Subject, pages, tried
from mlshare_server.errors import UnreadableProfile

__all__ = ["arguments", "main", "results", "server_rules", "table_rules"]


def arguments(parser: argparse.ArgumentParser) -> None:
    """Options of the command."""
    parser.add_argument("url", help="the server's endpoint; - takes the one of the profile")
    parser.add_argument("profile", type=Path, help="a profile file: its token is used")
    parser.add_argument("--tables", type=int, default=3, help="how many tables to try (default: %(default)s)")


def main(args: argparse.Namespace) -> int:
    """Print the table; 0 unless a rule is broken."""
    profile = read_profile(args.profile)
    endpoint = profile["endpoint"] if args.url == "-" else args.url
    client = Client(str(endpoint).rstrip("/"), profile["bearerToken"])
    counts: Counter[str] = Counter()
    for result in results(client, args.tables):
        counts[result.outcome] += 1
        print(f"{result.outcome.upper():4}  {result.subject:24.24}  {result.rule}", flush=True)
        if result.detail:
            print(f"{'':32}{result.detail}")
    print(", ".join(f"{counts[outcome]} {outcome}" for outcome in ("pass", "fail", "warn", "skip")))
    return 1 if counts["fail"] else 0


def read_profile(path: Path) -> dict[str, Any]:
    """A profile with a bearer token. UnreadableProfile if it is none."""
    try:
        profile = json.loads(path.read_text())
        if not isinstance(profile["bearerToken"], str) or not isinstance(profile["endpoint"], str):
            raise TypeError("endpoint and bearerToken are texts")
        return dict(profile)
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UnreadableProfile(path=path, detail=f"{type(error).__name__}: {error}") from error


def results(client: Client, most: int) -> Iterator[Result]:
    """What becomes of each rule, on the server and on some tables of all shares."""
    subject = Subject(client)
    for rule in SERVER:
        yield tried(rule, subject, "")
    for table in tables(subject, most):
        name = f"{table['share']}.{table['schema']}.{table['name']}"
        for rule in TABLE:
            yield tried(rule, Subject(client, subject.shares, table), name)


def tables(subject: Subject, most: int) -> list[dict[str, str]]:
    """The first tables of the shares."""
    found: list[dict[str, str]] = []
    for share in subject.shares:
        try:
            for table in pages(subject.client, "shares", share["name"], "all-tables"):
                if len(found) == most:
                    return found
                if {"share", "schema", "name"} <= set(table):
                    found.append(table)
        except (Broken, Unreachable, ValueError):
            continue
    return found
