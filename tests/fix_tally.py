"""The tally of attacks at the database; of several processes each counts its own, and one prints the sum."""

from __future__ import annotations

from collections import Counter
from dataclasses import asdict, dataclass, field
from typing import Any

import pytest


@dataclass
class Tally:
    """What was tried by category, and what must stay at zero."""

    tried: Counter[str] = field(default_factory=Counter)
    executed: int = 0
    crashes: int = 0
    leaks: int = 0

    def __str__(self) -> str:
        total = sum(self.tried.values())
        return f"attacks tried: {total}, executed {self.executed}, crashes {self.crashes}, leaks {self.leaks}"

    def add(self, tried: dict[str, int], **others: int) -> None:
        """Count what another process has counted."""
        self.tried.update(tried)
        for name, n in others.items():
            setattr(self, name, getattr(self, name) + n)


TALLY = Tally()


def pytest_sessionfinish(session: pytest.Session) -> None:
    """Send the tally to the process that prints it, where there is such a one."""
    if (output := getattr(session.config, "workeroutput", None)) is not None:
        output["tally"] = {**asdict(TALLY), "tried": dict(TALLY.tried)}


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """Receive one."""
    if found := getattr(node, "workeroutput", {}).get("tally"):
        TALLY.add(**found)


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """Print the tally."""
    if TALLY.tried:
        terminalreporter.section("security")
        for category, n in sorted(TALLY.tried.items()):
            terminalreporter.write_line(f"{n:6} {category}")
        terminalreporter.write_line(str(TALLY))
