"""Lint and all tests: on the private cluster, then against the Docker images where a daemon answers."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
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
# machines already ran everything; there the image itself is tested. How well models do on large data is a matter of the
# learning libraries, which are the same. MLSHARE_DOCKER_BASES names other bases, for all suites.
BASES = {
    "debian:bookworm-slim": ("tests/docker", "tests/upgrade"),
    "debian:trixie-slim": ("-m", "not data", *INTEGRATION),
}
_PYTHON = ("plpython", "tests", "bench", "docs")  # directories that are linted
COUNTS = ("passed", "failed", "skipped")
NOTHING_CHOSEN = 5  # how pytest ends where its arguments leave no test


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
        """Run pytest in several processes, then by itself what must run alone, and add its numbers to ours."""
        together = self.pytest_once("together", "-n", str(processes()), *arguments, "--alone=not", env=env)
        runs = [together, self.pytest_once("alone", *arguments, "--alone=only", "-n", "0", env=env)]
        ran = {name: sum(counts[name] for _, counts in runs) for name in COUNTS}
        for name in COUNTS:
            self.counts[name] += ran[name]
        ends = {status for status, _ in runs} - ({NOTHING_CHOSEN} if any(ran.values()) else set())
        if ends - {0, 1} or any(status == 1 and not counts["failed"] for status, counts in runs):
            raise ToolError(f"pytest ended with {max(ends)}")
        return ", ".join(f"{ran[name]} {name}" for name in COUNTS)

    def pytest_once(self, name: str, *arguments: str, env: dict[str, str] | None) -> tuple[int, dict[str, int]]:
        """One run of pytest: how it ended, and its numbers."""
        result = self.cluster.home / f"junit-{name}.xml"
        result.unlink(missing_ok=True)
        python = self.cluster.environments.tools / "bin" / "python"
        status = self.call(python, "-m", "pytest", f"--junitxml={result}", *arguments, env=env)
        return status, read_counts(result)

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


def processes() -> int:
    """How many processes share the tests, each with a server of its own: as many as cores, unless the environment says.

    A server that MLSHARE_TEST_DSN names is one, and so is then the process.
    """
    if "MLSHARE_TEST_DSN" in os.environ:
        return 0
    return int(os.environ.get("MLSHARE_TEST_PROCESSES") or min(len(os.sched_getaffinity(0)), 4))


def lint(report: Report) -> None:
    """ruff, mypy and the import contracts."""
    report.part("ruff", lambda: report.tool("ruff", "check", *_PYTHON))
    report.part("ruff format", lambda: report.tool("ruff", "format", "--check", "--diff", *_PYTHON))
    report.part("mypy", lambda: report.tool("mypy"))
    report.part("import-linter", lambda: report.tool("lint-imports"))


def docker_bases(report: Report) -> dict[str, tuple[str, ...]]:
    """What to run on which base; loud where there is no daemon, a failure in CI."""
    if os.environ.get("MLSHARE_DOCKER", "1") == "0":
        report.not_run.append("the Docker images, because MLSHARE_DOCKER=0")
        return {}
    if not docker_answers():
        report.not_run.append("the Docker images, because no Docker daemon answers")
        if os.environ.get("CI"):
            report.counts["failed"] += 1
        return {}
    return dict.fromkeys(os.environ.get("MLSHARE_DOCKER_BASES", "").split(), INTEGRATION) or BASES


def docker_suite(report: Report, base: str, suites: Sequence[str], arguments: Sequence[str]) -> None:
    """The integration suite against the image from a base."""
    env = {"MLSHARE_TEST_HOME": "docker", "MLSHARE_TEST_IMAGE": tag_of(base)}
    report.part(f"tests on {base}", partial(report.pytest, *suites, *arguments, env=env))


def docker_answers() -> bool:
    """Whether a Docker daemon is there."""
    docker = shutil.which("docker")
    return bool(docker) and subprocess.run([str(docker), "version"], capture_output=True).returncode == 0


def tag_of(base: str) -> str:
    """The image from a base."""
    return "mlshare:" + re.sub(r"[^a-z0-9]+", "-", base)


def build_image(report: Report, base: str) -> str:
    """Build the image of the checkout on a base."""
    tag = tag_of(base)
    build = ("build", "-q", "--force-rm", "--build-arg", f"BASE={base}", "-f", "docker/Dockerfile", "-t", tag)
    # The classic builder is the one that every daemon has.
    if report.call("docker", *build, ".", env={"DOCKER_BUILDKIT": "0"}):
        raise ToolError(f"the image {tag} could not be built")
    return tag


def run(cluster: Cluster, arguments: Sequence[str]) -> int:
    """Everything, with further arguments for pytest; the exit status."""
    cluster.environments.ensure_extras("test", "lint", "server")
    report = Report(cluster)
    bases = docker_bases(report)
    # All of this is mostly waiting for packages: at once, and beside the linters.
    with ThreadPoolExecutor(len(bases) + 1) as pool:
        clients = pool.submit(cluster.environments.ensure_clients)
        images = {base: pool.submit(build_image, report, base) for base in bases}
        lint(report)
        report.part("environment of data share clients", lambda: f"{clients.result()}")
        for base, image in images.items():
            report.part(f"image from {base}", image.result)
    where = f"the private cluster (PostgreSQL {cluster.server.major})"
    report.part(f"tests on {where}", partial(report.pytest, "--ignore=tests/docker", "tests", *arguments))
    for base, suites in bases.items():
        docker_suite(report, base, suites, arguments)
    return report.finish()


def run_lint(cluster: Cluster) -> int:
    """Only the linters; the exit status."""
    cluster.environments.ensure_extras("test", "lint", "server")
    report = Report(cluster)
    lint(report)
    return report.finish()
