"""A dump takes shares, versions and recipients along, and no secret; published files are served and reused after it."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from fix_db import Database, identifiers
from mlshare_server.worker.main import Worker
from sharing.conftest import READERS
from sharing.test_provider_sql import one, refused, rows
from sharing.test_publish import publish
from upgrade.test_dump import copy

pytestmark = pytest.mark.private
Provider = Callable[..., psycopg.Connection]
KEPT = "SELECT share_name, share_version, status, num_rows FROM sys.user_share_versions ORDER BY 2"


def test_shares_survive(
    provider: Provider, sharing: Database, empty_db: Database, worker: Worker, worker_role: str, tmp_path: Path
) -> None:
    owner = provider()
    me = one(owner, "SELECT current_user")
    owner.execute("""
        CREATE TABLE t AS SELECT 1 AS a;
        CALL dbms_share.create_share('s', storage_link_name => 'link');
        CALL dbms_share.add_to_share('s', 't');
        CALL dbms_share.create_recipient('bob');
        CALL dbms_share.grant_to_recipient('s', 'bob');
        CALL dbms_share.create_credential('c', 'key', 'do-not-dump')
    """)
    owner.execute("CALL dbms_share.populate_share_profile('bob', base_endpoint => 'https://x.example')")
    publish(owner)
    copy(sharing, empty_db, tmp_path)
    admin = empty_db.connect()
    with admin.transaction():
        admin.execute(identifiers("SET LOCAL ROLE {}", me))
        assert rows(admin, KEPT) == rows(owner, KEPT) == [("S", 1, "CURRENT", 1)]
    assert one(admin, "SELECT count(*) FROM mlshare_share.token") == 1
    assert rows(admin, "SELECT * FROM mlshare_share.credential") == []
    assert one(admin, "SELECT count(*) FROM mlshare_share.secret") == 1
    # Roles' passwords are not in a dump: the worker must be let in again, and then goes on where it was.
    again = empty_db.connect(me)
    refused(again, "ML602", "CALL dbms_share.publish_share('s')")
    admin.execute("CALL dbms_share.enable_schema(%s)", (me,))
    again.execute("CALL dbms_share.publish_share('s')")
    Worker(empty_db.dsn_of(worker_role)).run(once=True)
    assert rows(again, KEPT) == [("S", 1, "RETIRED", 1), ("S", 2, "CURRENT", 1)]
    number = one(admin, "SELECT oid FROM pg_database WHERE datname = current_database()")
    for (reader,) in rows(admin, READERS, str(number)):
        admin.execute("DELETE FROM mlshare_share.provider")
        admin.execute(identifiers("DROP ROLE {}", reader))
