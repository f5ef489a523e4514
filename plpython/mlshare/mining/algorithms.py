"""The algorithms of mining models: their settings, and the estimators and parameters these come to."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlshare.errors import InvalidSettingValue
from mlshare.mining.kinds import Kind, ListOf, OneOf, Real, Whole

Values = Mapping[str, Any]  # what was read, by setting; None where there is no default


@dataclass(frozen=True)
class Setting:
    """A setting: what its value may be, its default (None: there is none, or it depends on the data), what it does."""

    kind: Kind
    default: str | None
    about: str


@dataclass(frozen=True)
class Algorithm:
    """An algorithm: the estimator and its parameters that settings come to, and settings known but not to be had."""

    settings: Mapping[str, Setting]
    plan: Callable[[Values], tuple[str, dict[str, Any]]]
    unsupported: str = ""  # names with spaces between them


def _glm(values: Values) -> float:
    """The ridge value: 0 for none."""
    ridge = values["GLMS_RIDGE_VALUE"]
    if values["GLMS_RIDGE_REGRESSION"] is False and ridge is not None:
        reason = "GLMS_RIDGE_REGRESSION is GLMS_RIDGE_REG_DISABLE"
        raise InvalidSettingValue(setting="GLMS_RIDGE_VALUE", reason=reason)
    return float(ridge or (1.0 if values["GLMS_RIDGE_REGRESSION"] else 0.0))


def _logistic(values: Values) -> tuple[str, dict[str, Any]]:
    ridge = _glm(values)
    return "LogisticRegression", {
        "C": 1.0 / ridge if ridge else None,
        "max_iter": values["GLMS_NUM_ITERATIONS"],
        "tol": values["GLMS_CONV_TOLERANCE"],
        "confidence": values["GLMS_CONF_LEVEL"],
    }


def _least_squares(values: Values) -> tuple[str, dict[str, Any]]:
    return "LinearRegression", {"ridge": _glm(values), "confidence": values["GLMS_CONF_LEVEL"]}


def _svm(values: Values, task: str) -> tuple[str, dict[str, Any]]:
    gaussian = values["SVMS_KERNEL_FUNCTION"] == "gaussian"
    params = {"C": values["SVMS_COMPLEXITY_FACTOR"], "tol": values["SVMS_CONV_TOLERANCE"]}
    params |= {"max_iter": values["SVMS_NUM_ITERATIONS"] or (100_000 if gaussian else 1_000)}
    if task == "regression":
        params["epsilon"] = values["SVMS_EPSILON"]
    if gaussian:
        _only_without(values, "SVMS_REGULARIZER", "SVMS_GAUSSIAN")
        width = values["SVMS_STD_DEV"]
        return {"classification": "SVC", "regression": "SVR"}[task], {
            **params,
            **({"gamma": 1.0} if width is None else {"std_dev": width}),
        }
    _only_without(values, "SVMS_STD_DEV", "SVMS_LINEAR")
    if values.get("SVMS_REGULARIZER") == "l1":
        params["penalty"] = "l1"
    return {"classification": "LinearSVC", "regression": "LinearSVR"}[task], params


def _only_without(values: Values, setting: str, kernel: str) -> None:
    if values.get(setting) is not None:
        raise InvalidSettingValue(setting=setting, reason=f"it does not go with SVMS_KERNEL_FUNCTION {kernel}")


def _tree(values: Values) -> dict[str, Any]:
    return {
        "criterion": values["TREE_IMPURITY_METRIC"],
        "max_depth": values["TREE_TERM_MAX_DEPTH"],
        "min_samples_leaf": values["TREE_TERM_MINREC_NODE"],
        "min_samples_split": values["TREE_TERM_MINREC_SPLIT"],
        "min_percent_leaf": values["TREE_TERM_MINPCT_NODE"],
        "min_percent_split": values["TREE_TERM_MINPCT_SPLIT"],
    }


def _forest(values: Values) -> dict[str, Any]:
    params = {
        name: value for name, value in _tree({"TREE_IMPURITY_METRIC": None, **values}).items() if value is not None
    }
    most = values["RFOR_MTRY"]
    return {
        **params,
        "n_estimators": values["RFOR_NUM_TREES"],
        "max_samples": values["RFOR_SAMPLING_RATIO"],
        "max_features": "sqrt" if most is None else most or 1.0,
    }


def _network(values: Values) -> dict[str, Any]:
    sizes = values["NNET_NODES_PER_LAYER"]
    layers = values["NNET_HIDDEN_LAYERS"]
    if layers is not None and sizes is not None and len(sizes) != layers:
        raise InvalidSettingValue(setting="NNET_NODES_PER_LAYER", reason=f"NNET_HIDDEN_LAYERS is {layers}")
    sizes = sizes if sizes is not None else (50,) * (1 if layers is None else layers)
    activations = set(values["NNET_ACTIVATIONS"])
    if len(activations) > 1 or len(values["NNET_ACTIVATIONS"]) not in (1, len(sizes)):
        raise InvalidSettingValue(setting="NNET_ACTIVATIONS", reason="all layers have the same one")
    params = {
        "hidden_layer_sizes": list(sizes),
        "activation": activations.pop(),
        "max_iter": values["NNET_ITERATIONS"],
        "tol": values["NNET_TOLERANCE"],
    }
    return {**params, **_regularised(values)}


def _regularised(values: Values) -> dict[str, Any]:
    kind, solver = values["NNET_REGULARIZER"], values["NNET_SOLVER"]
    for setting, needed in (("NNET_REG_LAMBDA", "l2"), ("NNET_HELDASIDE_RATIO", "heldaside")):
        if values[setting] is not None and kind != needed:
            reason = f"it goes with NNET_REGULARIZER NNET_REGULARIZER_{needed.upper()}"
            raise InvalidSettingValue(setting=setting, reason=reason)
    if kind == "heldaside":
        if solver == "lbfgs":
            raise InvalidSettingValue(setting="NNET_SOLVER", reason="held-aside rows need NNET_SOLVER_ADAM")
        return {"solver": "adam", "alpha": 0.0, "held_aside": values["NNET_HELDASIDE_RATIO"] or 0.25}
    return {"solver": solver or "lbfgs", "alpha": (values["NNET_REG_LAMBDA"] or 1.0) if kind == "l2" else 0.0}


def _boosting(values: Values) -> dict[str, Any]:
    own = {name: value for name, value in values.items() if value is not None and name != "booster"}
    return {**own, "n_estimators": own.pop("num_round")}


_GLM: dict[str, Setting] = {
    "GLMS_RIDGE_REGRESSION": Setting(
        OneOf({"GLMS_RIDGE_REG_ENABLE": True, "GLMS_RIDGE_REG_DISABLE": False}),
        None,
        "Shrinks the coefficients, which then have no standard errors; disabled unless a ridge value is given.",
    ),
    "GLMS_RIDGE_VALUE": Setting(Real(0), None, "How much; 1 if ridge regression is enabled without a value."),
    "GLMS_CONF_LEVEL": Setting(Real(0, 1), "0.95", "Confidence of the limits of coefficients."),
}
_LOGISTIC: dict[str, Setting] = {
    **_GLM,
    "GLMS_LINK_FUNCTION": Setting(OneOf({"GLMS_LOGIT_LINK": "logit"}), "GLMS_LOGIT_LINK", "The link function."),
    "GLMS_NUM_ITERATIONS": Setting(Whole(1), "300", "Most iterations."),
    "GLMS_CONV_TOLERANCE": Setting(Real(0, 1), "0.000001", "Ends when no derivative of the mean loss is above it."),
}
_SVM: dict[str, Setting] = {
    "SVMS_KERNEL_FUNCTION": Setting(
        OneOf({"SVMS_LINEAR": "linear", "SVMS_GAUSSIAN": "gaussian"}), "SVMS_LINEAR", "The kernel."
    ),
    "SVMS_COMPLEXITY_FACTOR": Setting(Real(0), "1", "Weight of the errors against the width of the margin."),
    "SVMS_CONV_TOLERANCE": Setting(Real(0, 1), "0.0001", "When to end."),
    "SVMS_NUM_ITERATIONS": Setting(Whole(1), None, "Most iterations: 1000, with the Gaussian kernel 100000."),
    "SVMS_STD_DEV": Setting(
        Real(0), None, "Width of the Gaussian kernel over standardised columns; by default by their number."
    ),
}
_SVM_CLASSIFIER = {
    **_SVM,
    "SVMS_REGULARIZER": Setting(
        OneOf({"SVMS_REGULARIZER_L1": "l1", "SVMS_REGULARIZER_L2": "l2"}), None, "Of the linear kernel: L2 by default."
    ),
}
_SVM_REGRESSOR = {
    **_SVM,
    "SVMS_EPSILON": Setting(Real(0), "0.1", "Errors up to it, in deviations of the target, are none."),
}
_IMPURITY = {
    "TREE_IMPURITY_METRIC": Setting(
        OneOf({"TREE_IMPURITY_GINI": "gini", "TREE_IMPURITY_ENTROPY": "entropy"}),
        "TREE_IMPURITY_GINI",
        "Judges splits.",
    )
}


def _tree_settings(depth: int, deepest: int) -> dict[str, Setting]:
    return {
        "TREE_TERM_MAX_DEPTH": Setting(Whole(2, deepest), str(depth), "Most levels of a tree."),
        "TREE_TERM_MINREC_NODE": Setting(Whole(1), "10", "Least rows of a leaf."),
        "TREE_TERM_MINREC_SPLIT": Setting(Whole(2), "20", "Least rows of a node that is split."),
        "TREE_TERM_MINPCT_NODE": Setting(Real(0, 10, closed=True), "0.05", "The same in percent of the rows."),
        "TREE_TERM_MINPCT_SPLIT": Setting(Real(0, 20, closed=True), "0.1", "The same in percent of the rows."),
    }


_FOREST = {
    "RFOR_NUM_TREES": Setting(Whole(1, 65535), "20", "How many trees."),
    "RFOR_MTRY": Setting(Whole(0), None, "Columns tried for a split, 0 for all; by default the root of their number."),
    "RFOR_SAMPLING_RATIO": Setting(Real(0, 1, closed=True), "0.5", "Share of the rows that each tree sees."),
    **_tree_settings(16, 100),
}
_NETWORK = {
    "NNET_HIDDEN_LAYERS": Setting(Whole(0, 20), None, "How many hidden layers: 1, or as many as nodes are given."),
    "NNET_NODES_PER_LAYER": Setting(ListOf(Whole(1, 4096)), None, "Nodes of each hidden layer; by default 50."),
    "NNET_ACTIVATIONS": Setting(
        ListOf(
            OneOf(
                {
                    "NNET_ACTIVATIONS_LOG_SIG": "logistic",
                    "NNET_ACTIVATIONS_LINEAR": "identity",
                    "NNET_ACTIVATIONS_TANH": "tanh",
                    "NNET_ACTIVATIONS_RELU": "relu",
                }
            )
        ),
        "NNET_ACTIVATIONS_LOG_SIG",
        "Activation of the hidden layers, the same for all.",
    ),
    "NNET_SOLVER": Setting(
        OneOf({"NNET_SOLVER_ADAM": "adam", "NNET_SOLVER_LBFGS": "lbfgs"}), None, "LBFGS, with held-aside rows ADAM."
    ),
    "NNET_REGULARIZER": Setting(
        OneOf(
            {
                "NNET_REGULARIZER_NONE": "none",
                "NNET_REGULARIZER_L2": "l2",
                "NNET_REGULARIZER_HELDASIDE": "heldaside",
            }
        ),
        "NNET_REGULARIZER_L2",
        "Against too close a fit.",
    ),
    "NNET_REG_LAMBDA": Setting(Real(0), None, "How much with L2; by default 1."),
    "NNET_HELDASIDE_RATIO": Setting(Real(0, 1), None, "Share of the rows held aside; by default 0.25."),
    "NNET_ITERATIONS": Setting(Whole(1), "200", "Most iterations."),
    "NNET_TOLERANCE": Setting(Real(0, 1), "0.000001", "When to end."),
}
_BOOSTING = {
    "booster": Setting(OneOf({"gbtree": "gbtree"}), "gbtree", "What is boosted."),
    "num_round": Setting(Whole(1, 100_000), "10", "Rounds of boosting."),
    "eta": Setting(Real(0, 1, closed=True), "0.3", "Learning rate."),
    "max_depth": Setting(Whole(0, 64), "6", "Most levels of a tree; 0 for any."),
    "max_leaves": Setting(Whole(0), "0", "Most leaves of a tree; 0 for any."),
    "min_child_weight": Setting(Real(0, closed=True), "1", "Least weight of a leaf."),
    "gamma": Setting(Real(0, closed=True), "0", "Least gain of a split."),
    "subsample": Setting(Real(0, 1, closed=True), "1", "Share of the rows for each tree."),
    "colsample_bytree": Setting(Real(0, 1, closed=True), "1", "Share of the columns for each tree."),
    "colsample_bylevel": Setting(Real(0, 1, closed=True), "1", "Share of the columns for each level."),
    "colsample_bynode": Setting(Real(0, 1, closed=True), "1", "Share of the columns for each split."),
    "lambda": Setting(Real(0, closed=True), "1", "L2 penalty of the leaves."),
    "alpha": Setting(Real(0, closed=True), "0", "L1 penalty of the leaves."),
    "max_delta_step": Setting(Real(0, closed=True), "0", "Most that a leaf may say; 0 for any."),
    "max_bin": Setting(Whole(2, 65536), "256", "Bins of a column."),
    "grow_policy": Setting(
        OneOf({"depthwise": "depthwise", "lossguide": "lossguide"}), "depthwise", "Which node is split next."
    ),
}
# Known, and not to be had.
_NO_GLM = """
    GLMS_FTR_SELECTION GLMS_FTR_SEL_CRIT GLMS_FTR_GENERATION GLMS_FTR_GEN_METHOD GLMS_MAX_FEATURES
    GLMS_PRUNE_MODEL GLMS_SOLVER GLMS_SPARSE_SOLVER GLMS_BATCH_ROWS GLMS_ROW_DIAGNOSTICS
    GLMS_DIAGNOSTICS_TABLE_NAME GLMS_REFERENCE_CLASS_NAME GLMS_VIF_FOR_RIDGE GLMS_SELECT_BLOCK
