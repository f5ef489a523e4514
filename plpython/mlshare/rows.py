"""Encodes the usual row, which is all known strings and numbers, with as little of Python's own work as can be."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from operator import call
from typing import Any

from mlshare.document import Values, reader
from mlshare.features import Category, Feature, Numeric, Reader


@dataclass(frozen=True)
class Usual:
    """The features of an encoder: first numbers, then others that are one number each, then the 0/1 ones.

    ``values`` reads the values of all of them. Numbers are what they are; ``readers`` make numbers of all others: for
    0/1 features the place of the 1. ``places`` is where all but these go in a row of ``width``.
    """

    values: Values
    readers: tuple[Reader, ...]
    places: tuple[int, ...]
    width: int

    def read(self, document: str) -> Sequence[Any] | None:
        """What is in a document: numbers, then places of a 1; None if anything in it is not usual."""
        values, readers = self.values(document), self.readers
        if values is None or not readers:
            return values
        first = len(values) - len(readers)
        try:
            return [*values[:first], *map(call, readers, values[first:])]
        except KeyError:
            return None

    def numbers(self, read: Sequence[Any]) -> Sequence[float]:
        """The numbers [width] of a row that was read."""
        if len(self.places) == self.width:
            return read
        out = [0.0] * self.width
        for at, number in zip(self.places, read, strict=False):
            out[at] = number
        for place in read[len(self.places) :]:
            out[place] = 1.0
        return out


def usual(features: Sequence[Feature]) -> Usual | None:
    """The quick way to the features of an encoder; None if it has dates, timestamps or free text.

    Encoders of the same columns, as those of sub-models are, get the same one, which then is in the processor's cache.
    """
    return _usual(tuple(replace(f, impute=0.0) if isinstance(f, Numeric) else f for f in features))


@lru_cache(maxsize=64)
def _usual(features: tuple[Feature, ...]) -> Usual | None:
    starts = [0, *accumulate(len(f.names) for f in features)]
    numbers: list[tuple[int, tuple[str, Any]]] = []
    others: list[tuple[int, tuple[str, Any], Reader]] = []
    marked: list[tuple[tuple[str, Any], Reader]] = []
    for at, feature in zip(starts, features, strict=False):
        if isinstance(feature, Category) and feature.onehot:
            marked.append(((feature.name, str | None), feature.reader(at)))
        elif isinstance(feature, Category):
            others.append((at, (feature.name, str | None), feature.reader()))
        elif not isinstance(feature, Numeric):
            return None
        elif feature.kind == "boolean":
            others.append((at, (feature.name, bool), float))
        else:
            numbers.append((at, (feature.name, float)))
    columns = (*(c for _, c in numbers), *(c for _, c, _ in others), *(c for c, _ in marked))
    readers = (*(read for _, _, read in others), *(read for _, read in marked))
    return Usual(reader(columns), readers, (*(at for at, _ in numbers), *(at for at, _, _ in others)), starts[-1])
