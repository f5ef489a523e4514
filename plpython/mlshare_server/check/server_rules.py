"""Rules about a server as a whole: tokens, lists, pages, names."""

from __future__ import annotations

from dataclasses import replace
from uuid import UUID

from mlshare_server.check.rules import Advice, NotHere, Subject, about_server, error, need, pages, status

NOBODY = "mlshare-check-no-such-name"


@about_server
def no_token(subject: Subject) -> None:
    """a request without a token is answered with 401"""
    status(replace(subject.client, token=None)("shares"), 401)


@about_server
def wrong_token(subject: Subject) -> None:
    """a token that nobody was given, or a part of one, is answered with 401 or 403"""
    token = subject.client.token or ""
    for wrong in (NOBODY, token[:-1], token + "x"):
        status(replace(subject.client, token=wrong)("shares"), 401, 403)


@about_server
def lists_shares(subject: Subject) -> None:
    """GET /shares gives JSON with items that have a name"""
    answer = subject.client("shares")
    status(answer, 200)
    need(answer.headers.get_content_type() == "application/json", f"content type {answer.headers.get_content_type()}")
    subject.shares[:] = list(pages(subject.client, "shares"))
    need(all(isinstance(share["name"], str) for share in subject.shares), "a share has no name")


@about_server
def share_ids(subject: Subject) -> None:
    """shares and tables have UUIDs as ids, as some clients insist"""
    items = [*subject.shares, *pages(subject.client, "shares", subject.share, "all-tables")]
    for item in items:
        try:
            UUID(item.get("id", ""))
        except ValueError:
            raise Advice(f"{item['name']} has the id {item.get('id')!r}") from None


@about_server
def get_share(subject: Subject) -> None:
    """GET /shares/{share} gives the share, in whatever case it is asked for"""
    for name in (subject.share, subject.share.upper(), subject.share.lower()):
        answer = subject.client("shares", name)
        status(answer, 200)
        need(answer.json["share"]["name"].lower() == name.lower(), "it is another share")


@about_server
def unknown_share(subject: Subject) -> None:
    """a share that does not exist is answered with 404 and an error body"""
    for rest in ((), ("schemas",), ("all-tables",), ("schemas", NOBODY, "tables")):
        error(subject.client("shares", NOBODY, *rest), 404)


@about_server
def unknown_table(subject: Subject) -> None:
    """a table that does not exist is answered with 404 and an error body"""
    path = ("shares", subject.share, "schemas", NOBODY, "tables", NOBODY)
    for name in ("version", "metadata"):
        error(subject.client(*path, name), 404)
    error(subject.client(*path, "query", method="POST", body={}), 404)


@about_server
def paging(subject: Subject) -> None:
    """pages of one item give the same list as a large page"""
    for path in (("shares",), ("shares", subject.share, "schemas"), ("shares", subject.share, "all-tables")):
        whole = [item["name"] for item in pages(subject.client, *path)][:50]
        single = [item["name"] for item, _ in zip(pages(subject.client, *path, size=1), range(50), strict=False)]
        need(single == whole, f"{'/'.join(path)}: {len(single)} items page by page, {len(whole)} at once")


@about_server
def no_results(subject: Subject) -> None:
    """maxResults=0 gives no item"""
    answer = subject.client("shares", maxResults=0)
    status(answer, 200)
    need(not answer.json.get("items"), "there are items")


@about_server
def bad_paging(subject: Subject) -> None:
    """a page token that the server did not make, and a negative maxResults, are answered with 400"""
    error(subject.client("shares", pageToken=NOBODY), 400)
    error(subject.client("shares", maxResults=-1), 400)


@about_server
def foreign_page_token(subject: Subject) -> None:
    """a page token of another list is answered with 400"""
    token = subject.client("shares", maxResults=0).json.get("nextPageToken")
    if not token:
        raise NotHere("the server gives no token with maxResults=0")
    error(subject.client("shares", subject.share, "schemas", pageToken=token), 400)


@about_server
def schemas_and_tables(subject: Subject) -> None:
    """the tables of all schemas are those of all-tables, and each names its share and its schema"""
    listed = {(t["schema"], t["name"]) for t in pages(subject.client, "shares", subject.share, "all-tables")}
    walked = set()
    for schema in pages(subject.client, "shares", subject.share, "schemas"):
        need(schema["share"].lower() == subject.share.lower(), f"schema {schema['name']} names another share")
        for table in pages(subject.client, "shares", subject.share, "schemas", schema["name"], "tables"):
            need(table["share"].lower() == subject.share.lower(), f"table {table['name']} names another share")
            walked.add((table["schema"], table["name"]))
    need(walked == listed, f"{len(walked)} by schema, {len(listed)} in all-tables")
