"""The encoder: raw columns to the float64 matrix a model takes, kept as JSON in the model file."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Any, Literal, NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray

from mlshare import rows
from mlshare.errors import FeatureTypeMismatch, InvalidFeatureValue, InvalidModelMetadata, MissingFeature
from mlshare.features import Category, Feature, Matrix, Moment, Numeric, Text, Writer
from mlshare.table import Column, Kind, Table

Layout = Literal["onehot", "ordinal"]

T = TypeVar("T")

_VERSION = 1
_MAX_WIDTH = 100_000  # features of one encoder: a manifest that asks for more is damaged or hostile


class Input(NamedTuple):
    """A raw column that a model needs."""

    name: str
    kind: Kind


@dataclass(frozen=True)
class Encoder:
    """An encoding of named columns, one feature block after the other."""

    features: tuple[Feature, ...]

    @classmethod
    def fit(
        cls, table: Table, layout: Layout, target: NDArray[np.float64] | None = None, cells: int = 64_000_000
    ) -> Encoder:
        """Learn imputation values, categories and vocabularies from every column of ``table``.

        ``target`` [n] orders ordinal categories by its mean; ``cells`` bounds n * features.
        """
        from mlshare.encoding_fit import learn

        return cls(learn(table, layout, target, cells))

    @property
    def inputs(self) -> tuple[Input, ...]:
        """The columns needed, in order."""
        return tuple(Input(f.name, f.kind) for f in self.features)

    @cached_property
    def feature_names(self) -> tuple[str, ...]:
        """Names of the matrix columns."""
        return tuple(name for f in self.features for name in f.names)

    @property
    def n_features(self) -> int:
        """Width of the matrix."""
        return len(self.feature_names)

    @cached_property
    def spans(self) -> dict[str, slice]:
        """The matrix columns that each raw column fills."""
        ends = np.cumsum([len(f.names) for f in self.features]).tolist()
        return {f.name: slice(e - len(f.names), e) for f, e in zip(self.features, ends, strict=True)}

    def encode(self, table: Table) -> Matrix:
        """The matrix [n, n_features], without NaN, of a table that has all inputs (others are ignored).

        Raises MissingFeature, FeatureTypeMismatch, InvalidFeatureValue (infinity).
        """
        out = np.zeros((len(table), self.n_features))
        for feature in self.features:
            feature.encode(fitting(table[feature.name], feature.kind), out[:, self.spans[feature.name]])
        return out

    @cached_property
    def _writers(self) -> tuple[tuple[str, Writer], ...]:
        return tuple((f.name, f.writer(self.spans[f.name].start)) for f in self.features)

    @cached_property
    def usual(self) -> rows.Usual | None:
        """The quick way for a usual row, if there is one."""
        return rows.usual(self.features)

    def encode_row(self, row: Mapping[str, Any]) -> list[float]:
        """The n_features numbers of one row of JSON values; equal to ``encode`` of the same row.

        Raises MissingFeature, InvalidFeatureValue.
        """
        out = [0.0] * self.n_features
        for name, write in self._writers:
            if name not in row:
                raise MissingFeature(column=name)
            write(out, row[name])
        return out

    def to_json(self) -> dict[str, Any]:
        """A JSON object that from_json reads back."""
        return {"version": _VERSION, "features": [_dump(f) for f in self.features]}

    @classmethod
    def from_json(cls, document: Any) -> Encoder:
        """Read to_json's object; anything else raises InvalidModelMetadata."""
        try:
            if document["version"] != _VERSION:
                raise ValueError(f"encoder version {document['version']!r} is not known")
            encoder = cls(tuple(_load(f) for f in document["features"]))
            names = [f.name for f in encoder.features]
            if not names or len(set(names)) != len(names) or encoder.n_features > _MAX_WIDTH:
                raise ValueError("encoder without features, with twice the same, or too wide")
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise InvalidModelMetadata(reason=f"encoder: {error}") from None
        return encoder


def fitting(column: Column, kind: Kind) -> Column:
    """The column, if its kind may stand for ``kind``: strings for strings, a boolean for a number."""
    strings, moments = {"category", "text"}, {"date", "timestamp"}
    for group in (strings, moments, {"numeric", "boolean"}):
        if kind in group and column.kind not in group:
            raise FeatureTypeMismatch(column=column.name, type=column.kind, expected=kind)
    if kind == "boolean" and column.kind == "numeric" and column.values is not None:
        values = column.values
        if not np.isin(values[~np.isnan(values)], (0.0, 1.0)).all():
            raise InvalidFeatureValue(column=column.name, value="a number", expected="a boolean value")
    return column


def _dump(feature: Feature) -> dict[str, Any]:
    if isinstance(feature, Text):
        own: dict[str, Any] = {"words": list(feature.words), "idf": list(feature.idf)}
    else:
        own = {"impute": feature.impute, "flag": feature.flag}
    if isinstance(feature, Category):
        own |= {"categories": list(feature.categories), "onehot": feature.onehot}
    return {"name": feature.name, "kind": feature.kind, **own}


def _load(document: Any) -> Feature:
    name, kind = _typed(document["name"], str), document["kind"]
    if kind == "text":
        words, idf = _list(document["words"], str), _list(document["idf"], float)
        if len(words) != len(idf) or not np.isfinite(idf).all():
            raise ValueError("vocabulary and weights differ")
        return Text(name, words, idf)
    flag = _typed(document["flag"], bool)
    if kind == "category":
        categories, onehot = _list(document["categories"], str), _typed(document["onehot"], bool)
        return Category(name, categories, _typed(document["impute"], str), onehot, flag)
    impute = _typed(document["impute"], float)
    if kind not in ("numeric", "boolean", "date", "timestamp") or not np.isfinite(impute):
        raise ValueError(f"kind {kind!r} is not known")
    return (Numeric if kind in ("numeric", "boolean") else Moment)(name, kind, impute, flag)


def _typed(value: Any, wanted: type[T]) -> T:
    if wanted is float and type(value) is int:
        return wanted(value)  # type: ignore[call-arg]
    if type(value) is not wanted:
        raise TypeError(f"{value!r:.40} is not of type {wanted.__name__}")
    return value


def _list(value: Any, wanted: type[T]) -> tuple[T, ...]:
    return tuple(_typed(v, wanted) for v in _typed(value, list))
