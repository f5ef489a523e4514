"""Reading shares of others from SQL: providers, links, views, and where a server may not be sent."""

from __future__ import annotations

import datetime as dt
import json
import time
from collections.abc import Callable
from decimal import Decimal
from typing import Any

import psycopg
import pyarrow as pa
import pytest

from fix_http import HttpServer, Reader, Shop

Readers = Callable[[str], Reader]
MOMENT = dt.datetime(2024, 2, 29, 12, 30, 15, 123456)
EVERY = pa.table(
    {
        "Id": pa.array([1, 2, None], pa.int64()),
        "text": pa.array(["äöü", None, '\\ "quoted" \n']),
        "double": pa.array([0.5, float("nan"), float("-inf")]),
        "flag": pa.array([True, None, False]),
        "day": pa.array([dt.date(2024, 2, 29), None, dt.date(1969, 12, 31)]),
        "zoned": pa.array([MOMENT, None, MOMENT], pa.timestamp("us", tz="UTC")),
        "plain": pa.array([MOMENT, None, MOMENT], pa.timestamp("us")),
        "bytes": pa.array([b"\x00\xff", None, b""]),
        "number": pa.array([Decimal("1.25"), None, Decimal("-3.50")], pa.decimal128(10, 2)),
    }
)


@pytest.fixture
def consumer(shop: Shop, http: HttpServer, role: Callable[..., str]) -> Callable[..., psycopg.Connection]:
    """Makes a role that reads shares through the test's server; its connection."""
    with shop.db.connect() as admin:
        setting(admin, "private_endpoints", "true")

    def make() -> psycopg.Connection:
        made = role(user=False)
        with shop.db.connect() as admin:
            admin.execute(f'GRANT mlshare_consumer TO "{made}"')
            admin.execute(f'CREATE SCHEMA "{made}" AUTHORIZATION "{made}"')
        return shop.db.connect(made)

    return make


def setting(admin: psycopg.Connection, name: str, value: str) -> None:
    admin.execute("CALL dbms_share.update_default_share_property(%s, %s)", (name, value))


def linked(connection: psycopg.Connection, profile: dict[str, Any]) -> None:
    """Provider THEM and link L to share DEMO."""
    connection.execute("CALL dbms_share.create_share_provider('them', share_profile => %s)", (json.dumps(profile),))
    connection.execute("CALL dbms_share.create_share_link('l', 'them', 'DEMO')")


def make_view(connection: psycopg.Connection, name: str = "v", table: str = "EVERY", **more: Any) -> None:
    connection.execute(
        "CALL dbms_share.create_share_link_view(%s, 'l', 'S', %s, %s, %s)",
        (name, table, more.get("columns"), more.get("where")),
    )


def test_a_view_has_what_was_shared(shop: Shop, reader: Readers, consumer: Any) -> None:
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [EVERY.slice(0, 2), EVERY.slice(2)], "S.OTHER": [EVERY]})
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    assert mine.execute("SELECT * FROM dbms_share.discover_available_shares('them')").fetchall() == [("DEMO", None)]
    tables = mine.execute("SELECT * FROM dbms_share.discover_available_tables('THEM') ORDER BY 3").fetchall()
    assert tables == [("DEMO", "S", "EVERY"), ("DEMO", "S", "OTHER")]
    make_view(mine)
    found = mine.execute("SELECT * FROM v ORDER BY flag NULLS FIRST")
    assert [column.name for column in found.description] == EVERY.column_names
    rows = found.fetchall()
    zoned = MOMENT.replace(tzinfo=dt.UTC)
    day = dt.date(1969, 12, 31)
    assert rows[1] == (None, '\\ "quoted" \n', float("-inf"), False, day, zoned, MOMENT, b"", Decimal("-3.50"))
    assert rows[2][:2] == (1, "äöü") and rows[2][7] == b"\x00\xff" and rows[0][2] != rows[0][2]
    shown = mine.execute(
        "SELECT view_name, link_name, table_version, num_files FROM sys.user_share_link_views"
    ).fetchall()
    assert [row[1:] for row in shown] == [("L", 1, 2)]
    mine.execute("CALL dbms_share.drop_share_link_view('v')")
    assert mine.execute("SELECT to_regclass('v'), to_regclass('\"v$data\"')").fetchone() == (None, None)
    mine.execute("CALL dbms_share.drop_share_link('l')")
    mine.execute("CALL dbms_share.drop_share_provider('them')")
    assert not mine.execute("SELECT * FROM sys.user_share_providers").fetchall()


def file_requests(shop: Shop) -> tuple[int, int, int]:
    """Requests for files, how many files, and their bytes, once the last is written down."""
    asked = (
        "SELECT count(*), count(DISTINCT details ->> 'file'), coalesce(sum(size), 0)::bigint "
        "FROM mlshare_share.recipient_event WHERE endpoint = 'file'"
    )
    time.sleep(0.5)
    return shop.admin.execute(asked).fetchone()


