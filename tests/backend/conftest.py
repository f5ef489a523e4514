"""One database with trained models, made once; tests share a copy of it or get one of their own."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager

import psycopg
import pytest
from psycopg import sql

from backend import calls, mining, world
from backend.world import World
from fix_db import PASSWORD, Database, database, identifiers, unique
from fix_server import Server

Connect = Callable[[str], psycopg.Connection]


@pytest.fixture(scope="session")
def made(server: Server, template: str) -> Iterator[World]:
    """The database that others are copied from, with its roles; nobody is connected to it."""
    names = {kind: unique(kind) for kind in world.ROLES}
    with server.connect() as admin:
        for kind, name in names.items():
            admin.execute(identifiers("CREATE ROLE {} LOGIN", name) + sql.SQL(" PASSWORD {}").format(PASSWORD))
            if kind != "plain":
                admin.execute(identifiers("GRANT mlshare_user TO {}", name))
        try:
            with database(server, template) as db:
                result = World(db.name, **names)
                _fill(db, result)
                yield result
        finally:
            for name in names.values():
                admin.execute(identifiers("DROP OWNED BY {}", name))
                admin.execute(identifiers("DROP ROLE {}", name))


def _fill(db: Database, made: World) -> None:
    with db.connect() as admin:
        _allow(admin, db.name, made)
        admin.execute(identifiers("CREATE SCHEMA shop AUTHORIZATION {}", made.owner))
    with db.connect(made.owner) as owner:
        world.make_tables(owner)
        owner.execute("CALL sys.ml_create_or_upgrade_catalog()")

    def train(some: tuple[world.Training, ...]) -> None:
        with db.connect(made.owner) as owner:
            for one in some:
                calls.train(owner, one.table, one.target, one.options, one.handle)

    with ThreadPoolExecutor(2) as pool:
        list(pool.map(train, (world.TRAININGS[0::2], world.TRAININGS[1::2])))


def _allow(admin: psycopg.Connection, name: str, made: World) -> None:
    """Rights on a database itself, which a copy of it does not inherit."""
    for role in made.roles:
        admin.execute(identifiers("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", name, role))


@contextmanager
def copied(server: Server, made: World) -> Iterator[Database]:
    """A database like the world's."""
    with database(server, made.name) as db:
        with db.connect() as admin:
            _allow(admin, db.name, made)
        yield db


@pytest.fixture(scope="session")
def copy(server: Server, made: World) -> Iterator[Database]:
    """The copy that tests share: what they do in it is rolled back."""
    with copied(server, made) as db:
        yield db


@pytest.fixture(scope="session")
def kept(copy: Database) -> dict[str | None, psycopg.Connection]:
    """Open connections to the shared copy, one per role."""
    return {}


@pytest.fixture
def within(copy: Database, kept: dict[str | None, psycopg.Connection]) -> Iterator[Callable[..., psycopg.Connection]]:
    """A connection to the shared copy as a role (default: the superuser), in a transaction that is rolled back."""
    with ExitStack() as stack:
        entered: set[str | None] = set()

        def connect(role: str | None = None) -> psycopg.Connection:
            if role not in kept or kept[role].closed:
                kept[role] = copy.connect(role)
            if role not in entered:
                entered.add(role)
                stack.enter_context(kept[role].transaction(force_rollback=True))
            return kept[role]

        yield connect


@pytest.fixture
def owner(made: World, within: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    """The models' owner in the shared copy, in a transaction that is rolled back."""
    return within(made.owner)


@pytest.fixture
def other(made: World, within: Callable[..., psycopg.Connection]) -> psycopg.Connection:
    """A user of mlshare who has no models, in a transaction that is rolled back."""
    return within(made.other)


@pytest.fixture
def fresh(server: Server, made: World) -> Iterator[Database]:
    """A database of this test alone, with the same tables and models."""
    with copied(server, made) as db:
        yield db


@pytest.fixture(scope="session")
def mine(server: Server, made: World) -> Iterator[Database]:
    """A database with models made by Oracle's routines, see backend.mining."""
    with copied(server, made) as db:
        mining.fill(db, made)
        yield db


@pytest.fixture
def miner(mine: Database, made: World) -> Iterator[psycopg.Connection]:
    """The owner of those models, in a transaction that is rolled back."""
    yield from mining.rolled_back(mine, made.owner)
