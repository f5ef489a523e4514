"""Running the server: audit, logs, metrics, graceful end, a database that goes away, S3."""

from __future__ import annotations

import json
import logging
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pyarrow as pa
import pytest
import requests

from fix_http import HttpServer, Reader, Shop
from mlshare_server.server.endpoint import JsonLines
from mlshare_tools.build import CHECKOUT

Readers = Callable[[str], Reader]
TABLE = "/shares/DEMO/schemas/S/tables/T"
EVENTS = (
    "SELECT endpoint, status, share_name, table_name, share_version, num_files, size > 0 "
    "FROM mlshare_share.recipient_event ORDER BY event_id"
)


@pytest.fixture
def demo(shop: Shop) -> Shop:
    """Share DEMO with one table."""
    shop.share()
    shop.publish("DEMO", {"S.T": [pa.table({"n": list(range(1000))})]})
    return shop


def events(demo: Shop, count: int) -> list[Any]:
    """What was kept, once it is so much: it is written after the client has its answer."""
    deadline = time.monotonic() + 5
    while len(found := demo.admin.execute(EVENTS).fetchall()) < count:
        assert time.monotonic() < deadline, found
        time.sleep(0.01)
    return found


def test_each_request_of_a_recipient_is_kept(demo: Shop, reader: Readers) -> None:
    ask = reader(demo.token())
    ask("/shares")
    events(demo, 1)
    [url] = ask.files("DEMO.S.T")
    events(demo, 2)
    requests.get(url, timeout=5)
    ask("/shares/NO\x01'--")
    assert events(demo, 3) == [
        ("list_shares", 200, None, None, None, None, None),
        ("query_table", 200, "DEMO", "T", 1, 1, True),
        ("get_share", 404, "?", None, None, None, None),
    ]
    demo.provider.execute("CALL dbms_share.set_recipient_log_level('READER', 2)")
    requests.get(url, timeout=5)
    assert events(demo, 4)[3:] == [("file", 200, None, None, None, 1, True)]
    demo.provider.execute("CALL dbms_share.set_recipient_log_level('READER', 0)")
    ask("/shares")
    ask("/shares/NO")
    assert [row[:2] for row in events(demo, 5)[4:]] == [("get_share", 404)]
    mine = demo.provider.execute("SELECT count(*) FROM sys.user_share_recipient_events").fetchone()
    assert mine == (5,)


def test_logs_are_lines_of_json_without_secrets(
    demo: Shop, reader: Readers, http: HttpServer, caplog: pytest.LogCaptureFixture
) -> None:
    token = demo.token()
    ask = reader(token)
    with caplog.at_level(logging.INFO, "mlshare_server"):
        [url] = ask.files("DEMO.S.T")
        requests.get(url, timeout=5)
        link = demo.provider.execute(
            "SELECT dbms_share.get_activation_link('READER', base_endpoint => %s)", (http.url,)
        ).fetchone()[0]
        profile = requests.post(link, timeout=5).json()
        reader("wrong" + token)("/shares")
        # Like the audit, a line is written after the client has its answer.
        deadline = time.monotonic() + 5
        while sum(record.name == "mlshare_server" for record in caplog.records) < 4 and time.monotonic() < deadline:
            time.sleep(0.01)
    text = "\n".join(JsonLines().format(record) for record in caplog.records if record.name == "mlshare_server")
    lines = [json.loads(line) for line in text.splitlines()]
    assert sorted(line["endpoint"] for line in lines) == ["activate", "file", "list_shares", "query_table"]
    lines.sort(key=lambda line: line["endpoint"] != "query_table")
    assert lines[0]["recipient"] == "READER" and lines[0]["status"] == 200 and lines[0]["seconds"] > 0
    for secret in (token, url.split("sig=")[1], link.split("key=")[1], profile["bearerToken"]):
        assert secret not in text


def test_metrics(demo: Shop, reader: Readers, http: HttpServer) -> None:
    ask = reader(demo.token())
    ask("/shares")
    ask("/shares/NO")
    events(demo, 2)
    text = requests.get(http.url + "/metrics", timeout=5).text
    assert 'mlshare_requests_total{endpoint="list_shares",status="200"} 1.0' in text
    assert 'mlshare_requests_total{endpoint="get_share",status="404"} 1.0' in text
    assert 'mlshare_request_seconds_count{endpoint="list_shares"} 1.0' in text


def test_it_survives_the_loss_of_its_connections(
    demo: Shop, reader: Readers, http: HttpServer, server_role: str
) -> None:
    ask = reader(demo.token())
    for _ in range(3):
        assert ask("/shares").status_code == 200
        ended = demo.admin.execute(
            "SELECT count(pg_terminate_backend(pid)) FROM pg_stat_activity WHERE usename = %s", (server_role,)
        ).fetchone()
        assert ended[0] >= 1


