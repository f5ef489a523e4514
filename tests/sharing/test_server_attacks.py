"""Nobody gets in: tokens, signed URLs, activation links, names, fuzz."""

from __future__ import annotations

import json
import os
import re
import time
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections import Counter
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, quote, urlsplit

import psycopg
import pyarrow as pa
import pytest
import requests
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fix_http import HttpServer, Reader, Shop
from mlshare_server.server.tokens import Signer, hash_of

TABLE = "/shares/DEMO/schemas/S/tables/T"
NUMBERS = pa.table({"n": list(range(1000))})
Readers = Callable[[str], Reader]


@pytest.fixture
def demo(shop: Shop) -> Shop:
    """Share DEMO for READER, share SECRET for OTHER."""
    shop.share()
    shop.share("SECRET", "OTHER")
    shop.publish("DEMO", {"S.T": [NUMBERS]})
    shop.publish("SECRET", {"S.T": [NUMBERS]})
    return shop


# --- tokens ------------------------------------------------------------------------------------------


def test_a_recipient_sees_nothing_of_others(demo: Shop, reader: Readers) -> None:
    """What is not granted looks as if it did not exist, word for word."""
    ask = reader(demo.token())
    assert [share["name"] for share in ask("/shares").json()["items"]] == ["DEMO"]
    for path in ("", "/schemas", "/all-tables", "/schemas/S/tables", "/schemas/S/tables/T/version"):
        secret, missing = ask(f"/shares/SECRET{path}"), ask(f"/shares/NOBODY{path}")
        assert secret.status_code == missing.status_code == 404
        assert secret.text.replace("SECRET", "NOBODY") == missing.text


def test_two_providers_may_use_the_same_names(demo: Shop, reader: Readers, provider: Any) -> None:
    other = provider()
    [[owner]] = other.execute("SELECT current_user")
    second = Shop(demo.db, demo.admin, other, owner, demo.place)
    second.share("DEMO", "READER")
    second.publish("DEMO", {"S.T": [NUMBERS.slice(0, 1)]})
    for shop, size in ((demo, 1000), (second, 1)):
        [line] = reader(shop.token()).query("DEMO.S.T")[2:]
        assert json.loads(line["file"]["stats"])["numRecords"] == size


def unauthorized(ask: Reader) -> None:
    for path, method in (("/shares", "GET"), (TABLE + "/version", "GET"), (TABLE + "/query", "POST")):
        answer = ask(path, method)
        assert answer.status_code == 401 and answer.json()["errorCode"] == "UNAUTHENTICATED"
        assert answer.headers["www-authenticate"] == "Bearer"


def test_tokens_that_are_not_good(demo: Shop, reader: Readers, http: HttpServer) -> None:
    token = demo.token()
    assert reader(token)("/shares").status_code == 200
    wrong = [token[:-1], token[1:], token + "a", token.swapcase(), "", "x", "A" * 5000, "ä", "null"]
    wrong.append(hash_of(token).hex())
    for other in wrong:
        unauthorized(reader(other))
    unauthorized(reader(demo.token(lifetime="-1 second")))
    for header in ({}, {"Authorization": token}, {"Authorization": "Basic " + token}, {"Authorization": "Bearer"}):
        assert requests.get(http.url + "/delta-sharing/shares", headers=header, timeout=5).status_code == 401


def test_the_end_of_access_is_at_once(demo: Shop, reader: Readers) -> None:
    """Revoked token, revoked grant, disabled provider, dropped recipient; URLs that were signed before end as well."""
    ask = reader(demo.token())
    [url] = ask.files("DEMO.S.T")
    assert requests.get(url, timeout=5).status_code == 200
    demo.provider.execute("CALL dbms_share.revoke_from_recipient('DEMO', 'READER')")
    assert ask("/shares").json() == {"items": []} and requests.get(url, timeout=5).status_code == 403
    demo.provider.execute("CALL dbms_share.grant_to_recipient('DEMO', 'READER')")
    assert requests.get(url, timeout=5).status_code == 200
    demo.admin.execute("CALL dbms_share.enable_schema(%s, false)", (demo.owner,))
    unauthorized(ask)
    assert requests.get(url, timeout=5).status_code == 403
    demo.admin.execute("CALL dbms_share.enable_schema(%s)", (demo.owner,))
    assert ask("/shares").status_code == 200
    demo.admin.execute("UPDATE mlshare_share.token SET revoked = now()")
    unauthorized(ask)
    again = reader(demo.token())
    assert again("/shares").status_code == 200
    demo.provider.execute("CALL dbms_share.drop_recipient('READER')")
    unauthorized(again)
    assert requests.get(url, timeout=5).status_code == 403


