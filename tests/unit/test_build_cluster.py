"""Builds on a Dask cluster of real processes over TLS: equal models, losses survived or reported, nothing believed."""

from __future__ import annotations

import itertools
import signal
import threading
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlshare import build, child, errors
from mlshare.build import remote
from mlshare.build.cluster import batches
from mlshare.build.groups import Group
from mlshare.build.plan import Plan
from mlshare.table import Table
from unit import build_tasks
from unit.cluster_processes import Cluster, certificates, cluster
from unit.learning import mixed, only

SIZES = [30 + 7 * i % 50 for i in range(24)]
MANY = [60] * 200
HOSTILE = Path(__file__).parent / "hostile_worker"
COLUMNS = ("a", "b", "flag", "day", "color", "two")


@pytest.fixture(autouse=True)
def _sources(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_command", build_tasks.real)


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    made = tmp_path_factory.mktemp("cluster")
    certificates(made)
    return made


@pytest.fixture(scope="module")
def farm(directory: Path) -> Iterator[Cluster]:
    with cluster(directory) as made:
        yield made


def rows(sizes: Sequence[int] = SIZES) -> Table:
    return only(mixed(sum(sizes)), *COLUMNS)


def request(executor: dict[str, str] | None, sizes: Sequence[int] = SIZES, **words: Any) -> dict[str, Any]:
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    groups = [[i + 1, starts[i], n] for i, n in enumerate(sizes)]
    plan = {"task": "classification", "target": "two", "algorithm": "LogisticRegression"} | words.pop("plan", {})
    names = {i + 1: f"P{i + 1}" for i in range(len(sizes))}
    return {"plan": plan, "groups": groups, "threads": 2, "executor": executor, "names": names, **words}


def call(wanted: dict[str, Any], table: Table | None = None, **terms: Any) -> child.Reply:
    defaults: dict[str, Any] = {"memory_mb": 4000, "seconds": 60, "tick": _nothing, "progress": _nothing}
    return child.run("build", wanted, table or rows(), **{**defaults, **terms})


def _nothing(*_: object) -> None:
    return None


def kept(reply: child.Reply) -> list[Any]:
    read = build.partitions(reply.result, reply.blob)
    return [({**entry, "seconds": 0}, bytes(model)) for entry, model in read]


# --- what a cluster builds ---------------------------------------------------------------------------


def test_a_cluster_builds_the_same_bytes(farm: Cluster) -> None:
    heard: list[tuple[str, float]] = []
    there = call(request(farm.executor, fallback=99), progress=lambda text, part: heard.append((text, part)))
    assert kept(there) == kept(call(request(None, fallback=99)))
    assert ("25 of 25 partitions", 0.8) in heard and heard[-1] == ("25 of 25 partitions checked", 1.0)
    assert [part for _, part in heard] == sorted(part for _, part in heard)


def test_failures_have_names_there_too(farm: Cluster) -> None:
    table = rows()
    target = table["two"]
    assert target.codes is not None
    target.codes[: SIZES[0]] = 0
    with pytest.raises(errors.PartitionFailed, match=r"partition P1 .* fewer than two distinct values"):
        call(request(farm.executor), table)
    here, there = (kept(call(request(e, on_error="skip"), table)) for e in (None, farm.executor))
    assert here == there and here[0][0]["sqlstate"] == "ML102"
    assert [entry["status"] for entry, _ in there] == ["failed"] + ["ready"] * 23


def test_a_table_there_and_back() -> None:
    table = only(mixed(50), "a", "flag", "at", "color", "words", "amount")
    plan = Plan("regression", "amount", "LinearRegression", {"alpha": 0.5}, include=("a",))
    groups = [Group(7, "x", 10, 5), Group(8, "y", 15, 20)]
    back, places, same = remote.unpack_task(remote.pack_task(table, groups, plan))
    assert same == plan and [(g.start, g.rows) for g in places] == [(0, 5), (5, 20)]
    for one, two in zip(table.columns, back.columns, strict=True):
        assert (one.name, one.kind) == (two.name, two.kind)
        if one.values is not None:
            np.testing.assert_array_equal(one.values[10:35], two.values)
        else:
            assert [one.dictionary[c] if c >= 0 else None for c in one.codes[10:35]] == [
                two.dictionary[c] if c >= 0 else None for c in two.codes
            ]


def test_batches_follow_one_another_and_hold_every_group() -> None:
    groups = [Group(i, "", 1000 * i, 1000) for i in range(200) if i != 77] + [Group(999, "", 0, 200_000)]
    made = batches(only(mixed(10), "a", "b"), groups, 4)
    assert sorted(g.id for batch in made for g in batch) == sorted(g.id for g in groups)
    assert made[0] == [groups[-1]] and 16 <= len(made) < 60
    for batch in made:
        assert all(a.start + a.rows == b.start for a, b in itertools.pairwise(batch))


# --- losses --------------------------------------------------------------------------------------------


def test_a_lost_worker_is_replaced_by_the_others(directory: Path) -> None:
    killed = threading.Event()
    with cluster(directory) as made:

        def progress(text: str, part: float) -> None:
            if not killed.is_set():
                killed.set()
                made.workers[0].kill()

        reply = call(request(made.executor, MANY), rows(MANY), progress=progress)
    assert killed.is_set() and made.workers[0].returncode == -signal.SIGKILL
    assert {entry["status"] for entry in reply.result["partitions"]} == {"ready"}


@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGSTOP])
def test_a_lost_scheduler_is_an_error_soon(directory: Path, how: int) -> None:
    stopped: list[float] = []
    with cluster(directory) as made:

        def progress(text: str, part: float) -> None:
            if not stopped:
                stopped.append(time.monotonic())
                made.scheduler.send_signal(how)

        with pytest.raises(errors.ExecutorFailed, match='executor "farm" failed') as caught:
            call(request(made.executor, MANY), rows(MANY), progress=progress)
        assert time.monotonic() - stopped[0] < 10
    assert caught.value.sqlstate == "ML112"


