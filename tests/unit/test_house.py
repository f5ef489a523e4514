"""The rules of the house, on the sources: who imports whom, how routines look, what may not appear."""

from __future__ import annotations

import ast
import re
import shutil
import statistics
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from fix_workers import SLOWEST
from mlshare_tools.build import CHECKOUT

PYTHON = CHECKOUT / "plpython"
LIBRARY = PYTHON / "mlshare"
# The modules that know of a database; every other one gets arrays and gives arrays.
DATABASE_SIDE = {"db", "catalog", "store", "privileges", "cache", "loading", "frame", "environment"}
DATABASE_SIDE |= {"scoring", "batches", "inline", "partitions", "training", "progress", "links", "routines"}
DATABASE_SIDE |= {"applying", "callers", "dictionary", "modelrow", "whole"}
PYTHON_FILES = sorted(PYTHON.rglob("*.py"))
SQL_FILES = [*sorted(CHECKOUT.glob("sql/*.sql")), *sorted(PYTHON.rglob("*.sql"))]
# A flat list, one entry per error.
REGISTRIES = ("plpython/mlshare/errors.py",)
LIBRARY_FILES = sorted(LIBRARY.rglob("*.py"))
FORBIDDEN = re.compile(r"\b(pickle|cloudpickle|joblib|dill|eval|exec)\b", re.IGNORECASE)


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


def imported(path: Path) -> Iterator[str]:
    """Every module a file imports, at its top or inside a function."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module:
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


def functions(path: Path) -> Iterator[ast.FunctionDef]:
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            yield node


def length(function: ast.FunctionDef) -> int:
    """Lines of a function without its decorators and its docstring."""
    first = function.body[0]
    documented = isinstance(first, ast.Expr) and isinstance(first.value, ast.Constant)
    docstring = (first.end_lineno or 0) - first.lineno + 1 if documented else 0
    return (function.end_lineno or 0) - function.lineno + 1 - docstring


def parts(path: Path) -> str:
    """The top part of the library that a file belongs to: db, fit, routines …"""
    return path.relative_to(LIBRARY).parts[0].removesuffix(".py")


# --- who imports whom --------------------------------------------------------------------------------


@pytest.mark.parametrize("path", [p for p in LIBRARY_FILES if parts(p) not in DATABASE_SIDE], ids=name_of)
def test_only_the_database_side_knows_of_a_database(path: Path) -> None:
    reached = {name.split(".")[1] for name in imported(path) if name.startswith("mlshare.")}
    assert not reached & DATABASE_SIDE


@pytest.mark.parametrize("path", [p for p in LIBRARY_FILES if parts(p) not in ("db", "errors")], ids=name_of)
def test_only_db_and_errors_touch_plpy(path: Path) -> None:
    assert not [name for name in imported(path) if name.split(".")[0] == "plpy"]


def test_contracts_notice_a_broken_layer(tmp_path: Path) -> None:
    """Each contract of pyproject.toml fails when it is broken on purpose."""
    breaks = {"codec": "import plpy", "db": "from mlshare import catalog", "scorer": "import sklearn"}
    breaks["errors"] = "import mlshare_tools.build"
    for module, line in breaks.items():
        tree = tmp_path / module
        shutil.copytree(PYTHON, tree / "plpython", ignore=shutil.ignore_patterns(".*", "__pycache__"))
        shutil.copy(CHECKOUT / "pyproject.toml", tree)
        broken = tree / "plpython" / "mlshare" / f"{module}.py"
        broken.write_text(f"{broken.read_text()}\n{line}\n")
        done = lint_imports(tree)
        assert done.returncode == 1 and "BROKEN" in done.stdout, f"{line} in {module}.py was not noticed"


def lint_imports(tree: Path) -> subprocess.CompletedProcess[str]:
    command = [str(Path(sys.executable).with_name("lint-imports")), "--no-cache"]
    environment = {"PYTHONPATH": str(tree / "plpython"), "PATH": "/usr/bin:/bin", "LANG": "C.UTF-8"}
    return subprocess.run(command, cwd=tree, env=environment, capture_output=True, text=True)


LIGHT = """
import sys, time, types
sys.path.append(sys.argv[1])
class AnyError:
    def __getattr__(self, name):
        return type(name, (Exception,), {})
sys.modules["plpy"] = types.ModuleType("plpy")
sys.modules["plpy"].Error = Exception
sys.modules["plpy"].spiexceptions = AnyError()
start = time.process_time()
import mlshare.routines
print(time.process_time() - start, *sys.modules)
"""
HEAVY = {
    "numpy",
    "scipy",
    "sklearn",
    "pandas",
    "onnx",
    "onnxruntime",
    "lightgbm",
    "xgboost",
    "optuna",
    "skl2onnx",
    "pyarrow",
}


@pytest.mark.alone
def test_importing_the_routines_is_light() -> None:
    """The installed package loads no library and takes less than 50 ms of a processor, at its best of twenty."""
    seconds = [1.0]
    while min(seconds) >= 0.05 and len(seconds) < 20:
        command = [sys.executable, "-I", "-c", LIGHT, str(PYTHON)]
        first, *modules = subprocess.run(command, capture_output=True, text=True, check=True).stdout.split()
        seconds.append(float(first))
        assert not HEAVY & set(modules)
    assert min(seconds) < 0.05


# --- what may not appear -----------------------------------------------------------------------------


@pytest.mark.parametrize("path", sorted(p for p in PYTHON.rglob("*") if p.suffix in (".py", ".sql")), ids=name_of)
def test_no_way_to_run_code_from_data(path: Path) -> None:
    assert not FORBIDDEN.findall(path.read_text())


def test_no_text_names_this_machine() -> None:
    listed = subprocess.run(["git", "ls-files"], cwd=CHECKOUT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    for name in listed.stdout.splitlines():
        path = CHECKOUT / name
        if path.is_file():
            assert str(CHECKOUT).encode() not in path.read_bytes(), name


# --- size and shape ----------------------------------------------------------------------------------


def test_functions_are_short() -> None:
    lengths = {f"{name_of(p)}:{f.name}": length(f) for p in PYTHON_FILES for f in functions(p)}
    assert statistics.median(lengths.values()) < 10
    assert not {name: n for name, n in lengths.items() if n > 40}


@pytest.mark.parametrize("path", PYTHON_FILES, ids=name_of)
def test_files_are_short_and_say_what_they_are(path: Path) -> None:
    text = path.read_text()
    assert len(text.splitlines()) < 300 or name_of(path) in REGISTRIES
    assert ast.get_docstring(ast.parse(text))


def windows(path: Path, size: int) -> Iterator[tuple[str, ...]]:
    """Every run of that many lines, blank ones, comments and indentation left out."""
    lines = [line.strip() for line in path.read_text().splitlines()]
    lines = [line for line in lines if line and not line.startswith(("#", "--"))]
    for start in range(len(lines) - size + 1):
        yield tuple(lines[start : start + size])


def test_no_run_of_more_than_ten_lines_appears_twice() -> None:
    seen: dict[tuple[str, ...], str] = {}
    for path in [*PYTHON_FILES, *SQL_FILES]:
        for window in windows(path, 11):
            assert window not in seen, f"{name_of(path)} repeats {seen[window]}:\n" + "\n".join(window)
            seen[window] = name_of(path)


def test_files_that_start_first_exist() -> None:
    assert all((CHECKOUT / "tests" / name).exists() for name in SLOWEST)
