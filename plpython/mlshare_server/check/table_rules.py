"""Rules about a table: version, metadata, files, formats."""

from __future__ import annotations

import json
import time
from typing import Any
from urllib.parse import parse_qs, urlsplit

from mlshare_server.check.client import Answer, send
from mlshare_server.check.rules import Advice, Broken, NotHere, Subject, about_table, error, need, status

CAPABILITIES = "delta-sharing-capabilities"
# delta-kernel opens a file's URL over HTTP only when its query has one of these.
KERNEL = {"x-amz-signature", "sp", "x-goog-credential", "x-oss-credential", "x-databricks-signature"}
DELTA = {CAPABILITIES: "responseformat=delta;readerfeatures=deletionvectors,columnmapping,timestampntz"}


def query(subject: Subject, body: Any = None, **headers: str) -> Answer:
    """A query that must succeed; headers with _ for -."""
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    answer = subject.client.table(
        subject.table, "query", method="POST", body={} if body is None else body, headers=named
    )
    status(answer, 200)
    return answer


def files(subject: Subject) -> list[dict[str, Any]]:
    """The files of the table in the format parquet."""
    answer = query(subject)
    if "parquet" not in answer.headers.get(CAPABILITIES, "responseformat=parquet").lower():
        raise NotHere("the table is not shared in the format parquet")
    return [line["file"] for line in answer.lines if "file" in line]


def first_file(subject: Subject) -> dict[str, Any]:
    """A file to try things on."""
    found = files(subject)
    if not found:
        raise NotHere("the table has no file")
    return found[0]


@about_table
def version(subject: Subject) -> None:
    """version, metadata and query agree in the header Delta-Table-Version"""
    answers = [subject.client.table(subject.table, "version"), subject.client.table(subject.table, "metadata")]
    numbers = [int(answer.headers["Delta-Table-Version"]) for answer in (*answers, query(subject))]
    need(answers[0].content == b"", "the answer of version has a body")
    need(len(set(numbers)) == 1, f"versions {numbers}")


@about_table
def metadata(subject: Subject) -> None:
    """metadata in the format parquet is two lines with all required fields"""
    answer = subject.client.table(subject.table, "metadata", headers={CAPABILITIES: "responseformat=parquet"})
    status(answer, 200)
    protocol, described = answer.lines
    need(protocol["protocol"]["minReaderVersion"] == 1, "minReaderVersion is not 1")
    inner = described["metaData"]
    need({"id", "format", "schemaString", "partitionColumns"} <= set(inner), f"only {', '.join(inner)}")
    schema = json.loads(inner["schemaString"])
    need(
        schema["type"] == "struct" and all(f["name"] and "type" in f and "nullable" in f for f in schema["fields"]),
        "schema",
    )
    need(inner["format"]["provider"] == "parquet", "provider is not parquet")


@about_table
def content_type(subject: Subject) -> None:
    """metadata and query are application/x-ndjson"""
    for answer in (subject.client.table(subject.table, "metadata"), query(subject)):
        kind = answer.headers.get_content_type()
        need(kind == "application/x-ndjson", f"content type {kind}")


@about_table
def delta_format(subject: Subject) -> None:
    """who asks for the format delta only gets it, and is told so in the header"""
    for answer in (subject.client.table(subject.table, "metadata", headers=DELTA), query(subject, **DELTA)):
        if answer.status != 200 or "delta" not in answer.headers.get(CAPABILITIES, ""):
            raise Advice("the server speaks parquet only")
        protocol, described, *rest = answer.lines
        need("minReaderVersion" in protocol["protocol"]["deltaProtocol"], "no deltaProtocol")
        need("schemaString" in described["metaData"]["deltaMetadata"], "no deltaMetadata")
        for one in rest:
            add = one["file"]["deltaSingleAction"]["add"]
            need(
                {"path", "size", "partitionValues", "modificationTime", "dataChange"} <= set(add),
                f"only {', '.join(add)}",
            )


@about_table
def kernel_urls(subject: Subject) -> None:
    """URLs of the format delta are such that delta-kernel opens them over HTTP"""
    lines = query(subject, **DELTA).lines
    for one in lines[2:]:
        if "deltaSingleAction" not in one.get("file", {}):
            raise NotHere("the table is not shared in the format delta")
        names = {name.lower() for name in parse_qs(urlsplit(one["file"]["deltaSingleAction"]["add"]["path"]).query)}
        if not names & KERNEL:
            raise Advice(f"none of {', '.join(sorted(KERNEL))} is in the URL's query")


@about_table
def no_surprises(subject: Subject) -> None:
    """a query has a line protocol, a line metaData, and then only files"""
    kinds = [next(iter(one)) for one in query(subject).lines]
    need(kinds[:2] == ["protocol", "metaData"], f"begins with {kinds[:2]}")
    need(set(kinds[2:]) <= {"file"}, f"lines {set(kinds[2:]) - {'file'}} that nobody asked for")


