"""Compiled functions answer as the stored model does, to the last bits, and need nothing of mlshare."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from typing import Any

import psycopg
import pytest

from fix_db import Database, database, identifiers, unique
from fix_server import Server
from mlshare import codec
from mlshare.scorer import Scorer

ROWS = 1500
_TABLE = r'''
CREATE TYPE public.mood AS ENUM ('sad', 'ok', 'happy');
CREATE TABLE public.people AS
SELECT i AS id, (i % 120 + random() * 60)::smallint AS small, (20 + random() * 60)::integer AS age,
       (random() * 1e12)::bigint AS big, (random() * 10)::real AS height, random() * 100 - 50 AS score,
       (random() * 5000 - 200)::numeric(10, 2) AS balance, random() < 0.3 AS loan,
       date '1995-01-01' + (random() * 12000)::integer AS born,
       timestamp '1960-02-03 04:05:06.789' + random() * interval '60 years' AS seen,
       timestamptz '2010-01-01 12:00+03' + random() * interval '10 years' AS paid,
       time '00:00' + random() * interval '23 hours' AS wakes,
       (ARRAY['adm', 'blue', 'te''ch', 'ret\', 'unem', 'serv', 'stud', 'Größe ☃', 'self', 'ent', 'mgm', '$$', 'a"b'])
           [1 + floor(random() * 13)::integer]::text AS job,
       (ARRAY['a', 'bb', 'c '])[1 + floor(random() * 3)::integer]::varchar(5) AS "Short ""one""",
       (ARRAY['x', 'yy', 'z'])[1 + floor(random() * 3)::integer]::char(4) AS padded,
       (ARRAY['sad', 'ok', 'happy'])[1 + floor(random() * 3)::integer]::public.mood AS mood,
       ('00000000-0000-0000-0000-00000000000' || floor(random() * 5)::integer)::uuid AS "where"
FROM (SELECT setseed(0.5)) AS s, generate_series(1, {rows}) AS i;
ALTER TABLE public.people ADD amount double precision, ADD two text, ADD three smallint, ADD yes boolean;
UPDATE public.people SET amount = age * 10 + balance / 10 + score * 3 + loan::integer * 300
    + extract(month FROM born) * 20 + height * 30 + random() * 100
    + (job LIKE '%e%')::integer * 400 + (mood = 'sad')::integer * 200;
UPDATE public.people SET two = CASE WHEN amount > 1300 THEN E'o''ui\\' ELSE 'non' END, yes = amount > 1200,
    three = CASE WHEN amount > 1500 THEN 7 WHEN amount > 1100 THEN 2 ELSE -1 END;
UPDATE public.people SET {gaps};
CREATE TABLE public.few AS SELECT * FROM public.people WHERE id <= 120;
ANALYZE public.people, public.few;
'''
COLUMNS = (
    "small", "age", "big", "height", "score", "balance", "loan", "born", "seen", "paid", "wakes", "job",
    'Short "one"', "padded", "mood", "where",
)  # fmt: skip
TARGETS = ("two", "three", "yes", "amount")

CLASSIFIERS = (
    "LogisticRegression", "GaussianNB", "LinearSVC", "DecisionTreeClassifier", "RandomForestClassifier",
    "ExtraTreesClassifier", "XGBClassifier", "LGBMClassifier",
)  # fmt: skip
REGRESSORS = (
    "LinearRegression", "LinearSVR", "DecisionTreeRegressor", "RandomForestRegressor", "ExtraTreesRegressor",
    "XGBRegressor", "LGBMRegressor",
)  # fmt: skip
MODELS = (
    *(("two", name) for name in CLASSIFIERS),
    *(("three", name) for name in CLASSIFIERS),
    ("yes", "LogisticRegression"),
    ("yes", "LGBMClassifier"),
    *(("amount", name) for name in REGRESSORS),
)
# Rows that no training data has: unknown strings, NaN, spaces at the end, far moments, large numbers, NULL throughout.
_STRANGE = '''
INSERT INTO public.people (id, score, height, balance, job, "Short ""one""", padded, mood, born, seen, paid, wakes,
                           age, big)
VALUES (-1, 'NaN', 'NaN', 'NaN', 'nobody', 'zz', 'q', 'ok', '1850-12-31', '1700-01-01', '2299-12-31 23:59:59+00',
        '23:59:59.999999', 0, 0),
       (-2, 1e30, 1e30, 99999999.99, 'blue   ', 'a  ', 'x', NULL, '2196-02-29', '2199-06-30', NULL, '00:00',
        2147483647, 9e18),
       (-3, -1e30, -1e-30, -0.01, '', ' ', ' ', 'sad', '0001-01-01', '0001-01-01', NULL, NULL, -2147483648, -9e18),
       (-4, 0, '-0', 0, 'BLUE', 'A', 'X', 'sad', NULL, NULL, NULL, NULL, NULL, NULL),
       (-5, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)
