"""A model trained in one database scores in another that has never seen its data: through a share alone."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

import psycopg
import pytest
import requests

from backend import calls
from fix_db import Database, database, identifiers
from fix_http import HttpServer


@pytest.fixture
def elsewhere(db: Database, template: str, roles: Callable[..., str]) -> Any:
    """Another database, with a role that may read shares; its connection."""
    with database(db.server, template) as other:
        role = roles(user=False)
        with other.connect() as admin:
            admin.execute(identifiers("GRANT mlshare_consumer TO {}", role))
            admin.execute(identifiers("GRANT CREATE ON DATABASE {} TO {}", other.name, role))
            admin.execute(identifiers("CREATE SCHEMA {} AUTHORIZATION {}", role, role))
            admin.execute("CALL dbms_share.update_default_share_property('private_endpoints', 'true')")
        yield other.connect(role)


def publish_model(maker: psycopg.Connection, http: HttpServer) -> str:
    """Trains a model, exports it into a table, and publishes that; the link for a recipient."""
    [[schema]] = maker.execute("SELECT current_user")
    maker.execute("CREATE TABLE flower (petal float8, sepal float8, species text)")
    maker.execute("INSERT INTO flower SELECT n % 7, n % 5, CASE WHEN n % 7 > 3 THEN 'iris-a' ELSE 'iris-b' END "
                  "FROM generate_series(1, 200) AS n")  # fmt: skip
    calls.train(maker, f"{schema}.flower", "species", {"model_list": ["LGBMClassifier"]}, "iris")
    calls.export(maker, "iris", f"{schema}.iris_model")
    maker.execute("CALL dbms_share.create_share('MODELS', storage_link_name => 'LINK')")
    maker.execute("CALL dbms_share.add_to_share('MODELS', 'iris_model', NULL, 'IRIS', 'ML')")
    maker.execute("CALL dbms_share.publish_share_wait('MODELS')")
    maker.execute("CALL dbms_share.create_share_recipient('OTHERS')")
    maker.execute("CALL dbms_share.grant_to_recipient('MODELS', 'OTHERS')")
    asked = "SELECT dbms_share.get_activation_link('OTHERS', base_endpoint => %s)"
    return str(maker.execute(asked, (http.url,)).fetchone()[0])


@pytest.mark.usefixtures("worker")
def test_a_model_travels_through_a_share(
    provider: Callable[..., psycopg.Connection], http: HttpServer, elsewhere: psycopg.Connection
) -> None:
    maker = provider()
    profile = requests.post(publish_model(maker, http), timeout=10).json()
    call = "CALL dbms_share.create_share_provider('maker', share_profile => %s)"
    elsewhere.execute(call, (json.dumps(profile),))
    elsewhere.execute("CALL dbms_share.create_share_link('models', 'maker', 'MODELS')")
    elsewhere.execute("CALL dbms_share.create_share_link_view('iris_model', 'models', 'ML', 'IRIS')")
    [[schema]] = elsewhere.execute("SELECT current_user")
    assert calls.import_table(elsewhere, schema, "iris_model", "iris") == "iris"
    for connection in (maker, elsewhere):
        connection.execute("CALL sys.ml_model_load('iris', NULL)")
    for row in ({"petal": 1, "sepal": 2}, {"petal": 6, "sepal": 2}, {"petal": None, "sepal": 0}):
        assert calls.predict_row(elsewhere, row, "iris") == calls.predict_row(maker, row, "iris")
    # Changed on the way, it is refused.
    changed = "set_byte(model_object, 100, (get_byte(model_object, 100) + 1) % 256)"
    elsewhere.execute(f'UPDATE "iris_model$data" SET model_object = {changed}')
    with calls.refused(elsewhere, "ML301", "not those that were exported"):
        calls.import_table(elsewhere, schema, "iris_model", "again")