@about_table
def empty_body(subject: Subject) -> None:
    """a query with an empty object answers all files, each with all required fields"""
    for file in files(subject):
        need({"url", "id", "partitionValues", "size"} <= set(file), f"only {', '.join(file)}")
        if "expirationTimestamp" in file:
            need(file["expirationTimestamp"] > time.time() * 1000, "a URL has expired already")
        if "stats" in file:
            need("numRecords" in json.loads(file["stats"]), "stats without numRecords")


@about_table
def stable_ids(subject: Subject) -> None:
    """the ids of files are the same in each answer, and differ from each other"""
    first, second = ([file["id"] for file in files(subject)] for _ in range(2))
    need(sorted(first) == sorted(second), "they changed")
    need(len(set(first)) == len(first), "two files have the same")


@about_table
def parquet_file(subject: Subject) -> None:
    """a file's URL gives Parquet of exactly the size that was told"""
    file = first_file(subject)
    answer = send(file["url"])
    status(answer, 200)
    need(len(answer.content) == file["size"], f"{len(answer.content)} bytes in place of {file['size']}")
    need(answer.content[:4] == answer.content[-4:] == b"PAR1", "it is not Parquet")


@about_table
def ranges(subject: Subject) -> None:
    """a file's URL answers a Range with 206 and those bytes, as Spark and Polars need it"""
    answer = send(first_file(subject)["url"], headers={"Range": "bytes=0-3"})
    if answer.status == 200:
        raise Advice("the whole file is sent")
    status(answer, 206)
    need(answer.content == b"PAR1" and "Content-Range" in answer.headers, "other bytes, or no Content-Range")


@about_table
def altered_url(subject: Subject) -> None:
    """a file's URL without its query gives nothing"""
    url = first_file(subject)["url"]
    if "?" not in url:
        raise Advice("the URL is not signed")
    answer = send(url.split("?")[0])
    need(answer.status >= 400, f"status {answer.status}")


@about_table
def hints(subject: Subject) -> None:
    """hints that cannot be understood leave no file out, and limitHint keeps the answer in order"""
    everything = sorted(file["id"] for file in files(subject))
    for body in ({"jsonPredicateHints": "{"}, {"jsonPredicateHints": '{"op":"?"}'}, {"predicateHints": ["((("]}):
        found = sorted(one["file"]["id"] for one in query(subject, body).lines if "file" in one)
        need(found == everything, f"{len(found)} of {len(everything)} files with {body}")
    limited = [one["file"]["id"] for one in query(subject, {"limitHint": 1}).lines if "file" in one]
    need(set(limited) <= set(everything), "other files with a limit")


@about_table
def end_of_stream(subject: Subject) -> None:
    """who sends includeendstreamaction=true gets that line last, or the header says that there is none"""
    answer = query(subject, **{CAPABILITIES: "responseformat=parquet;includeendstreamaction=true"})
    promised = "includeendstreamaction=true" in answer.headers.get(CAPABILITIES, "").lower()
    present = [n for n, one in enumerate(answer.lines) if "endStreamAction" in one]
    need(present == ([len(answer.lines) - 1] if promised else []), f"promised: {promised}, lines: {present}")


@about_table
def contradictions(subject: Subject) -> None:
    """bodies that contradict themselves or are not JSON are answered with 400"""
    bodies = [{"version": 0, "timestamp": "2022-01-01T00:00:00Z"}, {"version": -1}, {"timestamp": "x"}, b"{", b"[]"]
    for body in bodies:
        error(subject.client.table(subject.table, "query", method="POST", body=body), 400)


@about_table
def changes(subject: Subject) -> None:
    """changes without a start, and of a table that does not have them, are answered with 400"""
    error(subject.client.table(subject.table, "changes"), 400)
    described = subject.client.table(subject.table, "metadata").lines[1]["metaData"]
    if not (described.get("configuration") or {}).get("enableChangeDataFeed"):
        error(subject.client.table(subject.table, "changes", startingVersion=0), 400)


@about_table
def since_version(subject: Subject) -> None:
    """a query with startingVersion gives files of that version and later ones, or is answered with 400"""
    latest = int(subject.client.table(subject.table, "version").headers["delta-table-version"])
    answer = subject.client.table(subject.table, "query", method="POST", body={"startingVersion": latest})
    if answer.status == 400:
        error(answer, 400)
        return
    status(answer, 200)
    told = [one for line in answer.lines for kind, one in line.items() if kind in ("add", "cdf", "remove", "file")]
    need(all(one.get("version", -1) >= latest for one in told), "a file has no version, or an earlier one")


@about_table
def any_case(subject: Subject) -> None:
    """names are found in whatever case"""
    turned = {name: subject.table[name].swapcase() for name in ("share", "schema", "name")}
    if subject.client.table(turned, "version").status != 200:
        raise Broken(f"{turned['share']}.{turned['schema']}.{turned['name']} is not found")
