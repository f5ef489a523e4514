"""Scores rows with a partitioned model: each row by the sub-model of its key."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, TypeAlias

import numpy as np
from numpy.typing import NDArray

from mlshare import keys, rows
from mlshare.document import Columns, Values, reader
from mlshare.encoding import Input
from mlshare.errors import CorruptModel, ModelPrivilege, UnseenKey
from mlshare.keys import Key, Router
from mlshare.prediction import Answer, Prediction, QuickWork, Row, answer, classification
from mlshare.stacked import Stack, Terms
from mlshare.table import Table
from mlshare.trunk import Trunk

if TYPE_CHECKING:
    from mlshare.scorer import Scorer

Positions = NDArray[np.int64]
AnyScorer: TypeAlias = "Scorer | PartitionedScorer"

_AT_ONCE = 256  # sub-models that are loaded together


@dataclass(frozen=True)
class Partition:
    """A sub-model as the catalog lists it. ``key`` None: the one for all other rows; ``digest`` None: it failed."""

    id: int
    name: str
    key: Key | None
    digest: str | None


@dataclass(frozen=True)
class Directory:
    """A partitioned model without its sub-models."""

    trunk: Trunk
    partitions: tuple[Partition, ...]
    size: int

    @cached_property
    def keyed(self) -> tuple[Partition, ...]:
        return tuple(p for p in self.partitions if p.key is not None)

    @cached_property
    def fallback(self) -> Partition | None:
        return next((p for p in self.partitions if p.key is None and p.digest is not None), None)

    @cached_property
    def router(self) -> Router:
        return Router(self.trunk.keys, tuple(p.key for p in self.keyed if p.key is not None))

    @cached_property
    def usual(self) -> Columns:
        """The columns of a usual row, those of its key first."""
        return (*self.router.usual, *map(rows.column, self.trunk.inputs))

    @cached_property
    def known(self) -> dict[str, tuple[str, ...]]:
        """The strings that the model knows of each column, those of the key included."""
        return {**self.trunk.categories, **self.router.known}

    @cached_property
    def inputs(self) -> tuple[Input, ...]:
        return (*self.trunk.inputs, *(Input(k.name, "category") for k in self.trunk.keys))


class PartitionedScorer:
    """A partitioned model as one role may use it; the same interface as mlshare.scorer.Scorer.

    ``load`` opens sub-models; ``allowed`` are the partitions that the role may use (None: all). A row whose key has no
    partition, or NULL in it, has no prediction (label -1, value NaN), unless the model's rules say otherwise.
    """

    divisible = False  # its tables are scored at once

    def __init__(
        self,
        handle: str,
        directory: Directory,
        load: Callable[[Sequence[Partition]], Sequence[Scorer]],
        allowed: frozenset[int] | None,
    ) -> None:
        self._handle, self.directory, self._load, self._allowed = handle, directory, load, allowed
        trunk = directory.trunk
        self.task, self.target, self.target_kind = trunk.task, trunk.target, trunk.target_kind
        self.classes = None if trunk.classes is None else list(trunk.classes)
        self.inputs, self.known = directory.inputs, directory.known
        self.key_columns = tuple(k.name for k in trunk.keys)
        self.nbytes = directory.size
        # Of usual rows, by their key: what was found for an earlier row.
        self._key, self._values = reader(directory.router.usual), reader(directory.usual)
        self._names: dict[Values | None, str] = {}
        self._works: dict[Values, QuickWork] = {}

    # --- one row -----------------------------------------------------------------------------------

    def partition_of(self, row: Row, document: str | None = None) -> Partition | None:
        """The partition whose sub-model predicts a row; None if there is none. Errors: MissingKeyColumn, UnseenKey, …

        ``document`` is the JSON that the row was read from.
        """
        key = keys.of_row(self.directory.trunk.keys, row, document)
        return self._chosen(-1 if key is None else self.directory.router.position.get(key, -1), key)

    def name_of(self, row: Row, document: str | None = None) -> str | None:
        """The name of that partition. Errors: as partition_of."""
        found = self.partition_of(row, document)
        return None if found is None else found.name

    def scorer_of(self, row: Row, document: str | None = None) -> Scorer | None:
        """The sub-model that predicts a row; None if there is none. Errors: as partition_of."""
        found = self.partition_of(row, document)
        return None if found is None else self._load([found])[0]

    def answer(self, row: Row, document: str | None = None) -> Answer:
        """Errors: as partition_of, and those of the sub-model."""
        scorer = self.scorer_of(row, document)
        if scorer is None:
            return answer(self._nothing(1))
        return answer(self._as_ours(scorer, scorer.answer(row).as_prediction()))

    def quick_name(self, document: str) -> str | None:
        """The quick way to name_of, for a row with a usual key; None for any other."""
        key = self._key(document)
        name = self._names.get(key)
        if name is None:
            found = self._usual_partition(key)
            if found is not None:
                name = self._names[key] = found.name
        return name

    def quick(self, document: str) -> Answer | None:
        """The quick way to answer, for a row that is usual; None for any other."""
        values = self._values(document)
        if values is None:
            return None
        key = values[: len(self.key_columns)]
        work = self._works.get(key)
        if work is None:
            found = self._usual_partition(key)
            if found is None:
                return None
            work = self._works[key] = self._work(self._load([found])[0])
        return work(values)

    def _usual_partition(self, key: Values | None) -> Partition | None:
        at = None if key is None else self.directory.router.places.get(key)
        return None if at is None else self._chosen(at, self.directory.router.keys[at])

    def _work(self, scorer: Scorer) -> QuickWork:
        own = scorer.quick_among(self.directory.usual)
        if scorer.classes == self.classes:
            return own

        def work(values: Values) -> Answer | None:
            found = own(values)
            return None if found is None else answer(self._as_ours(scorer, found.as_prediction()))

        return work

    # --- many rows ---------------------------------------------------------------------------------

    def names(self, table: Table) -> list[str | None]:
        """The name of the partition of each row; None where there is none."""
        positions = self._positions(table)
        names = {at: None if p is None else p.name for at, p in self._present(positions).items()}
        return [names[at] for at in positions.tolist()]

    def begin(self, table: Table) -> Callable[[], Prediction]:
        """As Scorer.begin; sub-models come from the database, which no other thread may touch."""
        made = self.predict(table)
        return lambda: made

    def predict(self, table: Table) -> Prediction:
        """Scores the rows partition by partition, so that each sub-model is opened once, or all at once."""
        positions = self._positions(table)
        used = {at: p for at, p in self._present(positions).items() if p is not None}
        stack = self._stack(list(used.values()))
        if stack is None:
            return self._one_by_one(table, positions, used)
        model = np.full(len(self.directory.keyed) + 1, -1, np.int64)  # the last entry is for position -1
        model[list(used)] = np.arange(len(used))
        return self._stacked(stack, table, model[positions])

    def _present(self, positions: Positions) -> dict[int, Partition | None]:
        """The partitions of the positions that rows have: of no others, which the caller may not be allowed to use."""
        present = np.flatnonzero(np.bincount(positions + 1)) - 1
        return {at: self._chosen(at, None) for at in present.tolist()}

    def _stack(self, used: Sequence[Partition]) -> Stack | None:
        """All sub-models as one; None if not all are linear classifiers of the same numbers, and of our classes."""
        found: list[Terms] = []
        for first in range(0, len(used), _AT_ONCE):
            for scorer in self._load(used[first : first + _AT_ONCE]):
                terms = scorer.terms if scorer.classes == self.classes else None
                if terms is None or (found and terms.columns != found[0].columns):
                    return None
                found.append(terms)
        return Stack.of(found) if found else None

    def _stacked(self, stack: Stack, table: Table, models: Positions) -> Prediction:
        rows = np.flatnonzero(models >= 0)
        found = classification(stack.probabilities(table, rows, models[rows]), len(rows), len(self.classes or ()))
        if len(rows) == len(models):
            return found
        out = self._nothing(len(table))
        _put(out, rows, found)
        return out

    def _one_by_one(self, table: Table, positions: Positions, used: Mapping[int, Partition]) -> Prediction:
        order = np.argsort(positions, kind="stable")
        # One copy in order of the partitions; the rows of each are then a view.
        ordered = Table(tuple(table[i.name].rows(order) for i in self.directory.trunk.inputs))
        ends = np.cumsum(np.bincount(positions + 1)).tolist()
        out = self._nothing(len(table))
        spans = [(p, ends[at], ends[at + 1]) for at, p in used.items() if at >= 0]
        if -1 in used:
            spans.append((used[-1], 0, ends[0]))
        for first in range(0, len(spans), _AT_ONCE):
            some = spans[first : first + _AT_ONCE]
            scorers = self._load([p for p, _, _ in some])
            for scorer, (_, start, end) in zip(scorers, some, strict=True):
                part = self._as_ours(scorer, scorer.predict(ordered.rows(slice(start, end))))
                _put(out, order[start:end], part)
        return out

    def _positions(self, table: Table) -> Positions:
        return self.directory.router.positions([table[name] for name in self.key_columns])

    def _chosen(self, at: int, key: Key | None) -> Partition | None:
        """The partition at a position of the keyed ones, or what stands in for it."""
        directory = self.directory
        found = directory.keyed[at] if at >= 0 else None
        if self._allowed is not None and (found is None or found.id not in self._allowed):
            # The same for partitions that are there and that are not: who has one learns nothing of others.
            raise ModelPrivilege(
                handle=self._handle,
                privilege="PREDICT on the partition of " + (f"key {keys.shown(key)}" if key else "each row's key"),
            )
        if found is not None and found.digest is not None:
            return found
        rules = directory.trunk.rules
        if found is not None and rules.on_partition_error == "fallback":
            return directory.fallback
        if rules.unseen_key == "error":
            raise UnseenKey(key=keys.shown(key) if key else "of a row", detail=_why(found))
        return directory.fallback if rules.unseen_key == "fallback" else None

    # --- answers -----------------------------------------------------------------------------------

    def _nothing(self, n_rows: int) -> Prediction:
        if self.classes is None:
            return Prediction(values=np.full(n_rows, np.nan))
        return Prediction(
            probabilities=np.zeros((n_rows, len(self.classes))), labels=np.full(n_rows, -1, dtype=np.int32)
        )

    def _as_ours(self, scorer: Scorer, prediction: Prediction) -> Prediction:
        """A sub-model's prediction in terms of all classes."""
        if self.classes is None or scorer.classes == self.classes:
            return prediction
        if not set(scorer.classes or ()) <= set(self.classes):
            raise CorruptModel(reason="a partition has classes that the model has not")
        place = np.array([self.classes.index(c) for c in scorer.classes or ()], dtype=np.int32)
        assert prediction.labels is not None and prediction.probabilities is not None
        probabilities = np.zeros((len(prediction), len(self.classes)))
        probabilities[:, place] = prediction.probabilities
        return Prediction(probabilities=probabilities, labels=place[prediction.labels])


def _why(found: Partition | None) -> str | None:
    return None if found is None else f'Partition "{found.name}" could not be built.'


def _put(out: Prediction, rows: Positions, part: Prediction) -> None:
    for whole, some in (
        (out.values, part.values),
        (out.probabilities, part.probabilities),
        (out.labels, part.labels),
    ):
        if whole is not None and some is not None:
            whole[rows] = some
