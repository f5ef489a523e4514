"""Objects in an S3 bucket, or in anything that speaks its protocol."""

from __future__ import annotations

import ipaddress
import socket
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from typing import IO, Any, BinaryIO, cast
from urllib.parse import urlsplit

from mlshare_server.errors import StorageError, StorageRefused
from mlshare_server.storage import Access

# A file is kept in memory up to this size and on disk above it until it is sent.
SPOOL = 8 << 20


def check_endpoint(uri: str, endpoint: str) -> None:
    """Refuse an endpoint that is not http(s), or whose host is in a private network or on this machine."""
    parts = urlsplit(endpoint)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise StorageRefused(uri=uri, reason=f'"{endpoint}" is no http address')
    try:
        found = socket.getaddrinfo(parts.hostname, parts.port or 443, type=socket.SOCK_STREAM)
    except OSError as error:
        raise StorageError(uri=uri, reason=f"{parts.hostname}: {error}") from error
    for *_, address in found:
        if not ipaddress.ip_address(address[0]).is_global:
            hint = "An administrator can set private_endpoints to true."
            raise StorageRefused(uri=uri, reason=f"{parts.hostname} is in a private network", hint=hint)


class S3Storage:
    """A storage link s3://bucket/prefix/."""

    def __init__(self, access: Access, *, private_endpoints: bool = False) -> None:
        import boto3
        from botocore.config import Config

        self.uri = access.uri
        parts = urlsplit(access.uri)
        self.bucket, self.prefix = parts.netloc, parts.path.lstrip("/")
        endpoint = access.metadata.get("endpoint")
        if endpoint and not private_endpoints:
            check_endpoint(access.uri, str(endpoint))
        # Never credentials that this machine has for itself.
        if not access.username or not access.password:
            raise StorageRefused(
                uri=access.uri, reason="it has no credential", hint="dbms_share.set_storage_credential"
            )
        self.client: Any = boto3.session.Session().client(
            "s3",
            endpoint_url=endpoint,
            region_name=access.metadata.get("region", "us-east-1"),
            aws_access_key_id=access.username,
            aws_secret_access_key=access.password,
            config=Config(
                signature_version="s3v4", retries={"max_attempts": 5, "mode": "standard"}, connect_timeout=10
            ),
        )

    def _named(self, path: str) -> dict[str, str]:
        return {"Bucket": self.bucket, "Key": self.prefix + path}

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        # An object appears whole or not at all; the spool lets a failed file cost no request.
        with tempfile.SpooledTemporaryFile(SPOOL) as file:
            yield cast(BinaryIO, file)
            file.seek(0)
            self.client.upload_fileobj(cast(IO[Any], file), self.bucket, self.prefix + path)

    def open(self, path: str) -> BinaryIO:
        file = tempfile.SpooledTemporaryFile(SPOOL)  # noqa: SIM115 - the caller closes it
        file.write(self.read(path))
        file.seek(0)
        return cast(BinaryIO, file)

    def read(self, path: str) -> bytes:
        return bytes(self.client.get_object(**self._named(path))["Body"].read())

    def size(self, path: str) -> int:
        from botocore.exceptions import ClientError

        try:
            return int(self.client.head_object(**self._named(path))["ContentLength"])
        except ClientError as error:
            if error.response["ResponseMetadata"]["HTTPStatusCode"] == 404:
                raise FileNotFoundError(path) from error
            raise

    def delete(self, path: str) -> None:
        self.client.delete_object(**self._named(path))

    def sign(self, path: str, seconds: int) -> str | None:
        return str(self.client.generate_presigned_url("get_object", Params=self._named(path), ExpiresIn=seconds))
