"""A guided tour: runs an .sql file as several roles and prints each statement with its result, as psql would.

The file holds statements, comments that are printed as text ("-- # …" as a heading), and these words of psql:
"\\connect role", "\\gset [prefix]" at the end of a statement, and :name, :'name' and :"name" for variables. One word is
our own: "\\refused" at the end of a statement that must fail.
"""

from __future__ import annotations

import re
import sys
import textwrap
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mlshare_tools.shell import ToolError

if TYPE_CHECKING:
    import psycopg

WIDTH = 100
_COLOURS = {"heading": "1;36", "statement": "1", "notice": "2", "error": "31"}
_END = re.compile(r"(?:;|\s\\(?P<word>gset|refused)(?: (?P<prefix>\w+))?)\s*$")
_VARIABLE = re.compile(r"""(?<![:\w]):(?:(\w+)|'(\w+)'|"(\w+)")""")
_NUMBERS = (20, 21, 23, 26, 700, 701, 1700)  # types whose values stand to the right
_ROUTINE = re.compile(r"(?:CALL |sys\.)(?:sys\.)?(\w+)", re.I)


@dataclass(frozen=True)
class Result:
    """What a statement gave, as PostgreSQL prints it; None is NULL."""

    names: list[str]
    rows: list[list[str | None]]
    numeric: list[bool]

    @classmethod
    def of(cls, cursor: psycopg.Cursor[Any]) -> Result:
        """The result of the statement that a cursor has run."""
        raw, columns = cursor.pgresult, cursor.description or ()
        count = raw.ntuples if raw and columns else 0
        rows = [[decoded(raw.get_value(row, i)) for i in range(len(columns))] for row in range(count) if raw]
        return cls([c.name for c in columns], rows, [c.type_code in _NUMBERS for c in columns])

    def aligned(self) -> str:
        """A table as psql prints it, numbers to the right."""
        cells = [["NULL" if value is None else value for value in row] for row in self.rows]
        widths = [max(map(len, column)) for column in zip(self.names, *cells, strict=True)]
        heads = (name.center(width) for name, width in zip(self.names, widths, strict=True))
        lines = [f" {' | '.join(heads)}".rstrip(), f"-{'-+-'.join('-' * width for width in widths)}-"]
        for row in cells:
            parts = zip(row, widths, self.numeric, strict=True)
            lines.append(f" {' | '.join(c.rjust(w) if n else c.ljust(w) for c, w, n in parts)}".rstrip())
        return "\n".join([*lines, f"({len(cells)} row{'' if len(cells) == 1 else 's'})"])


