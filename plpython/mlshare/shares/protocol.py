"""The Delta Sharing protocol as a reader uses it: lists, and the files of a table in either format."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from mlshare import errors
from mlshare.shares.web import Answer, Web

LIST_BYTES = 16 << 20
LINES_BYTES = 512 << 20
MOST_PAGES = 10_000
CAPABILITIES = {"delta-sharing-capabilities": "responseformat=delta,parquet;readerfeatures=timestampntz"}


class Provider:
    """A server and the token for it."""

    def __init__(self, endpoint: str, token: str, private: bool) -> None:
        self.web = Web(private)
        self._endpoint, self._token = endpoint.rstrip("/"), token
        self._host = urlsplit(endpoint).hostname or endpoint

    def shares(self) -> list[dict[str, Any]]:
        """The shares that the token is good for."""
        return list(self._items("shares"))

    def tables(self, share: str) -> list[dict[str, Any]]:
        """The tables of a share; servers without all-tables are walked schema by schema."""
        try:
            return list(self._items("shares", share, "all-tables"))
        except errors.ShareNotFound:
            schemas = [item["name"] for item in self._items("shares", share, "schemas")]
            return [table for name in schemas for table in self._items("shares", share, "schemas", name, "tables")]

    def version(self, share: str, schema: str, table: str) -> int:
        """The number of the table's current version."""
        answer = self._ask("shares", share, "schemas", schema, "tables", table, "version")
        return self._version(answer)

    def metadata(self, share: str, schema: str, table: str) -> dict[str, Any]:
        """Delta's schema of the table, and its id: another table of the same name has another."""
        answer = self._ask("shares", share, "schemas", schema, "tables", table, "metadata", headers=CAPABILITIES)
        return self._schema(self._lines(answer))

    def query(self, share: str, schema: str, table: str, hints: Mapping[str, Any]) -> dict[str, Any]:
        """Version, schema and files of a table; hints may leave files out."""
        names = ("shares", share, "schemas", schema, "tables", table, "query")
        headers = {**CAPABILITIES, "Content-Type": "application/json; charset=utf-8"}
        answer = self._ask(*names, method="POST", body=json.dumps(hints).encode(), headers=headers, most=LINES_BYTES)
        lines = self._lines(answer)
        files = [self._file(line["file"]) for line in lines if "file" in line]
        return {"version": self._version(answer), "schema": self._schema(lines), "files": files}

    def _file(self, file: Mapping[str, Any]) -> dict[str, Any]:
        action = file.get("deltaSingleAction", {}).get("add", {})
        if action.get("deletionVector"):
            raise errors.ShareServerError(host=self._host, reason="the table has deletion vectors")
        values = action.get("partitionValues", file.get("partitionValues")) or {}
        return {"id": str(file["id"]), "url": str(action.get("path", file.get("url"))), "partition": values}

    def _schema(self, lines: list[dict[str, Any]]) -> dict[str, Any]:
        try:
            described = next(line["metaData"] for line in lines if "metaData" in line)
            told = described.get("deltaMetadata", described)
            fields = json.loads(told["schemaString"])["fields"]
            return {"id": str(told.get("id")), "fields": [{"name": str(f["name"]), "type": f["type"]} for f in fields]}
        except (StopIteration, KeyError, TypeError, ValueError) as error:
            raise errors.ShareServerError(host=self._host, reason="its metadata cannot be read") from error

    def _version(self, answer: Answer) -> int:
        try:
            return int(answer.headers["Delta-Table-Version"])
        except (TypeError, ValueError):
            raise errors.ShareServerError(host=self._host, reason="it does not say which version it serves") from None

    def _lines(self, answer: Answer) -> list[dict[str, Any]]:
        try:
            lines = [json.loads(line) for line in answer.body.split(b"\n") if line.strip()]
            failed = [line["endStreamAction"].get("errorMessage") for line in lines if "endStreamAction" in line]
        except (ValueError, TypeError, AttributeError) as error:
            raise errors.ShareServerError(host=self._host, reason="its answer is not ndjson") from error
        if any(failed):
            raise errors.ShareServerError(host=self._host, reason=str(failed[0])[:500])
        return lines

    def _items(self, *names: str) -> Iterator[dict[str, Any]]:
        token = None
        for _ in range(MOST_PAGES):
            answer = self._ask(*names, query={"pageToken": token} if token else {})
            try:
                page = json.loads(answer.body)
                yield from page.get("items") or []
                token = page.get("nextPageToken")
            except (ValueError, AttributeError) as error:
                raise errors.ShareServerError(host=self._host, reason="its list is not JSON") from error
            if not token:
                return

    def _ask(
        self, *names: str, query: Mapping[str, str] | None = None, headers: Mapping[str, str] | None = None,
        method: str = "GET", body: bytes | None = None, most: int = LIST_BYTES,
    ) -> Answer:  # fmt: skip
        path = "/".join(quote(name, safe="") for name in names)
        url = f"{self._endpoint}/{path}" + (f"?{urlencode(query)}" if query else "")
        named = {"Authorization": f"Bearer {self._token}", "User-Agent": "mlshare", **(headers or {})}
        answer = self.web.request(url, method=method, body=body, headers=named, most=most)
        if answer.status == 404:
            raise errors.ShareNotFound(name=".".join(name for name in names[1::2] if name), detail=_message(answer))
        if answer.status in (401, 403):
            raise errors.TokenRefused(host=self._host, detail=_message(answer))
        if answer.status != 200:
            raise errors.ShareServerError(host=self._host, reason=f"status {answer.status}", detail=_message(answer))
        return answer


def _message(answer: Answer) -> str | None:
    """What the server says about an error, if it says it as the protocol has it."""
    try:
        return str(json.loads(answer.body)["message"])[:500]
    except (ValueError, KeyError, TypeError):
        return None
