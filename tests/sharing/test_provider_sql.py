"""The provider's routines, over ordinary roles: names, defaults, errors, what each role may see."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psycopg
import pytest

from fix_db import Database
from sharing.conftest import setting

Provider = Callable[..., psycopg.Connection]


def one(connection: psycopg.Connection, query: str, *values: object) -> object:
    """The only value of the only row."""
    return connection.execute(query, values).fetchone()[0]


def rows(connection: psycopg.Connection, query: str, *values: object) -> list[tuple]:
    return connection.execute(query, values).fetchall()


def refused(connection: psycopg.Connection, sqlstate: str, statement: str, *values: object) -> psycopg.Error:
    """The error that a statement raises."""
    with pytest.raises(psycopg.Error) as caught:
        connection.execute(statement, values)
    assert caught.value.sqlstate == sqlstate, caught.value
    return caught.value


@pytest.fixture
def owner(provider: Provider) -> psycopg.Connection:
    """A provider with a table flower and an empty share IRIS."""
    connection = provider()
    connection.execute("CREATE TABLE flower (id int PRIMARY KEY, species text, sepal_length numeric(3, 1))")
    connection.execute("CALL dbms_share.create_share('iris', storage_link_name => 'link')")
    return connection


def test_the_seed_in_oracles_words(owner: psycopg.Connection) -> None:
    owner.execute("""
        CALL dbms_share.create_share(
            share_name => 'DEMOUSER_IRIS', storage_link_name => 'LINK', description => 'd', public_description => 'p');
        CALL dbms_share.create_share_recipient(recipient_name => 'DEMOUSER', email => 'demo@example.org');
        CALL dbms_share.grant_to_recipient(share_name => 'DEMOUSER_IRIS', recipient_name => 'DEMOUSER');
        CALL dbms_share.add_to_share(
            share_name => 'DEMOUSER_IRIS', table_name => 'FLOWER',
            share_schema_name => 'SHAREDEMO', share_table_name => 'FLOWER');
        CALL dbms_share.publish_share(share_name => 'DEMOUSER_IRIS')
    """)
    found = rows(owner, "SELECT share_name, description, current_version FROM sys.user_shares ORDER BY 1")
    assert found == [("DEMOUSER_IRIS", "d", None), ("IRIS", None, None)]
    assert rows(owner, "SELECT recipient_name, share_name FROM sys.user_share_recipient_grants") == [
        ("DEMOUSER", "DEMOUSER_IRIS")
    ]
    columns = "share_schema_name, share_table_name, object_type, table_name, status"
    assert rows(owner, f"SELECT {columns} FROM sys.user_share_tables") == [
        ("SHAREDEMO", "FLOWER", "TABLE", "flower", "NOT PUBLISHED")
    ]
    assert rows(owner, "SELECT job_type, status, percent_done FROM sys.user_share_jobs") == [("PUBLISH", "QUEUED", 0)]


def test_names_fold_as_in_oracle(owner: psycopg.Connection) -> None:
    owner.execute("""CALL dbms_share.create_share('"Mixed"', storage_link_name => 'link')""")
    assert [row[0] for row in rows(owner, "SELECT share_name FROM sys.user_shares ORDER BY 1")] == ["IRIS", "Mixed"]
    refused(owner, "ML604", "CALL dbms_share.create_share('mixed', storage_link_name => 'link')")
    for wrong in ("", "a b", "a/b", "a.b", "x" * 256, "a\tb"):
        refused(owner, "ML601", "CALL dbms_share.create_share(%s, storage_link_name => 'link')", wrong)


ERRORS = [
    ("ML603", "CALL dbms_share.add_to_share('nope', 'flower')"),
    ("42P01", "CALL dbms_share.add_to_share('iris', 'nope')"),
    ("42602", "CALL dbms_share.add_to_share('iris', '\"')"),
    ("42703", "CALL dbms_share.add_to_share('iris', 'flower', column_list => '{nope}')"),
    ("ML610", "CALL dbms_share.add_to_share('iris', 'flower', where_clause => 'id >')"),
    ("ML610", "CALL dbms_share.add_to_share('iris', 'flower', where_clause => 'true); DROP TABLE flower; --')"),
    ("ML610", "CALL dbms_share.add_to_share('iris', 'flower', column_list => '{}')"),
    ("ML603", "CALL dbms_share.remove_from_share('iris', 'flower')"),
    ("ML603", "CALL dbms_share.grant_to_recipient('iris', 'nobody')"),
    ("ML603", "CALL dbms_share.drop_share('nope')"),
    ("ML603", "CALL dbms_share.drop_share_version('iris', 1)"),
    ("ML611", "CALL dbms_share.set_current_share_version('iris', 7)"),
    ("ML605", "CALL dbms_share.update_share_property('iris', 'colour', 'red')"),
    ("ML605", "CALL dbms_share.update_share_property('iris', 'compression', 'lzma')"),
    ("ML605", "CALL dbms_share.update_share_property('iris', 'split_size', '1')"),
    ("ML605", "CALL dbms_share.update_share_property('iris', 'publish_interval', 'soon')"),
    ("ML605", "CALL dbms_share.update_share_property('iris', 'publish_interval', '293000 years')"),
    ("ML607", "CALL dbms_share.create_cloud_storage_link('L2', 'ftp://x/')"),
    ("ML607", "CALL dbms_share.create_cloud_storage_link('L2', 'file:///a/../b')"),
    ("42501", "CALL dbms_share.create_cloud_storage_link('L2', 'file:///etc/')"),
    ("ML604", "CALL dbms_share.create_cloud_storage_link('link', 's3://bucket/')"),
    ("ML608", "CALL dbms_share.drop_cloud_storage_link('link')"),
    ("ML603", "CALL dbms_share.set_storage_credential('link', 'nope')"),
    ("0A000", "CALL dbms_share.create_share('live', 'LIVE', 'link')"),
    ("ML613", "CALL dbms_share.publish_share('iris')"),
    ("ML614", "CALL dbms_share.publish_share_wait('iris')"),
    ("22023", "CALL dbms_share.purge_detached_files(4)"),
    ("42501", "CALL dbms_share.enable_schema('public')"),
    ("42501", "CALL dbms_share.update_default_share_property('max_token_lifetime', '900 days')"),
    ("ML616", "SELECT dbms_share.get_activation_link('bob')"),
    ("ML616", "SELECT dbms_share.get_activation_link('bob', base_endpoint => 'javascript:alert(1)')"),
    ("ML616", "SELECT dbms_share.get_activation_link('bob', base_endpoint => 'https://x', expiration => 0)"),
    ("ML603", "CALL dbms_share.cancel_share_job(1)"),
]


def test_errors(owner: psycopg.Connection) -> None:
    owner.execute("CALL dbms_share.create_recipient('bob')")
    for sqlstate, statement in ERRORS:
        refused(owner, sqlstate, statement)
    assert one(owner, "SELECT count(*) FROM flower") == 0


def test_storage_roots_are_left_by_no_escape_and_no_longer_name(
    owner: psycopg.Connection, sharing: Database, place: Path
) -> None:
    with sharing.connect() as admin:
        setting(admin, "storage_roots", f"file://{place}")
    create = "CALL dbms_share.create_cloud_storage_link('L2', %s)"
    for wrong in ("/%2e%2e/outside/", "/.%2E/", "/a%2f..%2foutside/", "/a%5c", "/a%00", "-private/"):
        refused(owner, "42501", create, f"file://{place}{wrong}")
        row = "UPDATE mlshare_share.storage_link SET uri = %s"
        refused(owner, "42501", row, f"file://{place}{wrong}".rstrip("/") + "/")
    owner.execute(create, (f"file://{place}/a%20b/",))


def test_a_recipients_properties(owner: psycopg.Connection, sharing: Database) -> None:
    owner.execute("CALL dbms_share.create_share_recipient('bob')")
    update = "CALL dbms_share.update_recipient_property('bob', %s, %s)"
    error = refused(owner, "ML615", update, "token_lifetime", "91 00:00:00")
    assert error.diag.message_primary == "Invalid share recipient property: token_lifetime = 91 00:00:00."
    for name, wrong in (
        ("version_access", "NEVER"),
        ("ip_list", "10.0.0.x"),
        ("log_level", "9"),
        ("token_lifetime", "x"),
    ):
        refused(owner, "ML615", update, name, wrong)
    # Not around the routine either.
    refused(owner, "42501", "UPDATE mlshare_share.recipient SET token_lifetime = '91 days'")
    owner.execute(update, ("token_lifetime", "0 00:60:00"))
    assert one(owner, "SELECT dbms_share.get_recipient_property('bob', 'token_lifetime')") == "3600"
    with sharing.connect() as admin:
        setting(admin, "max_token_lifetime", "720 00:00:00")
    owner.execute(update, ("token_lifetime", "91 00:00:00"))
    owner.execute(update, ("ip_list", "10.0.0.0/8, ::1"))
    assert one(owner, "SELECT dbms_share.get_recipient_property('bob', 'ip_list')") == "10.0.0.0/8,::1/128"


def test_tokens_and_links_are_kept_as_hashes(owner: psycopg.Connection, sharing: Database) -> None:
    owner.execute("CALL dbms_share.create_share_recipient('bob')")
    first = one(owner, "SELECT dbms_share.get_activation_link('bob', base_endpoint => 'https://x.example/')")
    second = one(owner, "SELECT dbms_share.get_activation_link('bob', base_endpoint => 'https://x.example/')")
    profile = one(owner, "CALL dbms_share.populate_share_profile('bob', base_endpoint => 'https://x.example')")
    assert second.startswith("https://x.example/_adpshr/delta-sharing/download?key=")
    assert profile["endpoint"] == "https://x.example/delta-sharing/"
    with sharing.connect() as admin:
        kept = admin.execute("SELECT key_hash, used IS NULL FROM mlshare_share.activation ORDER BY created").fetchall()
        assert [fresh for _, fresh in kept] == [False, True]
        hashed = "SELECT token_hash = sha256(convert_to(%s, 'UTF8')) FROM mlshare_share.token"
        assert one(admin, hashed, profile["bearerToken"])
    for column in ("token.token_hash", "activation.key_hash"):
        refused(owner, "42501", f"SELECT {column} FROM mlshare_share.{column.split('.')[0]}")
    assert first != second


def test_no_token_is_good_for_longer_than_allowed(owner: psycopg.Connection, sharing: Database) -> None:
    owner.execute("CALL dbms_share.create_share_recipient('bob')")
    make = (
        "INSERT INTO mlshare_share.token (recipient_id, token_hash, expires) SELECT mlshare_share.recipient_of('bob'), "
    )
    for wrong in ("infinity", "-infinity", "91 days"):
        moment = f"now() + '{wrong}'" if "days" in wrong else f"'{wrong}'"
        refused(owner, "42501", f"{make} sha256(''), {moment}")
    owner.execute("CALL dbms_share.populate_share_profile('bob', base_endpoint => 'https://x.example')")
    link = one(owner, "SELECT dbms_share.get_activation_link('bob', base_endpoint => 'https://x.example')")
    refused(owner, "42501", "UPDATE mlshare_share.token SET expires = 'infinity'")
    with sharing.connect() as admin:
        setting(admin, "max_token_lifetime", "1 00:00:00")
        # What was given before can still be taken back, at once or after a time.
        owner.execute("CALL dbms_share.rotate_recipient_tokens('bob', '2 days')")
        admin.execute("UPDATE mlshare_share.token SET expires = 'infinity'")
        owner.execute("UPDATE mlshare_share.token SET revoked = now()")
        refused(owner, "42501", "UPDATE mlshare_share.token SET revoked = NULL")
        owner.execute("CALL dbms_share.populate_share_profile('bob', base_endpoint => 'https://x.example')")
        key = link.partition("key=")[2]
        admin.execute("SELECT mlshare_share.activate(mlshare_share.hash(%s), sha256('new'))", (key,))
        alive = "SELECT count(*), bool_and(expires <= now() + '1 day') FROM mlshare_share.token WHERE revoked IS NULL"
        assert rows(admin, alive) == [(2, True)]


def test_secrets_are_readable_by_nobody(
    owner: psycopg.Connection, sharing: Database, worker_role: str, server_role: str
) -> None:
    owner.execute("CALL dbms_share.create_credential('s3', 'key', 'do-not-show')")
    owner.execute("CALL dbms_share.update_credential('s3', 'password', 'changed')")
    owner.execute("CALL dbms_share.set_storage_credential('link', 's3')")
    who = {"owner": owner, "worker": sharing.connect(worker_role), "server": sharing.connect(server_role)}
    for connection in who.values():
        for table in ("credential", "provider", "secret", "token", "activation"):
            refused(connection, "42501", f"SELECT * FROM mlshare_share.{table}")
    refused(owner, "42501", "SELECT password FROM mlshare_share.credential")
    refused(owner, "42501", "SELECT * FROM mlshare_share.storage_access(%s)", "00000000-0000-0000-0000-000000000000")
    refused(owner, "42501", "SELECT mlshare_share.secret_value('signing')")
    refused(owner, "42501", "SELECT mlshare_share.reader_login(mlshare_share.me())")
    refused(who["worker"], "42501", "SELECT mlshare_share.secret_value('signing')")
    refused(who["server"], "42501", "SELECT mlshare_share.reader_login(0)")
    assert len(one(who["server"], "SELECT mlshare_share.secret_value('signing')")) == 32


def test_the_servers_login_reads_no_table(sharing: Database, server_role: str) -> None:
    tables = rows(
        sharing.connect(),
        "SELECT oid::regclass::text FROM pg_class WHERE relkind = 'r' "
        "AND relnamespace IN ('mlshare_share'::regnamespace, 'sys'::regnamespace)",
    )
    server = sharing.connect(server_role)
    assert len(tables) > 20
    for (table,) in tables:
        refused(server, "42501", f"SELECT * FROM {table}")


def test_others_see_and_change_nothing(owner: psycopg.Connection, provider: Provider) -> None:
    owner.execute("CALL dbms_share.add_to_share('iris', 'flower')")
    owner.execute("CALL dbms_share.create_recipient('bob')")
    owner.execute("CALL dbms_share.grant_to_recipient('iris', 'bob')")
    owner.execute("CALL dbms_share.publish_share('iris')")
    me = one(owner, "SELECT current_user")
    other = provider()
    views = (
        "SELECT relname FROM pg_class WHERE relnamespace = 'sys'::regnamespace AND relkind = 'v' "
        "AND relname ~ '^(all|user)_share'"
    )
    skipped = {"all_share_default_settings", "all_shareable_objects"}
    for (view,) in rows(other, views):
        if view not in skipped:
            assert rows(other, f"SELECT * FROM sys.{view}") == [], view
    calls = (
        "drop_share('iris', %s)",
        "publish_share('iris', %s)",
        "revoke_from_recipient('iris', 'bob', %s)",
        "drop_recipient('bob', %s)",
        "unpublish_share('iris', %s)",
    )
    for call in calls:
        refused(other, "ML603", f"CALL dbms_share.{call}", me)
    refused(other, "42501", "CALL dbms_share.create_share('x', storage_link_name => 'link', share_owner => %s)", me)
    for table in ("share", "share_table", "recipient", "recipient_grant", "storage_link"):
        assert other.execute(f"DELETE FROM mlshare_share.{table}").rowcount == (table == "storage_link")
    assert rows(owner, "SELECT share_name FROM sys.user_shares") == [("IRIS",)]


def test_a_member_acts_for_the_owner(owner: psycopg.Connection, sharing: Database, role: Callable[..., str]) -> None:
    me, member = one(owner, "SELECT current_user"), role()
    with sharing.connect() as admin:
        admin.execute(f'GRANT "{me}" TO "{member}"')
    colleague = sharing.connect(member)
    colleague.execute(f"CALL dbms_share.add_to_share('iris', 'flower', '{me}', share_owner => '{me}')")
    assert rows(colleague, "SELECT owner, share_name FROM sys.all_share_tables") == [(me, "IRIS")]
    assert rows(colleague, "SELECT * FROM sys.user_share_tables") == []


def test_who_is_not_enabled_shares_nothing(
    sharing: Database, role: Callable[..., str], owner: psycopg.Connection
) -> None:
    stranger = sharing.connect(role())
    refused(stranger, "ML602", "CALL dbms_share.create_cloud_storage_link('link', 's3://bucket/')")
    refused(stranger, "ML602", "CALL dbms_share.create_share_recipient('bob')")
    insert = "INSERT INTO mlshare_share.storage_link (owner, storage_link_name, uri) VALUES (mlshare_share.me(), 'L', 's3://bucket/')"
    refused(stranger, "42501", insert)
    refused(owner, "42501", insert.replace("s3://bucket/", "file:///etc/"))
    assert one(owner, "SELECT dbms_share.can_create_share()") == 1
    with sharing.connect() as admin:
        admin.execute("CALL dbms_share.enable_schema(%s, false)", (one(owner, "SELECT current_user"),))
    refused(owner, "ML602", "CALL dbms_share.publish_share('iris')")


def test_a_superuser_is_no_provider(sharing: Database) -> None:
    with sharing.connect() as admin:
        refused(admin, "ML606", "CALL dbms_share.enable_schema(current_user)")


def test_only_what_the_owner_may_read(owner: psycopg.Connection, provider: Provider, sharing: Database) -> None:
    other = provider()
    theirs, mine = one(other, "SELECT current_user"), one(owner, "SELECT current_user")
    other.execute("CREATE TABLE salary (id int, who text, amount int)")
    add = "CALL dbms_share.add_to_share('iris', 'salary', %s)"
    refused(owner, "42501", add, theirs)
    other.execute(f'GRANT USAGE ON SCHEMA "{theirs}" TO "{mine}"; GRANT SELECT (id, who) ON salary TO "{mine}"')
    assert "amount" in refused(owner, "42501", add, theirs).diag.message_detail
    owner.execute("CALL dbms_share.add_to_share('iris', 'salary', %s, column_list => '{id,who}')", (theirs,))
    other.execute("CREATE TABLE secret (id int)")
    asked = "SELECT object_name, shareable, reason FROM sys.all_object_shareability WHERE object_owner = %s ORDER BY 1"
    no = ("secret", "NO", "no SELECT privilege on any column")
    assert rows(owner, asked, theirs) == [("salary", "YES", None), no]
    assert rows(owner, "SELECT object_name FROM sys.all_shareable_objects WHERE object_owner = %s", theirs) == [
        ("salary",)
    ]
    other.execute(f'REVOKE USAGE ON SCHEMA "{theirs}" FROM "{mine}"')
    assert {row[2] for row in rows(owner, asked, theirs)} == {"no USAGE privilege on its schema"}


def test_properties_of_shares(owner: psycopg.Connection) -> None:
    get = "SELECT dbms_share.get_share_property('iris', %s)"
    assert one(owner, get, "compression") == "snappy"
    owner.execute("CALL dbms_share.update_share_property('iris', 'COMPRESSION', 'ZSTD')")
    owner.execute("CALL dbms_share.update_share_property('iris', 'version_access', 'VERSION_ACCESS_ANY')")
    owner.execute("CALL dbms_share.update_share_property('iris', 'publish_interval', '0 06:00:00')")
    assert [one(owner, get, name) for name in ("compression", "version_access")] == ["zstd", "ANY"]
    owner.execute("CALL dbms_share.update_share_property('iris', 'compression', NULL)")
    assert one(owner, get, "compression") == "snappy"
    assert one(owner, "SELECT next_publish > now() + '5 hours' FROM mlshare_share.share")


CONSTANTS = {
    "share_type_versioned": "VERSIONED", "share_type_live": "LIVE", "version_access_current": "VERSION_ACCESS_CURRENT",
    "version_access_any": "VERSION_ACCESS_ANY", "prop_share_job_dop": "JOB_DOP", "log_level_errors_only": 0,
    "log_level_basic": 1, "log_level_detail": 2, "log_level_debug": 3, "purge_drop": 1, "purge_drop_force": 2,
    "purge_forget": 3,
}  # fmt: skip


def test_constants_are_what_the_routines_take(owner: psycopg.Connection) -> None:
    assert {name: one(owner, f"SELECT dbms_share.{name}()") for name in CONSTANTS} == CONSTANTS
    owner.execute("""
        CALL dbms_share.create_share('s', dbms_share.share_type_versioned(), 'link',
                                     log_level => dbms_share.log_level_debug());
        CALL dbms_share.create_recipient('bob');
        CALL dbms_share.update_share_property('s', 'VERSION_ACCESS', dbms_share.version_access_any());
        CALL dbms_share.update_recipient_property('bob', 'VERSION_ACCESS', dbms_share.version_access_any());
        CALL dbms_share.update_share_job_property('s', dbms_share.prop_share_job_dop(), '3');
        CALL dbms_share.set_recipient_log_level('bob', dbms_share.log_level_errors_only());
        CALL dbms_share.purge_detached_files(dbms_share.purge_forget())
    """)
    for name, value in (("LOG_LEVEL", "3"), ("VERSION_ACCESS", "ANY"), ("JOB_DOP", "3")):
        assert one(owner, "SELECT dbms_share.get_share_property('s', %s)", name) == value
    refused(owner, "0A000", "CALL dbms_share.create_share('l', dbms_share.share_type_live(), 'link')")


def test_properties_are_those_of_the_one_that_is_named(owner: psycopg.Connection) -> None:
    owner.execute("""
        CALL dbms_share.create_share('second', storage_link_name => 'link');
        CALL dbms_share.update_share_property('second', 'job_dop', '4');
        CALL dbms_share.create_recipient('ann', email => 'ann@example.org');
        CALL dbms_share.create_recipient('bob', email => 'bob@example.org')
    """)
    for name, value in (("iris", None), ("second", "4")):
        assert one(owner, "SELECT dbms_share.get_share_property(%s, 'job_dop')", name) == value
    for name in ("ann", "bob"):
        assert one(owner, "SELECT dbms_share.get_recipient_property(%s, 'email')", name) == f"{name}@example.org"
    refused(owner, "ML603", "SELECT dbms_share.get_share_property('third', 'job_dop')")
    refused(owner, "ML603", "SELECT dbms_share.get_recipient_property('cem', 'email')")


def test_properties_of_tables_of_shares(owner: psycopg.Connection) -> None:
    owner.execute("CALL dbms_share.add_to_share('iris', 'flower', share_schema_name => 's')")
    get = "SELECT dbms_share.get_share_table_property('iris', 'flower', %s, 's')"
    owner.execute("CALL dbms_share.update_share_property('iris', 'numeric', 'string')")
    assert one(owner, get, "numeric") == "STRING", "what the share has"
    owner.execute("CALL dbms_share.update_share_table_property('iris', 'flower', 'numeric', 'double')")
    assert one(owner, get, "numeric") == "DOUBLE" and one(owner, get, "non_finite") is None
    refused(owner, "ML603", "SELECT dbms_share.get_share_table_property('iris', 'nope', 'numeric')")
    refused(owner, "ML605", "CALL dbms_share.update_share_table_property('iris', 'flower', 'colour', 'red')")


def test_the_published_identity(owner: psycopg.Connection, provider: Provider, sharing: Database) -> None:
    get = "SELECT dbms_share.get_published_identity()"
    assert one(owner, get) is None
    for name in ("Botany", "The garden"):
        owner.execute("CALL dbms_share.set_published_identity(jsonb_build_object('name', %s::text))", (name,))
    assert one(owner, get) == {"name": "The garden"}
    for wrong in ("[]", "7", '{"a": "' + "x" * 70_000 + '"}'):
        refused(owner, "ML605", "CALL dbms_share.set_published_identity(%s)", wrong)
    other = provider()
    assert one(other, get) is None and rows(other, "SELECT * FROM mlshare_share.published_identity") == []
    forged = "INSERT INTO mlshare_share.published_identity VALUES (%s::regrole, '{}')"
    refused(other, "42501", forged, one(owner, "SELECT quote_ident(current_user)"))
    owner.execute("CALL dbms_share.set_published_identity(NULL)")
    assert one(owner, get) is None
    with sharing.connect() as admin:
        admin.execute("CALL dbms_share.enable_schema(%s, false)", (one(owner, "SELECT current_user"),))
    refused(owner, "ML602", "CALL dbms_share.set_published_identity('{}')")


def test_renames(owner: psycopg.Connection) -> None:
    owner.execute("""
        CALL dbms_share.add_to_share('iris', 'flower', share_schema_name => 's');
        CALL dbms_share.rename_share('iris', 'iris2');
        CALL dbms_share.rename_share_schema('iris2', 's', 's2');
        CALL dbms_share.rename_share_table('iris2', 's2', 'flower', 'flowers');
        CALL dbms_share.rename_cloud_storage_link('link', 'link2');
        CALL dbms_share.create_recipient('bob');
        CALL dbms_share.rename_recipient('bob', 'alice')
    """)
    found = rows(owner, "SELECT share_name, share_schema_name, share_table_name FROM sys.user_share_tables")
    assert found == [("IRIS2", "S2", "FLOWERS")]
    assert one(owner, "SELECT storage_link_name FROM sys.user_lineage_cloud_storage_links") == "LINK2"
    assert one(owner, "SELECT recipient_name FROM sys.user_share_recipients") == "ALICE"


def test_everything_belongs_to_the_callers_transaction(owner: psycopg.Connection) -> None:
    with owner.transaction(force_rollback=True):
        owner.execute("CALL dbms_share.add_to_share('iris', 'flower')")
        owner.execute("CALL dbms_share.publish_share('iris')")
    assert rows(owner, "SELECT * FROM sys.user_share_jobs") == []
    assert rows(owner, "SELECT * FROM sys.user_share_tables") == []


def test_published_state_is_the_workers(owner: psycopg.Connection, place: Path) -> None:
    for statement in (
        "INSERT INTO mlshare_share.version (share_id, share_version) SELECT share_id, 1 FROM mlshare_share.share",
        "INSERT INTO mlshare_share.file (storage_link_id, table_id, path, first_version) "
        "SELECT storage_link_id, share_id, '../x', 1 FROM mlshare_share.share",
        "UPDATE mlshare_share.share SET storage_folder = '../'",
        "UPDATE mlshare_share.share SET last_version = 5",
        "UPDATE mlshare_share.job SET status = 'COMPLETED'",
        "INSERT INTO mlshare_share.setting VALUES ('storage_roots', 'file:///')",
    ):
        refused(owner, "42501", statement)
