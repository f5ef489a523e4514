"""Every error class: how a user gets it, with its SQLSTATE and message; none is left out without a reason."""

from __future__ import annotations

import re

import psycopg
import pytest
from psycopg.errors import Error

from backend import graphs
from backend.calls import catalog, refused
from backend.world import World
from fix_db import Database
from mlshare import errors

ROW = '{"a": 1, "b": 2, "c": "p"}'
TRAIN = "CALL sys.ml_train('shop.loan', 'answer', '{}')"
SCORE = "CALL sys.ml_score('{}', '{}', 'loan', '{}', NULL)"
IMPORT = "CALL sys.ml_model_import('{}', '{}')"
EXPORT = "CALL sys.ml_model_export('t_int', 'shop.sent')"
BACK = """CALL sys.ml_model_import(NULL, '{"schema": "shop", "table": "sent"}')"""

# What to do first, what then fails; by class.
CASES = {
    "UnknownOption": ("", TRAIN.replace("{}", '{"x": 1}')),
    "InvalidOptionValue": ("", TRAIN.replace("{}", '{"task": 1}')),
    "ConflictingOptions": ("", TRAIN.replace("{}", '{"model_list": ["SVC"], "exclude_model_list": ["SVC"]}')),
    "InvalidArgument": ("", TRAIN.replace("{}", "[]")),
    "InvalidTableName": ("", "CALL sys.ml_model_export('loan', 'sent')"),
    "InvalidHandle": ("", "CALL sys.ml_model_load('')"),
    "TableExists": ("", "CALL sys.ml_model_export('loan', 'shop.loan')"),
    "ColumnNotFound": ("", "CALL sys.ml_train('shop.loan', 'nope')"),
    "ReservedColumn": (
        "ALTER TABLE shop.loan ADD prediction int",
        "CALL sys.ml_predict_table('shop.loan', 'loan', 'shop.out')",
    ),
    "TrainingDataError": (
        "UPDATE shop.loan SET income = 'Infinity' WHERE id = 3",
        TRAIN.replace("{}", '{"model_list": ["GaussianNB"]}'),
    ),
    "UnsupportedColumnType": ("ALTER TABLE shop.loan ADD j jsonb", "CALL sys.ml_train('shop.loan', 'answer')"),
    "InvalidTarget": ("", "CALL sys.ml_train('shop.loan', 'since')"),
    "TooFewRows": ("DELETE FROM shop.loan WHERE id > 5", "CALL sys.ml_train('shop.loan', 'answer')"),
    "NoUsableColumns": (
        "CREATE TABLE shop.only AS SELECT answer FROM shop.loan",
        "CALL sys.ml_train('shop.only', 'answer')",
    ),
    "NoEstimatorLeft": (
        "",
        TRAIN.replace(
            "{}",
            '{"exclude_model_list": ["LogisticRegression", "GaussianNB", "DecisionTreeClassifier", "SVC", "LinearSVC", '
            '"RandomForestClassifier", "ExtraTreesClassifier", "XGBClassifier", "LGBMClassifier"]}',
        ),
    ),
    "ModelNotFound": ("", f"SELECT sys.ml_predict_row('{ROW}', 'nothing')"),
    "ModelExists": ("", "CALL sys.ml_train('shop.loan', 'answer', NULL, 'loan')"),
    "ModelNotReady": (
        "DELETE FROM {catalog}.model_object_catalog WHERE model_handle = 't_int'",
        "CALL sys.ml_model_load('t_int')",
    ),
    "CorruptModel": ("", IMPORT.format("\\x00", "{}")),
    "TamperedModel": (
        "UPDATE {catalog}.model_object_catalog "
        "SET model_object = set_byte(model_object, 9, get_byte(model_object, 9) # 1) WHERE model_handle = 't_int'",
        "CALL sys.ml_model_load('t_int')",
    ),
    "UnsafeModel": (
        "",
        IMPORT.format("\\x" + graphs.forbidden().hex(), '{"task": "regression", "column_names": ["x"]}'),
    ),
    "InvalidModelMetadata": (
        "",
        IMPORT.format("\\x" + graphs.logarithm().hex(), '{"task": "regression", "column_names": 5}'),
    ),
    "InvalidExportTable": ("", BACK),
    "MissingFeature": ("", "SELECT sys.ml_predict_row('{}', 'loan')"),
    "FeatureTypeMismatch": ("ALTER TABLE shop.loan ALTER age TYPE text", SCORE.format("shop.loan", "answer", "f1")),
    "InvalidFeatureValue": ("", f"SELECT sys.ml_predict_row('{ROW.replace('1', '[]')}', 't_int')"),
    "InvalidMetric": ("", SCORE.format("shop.loan", "answer", "r2")),
    "MetricUndefined": ("DELETE FROM shop.loan WHERE answer = 'yes'", SCORE.format("shop.loan", "answer", "roc_auc")),
    "ScoringFailed": (
        'CALL sys.ml_model_import(\'{log}\', \'{{"task": "regression", "column_names": ["x"]}}\', \'log\')',
        "SELECT sys.ml_predict_row('{\"x\": -1}', 'log')",
    ),
}
ELSEWHERE = {
    "InvalidRoleName": "test_roles.py",
    "CatalogError": "test_roles.py",
    "AmbiguousModel": "test_sharing.py",
    "ModelPrivilege": "test_sharing.py",
    "ModelTooLarge": "test_settings.py",
    "ChildCrashed": "test_training_process.py",
    "ChildOutOfMemory": "test_training_process.py",
    "ChildTimeout": "test_training_process.py",
    "EncodingNotSupported": "test_unusual.py",
    "ReadOnlyTransaction": "test_sessions.py",
    "FunctionExists": "test_compile.py",
    "NotCompilable": "test_compile.py",
    "CompiledTooLarge": "test_compile.py",
    **dict.fromkeys(("PartitionKeyType", "InvalidPartitionKey", "TooManyPartitions"), "test_partitions.py"),
    **dict.fromkeys(("NoPartitions", "PartitionExists", "PartitionNotFound", "LastPartition"), "test_partitions.py"),
    **dict.fromkeys(("NotPartitioned", "PartitionFailed", "MissingKeyColumn", "UnseenKey"), "test_partitions.py"),
    "ExecutorFailed": "test_executor.py",
    **dict.fromkeys(("UnknownSetting", "InvalidSettingValue"), "test_mining_models.py"),
    "BoundsUnknown": "test_seed_partitions.py",
    **dict.fromkeys(("EndpointRefused", "TokenRefused", "ShareNotFound"), "../sharing/test_consumer.py"),
    **dict.fromkeys(("ProviderCredential", "InvalidProfile", "UnknownShareObject"), "../sharing/test_consumer.py"),
    **dict.fromkeys(("ShareServerError", "UnreadableColumn"), "../sharing/test_consumer_hostile.py"),
}
NOT_REACHED = {
    "MlshareError": "the base class",
    "ModelObjectError": "the base class of what a model object can be",
    "ShareReadError": "the base class of what can happen when shares of others are read",
    "ModelChanged": "needs a change of the model within a millisecond",
    "TrainingFailed": "a converted model that answers otherwise would be a fault of ours",
    "ChildError": "a task that fails unexpectedly would be a fault of ours",
    "InstallationError": "needs a server that was set up wrongly",
}


