"""Oracle's settings of mining models, and our own beside them: checked, and made into a plan."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

from mlshare.build.plan import Plan
from mlshare.errors import InvalidArgument, InvalidSettingValue, UnknownSetting
from mlshare.mining.algorithms import CLASSIFICATION, REGRESSION, Algorithm, Setting
from mlshare.mining.kinds import Columns, Name, OneOf, Whole
from mlshare.table import Task

BuildType = Literal["hybrid", "inter", "intra"]
OnError = Literal["error", "skip", "fallback"]
Unseen = Literal["null", "error", "fallback"]
Listed = tuple[tuple[str, str, Literal["INPUT", "DEFAULT"]], ...]

MAX_KEY_COLUMNS = 16


@dataclass(frozen=True)
class Settings:
    """What the settings of a call say; ``listed`` are those that hold: name, value, whether given.

    The target of ``plan`` is for the caller to fill in. Without partition columns the model is an ordinary one.
    """

    partition_columns: tuple[str, ...]
    max_partitions: int
    build_type: BuildType
    min_rows: int
    on_partition_error: OnError
    unseen_key: Unseen
    executor: str | None
    plan: Plan
    listed: Listed


@dataclass(frozen=True)
class Function:
    """A mining function: its task here, its algorithms and the settings that it has beside theirs."""

    task: Task
    algorithm: str
    algorithms: Mapping[str, Algorithm]
    settings: Mapping[str, Setting]
    unsupported: str = ""


def _on(default: bool, about: str) -> Setting:
    return Setting(OneOf({"ON": True, "OFF": False}), "ON" if default else "OFF", about)


PARTITIONS: dict[str, Setting] = {
    "ODMS_PARTITION_COLUMNS": Setting(
        Columns(MAX_KEY_COLUMNS), None, "The key: one sub-model is built for each of its values."
    ),
    "ODMS_MAX_PARTITIONS": Setting(Whole(2, 1_000_000), "1000", "Most partitions that the model may ever have."),
    "ODMS_PARTITION_BUILD_TYPE": Setting(
        OneOf(
            {
                "ODMS_PARTITION_BUILD_HYBRID": "hybrid",
                "ODMS_PARTITION_BUILD_INTER": "inter",
                "ODMS_PARTITION_BUILD_INTRA": "intra",
            }
        ),
        "ODMS_PARTITION_BUILD_HYBRID",
        "Whether processors share out the partitions (INTER), each partition (INTRA), or what suits.",
    ),
    "MIN_ROWS_PER_PARTITION": Setting(Whole(1), "1", "A partition of fewer rows is not built but counts as failed."),
    "ON_PARTITION_ERROR": Setting(
        OneOf({"error": "error", "skip": "skip", "fallback": "fallback"}),
        "error",
        "Whether a partition that fails ends the build, is left out, or answers by the fallback sub-model.",
    ),
    "UNSEEN_KEY": Setting(
        OneOf({"null": "null", "error": "error", "fallback": "fallback"}),
        "null",
        "What a row with a key that has no partition gets: NULL, an error, or the fallback sub-model's answer.",
    ),
    "EXECUTOR": Setting(Name(), None, "The cluster that builds the partitions, by the name an administrator gave it."),
}
COMMON: dict[str, Setting] = {
    "PREP_AUTO": _on(True, "Standardises columns for the algorithms that need it."),
    "ODMS_MISSING_VALUE_TREATMENT": Setting(
        OneOf(
            {
                "ODMS_MISSING_VALUE_AUTO": "impute",
                "ODMS_MISSING_VALUE_MEAN_MODE": "impute",
                "ODMS_MISSING_VALUE_DELETE_ROW": "delete_row",
            }
        ),
        "ODMS_MISSING_VALUE_AUTO",
        "NULL counts as the mean or the most frequent value (AUTO, MEAN_MODE), or its row is not learned from.",
    ),
    "ODMS_ROW_WEIGHT_COLUMN_NAME": Setting(
        Columns(1), None, "Column of row weights, numbers from 0; rows that weigh 0 or NULL are left out."
    ),
    "ODMS_RANDOM_SEED": Setting(Whole(0, 2**32 - 1), "0", "Seed of all that is random."),
    "ODMS_DETAILS": Setting(
        OneOf({"ODMS_ENABLE": True, "ODMS_DISABLE": False}),
        "ODMS_ENABLE",
        "Whether coefficients, importances and statistics are kept for the views.",
    ),
    **PARTITIONS,
}
_BALANCED = {"CLAS_WEIGHTS_BALANCED": _on(False, "Gives all classes the same weight.")}
_UNSUPPORTED = """
    ODMS_SAMPLING ODMS_SAMPLE_SIZE ODMS_TABLESPACE_NAME ODMS_APPROXIMATE_COMPUTATION ODMS_ITEM_ID_COLUMN_NAME
    ODMS_ITEM_VALUE_COLUMN_NAME ODMS_TEXT_POLICY_NAME ODMS_TEXT_MAX_FEATURES ODMS_TEXT_MIN_DOCUMENTS ODMS_BOXCOX
    ODMS_EXPLOSION_MIN_SUPP PREP_SCALE_2DNUM PREP_SHIFT_2DNUM PREP_SCALE_NNUM
