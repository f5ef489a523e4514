"""Every SQL example of the documentation runs, in order, page by page; and so does the demo."""

from __future__ import annotations

import io
import os
import re
import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import pytest
from psycopg import sql

from fix_db import Database, unique
from fix_server import Server
from mlshare_tools import demo, demo_data
from mlshare_tools.build import CHECKOUT
from mlshare_tools.shell import ToolError

# What docs/sharing*.md shows needs more than a database: tests/sharing runs it.
PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("[!s]*.md")), CHECKOUT / "docs" / "security.md"]
BLOCK = re.compile(r"^```sql\n(.*?)^```$", re.M | re.S)
ROLES = ("admin", "user1", "analyst")  # roles of the examples; each test has others in their place
PSQL = shutil.which("psql") or str(max(Path("/usr/lib/postgresql").glob("*/bin/psql"), default="psql"))


class Block(NamedTuple):
    """An example, and the text of the error that it must end with."""

    text: str
    error: str | None

    def script(self) -> str:
        """What psql gets: as the superuser unless the block says otherwise, stopping at an unexpected error."""
        # \warn writes to stderr, where errors are: what follows it belongs to this block.
        stop = "off" if self.error else "on"
        return f"\\set ON_ERROR_STOP {stop}\nRESET SESSION AUTHORIZATION;\n{self.text}\\warn ---\n"


def blocks(page: Path) -> list[Block]:
    """The examples of a page."""
    found = []
    for text in BLOCK.findall(page.read_text()):
        error = re.search(r"^-- (ERROR: .*)$", text, re.M)
        found.append(Block(text, error[1] if error else None))
    return found


@pytest.fixture
def names(server: Server) -> Iterator[dict[str, str]]:
    """Names for the roles of a page, which are dropped after the database."""
    made = {role: unique(role) for role in ROLES}
    yield made
    drop_roles(server, made.values())


def drop_roles(server: Server, names: Iterable[str]) -> None:
    """All at once: since PostgreSQL 16 a role cannot be dropped before those that it made members of another."""
    with server.connect() as admin:
        roles = sql.SQL(", ").join(map(sql.Identifier, names))
        admin.execute(sql.SQL("DROP ROLE IF EXISTS {}").format(roles))


@pytest.fixture
def target(request: pytest.FixtureRequest, names: dict[str, str]) -> Database:
    """The page's database: an empty one if it makes the extension itself."""
    makes = "CREATE EXTENSION mlshare" in "".join(block.text for block in blocks(request.param))
    return request.getfixturevalue("empty_db" if makes else "db")


def renamed(text: str, names: dict[str, str]) -> str:
    """The text with other roles; also within ml_schema_admin, but not within a longer word."""
    for role, name in names.items():
        text = re.sub(rf"(?<![a-z]){role}(?![a-z0-9])", name, text)
    return text


@pytest.mark.parametrize(
    ("target", "page"),
    [(page, page) for page in PAGES if blocks(page)],
    ids=lambda page: str(page.relative_to(CHECKOUT)),
    indirect=["target"],
)
def test_examples_run(target: Database, page: Path, names: dict[str, str]) -> None:
    script = renamed("".join(block.script() for block in blocks(page)), names)
    command = [PSQL, "-XAq", "-d", target.dsn, "-f", "-"]
    environment = {**os.environ, "PGAPPNAME": "docs"}
    done = subprocess.run(command, input=script, capture_output=True, text=True, env=environment)
    parts = done.stderr.split("---\n")
    for block, output in zip(blocks(page), parts, strict=False):
        failed = re.search(r"ERROR: .*", output)
        wanted = block.error and renamed(block.error, names)
        assert (wanted in output) if wanted else not failed, f"{block.text}\n{output}"
    assert done.returncode == 0 and len(parts) == len(blocks(page)) + 1, parts[-1]


# --- the demo ----------------------------------------------------------------------------------------


@pytest.fixture
def demo_names(server: Server) -> Iterator[demo.Names]:
    """A database and roles for a demo; dropped afterwards."""
    names = demo.Names(unique("demo"), unique("owner"), unique("guest"))
    yield names
    with server.connect() as admin:
        admin.execute(sql.SQL("DROP DATABASE IF EXISTS {} WITH (FORCE)").format(sql.Identifier(names.database)))
    drop_roles(server, (names.owner, names.guest))


def test_demo(server: Server, demo_names: demo.Names, db: Database) -> None:
    """Twice in a row: the second one takes the place of the first, though a role owns something elsewhere."""
    out = io.StringIO()
    for _ in range(2):
        demo.run(server.dsn, demo_data.bundled("iris"), demo_names, budget=1, out=out)
        owner = sql.Identifier(demo_names.owner)
        db.connect().execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS AUTHORIZATION {}").format(owner))
    tours = out.getvalue().split("\n1. The data\n")[1:]
    assert len(tours) == 2
    for tour in tours:
        assert '{"predictions": {"target": "' in tour
        assert tour.count("ERROR:  42501:") == 1 and tour.count("ERROR:  ML200:") == 1
        assert float(re.search(r"([\d.]+)  the imported copy", tour)[1]) > 0.7
        assert "\033[" not in tour and ":'" not in tour


CSV = """\
sold;at;"shop, of";open;n;"pri""ce";left
2024-01-{day:02};2024-01-{day:02}T12:00:00;{letter};{truth};{n};{price};
"""


def test_demo_with_a_csv_file(server: Server, demo_names: demo.Names, template: str, tmp_path: Path) -> None:
    path, row = tmp_path / "sales.csv", CSV.splitlines()[1]
    rows = [
        row.format(day=1 + i % 28, letter="ABC"[i % 3], truth=i % 2 == 0, n=i if i % 9 else "", price=i % 3 + i / 7)
        for i in range(120)
    ]
    path.write_text("\n".join([CSV.splitlines()[0], *rows]) + "\n")
    data = demo_data.from_csv(path, 'pri"ce')
    assert data.types == ("date", "timestamptz", "text", "boolean", "bigint", "double precision", "bigint")
    assert data.task == "regression"
    out = io.StringIO()
    demo.run(server.dsn, data, demo_names, budget=1, out=out)
    assert "R2 on 36 rows that the model had not seen" in out.getvalue()


def test_a_tour_that_fails_says_so(server: Server, demo_names: demo.Names, template: str) -> None:
    data = demo_data.bundled("wine")
    renamed_columns = tuple("prediction" if c == "hue" else c for c in data.columns)
    with pytest.raises(ToolError, match="has a name that the output needs"):
        demo.run(server.dsn, replace(data, columns=renamed_columns), demo_names, budget=1, out=io.StringIO())
