"""Oracle's settings: what they come to, and what is refused."""

from __future__ import annotations

from typing import Any

import pytest

from mlshare import errors
from mlshare.mining import settings
from mlshare.mining.settings import FUNCTIONS, parse

GLM = "ALGO_GENERALIZED_LINEAR_MODEL"
EVERY = [(f, a) for f, function in FUNCTIONS.items() for a in function.algorithms]


def test_defaults_of_classification() -> None:
    found = parse({}, "classification")
    assert found.partition_columns == () and found.plan.algorithm == "GaussianNB"
    assert found.plan.scaled and found.plan.details and found.plan.missing == "impute"
    assert ("ALGO_NAME", "ALGO_NAIVE_BAYES", "DEFAULT") in found.listed
    assert ("PREP_AUTO", "ON", "DEFAULT") in found.listed
    assert "ODMS_MAX_PARTITIONS" not in {name for name, _, _ in found.listed}


def test_defaults_of_regression() -> None:
    plan = parse({}, "Regression").plan
    assert (plan.algorithm, plan.params["C"], plan.params["epsilon"]) == ("LinearSVR", 1.0, 0.1)


def test_partition_settings() -> None:
    found = parse({"ODMS_PARTITION_COLUMNS": 'job, "Marital, state",AGE'}, "CLASSIFICATION")
    assert found.partition_columns == ("job", "Marital, state", "age")
    assert (found.max_partitions, found.build_type, found.min_rows) == (1000, "hybrid", 1)
    assert (found.on_partition_error, found.unseen_key, found.executor) == ("error", "null", None)
    assert ("ODMS_MAX_PARTITIONS", "1000", "DEFAULT") in found.listed
    given = {
        "odms_partition_columns": "job",
        "Odms_Max_Partitions": "1000000",
        "odms_partition_build_type": "odms_partition_build_intra",
        "min_rows_per_partition": 30,
        "on_partition_error": "FALLBACK",
        "unseen_key": "Error",
        "executor": "cluster_1",
    }
    found = parse(given, "CLASSIFICATION")
    assert (found.max_partitions, found.build_type, found.min_rows) == (1_000_000, "intra", 30)
    assert (found.on_partition_error, found.unseen_key, found.executor) == ("fallback", "error", "cluster_1")
    assert ("ODMS_PARTITION_BUILD_TYPE", "ODMS_PARTITION_BUILD_INTRA", "INPUT") in found.listed
    assert ("ON_PARTITION_ERROR", "fallback", "INPUT") in found.listed


def test_settings_of_all_functions() -> None:
    given = {
        "algo_name": GLM,
        "prep_auto": "off",
        "odms_missing_value_treatment": "odms_missing_value_delete_row",
        "odms_row_weight_column_name": "W",
        "odms_random_seed": "7",
        "odms_details": "odms_disable",
        "clas_weights_balanced": "on",
    }
    plan = parse(given, "CLASSIFICATION").plan
    assert (plan.scaled, plan.missing, plan.weights) == (False, "delete_row", "w")
    assert (plan.random_state, plan.details, plan.balanced) == (7, False, True)
    with pytest.raises(errors.UnknownSetting, match="CLAS_WEIGHTS_BALANCED"):
        parse({"CLAS_WEIGHTS_BALANCED": "ON"}, "REGRESSION")


