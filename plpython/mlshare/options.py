"""Options of the routines: their names, types and values, checked before anything is done."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from mlshare import errors

Check = Callable[[Any], Any]

TASKS = ("classification", "regression")


@dataclass(frozen=True)
class Option:
    """A known option: what its value must be, in words and as a check that returns its final form; what it does."""

    expected: str
    check: Check
    about: str


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise ValueError
    return value


def _flag(value: Any) -> bool:
    if not isinstance(value, bool):
        raise ValueError
    return value


def _label(value: Any) -> str | int | float | bool:
    if not isinstance(value, str | int | float):
        raise ValueError
    return value


def _names(value: Any) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(v, str) for v in value):
        raise ValueError
    if len(set(value)) < len(value):
        raise ValueError
    return value


def _number(low: float, high: float, whole: bool = False) -> Check:
    def check(value: Any) -> float:
        if isinstance(value, bool) or not isinstance(value, int if whole else int | float) or not low < value < high:
            raise ValueError
        return value

    return check


def _one_of(*choices: str) -> Check:
    def check(value: Any) -> str:
        if not isinstance(value, str) or value.lower() not in choices:
            raise ValueError
        return value.lower()

    return check


TRAIN = {
    "task": Option("one of " + ", ".join(TASKS), _one_of(*TASKS), "What is learned; default classification."),
    "model_list": Option("a list of algorithms", _names, "Try only these."),
    "exclude_model_list": Option("a list of algorithms", _names, "Do not try these."),
    "optimization_metric": Option(
        "the name of a metric", _text, "What the search makes as great as it can; the default depends on the task."
    ),
    "include_column_list": Option("a list of columns", _names, "Keep these, even if a column rule would drop them."),
    "exclude_column_list": Option("a list of columns", _names, "Do not look at these."),
    "notes": Option("a text", _text, "Kept with the model."),
    "time_budget": Option("a number of seconds above 0", _number(0, 1e7), "End the search early; default: no limit."),
    "random_state": Option(
        "a whole number from 0 to 4294967295", _number(-1, 2**32, whole=True), "Seed of all that is random; default 0."
    ),
    "partition_columns": Option(
        "a list of 1 to 16 columns", _names, "Fit a sub-model for each distinct value of these columns."
    ),
    "max_partitions": Option(
        "a whole number from 2 to 1000000",
        _number(1, 1_000_001, whole=True),
        "How many partitions there may ever be; default 1000.",
    ),
    "partition_build_type": Option(
        "hybrid, inter or intra",
        _one_of("hybrid", "inter", "intra"),
        "Many partitions at once, one core each (inter); one after the other, each with all cores (intra); "
        "by their size (hybrid, the default).",
    ),
    "min_rows_per_partition": Option(
        "a whole number", _number(-1, 2**31, whole=True), "A partition with fewer rows fails; default 0."
    ),
    "on_partition_error": Option(
        "error, skip or fallback",
        _one_of("error", "skip", "fallback"),
        "What a partition that cannot be built does: it ends the build (default), is listed as failed, or leaves its "
        "rows to a sub-model of all rows.",
    ),
    "unseen_key": Option(
        "null, error or fallback",
        _one_of("null", "error", "fallback"),
        "What a row gets whose key has no partition: no prediction (default), an error, or that of a sub-model of "
        "all rows.",
    ),
    "executor": Option(
        "the name of an executor", _text, "Fit the partitions on this cluster; sys.ml_executors lists what there is."
    ),
}
PREDICT = {
    "threshold": Option(
        "a number between 0 and 1",
        _number(0, 1),
        "Of two classes, predict the second from this probability on; default: the more probable one.",
    ),
    "batch_size": Option("a whole number above 0", _number(0, 2**31, whole=True), "Accepted, and of no effect."),
}
COMPILE = {
    "output": Option(
        "prediction or probability",
        _one_of("prediction", "probability"),
        "What the function returns: the label or number (default), or the probability of a class.",
    ),
    "class": Option(
        "a class of the model",
        _label,
        "The class whose probability is returned; of two classes the second one if not given.",
    ),
    "threshold": PREDICT["threshold"],
    "replace": Option("true or false", _flag, "Replaces a function of that name and those arguments (default: false)."),
}
SCORE = {"threshold": PREDICT["threshold"]}

_EXCLUSIVE = (("model_list", "exclude_model_list"), ("include_column_list", "exclude_column_list"))


def parse(text: str | None, known: Mapping[str, Option]) -> dict[str, Any]:
    """Options given as JSON, checked; an option that is null counts as not given.

    Errors: InvalidArgument (no object), UnknownOption, InvalidOptionValue.
    """
    given = {} if text is None else json.loads(text)
    if given is None:
        return {}
    if not isinstance(given, dict):
        raise errors.InvalidArgument(argument="options", reason="it is not a JSON object")
    return {name: _checked(name, value, known) for name, value in given.items() if value is not None}


def _checked(name: str, value: Any, known: Mapping[str, Option]) -> Any:
    option = known.get(name)
    if option is None:
        raise errors.UnknownOption(option=name, hint="Options here: " + ", ".join(sorted(known)) + ".")
    try:
        return option.check(value)
    except ValueError:
        raise errors.InvalidOptionValue(
            option=name, reason=f"{json.dumps(value)[:100]} is not {option.expected}"
        ) from None


def parse_train(text: str | None) -> dict[str, Any]:
    """Options of ml_train, with task, optimization_metric and random_state filled in.

    Errors: those of parse, ConflictingOptions, InvalidMetric.
    """
    from mlshare import metrics

    options = parse(text, TRAIN)
    for first, second in _EXCLUSIVE:
        shared = set(options.get(first, ())) & set(options.get(second, ()))
        if first in options and second in options and (first == "model_list" or shared):
            raise errors.ConflictingOptions(first=first, second=second)
    options.setdefault("task", "classification")
    options.setdefault("random_state", 0)
    metrics.check(options.setdefault("optimization_metric", metrics.DEFAULT[options["task"]]), options["task"])
    return options
