"""Attempts at the database by ordinary roles, and what came of them."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg
from onnx import ModelProto, helper, numpy_helper

from fix_db import Database
from fix_tally import Tally
from security import hostile_models as hostile

CANARY = "canary-in-the-notes"
ROW = '{"a": 3, "b": 2.5, "c": "p"}'

# What an attacker's code does wherever it gets to run. Sequences are not undone by a rollback, so they tell the truth.
EVIL = """
CREATE SCHEMA evil;
GRANT USAGE, CREATE ON SCHEMA evil TO PUBLIC;
CREATE SEQUENCE evil.as_another;
CREATE SEQUENCE evil.as_itself;
CREATE TABLE evil.loot (who name, what text);
GRANT ALL ON ALL SEQUENCES IN SCHEMA evil TO PUBLIC;
GRANT ALL ON evil.loot TO PUBLIC;
CREATE FUNCTION evil.act(what text) RETURNS text LANGUAGE plpgsql VOLATILE AS $$
BEGIN
    PERFORM nextval(CASE WHEN current_user = '{owner}' THEN 'evil.as_itself' ELSE 'evil.as_another' END);
    INSERT INTO evil.loot VALUES (current_user, what);
    BEGIN
        INSERT INTO vault.ledger VALUES (current_user);
    EXCEPTION WHEN insufficient_privilege THEN NULL;
    END;
    RETURN what;
END $$;
CREATE FUNCTION evil.quietly(what text) RETURNS text LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN RETURN evil.act(what); END $$;
CREATE FUNCTION evil.yes(what text) RETURNS boolean LANGUAGE plpgsql IMMUTABLE AS
    $$ BEGIN PERFORM evil.act(what); RETURN true; END $$;
"""


@dataclass(frozen=True)
class Outcome:
    """What a client gets to see of a statement: rows, notices, or an error with everything that comes with it."""

    rows: list[tuple[Any, ...]]
    sqlstate: str | None
    text: str

    @property
    def refused(self) -> bool:
        return self.sqlstate is not None


class Arena:
    """A database in which an owner shared models, and the roles that try to get more than they were given."""

    def __init__(self, database: Database, names: dict[str, str], tally: Tally, category: str) -> None:
        self.database, self.names, self.tally, self.category = database, names, tally, category
        self._open: dict[str | None, psycopg.Connection] = {}
        self._secrets: list[str] = []

    def __getitem__(self, kind: str) -> str:
        """Name of the role of that kind."""
        return self.names[kind]

    def catalog(self, kind: str) -> str:
        return f"ml_schema_{self[kind]}"

    def door(self, kind: str) -> str:
        return f"sys._as_owner_{self[kind]}()"

    def fill(self, statement: str) -> str:
        """Puts role names in the place of <kind>, their catalogs in that of <kind.catalog>, doors in <kind.door>."""
        for kind in self.names:
            statement = statement.replace(f"<{kind}>", self[kind]).replace(f"<{kind}.catalog>", self.catalog(kind))
            statement = statement.replace(f"<{kind}.door>", self.door(kind))
        return statement

    # --- connections ------------------------------------------------------------------------------

    def session(self, kind: str | None) -> psycopg.Connection:
        """A new session of a role; None is the superuser. The driver prepares nothing: attacks look at that."""
        return self.database.connect(self.names[kind] if kind else None, prepare_threshold=None)

    def of(self, kind: str | None) -> psycopg.Connection:
        """The session of a role that the whole test uses."""
        if kind not in self._open:
            self._open[kind] = self.session(kind)
        return self._open[kind]

    def run(self, kind: str | None, *statements: str) -> list[tuple[Any, ...]]:
        """Statements that must work, to prepare an attack; the rows of the last one."""
        for statement in statements:
            cursor = self.of(kind).execute(self.fill(statement).encode())
        return cursor.fetchall() if cursor.description else []

    # --- attacks ----------------------------------------------------------------------------------

    def attempt(
        self, who: str | psycopg.Connection | None, statement: str, parameters: Sequence[Any] | None = None
    ) -> Outcome:
        """An attack. Whatever comes of it, the same backend must answer afterwards."""
        connection = self.of(who) if who is None or isinstance(who, str) else who
        self.tally.tried[self.category] += 1
        notices: list[str] = []
        connection.add_notice_handler(lambda d: notices.append(_everything(d)))
        pid = connection.info.backend_pid
        try:
            rows = _rows(connection, self.fill(statement), parameters)
            outcome = Outcome(rows, None, "\n".join([repr(rows), *notices]))
        except psycopg.Error as error:
            text = "\n".join([str(error), _everything(error.diag), *notices])
            outcome = Outcome([], error.sqlstate or "no sqlstate", text)
        self.require_alive(connection, pid)
        return outcome

    def refused(self, who: str | psycopg.Connection | None, statement: str, *parameters: Any) -> Outcome:
        """An attack that must end in an error which tells nothing."""
        outcome = self.attempt(who, statement, parameters or None)
        assert outcome.refused, f"allowed: {self.fill(statement)[:300]} → {outcome.text[:300]}"
        return self.tells_nothing(outcome)

    def tells_nothing(self, outcome: Outcome) -> Outcome:
        """Fails if anything of the secrets shows."""
        found = [s for s in self.secrets() if s in outcome.text]
        self.tally.leaks += bool(found)
        assert not found, f"leaked {found}: {outcome.text[:500]}"
        return outcome

    def require_alive(self, connection: psycopg.Connection, pid: int) -> None:
        try:
            if connection.info.transaction_status == psycopg.pq.TransactionStatus.INERROR:
                connection.rollback()
            alive = connection.execute("SELECT pg_backend_pid()").fetchone() == (pid,)
        except psycopg.Error:
            alive = False
        self.tally.crashes += not alive
        assert alive, "the backend did not survive"

    def secrets(self) -> list[str]:
        """What nobody without SELECT may see: pieces of the stored bytes, digests, and the canary."""
        if not self._secrets:
            digest, stored = self.run(
                None,
                "SELECT encode(model_digest, 'hex'), (SELECT string_agg(encode(model_object, 'hex'), '') FROM "
                "\"<owner.catalog>\".model_object_catalog WHERE model_handle = 'm') "
                "FROM \"<owner.catalog>\".model_catalog WHERE model_handle = 'm'",
            )[0]
            pieces = [stored[i : i + 32] for i in range(64, min(len(stored) - 32, 2000), 64)]
            raw = [repr(bytes.fromhex(piece))[2:-1] for piece in pieces]
            self._secrets = [CANARY, digest, digest.upper(), *pieces, *raw]
        return self._secrets

    def nothing_ran(self, *, itself: bool = True) -> None:
        """Fails if the attacker's code ran as another role (or, unless told otherwise, at all) or reached the vault."""
        fresh = self.session(None)
        ran = ["evil.as_another"] + ["evil.as_itself"] * itself
        counts = [fresh.execute(f"SELECT is_called FROM {name}").fetchone() for name in ran]
        booked = fresh.execute("SELECT count(*) FROM vault.ledger").fetchone()
        bad = any(called for (called,) in counts) or booked != (0,)
        self.tally.executed += bad
        loot = fresh.execute("SELECT * FROM evil.loot").fetchall()
        assert not bad, f"the attacker's code ran: {dict(zip(ran, counts, strict=True))}, {booked}, {loot}"


