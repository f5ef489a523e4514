"""The child process: it replies, is limited, and goes away whatever happens."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from mlshare import child, errors
from mlshare.table import Column, Table
from unit import child_tasks


class Cancelled(BaseException):
    """Stands for what an interrupt probe raises; not even an Exception."""


def call(task: str, request: dict[str, Any] | None = None, payload: Any = None, **terms: Any) -> child.Reply:
    defaults: dict[str, Any] = {"memory_mb": 1000, "seconds": 30, "tick": _nothing, "progress": _nothing}
    return child.run(task, request or {}, payload, **{**defaults, **terms})


def _nothing(*_: object) -> None:
    return None


@pytest.fixture(autouse=True)
def _tasks(monkeypatch: pytest.MonkeyPatch, request: pytest.FixtureRequest) -> None:
    if "real_worker" not in request.fixturenames:
        monkeypatch.setattr(child, "_command", child_tasks.command)


@pytest.fixture
def real_worker() -> None:
    """The command as it is in a server."""


def test_the_worker_answers_ping(real_worker: None) -> None:
    reply = call("ping", {"a": 1}, b"12345")
    assert reply.result["payload"] == 5
    assert reply.result["request"] == {"a": 1}


def test_unknown_task_is_an_error(real_worker: None) -> None:
    with pytest.raises(errors.ChildError, match="no such task"):
        call("nothing")


@pytest.mark.parametrize(
    "payload",
    [None, b"", b"abc", bytearray(b"abc"), memoryview(b"abc"), bytes(5_000_000)],
    ids=lambda payload: type(payload).__name__,
)
def test_bytes_go_there_and_back(payload: Any) -> None:
    reply = call("echo", {"x": "ä", "list": [1, None]}, payload)
    assert reply.blob == bytes(payload or b"")
    assert reply.result["request"] == {"x": "ä", "list": [1, None]}
    assert reply.result["kind"] == ("NoneType" if payload is None else "bytes")


def test_table_arrives_as_views_of_shared_memory() -> None:
    matrix = np.arange(6.0).reshape(3, 2)
    table = Table(
        (
            Column("n", "numeric", values=np.array([1.5, np.inf, -2.0])),
            Column("strided", "numeric", values=matrix[:, 1]),
            Column('c"ä', "category", codes=np.array([0, -1, 1], np.int32), dictionary=("x", "é\n")),
            Column("t", "timestamp", values=np.array([0.0, 1e9, 2e9])),
        )
    )
    result = _describe(table)
    assert result["columns"]['c"ä'] == ["category", None, ["x", None, "é\n"]]
    assert result["columns"]["strided"][1] == [1.0, 3.0, 5.0]
    assert result["columns"]["t"] == ["timestamp", [0.0, 1e9, 2e9], None]
    assert result["shared"] and result["n"] == 3


def _describe(table: Table) -> dict[str, Any]:
    finite = tuple(
        Column(c.name, c.kind, None if c.values is None else np.nan_to_num(c.values), c.codes, c.dictionary)
        for c in table.columns
    )
    return call("describe", {}, Table(finite)).result


def test_empty_table_arrives() -> None:
    numbers = Column("a", "numeric", values=np.zeros(0))
    table = Table((numbers, Column("b", "text", codes=np.zeros(0, np.int32))))
    assert call("describe", {}, table).result["n"] == 0


def test_chatter_does_not_reach_the_protocol() -> None:
    heard: list[tuple[str, float]] = []
    reply = call("chatter", progress=lambda text, fraction: heard.append((text, fraction)))
    assert reply.result == {"said": "all"}
    assert heard == [(f"step {i}", i / 50) for i in range(50)]


def test_own_errors_come_back_as_themselves() -> None:
    with pytest.raises(errors.InvalidTarget) as caught:
        call("refuse")
    assert caught.value.message == 'target column "y" cannot be learned: it is constant'
    assert (caught.value.detail, caught.value.hint) == ("the detail", "the hint")


def test_other_errors_are_child_errors() -> None:
    with pytest.raises(errors.ChildError, match="LookupError: unexpected") as caught:
        call("fail")
    assert "child_tasks" in str(caught.value.detail)


def test_reply_that_is_not_json_is_an_error() -> None:
    with pytest.raises(errors.ChildError, match="ValueError"):
        call("not_json")


def test_noise_on_the_protocol_is_an_error() -> None:
    with pytest.raises(errors.ChildError, match="not JSON"):
        call("babble")


@pytest.mark.parametrize("task", ["greedy", "greedy_numpy", "abort_like_cpp"])
def test_memory_limit(task: str) -> None:
    with pytest.raises(errors.ChildOutOfMemory) as caught:
        call(task, memory_mb=500)
    assert caught.value.sqlstate == "53200"
    assert "500 MB" in caught.value.message


def test_crash_names_the_signal() -> None:
    with pytest.raises(errors.ChildCrashed, match=r"signal 11, SIGSEGV") as caught:
        call("segfault")
    assert "Segmentation fault" in str(caught.value.detail)


def test_silent_exit_is_a_crash_with_the_last_words() -> None:
    with pytest.raises(errors.ChildCrashed, match="exit status 3") as caught:
        call("leave")
    assert caught.value.detail == "last words"


@pytest.mark.alone
def test_wall_clock_limit() -> None:
    started = time.monotonic()
    with pytest.raises(errors.ChildTimeout, match=r"within 0\.5 s"):
        call("sleep", seconds=0.5)
    assert time.monotonic() - started < 2


@pytest.mark.alone
@pytest.mark.parametrize("raised", [Cancelled, KeyboardInterrupt, ValueError])
def test_what_tick_raises_passes_and_nothing_stays_behind(raised: type[BaseException]) -> None:
    pids: list[int] = []

    def tick() -> None:
        if pids:
            raise raised("stop")

    with pytest.raises(raised, match="stop"):
        call("sleep", tick=tick, progress=lambda text, _: pids.append(int(text)))
    assert _group_ends(pids[0])


@pytest.mark.alone
def test_what_progress_raises_passes() -> None:
    pids: list[int] = []

    def progress(text: str, _: float) -> None:
        pids.append(int(text))
        raise Cancelled

    with pytest.raises(Cancelled):
        call("sleep", progress=progress)
    assert _group_ends(pids[0])


@pytest.mark.alone
def test_tick_is_called_often() -> None:
    ticks: list[float] = []
    with pytest.raises(errors.ChildTimeout):
        call("sleep", seconds=1, tick=lambda: ticks.append(time.monotonic()))
    gaps = np.diff(ticks)
    assert len(ticks) >= 30
    assert np.median(gaps) <= 0.025


def test_no_descriptor_is_lost() -> None:
    before = len(os.listdir("/proc/self/fd"))
    for task in ("echo", "fail", "leave"):
        try:
            call(task)
        except errors.ChildError:
            continue
    assert len(os.listdir("/proc/self/fd")) == before


def test_child_ends_when_its_parent_is_killed(tmp_path: Path) -> None:
    note = tmp_path / "pid"
    source = f"""
