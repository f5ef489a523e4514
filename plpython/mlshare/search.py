"""The automatic choice: every algorithm once on a sample, then a search in the spaces of the best."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import optuna
from numpy.typing import NDArray

from mlshare import metrics, sampling
from mlshare.encoding import Layout
from mlshare.errors import MetricUndefined, NoEstimatorLeft, TrainingDataError
from mlshare.estimators.base import Choice, Estimator, Fitted, Held, Number, Params, Problem, Space

Floats = NDArray[np.float64]
Rows = NDArray[np.int64]
Progress = Callable[[str, float], None]

FIRST_ROWS = 10_000  # rows of the first round, in which every algorithm has one trial
SEARCH_ROWS = 24_000  # rows of the search
_FOLD_ROWS = 3_000  # up to here five folds, above one part of held rows
_TRIALS = (20, 10)  # of the best algorithm and of the one after it
_FOLDED_TRIALS = (10, 5)  # the same where each trial is five fits
_ORDINARY = 24_000 * 16  # cells of the search for which these numbers are meant
_FEWEST = (4, 2)
_AT_ONCE = 2  # fixed, so that the proposals do not depend on the number of threads
_FINALISTS = 4
_HELD = 0.25


def _never(_: Any = None) -> Any:
    raise NoEstimatorLeft()


_UNFITTED = Fitted(predict=_never, to_onnx=_never)  # of trials that failed, which are not chosen


@dataclass(frozen=True)
class Data:
    """The encoded rows to learn from, by layout; ``y`` [n] are class positions or values, ``weights`` [n] > 0."""

    problem: Problem
    metric: str
    x: Mapping[Layout, Floats]
    y: Floats
    weights: Floats | None = None

    @property
    def stratified(self) -> bool:
        """Whether samples keep the shares of the classes."""
        return self.problem.task == "classification"

    @property
    def cells(self) -> int:
        """What the search goes through: rows, times features, times the trees that one round of boosting grows."""
        scores = self.problem.n_classes if self.problem.n_classes > 2 else 1
        width = min(int(x.shape[1]) for x in self.x.values())
        return min(len(self.y), SEARCH_ROWS) * width * scores

    def fit(self, estimator: Estimator, params: Params, rows: Rows | None = None, held: Held | None = None) -> Fitted:
        """Fit on some of the rows, or on all."""
        x, y, weights = self.x[estimator.layout], self.y, self.weights
        if rows is not None:
            x, y, weights = x[rows], y[rows], None if weights is None else weights[rows]
        if estimator.max_rows is not None and len(y) > estimator.max_rows:
            few = sampling.sample(y, estimator.max_rows, self.problem.seed, self.stratified)
            x, y, weights = x[few], y[few], None if weights is None else weights[few]
        return estimator.load()(self.problem, params, x, y, held, weights)


@dataclass(frozen=True)
class Trial:
    """One algorithm with its parameters, and how well it did on held rows."""

    estimator: Estimator
    params: Params
    score: float
    fitted: Fitted
    held: Rows


@dataclass(frozen=True)
class Outcome:
    """The best trial of a search, how many there were, and whether time ended it."""

    best: Trial
    trials: int
    stopped_by_time: bool


class Search:
    """A search over ``candidates``: deterministic for a seed, unless ``deadline`` (monotonic) cuts it."""

    def __init__(
        self, data: Data, candidates: tuple[Estimator, ...], deadline: float | None, progress: Progress
    ) -> None:
        if not candidates:
            raise NoEstimatorLeft()
        self.data = data
        self.candidates = candidates
        self.deadline = deadline
        self.progress = progress
        self.done = 0
        self.folded = len(data.y) <= _FOLD_ROWS and data.cells <= _ORDINARY
        self.trials = self._affordable()[: len(candidates)]
        self.planned = len(candidates) + sum(self.trials)
        self.failure: MetricUndefined | TrainingDataError | None = None

    def _affordable(self) -> tuple[int, ...]:
        """Numbers of trials: fewer where each takes long, counted in cells so that the search stays deterministic."""
        share = min(1.0, _ORDINARY / self.data.cells)
        wanted = _FOLDED_TRIALS if self.folded else _TRIALS
        return tuple(max(few, round(n * share)) for n, few in zip(wanted, _FEWEST, strict=True))

    def late(self) -> bool:
        """Whether the time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline

    def run(self) -> Outcome:
        """Search; raises MetricUndefined or TrainingDataError when no trial got a value."""
        parts = self._parts(FIRST_ROWS)
        ranked: list[Trial] = []
        for estimator in self.candidates:
            if self.late() and ranked:
                break
            ranked.append(self._report(self._trial(estimator, estimator.first, parts)))
        ranked.sort(key=lambda t: -t.score)
        best = self._deepen(ranked)
        if best.score == -np.inf and self.failure is not None:
            raise self.failure
        return Outcome(best, self.done, self.late())

    def _deepen(self, ranked: list[Trial]) -> Trial:
        # Scores of the first round, on fewer rows, rank the algorithms but do not compare with later ones.
        same_rows = len(self.data.y) <= FIRST_ROWS
        parts = self._parts(FIRST_ROWS if same_rows else SEARCH_ROWS)
        trials = list(ranked) if same_rows else []
        for first, number in zip(ranked, self.trials, strict=False):
            trials += self._study(first.estimator, number, parts)
        trials.sort(key=lambda t: -t.score)
        if not trials:
            return ranked[0]
        return trials[0] if self.folded else self._final(trials[:_FINALISTS])

    def _final(self, trials: list[Trial]) -> Trial:
        """The best on three samples: the winner of many on one set of held rows is partly lucky."""
        others = [part for turn in (1, 2) for part in self._parts(SEARCH_ROWS, turn)]

        def again(trial: Trial) -> Trial:
            more = self._trial(trial.estimator, trial.params, others)
            return replace(trial, score=(trial.score + 2 * more.score) / 3)

        finals = trials[:1]
        if not self.late():
            self.progress(f"comparing the best {len(trials)} trials on more rows", self.done / self.planned)
            alone = any(t.estimator.layout != "ordinal" for t in trials)
            with ThreadPoolExecutor(1 if alone else self._workers) as pool:
                finals = list(pool.map(again, trials))
        return max(finals, key=lambda t: t.score)

    @property
    def _workers(self) -> int:
        return min(_AT_ONCE, self.data.problem.threads)

    def _study(self, estimator: Estimator, trials: int, parts: list[tuple[Rows, Rows]]) -> list[Trial]:
        """The trials of one algorithm; proposals come from Optuna's tree-structured Parzen estimator."""
        optuna.logging.set_verbosity(optuna.logging.WARNING)
        sampler = optuna.samplers.TPESampler(seed=self.data.problem.seed, n_startup_trials=5)
        study = optuna.create_study(sampler=sampler, direction="maximize")
        study.enqueue_trial(dict(estimator.first))
        out: list[Trial] = []
        while len(out) < trials and not self.late():
            asked = [study.ask() for _ in range(min(_AT_ONCE, trials - len(out)))]
            proposed = [suggest(one, estimator.space) for one in asked]
            for one, trial in zip(asked, self._together(estimator, proposed, parts), strict=True):
                study.tell(one, max(trial.score, -1e300))
                out.append(self._report(trial))
        return out

    def _together(
        self, estimator: Estimator, proposed: list[dict[str, Any]], parts: list[tuple[Rows, Rows]]
    ) -> list[Trial]:
        """Trials side by side, in the threads that the problem has."""

        def trial(params: Params) -> Trial:
            return self._trial(estimator, params, parts)

        # The others silence warnings, which is not safe in threads.
        workers = self._workers if estimator.layout == "ordinal" else 1
        with ThreadPoolExecutor(workers) as pool:
            return list(pool.map(trial, proposed))

    def _parts(self, size: int, turn: int = 0) -> list[tuple[Rows, Rows]]:
        """(train, held) rows: folds where rows are few, else one part of held ones."""
        y, seed, stratified = self.data.y, self.data.problem.seed + turn, self.data.stratified
        rows = sampling.sample(y, size, seed, stratified)
        if self.folded:
            pairs = list(sampling.folds(y[rows], min(5, len(rows)), seed, stratified))
        else:
            pairs = [sampling.holdout(y[rows], _HELD, seed, stratified)]
        return [(rows[a], rows[b]) for a, b in pairs]

    def _trial(self, estimator: Estimator, params: Params, parts: list[tuple[Rows, Rows]]) -> Trial:
        runs = [self._run(estimator, params, train, held) for train, held in parts]
        # With few rows early stopping is noisy: the mean over the folds counts.
        rounds = [f.rounds for f, _ in runs if f.rounds is not None]
        used = {**params, "n_estimators": max(1, round(float(np.mean(rounds))))} if rounds else params
        score = float(np.mean([s for _, s in runs]))
        return Trial(estimator, used, score, runs[0][0], parts[0][1])

    def _report(self, trial: Trial) -> Trial:
        self.done += 1
        self.progress(
            f"trial {self.done} of {self.planned}: {trial.estimator.name} {self.data.metric} {trial.score:.4g}",
            self.done / self.planned,
        )
        return trial

    def _run(self, estimator: Estimator, params: Params, train: Rows, held: Rows) -> tuple[Fitted, float]:
        data = self.data
        x, y = data.x[estimator.layout][held], data.y[held]
        fitted = _UNFITTED
        try:
            fitted = data.fit(estimator, params, train, Held(x, y, self.late))
            score = metrics.score(data.metric, data.problem.task, y, fitted.predict(x))
        except (MetricUndefined, TrainingDataError) as error:
            self.failure = error
            return fitted, -np.inf
        return fitted, score if np.isfinite(score) else -np.inf


def suggest(trial: optuna.Trial, space: Space) -> dict[str, Any]:
    """Parameters of a space, proposed by Optuna."""
    out: dict[str, Any] = {}
    for name, axis in space.items():
        if isinstance(axis, Choice):
            out[name] = trial.suggest_categorical(name, axis.values)
        else:
            out[name] = _number(trial, name, axis)
    return out


def _number(trial: optuna.Trial, name: str, axis: Number) -> float | int:
    if axis.whole:
        return trial.suggest_int(name, int(axis.low), int(axis.high), log=axis.log)
    # Six digits read well in the metadata and fit the same model.
    return float(f"{trial.suggest_float(name, axis.low, axis.high, log=axis.log):.6g}")