'''


def quoted(name: str) -> str:
    return psycopg.sql.Identifier(name).as_string(None)


def argument(name: str) -> str:
    """How a column is given to the function, in which an enumeration is text."""
    return f"{quoted(name)}::text" if name == "mood" else quoted(name)


ARGUMENTS = ", ".join(map(argument, COLUMNS))


@pytest.fixture(scope="module")
def world(server: Server, template: str) -> Iterator[Database]:
    """A database with a table of every kind of column."""
    with database(server, template) as made:
        gaps = ", ".join(f"{quoted(c)} = CASE WHEN random() < 0.04 THEN NULL ELSE {quoted(c)} END" for c in COLUMNS)
        made.connect().execute(_TABLE.format(rows=ROWS, gaps=gaps))
        yield made


@pytest.fixture(scope="module")
def models(world: Database) -> Callable[[str, str], str]:
    """Trains a model of a target once; gives its handle."""
    connection = world.connect()
    made: dict[tuple[str, str], str] = {}

    def train(target: str, algorithm: str) -> str:
        key = target, algorithm
        if key not in made:
            options = {
                "task": "regression" if target == "amount" else "classification",
                "model_list": [algorithm],
                "include_column_list": list(COLUMNS),
                "exclude_column_list": ["id", *(t for t in TARGETS if t != target)],
                "time_budget": 0.01,
            }
            handle = f"{target} {algorithm}"
            # Whole forests of more rows would be over the limit.
            table = "public.few" if "Forest" in algorithm or "ExtraTrees" in algorithm else "public.people"
            arguments = (table, target, json.dumps(options), handle)
            connection.execute("CALL sys.ml_train(%s, %s, %s, %s)", arguments)
            made[key] = handle
        return made[key]

    return train


def call(connection: psycopg.Connection, handle: str, function: str, options: dict[str, Any] | None = None) -> None:
    connection.execute("CALL sys.ml_model_compile(%s, %s, %s)", (handle, function, json.dumps(options)))


def scorer_of(connection: psycopg.Connection, handle: str) -> Scorer:
    query = "SELECT model_object FROM ml_schema_{}.model_object_catalog WHERE model_handle = %s ORDER BY chunk_id"
    owner = connection.info.user
    chunks = connection.execute(query.replace("ml_schema_{}", quoted(f"ml_schema_{owner}")), (handle,)).fetchall()
    return Scorer(codec.unpack(b"".join(c[0] for c in chunks), 1 << 30))


def documents(connection: psycopg.Connection) -> list[dict[str, Any]]:
    return [r[0] for r in connection.execute("SELECT to_jsonb(p) FROM public.people AS p ORDER BY id").fetchall()]


def answers(connection: psycopg.Connection, function: str) -> list[Any]:
    rows = connection.execute(f"SELECT {function}({ARGUMENTS}) FROM public.people AS p ORDER BY id").fetchall()
    return [r[0] for r in rows]


# --- equality ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "algorithm"), MODELS, ids=["-".join(m) for m in MODELS])
def test_it_answers_as_the_model(
    world: Database, models: Callable[[str, str], str], target: str, algorithm: str
) -> None:
    handle = models(target, algorithm)
    with world.connect() as connection, connection.transaction(force_rollback=True):
        connection.execute(_STRANGE)
        scorer = scorer_of(connection, handle)
        rows = documents(connection)
        expected = [scorer.answer(row) for row in rows]
        call(connection, handle, "public.f")
        given = answers(connection, "public.f")
        if scorer.classes is None:
            values = [p.value for p in expected]
            assert [
                i for i, (a, b) in enumerate(zip(given, values, strict=True)) if abs(a - b) > 1e-9 * max(1, abs(b))
            ] == []
            return
        labels = [scorer.classes[p.label] for p in expected]
        assert [i for i, (a, b) in enumerate(zip(given, labels, strict=True)) if a != b] == []
        for position, label in enumerate(scorer.classes):
            call(connection, handle, "public.p", {"output": "probability", "class": label, "replace": True})
            shares = answers(connection, "public.p")
            wrong = [abs(a - p.probabilities[position]) for a, p in zip(shares, expected, strict=True)]
            assert max(wrong) <= 1e-9


def test_a_label_has_the_type_of_the_target(world: Database, models: Callable[[str, str], str]) -> None:
    connection = world.connect()
    found = {}
    for target in TARGETS:
        algorithm = "LinearRegression" if target == "amount" else "LogisticRegression"
        call(connection, models(target, algorithm), f"public.typed_{target}")
        found[target] = connection.execute(
            "SELECT prorettype::regtype::text FROM pg_proc WHERE proname = %s", (f"typed_{target}",)
        ).fetchone()[0]
    assert found == {"two": "text", "three": "smallint", "yes": "boolean", "amount": "double precision"}


@pytest.mark.parametrize("algorithm", ["LogisticRegression", "GaussianNB", "DecisionTreeClassifier"])
def test_a_threshold(world: Database, models: Callable[[str, str], str], algorithm: str) -> None:
    handle = models("two", algorithm)
    connection = world.connect()
    call(connection, handle, "public.strict", {"threshold": 0.9, "replace": True})
    scorer, rows = scorer_of(connection, handle), documents(connection)
    expected = [scorer.classes[int(scorer.answer(r).probabilities[1] >= 0.9)] for r in rows]
    assert answers(connection, "public.strict") == expected


@pytest.mark.parametrize("algorithm", ["LogisticRegression", "GaussianNB", "LGBMClassifier"])
@pytest.mark.parametrize("output", ["prediction", "probability"])
def test_of_an_infinite_value_there_is_no_answer(
    world: Database, models: Callable[[str, str], str], algorithm: str, output: str
) -> None:
    connection = world.connect()
    call(connection, models("two", algorithm), f"public.{output}_g", {"output": output, "replace": True})
    infinite = {"score": "'-Infinity'", "height": "'Infinity'", "balance": "'Infinity'", "born": "'infinity'",
                "seen": "'-infinity'", "paid": "'infinity'"}  # fmt: skip
    for column, value in infinite.items():
        named = ", ".join(f"{quoted(c)} => {value if c == column else argument(c)}" for c in COLUMNS)
        row = connection.execute(f"SELECT count(public.{output}_g({named})), count(*) FROM public.people").fetchone()
        assert row == (0, ROWS), column


# --- what the function is ----------------------------------------------------------------------------


@pytest.fixture(params=["LogisticRegression", "LGBMClassifier"])
def compiled(request: pytest.FixtureRequest, world: Database, models: Callable[[str, str], str]) -> psycopg.Connection:
    """A connection to the database with a function public.f: of a linear model and of trees."""
    connection = world.connect()
    call(connection, models("two", request.param), "public.f", {"replace": True})
    return connection


def test_it_is_immutable_parallel_safe_and_says_where_it_is_from(compiled: psycopg.Connection) -> None:
    row = compiled.execute(
        "SELECT provolatile, proparallel, lanname, prosecdef, proargnames, proargtypes::regtype[]::text[], "
        "obj_description(p.oid) FROM pg_proc AS p JOIN pg_language AS l ON l.oid = prolang "
        "WHERE p.oid = 'public.f'::regproc"
    ).fetchone()
    assert row[:2] == ("i", "s") and row[2] in ("sql", "plpgsql") and not row[3]
    assert row[4] == list(COLUMNS)
    assert row[5] == [
        "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "date",
        "timestamp without time zone", "timestamp with time zone", "time without time zone", "text",
        "character varying", "character", "text", "uuid",
    ]  # fmt: skip
    assert "of model two " in row[6] and "sha256" in row[6]


def test_it_runs_in_parallel(compiled: psycopg.Connection) -> None:
    with compiled.transaction(force_rollback=True):
        for setting in ("parallel_setup_cost", "parallel_tuple_cost", "min_parallel_table_scan_size"):
            compiled.execute(f"SET LOCAL {setting} = 0")
        query = f"SELECT count(*) FROM public.people WHERE public.f({ARGUMENTS}) = 'non'"
        plan = "\n".join(r[0] for r in compiled.execute(f"EXPLAIN {query}").fetchall())
        parallel = compiled.execute(query).fetchone()
        assert "Gather" in plan and "Parallel Seq Scan" in plan
        compiled.execute("SET LOCAL max_parallel_workers_per_gather = 0")
        assert compiled.execute(query).fetchone() == parallel


def test_a_linear_model_becomes_part_of_the_query(world: Database, models: Callable[[str, str], str]) -> None:
    connection = world.connect()
    call(connection, models("two", "LogisticRegression"), "public.share", {"output": "probability", "replace": True})
    query = f"EXPLAIN (VERBOSE) SELECT public.share({ARGUMENTS}) FROM public.people"
    plan = "\n".join(r[0] for r in connection.execute(query).fetchall())
    assert "tanh" in plan and "public.share(" not in plan


def test_generated_column_and_index(compiled: psycopg.Connection) -> None:
    with compiled.transaction(force_rollback=True):
        # The cast of an enumeration to text is not immutable.
        given = ", ".join(map(quoted, COLUMNS))
        compiled.execute(f"CREATE TABLE public.kept AS SELECT id, {ARGUMENTS} FROM public.people")
        compiled.execute(f"ALTER TABLE public.kept ADD label text GENERATED ALWAYS AS (public.f({given})) STORED")
        compiled.execute(f"INSERT INTO public.kept (id, {given}) SELECT id, {ARGUMENTS} FROM public.people")
        compiled.execute(f"CREATE INDEX kept_label ON public.kept ((public.f({given})))")
        wrong = f"SELECT count(*) FROM public.kept WHERE label IS DISTINCT FROM public.f({given})"
        assert compiled.execute(wrong).fetchone() == (0,)
        compiled.execute("ANALYZE public.kept; SET LOCAL enable_seqscan = off")
        query = f"EXPLAIN SELECT id FROM public.kept WHERE public.f({given}) = 'non'"
        assert "kept_label" in "\n".join(r[0] for r in compiled.execute(query).fetchall())


def test_any_role_may_call_it(compiled: psycopg.Connection, world: Database, roles: Callable[..., str]) -> None:
    stranger = roles(user=False)
    expected = answers(compiled, "public.f")
    compiled.execute(identifiers("GRANT SELECT ON public.people TO {}", stranger))
    try:
        assert answers(world.connect(stranger), "public.f") == expected
    finally:
        compiled.execute(identifiers("REVOKE ALL ON public.people FROM {}", stranger))


def test_it_needs_nothing_of_mlshare(compiled: psycopg.Connection, empty_db: Database) -> None:
    """Its definition alone runs in a database without the extension and without PL/Python."""
    definition = compiled.execute("SELECT pg_get_functiondef('public.f'::regproc)").fetchone()[0]
    rows = compiled.execute(f"SELECT {ARGUMENTS} FROM public.people ORDER BY id").fetchall()
    types = compiled.execute(
        "SELECT proargtypes::regtype[]::text[] FROM pg_proc WHERE oid = 'public.f'::regproc"
    ).fetchone()[0]
    elsewhere = empty_db.connect()
    elsewhere.execute(definition)
    assert elsewhere.execute(
        "SELECT to_regnamespace('sys'), count(*) FROM pg_language WHERE lanname = 'plpython3u'"
    ).fetchone() == (None, 0)
    marks = ", ".join(f"%s::{t}" if t != "character" else "%s::bpchar" for t in types)
    given = [elsewhere.execute(f"SELECT public.f({marks})", row).fetchone()[0] for row in rows[:300]]
    assert given == answers(compiled, "public.f")[:300]


def test_no_search_path_changes_what_it_says(compiled: psycopg.Connection) -> None:
    expected = answers(compiled, "public.f")
    with compiled.transaction(force_rollback=True):
        compiled.execute(
            """CREATE SCHEMA trap;
            CREATE FUNCTION trap.no(integer, integer) RETURNS boolean LANGUAGE sql AS 'SELECT false';
            CREATE FUNCTION trap.plus(float8, float8) RETURNS float8 LANGUAGE sql AS 'SELECT 0.0::float8';
            CREATE FUNCTION trap.same(bpchar, bpchar) RETURNS boolean LANGUAGE sql AS 'SELECT false';
            CREATE FUNCTION trap.tanh(float8) RETURNS float8 LANGUAGE sql AS 'SELECT 0.0::float8';
            CREATE OPERATOR trap.<= (FUNCTION = trap.no, LEFTARG = integer, RIGHTARG = integer);
            CREATE OPERATOR trap.> (FUNCTION = trap.no, LEFTARG = integer, RIGHTARG = integer);
            CREATE OPERATOR trap.+ (FUNCTION = trap.plus, LEFTARG = float8, RIGHTARG = float8);
            CREATE OPERATOR trap.= (FUNCTION = trap.same, LEFTARG = bpchar, RIGHTARG = bpchar);
            CREATE DOMAIN trap.float8 AS text; CREATE DOMAIN trap.bpchar AS integer;
            SET LOCAL search_path = trap, pg_catalog; SET LOCAL standard_conforming_strings = off;
            SET LOCAL timezone = 'Asia/Kathmandu'; SET LOCAL datestyle = 'SQL, DMY'"""
        )
        assert answers(compiled, "public.f") == expected


# --- refusals and replacement ------------------------------------------------------------------------


def refused(connection: psycopg.Connection, state: str, *arguments: Any) -> str:
    with pytest.raises(psycopg.Error) as caught:
        call(connection, *arguments)
    assert caught.value.sqlstate == state
    return str(caught.value)


def test_a_function_is_not_overwritten_unless_asked(world: Database, models: Callable[[str, str], str]) -> None:
    connection = world.connect()
    handle = models("two", "LogisticRegression")
    with connection.transaction(force_rollback=True):
        call(connection, handle, "public.once")
        with connection.transaction(force_rollback=True):
            refused(connection, "42723", handle, "public.once")
        call(connection, handle, "public.once", {"replace": True})


@pytest.mark.parametrize("algorithm", ["SVC"])
def test_kernels_are_refused(world: Database, models: Callable[[str, str], str], algorithm: str) -> None:
    refused(world.connect(), "ML406", models("two", algorithm), "public.never")


def test_wrong_options(world: Database, models: Callable[[str, str], str]) -> None:
    connection = world.connect()
    two, three = models("two", "LogisticRegression"), models("three", "LogisticRegression")
    amount = models("amount", "LinearRegression")
    for state, *arguments in (
        ("ML001", two, "public.never", {"class_name": "oui"}),
        ("ML002", two, "public.never", {"output": "label"}),
        ("ML002", two, "public.never", {"output": "probability", "class": "si"}),
        ("ML002", two, "public.never", {"class": "non"}),
        ("ML002", three, "public.never", {"output": "probability"}),
        ("ML002", three, "public.never", {"threshold": 0.5}),
        ("ML002", amount, "public.never", {"output": "probability"}),
        ("42602", two, "never"),
        ("3F000", two, "nowhere.never"),
        ("ML200", "no such model", "public.never"),
    ):
        refused(connection, state, *arguments)
    assert connection.execute("SELECT count(*) FROM pg_proc WHERE proname = 'never'").fetchone() == (0,)


def test_names_are_quoted(world: Database, models: Callable[[str, str], str]) -> None:
    connection = world.connect()
    with connection.transaction(force_rollback=True):
        connection.execute('CREATE SCHEMA "a\'b"')
        call(connection, models("two", "LogisticRegression"), '"a\'b"."f""(); DROP TABLE people; --"')
        assert answers(connection, '"a\'b"."f""(); DROP TABLE people; --"')[0] in ("non", "o'ui\\")


def test_it_reveals_the_model_so_predicting_alone_is_not_enough(
    world: Database, models: Callable[[str, str], str], roles: Callable[..., str]
) -> None:
    handle = models("two", "LogisticRegression")
    admin, other = world.connect(), roles()
    owner = admin.info.user
    with world.server.connect() as cluster:
        cluster.execute(identifiers("GRANT CREATE ON DATABASE {} TO {}", world.name, other))
    connection = world.connect(other)
    connection.execute("CREATE SCHEMA mine")
    admin.execute("CALL sys.ml_model_grant(%s, %s, 'PREDICT')", (handle, other))
    refused(connection, "42501", f"{handle}@{owner}", "mine.f")
    admin.execute("CALL sys.ml_model_grant(%s, %s, 'SELECT')", (handle, other))
    call(connection, f"{handle}@{owner}", "mine.f")
    refused(connection, "42501", f"{handle}@{owner}", "public.no_right")
    admin.execute("CALL sys.ml_model_revoke(%s, %s)", (handle, other))
    connection.close()
    admin.execute(identifiers("DROP OWNED BY {} CASCADE", other))


def test_too_large(world: Database) -> None:
    connection = world.connect()
    name = unique("wide")
    connection.execute(
        identifiers(
            "CREATE TABLE public.{} AS SELECT random() AS a, random() AS b, random() AS c, random() AS y "
            "FROM generate_series(1, 20000)",
            name,
        )
    )
    options = {"task": "regression", "model_list": ["RandomForestRegressor"], "time_budget": 0.01}
    connection.execute("CALL sys.ml_train(%s, 'y', %s, %s)", (f"public.{name}", json.dumps(options), name))
    message = refused(connection, "ML407", name, "public.never")
    assert "30000" in message and "nodes" in message
