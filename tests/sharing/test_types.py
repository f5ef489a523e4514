"""Every type of PostgreSQL is shared as what holds it, or refused by name."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path

import psycopg
import pytest

from sharing.test_provider_sql import one, refused, rows
from sharing.test_publish import publish, published

pytestmark = pytest.mark.usefixtures("worker")
Provider = Callable[..., psycopg.Connection]
UTC = dt.UTC

# type, literal, Delta type, value in the file
TYPES: list[tuple[str, str, object, object]] = [
    ("smallint", "-7", "short", -7),
    ("integer", "2147483647", "integer", 2147483647),
    ("bigint", "-9223372036854775808", "long", -(2**63)),
    ("oid", "4294967295", "long", 4294967295),
    ("real", "1.5", "float", 1.5),
    ("double precision", "NaN", "double", None),
    ("boolean", "t", "boolean", True),
    ("text", "Grüße, 世界", "string", "Grüße, 世界"),
    ("varchar(5)", "abc", "string", "abc"),
    ("char(5)", "abc", "string", "abc"),
    ("name", "n", "string", "n"),
    ('"char"', "x", "string", "x"),
    ("bytea", "\\x00ff", "binary", b"\x00\xff"),
    ("date", "0001-01-01", "date", dt.date(1, 1, 1)),
    ("timestamp", "2024-02-29 12:34:56.789012", "timestamp_ntz", dt.datetime(2024, 2, 29, 12, 34, 56, 789012)),
    ("timestamptz", "2024-02-29 12:34:56+02", "timestamp", dt.datetime(2024, 2, 29, 10, 34, 56, tzinfo=UTC)),
    ("numeric(5,2)", "-123.45", "decimal(5,2)", Decimal("-123.45")),
    ("numeric(38,0)", "9" * 38, "decimal(38,0)", Decimal("9" * 38)),
    ("numeric", "0.5", "double", 0.5),
    ("numeric(50,10)", "1.25", "double", 1.25),
    ("numeric(3,-2)", "12300", "double", 12300.0),
    ("money", "12.34", "string", "12.34"),
    ("uuid", "6ecd8c99-4036-403d-bf84-cf8400f67836", "string", "6ecd8c99-4036-403d-bf84-cf8400f67836"),
    ("json", '{"a": 1}', "string", '{"a": 1}'),
    ("jsonb", '{"a":1}', "string", '{"a": 1}'),
    ("xml", "<a/>", "string", "<a/>"),
    ("time", "01:02:03", "string", "01:02:03"),
    ("timetz", "01:02:03+01", "string", "01:02:03+01"),
    ("interval", "1 day 2 hours", "string", "P1DT2H"),
    ("inet", "10.0.0.1/8", "string", "10.0.0.1/8"),
    ("cidr", "10.0.0.0/8", "string", "10.0.0.0/8"),
    ("macaddr", "08:00:2b:01:02:03", "string", "08:00:2b:01:02:03"),
    ("bit(3)", "101", "string", "101"),
    ("bit varying", "1", "string", "1"),
    ("int4range", "[1,5)", "string", "[1,5)"),
    ("int4multirange", "{[1,5)}", "string", "{[1,5)}"),
    ("tsvector", "'a' 'b'", "string", "'a' 'b'"),
    ("point", "(1,2)", "string", "(1,2)"),
    ("pg_lsn", "0/1", "string", "0/1"),
    ("regclass", "pg_class", "string", "pg_class"),
    ("{s}.mood", "happy", "string", "happy"),
    ("{s}.positive", "3", "integer", 3),
    ("{s}.price", "1.50", "decimal(6,2)", Decimal("1.50")),
    ("int[]", "{1,NULL,3}", ("integer",), [1, None, 3]),
    ("text[]", '{a,"b c"}', ("string",), ["a", "b c"]),
    ("float8[]", "{}", ("double",), []),
    ("numeric(5,2)[]", "{1.25,NULL}", ("decimal(5,2)",), [Decimal("1.25"), None]),
    ("numeric[]", "{1.5}", ("double",), [1.5]),
    ("uuid[]", "{6ecd8c99-4036-403d-bf84-cf8400f67836}", ("string",), ["6ecd8c99-4036-403d-bf84-cf8400f67836"]),
    ("date[]", "{2024-01-01}", ("date",), [dt.date(2024, 1, 1)]),
    ("timestamptz[]", "{2024-01-01 00:00:00+00}", ("timestamp",), [dt.datetime(2024, 1, 1, tzinfo=UTC)]),
    ("{s}.mood[]", "{happy}", ("string",), ["happy"]),
    ("oid[]", "{4294967295}", ("long",), [4294967295]),
    ("int[][]", "{{1,2},{3,4}}", "string", "{{1,2},{3,4}}"),
    ("{s}.numbers", "{1,2}", ("integer",), [1, 2]),
]  # fmt: skip


@pytest.fixture
def owner(provider: Provider) -> psycopg.Connection:
    connection = provider()
    connection.execute("""
        CREATE TYPE mood AS ENUM ('happy', 'sad');
        CREATE DOMAIN positive AS int CHECK (VALUE > 0);
        CREATE DOMAIN price AS numeric(6, 2);
        CREATE DOMAIN numbers AS int[];
        CREATE TYPE address AS (street text, number int, since date, cost price, tags text[]);
        CREATE TYPE person AS (name text, home address);
        CALL dbms_share.create_share('s', storage_link_name => 'link')
    """)
    return connection


def test_every_type(owner: psycopg.Connection, place: Path) -> None:
    me = one(owner, "SELECT current_user")
    names = [f"c{number}" for number in range(len(TYPES))]
    columns = ", ".join(f"{n} {kind.format(s=me)}" for n, (kind, *_) in zip(names, TYPES, strict=True))
    owner.execute(f"CREATE TABLE t ({columns})")
    # One row of values, one of NULLs.
    places = ", ".join("%s" for _ in TYPES)
    owner.execute(f"INSERT INTO t VALUES ({places})", [literal for _, literal, *_ in TYPES])
    owner.execute("INSERT INTO t DEFAULT VALUES; CALL dbms_share.add_to_share('s', 't')")
    publish(owner)
    values, nothing = published(owner, place)
    schema = one(owner, "SELECT table_schema FROM mlshare_share.version_table")
    for name, field, (kind, literal, delta, value) in zip(names, schema["fields"], TYPES, strict=True):
        wanted = {"type": "array", "elementType": delta[0], "containsNull": True} if isinstance(delta, tuple) else delta
        assert field["type"] == wanted, kind
        found = values[name]
        assert found == value or (literal == "NaN" and found != found), kind
    assert set(nothing.values()) == {None}


def test_composites_become_structs(owner: psycopg.Connection, place: Path) -> None:
    owner.execute("""
        CREATE TABLE t (id int, who person, list address[]);
        INSERT INTO t VALUES (1, ROW('Ann', ROW('Main', 5, '2024-01-01', 9.5, '{x}')::address),
                              ARRAY[ROW('a', 1, NULL, NULL, NULL)::address]),
                             (2, ROW('Bob', NULL), NULL), (3, NULL, '{}'), (4, ROW(NULL, NULL), NULL);
        CALL dbms_share.add_to_share('s', 't')
    """)
    publish(owner)
    found = {row["id"]: (row["who"], row["list"]) for row in published(owner, place)}
    home = {"street": "Main", "number": 5, "since": dt.date(2024, 1, 1), "cost": Decimal("9.50"), "tags": ["x"]}
    assert found[1] == ({"name": "Ann", "home": home}, ["(a,1,,,)"])
    assert found[2] == ({"name": "Bob", "home": None}, None)
    assert found[3] == (None, [])
    assert found[4] == ({"name": None, "home": None}, None)


def test_what_clients_cannot_read_is_null_or_an_error(owner: psycopg.Connection, place: Path) -> None:
    owner.execute("""
        CREATE TABLE t (id int, d date, ts timestamp, tz timestamptz, n numeric(5, 2), f float8);
        INSERT INTO t VALUES (1, 'infinity', 'infinity', '-infinity', 'NaN', 'infinity'),
                             (2, '0044-03-15 BC', '0044-03-15 BC', '294276-01-01', NULL, 'NaN'),
                             (3, '9999-12-31', '9999-12-31 23:59:59.999999', '2024-01-01', 1, 1);
        CALL dbms_share.add_to_share('s', 't')
    """)
    publish(owner)
    found = published(owner, place)
    assert [[row[c] for c in ("d", "ts", "tz", "n")] for row in found[:2]] == [[None] * 4] * 2
    assert found[2]["d"] == dt.date(9999, 12, 31) and found[2]["ts"].microsecond == 999999
    told = one(owner, "SELECT details FROM sys.user_share_events WHERE status = 'WARNING'")
    assert told == {"values_set_to_null": {"d": 2, "ts": 2, "tz": 2, "n": 1}}
    stats = json.loads(one(owner, "SELECT stats FROM mlshare_share.file"))
    assert "f" not in stats["minValues"] and stats["nullCount"]["d"] == 2
    owner.execute("CALL dbms_share.update_share_table_property('s', 't', 'NON_FINITE', 'ERROR')")
    assert '"d"' in str(refused(owner, "ML632", "CALL dbms_share.publish_share_wait('s')"))


def test_every_digit_of_a_decimal_arrives(owner: psycopg.Connection, place: Path) -> None:
    shapes = [(p, s) for p in (1, 4, 5, 9, 18, 19, 37, 38) for s in {0, 1, 2, 3, 4, 5, p - 1, p} if s <= p]
    names = [f"n_{p}_{s}" for p, s in shapes]
    columns = ", ".join(f"{name} numeric({p}, {s})" for name, (p, s) in zip(names, shapes, strict=True))
    owner.execute(f"CREATE TABLE t (id int, many numeric(9, 4)[], {columns})")
    # All nines, a one at the end, zero, a one in front, and digits at random, on both sides of zero.
    for number, digits in enumerate(("9" * 38, "0" * 37 + "1", "0" * 38, "1" + "0" * 37, "70061" * 7 + "403")):
        for sign in ("", "-"):
            last = [digits[-p:] if number < 3 else digits[:p] for p, _ in shapes]
            values = [f"{sign}{text}e-{s}" for text, (_, s) in zip(last, shapes, strict=True)]
            row = ", ".join(f"'{value}'" for value in values)
            many = "{NULL,NaN,12345.6789,-0.0001}" if number else "{}"
            owner.execute(f"INSERT INTO t VALUES ({2 * number + bool(sign)}, '{many}', {row})")
    owner.execute("CALL dbms_share.add_to_share('s', 't')")
    publish(owner)
    found = sorted(published(owner, place), key=lambda row: int(row["id"]))
    wanted = rows(owner, f"SELECT id, {', '.join(names)} FROM t ORDER BY id")
    assert [(row["id"], *(row[name] for name in names)) for row in found] == wanted
    assert found[0]["many"] == [] and found[-1]["many"] == [None, None, Decimal("12345.6789"), Decimal("-0.0001")]


def test_numeric_as_text(owner: psycopg.Connection, place: Path) -> None:
    number = "12345678901234567890.12345678901234567890"
    owner.execute("CREATE TABLE t (n numeric); CALL dbms_share.add_to_share('s', 't')")
    owner.execute("INSERT INTO t VALUES (%s)", (number,))
    owner.execute("CALL dbms_share.update_share_table_property('s', 't', 'NUMERIC', 'STRING')")
    publish(owner)
    assert published(owner, place) == [{"n": number}]


@pytest.mark.parametrize(
    ("columns", "sqlstate", "word"),
    [
        ('a int, "A" int', "ML631", '"a" and "A"'),
        ("", "ML631", "no columns"),
        ("a int[]", "ML633", "dimensions"),
    ],
)
def test_what_is_refused(owner: psycopg.Connection, columns: str, sqlstate: str, word: str) -> None:
    owner.execute(f"CREATE TABLE t ({columns}); CALL dbms_share.add_to_share('s', 't')")
    if "[]" in columns:
        owner.execute("INSERT INTO t VALUES ('{{1,2},{3,4}}')")
    assert word in str(refused(owner, sqlstate, "CALL dbms_share.publish_share_wait('s')"))
    assert rows(owner, "SELECT status FROM sys.user_share_versions") == [("FAILED",)]
    assert rows(owner, "SELECT * FROM sys.user_share_detached_files") == []


def test_pseudo_types_are_refused_by_name(owner: psycopg.Connection) -> None:
    owner.execute("CALL dbms_share.add_to_share('s', 'pg_stats', 'pg_catalog')")
    error = refused(owner, "ML630", "CALL dbms_share.publish_share_wait('s')")
    shown = 'column "most_common_vals" of "pg_catalog.pg_stats" has type anyarray, which cannot be shared'
    assert error.diag.message_primary == shown


def test_odd_names(owner: psycopg.Connection, place: Path) -> None:
    owner.execute("""CREATE TABLE "odd "" table" ("a b" int, "c""d" text, "select" int, "é,{}" int);
        INSERT INTO "odd "" table" VALUES (1, 'x', 2, 3);
        CALL dbms_share.add_to_share('s', '"odd "" table"', share_table_name => 'odd')""")
    publish(owner)
    assert published(owner, place) == [{"a b": 1, 'c"d': "x", "select": 2, "é,{}": 3}]
