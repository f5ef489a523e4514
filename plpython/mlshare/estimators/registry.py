"""The list of algorithms; a new one is one row here. Imports no library that fits."""

from __future__ import annotations

from collections.abc import Sequence

from mlshare.errors import InvalidOptionValue
from mlshare.estimators.base import Choice, Estimator, Number, Space
from mlshare.table import Task

_LIBLINEAR_ROWS = 300_000
_KERNEL_ROWS = 10_000
_SMALL = 2_000

_C: Space = {"C": Number(1e-3, 1e2, log=True)}
_SVR: Space = {**_C, "epsilon": Number(1e-3, 0.5, log=True)}
_GAMMA: Space = {"gamma": Number(0.05, 20.0, log=True)}

_TREE: Space = {
    "max_leaf_nodes": Number(8, 1024, log=True, whole=True),
    "min_samples_leaf": Number(1, 64, log=True, whole=True),
}
_TREE_FIRST = {"max_leaf_nodes": 64, "min_samples_leaf": 10}

_FOREST: Space = {
    "max_leaf_nodes": Number(128, 2048, log=True, whole=True),
    "min_samples_leaf": Number(1, 16, log=True, whole=True),
    "max_features": Number(0.2, 1.0),
    "n_estimators": Choice((100,)),
}
_FOREST_FIRST = {"max_leaf_nodes": 1024, "min_samples_leaf": 2, "max_features": 0.4, "n_estimators": 100}

_LGBM: Space = {
    "num_leaves": Number(12, 96, log=True, whole=True),
    "learning_rate": Number(0.02, 0.12, log=True),
    "min_data_in_leaf": Number(5, 80, log=True, whole=True),
    "feature_fraction": Number(0.4, 1.0),
    "bagging_fraction": Number(0.6, 1.0),
    "lambda_l2": Number(1e-3, 10.0, log=True),
}
_LGBM_FIRST = {
    "num_leaves": 31,
    "learning_rate": 0.05,
    "min_data_in_leaf": 20,
    "feature_fraction": 0.7,
    "bagging_fraction": 0.8,
    "lambda_l2": 1e-3,
}
_XGB: Space = {
    "max_leaves": Number(12, 96, log=True, whole=True),
    "eta": Number(0.02, 0.12, log=True),
    "min_child_weight": Number(0.5, 20, log=True),
    "colsample_bytree": Number(0.4, 1.0),
    "subsample": Number(0.6, 1.0),
    "lambda": Number(1e-2, 10.0, log=True),
    "max_depth": Choice((0,)),
    "grow_policy": Choice(("lossguide",)),
}
_XGB_FIRST = {
    "max_leaves": 31,
    "eta": 0.06,
    "min_child_weight": 2.0,
    "colsample_bytree": 0.7,
    "subsample": 0.8,
    "lambda": 1.0,
    "max_depth": 0,
    "grow_policy": "lossguide",
}

_NETWORK: Space = {
    "alpha": Number(1e-4, 1e2, log=True),
    "activation": Choice(("logistic", "tanh", "relu")),
    "solver": Choice(("lbfgs",)),
    "max_iter": Choice((200,)),
    "tol": Choice((1e-6,)),
}
_NETWORK_FIRST = {
    "alpha": 1.0,
    "activation": "logistic",
    "solver": "lbfgs",
    "max_iter": 200,
    "tol": 1e-6,
}

_CLF: Task = "classification"
_REG: Task = "regression"

