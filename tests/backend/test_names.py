"""Names of every kind: quotes, dots, spaces, capitals, keywords, letters beyond ASCII, what looks like SQL."""

from __future__ import annotations

import psycopg
import pytest
from psycopg import sql

from backend import calls, world
from backend.calls import column_types, refused, value

NAMES = [
    "Capital", "two words", "dot.ted", 'quo"te', "apo'strophe", "per%cent", "{brace}", "{source}", "$1", "select",
    "ünïcode ☃", "semi;colon --", "back\\slash", "q", "i", "s", "m", "o", "d", "codes", "numbers", "row", "id", "n",
    "value", "x" * 63, " ", "Prediction", "target", "features",
]  # fmt: skip
TABLES = ["Capital", "two words", "dot.ted", 'quo"te', "per%cent{x}", "ünïcode ☃", "select", "x" * 63, "'; DROP"]


def make(owner: psycopg.Connection, schema: str, table: str) -> sql.Composed:
    """A table with a column for each name, and a target."""
    columns = [sql.SQL("(i * {}) % 37 AS {}").format(k + 1, sql.Identifier(n)) for k, n in enumerate(NAMES)]
    name = sql.Identifier(schema, table)
    owner.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(schema)))
    statement = "CREATE TABLE {} AS SELECT {}, CASE WHEN i % 37 > 18 THEN 'big' ELSE 'small' END AS {} "
    statement += "FROM generate_series(1, 90) AS i"
    owner.execute(sql.SQL(statement).format(name, sql.SQL(", ").join(columns), sql.Identifier('tar"get.x')))
    return sql.Composed([name])


@pytest.fixture
def trained(owner: psycopg.Connection) -> str:
    """The quoted name of a table with odd names, of which the model "odd" was trained."""
    name = make(owner, 'Odd "schema".x', "two words").as_string()
    calls.train(owner, name, 'tar"get.x', {"model_list": ["DecisionTreeClassifier"], **world.QUICK}, "odd")
    return name


def test_columns_of_any_name(owner: psycopg.Connection, trained: str) -> None:
    found = calls.metadata(owner, "odd")
    assert found["selected_column_names"] == NAMES
    assert (found["train_table_name"], found["target_column_name"]) == (trained, 'tar"get.x')
    calls.predict_table(owner, trained, "odd", 'shop."out put.""x"""')
    out = 'shop."out put.""x"""'
    assert list(column_types(owner, out))[1:-3] == NAMES
    same = f"""SELECT avg((prediction = "tar""get.x")::int) FROM {out}"""
    assert value(owner, same) == calls.score(owner, trained, 'tar"get.x', "odd", "accuracy") > 0.9
    row = "sys.ml_predict_row(to_jsonb(whole), 'odd')"
    differ = f"SELECT count(*) FROM {out} AS whole WHERE {row}->'ml_results' <> ml_results"
    assert value(owner, differ) == 0
    answers = calls.predict(owner, "odd", f"SELECT * FROM {trained}")
    assert all(list(d["predictions"]) == ['tar"get.x'] for _, _, d in answers)
    calls.predict_table(owner, trained, "odd", trained)
    assert list(column_types(owner, trained))[-2:] == ["prediction", "ml_results"]


def test_missing_columns_are_named_as_they_are(owner: psycopg.Connection, trained: str) -> None:
    for name in ('quo"te', "{brace}", "per%cent"):
        row = {n: 1 for n in NAMES if n != name}
        with refused(owner, "ML400", f'the input lacks column "{name}"'):
            calls.predict_row(owner, row, "odd")


@pytest.mark.parametrize("name", TABLES)
def test_tables_of_any_name(owner: psycopg.Connection, name: str) -> None:
    quoted = sql.Identifier("shop", name).as_string()
    schema = sql.Identifier(name).as_string()
    owner.execute(f"CREATE TABLE {quoted} AS TABLE shop.loan; CREATE SCHEMA {schema}")
    calls.predict_table(owner, quoted, "loan", f"{schema}.{schema}")
    assert value(owner, f"SELECT count(*) FROM {schema}.{schema}") == 240
    assert calls.score(owner, quoted, "answer", "loan", "accuracy") > 0.7
    with refused(owner, "42P07", "already exists"):
        calls.predict_table(owner, quoted, "loan", f"{schema}.{schema}")
    calls.export(owner, "loan", f"{schema}.exported")
    assert calls.import_table(owner, name, "exported", "copied") == "copied"


def test_unquoted_names_fold(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "SHOP.Loan", "loan", "Shop.OUT")
    assert value(owner, "SELECT count(*) FROM shop.out") == 240


def test_the_search_path_finds_the_input_but_not_the_output(owner: psycopg.Connection) -> None:
    owner.execute("SET LOCAL search_path = shop")
    with refused(owner, "42602", 'invalid table name "out"', hint="Write it as schema.table"):
        calls.predict_table(owner, "loan", "loan", "out")
    calls.predict_table(owner, "loan", "loan", "shop.out")
    assert value(owner, "SELECT count(*) FROM shop.out") == 240
