"""A database full of shared models for every attack."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from psycopg import sql

from fix_db import PASSWORD, Database, database, identifiers, unique
from fix_server import Server
from fix_tally import TALLY
from security import hostile_models as hostile
from security.arena import CANARY, EVIL, Arena, big_model, import_model

# owner shares; reader has PREDICT on m and SELECT on n, inspector SELECT and editor ALTER on m; mallory is the
# attacker and shares "trap" with everybody; other has nothing; outsider is not even a member of mlshare_user.
KINDS = ("owner", "reader", "inspector", "editor", "mallory", "other", "outsider")

_DATA = """
CREATE SCHEMA work;
CREATE TABLE work.train AS
    SELECT i AS a, (i %% 7) / 2.0::float8 AS b, substr('pqr', i %% 3 + 1, 1) AS c,
           CASE WHEN i %% 2 = 0 OR i %% 3 = 1 THEN 'yes' ELSE 'no' END AS y
    FROM generate_series(1, 200) AS i
"""
_OPTIONS = f'{{"model_list": ["GaussianNB"], "notes": "{CANARY}"}}'


@pytest.fixture(scope="session")
def names(server: Server, template: str) -> Iterator[dict[str, str]]:
    """Role names by kind; roles belong to the cluster, so they are made once."""
    made = {kind: unique(kind) for kind in KINDS}
    with server.connect() as admin:
        for kind, name in made.items():
            admin.execute(identifiers("CREATE ROLE {} LOGIN", name) + sql.SQL(" PASSWORD {}").format(PASSWORD))
            if kind != "outsider":
                admin.execute(identifiers("GRANT mlshare_user TO {}", name))
        yield made
        for name in made.values():
            admin.execute(identifiers("DROP OWNED BY {}", name))
            admin.execute(identifiers("DROP ROLE {}", name))


@pytest.fixture(scope="session")
def battlefield(server: Server, template: str, names: dict[str, str]) -> Iterator[str]:
    """The database that each test gets a copy of; nobody stays connected to it."""
    with database(server, template) as made:
        _open_to(made, names)
        with made.connect() as admin:
            admin.execute("CREATE SCHEMA vault; CREATE TABLE vault.ledger (who name)")
            admin.execute("CREATE TABLE public.input AS SELECT 3 AS a, 2.5::float8 AS b, 'p'::text AS c")
            admin.execute("GRANT SELECT ON public.input TO PUBLIC; GRANT CREATE ON SCHEMA public TO PUBLIC")
            for kind in ("owner", "reader", "inspector", "editor", "other"):
                grant = "GRANT USAGE ON SCHEMA vault TO {0}; GRANT INSERT, SELECT ON vault.ledger TO {0}"
                admin.execute(identifiers(grant.replace("{0}", "{}"), names[kind], names[kind]))
        with made.connect(names["owner"]) as owner:
            _owner_shares(owner, names)
        with made.connect(names["mallory"]) as mallory:
            mallory.execute(EVIL.replace("{owner}", names["mallory"]).encode())
            import_model(mallory, hostile.linear().SerializeToString(), "trap", column_names=["a", "b", "d"])
            for kind in KINDS[:4] + KINDS[5:6]:
                mallory.execute("CALL sys.ml_model_grant('trap', %s::regrole, 'PREDICT')", (names[kind],))
        yield made.name


def _open_to(made: Database, names: dict[str, str]) -> None:
    with made.connect() as admin:
        for name in names.values():
            admin.execute(identifiers("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", made.name, name))


def _owner_shares(owner: psycopg.Connection, names: dict[str, str]) -> None:
    owner.execute(_DATA.replace("%%", "%").encode())
    owner.execute("CALL sys.ml_train('work.train', 'y', %s, 'm')", (_OPTIONS,))
    import_model(owner, hostile.linear().SerializeToString(), "n")
    import_model(owner, big_model(), "big")
    for handle, kind, privilege in (
        ("m", "reader", "PREDICT"),
        ("n", "reader", "SELECT"),
        ("m", "inspector", "SELECT"),
        ("m", "editor", "ALTER"),
    ):
        owner.execute("CALL sys.ml_model_grant(%s, %s::regrole, %s)", (handle, names[kind], privilege))


@pytest.fixture
def arena(server: Server, battlefield: str, names: dict[str, str], request: pytest.FixtureRequest) -> Iterator[Arena]:
    """A copy of the battlefield for one test."""
    with database(server, battlefield) as made:
        _open_to(made, names)
        fight = Arena(made, names, TALLY, request.module.__name__.rpartition("test_")[2])
        fight.secrets()
        yield fight


@pytest.fixture(scope="module")
def shared_arena(
    server: Server, battlefield: str, names: dict[str, str], request: pytest.FixtureRequest
) -> Iterator[Arena]:
    """A copy of the battlefield for the tests of a module that change nothing for each other."""
    with database(server, battlefield) as made:
        _open_to(made, names)
        fight = Arena(made, names, TALLY, request.module.__name__.rpartition("test_")[2])
        fight.secrets()
        yield fight


@pytest.fixture(scope="session", autouse=True)
def no_backend_is_restarted(server: Server) -> Iterator[None]:
    """A crash of any backend ends all of them, this one too."""
    with server.connect() as watch:
        pid = watch.info.backend_pid
        yield
        try:
            alive = watch.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        except psycopg.Error:
            alive = False
        TALLY.crashes += not alive
        assert alive, "a backend crashed and took the others along"