@pytest.mark.parametrize(
    ("function", "given", "estimator", "params"),
    [
        ("CLASSIFICATION", {"ALGO_NAME": GLM}, "LogisticRegression", {"C": None, "max_iter": 300, "confidence": 0.95}),
        ("CLASSIFICATION", {"ALGO_NAME": GLM, "GLMS_RIDGE_VALUE": "4"}, "LogisticRegression", {"C": 0.25}),
        (
            "REGRESSION",
            {"ALGO_NAME": GLM, "GLMS_CONF_LEVEL": ".9"},
            "LinearRegression",
            {"ridge": 0, "confidence": 0.9},
        ),
        (
            "REGRESSION",
            {"ALGO_NAME": GLM, "GLMS_RIDGE_REGRESSION": "GLMS_RIDGE_REG_ENABLE"},
            "LinearRegression",
            {"ridge": 1.0},
        ),
        (
            "REGRESSION",
            {"SVMS_KERNEL_FUNCTION": "svms_gaussian", "SVMS_STD_DEV": "2", "SVMS_EPSILON": "0.2"},
            "SVR",
            {"std_dev": 2.0, "epsilon": 0.2, "C": 1.0},
        ),
        (
            "CLASSIFICATION",
            {"ALGO_NAME": "ALGO_SUPPORT_VECTOR_MACHINES", "SVMS_REGULARIZER": "SVMS_REGULARIZER_L1"},
            "LinearSVC",
            {"penalty": "l1"},
        ),
        (
            "CLASSIFICATION",
            {"ALGO_NAME": "ALGO_DECISION_TREE", "TREE_IMPURITY_METRIC": "TREE_IMPURITY_ENTROPY"},
            "DecisionTreeClassifier",
            {"criterion": "entropy", "max_depth": 7, "min_samples_leaf": 10, "min_percent_leaf": 0.05},
        ),
        (
            "REGRESSION",
            {"ALGO_NAME": "ALGO_RANDOM_FOREST", "RFOR_MTRY": "3"},
            "RandomForestRegressor",
            {"n_estimators": 20, "max_samples": 0.5, "max_features": 3},
        ),
        (
            "CLASSIFICATION",
            {"ALGO_NAME": "ALGO_NEURAL_NETWORK", "NNET_NODES_PER_LAYER": "20, 10"},
            "MLPClassifier",
            {"hidden_layer_sizes": [20, 10], "activation": "logistic", "solver": "lbfgs"},
        ),
        (
            "REGRESSION",
            {"ALGO_NAME": "ALGO_NEURAL_NETWORK", "NNET_REGULARIZER": "NNET_REGULARIZER_HELDASIDE"},
            "MLPRegressor",
            {"solver": "adam", "held_aside": 0.25},
        ),
        (
            "CLASSIFICATION",
            {"ALGO_NAME": "ALGO_XGBOOST", "ETA": "0.1", "num_round": 50},
            "XGBClassifier",
            {"eta": 0.1, "n_estimators": 50, "max_depth": 6},
        ),
    ],
)
def test_algorithms(function: str, given: dict[str, Any], estimator: str, params: dict[str, Any]) -> None:
    plan = parse(given, function).plan
    assert plan.algorithm == estimator
    assert {name: plan.params[name] for name in params} == params