@dataclass
class Tour:
    """A tour under way. ``connect`` opens a connection as a role; each role's connection stays open."""

    connect: Callable[[str], psycopg.Connection[Any]]
    variables: dict[str, str]
    out: TextIO = field(default_factory=lambda: sys.stdout)
    timings: list[tuple[str, float]] = field(default_factory=list)
    secrets: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        self.role = ""
        self._connections: dict[str, psycopg.Connection[Any]] = {}

    def play(self, path: Path) -> None:
        """Run a file; a statement that fails, or should and does not, raises ToolError."""
        words: list[str] = []
        statement: list[str] = []
        for line in path.read_text().splitlines():
            if not statement and line.startswith("-- ") and not line.startswith("-- # "):
                words.append(line.removeprefix("-- "))
                continue
            self.say(" ".join(words))
            words.clear()
            statement.append(line)
            if _END.search(line) or line.startswith(("-- # ", "\\connect ")) or not line:
                self._step("\n".join(statement))
                statement.clear()

    def _step(self, text: str) -> None:
        if text.startswith("-- # "):
            self.say(text.removeprefix("-- "))
        elif text.startswith("\\connect "):
            self.become(self.fill(text.split()[1]))
        elif text:
            self.run(text)

    def become(self, role: str) -> None:
        """Go on as a role, in the connection it has already if it has one."""
        if role not in self._connections:
            connection = self.connect(role)
            connection.add_notice_handler(self.notice)
            self._connections[role] = connection
        self.role = role

    def close(self) -> None:
        """Close the connections."""
        for connection in self._connections.values():
            connection.close()

    # --- statements ------------------------------------------------------------------------------

    def run(self, text: str) -> None:
        """Run one statement as the role of the moment and print both it and its result."""
        end = _END.search(text)
        word, prefix = (end["word"], end["prefix"] or "") if end else (None, "")
        statement = self.fill(text[: end.start()] if end else text)
        self.echo(statement)
        start = time.monotonic()
        try:
            result = Result.of(self._connections[self.role].execute(statement.encode()))
        except _error_class() as error:
            self._refused(error, expected=word == "refused")
            return
        self._note(statement, time.monotonic() - start)
        if word == "refused":
            raise ToolError("the tour ended: this statement should have been refused")
        self.print(result.aligned() if result.names else "")
        if result.names:
            self.print("")
        if word == "gset":
            self._remember(result, prefix)

    def _refused(self, error: psycopg.Error, *, expected: bool) -> None:
        about = error.diag
        self.print(f"ERROR:  {about.sqlstate}: {about.message_primary}", "error")
        for label, text in (("DETAIL", about.message_detail), ("HINT", about.message_hint)):
            if text:
                self.print(f"{label}:  {text}", "error")
        if not expected:
            raise ToolError(f"the tour ended at: {about.message_primary}") from error
        self.print("")

    def _remember(self, result: Result, prefix: str) -> None:
        if len(result.rows) != 1:
            raise ToolError(f"the tour ended: \\gset needs one row, not {len(result.rows)}")
        for name, value in zip(result.names, result.rows[0], strict=True):
            self.variables[prefix + name] = value or ""

    def _note(self, statement: str, seconds: float) -> None:
        if found := _ROUTINE.search(statement):
            self.timings.append((f"{found[1].lower()} as {self.role}", seconds))

    def fill(self, text: str) -> str:
        """The text with variables in their places; an unknown one is left as it is."""

        def value(found: re.Match[str]) -> str:
            bare, literal, identifier = found.groups()
            known = self.variables.get(bare or literal or identifier)
            if known is None:
                return found[0]
            return known if bare else quoted(known, "'" if literal else '"')

        return _VARIABLE.sub(value, text)

    # --- printing --------------------------------------------------------------------------------

    def say(self, text: str) -> None:
        """Print a paragraph, or a heading."""
        text = self.fill(text)
        if text.startswith("# "):
            self.print(f"\n{text[2:]}\n{'=' * len(text[2:])}", "heading")
        elif text:
            self.print(textwrap.fill(text, WIDTH))

    def echo(self, statement: str) -> None:
        """Print a statement with psql's prompt before it."""
        prompt = f"{self.role}=> "
        shown = f"\n{' ' * len(prompt)}".join(statement.splitlines())
        for secret in self.secrets:
            shown = shown.replace(secret, "…")
        self.print(f"{prompt}{shown};", "statement")

    def notice(self, notice: psycopg.errors.Diagnostic) -> None:
        """Print a notice at the moment it arrives."""
        self.print(f"{notice.severity}:  {notice.message_primary}", "notice")

    def print(self, text: str, colour: str = "") -> None:
        """Print, in colour on a terminal only."""
        if colour and self.out.isatty():
            text = f"\033[{_COLOURS[colour]}m{text}\033[0m"
        print(text, file=self.out, flush=True)


def decoded(value: bytes | None) -> str | None:
    """A value in its text form."""
    return None if value is None else value.decode()


def quoted(text: str, quote: str) -> str:
    """A literal or an identifier."""
    return quote + text.replace(quote, quote * 2) + quote


def _error_class() -> type[psycopg.Error]:
    import psycopg

    return psycopg.Error
