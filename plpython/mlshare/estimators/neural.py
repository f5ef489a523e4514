"""Neural networks of dense layers."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from sklearn import neural_network

from mlshare.convert import graph
from mlshare.errors import TooFewRows
from mlshare.estimators.base import Fitted, Floats, Held, Inside, Params, Problem
from mlshare.estimators.scaling import Scaling
from mlshare.estimators.scores import scaled, unconverged_is_fine

_LAYERS = (50,)
_PATIENCE = 10


def network(
    problem: Problem, params: Params, x: Floats, y: Floats, held: Held | None, weights: Floats | None = None
) -> Fitted:
    """A multi-layer perceptron; ``held_aside`` is the share of rows whose error ends the training."""
    classifies = problem.task == "classification"
    scaling = scaled(problem, x, weights)
    target = Scaling(np.array(0.0), np.array(1.0)) if classifies else Scaling.of(y, weights)
    kind = neural_network.MLPClassifier if classifies else neural_network.MLPRegressor
    model = kind(**_arguments(problem, params, y), random_state=problem.seed)
    with unconverged_is_fine():
        model.fit(scaling.apply(x), target.apply(y), sample_weight=weights)

    def predict(rows: Floats) -> Floats:
        z = scaling.apply(rows)
        return np.asarray(model.predict_proba(z) if classifies else model.predict(z) * target.scale + target.center)

    layers = list(zip(model.coefs_, model.intercepts_, strict=True))
    if not classifies:
        last, bias = layers[-1]
        layers[-1] = last * target.scale, bias * target.scale + target.center
    return Fitted(
        predict,
        lambda: graph.network_model(problem.task, (scaling.center, scaling.scale), layers, params["activation"]),
        inside=lambda: _inside(model),
    )


def _arguments(problem: Problem, params: Params, y: Floats) -> dict[str, Any]:
    own = dict(params)
    share = own.pop("held_aside", None)
    own["hidden_layer_sizes"] = tuple(own.get("hidden_layer_sizes", _LAYERS))
    if share is None:
        return own
    aside = math.ceil(share * len(y))
    classifies = problem.task == "classification"
    smallest = int(np.bincount(y.astype(np.int64)).min()) if classifies else len(y)
    if min(aside, len(y) - aside) < max(2, problem.n_classes) or smallest < 2:
        raise TooFewRows(reason="rows of every class must be held aside, and be left")
    return {**own, "early_stopping": True, "validation_fraction": share, "n_iter_no_change": _PATIENCE}


def _inside(model: Any) -> Inside:
    iterations = int(model.n_iter_)
    parameters = sum(part.size for part in (*model.coefs_, *model.intercepts_))
    return Inside(
        settings={"NNET_LAYERS": " ".join(map(str, [len(model.coefs_[0]), *(len(b) for b in model.intercepts_)]))},
        statistics={"LOSS_VALUE": float(model.loss_), "NUM_PARAMS": parameters},
        iterations=iterations,
        converged=iterations < model.max_iter,
    )
