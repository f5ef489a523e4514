"""Reading shares of others: providers, links, and views whose rows come through links.

Few sessions do, so what it takes is imported by those that do.
"""

from __future__ import annotations

from mlshare import db, errors
from mlshare.routines.boundary import routine


@routine
def create_share_provider(provider_name: str | None, endpoint: str | None, share_profile: str | None) -> None:
    from mlshare import links

    name = db.value("name_of_share_object", "share provider", provider_name)
    place, token = _credential(endpoint, share_profile)
    if db.one("share_provider", provider_name):
        db.query("share_object_taken", "share provider", name)
    db.query("insert_share_provider", name, place, links.sealed(token, name, place))


@routine
def set_share_provider_credential(share_provider: str | None, share_profile: str | None) -> None:
    from mlshare import links

    row = links.provider(share_provider)
    place, token = _credential(None, share_profile)
    db.query("update_share_provider", row["provider_id"], place, links.sealed(token, row["provider_name"], place))


def _credential(endpoint: str | None, share_profile: str | None) -> tuple[str, str]:
    """Endpoint and token; the endpoint must be one that a token may be sent to."""
    from mlshare import links
    from mlshare.shares.web import allowed_place

    profile = links.profile(share_profile)
    place = (endpoint or profile["endpoint"]).rstrip("/")
    allowed_place(place, bool(db.value("private_endpoints")))
    return place, profile["bearerToken"]


@routine
def discover_available_shares(share_provider: str | None) -> list[tuple[str, str | None]]:
    from mlshare import links

    found = links.ask(links.provider(share_provider), "shares").result["items"]
    return [(str(item["name"]), item.get("comment")) for item in found]


@routine
def discover_available_tables(share_provider: str | None, share_name: str | None) -> list[tuple[str, str, str]]:
    from mlshare import links

    row = links.provider(share_provider)
    wanted = [share_name] if share_name else [item["name"] for item in links.ask(row, "shares").result["items"]]
    tables = [(share, table) for share in wanted for table in links.ask(row, "tables", share).result["items"]]
    return [(share, str(table["schema"]), str(table["name"])) for share, table in tables]


@routine
def create_share_link_view(
    view_name: str | None,
    share_link_name: str | None,
    share_schema_name: str | None,
    share_table_name: str | None,
    column_names: list[str] | None,
    where_clause: str | None,
) -> None:
    from mlshare import links

    link = links.link(share_link_name)
    if not view_name or not share_schema_name or not share_table_name:
        raise errors.InvalidArgument(argument="view_name", reason="a view, a schema and a table must be given")
    view = links.qualified(view_name)
    if db.value("table_exists", view):
        raise errors.TableExists(table=view, hint="Drop it, or choose another name.")
    place = (link["share_name"], share_schema_name, share_table_name)
    columns = links.chosen(links.ask(link, "metadata", *place).result, column_names, ".".join(place))
    schema, _, name = view.rpartition(".")
    data = f"{schema}.{db.quote_ident(_plain(name)[:50] + '$data')}"
    db.run("create_link_data", data=data, columns=f"{links.record(columns)}, {links.FILE_COLUMN} text NOT NULL")
    comment = db.quote_literal("Rows of " + ".".join(place))
    db.run("create_link_view", view=view, data=data, columns=links.names(columns), comment=comment)
    chosen = [name for name, _ in columns]
    db.query("insert_link_view", link["link_id"], view, data, *place[1:], chosen, where_clause)
    links.refresh(links.view(view))


def _plain(name: str) -> str:
    """A quoted name without its quotes."""
    return name[1:-1].replace('""', '"') if name.startswith('"') else name


@routine
def refresh_share_link_view(view_name: str | None) -> bool:
    from mlshare import links

    return links.refresh(links.view(view_name))


@routine
def drop_share_link_view(view_name: str | None) -> None:
    from mlshare import links

    row = links.view(view_name)
    db.run("drop_link_view", view=row["view"], data=row["data"])
    db.query("delete_link_view", row["view_id"])
