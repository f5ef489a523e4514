"""Every example of docs/sharing.md runs, with a worker; so does the demo, from beginning to end."""

from __future__ import annotations

import io
import json
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from backend.test_docs import PSQL, ROLES, blocks, drop_roles, renamed
from fix_db import Database, identifiers, unique
from fix_server import Server
from mlshare_server.worker.main import Worker
from mlshare_tools import share_demo
from mlshare_tools.build import CHECKOUT

PAGE = CHECKOUT / "docs" / "sharing.md"


@pytest.fixture
def names(server: Server) -> Iterator[dict[str, str]]:
    """Names for the roles of the page."""
    made = {role: unique(role) for role in ROLES}
    yield made
    drop_roles(server, made.values())


def test_examples_run(names: dict[str, str], sharing: Database, worker: Worker, place: Path) -> None:
    script = renamed("".join(block.script() for block in blocks(PAGE)), names).replace("/srv/shares", str(place))
    done = subprocess.run([PSQL, "-XAq", "-d", sharing.dsn, "-f", "-"], input=script, capture_output=True, text=True)
    parts = done.stderr.split("---\n")
    for block, output in zip(blocks(PAGE), parts, strict=False):
        failed = re.search(r"ERROR: .*", output)
        assert (block.error in output) if block.error else not failed, f"{block.text}\n{output}"
    assert done.returncode == 0 and len(parts) == len(blocks(PAGE)) + 1, parts[-1]
    for shown in (
        '"READ": "PASSED"',
        "1|CURRENT|1|3",
        "FLOWER|TABLE|PUBLISHED",
        "SPECIES|VIEW|PUBLISHED",
        "2|RETIRED\n3|CURRENT",
    ):
        assert shown in done.stdout


def test_the_four_lines_are_what_the_demo_runs() -> None:
    lines = re.search(r"```python\n(.*?)```", PAGE.read_text(), re.S)[1]
    assert lines in share_demo.CLIENT.read_text()


@pytest.mark.private
@pytest.mark.slow
def test_the_demo(server: Server, client_python: Path, tmp_path: Path) -> None:
    names = share_demo.Names(*(unique(name) for name in ("share_demo", "demouser", "demo_worker", "demo_server")))
    out = io.StringIO()
    home = tmp_path / "demo"
    demo = share_demo.ShareDemo(server.dsn, home, names, out)
    try:
        demo.run(client_python)
        assert float(re.search(r"150 flowers; accuracy on 38 .*: ([\d.]+)", out.getvalue())[1]) > 0.9
        assert json.loads((home / "delta_share_profile.json").read_text())["shareCredentialsVersion"] == 1
        assert demo.answers()
    finally:
        share_demo.stop(home)
        for process in demo.processes:
            process.wait(20)
        with server.connect() as admin:
            number = admin.execute("SELECT oid FROM pg_database WHERE datname = %s", (names.database,)).fetchone()[0]
            admin.execute(identifiers("DROP DATABASE {} WITH (FORCE)", names.database))
            readers = "SELECT rolname FROM pg_roles WHERE rolname LIKE %s"
            made = [row[0] for row in admin.execute(readers, (f"mlshare\\_reader\\_{number}\\_%",))]
        drop_roles(server, [*made, names.provider, names.worker, names.server])