"""
_UNSUPPORTED_CLASSIFICATION = f"""{_UNSUPPORTED}
    CLAS_WEIGHTS_TABLE_NAME CLAS_PRIORS_TABLE_NAME CLAS_COST_TABLE_NAME CLAS_MAX_SUP_BINS
"""

# A new mining function is one row here.
FUNCTIONS: dict[str, Function] = {
    "CLASSIFICATION": Function(
        "classification",
        "ALGO_NAIVE_BAYES",
        CLASSIFICATION,
        {**COMMON, **_BALANCED},
        _UNSUPPORTED_CLASSIFICATION,
    ),
    "REGRESSION": Function("regression", "ALGO_SUPPORT_VECTOR_MACHINES", REGRESSION, COMMON, _UNSUPPORTED),
}


def parse(given: Mapping[str, Any], function: str) -> Settings:
    """The settings of a mining function: names and symbols in any letter case, values as text (or JSON scalars).

    Errors: InvalidArgument (function), UnknownSetting, InvalidSettingValue.
    """
    known = _function(function)
    texts = _by_canonical_name(given, known)
    chosen = _algorithm(texts.pop("ALGO_NAME", None), known)
    algorithm = known.algorithms[chosen]
    settings = {**known.settings, **algorithm.settings}
    _check_names(texts, settings, known, chosen)
    values = {name: _read(name, texts.get(name, setting.default), setting) for name, setting in settings.items()}
    named = [] if values["ODMS_PARTITION_COLUMNS"] else [name for name in texts if name in PARTITIONS]
    if named:
        reason = "it is for partitioned models, which have ODMS_PARTITION_COLUMNS"
        raise UnknownSetting(setting=named[0], reason=reason)
    estimator, params = algorithm.plan({name: values[name] for name in algorithm.settings})
    listed = [("ALGO_NAME", chosen, _origin("ALGO_NAME" in _upper(given)))]
    listed += [
        (name, _shown(texts.get(name, setting.default), setting), _origin(name in texts))
        for name, setting in settings.items()
        if values[name] is not None and (values["ODMS_PARTITION_COLUMNS"] or name not in PARTITIONS)
    ]
    return _settings(values, _plan(values, known.task, estimator, params), tuple(listed))


def described(function: str) -> list[tuple[str, str, str, str, str]]:
    """For documentation, every setting of a mining function: algorithm ("" for all), name, values, default, meaning."""
    known = _function(function)
    tables = {"": known.settings, **{name: a.settings for name, a in known.algorithms.items()}}
    algorithms = ", ".join(known.algorithms)
    first = ("", "ALGO_NAME", algorithms, known.algorithm, "The algorithm.")
    return [first] + [
        (algorithm, name, setting.kind.words, setting.default or "", setting.about)
        for algorithm, table in tables.items()
        for name, setting in table.items()
    ]


def _settings(values: Mapping[str, Any], plan: Plan, listed: Listed) -> Settings:
    return Settings(
        values["ODMS_PARTITION_COLUMNS"] or (),
        values["ODMS_MAX_PARTITIONS"],
        values["ODMS_PARTITION_BUILD_TYPE"],
        values["MIN_ROWS_PER_PARTITION"],
        values["ON_PARTITION_ERROR"],
        values["UNSEEN_KEY"],
        values["EXECUTOR"],
        plan,
        listed,
    )


def _plan(values: Mapping[str, Any], task: Task, estimator: str, params: Mapping[str, Any]) -> Plan:
    weights = values["ODMS_ROW_WEIGHT_COLUMN_NAME"]
    return Plan(
        task,
        "",
        estimator,
        params,
        random_state=values["ODMS_RANDOM_SEED"],
        weights=weights[0] if weights else None,
        balanced=values.get("CLAS_WEIGHTS_BALANCED", False),
        missing=values["ODMS_MISSING_VALUE_TREATMENT"],
        scaled=values["PREP_AUTO"],
        details=values["ODMS_DETAILS"],
    )


def _function(name: str) -> Function:
    function = FUNCTIONS.get(name.strip().upper())
    if function is None:
        reason = f'"{name[:60]}" is not a mining function that can be used'
        raise InvalidArgument(argument="mining_function", reason=reason, hint=f"Known are: {', '.join(FUNCTIONS)}.")
    return function


def _upper(given: Mapping[str, Any]) -> set[str]:
    return {name.strip().upper() for name, value in given.items() if value is not None}


def _by_canonical_name(given: Mapping[str, Any], function: Function) -> dict[str, str]:
    """The texts that were given, each under its name as the tables have it; null counts as not given."""
    tables = [function.settings, *(a.settings for a in function.algorithms.values())]
    canonical = {name.upper(): name for table in tables for name in table}
    out: dict[str, str] = {}
    for name, value in given.items():
        own = name.strip().upper()
        own = canonical.get(own, own)
        if own in out:
            raise InvalidSettingValue(setting=own, reason="it is given twice")
        if value is not None:
            out[own] = _text(own, value)
    return out


def _text(name: str, value: Any) -> str:
    if isinstance(value, bool):
        return "ON" if value else "OFF"
    if isinstance(value, str | int | float):
        return str(value).strip()
    raise InvalidSettingValue(setting=name, reason="it is neither a text nor a number")


def _algorithm(given: str | None, function: Function) -> str:
    name = function.algorithm if given is None else given.upper()
    if name not in function.algorithms:
        reason = f'"{given}" is not an algorithm for {function.task}'[:200]
        hint = f"Known are: {', '.join(function.algorithms)}."
        raise InvalidSettingValue(setting="ALGO_NAME", reason=reason, hint=hint)
    return name


def _check_names(texts: Mapping[str, str], settings: Mapping[str, Setting], function: Function, algorithm: str) -> None:
    others = {name: other for other, a in function.algorithms.items() for name in a.settings}
    refused = {n.upper() for a in function.algorithms.values() for n in a.unsupported.split()} | set(
        function.unsupported.split()
    )
    hint = f"Settings here: {', '.join(['ALGO_NAME', *settings])}."
    for name in texts:
        if name in settings:
            continue
        reason = "there is no such setting"
        if name in others:
            reason = f"it belongs to {others[name]}, and ALGO_NAME is {algorithm}"
        elif name.upper() in refused:
            reason = "it is not supported"
        raise UnknownSetting(setting=name, reason=reason, hint=hint)


def _read(name: str, text: str | None, setting: Setting) -> Any:
    if text is None:
        return None
    try:
        return setting.kind.read(text)
    except (ValueError, OverflowError):
        raise InvalidSettingValue(setting=name, reason=f'"{text[:100]}" is not {setting.kind.words}') from None


def _shown(text: str | None, setting: Setting) -> str:
    """A value as it is listed: symbols as the table writes them."""
    symbols = setting.kind.symbols if isinstance(setting.kind, OneOf) else {}
    return next((s for s in symbols if s.lower() == (text or "").lower()), text or "")


def _origin(given: bool) -> Literal["INPUT", "DEFAULT"]:
    return "INPUT" if given else "DEFAULT"
