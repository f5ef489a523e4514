"""The Docker image by itself: first start, passwords, initial scripts, restart, health, ordinary commands."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from fix_server import HOME, IMAGE

pytestmark = pytest.mark.skipif(HOME != "docker", reason="about the Docker image")


def docker(*words: str, check: bool = True) -> subprocess.CompletedProcess[str]:
    return subprocess.run(["docker", *words], capture_output=True, text=True, check=check)


@pytest.fixture
def start() -> Iterator[Callable[..., str]]:
    """Starts containers of the image, removed afterwards with their volumes."""
    started: list[str] = []

    def run(*options: str, command: tuple[str, ...] = ()) -> str:
        started.append(docker("run", "-d", *options, IMAGE, *command).stdout.strip())
        return started[-1]

    yield run
    for container in started:
        docker("rm", "-f", "-v", container)


def ask(container: str, sql: str, *options: str) -> str:
    """The answer to a query over TCP, as soon as the server gives one."""
    address = ("-h", "127.0.0.1", "-U", "boss", "-d", "shop", "-XAtc", sql)
    deadline = time.monotonic() + 60
    while True:
        done = docker("exec", "-e", "PGPASSWORD=a b'c", *options, container, "psql", *address, check=False)
        if done.returncode == 0 or time.monotonic() > deadline:
            assert done.returncode == 0, done.stderr + docker("logs", container).stderr
            return done.stdout.strip()
        time.sleep(0.2)


NAMES = ("-e", "POSTGRES_USER=boss", "-e", "POSTGRES_DB=shop")
GIVEN = (*NAMES, "-e", "POSTGRES_PASSWORD=a b'c")


def test_the_database_starts_with_the_extension_and_survives_a_restart(start: Callable[..., str]) -> None:
    container = start(*GIVEN)
    assert ask(container, "SELECT current_user, (SELECT extname FROM pg_extension WHERE extname = 'mlshare')") == (
        "boss|mlshare"
    )
    ask(container, "CREATE TABLE kept AS SELECT sys._version() AS version")
    docker("restart", container)
    assert ask(container, "SELECT version = sys._version() FROM kept") == "t"


def test_a_password_is_needed(start: Callable[..., str]) -> None:
    container = start(*NAMES)
    assert docker("wait", container).stdout.strip() == "1"
    assert "set POSTGRES_PASSWORD" in docker("logs", container).stderr


def test_the_password_may_be_in_a_file_and_scripts_run_once(start: Callable[..., str], tmp_path: Path) -> None:
    (tmp_path / "password").write_text("a b'c\n")
    (tmp_path / "20_more.sql").write_text("CREATE TABLE made AS SELECT count(*) FROM pg_extension;")
    mounts = [f"{tmp_path}/password:/password:ro"]
    mounts += [f"{tmp_path}/20_more.sql:/docker-entrypoint-initdb.d/20_more.sql:ro"]
    volumes = [word for mount in mounts for word in ("-v", mount)]
    container = start(*NAMES, "-e", "POSTGRES_PASSWORD_FILE=/password", *volumes)
    assert ask(container, "SELECT count(*) FROM made") == "1"


SHARES = """
SELECT string_agg(rolname, ' ' ORDER BY rolname), (SELECT setting_value FROM sys.all_share_default_settings
        WHERE setting = 'base_endpoint')
FROM pg_roles WHERE rolcanlogin AND rolname LIKE 'share%'"""


@pytest.mark.parametrize("given", [True, False])
def test_logins_of_data_shares_are_made_where_a_password_is_given(start: Callable[..., str], given: bool) -> None:
    options = ("-e", "SHARE_PASSWORD=it's", "-e", "SHARE_ENDPOINT=http://127.0.0.1:18080") if given else ()
    found = ask(start(*GIVEN, *options), SHARES)
    assert found == ("share_server share_worker|http://127.0.0.1:18080" if given else "|")


def test_the_server_is_the_first_process_and_runs_as_postgres(start: Callable[..., str]) -> None:
    container = start(*GIVEN)
    ask(container, "SELECT 1")
    look = "cat /proc/1/comm; stat -c %U /proc/1; tr '\\0' '\\n' </proc/1/environ"
    status = docker("exec", "-u", "postgres", container, "sh", "-c", look)
    name, owner, *environment = status.stdout.split("\n")
    assert (name, owner) == ("postgres", "postgres")
    assert not [line for line in environment if line.startswith("POSTGRES_PASSWORD")]


def test_it_becomes_healthy_and_stops_quickly(start: Callable[..., str]) -> None:
    container = start(*GIVEN)
    deadline = time.monotonic() + 60
    while docker("inspect", "-f", "{{.State.Health.Status}}", container).stdout.strip() != "healthy":
        assert time.monotonic() < deadline
        time.sleep(0.5)
    begin = time.monotonic()
    docker("stop", container)
    assert time.monotonic() - begin < 8
    assert docker("inspect", "-f", "{{.State.ExitCode}}", container).stdout.strip() == "0"


def test_other_commands_run_as_they_are() -> None:
    done = docker("run", "--rm", IMAGE, "python3", "-c", "import mlshare; print(mlshare.__version__)")
    assert done.stdout.strip()


WARM = """
DO LANGUAGE plpython3u $$
import os, sys
threads = len(os.listdir(f"/proc/{os.getppid()}/task"))
plpy.execute(f"CREATE TABLE seen AS SELECT {'mlshare.scorer' in sys.modules} AS inherited, {threads} AS threads")
$$;
CREATE TABLE t AS SELECT i, CASE WHEN i % 10 < 5 THEN 'low' ELSE 'high' END AS y, i % 10 AS a
FROM generate_series(1, 200) AS i;
CALL sys.ml_train('t', 'y', '{"model_list": ["GaussianNB"], "time_budget": 0.01, "exclude_column_list": ["i"]}', 'm');
"""


def test_sessions_can_be_warm(start: Callable[..., str]) -> None:
    container = start(*GIVEN, command=("postgres", "-c", "shared_preload_libraries=mlshare_preload"))
    ask(container, WARM)
    assert ask(container, "SELECT inherited, threads FROM seen") == "t|1"
    # A session of its own.
    assert ask(container, "SELECT sys.ml_predict_row('{\"a\": 1}', 'm') ->> 'Prediction'") == "low"
    assert "WARNING" not in docker("logs", container).stderr
