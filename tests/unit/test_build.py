"""The build of the installation script: numbering, frozen migrations, placeholders, the files it makes."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from mlshare_tools import build

FIRST = "CREATE TABLE sys.one (a int);\n"
SMALL = {"migrations/0001_first.sql": FIRST, "sql/10_area.sql": "-- @@VERSION@@\n"}


@pytest.fixture
def tree(tmp_path: Path) -> Callable[..., Path]:
    """Makes a tree of SQL sources out of path=text."""

    def make(files: dict[str, str]) -> Path:
        for name, text in {
            "migrations/0001_first.sql": FIRST,
            "sql/10_area.sql": "-- @@VERSION@@\n",
            **files,
        }.items():
            path = tmp_path / name
            path.parent.mkdir(exist_ok=True)
            path.write_text(text)
        return tmp_path

    return make


def test_files_of_a_first_release(tree: Callable[..., Path]) -> None:
    files = build.extension_files(tree({}), "1.2.3")
    assert sorted(files) == ["mlshare--1.2.3.sql", "mlshare.control"]
    assert "default_version = '1.2.3'" in files["mlshare.control"]
    assert files["mlshare--1.2.3.sql"].startswith('\\echo Use "CREATE EXTENSION mlshare CASCADE"')


def test_every_released_version_gets_an_update_script(tree: Callable[..., Path]) -> None:
    sha256 = build.Source("", FIRST).sha256
    frozen = f"# released\n1.0.0 0001_first {sha256}\n1.1.0  # no migration\n"
    files = build.extension_files(tree({"migrations/frozen.txt": frozen}), "1.2.0")
    updates = ["mlshare--1.0.0--1.2.0.sql", "mlshare--1.1.0--1.2.0.sql"]
    assert sorted(files) == [updates[0], updates[1], "mlshare--1.2.0.sql", "mlshare.control"]
    body = files["mlshare--1.2.0.sql"].partition("\n")[2]
    assert all(files[name].partition("\n")[2] == body for name in updates)


def test_the_plain_script_is_the_same_text_in_one_transaction(tree: Callable[..., Path]) -> None:
    root = tree({})
    plain = build.plain_script(root, "1.2.3")
    assert build.script(root, "1.2.3") in plain
    assert "\nBEGIN;\n" in plain and plain.endswith("COMMIT;\n")
    assert "\\echo" not in plain


def test_placeholders_are_filled(tree: Callable[..., Path]) -> None:
    assert "-- 1.2.3\n" in build.script(tree({}), "1.2.3")
    assert "@@" not in build.script(build.source_root(), build.read_version())


def test_a_migration_does_not_change_with_the_version(tree: Callable[..., Path]) -> None:
    root = tree({"migrations/0001_first.sql": "SELECT '@@VERSION@@';\n"})
    sha256 = build.Source("", "SELECT '@@VERSION@@';\n").sha256
    for version in ("1.0.0", "2.0.0"):
        script = build.script(root, version)
        assert sha256 in script and f"SELECT '{version}'" in script


@pytest.mark.parametrize(
    ("files", "message"),
    [
        ({"migrations/2_second.sql": ""}, "must match"),
        ({"migrations/0002-second.sql": ""}, "must match"),
        ({"migrations/0002_Second.sql": ""}, "must match"),
        ({"migrations/0001_other.sql": ""}, "same number"),
        ({"migrations/0003_third.sql": ""}, "number 0002 is missing"),
        ({"migrations/0002_second.sql": "$migration$"}, "is taken"),
        ({"migrations/0002_second.sql": "@@NOBODY@@"}, "unknown placeholder @@NOBODY@@"),
        ({"sql/100_area.sql": ""}, "must match"),
        ({"sql/10_other.sql": ""}, "same number"),
        ({"sql/20_other.sql": "@@NOBODY@@"}, "unknown placeholder"),
        ({"migrations/frozen.txt": "1.0.0 0001_first 00"}, "was released"),
        ({"migrations/frozen.txt": "1.0.0 0002_gone 00"}, "was released"),
        ({"migrations/frozen.txt": "1.0.0 0001_first"}, "cannot read"),
    ],
)
def test_broken_rules(tree: Callable[..., Path], files: dict[str, str], message: str) -> None:
    with pytest.raises(build.BuildError, match=message):
        build.extension_files(tree(files), "1.2.3")


def test_write_replaces_an_earlier_build(tmp_path: Path) -> None:
    (tmp_path / "mlshare--0.0.0.sql").touch()
    names = [path.name for path in build.write(tmp_path)]
    assert names == sorted(path.name for path in tmp_path.iterdir())
    assert {"mlshare.control", f"mlshare--{build.read_version()}.sql"} <= set(names)


def test_released_migrations_are_frozen() -> None:
    root = build.source_root()
    migrations = build.read_sources(root / "migrations", build.MIGRATION)
    build.check_migrations(migrations, build.read_frozen(root / "migrations" / "frozen.txt"))