def test_addresses(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    [url] = ask.files("DEMO.S.T")
    demo.admin.execute("UPDATE mlshare_share.recipient SET ip_list = '{10.0.0.0/8}'")
    unauthorized(ask)
    assert requests.get(url, timeout=5).status_code == 403
    # The test's own address is one that is believed, as a proxy on the same machine would be.
    assert ask("/shares", headers={"X-Forwarded-For": "10.1.2.3"}).status_code == 200
    assert ask("/shares", headers={"X-Forwarded-For": "11.1.2.3"}).status_code == 401
    for address in ("10.1.2.3.4", "'; DROP TABLE x; --", "::ffff:zz"):
        assert ask("/shares", headers={"X-Forwarded-For": address}).status_code == 401


def test_the_role_of_the_server_can_do_nothing_else(demo: Shop, server_role: str) -> None:
    connection = demo.db.connect(server_role)
    tables = demo.admin.execute(
        "SELECT c.oid::regclass::text FROM pg_class AS c WHERE relkind IN ('r', 'v', 'm', 'p', 'S') "
        "AND relnamespace IN ('mlshare_share'::regnamespace, %s::regnamespace)",
        (demo.owner,),
    ).fetchall()
    assert len(tables) > 15
    for (name,) in tables:
        if ".served_" not in name:
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                connection.execute(f"SELECT * FROM {name}")
    for statement in ("DELETE FROM mlshare_share.served_share", "TRUNCATE mlshare_share.token", "CREATE TABLE t ()"):
        with pytest.raises(psycopg.Error):
            connection.execute(statement)
    for routine in ("dbms_share.create_share('X')", "dbms_share.enable_schema('postgres')"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            connection.execute(f"CALL {routine}")
    with pytest.raises(psycopg.errors.InsufficientPrivilege):
        connection.execute("SELECT * FROM mlshare_share.reader_login(%s::regrole)", (demo.owner,))


# --- signed URLs -------------------------------------------------------------------------------------


def test_signed_urls_altered_in_every_part(demo: Shop, reader: Readers, http: HttpServer) -> None:
    [url] = reader(demo.token()).files("DEMO.S.T")
    [foreign] = reader(demo.token("OTHER")).files("SECRET.S.T")
    whole = requests.get(url, timeout=5).content
    parts = {name: values[0] for name, values in parse_qs(urlsplit(url).query).items()}
    assert set(parts) == {"sp", "r", "exp", "sig"}
    altered = [url.replace(parts["exp"], str(int(parts["exp"]) + 1)), url.replace("sp=r", "sp=rw"), url.split("?")[0]]
    altered += [url.replace(urlsplit(url).path, urlsplit(foreign).path)]
    altered += [url.replace(parts["r"], parse_qs(urlsplit(foreign).query)["r"][0])]
    altered += [url.replace(f"&{name}={parts[name]}", "").replace(f"?{name}={parts[name]}&", "?") for name in parts]
    altered += [url[:-1], url + "A", url.replace(parts["exp"], parts["exp"] + ".0"), url.replace(parts["exp"], "x")]
    # Each character of the signature, also the last, some of whose bits base64 does not use.
    signature = parts["sig"]
    altered += [url.replace(signature, signature[:n] + ("A" if c != "A" else "B") + signature[n + 1 :])
                for n, c in enumerate(signature)]  # fmt: skip
    both = urlsafe_b64encode(urlsafe_b64decode(signature + "=")).decode()
    altered += [url.replace(signature, both), url.upper().replace("HTTP://", "http://"), url.replace("sig=", "sig=%00")]
    for other in altered:
        assert other != url
        assert requests.get(other, timeout=5).status_code in (403, 404), other
    # A part that nobody signed changes nothing.
    assert requests.get(url + "&path=/etc/passwd", timeout=5).content == whole
    assert requests.put(url, data=b"x", timeout=5).status_code == 405


def test_a_signed_url_ends(demo: Shop, reader: Readers, http: HttpServer) -> None:
    [url] = reader(demo.token()).files("DEMO.S.T")
    [[secret]] = demo.admin.execute("SELECT value FROM mlshare_share.secret WHERE name = 'signing'")
    signer, name = Signer(bytes(secret)), Path(urlsplit(url).path).stem
    who = parse_qs(urlsplit(url).query)["r"][0]
    for seconds, status in ((60, 200), (0, 403), (-60, 403)):
        query = signer.file_query(name, who, int(time.time()) + seconds)
        assert requests.get(f"{url.split('?')[0]}?{query}", timeout=5).status_code == status
    demo.admin.execute('UPDATE mlshare_share.share SET properties = \'{"URL_LIFETIME": "1"}\'')
    [url] = reader(demo.token()).files("DEMO.S.T")
    time.sleep(2)
    assert requests.get(url, timeout=5).status_code == 403


@pytest.mark.parametrize(
    "path", ["../" * 8 + "etc/passwd", "/etc/passwd", "a/../../../../../etc/passwd", "link.parquet", "dir/x"]
)
def test_a_path_out_of_the_storage_is_not_followed(demo: Shop, reader: Readers, path: str, tmp_path: Path) -> None:
    """Not even when the database says so, or somebody puts a symbolic link where a file is looked for."""
    [url] = reader(demo.token()).files("DEMO.S.T")
    root = demo.place / demo.owner
    outside = tmp_path / "x"
    outside.write_bytes(b"secret")
    os.symlink("/etc/passwd", root / "link.parquet")
    os.symlink(tmp_path, root / "dir")
    demo.admin.execute("UPDATE mlshare_share.file SET path = %s WHERE share_id IN "
                       "(SELECT share_id FROM mlshare_share.share WHERE share_name = 'DEMO')", (path,))  # fmt: skip
    answer = requests.get(url, timeout=5)
    assert answer.status_code in (403, 404, 503) and b"root:" not in answer.content and b"secret" not in answer.content


@pytest.mark.parametrize("name", ["..%2f..%2fetc%2fpasswd", "%2e%2e/%2e%2e/x", "x.parquet", "%00.parquet", "a" * 5000])
def test_file_names_that_nobody_signed(demo: Shop, http: HttpServer, name: str) -> None:
    answer = requests.get(f"{http.url}/delta-sharing/files/{name}?sp=r&exp=99999999999&r=x&sig=x", timeout=5)
    assert answer.status_code in (403, 404)


def test_ranges(demo: Shop, reader: Readers) -> None:
    [url] = reader(demo.token()).files("DEMO.S.T")
    whole = requests.get(url, timeout=5)
    size = len(whole.content)
    assert whole.headers["accept-ranges"] == "bytes" and whole.content[:4] == whole.content[-4:] == b"PAR1"

    def get(wanted: str, **headers: str) -> requests.Response:
        return requests.get(url, headers={"Range": wanted, **headers}, timeout=5)

    good = [(f"bytes=0-{size}", 0, size - 1), ("bytes=4-7", 4, 7), ("bytes=-4", size - 4, size - 1)]
    good += [(f"bytes={size - 4}-", size - 4, size - 1), ("bytes=-9999999", 0, size - 1)]
    for wanted, first, last in good:
        answer = get(wanted)
        assert answer.status_code == 206 and answer.content == whole.content[first : last + 1]
        assert answer.headers["content-range"] == f"bytes {first}-{last}/{size}"
    assert get("bytes=4-7", **{"If-Range": '"other"'}).status_code == 200
    for wanted in (f"bytes={size}-", "bytes=-0", f"bytes={size + 9}-{size + 10}"):
        answer = get(wanted)
        assert answer.status_code == 416 and answer.headers["content-range"] == f"bytes */{size}"
    for wanted in (
        "bytes=x-y",
        "bytes=7-4",
        "bytes=0-1,4-5",
        "items=0-1",
        "bytes=-",
        "bytes=" + "9" * 40 + "-",
        "bytes=٣-",
    ):
        answer = requests.get(url, headers={"Range": wanted.encode()}, timeout=5)
        assert answer.status_code == 200 and answer.content == whole.content
    head = requests.head(url, timeout=5)
    assert head.headers["content-length"] == str(size) and head.content == b""


# --- activation --------------------------------------------------------------------------------------


def link_of(demo: Shop, http: HttpServer, recipient: str = "READER") -> str:
    asked = "SELECT dbms_share.get_activation_link(%s, base_endpoint => %s)"
    return demo.provider.execute(asked, (recipient, http.url)).fetchone()[0]


def test_activation_shows_then_gives_the_profile_once(demo: Shop, http: HttpServer) -> None:
    link = link_of(demo, http)
    for _ in range(3):
        page = requests.get(link, timeout=5)
        assert page.status_code == 200 and "Get Profile Information" in page.text and "READER" in page.text
        assert (
            page.headers["cache-control"] == "no-store"
            and "default-src 'none'" in page.headers["content-security-policy"]
        )
    answer = requests.post(link, timeout=5)
    assert 'filename="delta_share_profile.json"' in answer.headers["content-disposition"]
    profile = answer.json()
    assert profile["shareCredentialsVersion"] == 1 and re.fullmatch(r"\d{4}-.*Z", profile["expirationTime"])
    assert [
        item["name"] for item in Reader(profile["endpoint"], profile["bearerToken"])("/shares").json()["items"]
    ] == ["DEMO"]
    for again in (requests.get(link, timeout=5), requests.post(link, timeout=5)):
        assert again.status_code == 404 and "has been used" in again.text
    [[stored]] = demo.admin.execute("SELECT token_hash FROM mlshare_share.token")
    assert bytes(stored) == hash_of(profile["bearerToken"])


def test_a_hundred_at_once_get_one_profile(demo: Shop, http: HttpServer) -> None:
    link = link_of(demo, http)
    with ThreadPoolExecutor(100) as pool:
        answers = list(pool.map(lambda _: requests.post(link, timeout=60).status_code, range(100)))
    assert Counter(answers) == {200: 1, 404: 99}
    assert demo.admin.execute("SELECT count(*) FROM mlshare_share.token").fetchone() == (1,)


def test_activation_says_who_shares(demo: Shop, http: HttpServer) -> None:
    """As far as the provider has said it, and as text."""
    identity = "CALL dbms_share.set_published_identity(%s)"
    for value, shown in (
        (
            {"name": "The <b>garden</b>", "contact": "<script>"},
            "&lt;b&gt;garden&lt;/b&gt;</b> (&lt;script&gt;) shares data",
        ),
        ({"name": "The garden", "contact": ["x"]}, "<b>The garden</b> shares data with you. A profile"),
        ({"name": {"x": 1}}, "<p>A profile"),
        (None, "<p>A profile"),
    ):
        demo.provider.execute(identity, (value and json.dumps(value),))
        text = requests.get(link_of(demo, http), timeout=5).text
        assert shown in text and "<script>" not in text


def test_activation_links_that_are_not_good(demo: Shop, http: HttpServer) -> None:
    page, old = f"{http.url}/_adpshr/delta-sharing/download", link_of(demo, http)
    link = link_of(demo, http)
    assert requests.post(old, timeout=5).status_code == 404, "a new link makes the one before void"
    for key in ("", "?key=", "?key=x", "?key=" + "a" * 1000, "?key=%00", "?key=' OR true --", f"?key={link[-10:]}"):
        assert (
            requests.get(page + key, timeout=5).status_code == requests.post(page + key, timeout=5).status_code == 404
        )
    demo.admin.execute("UPDATE mlshare_share.activation SET expires = now() - interval '1 second' WHERE used IS NULL")
    assert requests.post(link, timeout=5).status_code == 404
    hostile = link_of(demo, http)
    demo.provider.execute("UPDATE mlshare_share.recipient SET recipient_name = '<script>alert(1)</script>' "
                          "WHERE recipient_name = 'READER'")  # fmt: skip
    assert "<script>" not in requests.get(hostile, timeout=5).text


# --- names and fuzz ----------------------------------------------------------------------------------

HOSTILE = ["' OR '1'='1", "DEMO'; DROP TABLE mlshare_share.share; --", "DEMO\x00", "%", "_", "D%", "DEMO\n", "../DEMO",
           "\\", "a" * 300, "😀", "\ud800", "DEMO ", "DEMO%00", "${7*7}", "{{7*7}}"]  # fmt: skip


@pytest.mark.parametrize("name", HOSTILE)
def test_sql_and_worse_in_names(demo: Shop, reader: Readers, name: str) -> None:
    ask = reader(demo.token())
    quoted = quote(name.encode("utf-8", "surrogatepass"), safe="")
    for path in (
        f"/shares/{quoted}",
        f"/shares/DEMO/schemas/{quoted}/tables",
        f"/shares/DEMO/schemas/S/tables/{quoted}/metadata",
    ):
        answer = ask(path)
        assert answer.status_code == 404 and answer.json()["errorCode"] == "RESOURCE_DOES_NOT_EXIST"


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
FIELDS = ["version", "timestamp", "startingVersion", "endingVersion", "limitHint", "maxFiles", "pageToken",
          "refreshToken", "includeRefreshToken", "predicateHints", "jsonPredicateHints", "x"]  # fmt: skip
HEADER = st.text(st.characters(min_codepoint=32, max_codepoint=255, blacklist_characters="\x7f"), max_size=60).map(
    str.strip
)
FUZZ = settings(max_examples=60, deadline=None, suppress_health_check=list(HealthCheck))


@FUZZ
@given(body=st.dictionaries(st.sampled_from(FIELDS), JSON, max_size=4), capabilities=HEADER, hashed=HEADER)
def test_fuzzed_queries_never_break_the_server(
    demo: Shop, reader: Readers, body: Any, capabilities: str, hashed: str
) -> None:
    ask = fuzzer(demo, reader)
    headers = {"delta-sharing-capabilities": capabilities.encode("latin1"), "fileidhash": hashed.encode("latin1")}
    answer = ask(TABLE + "/query", "POST", data=json.dumps(body), headers=headers)
    sound(answer)


PARAMETERS = st.dictionaries(st.text(max_size=15) | st.sampled_from(FIELDS), st.text(max_size=20), max_size=3)
METHODS = st.sampled_from(["GET", "POST", "HEAD", "PUT", "DELETE", "OPTIONS"])


@FUZZ
@given(path=st.text(max_size=30), query=PARAMETERS, method=METHODS)
def test_fuzzed_paths_never_break_the_server(demo: Shop, reader: Readers, path: str, query: Any, method: str) -> None:
    ask = fuzzer(demo, reader)
    place = "/".join(quote(part.encode("utf-8", "surrogatepass")) for part in path.split("/"))
    sound(ask(f"/shares/{place}", method, params=query))
    sound(ask(TABLE + "/metadata", "GET", params=query))


@FUZZ
@given(
    op=st.sampled_from(["and", "or", "not", "equal", "lessThan", "isNull", "column", "literal", "x"]),
    children=JSON,
    sql=st.text(max_size=60),
)
def test_fuzzed_predicates_never_break_the_server(
    demo: Shop, reader: Readers, op: str, children: Any, sql: str
) -> None:
    ask = fuzzer(demo, reader)
    body = {"jsonPredicateHints": json.dumps({"op": op, "children": children}), "predicateHints": [sql]}
    lines = ask.query("DEMO.S.T", body)
    assert len(lines) in (2, 3)


_tokens: dict[int, Reader] = {}


def fuzzer(demo: Shop, reader: Readers) -> Reader:
    """One client for all examples of a test."""
    if id(demo) not in _tokens:
        _tokens[id(demo)] = reader(demo.token())
    return _tokens[id(demo)]


def sound(answer: requests.Response) -> None:
    """An answer of the protocol: never the server's own failure."""
    assert answer.status_code < 500, answer.text
    if answer.status_code >= 400 and answer.request.method != "HEAD":
        assert set(answer.json()) == {"errorCode", "message"}
