"""The process that trains: cancelled, timed out, terminated, killed or too large, it leaves nothing behind."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest

from backend.calls import handles, rows, train, value

ROWS = 1_000_000
OPTIONS = {"model_list": ["RandomForestClassifier"]}
# The processes that a backend has started: its number is among the words of their command line.
WORKERS = """
CREATE FUNCTION public.workers(backend integer, signal integer DEFAULT 0) RETURNS integer LANGUAGE plpython3u AS $$
import glob, os
def command(path):
    try:
        with open(path, "rb") as file:
            return file.read().split(b"\\0")
    except OSError:
        return []
commands = {path: command(path) for path in glob.glob("/proc/[0-9]*/cmdline")}
found = [p for p, words in commands.items() if b"mlshare.worker" in words and str(backend).encode() in words]
for path in found if signal else ():
    os.kill(int(path.split("/")[2]), signal)
return len(found)
$$
"""


@pytest.fixture
def trainer(
    admin: psycopg.Connection, role: Callable[..., str], connect: Callable[..., psycopg.Connection]
) -> Iterator[psycopg.Connection]:
    """A role with a table of a million rows."""
    name = role()
    admin.execute(WORKERS)
    admin.execute(f'CREATE SCHEMA work AUTHORIZATION "{name}"')
    with connect(name) as connection:
        connection.execute(
            "CREATE TABLE work.large AS SELECT n % 97 AS a, n % 1009 AS b, sqrt(n) AS c, (n % 7)::text AS d, "
            f"CASE WHEN n % 97 > 40 AND n % 5 < 4 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, {ROWS}) AS n"
        )
        connection.execute("CREATE TABLE work.small AS SELECT * FROM work.large LIMIT 5000")
        connection.execute("CALL sys.ml_create_or_upgrade_catalog()")
        yield connection


def workers(admin: psycopg.Connection, backend: int) -> int:
    return int(value(admin, "SELECT public.workers(%s)", backend))


def wait(condition: Callable[[], bool], seconds: float) -> float:
    """How long it took until the condition held."""
    start = time.monotonic()
    while not condition():
        assert time.monotonic() - start < seconds, "it did not happen in time"
        time.sleep(0.02)
    return time.monotonic() - start


def application_name(admin: psycopg.Connection, pid: int) -> str:
    found = rows(admin, "SELECT application_name FROM pg_stat_activity WHERE pid = %s", pid)
    return str(found[0][0]) if found else ""


@pytest.mark.alone
@pytest.mark.slow
def test_a_timeout_ends_training_of_a_million_rows(trainer: psycopg.Connection, admin: psycopg.Connection) -> None:
    trainer.execute("SET statement_timeout = '2s'")
    start = time.monotonic()
    with pytest.raises(psycopg.errors.QueryCanceled):
        train(trainer, "work.large", "y", OPTIONS, "late")
    assert time.monotonic() - start < 3
    assert workers(admin, trainer.info.backend_pid) == 0
    assert value(trainer, "SELECT 1") == 1
    trainer.execute("RESET statement_timeout")
    assert handles(trainer) == set()


@pytest.mark.alone
@pytest.mark.slow
@pytest.mark.parametrize("function", ["pg_cancel_backend", "pg_terminate_backend"])
def test_cancel_and_terminate_act_within_a_second(
    trainer: psycopg.Connection, admin: psycopg.Connection, function: str
) -> None:
    pid = trainer.info.backend_pid
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(train, trainer, "work.large", "y", OPTIONS)
        wait(lambda: workers(admin, pid) == 1, 30)
        wait(lambda: "trial" in application_name(admin, pid), 60)
        admin.execute(f"SELECT {function}(%s)", (pid,))
        start = time.monotonic()
        with pytest.raises(psycopg.Error) as caught:
            running.result(timeout=30)
        ended = time.monotonic() - start
    assert ended < 1
    assert isinstance(caught.value, psycopg.OperationalError)
    assert wait(lambda: workers(admin, pid) == 0, 5) < 1
    assert application_name(admin, pid).count("mlshare") == 0


def test_progress_is_seen_from_outside_and_told_to_the_client(
    trainer: psycopg.Connection, admin: psycopg.Connection
) -> None:
    pid, seen, notices = trainer.info.backend_pid, set(), []
    trainer.execute("SET application_name = 'mine'")
    trainer.add_notice_handler(lambda notice: notices.append(notice.message_primary))
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(train, trainer, "work.small", "y", {"model_list": ["RandomForestClassifier"]}, "seen")
        while not running.done():
            seen.add(application_name(admin, pid))
            time.sleep(0.02)
        assert running.result() == "seen"
    assert any(name.startswith("mlshare: ") and "trial" in name and "%" in name for name in seen)
    assert application_name(admin, pid) == "mine"
    assert any("read 5000 rows" in notice for notice in notices)
    assert 'model "seen" is ready' in notices[-1]


def test_a_limit_on_memory_is_an_error_of_sql(trainer: psycopg.Connection, admin: psycopg.Connection) -> None:
    admin.execute("CALL sys.ml_set('training_memory', 60)")
    with pytest.raises(psycopg.errors.OutOfMemory, match="60 MB"):
        train(trainer, "work.large", "y", OPTIONS, "large")
    assert workers(admin, trainer.info.backend_pid) == 0
    assert handles(trainer) == set()
    admin.execute("CALL sys.ml_set('training_memory', NULL)")
    assert train(trainer, "work.small", "y", {"model_list": ["GaussianNB"]}, "fits") == "fits"


def test_a_limit_on_time_is_an_error_of_sql(trainer: psycopg.Connection, admin: psycopg.Connection) -> None:
    admin.execute("CALL sys.ml_set('training_seconds', 1)")
    start = time.monotonic()
    with pytest.raises(psycopg.Error) as caught:
        train(trainer, "work.large", "y", OPTIONS)
    assert caught.value.sqlstate == "ML122"
    assert time.monotonic() - start < 10
    assert workers(admin, trainer.info.backend_pid) == 0


def test_a_killed_process_is_an_error_of_sql(trainer: psycopg.Connection, admin: psycopg.Connection) -> None:
    with ThreadPoolExecutor(1) as pool:
        running = pool.submit(train, trainer, "work.large", "y", OPTIONS)
        wait(lambda: workers(admin, trainer.info.backend_pid) == 1, 30)
        admin.execute("SELECT public.workers(%s, 11)", (trainer.info.backend_pid,))
        with pytest.raises(psycopg.Error) as caught:
            running.result(timeout=30)
    assert caught.value.sqlstate == "ML121"
    assert "signal 11" in str(caught.value)
    assert value(trainer, "SELECT 1") == 1


def test_scoring_loads_no_training_library(
    trainer: psycopg.Connection, admin: psycopg.Connection, connect: Callable[..., psycopg.Connection]
) -> None:
    """Neither among Python's modules nor among the files mapped into the process."""
    train(trainer, "work.small", "y", {"model_list": ["LogisticRegression"]}, "light")
    owner = trainer.info.user
    admin.execute(
        "CREATE FUNCTION public.loaded() RETURNS text[] LANGUAGE plpython3u AS $$\n"
        "import sys\n"
        "with open('/proc/self/maps') as file:\n"
        "    return [*sys.modules, *file.read().split()]\n$$"
    )
    with connect(owner) as session:
        statement = "SELECT sys.ml_predict_row(to_jsonb(s), 'light')->>'Prediction' FROM work.small AS s LIMIT 1"
        assert value(session, statement) in ("yes", "no")
        names = "\n".join(value(session, "SELECT public.loaded()"))
    assert "onnxruntime" in names
    for library in ("sklearn", "pandas", "scipy", "lightgbm", "optuna"):
        assert f"/{library}/" not in names
        assert f"\n{library}\n" not in names
