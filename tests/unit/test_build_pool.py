"""Many sub-models in forked processes: the same bytes however many, failures with a name, nothing left behind."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlshare import build, child, errors
from mlshare.table import Column, Table
from unit import build_tasks as fate


@pytest.fixture(autouse=True)
def _double(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(child, "_command", fate.command)


def table(sizes: Sequence[int], fates: dict[int, int] | None = None) -> Table:
    """Rows of groups of these sizes; ``fates`` by position of the group."""
    n = sum(sizes)
    group = np.repeat(np.arange(len(sizes)), sizes)
    given = np.array([(fates or {}).get(i, fate.FINE) for i in range(len(sizes))], dtype=np.float64)
    words = tuple(f"w{i}" for i in range(len(sizes)))
    return Table(
        (
            Column("x", "numeric", values=np.arange(float(n))),
            Column("fate", "numeric", values=given[group]),
            Column("word", "category", codes=group.astype(np.int32), dictionary=words),
        )
    )


def request(sizes: Sequence[int], **words: Any) -> dict[str, Any]:
    starts = np.concatenate([[0], np.cumsum(sizes)]).tolist()
    groups = [[10 + i, starts[i], n] for i, n in enumerate(sizes)]
    plan = {"task": "regression", "target": "x", "algorithm": "sum", **words.pop("plan", {})}
    names = {10 + i: f"P{i}" for i in range(len(sizes))}
    return {"plan": plan, "groups": groups, "fallback": None, "threads": 2, "names": names, **words}


def call(wanted: dict[str, Any], rows: Any, **terms: Any) -> child.Reply:
    defaults: dict[str, Any] = {"memory_mb": 2000, "seconds": 60, "tick": _nothing, "progress": _nothing}
    return child.run("build", wanted, rows, **{**defaults, **terms})


def read(reply: child.Reply) -> list[tuple[dict[str, Any], bytes]]:
    return [(entry, bytes(model)) for entry, model in build.partitions(reply.result, reply.blob)]


def _nothing(*_: object) -> None:
    return None


def test_each_group_becomes_a_model_in_the_order_of_the_request() -> None:
    sizes = [3, 50, 1, 7]
    found = read(call(request(sizes, fallback=99), table(sizes)))
    assert [entry["id"] for entry, _ in found] == [10, 11, 12, 13, 99]
    starts = np.cumsum([0, *sizes])
    sums = [sum(range(starts[i], starts[i + 1])) for i in range(4)]
    assert [model.decode() for _, model in found] == [f"sum {s:g};" for s in [*sums, sum(range(61))]]
    assert [entry["rows"] for entry, _ in found] == [3, 50, 1, 7, 61]
    assert [entry["score"] for entry, _ in found] == [2, 52, 53, 60, 60]
    assert all(entry["status"] == "ready" and entry["error"] is None and entry["seconds"] >= 0 for entry, _ in found)


def test_groups_are_views_with_the_strings_that_occur_in_them() -> None:
    found = read(call(request([3, 4], fallback=99), table([3, 4])))
    assert [entry["words"] for entry, _ in found] == [["w0"], ["w1"], ["w0", "w1"]]
    assert [entry["codes"] for entry, _ in found] == [[0] * 3, [0] * 4, [0, 0, 0, 1, 1]]
    assert all(entry["views"] for entry, _ in found)


def test_the_bytes_do_not_depend_on_the_number_of_processes() -> None:
    sizes = [1 + 37 * i % 101 for i in range(300)]
    replies = [call(request(sizes, threads=n, build_type="inter"), table(sizes)) for n in (1, 2, 5)]
    assert len({reply.blob for reply in replies}) == 1
    kept = [[{**p, "seconds": 0} for p in reply.result["partitions"]] for reply in replies]
    assert kept[0] == kept[1] == kept[2]


@pytest.mark.parametrize(
    ("build_type", "threads"),
    [("inter", [1, 1, 1, 1]), ("intra", [2, 2, 2, 2]), ("hybrid", [1, 2, 1, 2])],
)
def test_build_types(build_type: str, threads: list[int]) -> None:
    sizes = [5, 60, 5]
    wanted = request(sizes, fallback=99, build_type=build_type, plan={"details": True})
    found = [entry for entry, _ in read(call(wanted, table(sizes)))]
    assert [entry["threads"] for entry in found] == threads
    alone = {entry["process"] for entry in found if entry["threads"] == 2}
    assert len(alone) <= 1 and not alone & {entry["process"] for entry in found if entry["threads"] == 1}


def test_unknown_build_type() -> None:
    with pytest.raises(errors.InvalidArgument, match="build_type"):
        call(request([3], build_type="sideways"), table([3]))


def test_all_processes_get_work() -> None:
    sizes = [5] * 20
    wanted = request(sizes, plan={"details": True, "params": {"seconds": 0.05}})
    found = read(call(wanted, table(sizes, dict.fromkeys(range(20), fate.NAP))))
    assert len({entry["process"] for entry, _ in found}) == 2


def test_the_automatic_choice_is_made_once_and_returned() -> None:
    heard: list[tuple[str, float]] = []
    wanted = request([3, 3], plan={"algorithm": None})
    reply = call(wanted, table([3, 3]), progress=lambda text, part: heard.append((text, part)))
    assert reply.result["plan"]["algorithm"] == "sum" and reply.result["plan"]["params"] == {"threads": 2}
    assert heard[0] == ("looking", 0.15) and heard[-1] == ("2 of 2 partitions", 1.0)


def test_an_error_of_the_automatic_choice_stays_itself() -> None:
    with pytest.raises(errors.InvalidMetric, match="unknown"):
        call(request([3], plan={"algorithm": None, "metric": "unknown"}), table([3]))


def test_a_crash_of_the_automatic_choice() -> None:
    with pytest.raises(errors.ChildError, match=r"choice process failed: .* signal 11, SIGSEGV"):
        call(request([3], plan={"algorithm": None, "metric": "crash"}), table([3]))


def test_progress_counts_and_does_not_flood() -> None:
    heard: list[tuple[str, float]] = []
    sizes, start = [2] * 3000, time.monotonic()
    call(request(sizes), table(sizes), progress=lambda text, part: heard.append((text, part)))
    assert heard[-1] == ("3000 of 3000 partitions", 1.0)
    assert [part for _, part in heard] == sorted(part for _, part in heard)
    assert len(heard) <= 2 + 5 * (time.monotonic() - start)


# --- failures ----------------------------------------------------------------------------------------

FAILURES = [
    (fate.REFUSE, "cannot be learned: it is constant", "ML102"),
    (fate.RAISE, "LookupError: unexpected", "ML120"),
    (fate.CRASH, "its process ended by signal 11, SIGSEGV", "ML121"),
    (fate.LEAVE, "its process ended with exit status 3", "ML121"),
]


@pytest.mark.parametrize(("what", "text", "sqlstate"), FAILURES)
def test_a_failure_names_its_partition(what: int, text: str, sqlstate: str) -> None:
    sizes = [4] * 200
    with pytest.raises(errors.PartitionFailed, match=f"partition P137 could not be built: .*{text}") as caught:
        call(request(sizes), table(sizes, {137: what}))
    assert caught.value.sqlstate == "ML111"


@pytest.mark.parametrize(("what", "text", "sqlstate"), FAILURES)
def test_failures_are_skipped_if_so_wanted(what: int, text: str, sqlstate: str) -> None:
    sizes = [4] * 200
    found = [e for e, _ in read(call(request(sizes, on_error="skip"), table(sizes, {0: what, 137: what})))]
    failed = [entry for entry in found if entry["status"] == "failed"]
    assert [entry["id"] for entry in failed] == [10, 147]
    assert all(text in entry["error"] for entry in failed)
    assert {entry["sqlstate"] for entry in failed} == {sqlstate}
    assert all(entry["length"] == 0 if "length" in entry else True for entry in failed)
    assert sum(entry["status"] == "ready" for entry in found) == 198


def test_memory_over_the_limit_fails_one_partition() -> None:
    sizes = [4] * 50
    wanted = request(sizes, on_error="skip", plan={"params": {"bytes": 1_000_000_000}})
    found = [e for e, _ in read(call(wanted, table(sizes, {7: fate.GREEDY}), memory_mb=1200))]
    assert [(e["id"], e["sqlstate"]) for e in found if e["status"] == "failed"] == [(17, "53200")]


def test_too_few_rows_fail_without_a_fit() -> None:
    sizes = [4, 9, 0, 10]
    wanted = request(sizes, min_rows=10, on_error="skip")
    found = [e for e, _ in read(call(wanted, table(sizes, {0: fate.CRASH})))]
    assert [(e["status"], e["sqlstate"]) for e in found] == [("failed", "ML103")] * 3 + [("ready", None)]
    assert found[1]["error"] == "too few rows to train on: it has 9, the minimum is 10"
    with pytest.raises(errors.PartitionFailed, match=r"partition P0 .* it has 4, the minimum is 10"):
        call(request(sizes, min_rows=10), table(sizes))


def test_no_rows_at_all() -> None:
    with pytest.raises(errors.TooFewRows):
        call(request([]), None)


# --- what the processes leave behind: nothing --------------------------------------------------------


def test_cancel_ends_all_processes(tmp_path: Path) -> None:
    def tick() -> None:
        if len(list(tmp_path.iterdir())) == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        call(lingering(tmp_path), table([4] * 9, dict.fromkeys(range(9), fate.LINGER)), tick=tick)
    assert_gone(tmp_path)


def test_a_killed_coordinator_takes_all_with_it(tmp_path: Path) -> None:
    def tick() -> None:
        noted = list(tmp_path.iterdir())
        if len(noted) == 2:
            os.kill(parent_of(int(noted[0].name)), signal.SIGKILL)

    with pytest.raises(errors.ChildCrashed, match="SIGKILL"):
        call(lingering(tmp_path), table([4] * 9, dict.fromkeys(range(9), fate.LINGER)), tick=tick)
    assert_gone(tmp_path)


def test_a_killed_backend_takes_all_with_it(tmp_path: Path) -> None:
    source = f"""