# name, task, layout, fit, space, first, rows up to which it is tried by itself, rows it is fitted on
REGISTRY: tuple[Estimator, ...] = (
    Estimator("LogisticRegression", _CLF, "onehot", "glm.logistic", _C, {"C": 0.1}),
    Estimator(
        "GaussianNB", _CLF, "onehot", "linear.gaussian_nb",
        {"var_smoothing": Number(1e-9, 1.0, log=True)}, {"var_smoothing": 1e-3},
    ),
    Estimator("DecisionTreeClassifier", _CLF, "ordinal", "trees.decision_tree", _TREE, _TREE_FIRST),
    Estimator("RandomForestClassifier", _CLF, "ordinal", "trees.random_forest", _FOREST, _FOREST_FIRST),
    Estimator("ExtraTreesClassifier", _CLF, "ordinal", "trees.extra_trees", _FOREST, _FOREST_FIRST),
    Estimator("XGBClassifier", _CLF, "ordinal", "trees.xgb", _XGB, _XGB_FIRST),
    Estimator("LGBMClassifier", _CLF, "ordinal", "trees.lgbm", _LGBM, _LGBM_FIRST),
    Estimator(
        "SVC", _CLF, "onehot", "kernels.svc", {**_C, **_GAMMA}, {"C": 1.0, "gamma": 1.0}, _SMALL, _KERNEL_ROWS
    ),
    Estimator("LinearSVC", _CLF, "onehot", "linear.linear_svc", _C, {"C": 0.1}, _SMALL, _LIBLINEAR_ROWS),
    Estimator(
        "LinearRegression", _REG, "onehot", "glm.least_squares",
        {"alpha": Number(1e-8, 1.0, log=True)}, {"alpha": 1e-6},
    ),
    Estimator("DecisionTreeRegressor", _REG, "ordinal", "trees.decision_tree", _TREE, _TREE_FIRST),
    Estimator("RandomForestRegressor", _REG, "ordinal", "trees.random_forest", _FOREST, _FOREST_FIRST),
    Estimator("ExtraTreesRegressor", _REG, "ordinal", "trees.extra_trees", _FOREST, _FOREST_FIRST),
    Estimator("XGBRegressor", _REG, "ordinal", "trees.xgb", _XGB, _XGB_FIRST),
    Estimator("LGBMRegressor", _REG, "ordinal", "trees.lgbm", _LGBM, _LGBM_FIRST),
    Estimator(
        "SVR", _REG, "onehot", "kernels.svr", {**_SVR, **_GAMMA},
        {"C": 1.0, "epsilon": 0.1, "gamma": 1.0}, _SMALL, _KERNEL_ROWS,
    ),
    Estimator(
        "LinearSVR", _REG, "onehot", "linear.linear_svr", _SVR, {"C": 1.0, "epsilon": 0.01},
        _SMALL, _LIBLINEAR_ROWS,
    ),
    # Not among HeatWave's; never tried unless named.
    Estimator("MLPClassifier", _CLF, "onehot", "neural.network", _NETWORK, _NETWORK_FIRST, 0),
    Estimator("MLPRegressor", _REG, "onehot", "neural.network", _NETWORK, _NETWORK_FIRST, 0),
)  # fmt: skip


def names(task: str) -> tuple[str, ...]:
    """Names of all algorithms of a task."""
    return tuple(e.name for e in REGISTRY if e.task == task)


def find(name: str, task: str) -> Estimator:
    """The algorithm of that name; InvalidOptionValue if the task has none."""
    return candidates(task, 0, (name,), ())[0]


def candidates(
    task: str, rows: int, wanted: Sequence[str] | None, unwanted: Sequence[str] | None
) -> tuple[Estimator, ...]:
    """The algorithms to try: those named, or those that suit the number of rows; none unwanted."""
    known = names(task)
    for option, given in (("model_list", wanted), ("exclude_model_list", unwanted)):
        for name in given or ():
            if name not in known:
                raise InvalidOptionValue(
                    option=option,
                    reason=f'"{name}" is not an algorithm for {task}',
                    hint=f"Known are: {', '.join(known)}.",
                )
    return tuple(
        e
        for e in REGISTRY
        if e.task == task
        and (e.name in wanted if wanted else e.auto_rows is None or rows <= e.auto_rows)
        and e.name not in (unwanted or ())
    )