def classes() -> dict[str, type[Error]]:
    """Every error class by name."""
    return {n: c for n, c in vars(errors).items() if isinstance(c, type) and issubclass(c, errors.MlshareError)}


def test_no_class_is_left_out() -> None:
    assert set(classes()) == {*CASES, *ELSEWHERE, *NOT_REACHED}


@pytest.mark.parametrize("name", CASES)
def test_how_to_get_it(made: World, fresh: Database, name: str) -> None:
    owner = fresh.connect(made.owner)
    before, call = CASES[name]
    if before:
        owner.execute(before.format(catalog=catalog(owner), log="\\x" + graphs.logarithm().hex()).encode())
    template = classes()[name].__doc__.split("\n\n")[0].strip()  # type: ignore[union-attr]
    with pytest.raises(psycopg.Error) as caught:
        owner.execute(call.encode())
    found = caught.value.diag
    assert found.sqlstate == classes()[name].sqlstate, found.message_primary  # type: ignore[attr-defined]
    pattern = re.sub(r"\\\{\w+\\\}", "(.*)", re.escape(template))
    assert re.fullmatch("mlshare: " + pattern + " ?", found.message_primary or ""), found.message_primary
    assert "Traceback" not in (found.message_detail or "")


@pytest.mark.parametrize("routine", ["_in_snapshot", "_scored", "_scored_values"])
def test_private_routines_do_nothing_by_themselves(owner: psycopg.Connection, routine: str) -> None:
    with refused(owner, "22023", "this function is not for direct use"):
        owner.execute(f"SELECT * FROM sys.{routine}()")