def test_a_version_is_fetched_once_and_unchanged_files_never_again(shop: Shop, reader: Readers, consumer: Any) -> None:
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [1]}), pa.table({"n": [2]})]})
    shop.admin.execute("UPDATE mlshare_share.recipient SET log_level = 2")
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    make_view(mine)
    before, *_ = file_requests(shop)
    assert mine.execute("SELECT dbms_share.refresh_share_link_view('v')").fetchone() == (False,)
    # The next version has one of the files, and one more.
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [3]})]})
    shop.admin.execute(
        "INSERT INTO mlshare_share.version_file SELECT share_id, 2, table_id, 7, file_id "
        "FROM mlshare_share.version_file WHERE share_version = 1 AND file_no = 0"
    )
    assert mine.execute("SELECT dbms_share.refresh_share_link_view('V')").fetchone() == (True,)
    assert sorted(mine.execute("SELECT n FROM v").fetchall()) == [(1,), (3,)]
    assert file_requests(shop)[0] == before + 1
    with mine.transaction(force_rollback=True):
        shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [9]})]})
        mine.execute("SELECT dbms_share.refresh_share_link_view('v')")
        assert mine.execute("SELECT n FROM v").fetchall() == [(9,)]
    assert sorted(mine.execute("SELECT n FROM v").fetchall()) == [(1,), (3,)]


def test_a_share_that_was_made_again(shop: Shop, reader: Readers, consumer: Any) -> None:
    """Its first version is not the first version of the share before."""
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [1]})]})
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    make_view(mine)
    shop.provider.execute("CALL dbms_share.drop_share('DEMO')")
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [pa.table({"n": [2]})]})
    refresh = "SELECT dbms_share.refresh_share_link_view('v')"
    assert mine.execute(refresh).fetchone() == (True,)
    assert mine.execute("SELECT n FROM v").fetchall() == [(2,)]
    assert mine.execute(refresh).fetchone() == (False,)


def test_only_columns_and_rows_that_are_wanted_travel(shop: Shop, reader: Readers, consumer: Any) -> None:
    shop.share()
    wide = [
        pa.table({"n": range(k, k + 1000), "species": ["a", "b"] * 500, "blob": [b"x" * 20_000] * 1000})
        for k in (0, 1000)
    ]
    shop.publish("DEMO", {"S.EVERY": wide}, compression="none")
    shop.admin.execute("UPDATE mlshare_share.recipient SET log_level = 2")
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    make_view(mine, columns=["species", "N"], where="species = 'b' AND n >= 1990")
    rows = mine.execute("SELECT * FROM v ORDER BY n").fetchall()
    assert rows == [("b", n) for n in (1991, 1993, 1995, 1997, 1999)]
    _, files, bytes_sent = file_requests(shop)
    # One of two files, and of its 20 MB the first 8 and the column chunks.
    assert files == 1 and bytes_sent < 10 << 20


def test_nobody_reads_the_token(shop: Shop, reader: Readers, consumer: Any, role: Callable[..., str]) -> None:
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [EVERY]})
    token = shop.token()
    mine = consumer()
    linked(mine, reader(token).profile)
    everything = shop.admin.execute("SELECT p::text FROM mlshare_share.share_provider AS p").fetchone()[0]
    assert token not in everything and token.encode().hex() not in everything
    other = shop.db.connect(role())
    assert not other.execute("SELECT * FROM mlshare_share.share_provider").fetchall()
    with pytest.raises(psycopg.DatabaseError, match="does not exist"):
        other.execute("SELECT * FROM dbms_share.discover_available_shares('them')")
    # Sent elsewhere by an UPDATE, or taken over into another row, it opens no more.
    mine.execute("UPDATE mlshare_share.share_provider SET endpoint = endpoint || '/x'")
    with pytest.raises(psycopg.DatabaseError, match="cannot be used here") as caught:
        mine.execute("SELECT * FROM dbms_share.discover_available_shares('them')")
    assert caught.value.sqlstate == "ML665"


def test_who_may_name_a_server(shop: Shop, role: Callable[..., str]) -> None:
    ordinary = shop.db.connect(role())
    profile = json.dumps({"shareCredentialsVersion": 1, "endpoint": "https://example.com", "bearerToken": "x"})
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ordinary.execute("CALL dbms_share.create_share_provider('p', share_profile => %s)", (profile,))
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        ordinary.execute("INSERT INTO mlshare_share.share_provider SELECT")


PRIVATE = ["https://127.0.0.1/x", "https://localhost/x", "https://[::1]/", "https://169.254.169.254/latest", "https://0/",
           "https://10.0.0.1", "https://[::ffff:127.0.0.1]/", "https://2130706433/", "https://[fe80::1]/", "https://0x7f.1/",
           "https://[64:ff9b::7f00:1]/"]  # fmt: skip
NO_PLACE = ["http://example.com", "file:///etc", "ftp://example.com", "https://u:p@example.com", "x", "https://a b/"]


