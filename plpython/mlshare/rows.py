"""Encodes the usual row, which is all known strings and numbers, with as little of Python's own work as can be."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from operator import call, itemgetter
from typing import TYPE_CHECKING, Any

from mlshare.document import Columns, Values
from mlshare.features import Category, Feature, Numeric, Reader

if TYPE_CHECKING:
    from mlshare.encoding import Input

# As JSON mostly has them.
_TYPES: dict[str, Any] = {"numeric": float, "boolean": bool, "category": str | None}


@dataclass(frozen=True)
class Usual:
    """The features of an encoder: first numbers, then others that are one number each, then the 0/1 ones.

    ``columns`` are what they are made of, and ``pick`` finds the values of these in what is given. Numbers are what
    they are; ``readers`` make numbers of all others: for 0/1 features the place of the 1. ``places`` is where all but
    these go in a row of ``width``; ``arrange`` puts them there at once, if they fill it.
    """

    columns: Columns
    readers: tuple[Reader, ...]
    places: tuple[int, ...]
    width: int
    arrange: Callable[[Values], Values] | None
    pick: Callable[[Values], Values] = itemgetter(slice(None))

    def read(self, given: Values) -> Values | None:
        """Of a row's values: numbers, then places of a 1; None if anything in it is not usual."""
        values, readers = self.pick(given), self.readers
        if not readers:
            return values
        first = len(values) - len(readers)
        try:
            return *values[:first], *map(call, readers, values[first:])
        except KeyError:
            return None

    def numbers(self, read: Values) -> Sequence[float]:
        """The numbers [width] of a row that was read."""
        if self.arrange is not None:
            return self.arrange(read)
        out = [0.0] * self.width
        for at, number in zip(self.places, read, strict=False):
            out[at] = number
        for place in read[len(self.places) :]:
            out[place] = 1.0
        return out


# Encoders of the same columns, as those of sub-models are, share what follows: so it is in the processor's cache,
# though each row meets another sub-model.


def column(source: Input | Feature) -> tuple[str, Any]:
    """What a model's input is read as."""
    return source.name, _TYPES.get(source.kind, Any)


def usual(features: Sequence[Feature]) -> Usual | None:
    """The quick way to the features of an encoder; None if it has dates, timestamps or free text."""
    return _usual(tuple(replace(f, impute=0.0) if isinstance(f, Numeric) else f for f in features))


@lru_cache(maxsize=64)
def _usual(features: tuple[Feature, ...]) -> Usual | None:
    starts = [0, *accumulate(len(f.names) for f in features)]
    numbers: list[tuple[int, Feature]] = []
    others: list[tuple[int, Feature, Reader]] = []
    marked: list[tuple[Feature, Reader]] = []
    for at, feature in zip(starts, features, strict=False):
        if isinstance(feature, Category) and feature.onehot:
            marked.append((feature, feature.reader(at)))
        elif isinstance(feature, Category):
            others.append((at, feature, feature.reader()))
        elif not isinstance(feature, Numeric):
            return None
        elif feature.kind == "boolean":
            others.append((at, feature, float))
        else:
            numbers.append((at, feature))
    sources = (*(f for _, f in numbers), *(f for _, f, _ in others), *(f for f, _ in marked))
    readers = (*(read for _, _, read in others), *(read for _, read in marked))
    places = (*(at for at, _ in numbers), *(at for at, _, _ in others))
    width = starts[-1]
    arrange = _picker([places.index(at) for at in range(width)]) if len(places) == width else None
    return Usual(tuple(map(column, sources)), readers, places, width, arrange)


@lru_cache(maxsize=64)
def among(columns: Columns, own: Usual) -> Usual | None:
    """The same for rows that have the values of more columns; None if one of its own is not among them."""
    if not set(own.columns) <= set(columns):
        return None
    return replace(own, pick=_picker([columns.index(c) for c in own.columns]))


def _picker(positions: list[int]) -> Callable[[Values], Values]:
    first, last = positions[0], positions[-1]
    if positions == list(range(first, last + 1)):
        return itemgetter(slice(first, last + 1))
    return itemgetter(*positions)
