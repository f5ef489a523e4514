"""A hot standby: models, and functions compiled from them, predict there what they predict on the primary."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from typing import Any

import psycopg
import pytest

from backend.calls import refused, rows, train, value
from mlshare_tools import cluster, migrate
from mlshare_tools.shell import as_server, run
from mlshare_tools.throwaway import Throwaway, throwaway

pytestmark = pytest.mark.private
MODELS = {"linear": "LogisticRegression", "trees": "LGBMClassifier"}
PREDICTIONS = (
    "SELECT sys.ml_predict_row(to_jsonb(t), %s) FROM public.t ORDER BY a",
    "SELECT sys.ml_predict_row(t, %s) FROM public.t ORDER BY a",
    "SELECT prediction, ml_results FROM sys.ml_predict(%s, 'SELECT * FROM public.t ORDER BY a')",
)


@pytest.fixture(scope="module")
def pair() -> Iterator[tuple[Throwaway, Throwaway]]:
    """A primary with models and compiled functions, and its standby, made by pg_basebackup."""
    with throwaway(cluster.existing()) as primary, throwaway(cluster.existing()) as standby:
        migrate.migrate(primary.dsn("postgres"))
        with primary.connect() as connection:
            fill(connection)
        copy(primary, standby)
        yield primary, standby


def fill(connection: psycopg.Connection) -> None:
    connection.execute(
        "CREATE TABLE public.t AS SELECT i AS a, i * 37 % 101 / 7.0::float8 AS b, (ARRAY['x', 'y'])[1 + i % 2] AS c, "
        "CASE WHEN i * 37 % 101 + i % 2 * 40 > 70 THEN 'yes' ELSE 'no' END AS y FROM generate_series(1, 400) AS i"
    )
    for handle, algorithm in MODELS.items():
        train(connection, "public.t", "y", {"model_list": [algorithm], "time_budget": 0.01}, handle)
        connection.execute("CALL sys.ml_model_compile(%s, %s)", (handle, f"public.{handle}"))


def copy(primary: Throwaway, standby: Throwaway) -> None:
    """The standby's data directory anew, as a copy that follows the primary."""
    standby.stop()
    shutil.rmtree(standby.data)
    cluster.owned_directory(standby.data)
    command = (
        primary.server.bin / "pg_basebackup",
        "-D",
        standby.data,
        "-d",
        primary.dsn("postgres"),
        "-R",
        "-c",
        "fast",
    )
    run(as_server(*command))
    shutil.copy(primary.home / "password", standby.home / "password")
    standby.start()


def everywhere(pair: tuple[Throwaway, Throwaway], statement: str, *arguments: Any) -> list[list[tuple[Any, ...]]]:
    found = []
    for server in pair:
        with server.connect() as connection:
            found.append(rows(connection, statement, *arguments))
    return found


def test_the_standby_is_one(pair: tuple[Throwaway, Throwaway]) -> None:
    assert everywhere(pair, "SELECT pg_is_in_recovery()") == [[(False,)], [(True,)]]


@pytest.mark.parametrize("handle", MODELS)
@pytest.mark.parametrize("statement", PREDICTIONS)
def test_models_predict_the_same(pair: tuple[Throwaway, Throwaway], statement: str, handle: str) -> None:
    there, here = everywhere(pair, statement, handle)
    assert there == here
    assert len(here) == 400


@pytest.mark.parametrize("handle", MODELS)
def test_compiled_functions_predict_the_same(pair: tuple[Throwaway, Throwaway], handle: str) -> None:
    columns = "a, b, c"
    there, here = everywhere(pair, f"SELECT public.{handle}({columns}) FROM public.t ORDER BY a")
    assert there == here
    assert {label for (label,) in here} == {"yes", "no"}
    (models, _) = everywhere(
        pair, f"SELECT sys.ml_predict_row(t, '{handle}') ->> 'Prediction' FROM public.t ORDER BY a"
    )
    assert models == here


def test_what_writes_is_refused(pair: tuple[Throwaway, Throwaway]) -> None:
    with pair[1].connect() as connection, refused(connection, "25006", "read-only"):
        connection.execute("CALL sys.ml_predict_table('public.t', 'linear', 'public.out')")


def test_a_dropped_model_is_gone_there_too(pair: tuple[Throwaway, Throwaway]) -> None:
    primary, standby = pair
    with primary.connect() as writer, standby.connect() as reader:
        train(writer, "public.t", "y", {"model_list": ["GaussianNB"], "time_budget": 0.01}, "short")
        follow(writer, reader)
        assert value(reader, "SELECT count(sys.ml_predict_row(t, 'short')) FROM public.t") == 400
        writer.execute("CALL sys.ml_model_drop('short')")
        follow(writer, reader)
        with refused(reader, "ML200", "short"):
            value(reader, "SELECT count(sys.ml_predict_row(t, 'short')) FROM public.t")


def follow(writer: psycopg.Connection, reader: psycopg.Connection) -> None:
    """Wait until the standby has replayed what was written."""
    written = value(writer, "SELECT pg_current_wal_insert_lsn()")
    for _ in range(500):
        if value(reader, "SELECT pg_last_wal_replay_lsn() >= %s::pg_lsn", written):
            return
        value(reader, "SELECT pg_sleep(0.02)")
    raise AssertionError("the standby does not follow")
