"""The in-memory form of rows on their way between a relation and an estimator."""

from __future__ import annotations

from dataclasses import dataclass, replace
from functools import cached_property
from typing import TYPE_CHECKING, Literal

from mlshare.errors import MissingFeature

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Rows = slice | NDArray[np.int64]  # positions, or a range of them

Kind = Literal["numeric", "boolean", "date", "timestamp", "category", "text"]
Task = Literal["classification", "regression"]


@dataclass(frozen=True)
class Column:
    """One column of n rows.

    Numeric and boolean columns (0/1) carry ``values`` as float64 with NaN for NULL; dates and
    timestamps carry seconds since 1970-01-01 UTC in the same way. Categories and texts carry
    ``codes`` (int32, -1 for NULL), positions in ``dictionary``, the distinct strings of the column.
    """

    name: str
    kind: Kind
    values: NDArray[np.float64] | None = None
    codes: NDArray[np.int32] | None = None
    dictionary: tuple[str, ...] = ()

    def __len__(self) -> int:
        data = self.codes if self.values is None else self.values
        return 0 if data is None else len(data)

    def rows(self, wanted: Rows) -> Column:
        """Some of its rows."""
        if self.values is not None:
            return replace(self, values=self.values[wanted])
        assert self.codes is not None
        return replace(self, codes=self.codes[wanted])


@dataclass(frozen=True)
class Table:
    """Columns of equal length, in the order of the relation."""

    columns: tuple[Column, ...]

    def __len__(self) -> int:
        return len(self.columns[0]) if self.columns else 0

    def __getitem__(self, name: str) -> Column:
        """Errors: MissingFeature."""
        found = self._by_name.get(name)
        if found is None:
            raise MissingFeature(column=name)
        return found

    def rows(self, wanted: Rows) -> Table:
        """Some of its rows."""
        return Table(tuple(c.rows(wanted) for c in self.columns))

    @cached_property
    def _by_name(self) -> dict[str, Column]:
        return {c.name: c for c in self.columns}
