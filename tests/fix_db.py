"""Databases cloned from one template, roles with unique names, and connections as them."""

from __future__ import annotations

import contextlib
import itertools
import os
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

import psycopg
import pytest
from psycopg import sql
from psycopg.conninfo import make_conninfo

from fix_server import Server
from mlshare_tools import migrate

PASSWORD = "only-for-tests"
numbers = itertools.count(1)


def unique(prefix: str) -> str:
    """A name that no other test, nor another run on the same server, uses."""
    return f"{prefix}_{os.getpid()}_{next(numbers)}"


@dataclass
class Database:
    """A database of one test; its connections are closed with it."""

    server: Server
    name: str
    opened: list[psycopg.Connection] = field(default_factory=list)

    @property
    def dsn(self) -> str:
        """The superuser's connection string."""
        return make_conninfo(self.server.dsn, dbname=self.name)

    def dsn_of(self, role: str) -> str:
        """The connection string of a role that the ``role`` fixture made."""
        return make_conninfo(self.dsn, user=role, password=PASSWORD)

    def connect(self, role: str | None = None, **options: object) -> psycopg.Connection:
        """A connection in autocommit mode as a role (default: the superuser)."""
        dsn = self.dsn_of(role) if role else self.dsn
        connection = psycopg.connect(dsn, **{"autocommit": True, **options})
        self.opened.append(connection)
        return connection

    def close(self) -> None:
        """Close what was opened."""
        for connection in self.opened:
            connection.close()


def identifiers(statement: str, *names: str) -> sql.Composed:
    """A statement with quoted names in the place of each {}."""
    return sql.SQL(statement).format(*map(sql.Identifier, names))


@contextlib.contextmanager
def database(server: Server, template: str) -> Iterator[Database]:
    """A new database made from a template, dropped afterwards whoever is still connected."""
    made = Database(server, unique("mlshare_test"))
    with server.connect() as admin:
        admin.execute(identifiers("CREATE DATABASE {} TEMPLATE {}", made.name, template))
        try:
            yield made
        finally:
            made.close()
            admin.execute(identifiers("DROP DATABASE {} WITH (FORCE)", made.name))


@pytest.fixture(scope="session")
def template(server: Server) -> Iterator[str]:
    """Name of a database that has mlshare and nothing else."""
    with database(server, "template0") as made:
        if server.has_extension:
            with made.connect() as connection:
                connection.execute("CREATE EXTENSION mlshare CASCADE")
        else:
            migrate.migrate(made.dsn)
        yield made.name


@pytest.fixture
def roles(server: Server, template: str) -> Iterator[Callable[..., str]]:
    """Makes roles; they are dropped after the databases of the test."""
    made: list[str] = []

    def make(name: str | None = None, *, user: bool = True) -> str:
        role = name or unique("role")
        with server.connect() as admin:
            admin.execute(identifiers("CREATE ROLE {} LOGIN", role) + sql.SQL(" PASSWORD {}").format(PASSWORD))
            made.append(role)
            if user:
                admin.execute(identifiers("GRANT mlshare_user TO {}", role))
        return role

    yield make
    with server.connect() as admin:
        for role in reversed(made):
            admin.execute(identifiers("DROP OWNED BY {}", role))
            admin.execute(identifiers("DROP ROLE {}", role))


@pytest.fixture
def db(server: Server, template: str, roles: Callable[..., str]) -> Iterator[Database]:
    """A database of this test alone, with the extension."""
    with database(server, template) as made:
        yield made


@pytest.fixture
def empty_db(server: Server) -> Iterator[Database]:
    """A database of this test alone, without the extension."""
    with database(server, "template0") as made:
        yield made


@pytest.fixture
def role(db: Database, roles: Callable[..., str]) -> Callable[..., str]:
    """Makes a role that may use mlshare and make schemas: role(), role("name"), role(user=False)."""

    def make(name: str | None = None, *, user: bool = True) -> str:
        made = roles(name, user=user)
        with db.server.connect() as admin:
            admin.execute(identifiers("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", db.name, made))
        return made

    return make


@pytest.fixture
def connect(db: Database) -> Callable[..., psycopg.Connection]:
    """Opens connections to the test's database: connect() as the superuser, connect(role) as a role."""
    return db.connect


@pytest.fixture
def admin(db: Database) -> psycopg.Connection:
    """The superuser's connection to the test's database."""
    return db.connect()
