"""What each column contributes, as values for the cases that a column can be in: known strings, true, NULL …"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from mlshare.compile import sql
from mlshare.compile.arguments import Argument
from mlshare.features import Category, Feature, Moment, Numeric

_SOME = 16  # strings that are looked for as they are before anything else
_FEW = 8  # strings are compared one by one up to this number, above it by halving

# Calendar parts of a moment "$": what the encoder computes from seconds since 1970.
_EPOCH = "pg_catalog.date_part('epoch'::pg_catalog.text, $)"
# PostgreSQL has no year 0: before it, years are one less.
_YEAR = (
    "(pg_catalog.date_part('year'::pg_catalog.text, $) OPERATOR(pg_catalog.+) (CASE WHEN $ "
    "OPERATOR(pg_catalog.<) '0001-01-01'::pg_catalog.timestamp THEN '1'::pg_catalog.float8 "
    "ELSE '0'::pg_catalog.float8 END))"
)
_MONTH = "pg_catalog.date_part('month'::pg_catalog.text, $)"
_DAY = "pg_catalog.date_part('day'::pg_catalog.text, $)"
_WEEKDAY = "(pg_catalog.date_part('isodow'::pg_catalog.text, $) OPERATOR(pg_catalog.-) '1'::pg_catalog.float8)"
_HOUR = "pg_catalog.date_part('hour'::pg_catalog.text, $)"
_CALENDAR = (_YEAR, _MONTH, _DAY, _WEEKDAY)
# Far from 1970 float64 has not every microsecond: there the encoder may see the day after, and date_part rounds twice.
_IS_NEAR = (
    "$ OPERATOR(pg_catalog.>) '1700-01-01'::pg_catalog.timestamp AND $ OPERATOR(pg_catalog.<) "
    "'2240-01-01'::pg_catalog.timestamp"
)
_ROUNDED = "pg_catalog.\"extract\"('epoch'::pg_catalog.text, $)::pg_catalog.float8"
_EPOCH_OF_ALL = f"(CASE WHEN {_IS_NEAR} THEN {_EPOCH} ELSE {_ROUNDED} END)"
_AS_SEEN = (
    f"(CASE WHEN {_IS_NEAR} THEN $ ELSE pg_catalog.timezone('UTC'::pg_catalog.text, "
    f"pg_catalog.to_timestamp({_ROUNDED})) END)"
)


@dataclass(frozen=True)
class Column:
    """A column, the matrix columns it fills from ``start`` on, and its argument."""

    feature: Feature
    argument: Argument
    start: int
    ordered: bool  # strings can be looked up by halving: the database compares bytes of UTF-8

    @property
    def width(self) -> int:
        return len(self.feature.names)

    def measures(self) -> list[str]:
        """float8 expressions of its leading matrix columns when it is neither NULL nor one of some cases."""
        if isinstance(self.feature, Moment):
            given = self.argument.value
            if self.feature.kind == "date":
                return [part.replace("$", given) for part in (_EPOCH, *_CALENDAR)]
            parts = [part.replace("$", _AS_SEEN) for part in (*_CALENDAR, _HOUR)]
            return [part.replace("$", given) for part in (_EPOCH_OF_ALL, *parts)]
        return [self.argument.value] if self._is_number() else []

    def _is_number(self) -> bool:
        return isinstance(self.feature, Numeric) and self.argument.kind == "numeric"

    def missing(self) -> list[float]:
        """Its matrix columns for NULL."""
        feature = self.feature
        flag = [1.0] if getattr(feature, "flag", False) else []
        if isinstance(feature, Category):
            return [*_category(feature, feature.impute), *flag]
        if isinstance(feature, Moment):
            return [*moment_parts(feature), *flag]
        assert isinstance(feature, Numeric)
        return [feature.impute, *flag]

    def present(self, leading: Sequence[float]) -> list[float]:
        """Its matrix columns for a value, given those before the flag."""
        return [*leading, *[0.0] * (self.width - len(leading))]

    def choose(self, results: Mapping[str, str], known: str | None) -> str:
        """An expression: a result by case. ``results`` has one for each case of ``cases``; ``known`` is for a
        column of measures that is not NULL."""
        missing, unknown = results[MISSING], results.get(UNKNOWN)
        if known is not None:
            return sql.case([(self.argument.is_missing, missing)], known)
        if not isinstance(self.feature, Category):
            plain = self.argument.plain
            return sql.case([(plain, results[TRUE]), (f"NOT {plain}", results[FALSE])], missing)
        strings = {name[1:]: result for name, result in results.items() if name.startswith("=") and result != unknown}
        assert unknown is not None
        rest = sql.case(
            [(self.argument.is_missing, missing)], lookup(self.argument.value, strings, unknown, self.ordered)
        )
        if self.argument.text is None or len(strings) > _SOME:
            return rest
        # Hardly a string has spaces at its end, which do not count: without them, comparing is several times faster.
        exact = [(sql.operation(self.argument.text, "=", sql.typed(s, "text")), r) for s, r in strings.items()]
        return sql.case(exact, rest)

    def cases(self) -> dict[str, list[float]]:
        """Its matrix columns in each case, for a column without measures; for others, only MISSING."""
        found = {MISSING: self.missing()}
        if isinstance(self.feature, Category):
            for name in filter(_possible, self.feature.categories):
                found[f"={name}"] = self.present(_category(self.feature, name))
            found[UNKNOWN] = self.present(_category(self.feature, None))
        elif not self.measures():
            found |= {TRUE: self.present([1.0]), FALSE: self.present([0.0])}
        return found


MISSING, UNKNOWN, TRUE, FALSE = "missing", "unknown", "true", "false"


def _possible(name: str) -> bool:
    return sql.storable(name) and not name.endswith(" ")


def _category(feature: Category, name: str | None) -> list[float]:
    at = -1 if name is None else feature.position.get(name, -1)
    if not feature.onehot:
        return [float(at)]
    return [float(i == at) for i in range(len(feature.categories))]


def moment_parts(feature: Moment) -> list[float]:
    """The matrix columns of the moment that stands for NULL, before the flag."""
    import numpy as np

    from mlshare.table import Column as Data

    row = np.zeros((1, len(feature.names)))
    feature.encode(Data(feature.name, feature.kind, values=np.array([feature.impute])), row)
    parts: list[float] = row[0].tolist()
    return parts[:-1] if feature.flag else parts


def lookup(value: str, results: Mapping[str, str], otherwise: str, ordered: bool) -> str:
    """An expression: the result of the string that ``value`` is."""
    if ordered:
        return _halved(value, sorted(results.items(), key=lambda r: r[0].encode()), otherwise)
    plain = sorted(r for r in results.items() if r[0].isascii())
    rest = [r for r in results.items() if not r[0].isascii()]
    return _compared(value, rest, _halved(value, plain, otherwise))


def _compared(value: str, results: Sequence[tuple[str, str]], otherwise: str) -> str:
    return sql.case([(sql.operation(value, "=", _string(s)), r) for s, r in results], otherwise)


def _halved(value: str, results: Sequence[tuple[str, str]], otherwise: str) -> str:
    if len(results) <= _FEW:
        return _compared(value, results, otherwise)
    half = len(results) // 2
    below = sql.operation(value, "<", _string(results[half][0]))
    left, right = (_halved(value, part, otherwise) for part in (results[:half], results[half:]))
    return sql.case([(below, left)], right)


def _string(text: str) -> str:
    return f"{sql.literal(text)}::pg_catalog.bpchar"


def columns(features: Sequence[Feature], arguments: Sequence[Argument], ordered: bool) -> list[Column]:
    """Every column with its place in the matrix."""
    found, start = [], 0
    for feature, argument in zip(features, arguments, strict=True):
        found.append(Column(feature, argument, start, ordered))
        start += len(feature.names)
    return found
