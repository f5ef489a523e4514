"""The documentation follows the sources: generated parts are up to date, links lead somewhere."""

from __future__ import annotations

import importlib.util
import re
import tomllib
from pathlib import Path
from types import ModuleType

import pytest

from mlshare_tools.build import CHECKOUT

PAGES = [CHECKOUT / "README.md", *sorted((CHECKOUT / "docs").rglob("*.md"))]
LINK = re.compile(r"\]\((?!https?://)([^)#]*)(?:#([^)]*))?\)")


def name_of(path: Path) -> str:
    return str(path.relative_to(CHECKOUT))


@pytest.fixture(scope="module")
def generate() -> ModuleType:
    """docs/generate.py."""
    spec = importlib.util.spec_from_file_location("generate", CHECKOUT / "docs" / "generate.py")
    assert spec and spec.loader
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_generated_parts_are_up_to_date(generate: ModuleType) -> None:
    stale = [name_of(path) for path, text in generate.pages().items() if path.read_text() != text]
    assert not stale, 'run "make docs"'


def test_every_public_routine_is_in_the_reference(generate: ModuleType) -> None:
    source = (CHECKOUT / "plpython" / "mlshare" / "routines" / "__init__.py").read_text()
    documented = {each.name for each in generate.objects()}
    assert documented >= set(re.findall(r'^    "(ml_\w+)",$', source, re.M)) > {"ml_train"}


def test_every_set_of_options_is_in_the_reference(generate: ModuleType) -> None:
    listed = [id(known) for known in generate.OPTIONS.values()]
    sets = {name: value for name, value in vars(generate.options).items() if name.isupper() and isinstance(value, dict)}
    missing = [name for name, value in sets.items() if not name.startswith("_") and id(value) not in listed]
    assert not missing, "name the routine in OPTIONS of docs/generate.py"


def test_every_error_is_listed_with_its_state(generate: ModuleType) -> None:
    page = (CHECKOUT / "docs" / "errors.md").read_text()
    for name, each in generate.error_classes().items():
        assert f"| `{each.sqlstate}` | `{name}` |" in page


def test_every_dependency_is_explained() -> None:
    project = tomllib.loads((CHECKOUT / "pyproject.toml").read_text())
    listed = [*project["project"]["dependencies"], *project["build-system"]["requires"]]
    listed += [each for extra in project["project"]["optional-dependencies"].values() for each in extra]
    explained = (CHECKOUT / "docs" / "dependencies.md").read_text()
    names = {re.split(r"[=<>\[]", each)[0] for each in listed} - {"mlshare"}
    assert not [name for name in names if f"`{name}`" not in explained]


def anchors(path: Path) -> set[str]:
    """The anchors of a page's headings, as GitHub makes them."""
    heads = re.findall(r"^#+ (.+)$", path.read_text(), re.M)
    return {re.sub(r"[^\w -]", "", head).lower().replace(" ", "-") for head in heads}


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_links_lead_somewhere(page: Path) -> None:
    for target, anchor in LINK.findall(page.read_text()):
        path = (page.parent / target).resolve() if target else page
        assert path.exists(), f"{name_of(page)} links to {target}"
        assert not anchor or anchor in anchors(path), f"{name_of(page)} links to {target}#{anchor}"
