"""Clients of data shares in an environment of their own: the official Python client, pandas, Polars."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from mlshare_tools import cluster
from mlshare_tools.shell import clean_environment


@pytest.fixture(scope="session")
def client_python() -> Path:
    """The interpreter of the clients' environment, made if it is missing."""
    private = cluster.existing()
    with cluster.locked():
        return private.environments.ensure_clients()


@pytest.fixture
def run_client(client_python: Path, tmp_path: Path) -> Callable[..., Any]:
    """Runs lines of Python as a data scientist would, with ``profile`` set; what they leave in ``result`` as JSON."""

    def run(profile: dict[str, Any], lines: str, **values: Any) -> Any:
        path = tmp_path / "delta_share_profile.json"
        path.write_text(json.dumps(profile))
        names = {**values, "profile": str(path)}
        head = "import json\n" + "".join(f"{name} = {value!r}\n" for name, value in names.items())
        # At the end of the process threads of the client's libraries may abort it ("terminate called without an active
        # exception"), after all is done: so it ends without that.
        code = f"{head}{lines}\nprint(json.dumps(result, default=str), flush=True)\nimport os\nos._exit(0)\n"
        done = subprocess.run(
            [client_python, "-c", code],
            capture_output=True,
            text=True,
            timeout=100,
            env=clean_environment(),
            cwd=tmp_path,
        )
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout.splitlines()[-1])

    return run
