"""What every algorithm is given and gives back."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib import import_module
from typing import TYPE_CHECKING, Any, Literal, TypeAlias

from mlshare.table import Task

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray
    from onnx import ModelProto

    from mlshare.covariance import Covariance

Floats: TypeAlias = "NDArray[np.float64]"
Params = Mapping[str, Any]


@dataclass(frozen=True)
class Number:
    """A range to search, inclusive."""

    low: float
    high: float
    log: bool = False
    whole: bool = False


@dataclass(frozen=True)
class Choice:
    """Values to choose from."""

    values: tuple[Any, ...]


Space = Mapping[str, Number | Choice]


@dataclass(frozen=True)
class Problem:
    """What is learned: classes are positions 0 … n_classes - 1; regression has n_classes 0.

    ``scaled``: matrix columns are standardised first where the algorithm asks for it.
    """

    task: Task
    n_classes: int
    seed: int
    threads: int
    scaled: bool = True


@dataclass(frozen=True)
class Held:
    """Rows kept back, on which boosting stops; ``late`` tells that time is up."""

    x: Floats
    y: Floats
    late: Callable[[], bool]


@dataclass(frozen=True)
class Moments:
    """What naive Bayes knows of C classes: their shares [C], means and variances [F, C] of the matrix columns."""

    shares: Floats
    means: Floats
    variances: Floats


@dataclass(frozen=True)
class Inside:
    """What can be told of a fitted estimator, over the F matrix columns as they are before scaling.

    ``coefficients`` [F + 1, k] with the intercepts last, ``importances`` [F] that sum to 1; ``settings`` what was
    made of parameters that depend on the data, ``statistics`` what else is known, both under Oracle's names.
    """

    coefficients: Floats | None = None
    importances: Floats | None = None
    moments: Moments | None = None
    settings: Mapping[str, float | str] = field(default_factory=dict)
    statistics: Mapping[str, float] = field(default_factory=dict)
    iterations: int | None = None
    converged: bool = True


@dataclass(frozen=True)
class Fitted:
    """A fitted estimator: ``predict`` gives [n, C] probabilities or [n] values.

    ``rounds`` is where boosting stopped; ``tolerance`` how far the estimator's own arithmetic may be
    from the graph's (probabilities, or standard deviations of the target); ``covariance`` is that of
    the coefficients of a linear model without a penalty.
    """

    predict: Callable[[Floats], Floats]
    to_onnx: Callable[[], ModelProto]
    rounds: int | None = None
    tolerance: float = 1e-6
    covariance: Covariance | None = None
    inside: Callable[[], Inside] = Inside


# Rows x [n, F], targets y [n], rows to stop on, weights [n] > 0 of the rows.
Fit: TypeAlias = "Callable[[Problem, Params, Floats, Floats, Held | None, Floats | None], Fitted]"


@dataclass(frozen=True)
class Estimator:
    """One algorithm under HeatWave's name, fitted by ``fit``, "module.function" of this package.

    The automatic choice tries it up to ``auto_rows`` rows; it is fitted on at most ``max_rows``.
    ``first`` is tried before the search in ``space`` begins.
    """

    name: str
    task: Task
    layout: Literal["onehot", "ordinal"]
    fit: str
    space: Space
    first: Params = field(default_factory=dict)
    auto_rows: int | None = None
    max_rows: int | None = None

    def load(self) -> Fit:
        """The function that fits it; imports its library."""
        module, function = self.fit.split(".")
        fit: Fit = getattr(import_module(f"mlshare.estimators.{module}"), function)
        return fit