@pytest.fixture
def command(demo: Shop, server_role: str) -> Iterator[tuple[subprocess.Popen[str], str]]:
    """mlshare-server serve as a process; its address."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    words = [sys.executable, "-m", "mlshare_server", "serve", demo.db.dsn_of(server_role), "--port", str(port)]
    environment = {"PYTHONPATH": str(CHECKOUT / "plpython"), "PATH": "/usr/bin:/bin"}
    process = subprocess.Popen([*words, "--prefix", "/data"], env=environment, stderr=subprocess.PIPE, text=True)
    url = f"http://127.0.0.1:{port}"
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            if requests.get(url + "/data/health", timeout=1).ok:
                break
        except requests.ConnectionError:
            assert process.poll() is None, process.stderr.read()
            time.sleep(0.1)
    yield process, url
    process.kill()
    process.communicate()


def test_the_command_ends_gracefully(demo: Shop, command: tuple[subprocess.Popen[str], str]) -> None:
    """A download that runs when SIGTERM comes is finished; below a prefix, URLs carry it."""
    process, url = command
    demo.publish(
        "DEMO", {"S.T": [pa.table({"b": [bytes([n % 251]) * 1_000_000 for n in range(40)]})]}, compression="none"
    )
    ask = Reader(f"{url}/data/delta-sharing", demo.token())
    [file] = ask.files("DEMO.S.T")
    assert urlsplit(file).path.startswith("/data/delta-sharing/files/")
    whole = requests.get(file, timeout=30).content
    with requests.get(file, stream=True, timeout=30) as answer:
        first = next(answer.iter_content(1000))
        process.send_signal(signal.SIGTERM)
        time.sleep(0.5)
        with pytest.raises(requests.ConnectionError):
            ask("/shares")
        rest = b"".join(answer.iter_content(1 << 20))
    assert first + rest == whole
    assert process.wait(20) == -signal.SIGTERM
    lines = [json.loads(line) for line in process.stderr.read().splitlines()]
    assert {line["event"] for line in lines} >= {"request"}


@pytest.fixture
def s3() -> Iterator[str]:
    """An S3 server with a bucket."""
    import boto3
    from moto.server import ThreadedMotoServer

    running = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    url = f"http://{host}:{port}"
    client = boto3.client(
        "s3", endpoint_url=url, region_name="us-east-1", aws_access_key_id="x", aws_secret_access_key="y"
    )
    client.create_bucket(Bucket="shares")
    yield url
    running.stop()


@pytest.mark.usefixtures("worker")
def test_s3_gives_its_files_itself(shop: Shop, s3: str, reader: Readers, run_client: Any) -> None:
    shop.admin.execute("CALL dbms_share.update_default_share_property('private_endpoints', 'true')")
    shop.provider.execute("CREATE TABLE t AS SELECT n, 'row ' || n AS text FROM generate_series(1, 1000) AS n")
    shop.provider.execute("CALL dbms_share.create_credential('KEYS', 'x', 'y')")
    place = json.dumps({"endpoint": s3, "region": "us-east-1"})
    shop.provider.execute(
        "CALL dbms_share.create_cloud_storage_link('BUCKET', 's3://shares/here', metadata => %s)", (place,)
    )
    shop.provider.execute("CALL dbms_share.set_storage_credential('BUCKET', 'KEYS')")
    shop.provider.execute("CALL dbms_share.create_share('CLOUD', storage_link_name => 'BUCKET')")
    shop.provider.execute("CALL dbms_share.add_to_share('CLOUD', 't')")
    shop.provider.execute("CALL dbms_share.publish_share_wait('CLOUD')")
    shop.recipient("READER")
    shop.provider.execute("CALL dbms_share.grant_to_recipient('CLOUD', 'READER')")
    ask = reader(shop.token())
    [table] = ask("/shares/CLOUD/all-tables").json()["items"]
    name = f"CLOUD.{table['schema']}.{table['name']}"
    [url] = ask.files(name)
    assert url.startswith(s3) and "X-Amz-Signature" in url and requests.get(url, timeout=5).content[:4] == b"PAR1"
    lines = "import delta_sharing\nframe = delta_sharing.load_as_pandas(profile + '#' + name, use_delta_format=delta)\n"
    for delta in (False, True):
        found = run_client(ask.profile, lines + "result = [len(frame), int(frame.n.sum())]", name=name, delta=delta)
        assert found == [1000, 500500]


def test_a_slow_client_holds_no_connection(demo: Shop, reader: Readers, http: HttpServer, server_role: str) -> None:
    """Downloads that nobody reads leave the database's connections free."""
    demo.publish(
        "DEMO", {"S.T": [pa.table({"b": [bytes([n % 251]) * 1_000_000 for n in range(20)]})]}, compression="none"
    )
    ask = reader(demo.token())
    [url] = ask.files("DEMO.S.T")
    slow = [requests.get(url, stream=True, timeout=30) for _ in range(30)]
    started = time.monotonic()
    assert all(ask("/shares").status_code == 200 for _ in range(10)) and time.monotonic() - started < 5
    busy = "SELECT count(*) FROM pg_stat_activity WHERE usename = %s AND state <> 'idle'"
    # What the last request left to be logged may still be on its way.
    while demo.admin.execute(busy, (server_role,)).fetchone() != (0,):
        assert time.monotonic() - started < 10
        time.sleep(0.05)
    for answer in slow:
        answer.close()
