"""Free text as TF-IDF weights over a bounded vocabulary: numpy and the standard library only."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

_WORD = re.compile(r"\w\w+")
_LONGEST = 40  # a longer word is a token such as a hash or a URL part: it would only bloat the vocabulary


def tokens(text: str) -> list[str]:
    """Words of two or more characters, lower-cased; the one tokeniser of training and scoring."""
    return [w for w in _WORD.findall(text.lower()) if len(w) <= _LONGEST]


def vector(text: str, position: Mapping[str, int], idf: Sequence[float]) -> list[tuple[int, float]]:
    """The non-zero TF-IDF weights of one text as (position, weight), of Euclidean length 1."""
    counts = Counter(position[w] for w in tokens(text) if w in position)
    weights = [(p, n * idf[p]) for p, n in sorted(counts.items())]
    length = math.sqrt(math.fsum(w * w for _, w in weights))
    return [(p, w / length) for p, w in weights]


def matrix(texts: Sequence[str], position: Mapping[str, int], idf: Sequence[float]) -> NDArray[np.float64]:
    """TF-IDF weights [len(texts), len(idf)]."""
    out = np.zeros((len(texts), len(idf)))
    for row, text in zip(out, texts, strict=True):
        for p, weight in vector(text, position, idf):
            row[p] = weight
    return out


def vocabulary(texts: Iterable[str], counts: Sequence[int], size: int) -> tuple[tuple[str, ...], tuple[float, ...]]:
    """The ``size`` words found in most rows, and their smoothed inverse document frequencies.

    ``counts`` tells how many rows hold each text. Words of a single row, or of every row, say nothing.
    """
    rows: Counter[str] = Counter()
    for text, n in zip(texts, counts, strict=True):
        for word in set(tokens(text)):
            rows[word] += n
    total = sum(counts)
    useful = [(w, n) for w, n in rows.items() if 1 < n < total]
    kept = sorted(sorted(useful, key=lambda t: (-t[1], t[0]))[:size])
    return tuple(w for w, _ in kept), tuple(math.log((1 + total) / (1 + n)) + 1 for _, n in kept)


def is_prose(dictionary: Sequence[str], rows: int) -> bool:
    """Whether strings look like sentences: many different ones, of several words."""
    if len(dictionary) < 50 or len(dictionary) < rows // 20:
        return False
    sample = dictionary[:: max(1, len(dictionary) // 200)]
    return sum(len(tokens(t)) for t in sample) >= 3 * len(sample)
