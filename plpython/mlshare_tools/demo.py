"""make demo: the walk-through of sharing a model, on real data, in a database of its own."""

from __future__ import annotations

import secrets
import sys
import time
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, TextIO

from mlshare_tools import build
from mlshare_tools.demo_data import Data, split
from mlshare_tools.shell import ToolError, say
from mlshare_tools.tour import Tour, quoted

if TYPE_CHECKING:
    import psycopg

TOUR = Path(__file__).with_name("tour.sql")
BUDGET = 10.0
SCHEMA = "demo"


@dataclass(frozen=True)
class Names:
    """The database of the demo and its two roles."""

    database: str = "mlshare_demo"
    owner: str = "admin"
    guest: str = "user1"


def run(dsn: str, data: Data, names: Names | None = None, budget: float = BUDGET, out: TextIO = sys.stdout) -> None:
    """The tour from beginning to end; ``dsn`` is a superuser's. ToolError when something goes wrong."""
    import psycopg

    start = time.monotonic()
    demo = Demo(dsn, names or Names(), secrets.token_urlsafe(12))
    try:
        superuser = demo.prepare()
        train, test = split(data)
        with demo.connect(demo.names.owner) as connection:
            store(connection, train, f"{SCHEMA}.train")
            store(connection, test, f"{SCHEMA}.test")
        tour = Tour(demo.connect, variables(train, test, demo.names, superuser, budget), out)
        try:
            tour.play(TOUR)
        finally:
            tour.close()
    except psycopg.Error as error:
        raise ToolError(f"the demo failed: {error}") from error
    summarise(tour, test, time.monotonic() - start)


@dataclass(frozen=True)
class Demo:
    """Where the demo takes place."""

    dsn: str
    names: Names
    password: str

    def connect(self, role: str | None = None, database: str | None = None) -> psycopg.Connection[Any]:
        """A connection in autocommit mode; a role that is not of the demo is the superuser."""
        import psycopg
        from psycopg.conninfo import make_conninfo

        who = {"user": role, "password": self.password} if role in (self.names.owner, self.names.guest) else {}
        return psycopg.connect(make_conninfo(self.dsn, dbname=database or self.names.database, **who), autocommit=True)

    def prepare(self) -> str:
        """Make the database and the roles, in the place of those of an earlier demo; the superuser's name."""
        owner, guest, database = (quoted(n, '"') for n in (self.names.owner, self.names.guest, self.names.database))
        with self.connect(database="postgres") as connection:
            connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)".encode())
            # The guest first: what the owner granted it depends on the owner.
            self.make_role(connection, guest)
            self.make_role(connection, owner)
            connection.execute(f"CREATE DATABASE {database}".encode())
            superuser = connection.info.user
        with self.connect() as connection:
            install(connection)
            connection.execute(f"CREATE SCHEMA {SCHEMA} AUTHORIZATION {owner}".encode())
        return superuser

    def make_role(self, connection: psycopg.Connection[Any], role: str) -> None:
        """Make a role anew; one that owns things in other databases is kept and gets a new password."""
        import psycopg

        verb = "CREATE"
        try:
            connection.execute(f"DROP ROLE IF EXISTS {role}".encode())
        except psycopg.errors.DependentObjectsStillExist:
            verb = "ALTER"
            say(f"role {role} owns things in other databases: it stays, with a new password")
        connection.execute(f"{verb} ROLE {role} LOGIN NOSUPERUSER PASSWORD '{self.password}'".encode())


def install(connection: psycopg.Connection[Any]) -> None:
    """The extension or, where its files could not be put into the server, the same text as a script."""
    query = "SELECT 1 FROM pg_available_extensions WHERE name = 'mlshare'"
    if connection.execute(query).fetchone():
        connection.execute("CREATE EXTENSION mlshare CASCADE")
    else:
        connection.execute(build.plain_script().encode())


def store(connection: psycopg.Connection[Any], data: Data, table: str) -> None:
    """Make a table of the data."""
    named = [quoted(column, '"') for column in data.columns]
    columns = ", ".join(f"{c} {sql_type}" for c, sql_type in zip(named, data.types, strict=True))
    connection.execute(f"CREATE TABLE {table} ({columns})".encode())
    with connection.cursor().copy(f"COPY {table} FROM STDIN".encode()) as copy:
        for row in data.rows:
            copy.write_row(row)
    connection.execute(f"ANALYZE {table}".encode())


def variables(train: Data, test: Data, names: Names, superuser: str, budget: float) -> dict[str, str]:
    """What the tour's statements call by name."""
    features = [column for column in train.columns if column != train.target][:4]
    return {
        "superuser": superuser,
        "owner": names.owner,
        "guest": names.guest,
        "data_schema": SCHEMA,
        "catalog": f"ml_schema_{names.owner}",
        "own_catalog": f"ml_schema_{names.guest}",
        "written_catalog": f"ML_SCHEMA_{names.owner}",
        "export_table": f"ML_SCHEMA_{names.owner}.model_export",
        "copied_table": f"ML_SCHEMA_{names.guest}.copied",
        "description": f"{train.name}: {len(train.columns) - 1} columns to predict {train.target} from",
        "some_columns": ", ".join(quoted(column, '"') for column in [*features, train.target]),
        "target": train.target,
        "task": train.task,
        "metric": train.metric,
        "budget": f"{budget:g}",
        "rows_train": f"{len(train.rows):,}",
        "rows_test": f"{len(test.rows):,}",
        **{name: f"{SCHEMA}.{name}" for name in ("train", "test", "predictions")},
    }


def summarise(tour: Tour, test: Data, seconds: float) -> None:
    """The last lines: how good the model is, and how long each routine took."""
    own, copied = (float(tour.variables[name]) for name in ("score", "guest_score"))
    tour.say("# Timings")
    for routine, time_taken in tour.timings:
        tour.print(f"{time_taken:8.3f} s  {routine}")
    tour.print(f"{seconds:8.3f} s  everything, the making of the database included")
    tour.say(f"# {test.metric.capitalize()} on {len(test.rows):,} rows that the model had not seen")
    tour.print(f"{own:8.4f}  the model of {tour.variables['owner']}")
    tour.print(f"{copied:8.4f}  the imported copy of {tour.variables['guest']}")
    if own != copied:
        raise ToolError("the copy does not score as the model does")
