"""Models made by Oracle's routines, for the tests of that dialect."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import psycopg

from backend import calls
from backend.test_partitions import TABLE
from backend.world import World
from fix_db import Database

GLM = {"ALGO_NAME": "ALGO_GENERALIZED_LINEAR_MODEL"}
KEYED = {**GLM, "ODMS_PARTITION_COLUMNS": "region"}
ANSWERS = "SELECT id, region, a, b, c, answer FROM shop.sales"
REGIONS = {"east", "north", 'o\'hara "é"', "west"}
TENANT = "east"  # the partition that a tenant is given
_SETTINGS = """
CREATE TABLE shop.settings (setting_name varchar(30), setting_value varchar(4000));
INSERT INTO shop.settings VALUES ('algo_name', 'algo_generalized_linear_model'),
                                 ('ODMS_PARTITION_COLUMNS', 'region,grade'),
                                 ('ODMS_RANDOM_SEED', NULL);
CREATE VIEW shop.figures AS SELECT id, region, grade, a, b, c, amount FROM shop.sales;
"""


def create(
    connection: psycopg.Connection,
    name: str,
    query: str = ANSWERS,
    settings: Any = KEYED,
    target: str | None = "answer",
) -> None:
    """create_model2 of a classification; the case identifier is id."""
    statement = "CALL dbms_data_mining.create_model2(%s, 'CLASSIFICATION', %s, %s, 'id', %s)"
    connection.execute(statement, (name, query, calls.as_json(settings), target))


def fill(db: Database, made: World) -> None:
    """shop.sales with three models: glm (by region), figures (a regression by region and grade), plain."""
    with db.connect(made.owner) as owner:
        owner.execute(TABLE)
        owner.execute(_SETTINGS)
        create(owner, "glm")
        create(owner, "plain", ANSWERS.replace("region, ", ""), GLM)
        owner.execute(
            "CALL dbms_data_mining.create_model('figures', 'regression', 'figures', 'id', 'amount', "
            "'settings', 'shop', 'shop')"
        )


def partition_names(connection: psycopg.Connection, model: str) -> list[str]:
    """Names of a model's partitions as the caller may see them."""
    query = "SELECT DISTINCT partition_name FROM sys.all_mining_model_partitions WHERE model_name = %s ORDER BY 1"
    return [row[0] for row in calls.rows(connection, query, model)]


def rolled_back(db: Database, role: str | None = None) -> Iterator[psycopg.Connection]:
    """A connection as a role, in a transaction that is rolled back."""
    with db.connect(role) as connection, connection.transaction(force_rollback=True):
        yield connection