"""
_NO_SVM = """
    SVMS_SOLVER SVMS_BATCH_ROWS SVMS_NUM_PIVOTS SVMS_OUTLIER_RATE SVMS_KERNEL_CACHE_SIZE SVMS_ACTIVE_LEARNING
"""
_NO_NB = "NABS_PAIRWISE_THRESHOLD NABS_SINGLETON_THRESHOLD"
_NO_NETWORK = "NNET_HELDASIDE_MAX_FAIL NNET_WEIGHT_LOWER_BOUND NNET_WEIGHT_UPPER_BOUND"
_NO_BOOSTING = """
    objective eval_metric base_score scale_pos_weight tree_method seed monotone_constraints
    interaction_constraints sample_type normalize_type rate_drop one_drop skip_drop num_parallel_tree
    sampling_method process_type xgboost_booster
"""

CLASSIFICATION: dict[str, Algorithm] = {
    "ALGO_NAIVE_BAYES": Algorithm({}, lambda v: ("GaussianNB", {"var_smoothing": 1e-3}), _NO_NB),
    "ALGO_GENERALIZED_LINEAR_MODEL": Algorithm(_LOGISTIC, _logistic, _NO_GLM),
    "ALGO_SUPPORT_VECTOR_MACHINES": Algorithm(_SVM_CLASSIFIER, lambda v: _svm(v, "classification"), _NO_SVM),
    "ALGO_DECISION_TREE": Algorithm(
        {**_IMPURITY, **_tree_settings(7, 20)}, lambda v: ("DecisionTreeClassifier", _tree(v))
    ),
    "ALGO_RANDOM_FOREST": Algorithm({**_IMPURITY, **_FOREST}, lambda v: ("RandomForestClassifier", _forest(v))),
    "ALGO_NEURAL_NETWORK": Algorithm(_NETWORK, lambda v: ("MLPClassifier", _network(v)), _NO_NETWORK),
    "ALGO_XGBOOST": Algorithm(_BOOSTING, lambda v: ("XGBClassifier", _boosting(v)), _NO_BOOSTING),
}
REGRESSION: dict[str, Algorithm] = {
    "ALGO_SUPPORT_VECTOR_MACHINES": Algorithm(_SVM_REGRESSOR, lambda v: _svm(v, "regression"), _NO_SVM),
    "ALGO_GENERALIZED_LINEAR_MODEL": Algorithm(_GLM, _least_squares, _NO_GLM),
    "ALGO_RANDOM_FOREST": Algorithm(_FOREST, lambda v: ("RandomForestRegressor", _forest(v))),
    "ALGO_NEURAL_NETWORK": Algorithm(_NETWORK, lambda v: ("MLPRegressor", _network(v)), _NO_NETWORK),
    "ALGO_XGBOOST": Algorithm(_BOOSTING, lambda v: ("XGBRegressor", _boosting(v)), _NO_BOOSTING),
}
