"""Who may call what: roles and routines, as a golden file (MLSHARE_UPDATE_GOLDEN=1 writes it anew)."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import psycopg
import pytest

from backend import calls, world
from backend.world import World
from fix_db import Database, identifiers, unique

ROW = '{"a": 1, "b": 2, "c": "p"}'
OPTIONS = calls.as_json({"model_list": ["GaussianNB"], **world.QUICK})
DETAILS = ("coefficients", "importances", "global_statistics", "settings", "alerts")
VIEWS = ("s", "_attributes", "_settings", "_partitions", "_views", "_xforms")
# Each is rolled back. {h} is the handle, {o} its owner; {g} a role to share with.
CALLS = {
    "ml_create_or_upgrade_catalog": "CALL sys.ml_create_or_upgrade_catalog()",
    "ml_train": f"CALL sys.ml_train('public.input', 't', '{OPTIONS}')",
    "ml_model_load": "CALL sys.ml_model_load('{h}')",
    "ml_model_unload": "CALL sys.ml_model_unload('{h}')",
    "ml_model_active": "CALL sys.ml_model_active('all')",
    "ml_predict_row": f"SELECT sys.ml_predict_row('{ROW}', '{{h}}')",
    "ml_predict_row @owner": f"SELECT sys.ml_predict_row('{ROW}', '{{h}}@{{o}}')",
    "ml_predict_table": "CALL sys.ml_predict_table('public.input', '{h}', 'pg_temp.out')",
    "ml_predict": "SELECT * FROM sys.ml_predict('{h}', 'TABLE public.input')",
    "ml_score": "CALL sys.ml_score('public.input', 't', '{h}', 'accuracy', NULL)",
    "ml_model_export": "CALL sys.ml_model_export('{h}', 'pg_temp.sent')",
    "ml_model_import": 'CALL sys.ml_model_import(NULL, \'{{"schema": "public", "table": "sent"}}\')',
    "ml_model_grant": "CALL sys.ml_model_grant('{h}', '{g}')",
    "ml_model_revoke": "CALL sys.ml_model_revoke('{h}', '{g}')",
    "ml_model_drop": "CALL sys.ml_model_drop('{h}')",
    "ml_model_compile": "CALL sys.ml_model_compile('{h}', 'pg_temp.compiled')",
    "ml_model_add_partition": "CALL sys.ml_model_add_partition('{h}', 'TABLE public.input')",
    "ml_model_drop_partition": "CALL sys.ml_model_drop_partition('{h}', 'x')",
    "ml_model_refresh_partitions": "SELECT * FROM sys.ml_model_refresh_partitions('{h}', 'TABLE public.input')",
    "create_model2": "CALL dbms_data_mining.create_model2('x', 'CLASSIFICATION', 'TABLE "
    "public.input', NULL, NULL, 't')",
    "create_model": "CALL dbms_data_mining.create_model('x', 'CLASSIFICATION', 'public.input', NULL, 't')",
    "add_partition": "CALL dbms_data_mining.add_partition('{h}', 'TABLE public.input')",
    "drop_partition": "CALL dbms_data_mining.drop_partition('{h}', 'x')",
    "drop_model": "CALL dbms_data_mining.drop_model('{h}')",
    "rename_model": "CALL dbms_data_mining.rename_model('{h}', 'other')",
    "apply": "CALL dbms_data_mining.apply('{h}', 'public.input', 'a', 'pg_temp.applied')",
    "export_sermodel": "CALL dbms_data_mining.export_sermodel(NULL, '{h}')",
    "import_sermodel": "CALL dbms_data_mining.import_sermodel('', 'x')",
    "prediction": f"SELECT sys.prediction('{{h}}', '{ROW}'::jsonb)",
    "prediction (text)": f"SELECT sys.prediction('{{h}}', '{ROW}')",
    "prediction (record)": "SELECT sys.prediction('{h}', i) FROM public.input AS i",
    "prediction_number": f"SELECT sys.prediction_number('{{h}}', '{ROW}')",
    "prediction_probability": f"SELECT sys.prediction_probability('{{h}}', '{ROW}')",
    "prediction_set": f"SELECT * FROM sys.prediction_set('{{h}}', '{ROW}')",
    "prediction_details": f"SELECT * FROM sys.prediction_details('{{h}}', '{ROW}')",
    "prediction_bounds": f"SELECT * FROM sys.prediction_bounds('{{h}}', '{ROW}')",
    "ora_dm_partition_name": f"SELECT sys.ora_dm_partition_name('{{h}}', '{ROW}')",
    **{f"model_{f}": f"SELECT * FROM sys.model_{f}('{{h}}')" for f in DETAILS},
    **{f"{s}_mining_model{v}": f"TABLE sys.{s}_mining_model{v}" for v in VIEWS for s in ("all", "user", "dba")},
    "ml_executors": "TABLE sys.ml_executors",
    "ml_executor_set": "CALL sys.ml_executor_set('x', NULL, NULL, NULL, NULL)",
    "ml_set": "CALL sys.ml_set('cache_size', 5)",
    "json_object": "SELECT sys.json_object('a', 1)",
    "ml_settings": "TABLE sys.ml_settings",
    "ml_cache": "TABLE sys.ml_cache",
    "ml_model_privileges": "TABLE sys.ml_model_privileges",
    "catalog of the owner": 'TABLE "ml_schema_{o}".model_catalog',
    "objects of the owner": 'TABLE "ml_schema_{o}".model_object_catalog',
    "_create_catalog_schema": "SELECT sys._create_catalog_schema()",
    "_create_key": "SELECT sys._create_key()",
    "_as_owner": 'SELECT sys."_as_owner_{o}"()',
}
# The views of data shares; tests/sharing looks at what they show.
SHARES = [
    "shares", "share_tables", "share_schemas", "share_versions", "share_files", "share_detached_files", "share_jobs",
    "share_job_segments", "share_recipients", "share_recipient_grants", "share_events", "share_recipient_events",
    "lineage_cloud_storage_links", "share_providers", "share_links", "share_link_views",
]  # fmt: skip
VIEWS = [f"{form}_{name}" for name in SHARES for form in ("all", "user", "dba")]
VIEWS += ["all_shareable_objects", "all_object_shareability", "all_share_default_settings"]
CALLS |= {name: f"TABLE sys.{name}" for name in VIEWS}
KINDS = ("superuser", "owner", "user", "PREDICT", "SELECT", "ALTER", "plain")


@pytest.fixture
def sessions(made: World, roles: Callable[..., str], fresh: Database) -> Iterator[dict[str, psycopg.Connection]]:
    """A connection of each kind of role."""
    owner, admin = fresh.connect(made.owner), fresh.connect()
    calls.export(owner, "t_text", "shop.sent")
    admin.execute("CREATE TABLE public.sent AS TABLE shop.sent")
    admin.execute("CREATE TABLE public.input AS SELECT a, b, c, t_int AS t FROM shop.goods")
    admin.execute("GRANT SELECT ON public.sent, public.input TO PUBLIC")
    found = {"superuser": admin, "owner": owner, "user": fresh.connect(made.other), "plain": fresh.connect(made.plain)}
    for privilege in ("PREDICT", "SELECT", "ALTER"):
        name = roles(unique(privilege.lower()))
        admin.execute(identifiers("GRANT CREATE, TEMPORARY ON DATABASE {} TO {}", fresh.name, name))
        calls.grant(owner, "t_int", name, privilege)
        found[privilege] = fresh.connect(name)
    yield found
    fresh.close()


def outcome(connection: psycopg.Connection, statement: str) -> str:
    """ok or the SQLSTATE; nothing is kept."""
    try:
        with connection.transaction(force_rollback=True):
            connection.execute(statement.encode())
    except psycopg.Error as error:
        return error.sqlstate or "lost"
    return "ok"


def test_roles_and_routines(
    made: World, sessions: dict[str, psycopg.Connection], golden: Callable[[str, str], None]
) -> None:
    lines = [f"{'':34}" + "".join(f"{kind:>11}" for kind in KINDS)]
    for name, statement in CALLS.items():
        text = statement.replace("{{", "{").replace("}}", "}") if name == "ml_model_import" else statement
        for place, word in (("{h}", "t_int"), ("{o}", made.owner), ("{g}", made.third)):
            text = text.replace(place, word)
        lines.append(f"{name:34}" + "".join(f"{outcome(sessions[kind], text):>11}" for kind in KINDS))
    golden("role_routine_matrix.txt", "\n".join(line.rstrip() for line in lines) + "\n")


def test_every_public_routine_is_in_it(owner: psycopg.Connection) -> None:
    public = (
        "SELECT DISTINCT proname FROM pg_proc WHERE pronamespace IN ('sys'::regnamespace, "
        "'dbms_data_mining'::regnamespace) AND proname NOT LIKE '\\_%' "
        "UNION SELECT relname FROM pg_class WHERE relnamespace = 'sys'::regnamespace AND relkind = 'v'"
    )
    missing = {row[0] for row in calls.rows(owner, public)} - set(CALLS)
    assert missing == set()
