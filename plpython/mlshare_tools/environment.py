"""The two Python environments: one a server runs in, and one for tools and tests that sees the first."""

from __future__ import annotations

import hashlib
import shutil
import subprocess
import tomllib
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from mlshare_tools.build import CHECKOUT
from mlshare_tools.shell import run, step

SOURCES = ("pyproject.toml", "LICENSE", "plpython", "sql", "migrations")


def project(checkout: Path = CHECKOUT) -> dict[str, Any]:
    """The parsed pyproject.toml."""
    return tomllib.loads((checkout / "pyproject.toml").read_text())


def requirements(*extras: str) -> list[str]:
    """Pinned requirements: those of the distribution, or of the extras named (their own ones only)."""
    table = project()["project"]
    if not extras:
        return list(table["dependencies"])
    named = [line for extra in extras for line in table["optional-dependencies"][extra]]
    return [line for line in named if not line.startswith("mlshare")]


def digest(*parts: str) -> str:
    """A short hash of texts."""
    return hashlib.sha256("\0".join(parts).encode()).hexdigest()[:16]


def source_digest(checkout: Path = CHECKOUT) -> str:
    """A hash over every file that ends up in the wheel."""
    total = hashlib.sha256()
    for path in source_files(checkout):
        total.update(f"{path.relative_to(checkout)}\0".encode())
        total.update(path.read_bytes())
    return total.hexdigest()[:16]


def source_files(checkout: Path) -> Iterable[Path]:
    """The files that a wheel is built from, in order."""
    for name in SOURCES:
        root = checkout / name
        found = [root] if root.is_file() else sorted(root.rglob("*"))
        yield from (path for path in found if path.is_file() and not is_cache(path.relative_to(checkout)))


def is_cache(path: Path) -> bool:
    """Whether a tool left this file behind."""
    return any(part.startswith(".") or part == "__pycache__" for part in path.parts)


class Stamps:
    """Remembers, one small file each, from what something was made."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory

    def fresh(self, name: str, value: str) -> bool:
        path = self.directory / name
        return path.exists() and path.read_text() == value

    def set(self, name: str, value: str) -> None:
        self.directory.mkdir(parents=True, exist_ok=True)
        (self.directory / name).write_text(value)


class Environments:
    """The environments of one checkout: ``venv`` for the server, ``tools`` for everything else."""

    def __init__(self, home: Path, python: Path) -> None:
        self.venv, self.tools = home / "venv", home / "tools"
        self.clients = home / "clients"
        self.wheels = home / "wheel"
        self.python = python
        self.stamps = Stamps(home / "stamps")

    def ensure(self) -> None:
        """Make both, install the pinned dependencies and this checkout; only what has changed."""
        self._once("tools", self._make_tools, str(self.python), *requirements("tools"), *build_requires())
        self._once("venv", self._make_venv, str(self.python), *requirements())
        self._once("cluster", self._install_cluster, str(self.python), *requirements(), *requirements("cluster"))
        self._once("wheel", self._install_wheel, source_digest(), str(self.python), *requirements())

    def ensure_extras(self, *extras: str) -> None:
        """Install extras (test, lint) into the tools environment."""
        wanted = requirements(*extras)
        with_base = (*wanted, str(self.python), *requirements())
        self._once("-".join(extras), lambda: self._install_extras(extras, wanted), *with_base)

    def ensure_clients(self) -> Path:
        """Make the environment of the clients that tests run against the sharing server; its Python."""
        self._once("clients", self._make_clients, str(self.python), *requirements("clients"))
        return self.clients / "bin" / "python"

    def _once(self, name: str, make: Any, *inputs: str) -> None:
        if not self.stamps.fresh(name, value := digest(*inputs)):
            make()
            self.stamps.set(name, value)

    def _make_tools(self) -> None:
        with step("making the tools environment"):
            shutil.rmtree(self.tools, ignore_errors=True)
            run([self.python, "-m", "venv", self.tools])
            # Tests import what the server runs, from where the server runs it.
            link = site_packages(self.tools, self.python) / "server.pth"
            link.write_text(f"{site_packages(self.venv, self.python)}\n")
            pip_install(self.tools, self.tools, *requirements("tools"), *build_requires())
            compile_all(self.tools, self.python)

    def _make_venv(self) -> None:
        with step("making the server's Python environment"):
            shutil.rmtree(self.venv, ignore_errors=True)
            run([self.python, "-m", "venv", "--without-pip", self.venv])
            pip_install(self.tools, self.venv, *requirements())
            compile_all(self.venv, self.python)

    def _install_cluster(self) -> None:
        with step("installing what a Dask cluster needs"):
            pip_install(self.tools, self.venv, *requirements("cluster"))
            compile_all(self.venv, self.python)

    def _make_clients(self) -> None:
        with step("making the environment of data share clients"):
            shutil.rmtree(self.clients, ignore_errors=True)
            run([self.python, "-m", "venv", self.clients])
            pip_install(self.clients, self.clients, *requirements("clients"))

    def _install_extras(self, extras: tuple[str, ...], wanted: list[str]) -> None:
        with step(f"installing {' and '.join(extras)} tools"):
            pip_install(self.tools, self.tools, *wanted)
            compile_all(self.tools, self.python)

    def _install_wheel(self) -> None:
        with step("installing mlshare into the server's environment"):
            shutil.rmtree(self.wheels, ignore_errors=True)
            build = ("wheel", "--no-deps", "--no-build-isolation", "--no-index", "-w", str(self.wheels))
            run([*pip(self.tools), *build, CHECKOUT])
            wheel = next(self.wheels.glob("mlshare-*.whl"))
            only = ("--no-deps", "--no-index", "--force-reinstall", str(wheel))
            pip_install(self.tools, self.venv, *only)
            compile_all(self.venv, self.python, "mlshare", "mlshare_tools")


def build_requires() -> list[str]:
    """What pyproject.toml asks for to build the wheel."""
    return list(project()["build-system"]["requires"])


def site_packages(venv: Path, python: Path) -> Path:
    """Where an environment made with that interpreter (/usr/bin/python3.11) keeps its packages."""
    return venv / "lib" / python.name / "site-packages"


def pip(runner: Path) -> list[str | Path]:
    """The pip of an environment, quiet and without looking for a newer self."""
    return [runner / "bin" / "python", "-m", "pip", "-q", "--disable-pip-version-check", "--no-input"]


def pip_install(runner: Path, target: Path, *words: str) -> None:
    """Install into target with runner's pip, leaving the compiling to compile_all."""
    into = ["--python", str(target / "bin" / "python")] if runner != target else []
    run([*pip(runner), *into, "install", "--no-compile", "--no-warn-script-location", *words])


def compile_all(venv: Path, python: Path, *packages: str) -> None:
    """Byte-compile on all cores: the server's user may not write there later."""
    root = site_packages(venv, python)
    roots = [root / package for package in packages] or [root]
    command: list[str | Path] = [venv / "bin" / "python", "-m", "compileall", "-q", "-j", "0", *roots]
    # Some libraries carry files meant for other versions of Python; those may fail.
    subprocess.run(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, cwd="/", check=False)