def _rows(connection: psycopg.Connection, statement: str, parameters: Sequence[Any] | None) -> list[tuple[Any, ...]]:
    cursor = connection.cursor()
    if statement.startswith("COPY") and statement.endswith("STDOUT"):
        with cursor.copy(statement.encode()) as copy:
            return [(bytes(block).decode(),) for block in copy]
    cursor.execute(statement.encode(), parameters)
    return cursor.fetchall() if cursor.description else []


def _everything(diagnostic: psycopg.errors.Diagnostic) -> str:
    parts = ("severity", "message_primary", "message_detail", "message_hint", "context", "internal_query")
    return "\n".join(str(getattr(diagnostic, part) or "") for part in parts)


# --- models ----------------------------------------------------------------------------------------


def big_model() -> bytes:
    """A harmless model whose object takes several chunks: y = x·w + the mean of many numbers."""
    noise = np.random.default_rng(7).random(900_000, dtype=np.float32)
    tensors = [numpy_helper.from_array(np.ones((3, 1), np.float32), "w"), numpy_helper.from_array(noise, "noise")]
    nodes: Iterable[Any] = [
        helper.make_node("MatMul", ["x", "w"], ["product"]),
        helper.make_node("ReduceMean", ["noise"], ["mean"], keepdims=0),
        helper.make_node("Add", ["product", "mean"], ["y"]),
    ]
    made: ModelProto = hostile.model(nodes, initializers=tensors, opsets={"": 13})
    return made.SerializeToString()


def import_model(connection: psycopg.Connection, raw: bytes, handle: str, **metadata: Any) -> str:
    """Stores an ONNX model of three columns a, b, c that answers y."""
    document = json.dumps({**hostile.METADATA, **metadata})
    row = connection.execute("CALL sys.ml_model_import(%s, %s, %s)", (raw, document, handle)).fetchone()
    assert row is not None
    return str(row[0])