import sys; sys.path[:0] = {sys.path!r}
import pathlib
from unit import child_tasks
from mlshare import child
child._command = child_tasks.command
child.run("sleep", {{}}, None, memory_mb=1000, seconds=60, tick=lambda: None,
          progress=lambda text, _: pathlib.Path({str(note)!r}).write_text(text))
"""
    parent = subprocess.Popen([sys.executable, "-c", source])
    _until(lambda: note.exists() and note.read_text() != "", 10)
    pid = int(note.read_text())
    assert _alive(pid)
    parent.kill()
    parent.wait()
    _until(lambda: not _alive(pid), 1)
    _kill_group(pid)


def _until(condition: Callable[[], bool], seconds: float) -> None:
    deadline = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < deadline, "it did not happen in time"
        time.sleep(0.01)


def _alive(pid: int) -> bool:
    try:
        state = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0]
    except (FileNotFoundError, ProcessLookupError):
        return False
    return state not in "ZX"


def _group_ends(group: int) -> bool:
    """Whether a group that was killed is gone within a second: a killed process ends when it is its turn to run."""
    deadline = time.monotonic() + 1
    while _group_alive(group) and time.monotonic() < deadline:
        time.sleep(0.01)
    return not _group_alive(group)


def _group_alive(group: int) -> bool:
    members = [p for p in Path("/proc").iterdir() if p.name.isdigit() and _group_of(p) == group]
    return any(_alive(int(p.name)) for p in members)


def _group_of(process: Path) -> int:
    try:
        return int((process / "stat").read_text().rpartition(")")[2].split()[2])
    except (FileNotFoundError, ProcessLookupError):
        return -1


def _kill_group(group: int) -> None:
    # The sleep that the task started is not its parent's child and may outlive it in this test.
    if _group_alive(group):
        os.killpg(group, signal.SIGKILL)
