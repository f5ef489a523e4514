"""Links to shares of others: what is asked of their servers, and how their tables become tables here."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from mlshare import db, errors, loading
from mlshare.shares import predicate, secret

MEMORY_MB = 4096
SECONDS = 3600
FILE_COLUMN = "mlshare_file"
_TYPES = {
    "long": "bigint",
    "integer": "integer",
    "short": "smallint",
    "byte": "smallint",
    "float": "real",
    "double": "double precision",
    "boolean": "boolean",
    "string": "text",
    "binary": "bytea",
    "date": "date",
    "timestamp": "timestamptz",
    "timestamp_ntz": "timestamp",
}


def provider(name: str | None) -> db.Row:
    """A provider of the caller. UnknownShareObject if there is none of that name."""
    return db.one("share_provider", name) or _unknown("share provider", name)


def link(name: str | None) -> db.Row:
    """A link of the caller with its provider. UnknownShareObject if there is none of that name."""
    return db.one("share_link", name) or _unknown("share link", name)


def view(name: str | None) -> db.Row:
    """A link view of the caller, by its name as in SQL. UnknownShareObject if it is none."""
    return (db.one("share_link_view", qualified(name)) if name else None) or _unknown("share link view", name)


def _unknown(kind: str, name: str | None) -> db.Row:
    raise errors.UnknownShareObject(kind=kind, name=name)


def qualified(name: str) -> str:
    """schema.view, quoted; without a schema the caller's own, or public."""
    parts = db.value("folded", name)
    return db.qualified(name) if len(parts) > 1 else ".".join(map(db.quote_ident, (db.value("default_schema"), *parts)))


def purpose(row: Mapping[str, Any]) -> tuple[str, str, str]:
    """What the token of a provider is sealed for."""
    return row["provider_name"], row["owner"], row["endpoint"]


def sealed(token: str, name: str, endpoint: str) -> bytes:
    """A token as it is stored."""
    return secret.seal(loading.key(), token, (name, db.current_user(), endpoint))


def ask(row: Mapping[str, Any], what: str, *place: str, **more: Any) -> Any:
    """Has a process beside the backend ask the server of a provider; its reply."""
    from mlshare import child

    token = secret.unseal(loading.key(), bytes(row["sealed_token"]), purpose(row))
    request = {"ask": what, "place": place, "endpoint": row["endpoint"], "token": token, **more}
    return child.run(
        "share",
        {**request, "private": bool(db.value("private_endpoints"))},
        memory_mb=MEMORY_MB,
        seconds=SECONDS,
        tick=db.check_interrupts,
        progress=lambda text, fraction: None,
    )


def sql_type(kind: Any) -> str:
    """PostgreSQL's type for one of Delta's; what has no counterpart is jsonb. KeyError for an unknown name."""
    if isinstance(kind, dict):
        inner = kind.get("elementType")
        plain = kind.get("type") == "array" and isinstance(inner, str)
        return f"{sql_type(inner)}[]" if plain else "jsonb"
    if kind.startswith("decimal("):
        precision, scale = (int(part) for part in kind[8:-1].split(","))
        return f"numeric({precision},{scale})"
    return _TYPES[kind]


def chosen(schema: Mapping[str, Any], columns: Sequence[str] | None, table: str) -> list[tuple[str, Any]]:
    """Name and Delta's type of the columns that are asked for, in their order. UnreadableColumn if one cannot be."""
    kinds = {field["name"]: field["type"] for field in schema["fields"]}
    names = list(kinds) if columns is None else [_named(name, kinds, table) for name in columns]
    for name in names:
        if len(name.encode()) > 63 or name == FILE_COLUMN or not name or "\0" in name:
            raise errors.UnreadableColumn(column=name, table=table, reason="its name is too long, or taken")
        try:
            sql_type(kinds[name])
        except (KeyError, ValueError, AttributeError, TypeError):
            reason = f"its type {str(kinds[name])[:60]} is not known"
            raise errors.UnreadableColumn(column=name, table=table, reason=reason) from None
    if not names:
        raise errors.UnreadableColumn(column="", table=table, reason="there is none")
    return [(name, kinds[name]) for name in names]


