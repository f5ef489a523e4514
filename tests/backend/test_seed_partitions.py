"""Oracle's page on partitioned models, sentence by sentence, and real data partitioned by job and marital status."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from backend import calls
from backend.calls import refused, rows, value
from backend.mining import ANSWERS, GLM, KEYED, REGIONS, create, partition_names
from backend.world import World
from fix_db import Database

# Each test quotes the sentence that it is about.


def test_several_models_in_a_single_entity(miner: psycopg.Connection) -> None:
    """A partitioned model organizes and represents multiple models as partitions in a single model entity, enabling
    you to easily build and manage models tailored to independent slices of data."""
    assert rows(
        miner, "SELECT partitioned, count(*) FROM sys.user_mining_models WHERE model_name = 'glm' GROUP BY 1"
    ) == [("YES", 1)]
    slices = "SELECT count(DISTINCT coefficient)::int FROM sys.model_coefficients('glm') WHERE attribute_name IS NULL"
    assert value(miner, slices) == len(REGIONS)


def test_persistent(miner: psycopg.Connection, mine: Database, made: World) -> None:
    """Persistent means that the partitioned model has an on-disk representation."""
    stored = f"SELECT count(*)::int FROM {calls.catalog(miner)}.model_object_catalog WHERE model_handle = 'glm'"
    assert value(miner, stored) == 1 + len(REGIONS)
    with mine.connect(made.owner) as later:
        assert value(later, "SELECT sys.prediction('glm', s) FROM shop.sales AS s LIMIT 1") in ("yes", "no")


def test_partition_columns_belong_to_the_scoring_input(miner: psycopg.Connection) -> None:
    """You must include the partition columns as part of the USING clause when scoring.

    For scoring a partitioned model, the signature columns used during the build for the partitioning key must be
    present in the scoring data set."""
    with refused(miner, "ML508", "region"):
        miner.execute("SELECT sys.prediction('glm', sys.json_object('a', 1))")
    with refused(miner, "ML508", "grade"):
        miner.execute("SELECT sys.ml_predict('figures', 'SELECT region, a, b, c FROM shop.sales')")
    assert value(miner, "SELECT sys.prediction('glm', sys.json_object('region', 'west', 'a', 1))") in ("yes", "no")


def test_names_and_key_values_are_in_a_view(miner: psycopg.Connection) -> None:
    """The partition names, key values, and the structure of the partitioned model are available in the
    ALL_MINING_MODEL_PARTITIONS view."""
    query = (
        "SELECT partition_name, position, column_name, column_value FROM "
        "sys.ALL_MINING_MODEL_PARTITIONS WHERE model_name = %s ORDER BY 1, 2"
    )
    assert set(rows(miner, query, "glm")) == {(r, 1, "region", r) for r in REGIONS}
    figures = rows(miner, query, "figures")
    assert figures[:2] == [("DM$$_P0", 1, "region", "east"), ("DM$$_P0", 2, "grade", "1")] and len(figures) == 24


def test_a_key_is_a_list_of_up_to_sixteen_columns(miner: psycopg.Connection) -> None:
    """The partitioning key is a comma-separated list of one or more columns (up to 16) from the input data set."""
    more = ", ".join(f"id % 2 AS k{n}" for n in range(17))
    query = f"SELECT {ANSWERS.removeprefix('SELECT ').replace(' FROM', f', {more} FROM', 1)}"
    names = ",".join(f"k{n}" for n in range(16))
    create(miner, "wide", query, {**GLM, "ODMS_PARTITION_COLUMNS": names})
    assert (
        value(miner, "SELECT max(position)::int FROM sys.user_mining_model_partitions WHERE model_name = 'wide'") == 16
    )
    with refused(miner, "ML008", "ODMS_PARTITION_COLUMNS"):
        create(miner, "wider", query, {**GLM, "ODMS_PARTITION_COLUMNS": names + ",k16"})


def test_settings_come_from_a_table(miner: psycopg.Connection) -> None:
    """To build a partitioned model, Oracle Machine Learning for SQL requires a partitioning key specified in a
    settings table."""
    query = (
        "SELECT setting_value, setting_type FROM sys.user_mining_model_settings WHERE "
        "model_name = 'figures' AND setting_name = 'ODMS_PARTITION_COLUMNS'"
    )
    assert rows(miner, query) == [("region,grade", "INPUT")]


def test_partitions_are_discrete_values(miner: psycopg.Connection) -> None:
    """The partitioning key horizontally slices the input data based on discrete values of the partitioning key. That
    is, partitioning is performed as list values as opposed to range partitioning against a continuous value."""
    query = "SELECT id, a % 5 AS a5, b, c, answer FROM shop.sales"
    create(miner, "discrete", query, {**GLM, "ODMS_PARTITION_COLUMNS": "a5"})
    assert partition_names(miner, "discrete") == ["0", "1", "2", "3", "4"]
    assert value(miner, "SELECT sys.ora_dm_partition_name('discrete', '{\"a5\": 3.0}')") == "3"
    assert value(miner, "SELECT sys.ora_dm_partition_name('discrete', '{\"a5\": 3.5}')") is None


def test_types_of_key_columns(miner: psycopg.Connection) -> None:
    """The partitioning key supports only columns of the data type NUMBER and VARCHAR2. (Here also boolean, date, enum
    and uuid; not floating point numbers.)"""
    base = ANSWERS.replace("region", "region, member, day, grade")
    for column in ("region", "grade", "member", "day"):
        create(miner, f"by_{column}", base, {**GLM, "ODMS_PARTITION_COLUMNS": column})
    with refused(miner, "ML500", '"b"'):
        create(miner, "by_b", base, {**GLM, "ODMS_PARTITION_COLUMNS": "b"})


def test_each_distinct_value_is_a_partition(miner: psycopg.Connection) -> None:
    """During the build process the input data set is partitioned based on the distinct values of the specified key.
    Each data slice (unique key value) results in its own model partition."""
    found = rows(miner, "SELECT region, count(*) FROM shop.sales GROUP BY region")
    built = rows(miner, "SELECT column_value, n_rows FROM sys.user_mining_model_partitions WHERE model_name = 'glm'")
    assert set(found) == set(built)


def test_a_partition_is_no_model_of_its_own(miner: psycopg.Connection) -> None:
    """The resultant model partition is not separate and is not visible to you as a standalone model."""
    assert value(miner, "SELECT count(*)::int FROM sys.user_mining_models WHERE model_name IN ('east', 'west')") == 0
    with refused(miner, "ML200"):
        miner.execute("SELECT sys.prediction('west', '{}')")


def test_the_default_maximum_is_a_thousand(miner: psycopg.Connection) -> None:
    """The default value of the maximum number of partitions for partitioned models is 1000 partitions. You can also
    set a different maximum partitions value. If the number of partitions in the input data set exceeds the defined
    maximum, OML4SQL throws an exception."""
    query = (
        "SELECT setting_value, setting_type FROM sys.user_mining_model_settings WHERE "
        "model_name = 'glm' AND setting_name = 'ODMS_MAX_PARTITIONS'"
    )
    assert rows(miner, query) == [("1000", "DEFAULT")]
    many = (
        "SELECT n AS k, n % 7 AS a, CASE WHEN n % 2 = 0 THEN 'y' ELSE 'n' END AS answer, n AS id "
        "FROM generate_series(1, 1001) AS n"
    )
    with refused(miner, "54000", "1001 partitions, its maximum is 1000"):
        create(miner, "many", many, {**GLM, "ODMS_PARTITION_COLUMNS": "k"})
    with refused(miner, "54000", "4 partitions, its maximum is 3"):
        create(miner, "few", settings={**KEYED, "ODMS_MAX_PARTITIONS": 3})


def test_common_and_specific_features(miner: psycopg.Connection) -> None:
    """The partitioned model organizes features common to all partitions and the partition specific features: the
    model name, the machine learning function, the algorithm; a super set of all attributes referenced by all
    partitions (signature); any settings that are interpreted as global, for example Auto Data Preparation."""
    some = ANSWERS.replace("c, answer", "CASE WHEN region = 'west' THEN c END AS c, answer")
    create(miner, "signature", some)
    model = "SELECT model_name, mining_function, algorithm FROM sys.user_mining_models WHERE model_name = 'signature'"
    assert rows(miner, model) == [("signature", "CLASSIFICATION", "GENERALIZED_LINEAR_MODEL")]
    attributes = (
        "SELECT attribute_name, attribute_type, target FROM "
        "sys.user_mining_model_attributes WHERE model_name = 'signature' ORDER BY 1"
    )
    assert rows(miner, attributes) == [
        ("a", "NUMERICAL", "NO"),
        ("answer", "CATEGORICAL", "YES"),
        ("b", "NUMERICAL", "NO"),
        ("c", "CATEGORICAL", "NO"),
        ("region", "PARTITION", "NO"),
    ]
    own = "SELECT DISTINCT attribute_name FROM sys.model_importances('signature', %s) ORDER BY 1"
    assert rows(miner, own, "west") == [("a",), ("b",), ("c",)] and rows(miner, own, "east") == [("a",), ("b",)]
    adp = (
        "SELECT setting_value, partition_name FROM sys.user_mining_model_settings WHERE "
        "model_name = 'signature' AND setting_name = 'PREP_AUTO'"
    )
    assert rows(miner, adp) == [("ON", None)]


def test_transformations_are_those_of_the_query(miner: psycopg.Connection) -> None:
    """A common set of user-defined column transformations. (Here: of the data query, or of a view.)"""
    assert rows(miner, "SELECT * FROM sys.user_mining_model_xforms") == []
    with refused(miner, "22023", "xform_list", hint="view"):
        miner.execute(
            "CALL dbms_data_mining.create_model2('x', 'CLASSIFICATION', %s, NULL, 'id', 'answer', '[\"log(a)\"]')",
            (ANSWERS,),
        )


# --- maintenance ---------------------------------------------------------------------------------


def test_dropping_a_partition_by_name(miner: psycopg.Connection) -> None:
    """Oracle Machine Learning for SQL supports dropping a single model partition for a given partition name."""
    miner.execute("CALL dbms_data_mining.drop_partition('glm', 'west')")
    assert set(partition_names(miner, "glm")) == REGIONS - {"west"}
    with refused(miner, "ML504", "west"):
        miner.execute("CALL dbms_data_mining.drop_partition('glm', 'west')")


def test_the_last_partition_stays(miner: psycopg.Connection) -> None:
    """If only a single partition remains, you cannot explicitly drop that partition. Instead, you must either add
    additional partitions prior to dropping the partition or you may choose to drop the model itself."""
    create(miner, "one", f"{ANSWERS} WHERE region = 'west'")
    with refused(miner, "ML505", hint="Add other partitions first, or drop the model"):
        miner.execute("CALL dbms_data_mining.drop_partition('one', 'west')")
    miner.execute("CALL dbms_data_mining.add_partition('one', %s)", (f"{ANSWERS} WHERE region = 'east'",))
    miner.execute("CALL dbms_data_mining.drop_partition('one', 'west')")
    miner.execute("CALL dbms_data_mining.drop_model('one')")


def test_a_model_goes_with_all_its_partitions(miner: psycopg.Connection) -> None:
    """When dropping a partitioned model, all partitions are dropped in a single atomic operation."""
    with miner.transaction(force_rollback=True):
        miner.execute("CALL dbms_data_mining.drop_model('glm')")
        for table in ("model_catalog", "model_object_catalog", "model_partition"):
            count = f"SELECT count(*)::int FROM {calls.catalog(miner)}.{table} WHERE model_handle = 'glm'"
            assert value(miner, count) == 0
    assert set(partition_names(miner, "glm")) == REGIONS


def test_drop_and_add_instead_of_replace(miner: psycopg.Connection) -> None:
    """From a performance perspective, Oracle recommends DROP_PARTITION followed by an ADD_PARTITION instead of
    leveraging the REPLACE option due to the efficient behavior of the DROP_PARTITION option. (The same comes of it.)"""
    only = f"{ANSWERS} WHERE region = 'west' AND id % 3 > 0"
    query = "SELECT id, sys.prediction_probability('glm', s) FROM shop.sales AS s ORDER BY id"
    found = []
    for steps in (
        ["CALL dbms_data_mining.drop_partition('glm', 'west')", "CALL dbms_data_mining.add_partition('glm', $q$%s$q$)"],
        ["CALL dbms_data_mining.add_partition('glm', $q$%s$q$, 'REPLACE')"],
    ):
        with miner.transaction(force_rollback=True):
            for step in steps:
                miner.execute(step.replace("%s", only).encode())
            found.append(rows(miner, query))
    assert found[0] == found[1] != rows(miner, query)


def test_adding_one_or_many(miner: psycopg.Connection) -> None:
    """OML supports adding a single partition or multiple partitions to an existing partitioned model. The partition
    keys are extracted from the input data set and the model partitions are built against the input data set. If the
    input data set contains multiple keys, then the operation creates multiple partitions."""
    create(miner, "grows", f"{ANSWERS} WHERE region = 'west'")
    miner.execute("CALL dbms_data_mining.add_partition('grows', %s)", (f"{ANSWERS} WHERE region = 'east'",))
    miner.execute(
        "CALL dbms_data_mining.add_partition('grows', %s)", (f"{ANSWERS} WHERE region NOT IN ('east', 'west')",)
    )
    assert set(partition_names(miner, "grows")) == REGIONS


CONFLICT = (
    "SELECT id, CASE region WHEN 'east' THEN 'new' ELSE region END AS region, 99 - a AS a, "
    "b, c, answer FROM shop.sales WHERE region IN ('east', 'west')"
)
BUILT = "SELECT partition_name, built_at FROM sys.user_mining_model_partitions WHERE model_name = 'glm'"


def test_error_adds_nothing(miner: psycopg.Connection) -> None:
    """ERROR: Terminates the ADD operation without adding any partitions."""
    before = dict(rows(miner, BUILT))
    for options in ("", ", 'ERROR'", ", 'error'"):
        with refused(miner, "ML503", '"west"'):
            miner.execute(f"CALL dbms_data_mining.add_partition('glm', $q${CONFLICT}$q${options})".encode())
    assert dict(rows(miner, BUILT)) == before


@pytest.mark.parametrize("option", ["REPLACE", "replace", "Replace"])
def test_replace(miner: psycopg.Connection, option: str) -> None:
    """REPLACE: Replaces the existing partition for which the conflicting keys are found."""
    before = dict(rows(miner, BUILT))
    miner.execute("CALL dbms_data_mining.add_partition('glm', %s, %s)", (CONFLICT, option))
    after = dict(rows(miner, BUILT))
    assert after.keys() == before.keys() | {"new"}
    assert {name for name in before if after[name] != before[name]} == {"west"}


@pytest.mark.parametrize("option", ["IGNORE", "ignore"])
def test_ignore(miner: psycopg.Connection, option: str) -> None:
    """IGNORE: Eliminates the rows having the conflicting keys."""
    before = dict(rows(miner, BUILT))
    miner.execute("CALL dbms_data_mining.add_partition('glm', %s, %s)", (CONFLICT, option))
    after = dict(rows(miner, BUILT))
    assert after.keys() == before.keys() | {"new"} and all(after[name] == before[name] for name in before)


def test_the_maximum_holds_for_adding(miner: psycopg.Connection) -> None:
    """If the total number of partitions in the model increases to more than the user-defined maximum specified when
    the model was created, then you get an error. The default threshold value for the number of partitions is 1000."""
    create(miner, "full", settings={**KEYED, "ODMS_MAX_PARTITIONS": 4})
    with refused(miner, "54000", "5 partitions, its maximum is 4"):
        miner.execute("CALL dbms_data_mining.add_partition('full', %s, 'REPLACE')", (CONFLICT,))
    assert set(partition_names(miner, "full")) == REGIONS


# --- scoring -------------------------------------------------------------------------------------


def test_scoring_is_written_as_ever(miner: psycopg.Connection) -> None:
    """The scoring of the partitioned model is the same as that of the non-partitioned model. The syntax of the machine
    learning function remains the same."""
    for model in ("glm", "plain"):
        assert value(miner, "SELECT count(sys.prediction(%s, s))::int FROM shop.sales AS s", model) == 480


def test_the_hint_is_not_needed(miner: psycopg.Connection) -> None:
    """The optional hint can impact the performance of a query which involves scoring a partitioned model. (In
    PostgreSQL it is a comment; whole tables are grouped by key without it.)"""
    assert value(miner, "SELECT count(sys.prediction(/*+ GROUPING */ 'glm', s))::int FROM shop.sales AS s") == 480


def test_the_key_leads_to_the_partition(miner: psycopg.Connection) -> None:
    """These columns are combined to form a unique partition key. The unique key is then mapped to a specific
    underlying model partition, and the identified model partition is used to score that row."""
    data = value(miner, "CALL dbms_data_mining.export_sermodel(NULL, 'figures', 'DM$$_P7')")
    miner.execute("CALL dbms_data_mining.import_sermodel(%s, 'seven')", (data,))
    query = (
        "SELECT count(*)::int, count(*) FILTER (WHERE sys.prediction('figures', s) = sys.prediction('seven', s))::int "
        "FROM shop.sales AS s WHERE sys.ora_dm_partition_name('figures', s) = 'DM$$_P7'"
    )
    assert rows(miner, query) == [(40, 40)]


def test_partitions_are_loaded_on_demand_and_age_out(mine: Database, made: World) -> None:
    """The partitioned objects that are necessary for scoring are loaded on demand during the query execution and are
    aged out depending on the System Global Area (SGA) memory. (Here: the setting cache_size.)"""
    size = "SELECT bytes FROM sys.ml_cache WHERE model_handle = 'glm'"
    with mine.connect(made.owner) as owner:
        owner.execute("SELECT sys.prediction('glm', '{\"region\": \"west\"}')")
        one = value(owner, size)
        owner.execute("SELECT count(sys.prediction('glm', s)) FROM shop.sales AS s")
        assert value(owner, size) - one > 2 * 100_000
        with mine.connect() as admin:
            admin.execute("CALL sys.ml_set('cache_size', 0)")
        try:
            before = value(owner, "SELECT sum(sys.prediction_probability('glm', s)) FROM shop.sales AS s")
            owner.execute("CALL sys.ml_model_load('plain')")
            assert rows(owner, size) == []
            assert value(owner, "SELECT sum(sys.prediction_probability('glm', s)) FROM shop.sales AS s") == before
        finally:
            with mine.connect() as admin:
                admin.execute("CALL sys.ml_set('cache_size', NULL)")


# --- real data -----------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def bank(mine: Database, made: World, bank_csv: Path) -> Iterator[psycopg.Connection]:
    """shop.bank with the 45,211 clients, numbered; every fifth one is for testing."""
    with bank_csv.open() as file:
        names, *lines = csv.reader(file)
    types = ["integer" if lines[0][i].lstrip("-").isdigit() else "text" for i in range(len(names))]
    columns = ", ".join(f'"{n}" {t}' for n, t in zip(names, types, strict=True))
    with mine.connect(made.owner) as owner:
        owner.execute(f"CREATE TABLE shop.bank (id integer GENERATED ALWAYS AS IDENTITY, {columns})".encode())
        own = ", ".join(f'"{n}"' for n in names)
        with owner.cursor().copy(f"COPY shop.bank ({own}) FROM STDIN".encode()) as copy:
            for line in lines:
                copy.write_row(line)
        owner.execute("CREATE VIEW shop.bank_train AS SELECT * FROM shop.bank WHERE id % 5 > 0")
        owner.execute("CREATE VIEW shop.bank_test AS SELECT * FROM shop.bank WHERE id % 5 = 0")
        yield owner


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(600)
@pytest.mark.parametrize(("key", "n_keys"), [("job", 12), ("job, marital", 36)])
def test_bank(bank: psycopg.Connection, key: str, n_keys: int) -> None:
    with bank.transaction(force_rollback=True):
        few = {"MIN_ROWS_PER_PARTITION": 5}  # unknown, divorced has 6
        create(bank, "banks", "TABLE shop.bank_train", {**GLM, **few, "ODMS_PARTITION_COLUMNS": key}, "y")
        create(bank, "bank", "TABLE shop.bank_train", GLM, "y")
        names = partition_names(bank, "banks")
        assert len(names) == n_keys
        before = accuracy(bank, key)
        _drop_and_add(bank, key, names)
        assert accuracy(bank, key) == before
    tested = value(bank, f"SELECT count(DISTINCT ({key}))::int FROM shop.bank_test")
    assert len(before) == tested >= n_keys - 1  # one has few rows
    whole = [sum(n * part[i] for n, *part in before.values()) / sum(n for n, *_ in before.values()) for i in (0, 1)]
    print(f"\n{key}: accuracy with partitions {whole[0]:.4f}, without {whole[1]:.4f}")
    for name, (n, own, common) in sorted(before.items()):
        print(f"  {name:30} {n:6} rows  {own:.4f}  {common:.4f}")
    assert min(whole) > 0.88 and abs(whole[0] - whole[1]) < 0.01


def accuracy(bank: psycopg.Connection, key: str) -> dict[str, tuple[int, float, float]]:
    """For each key: test rows, accuracy of the partitioned model and of the other one."""
    for model, output in (("banks", "shop.said"), ("bank", "shop.said_plain")):
        bank.execute(f"DROP TABLE IF EXISTS {output}".encode())
        bank.execute("CALL dbms_data_mining.apply(%s, 'shop.bank_test', 'id', %s)", (model, output))
    best = "SELECT DISTINCT ON (id) id, prediction FROM {} ORDER BY id, probability DESC"
    query = (
        f"SELECT concat_ws(', ', {key}), count(*)::int, avg((p.prediction = y)::int)::float8, "
        f"avg((o.prediction = y)::int)::float8 "
        f"FROM shop.bank_test JOIN ({best.format('shop.said')}) AS p USING (id) "
        f"JOIN ({best.format('shop.said_plain')}) AS o USING (id) GROUP BY 1"
    )
    return {name: (n, own, common) for name, n, own, common in rows(bank, query)}


def _drop_and_add(bank: psycopg.Connection, key: str, names: list[str]) -> None:
    """One partition dropped and added back by each option, with conflicts."""
    gone = names[3]
    columns = key.split(", ")
    place = (
        "SELECT jsonb_object_agg(column_name, column_value)::text FROM "
        "sys.user_mining_model_partitions WHERE model_name = 'banks' AND partition_name = %s"
    )
    own, other = (json.loads(value(bank, place, name)) for name in (gone, names[4]))
    of = [" AND ".join(f"{c} = '{k[c]}'" for c in columns) for k in (own, other)]
    rest = f"SELECT * FROM shop.bank_train WHERE ({of[0]}) OR ({of[1]})"
    for option in ("ERROR", "REPLACE", "IGNORE"):
        bank.execute("CALL dbms_data_mining.drop_partition('banks', partition_key => %s)", (json.dumps(own),))
        if option == "ERROR":
            with refused(bank, "ML503"):
                bank.execute("CALL dbms_data_mining.add_partition('banks', %s, 'ERROR')", (rest,))
            bank.execute(
                "CALL dbms_data_mining.add_partition('banks', %s, 'ERROR')",
                (f"SELECT * FROM shop.bank_train WHERE {of[0]}",),
            )
        else:
            bank.execute("CALL dbms_data_mining.add_partition('banks', %s, %s)", (rest, option))
    assert len(partition_names(bank, "banks")) == len(names)