@pytest.mark.parametrize("endpoint", PRIVATE + NO_PLACE)
def test_servers_in_private_networks_are_refused(shop: Shop, consumer: Any, endpoint: str) -> None:
    mine = consumer()
    setting(shop.admin, "private_endpoints", "false")
    profile = {"shareCredentialsVersion": 1, "endpoint": endpoint, "bearerToken": "x"}
    with pytest.raises(psycopg.DatabaseError) as caught:
        mine.execute("CALL dbms_share.create_share_provider('p', share_profile => %s)", (json.dumps(profile),))
        mine.execute("SELECT * FROM dbms_share.discover_available_shares('p')")
    assert caught.value.sqlstate in ("ML661", "ML666")


def test_files_are_not_fetched_from_where_the_setting_forbids(shop: Shop, reader: Readers, consumer: Any) -> None:
    """The setting is asked at each use, also for the URLs that a server gives."""
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [EVERY]})
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    make_view(mine)
    setting(shop.admin, "private_endpoints", "false")
    with pytest.raises(psycopg.DatabaseError) as caught:
        mine.execute("SELECT dbms_share.refresh_share_link_view('v')")
    assert caught.value.sqlstate == "ML661"


NO_PROFILE = ["{}", "[]", "7", '{"shareCredentialsVersion": 2, "endpoint": "https://x", "bearerToken": "x"}']
NO_PROFILE.append('{"shareCredentialsVersion": 1, "endpoint": "https://x", "bearerToken": "a b"}')


@pytest.mark.parametrize("profile", NO_PROFILE)
def test_profiles_that_are_none(consumer: Any, profile: str) -> None:
    with pytest.raises(psycopg.DatabaseError) as caught:
        consumer().execute("CALL dbms_share.create_share_provider('p', share_profile => %s)", (profile,))
    assert caught.value.sqlstate == "ML666"


def test_errors_of_the_server_are_told(shop: Shop, reader: Readers, consumer: Any) -> None:
    shop.share()
    shop.publish("DEMO", {"S.EVERY": [EVERY]})
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    for call, state in (
        ("SELECT * FROM dbms_share.discover_available_tables('them', 'NOTHING')", "ML664"),
        ("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'NOTHING')", "ML664"),
        ("CALL dbms_share.create_share_link_view('v', 'l', 'S', 'EVERY', ARRAY['x'])", "ML667"),
        ("CALL dbms_share.create_share_link_view('v', 'nothing', 'S', 'EVERY')", "ML603"),
        ("SELECT dbms_share.refresh_share_link_view('nothing')", "ML603"),
    ):
        with pytest.raises(psycopg.DatabaseError) as caught:
            mine.execute(call)
        assert caught.value.sqlstate == state, call
    shop.admin.execute("UPDATE mlshare_share.token SET revoked = now()")
    with pytest.raises(psycopg.DatabaseError) as caught:
        mine.execute("SELECT * FROM dbms_share.discover_available_shares('them')")
    assert caught.value.sqlstate == "ML663"
    assert mine.execute("SELECT to_regclass('v')").fetchone() == (None,)


def test_a_link_may_lead_elsewhere_and_have_another_name(shop: Shop, reader: Readers, consumer: Any) -> None:
    for name, rows in (("DEMO", [1]), ("OTHER", [2, 3])):
        shop.share(name)
        shop.publish(name, {"S.EVERY": [pa.table({"n": rows})]})
    mine = consumer()
    linked(mine, reader(shop.token()).profile)
    make_view(mine)
    mine.execute("CALL dbms_share.create_or_replace_share_link('l', 'them', 'OTHER')")
    mine.execute("CALL dbms_share.create_or_replace_share_link('new', 'them', 'DEMO')")
    # Both shares are at version 1.
    assert mine.execute("SELECT dbms_share.refresh_share_link_view('v')").fetchone() == (True,)
    assert sorted(mine.execute("SELECT n FROM v").fetchall()) == [(2,), (3,)]
    mine.execute("CALL dbms_share.rename_share_link('l', 'theirs')")
    assert mine.execute("SELECT link_name FROM sys.user_share_link_views").fetchall() == [("THEIRS",)]
    links = mine.execute("SELECT link_name, share_name FROM sys.all_share_links ORDER BY 1").fetchall()
    assert links == [("NEW", "DEMO"), ("THEIRS", "OTHER")]
    for call, state in (("rename_share_link('l', 'x')", "ML603"), ("rename_share_link('new', 'theirs')", "ML604"),
                        ("create_or_replace_share_link('new', 'nobody', 'DEMO')", "ML603")):  # fmt: skip
        with pytest.raises(psycopg.Error) as caught:
            mine.execute(f"CALL dbms_share.{call}")
        assert caught.value.sqlstate == state
    assert consumer().execute("SELECT * FROM sys.all_share_links").fetchall() == []
    assert shop.admin.execute("SELECT count(*) FROM sys.dba_share_links").fetchone() == (2,)
