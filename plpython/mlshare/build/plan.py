"""How a model is to be fitted: what the options and settings of a call come to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields
from typing import Any, Literal

from mlshare.table import Task

Missing = Literal["impute", "delete_row"]


@dataclass(frozen=True)
class Plan:
    """What to learn, and how; the same for every partition of a model.

    ``algorithm`` None is chosen automatically, among ``model_list`` (all, if empty) without
    ``exclude_model_list``. Empty ``params`` are the algorithm's first ones; others are taken as they are.
    ``weights`` names the column of row weights; ``balanced`` gives every class the same weight.
    """

    task: Task
    target: str
    algorithm: str | None = None
    params: Mapping[str, Any] = field(default_factory=dict)
    metric: str | None = None
    random_state: int = 0
    include: tuple[str, ...] = ()
    exclude: tuple[str, ...] = ()
    weights: str | None = None
    balanced: bool = False
    missing: Missing = "impute"
    scaled: bool = True
    details: bool = False
    model_list: tuple[str, ...] = ()
    exclude_model_list: tuple[str, ...] = ()
    time_budget: float | None = None

    def to_json(self) -> dict[str, Any]:
        """A JSON object that from_json reads back."""
        return {name: list(value) if isinstance(value, tuple) else value for name, value in asdict(self).items()}

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Plan:
        """Read to_json's object; TypeError for a name that is not a field."""
        lists = {f.name for f in fields(cls) if f.default == ()}
        values: dict[str, Any] = {n: tuple(v) if n in lists else v for n, v in document.items()}
        return cls(**values)

    @classmethod
    def from_options(cls, target: str, task: Task, options: Mapping[str, Any]) -> Plan:
        """The plan of a call of ml_train, from its checked options."""
        return cls(
            task,
            target,
            metric=options.get("optimization_metric"),
            random_state=int(options.get("random_state") or 0),
            include=tuple(options.get("include_column_list") or ()),
            exclude=tuple(options.get("exclude_column_list") or ()),
            model_list=tuple(options.get("model_list") or ()),
            exclude_model_list=tuple(options.get("exclude_model_list") or ()),
            time_budget=options.get("time_budget"),
        )
