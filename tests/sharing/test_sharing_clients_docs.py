"""Every SQL example of docs/sharing-clients.md runs, against a share published by a worker."""

from __future__ import annotations

import re
from collections.abc import Callable

import psycopg
import pytest

from backend import calls
from fix_db import identifiers
from fix_http import Reader, Shop
from mlshare_tools.build import CHECKOUT

PAGE = CHECKOUT / "docs" / "sharing-clients.md"
ENDPOINT = "https://share.example.org/delta-sharing"


def published(shop: Shop) -> None:
    """Share DEMOUSER_IRIS with a table of flowers and a model of them."""
    maker, owner = shop.provider, shop.owner
    maker.execute("CREATE TABLE flower (sepal_length float8, petal_length float8, species text)")
    species = "CASE WHEN n % 7 > 3 THEN 'iris-virginica' ELSE 'iris-setosa' END"
    maker.execute(f"INSERT INTO flower SELECT n % 5, n % 7, {species} FROM generate_series(1, 200) AS n")
    calls.train(maker, f"{owner}.flower", "species", {"task": "classification"}, "iris")
    calls.export(maker, "iris", f"{owner}.model")
    shop.share("DEMOUSER_IRIS")
    maker.execute("CALL dbms_share.add_to_share('DEMOUSER_IRIS', 'flower', NULL, 'FLOWER', 'SHAREDEMO')")
    maker.execute("CALL dbms_share.add_to_share('DEMOUSER_IRIS', 'model', NULL, 'MODEL', 'ML')")
    maker.execute("CALL dbms_share.publish_share_wait('DEMOUSER_IRIS')")


@pytest.mark.usefixtures("worker")
def test_examples_run(shop: Shop, reader: Callable[[str], Reader], roles: Callable[..., str]) -> None:
    published(shop)
    shop.admin.execute("CALL dbms_share.update_default_share_property('private_endpoints', 'true')")
    ask, analyst = reader(shop.token()), roles(user=False)
    blocks = re.findall(r"```sql\n(.*?)```", PAGE.read_text(), re.S)
    assert len(blocks) > 4
    session: psycopg.Connection = shop.db.connect()
    for block in blocks:
        text = block.replace(ENDPOINT, ask.base).replace("the-token-of-the-profile", ask.token)
        text = re.sub(r"\banalyst\b", analyst, text).replace(f"CREATE ROLE {analyst} LOGIN;", "")
        session.execute("RESET SESSION AUTHORIZATION")
        session.execute(text)
    assert session.execute("SELECT count(*) FROM work.flower").fetchone() == (200,)
    session.execute("RESET SESSION AUTHORIZATION")
    session.execute(identifiers("DROP OWNED BY {}", analyst))
