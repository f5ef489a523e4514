"""What a rule is, and how its outcome is told."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any, Literal

from mlshare_server.check.client import Answer, Client, Unreachable

Outcome = Literal["pass", "fail", "warn", "skip"]


class Broken(Exception):
    """The server breaks the rule."""


class Advice(Exception):
    """The server may do so, but some clients will have trouble."""


class NotHere(Exception):
    """The rule cannot be tried on this server."""


@dataclass(frozen=True)
class Result:
    """One line of the table."""

    rule: str
    subject: str
    outcome: Outcome
    detail: str


@dataclass
class Subject:
    """What is tested: a server as one recipient, and for rules about tables one of its tables."""

    client: Client
    shares: list[dict[str, Any]] = field(default_factory=list)
    table: dict[str, str] = field(default_factory=dict)

    @property
    def share(self) -> str:
        """A share to try things on."""
        if not self.shares:
            raise NotHere("no share is granted")
        return str(self.shares[0]["name"])


Rule = Callable[[Subject], None]
SERVER: list[Rule] = []
TABLE: list[Rule] = []


def about_server(rule: Rule) -> Rule:
    """Registers a rule that is tried once; its docstring is what the table calls it."""
    SERVER.append(rule)
    return rule


def about_table(rule: Rule) -> Rule:
    """Registers a rule that is tried on each table."""
    TABLE.append(rule)
    return rule


def need(condition: object, what: str) -> None:
    """Broken unless the condition holds."""
    if not condition:
        raise Broken(what)


def status(answer: Answer, *expected: int) -> None:
    """Broken unless the answer has one of these statuses."""
    need(answer.status in expected, f"status {answer.status} in place of {' or '.join(map(str, expected))}")


def error(answer: Answer, *expected: int) -> None:
    """Broken unless the answer is an error as the protocol describes it."""
    status(answer, *expected)
    need(isinstance(answer.json, dict) and "message" in answer.json, "the body has no message")
    need("errorCode" in answer.json, "the body has no errorCode")


def tried(rule: Rule, subject: Subject, name: str) -> Result:
    """What became of one rule."""
    text = (rule.__doc__ or rule.__name__).strip()
    try:
        rule(subject)
    except Broken as broken:
        return Result(text, name, "fail", str(broken))
    except Advice as advice:
        return Result(text, name, "warn", str(advice))
    except NotHere as reason:
        return Result(text, name, "skip", str(reason))
    except Unreachable as reason:
        return Result(text, name, "fail", str(reason))
    except (ValueError, KeyError, TypeError, AttributeError, IndexError) as reason:
        return Result(text, name, "fail", f"the answer cannot be read: {type(reason).__name__} {reason}")
    return Result(text, name, "pass", "")


def pages(client: Client, *names: str, size: int = 500) -> Iterator[dict[str, Any]]:
    """All items of a list, page by page."""
    token: str | None = None
    for _ in range(1000):
        more: dict[str, Any] = {"pageToken": token} if token else {}
        answer = client(*names, maxResults=size, **more)
        status(answer, 200)
        yield from answer.json.get("items") or []
        token = answer.json.get("nextPageToken")
        if not token:
            return
    raise Broken("a list does not end after 1000 pages")