@pytest.mark.parametrize(
    ("given", "error", "message"),
    [
        ({"ODMS_NOTHING": "1"}, errors.UnknownSetting, "ODMS_NOTHING.*no such"),
        ({"ODMS_SAMPLING": "ODMS_SAMPLING_ENABLE"}, errors.UnknownSetting, "ODMS_SAMPLING.*not supported"),
        ({"nabs_pairwise_threshold": "0"}, errors.UnknownSetting, "NABS_PAIRWISE_THRESHOLD.*not supported"),
        ({"TREE_TERM_MAX_DEPTH": "3"}, errors.UnknownSetting, "belongs to ALGO_.*ALGO_NAME is ALGO_NAIVE_BAYES"),
        ({"ODMS_MAX_PARTITIONS": "10"}, errors.UnknownSetting, "partitioned models"),
        ({"ALGO_NAME": "ALGO_KMEANS"}, errors.InvalidSettingValue, "ALGO_KMEANS"),
        ({"PREP_AUTO": "maybe"}, errors.InvalidSettingValue, "PREP_AUTO.*ON, OFF"),
        ({"PREP_AUTO": ["ON"]}, errors.InvalidSettingValue, "neither a text"),
        ({"PREP_AUTO": "ON", "prep_auto": "OFF"}, errors.InvalidSettingValue, "twice"),
        ({"ODMS_PARTITION_COLUMNS": "a", "ODMS_MAX_PARTITIONS": "1"}, errors.InvalidSettingValue, "from 2 to 1000000"),
        ({"ODMS_PARTITION_COLUMNS": "a", "ODMS_MAX_PARTITIONS": "2.5"}, errors.InvalidSettingValue, "2.5"),
        ({"ODMS_PARTITION_COLUMNS": "a,a"}, errors.InvalidSettingValue, "ODMS_PARTITION_COLUMNS"),
        ({"ODMS_PARTITION_COLUMNS": ",".join(f"c{i}" for i in range(17))}, errors.InvalidSettingValue, "16"),
        ({"ODMS_PARTITION_COLUMNS": '"a'}, errors.InvalidSettingValue, "ODMS_PARTITION_COLUMNS"),
        ({"ALGO_NAME": GLM, "GLMS_CONF_LEVEL": "1"}, errors.InvalidSettingValue, "GLMS_CONF_LEVEL"),
        ({"ALGO_NAME": GLM, "GLMS_RIDGE_VALUE": "nan"}, errors.InvalidSettingValue, "GLMS_RIDGE_VALUE"),
        (
            {"ALGO_NAME": GLM, "GLMS_RIDGE_VALUE": "1", "GLMS_RIDGE_REGRESSION": "GLMS_RIDGE_REG_DISABLE"},
            errors.InvalidSettingValue,
            "GLMS_RIDGE_VALUE",
        ),
        (
            {"ALGO_NAME": "ALGO_SUPPORT_VECTOR_MACHINES", "SVMS_STD_DEV": "1"},
            errors.InvalidSettingValue,
            "SVMS_STD_DEV.*SVMS_LINEAR",
        ),
        (
            {"ALGO_NAME": "ALGO_NEURAL_NETWORK", "NNET_NODES_PER_LAYER": "3,4", "NNET_HIDDEN_LAYERS": "3"},
            errors.InvalidSettingValue,
            "NNET_NODES_PER_LAYER",
        ),
        ({"ALGO_NAME": "ALGO_XGBOOST", "booster": "dart"}, errors.InvalidSettingValue, "booster"),
        ({"ALGO_NAME": "ALGO_XGBOOST", "Objective": "count:poisson"}, errors.UnknownSetting, "not supported"),
    ],
)
def test_refused(given: dict[str, Any], error: type[errors.MlshareError], message: str) -> None:
    with pytest.raises(error, match=message):
        parse(given, "CLASSIFICATION")


def test_unknown_setting_lists_the_known_ones() -> None:
    with pytest.raises(errors.UnknownSetting) as caught:
        parse({"SVMS_KERNEL": "x"}, "REGRESSION")
    assert "SVMS_KERNEL_FUNCTION" in caught.value.hint and "ODMS_PARTITION_COLUMNS" in caught.value.hint


def test_other_functions_are_refused() -> None:
    with pytest.raises(errors.InvalidArgument, match="CLUSTERING"):
        parse({}, "CLUSTERING")


@pytest.mark.parametrize(("function", "algorithm"), EVERY)
def test_every_default_is_a_value_of_its_setting(function: str, algorithm: str) -> None:
    found = parse({"ALGO_NAME": algorithm, "ODMS_PARTITION_COLUMNS": "k"}, function)
    table = {**FUNCTIONS[function].settings, **FUNCTIONS[function].algorithms[algorithm].settings}
    assert {name for name, _, _ in found.listed} - {"ALGO_NAME"} <= set(table)
    for setting in table.values():
        assert setting.about.endswith(".") and setting.kind.words
    # What is listed can be given again, and means the same.
    again = parse({name: value for name, value, _ in found.listed}, function)
    assert again.plan == found.plan
    assert settings.PARTITIONS.keys() <= table.keys()


@pytest.mark.parametrize("function", FUNCTIONS)
def test_every_setting_is_described(function: str) -> None:
    rows = settings.described(function)
    assert {name for algorithm, name, *_ in rows if not algorithm} == {"ALGO_NAME", *FUNCTIONS[function].settings}
    assert {algorithm for algorithm, *_ in rows} <= {"", *FUNCTIONS[function].algorithms}
    assert all(values and about for _, _, values, _, about in rows)
