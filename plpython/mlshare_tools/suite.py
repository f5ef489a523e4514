"""Lint and all tests: on the private cluster, then against the Docker images where a daemon answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from xml.etree import ElementTree

from mlshare_tools.build import CHECKOUT
from mlshare_tools.cluster import Cluster
from mlshare_tools.shell import ToolError, clean_environment

# What runs against a container too; the others need no server, or the private one.
INTEGRATION = ("tests/docker", "tests/backend", "tests/security", "tests/upgrade")
# On trixie everything: it has another PostgreSQL and another Python than bookworm, where the private cluster of most
# machines already ran everything; there the image itself is tested. MLSHARE_DOCKER_BASES names others, for all suites.
BASES = {"debian:bookworm-slim": ("tests/docker", "tests/upgrade"), "debian:trixie-slim": INTEGRATION}
COUNTS = ("passed", "failed", "skipped")


@dataclass
class Report:
    """What ran, how it ended and how long it took."""

    cluster: Cluster
    counts: dict[str, int] = field(default_factory=lambda: dict.fromkeys(COUNTS, 0))
    lines: list[str] = field(default_factory=list)
    not_run: list[str] = field(default_factory=list)

    def part(self, name: str, work: Callable[[], str]) -> None:
        """Run one part; its failure does not keep the next ones from running."""
        print(f"\n=== {name}", flush=True)
        start = time.monotonic()
        try:
            outcome = work()
        except ToolError as error:
            print(f"{error}", flush=True)
            self.counts["failed"] += 1
            outcome = "FAILED"
        self.lines.append(f"{time.monotonic() - start:7.1f} s  {name}: {outcome}")

    def call(self, *command: str | Path, env: dict[str, str] | None = None) -> int:
        """Run a tool in the checkout with its output on ours."""
        words = [str(word) for word in command]
        return subprocess.run(words, cwd=CHECKOUT, env={**clean_environment(), **(env or {})}).returncode

    def tool(self, name: str, *arguments: str) -> str:
        """Run a program of the tools environment that must succeed."""
        if self.call(self.cluster.environments.tools / "bin" / name, *arguments):
            raise ToolError(f"{name} {' '.join(arguments)} failed")
        self.counts["passed"] += 1
        return "ok"

    def pytest(self, *arguments: str, env: dict[str, str] | None = None) -> str:
        """Run pytest and add its numbers to ours."""
        result = self.cluster.home / "junit.xml"
        result.unlink(missing_ok=True)
        python = self.cluster.environments.tools / "bin" / "python"
        status = self.call(python, "-m", "pytest", f"--junitxml={result}", *arguments, env=env)
        counts = read_counts(result)
        for name in COUNTS:
            self.counts[name] += counts[name]
        if status not in (0, 1) or (status == 1 and not counts["failed"]):
            raise ToolError(f"pytest ended with {status}")
        return ", ".join(f"{counts[name]} {name}" for name in COUNTS)

    def finish(self) -> int:
        """Print the table of parts and, last, the summary; the exit status."""
        print("\n=== durations\n" + "\n".join(self.lines))
        for line in self.not_run:
            print(f"!!! NOT RUN: {line}")
        print(", ".join(f"{self.counts[name]} {name}" for name in COUNTS), flush=True)
        return 1 if self.counts["failed"] else 0


def read_counts(junit: Path) -> dict[str, int]:
    """The numbers in pytest's report, zeros where there is none."""
    counts = dict.fromkeys(COUNTS, 0)
    if junit.exists():
        for suite in ElementTree.parse(junit).getroot().iter("testsuite"):
            total, skipped = int(suite.get("tests", 0)), int(suite.get("skipped", 0))
            failed = int(suite.get("failures", 0)) + int(suite.get("errors", 0))
            counts = {"passed": total - failed - skipped, "failed": failed, "skipped": skipped}
    return counts


def lint(report: Report) -> None:
    """ruff, mypy and the import contracts."""
    report.part("ruff", lambda: report.tool("ruff", "check", "plpython", "tests"))
    report.part("ruff format", lambda: report.tool("ruff", "format", "--check", "--diff", "plpython", "tests"))
    report.part("mypy", lambda: report.tool("mypy"))
    report.part("import-linter", lambda: report.tool("lint-imports"))


def docker_suites(report: Report, arguments: Sequence[str]) -> None:
    """The integration suite against each image; loud where there is no daemon, a failure in CI."""
    if os.environ.get("MLSHARE_DOCKER", "1") == "0":
        report.not_run.append("the Docker images, because MLSHARE_DOCKER=0")
        return
    if not docker_answers():
        report.not_run.append("the Docker images, because no Docker daemon answers")
        if os.environ.get("CI"):
            report.counts["failed"] += 1
        return
    chosen = dict.fromkeys(os.environ.get("MLSHARE_DOCKER_BASES", "").split(), INTEGRATION) or BASES
    for base, suites in chosen.items():
        tag = "mlshare:" + re.sub(r"[^a-z0-9]+", "-", base)
        report.part(f"image from {base}", partial(build_image, report, base, tag))
        env = {"MLSHARE_TEST_HOME": "docker", "MLSHARE_TEST_IMAGE": tag}
        report.part(f"tests on {base}", partial(report.pytest, *arguments, *suites, env=env))


def docker_answers() -> bool:
    """Whether a Docker daemon is there."""
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "version"], capture_output=True).returncode == 0


def build_image(report: Report, base: str, tag: str) -> str:
    """Build the image of the checkout on a base."""
    build = ("build", "-q", "--force-rm", "--build-arg", f"BASE={base}", "-f", "docker/Dockerfile", "-t", tag)
    # The classic builder is the one that every daemon has.
    if report.call("docker", *build, ".", env={"DOCKER_BUILDKIT": "0"}):
        raise ToolError(f"the image {tag} could not be built")
    return tag


def run(cluster: Cluster, arguments: Sequence[str]) -> int:
    """Everything, with further arguments for pytest; the exit status."""
    cluster.environments.ensure_extras("test", "lint", "server")
    report = Report(cluster)
    lint(report)
    where = f"the private cluster (PostgreSQL {cluster.server.major})"
    report.part(f"tests on {where}", partial(report.pytest, *arguments, "--ignore=tests/docker", "tests"))
    docker_suites(report, arguments)
    return report.finish()


def run_lint(cluster: Cluster) -> int:
    """Only the linters; the exit status."""
    cluster.environments.ensure_extras("test", "lint", "server")
    report = Report(cluster)
    lint(report)
    return report.finish()