import sys; sys.path[:0] = {sys.path!r}
from pathlib import Path
from mlshare import child
from unit import build_tasks, test_build_pool as tests
child._command = build_tasks.command
tests.call(tests.lingering(Path({str(tmp_path)!r})), tests.table([4] * 9, dict.fromkeys(range(9), build_tasks.LINGER)))
"""
    backend = subprocess.Popen([sys.executable, "-c", source])
    until(lambda: len(list(tmp_path.iterdir())) == 2, 20)
    coordinator = parent_of(int(next(tmp_path.iterdir()).name))
    backend.kill()
    backend.wait()
    assert_gone(tmp_path)
    until(lambda: not alive(coordinator), 1)


def lingering(note: Path) -> dict[str, Any]:
    return request([4] * 9, plan={"params": {"note": str(note)}})


def assert_gone(note: Path) -> None:
    pids = [int(path.name) for path in note.iterdir()]
    assert len(pids) == 2
    until(lambda: not any(map(alive, pids)), 1)


def until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def alive(pid: int) -> bool:
    try:
        return state(pid)[0] not in "ZX"
    except (FileNotFoundError, ProcessLookupError):
        return False


def parent_of(pid: int) -> int:
    return int(state(pid)[1])


def state(pid: int) -> list[str]:
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()


# --- many ----------------------------------------------------------------------------------------------


@pytest.mark.alone
def test_scheduling_costs_little() -> None:
    """A thousand groups more cost less than 0.2 ms of each of two processors, at the best of five."""
    rows, few = table([100] * 1000), [100] * 10
    spent: list[float] = [1.0]
    for _ in range(5):
        start = processor_seconds()
        call(request(few), rows)
        middle = processor_seconds()
        call(request([100] * 1000), rows)
        spent.append((processor_seconds() - middle - (middle - start)) / 990)
    assert min(spent) < 2 * 0.0002, spent


def processor_seconds() -> float:
    """Of the processes that have ended: on a busy machine, the measure to trust."""
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def test_32000_partitions_in_bounded_memory() -> None:
    sizes = [50] * 32_000
    found = call(request(sizes), table(sizes), memory_mb=1000).result["partitions"]
    assert len(found) == 32_000 and {entry["status"] for entry in found} == {"ready"}
