"""Tests in several processes (pytest -n 2): each has a server of its own, and gets whole files, the slowest first.

Tests marked ``alone`` measure time or memory: ``--alone=not`` leaves them out, ``--alone=only`` runs nothing else.
"""

from __future__ import annotations

from contextlib import ExitStack
from typing import Any

import pytest

from fix_server import serving

# What takes longest starts first, so that no process is left with it at the end.
SLOWEST = (
    "backend/test_bank.py",
    "security/test_partitions.py",
    "backend/test_compile.py",
    "security/test_evil_owner.py",
    "backend/test_seed_partitions.py",
    "sharing/test_openapi.py",
    "unit/test_build_cluster.py",
    "unit/test_build_real.py",
    "security/test_hostile_onnx.py",
    "sharing/test_client_official.py",
    "sharing/test_server_attacks.py",
    "sharing/test_consumer_hostile.py",
    "backend/test_matrix.py",
    "backend/test_partitions.py",
    "unit/test_fit.py",
    "backend/test_training_process.py",
)


def pytest_addoption(parser: pytest.Parser) -> None:
    """--alone."""
    parser.addoption("--alone", choices=("not", "only"), help="leave out, or run only, tests that measure time")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Choose by --alone; order for several processes."""
    if chosen := config.getoption("--alone"):
        sides: dict[bool, list[pytest.Item]] = {True: [], False: []}
        for item in items:
            sides[bool(item.get_closest_marker("alone"))].append(item)
        items[:] = sides[chosen == "only"]
        config.hook.pytest_deselected(items=sides[chosen == "not"])
    if hasattr(config, "workerinput"):
        items.sort(key=rank)


def rank(item: pytest.Item) -> int:
    """The place of a test's file among the slow ones; others come after them."""
    name = item.nodeid.partition("::")[0].removeprefix("tests/")
    return SLOWEST.index(name) if name in SLOWEST else len(SLOWEST)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    """Give a process a server, which goes when all tests have ended."""
    servers = ExitStack()
    node.config.add_cleanup(servers.close)
    own = servers.enter_context(serving(own=True))
    node.workerinput["server"] = (own.dsn, own.home)


class Crashes:
    """A process that dies between tests fails the run too; within a test, that test has failed."""

    def pytest_sessionstart(self, session: pytest.Session) -> None:
        self.session = session

    @pytest.hookimpl(optionalhook=True)
    def pytest_testnodedown(self, error: object | None) -> None:
        self.session.testsfailed += bool(error)


def pytest_configure(config: pytest.Config) -> None:
    """Watch over the processes."""
    config.pluginmanager.register(Crashes())