def _named(name: str, kinds: Mapping[str, Any], table: str) -> str:
    """A column by the name a user gives, in whatever case if it is the only one."""
    found = [known for known in kinds if known == name] or [k for k in kinds if k.lower() == name.lower()]
    if len(found) != 1:
        raise errors.UnreadableColumn(column=name, table=table, reason="there is no such column")
    return found[0]


def record(columns: Sequence[tuple[str, Any]]) -> str:
    """Columns with their types, as in CREATE TABLE."""
    return ", ".join(f"{db.quote_ident(name)} {sql_type(kind)}" for name, kind in columns)


def names(columns: Sequence[tuple[str, Any]]) -> str:
    """Columns without their types."""
    return ", ".join(db.quote_ident(name) for name, _ in columns)


# --- refreshing ------------------------------------------------------------------------------------


def refresh(row: db.Row) -> bool:
    """Brings a link view to the version that is served now; whether there was anything to do.

    Files that were there before are kept, only new ones are fetched; all of it is seen at once, at commit.
    """
    place = (row["share_name"], row["share_schema_name"], row["share_table_name"])
    known_version = row["table_version"]
    kinds = ask(row, "metadata", *place).result
    # A share that was made again, or is another provider's, may have a version of the same number.
    same = row["table_id"] == kinds["id"] and known_version is not None
    if same and ask(row, "version", *place).result["version"] == known_version:
        return False
    table = ".".join(place)
    columns = chosen(kinds, row["column_names"], table)
    by_name = {field["name"]: field["type"] for field in kinds["fields"]}
    found = predicate.conditions(row["where_clause"], by_name)
    answer = ask(row, "query", *place, hints=predicate.hints(found, by_name)).result
    files = {file["id"]: file for file in answer["files"]}
    table_id = answer["schema"]["id"]
    known = set(row["file_ids"] or ())
    kept = known & files.keys() if row["table_id"] in (None, table_id) else set()
    if gone := sorted(known - kept):
        db.query("delete_link_files", gone, data=row["data"])
    for name in [name for name in files if name not in kept]:
        _load(row, files[name], columns, found)
    db.query("update_link_view", row["view_id"], answer["version"], table_id, sorted(files), len(files))
    db.run("analyze_link_data", data=row["data"])
    return True


def _load(row: db.Row, file: dict[str, Any], columns: list[tuple[str, Any]], found: list[predicate.Condition]) -> None:
    """The rows of one file, as far as the view's condition wants them."""
    parts = {"data": row["data"], "columns": names(columns), "record": record(columns)}
    parts["condition"] = row["where_clause"] or "true"
    for text in _texts(row, file, [name for name, _ in columns], found):
        db.query("insert_link_rows", text, file["id"], **parts)
        db.check_interrupts()


def _texts(row: db.Row, file: dict[str, Any], wanted: list[str], found: list[predicate.Condition]) -> Iterator[str]:
    """JSON arrays of rows of a file."""
    reply = ask(row, "rows", file=file, columns=wanted, conditions=found)
    if reply.result["batches"]:
        yield from (line.decode() for line in reply.blob.split(b"\n"))


def profile(given: str | None) -> dict[str, Any]:
    """A profile file's content. InvalidProfile if a token cannot be taken from it."""
    try:
        found = json.loads(given or "null")
    except ValueError:
        raise errors.InvalidProfile(reason="it is not JSON") from None
    if not isinstance(found, dict):
        raise errors.InvalidProfile(reason="it is not a JSON object")
    if found.get("shareCredentialsVersion") != 1:
        raise errors.InvalidProfile(reason="only shareCredentialsVersion 1, with a bearer token, can be used")
    for name in ("endpoint", "bearerToken"):
        if not isinstance(found.get(name), str) or not found[name] or any(c <= " " for c in found[name]):
            raise errors.InvalidProfile(reason=f"{name} is missing, or not one word")
    return found
