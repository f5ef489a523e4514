"""Builds with the true learner: every library fits in forked processes, with one thread and with several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnxruntime
import pytest

from mlshare import audit, build, child
from mlshare.table import Column, Table
from unit import build_tasks
from unit.learning import mixed, numbers, only, strings


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_command", build_tasks.real)


def call(wanted: dict[str, Any], rows: Table, **terms: Any) -> child.Reply:
    defaults: dict[str, Any] = {"memory_mb": 4000, "seconds": 100, "tick": _nothing, "progress": _nothing}
    return child.run("build", wanted, rows, **{**defaults, **terms})


def _nothing(*_: object) -> None:
    return None


def request(sizes: Sequence[int], algorithm: str | None, target: str = "two", **words: Any) -> dict[str, Any]:
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    groups = [[i + 1, starts[i], n] for i, n in enumerate(sizes)]
    task = "regression" if target == "amount" else "classification"
    plan = {"task": task, "target": target, "algorithm": algorithm, **words.pop("plan", {})}
    return {"plan": plan, "groups": groups, "fallback": None, "threads": 2, **words}


ALL_KINDS = ("a", "b", "flag", "day", "at", "color")


@pytest.mark.parametrize(
    ("algorithm", "target"),
    [
        ("LogisticRegression", "two"),
        ("SVC", "three"),
        ("RandomForestRegressor", "amount"),
        ("LGBMClassifier", "two"),
        ("XGBRegressor", "amount"),
    ],
)
def test_sub_models_pass_the_audit_and_are_those_of_each_group_alone(algorithm: str, target: str) -> None:
    sizes, rows = [200, 150, 250], only(mixed(600), *ALL_KINDS, target)
    params = {"n_estimators": 20} if algorithm.startswith(("LGBM", "XGB")) else {}
    wanted = request(sizes, algorithm, target, fallback=99, plan={"params": params})
    found = [(entry, bytes(model)) for entry, model in build.partitions(*pair(call(wanted, rows)))]
    assert [entry["id"] for entry, _ in found] == [1, 2, 3, 99]
    for entry, model in found:
        assert entry["status"] == "ready" and entry["algorithm_name"] == algorithm
        audit.audit(model)
    wanted["groups"], wanted["fallback"] = [[2, 200, 150]], None
    ((_, alone),) = build.partitions(*pair(call(wanted, rows)))
    assert bytes(alone) == found[1][1]


def pair(reply: child.Reply) -> tuple[dict[str, Any], bytes]:
    return reply.result, reply.blob


@pytest.mark.parametrize("algorithm", ["LGBMClassifier", "XGBClassifier", "RandomForestClassifier"])
def test_threads_of_a_forked_process(algorithm: str) -> None:
    """Enough rows for the libraries to use their threads; first all threads for one group, then side by side."""
    n, rng = 120_000, np.random.default_rng(0)
    x = rng.normal(size=(4, n))
    columns = [numbers(f"x{i}", column.tolist()) for i, column in enumerate(x)]
    rows = Table((*columns, strings("y", np.where(x.sum(axis=0) > 0, "yes", "no").tolist())))
    params = {"max_depth": 3, "n_estimators": 3}
    models = set()
    for build_type in ("intra", "hybrid", "inter"):
        wanted = request([110_000, 5_000, 5_000], algorithm, "y", build_type=build_type, plan={"params": params})
        models.add(tuple(bytes(model) for _, model in build.partitions(*pair(call(wanted, rows)))))
    assert len(models) == 1 and len(set(*models)) == 3


def test_the_automatic_choice_then_forks() -> None:
    rows = only(mixed(400), "a", "b", "color", "two")
    wanted = request([200, 200], None, plan={"model_list": ["LGBMClassifier", "XGBClassifier"]})
    reply = call(wanted, rows)
    assert reply.result["plan"]["algorithm"] in ("LGBMClassifier", "XGBClassifier") and reply.result["plan"]["params"]
    for _, model in build.partitions(*pair(reply)):
        assert onnxruntime.InferenceSession(bytes(model)).get_inputs()[0].name == "features"


def test_strings_of_other_groups_are_not_categories() -> None:
    color = ["red", "green"] * 50 + ["blue", "white"] * 50
    y = ["yes" if i % 3 else "no" for i in range(200)]
    rows = Table((strings("color", color), strings("y", y), Column("x", "numeric", values=np.arange(200.0))))
    found = [entry for entry, _ in build.partitions(*pair(call(request([100, 100], "LogisticRegression", "y"), rows)))]
    assert [sorted(entry["categories"]["color"]) for entry in found] == [["green", "red"], ["blue", "white"]]
