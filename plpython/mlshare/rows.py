"""Encodes the usual row, which is all known strings and numbers, with as little of Python's own work as can be."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import lru_cache
from itertools import accumulate
from operator import call, itemgetter
from typing import Any

from mlshare.features import Category, Feature, Numeric, Reader


@dataclass(frozen=True)
class Usual:
    """The features of an encoder, those first that are one number each, then the 0/1 ones.

    ``pick`` gives the values of all of them, ``readers`` make numbers of them: for 0/1 features the place of the 1.
    ``places`` is where the first ones go in a row of ``width``.
    """

    pick: Callable[[Mapping[str, Any]], tuple[Any, ...]]
    readers: tuple[Reader, ...]
    places: tuple[int, ...]
    width: int

    def read(self, row: Mapping[str, Any]) -> list[Any] | None:
        """What the readers make of a row: numbers, then places of a 1; None if anything in it is not usual."""
        try:
            found = list(map(call, self.readers, self.pick(row)))
        except (KeyError, TypeError, ValueError, OverflowError):
            return None
        return found if math.isfinite(sum(found)) else None

    def numbers(self, read: list[Any]) -> list[float]:
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
    ends = list(accumulate(len(f.names) for f in features))
    single: list[tuple[int, str, Reader]] = []
    marked: list[tuple[str, Reader]] = []
    for at, feature in zip([0, *ends], features, strict=False):
        if isinstance(feature, Category) and feature.onehot:
            marked.append((feature.name, feature.reader(at)))
        elif isinstance(feature, Category | Numeric):
            single.append((at, feature.name, feature.reader()))
        else:
            return None
    names = [*(name for _, name, _ in single), *(name for name, _ in marked)]
    readers = (*(reader for _, _, reader in single), *(reader for _, reader in marked))
    return Usual(_picker(names), readers, tuple(at for at, _, _ in single), ends[-1])


def _picker(names: list[str]) -> Callable[[Mapping[str, Any]], tuple[Any, ...]]:
    """itemgetter, which for one name gives no tuple."""
    if len(names) == 1:
        return lambda row: (row[names[0]],)
    return itemgetter(*names)
