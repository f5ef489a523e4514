"""The rules of the house for SQL: two-line bodies, equal signatures, pinned search_path, a comment each."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import pytest

from mlshare_tools import build

ROOT = build.CHECKOUT
AREAS = sorted((ROOT / "sql").glob("*.sql"))
# Without it nothing of ours is loaded yet, so it is the one body that does more than call.
STARTER = "_start"
# Procedures that wait for a worker, which sees what is committed only.
COMMITTING = {"publish_share_wait", "validate_share_storage"}
PINNED = ["pg_catalog", "pg_temp"]
# Statements that may run again and again.
RERUNNABLE = {
    "CreateFunctionStmt",
    "ViewStmt",
    "CommentStmt",
    "GrantStmt",
    "DoStmt",
    "SelectStmt",
    "AlterOwnerStmt",
}


@dataclass(frozen=True)
class Routine:
    """One CREATE FUNCTION or CREATE PROCEDURE."""

    name: str
    arguments: tuple[str, ...]
    options: dict[str, Any]
    settings: dict[str, Any]
    replace: bool

    @property
    def language(self) -> str:
        return str(self.options["language"].arg.sval)

    @property
    def body(self) -> str:
        return str(self.options["as"].arg[0].sval) if "as" in self.options else ""


def statements(path: Path) -> Iterator[Any]:
    """The parsed statements of a file."""
    pglast = pytest.importorskip("pglast")
    yield from (raw.stmt for raw in pglast.parse_sql(path.read_text().replace("@@VERSION@@", "0.0.0")))


def inputs(statement: Any) -> Iterator[str]:
    """Names of the arguments that a caller gives."""
    for parameter in statement.parameters or ():
        if parameter.mode.name not in ("FUNC_PARAM_OUT", "FUNC_PARAM_TABLE"):
            yield parameter.name


@cache
def routines() -> dict[str, Routine]:
    """All routines that sql/ makes, by name; those that only convert an argument also by its type."""
    found = {}
    for path in AREAS:
        for statement in statements(path):
            if type(statement).__name__ == "CreateFunctionStmt":
                name = statement.funcname[-1].sval
                options = {option.defname: option for option in statement.options or ()}
                settings = {o.arg.name: o.arg.args for o in statement.options or () if o.defname == "set"}
                routine = Routine(name, tuple(inputs(statement)), options, settings, bool(statement.replace))
                kinds = " ".join(p.argType.names[-1].sval for p in statement.parameters or ())
                found[name if routine.language == "plpython3u" or "set" in options else f"{name} {kinds}"] = routine
    return found


@cache
def python_functions() -> dict[str, tuple[str, ...]]:
    """Every function of the routines layer with the names of its parameters."""
    found = {}
    for path in (ROOT / "plpython" / "mlshare" / "routines").glob("*.py"):
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef):
                found[node.name] = tuple(argument.arg for argument in node.args.args)
    return found


def in_python() -> list[str]:
    return sorted(name for name, routine in routines().items() if routine.language == "plpython3u")


@pytest.fixture(params=sorted(routines()))
def routine(request: pytest.FixtureRequest) -> Routine:
    """Each routine in turn."""
    return routines()[request.param]


def test_search_path_is_pinned(routine: Routine) -> None:
    if routine.name in COMMITTING:
        # PostgreSQL lets no procedure with a SET clause commit; these only call routines that pin it, by full names.
        names = re.findall(r"(?:PERFORM|CALL|NOT|:=) ([\w.]+)\(", routine.body)
        assert "COMMIT;" in routine.body and names and all("." in name for name in names)
        return
    if "set" not in routine.options:
        # Without a path of its own, so that the planner can put it into a query: then nothing may be looked up.
        assert routine.language == "sql" and not lookups(routine.body)
        return
    assert [argument.val.sval for argument in routine.settings["search_path"]] == PINNED


def lookups(body: str) -> list[str]:
    """What in an SQL text would be looked up in the search_path: names without schema, operators."""
    pglast = pytest.importorskip("pglast")
    from pglast.visitors import Visitor

    found = []

    class Names(Visitor):  # type: ignore[misc]
        def visit_FuncCall(self, _: Any, node: Any) -> None:
            found.extend(n.sval for n in node.funcname[:1] if len(node.funcname) == 1)

        def visit_TypeName(self, _: Any, node: Any) -> None:
            found.extend(n.sval for n in node.names[:1] if len(node.names) == 1)

        def visit_RangeVar(self, _: Any, node: Any) -> None:
            found.extend([node.relname] if node.schemaname is None else [])

        def visit_A_Expr(self, _: Any, node: Any) -> None:
            found.append(node.name[-1].sval)

    Names()(pglast.parse_sql(body))
    return found


def test_lookups_are_noticed() -> None:
    assert lookups("SELECT sys.f($1, $2::pg_catalog.jsonb)") == []
    assert sorted(lookups("SELECT f(1), 1 = 2, x::text FROM t")) == ["=", "f", "t", "text"]


def test_definer_only_for_small_helpers(routine: Routine) -> None:
    security = routine.options.get("security")
    if security and security.arg.boolval:
        assert routine.language in ("sql", "plpgsql")
        assert len(routine.body.splitlines()) <= 30


def test_a_routine_can_be_installed_again(routine: Routine) -> None:
    assert routine.replace


@pytest.mark.parametrize("name", [name for name in in_python() if name != STARTER])
def test_bodies_are_two_lines(name: str) -> None:
    routine = routines()[name]
    start = f'GD.get("mlshare") or plpy.execute("SELECT sys.{STARTER}()")'
    call = f'return GD["mlshare"].{name}({", ".join(routine.arguments)})'
    assert routine.body.strip().splitlines() == [start, call]


@pytest.mark.parametrize("name", [name for name in in_python() if name != STARTER])
def test_signatures_agree(name: str) -> None:
    assert python_functions()[name] == routines()[name].arguments


def test_every_exported_function_has_a_routine() -> None:
    tree = ast.parse((ROOT / "plpython" / "mlshare" / "routines" / "__init__.py").read_text())
    exported = next(
        ast.literal_eval(node.value)
        for node in tree.body
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
    )
    # Called by routines that SQL makes while it runs, or by the starter.
    inside = {"_as_owner", "check_environment"}
    assert set(exported) - inside == set(in_python()) - {STARTER}


@pytest.mark.parametrize("path", AREAS, ids=lambda path: path.name)
def test_everything_has_a_comment_of_one_line(path: Path) -> None:
    made, commented = set(), {}
    for statement in statements(path):
        kind = type(statement).__name__
        if kind == "CreateFunctionStmt":
            made.add(statement.funcname[-1].sval)
        elif kind == "ViewStmt":
            made.add(statement.view.relname)
        elif kind == "CommentStmt":
            named = statement.object
            commented[(named.objname if hasattr(named, "objname") else named)[-1].sval] = statement.comment
    assert made == set(commented)
    assert all(text and "\n" not in text for text in commented.values())


@pytest.mark.parametrize("path", AREAS, ids=lambda path: path.name)
def test_sql_can_be_run_again(path: Path) -> None:
    for statement in statements(path):
        assert type(statement).__name__ in RERUNNABLE
        assert getattr(statement, "replace", True)
