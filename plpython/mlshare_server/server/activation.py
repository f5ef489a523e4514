"""The page of an activation link: it shows a button, and the button gives the profile, once."""

from __future__ import annotations

import json
from html import escape
from importlib.resources import files
from string import Template
from typing import Any

from starlette.requests import Request
from starlette.responses import HTMLResponse, Response

from mlshare_server.server.endpoint import Call
from mlshare_server.server.tokens import hash_of, new_token

# A link in a mail is opened by scanners and previews: what they GET must not use it up.
HEADERS = {
    "Cache-Control": "no-store",
    "Referrer-Policy": "no-referrer",
    "X-Frame-Options": "DENY",
    "Content-Security-Policy": "default-src 'none'; style-src 'unsafe-inline'; form-action 'self'",
}


def page(title: str, text: str, *, button: bool = False, status: int = 200) -> Response:
    """A small page in the look of all of them."""
    form = '<form method="post"><button type="submit">Get Profile Information</button></form>' if button else ""
    template = Template((files("mlshare_server.server") / "activation.html").read_text())
    return HTMLResponse(template.substitute(title=escape(title), text=text, form=form), status, HEADERS)


def gone() -> Response:
    """The page of a link that is unknown, used or expired: which of them is nobody's business."""
    text = "This link does not exist, has been used or has expired. Ask your share provider for a new one."
    return page("Link not valid", text, status=404)


async def show(request: Request, call: Call) -> Response:
    """GET: says whom the link is for and changes nothing"""
    found = await call.services.catalog.rows("activation", key_hash=key_of(request))
    if not found:
        return gone()
    row = found[0]
    who = await call.services.catalog.value("activation_identity", key_hash=key_of(request))
    text = provider_of(who) + (
        f"A profile is waiting for <b>{escape(row['recipient_name'])}</b>. It holds a secret token and can be "
        f"downloaded <b>once</b>, until {row['expires']:%Y-%m-%d %H:%M %Z}."
    )
    return page("Data share", text, button=True)


def provider_of(identity: dict[str, Any] | None) -> str:
    """A sentence about who shares, as far as they have said it."""
    name, contact = ((identity or {}).get(part) for part in ("name", "contact"))
    if not isinstance(name, str):
        return ""
    return f"<b>{escape(name)}</b>{f' ({escape(contact)})' if isinstance(contact, str) else ''} shares data with you. "


async def activate(request: Request, call: Call) -> Response:
    """POST: uses the link up and answers with the profile as a file"""
    token = new_token()
    found = await call.services.catalog.rows("activate", key_hash=key_of(request), token_hash=hash_of(token))
    if not found:
        return gone()
    row = found[0]
    call.recipient_id = row["recipient_id"]
    profile = {"shareCredentialsVersion": 1, "endpoint": row["endpoint"], "bearerToken": token}
    profile["expirationTime"] = row["token_expires"].isoformat(timespec="milliseconds").replace("+00:00", "Z")
    named = {**HEADERS, "Content-Disposition": 'attachment; filename="delta_share_profile.json"'}
    return Response(json.dumps(profile, indent=2), headers=named, media_type="application/json")


def key_of(request: Request) -> bytes:
    """The hash of the link's key; a link without one is as good as any that is unknown."""
    return hash_of(request.query_params.get("key", ""))
