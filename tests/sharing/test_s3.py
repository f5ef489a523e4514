"""Publishing to S3: a real HTTP server that speaks its protocol."""

from __future__ import annotations

import io
import logging
import urllib.request
from collections.abc import Callable, Iterator

import boto3
import psycopg
import pyarrow.parquet as pq
import pytest
from moto.server import ThreadedMotoServer
from psycopg.types.json import Jsonb

from fix_db import Database
from mlshare_server.storage import Access, open_storage
from sharing.conftest import setting, wait_for
from sharing.test_provider_sql import one, refused, rows
from sharing.test_publish import publish

Provider = Callable[..., psycopg.Connection]


@pytest.fixture(scope="module")
def endpoint() -> Iterator[str]:
    """The address of an S3 server with the bucket "shares"."""
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    server.start()
    address = "http://{}:{}".format(*server.get_host_and_port())
    client(address).create_bucket(Bucket="shares")
    yield address
    server.stop()


def client(address: str) -> object:
    """A client of one's own."""
    secret = {"aws_access_key_id": "key", "aws_secret_access_key": "secret", "region_name": "us-east-1"}
    return boto3.client("s3", endpoint_url=address, **secret)


def keys(address: str) -> list[str]:
    """What lies in the bucket."""
    return [entry["Key"] for entry in client(address).list_objects_v2(Bucket="shares").get("Contents", ())]


@pytest.fixture
def owner(provider: Provider, sharing: Database, endpoint: str) -> psycopg.Connection:
    """A provider whose share S goes to the bucket."""
    with sharing.connect() as admin:
        setting(admin, "private_endpoints", "true")
    connection = provider()
    link = "CALL dbms_share.create_cloud_storage_link('s3', 's3://shares/below', metadata => %s)"
    connection.execute(link, (Jsonb({"endpoint": endpoint, "region": "us-east-1"}),))
    connection.execute("CALL dbms_share.create_credential('c', 'key', 'secret')")
    connection.execute("CALL dbms_share.set_storage_credential('s3', 'c')")
    connection.execute("CREATE TABLE t AS SELECT n AS id FROM generate_series(1, 1000) AS n")
    connection.execute(
        "CALL dbms_share.create_share('s', storage_link_name => 's3'); CALL dbms_share.add_to_share('s', 't')"
    )
    return connection


@pytest.mark.usefixtures("worker")
def test_a_version_in_a_bucket(owner: psycopg.Connection, endpoint: str) -> None:
    passed = dict.fromkeys(("READ", "WRITE", "CREATE_PAR", "DELETE_PAR", "DELETE"), "PASSED")
    assert one(owner, "CALL dbms_share.validate_share_storage('s3')") == passed
    publish(owner)
    ((name, size),) = rows(owner, "SELECT file_name, file_size FROM sys.user_share_files")
    assert keys(endpoint) == [f"below/{name}"]
    metadata = {"endpoint": endpoint, "region": "us-east-1"}
    storage = open_storage(Access("s3://shares/below/", "key", "secret", metadata), private_endpoints=True)
    assert storage.size(name) == size
    with urllib.request.urlopen(storage.sign(name, 60)) as answer:
        assert pq.read_table(io.BytesIO(answer.read())).num_rows == 1000
    owner.execute("CALL dbms_share.drop_share('s')")
    wait_for(lambda: keys(endpoint) == [])


@pytest.mark.usefixtures("worker")
def test_storage_that_refuses(owner: psycopg.Connection, sharing: Database, endpoint: str) -> None:
    link = "CALL dbms_share.create_or_replace_cloud_storage_link('s3', 's3://none/', metadata => %s)"
    owner.execute(link, (Jsonb({"endpoint": endpoint}),))
    assert "NoSuchBucket" in one(owner, "CALL dbms_share.validate_share_storage('s3')")["WRITE"]
    refused(owner, "ML632", "CALL dbms_share.publish_share_wait('s')")
    assert rows(owner, "SELECT status FROM sys.user_share_versions") == [("FAILED",)]
    owner.execute("CALL dbms_share.set_storage_credential('s3', NULL)")
    assert "no credential" in str(refused(owner, "ML621", "CALL dbms_share.publish_share_wait('s')"))
