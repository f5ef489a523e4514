"""How a model is partitioned: what was asked for when it was made, and holds for every change after."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields
from typing import Any, Literal

from mlshare.errors import InvalidOptionValue

MAX_PARTITIONS = 1000
_OPTIONS = {  # of ml_train, and the fields that they are
    "partition_columns": "columns",
    "max_partitions": "max_partitions",
    "partition_build_type": "build_type",
    "min_rows_per_partition": "min_rows",
    "on_partition_error": "on_partition_error",
    "unseen_key": "unseen_key",
    "executor": "executor",
}


@dataclass(frozen=True)
class Rules:
    """``columns`` are those of the key; ``executor`` names a row of sys.ml_executors.

    ``on_partition_error``: a partition that cannot be built ends the build (error), is listed as failed (skip), or
    leaves its rows to the sub-model of all rows (fallback). ``unseen_key``: what a row with a key that no partition
    has, or with NULL in it, gets: no prediction (null), an error, or that of the sub-model of all rows (fallback).
    """

    columns: tuple[str, ...]
    max_partitions: int = MAX_PARTITIONS
    build_type: Literal["hybrid", "inter", "intra"] = "hybrid"
    min_rows: int = 0
    on_partition_error: Literal["error", "skip", "fallback"] = "error"
    unseen_key: Literal["null", "error", "fallback"] = "null"
    executor: str | None = None

    @property
    def has_fallback(self) -> bool:
        """Whether one more sub-model is fitted on all rows."""
        return "fallback" in (self.on_partition_error, self.unseen_key)

    @classmethod
    def from_options(cls, options: Mapping[str, Any]) -> Rules | None:
        """The rules that checked options of ml_train give; None for one model of all rows. InvalidOptionValue."""
        given = {field: options[name] for name, field in _OPTIONS.items() if name in options}
        if "columns" in given:
            return cls(**{**given, "columns": tuple(given["columns"])})
        for name in options:
            if name in _OPTIONS:
                raise InvalidOptionValue(option=name, reason="it needs the option partition_columns")
        return None

    def to_json(self) -> dict[str, Any]:
        return {**asdict(self), "columns": list(self.columns)}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Rules:
        known = {f.name for f in fields(cls)}
        given: dict[str, Any] = {name: value for name, value in document.items() if name in known}
        return cls(**given | {"columns": tuple(given["columns"])})