def test_nobody_at_the_address(farm: Cluster) -> None:
    start = time.monotonic()
    for port in (1, farm.port):
        executor = {**farm.executor, "address": f"tls://127.0.0.1:{port}"}
        if port == farm.port:
            executor["key"] = "/nowhere"
        with pytest.raises(errors.ExecutorFailed, match="no connection to its scheduler"):
            call(request(executor))
    assert time.monotonic() - start < 25


def test_a_scheduler_without_workers(directory: Path) -> None:
    with cluster(directory, workers=0) as made:
        start = time.monotonic()
        with pytest.raises(errors.ExecutorFailed, match="it has no workers"):
            call(request(made.executor))
        assert time.monotonic() - start < 20


@pytest.mark.alone
def test_cancel_is_quick_and_the_cluster_forgets(directory: Path) -> None:
    sizes = MANY * 5
    with cluster(directory) as made:
        started: list[float] = []

        def tick() -> None:
            if started and time.monotonic() - started[0] > 0.1:
                raise KeyboardInterrupt

        with pytest.raises(KeyboardInterrupt):
            call(
                request(made.executor, sizes),
                rows(sizes),
                tick=tick,
                progress=lambda *_: started.append(time.monotonic()),
            )
        assert time.monotonic() - started[0] < 1.1
        deadline = time.monotonic() + 5
        while "Remove client" not in made.log("scheduler"):
            assert time.monotonic() < deadline
            time.sleep(0.05)


def test_a_group_that_ends_its_workers_has_a_name(directory: Path) -> None:
    with cluster(directory, workers=0, failures=0) as made:
        made.add_worker(paths=(str(HOSTILE),))
        (made.directory / "trick").write_text("crash -")
        with pytest.raises(errors.PartitionFailed, match=r"P1 could not be built: the executor's workers .* ended"):
            call(request(made.executor, [60]), rows([60]))


# --- trust ---------------------------------------------------------------------------------------------


@pytest.mark.parametrize("address", ["tcp://127.0.0.1:1", "127.0.0.1:1", "inproc://", ""])
def test_only_tls(farm: Cluster, address: str) -> None:
    with pytest.raises(errors.ExecutorFailed, match="does not begin with tls://"):
        call(request({**farm.executor, "address": address}))


def test_a_scheduler_without_tls_is_not_talked_to(directory: Path) -> None:
    with cluster(directory, workers=0, protocol="tcp") as made:
        executor = {**made.executor, "address": made.executor["address"].replace("tcp", "tls")}
        with pytest.raises(errors.ExecutorFailed, match="no connection to its scheduler"):
            call(request(executor))


def test_another_authority_is_not_believed(farm: Cluster, tmp_path: Path) -> None:
    certificates(tmp_path)
    with pytest.raises(errors.ExecutorFailed, match="no connection to its scheduler"):
        call(request({**farm.executor, "ca": str(tmp_path / "ca.pem")}))


@pytest.mark.parametrize(
    ("trick", "match"),
    [
        ("not_onnx", "not an ONNX file"),
        ("other_operator", "refused"),
        ("other_target", "another model than was asked for: target"),
        ("other_golden", "answers its golden sample differently"),
        ("extra_field", "wrong in surprise"),
        ("infinite_score", "Infinity is not a number"),
        ("not_an_answer", "a worker's answer is not one"),
        ("no_bytes", "a worker's answer is not one"),
        ("object", "could not run it|no answers"),
        ("plain_error", "a message of its scheduler is refused"),
        ("raising_object", "a message of its scheduler is refused"),
    ],
)
def test_a_hostile_worker_is_refused(hostile: Cluster, tmp_path: Path, trick: str, match: str) -> None:
    note = tmp_path / "note"
    (hostile.directory / "trick").write_text(f"{trick} {note}")
    with pytest.raises((errors.PartitionFailed, errors.ExecutorFailed), match=match):
        call(request(hostile.executor, [60]), rows([60]))
    assert not note.exists(), "code of the worker has run here"


@pytest.fixture(scope="module")
def hostile(directory: Path) -> Iterator[Cluster]:
    with cluster(directory, workers=0) as made:
        made.add_worker(paths=(str(HOSTILE),))
        yield made


def test_a_missing_package_is_named(monkeypatch: pytest.MonkeyPatch, farm: Cluster) -> None:
    monkeypatch.setattr(child, "_command", build_tasks.without_dask)
    with pytest.raises(errors.InstallationError, match="packages for executors are missing") as caught:
        call(request(farm.executor))
    assert 'pip install "mlshare[cluster]"' in str(caught.value.hint)
