"""Build the one installation script out of migrations/ (each runs once) and sql/ (re-run whole)."""

from __future__ import annotations

import hashlib
import re
from dataclasses import dataclass
from pathlib import Path

PACKAGE = Path(__file__).parent
CHECKOUT = PACKAGE.parents[1]
PARTS = PACKAGE / "parts"

MIGRATION = re.compile(r"(\d{4})_[a-z0-9]+(_[a-z0-9]+)*\.sql")
AREA = re.compile(r"(\d{2})_[a-z0-9]+(_[a-z0-9]+)*\.sql")

CONTROL = """\
comment = 'machine-learning models kept, run and shared inside PostgreSQL'
default_version = '{version}'
requires = 'plpython3u'
relocatable = false
schema = pg_catalog
superuser = true
trusted = false
"""

GUARD = '\\echo Use "{command}" to load this file. \\quit\n'


class BuildError(Exception):
    """The SQL sources break a rule of the build."""


@dataclass(frozen=True)
class Source:
    """One SQL file: its stem, its text and the hash of that text."""

    name: str
    text: str

    @property
    def sha256(self) -> str:
        return hashlib.sha256(self.text.encode()).hexdigest()


@dataclass(frozen=True)
class Frozen:
    """What releases contained: the hash of each of their migrations, and their versions in order."""

    hashes: dict[str, str]
    versions: tuple[str, ...]


def source_root() -> Path:
    """The directory that holds migrations/ and sql/: the checkout, or the copy inside the wheel."""
    return CHECKOUT if (CHECKOUT / "migrations").is_dir() else PACKAGE / "source"


def read_version() -> str:
    """The version of the distribution, read without importing it."""
    path = PACKAGE.parent / "mlshare" / "__init__.py"
    found = re.search(r'^__version__ = "([^"]+)"', path.read_text(), re.M)
    if not found:
        raise BuildError(f"no __version__ in {path}")
    return found[1]


def read_sources(directory: Path, pattern: re.Pattern[str]) -> list[Source]:
    """The SQL files of a directory in order; a bad name or a number used twice is an error."""
    paths = sorted(directory.glob("*.sql"))
    numbers: dict[str, Path] = {}
    for path in paths:
        matched = pattern.fullmatch(path.name)
        if not matched:
            raise BuildError(f"{path.name}: the name must match {pattern.pattern}")
        if (other := numbers.setdefault(matched[1], path)) is not path:
            raise BuildError(f"{path.name} and {other.name} have the same number")
    return [Source(path.stem, path.read_text()) for path in paths]


def read_frozen(path: Path) -> Frozen:
    """Parse frozen.txt: lines "version migration sha256", or just "version" if there was none."""
    hashes: dict[str, str] = {}
    versions: dict[str, None] = {}
    for line in path.read_text().splitlines() if path.exists() else ():
        words = line.partition("#")[0].split()
        if len(words) not in (0, 1, 3):
            raise BuildError(f"{path.name}: cannot read {line!r}")
        if words:
            versions.setdefault(words[0])
        if len(words) == 3:
            hashes[words[1]] = words[2]
    return Frozen(hashes, tuple(versions))


def check_migrations(migrations: list[Source], frozen: Frozen) -> None:
    """Numbers run from 0001 without a gap, and what was released is still there unchanged."""
    for expected, migration in enumerate(migrations, 1):
        if int(migration.name[:4]) != expected:
            raise BuildError(f"{migration.name}: number {expected:04} is missing")
    present = {migration.name: migration.sha256 for migration in migrations}
    for name, sha256 in frozen.hashes.items():
        if present.get(name) != sha256:
            raise BuildError(f"{name} was released: it can no longer be changed or removed")


def fill(text: str, **values: str) -> str:
    """Replace each @@NAME@@; a placeholder nobody knows is an error."""

    def value(found: re.Match[str]) -> str:
        if found[1] not in values:
            raise BuildError(f"unknown placeholder {found[0]}")
        return values[found[1]]

    return re.sub(r"@@([A-Z0-9_]+)@@", value, text)


def part(name: str) -> str:
    """One of the fixed parts around the sources."""
    return (PARTS / f"{name}.sql").read_text()


def wrap(migration: Source, version: str) -> str:
    """A migration as a block that runs once and records itself."""
    body = fill(migration.text, VERSION=version).strip("\n")
    if taken := re.search(r"\$(migration|wrapper)\$", body):
        raise BuildError(f"{migration.name}: {taken[0]} is taken")
    names = {"NAME": migration.name, "VERSION": version, "SHA256": migration.sha256}
    return fill(part("migration"), BODY=body, **names)


def script(root: Path, version: str) -> str:
    """The text that installs or upgrades mlshare; it serves every path from any older version."""
    migrations = read_sources(root / "migrations", MIGRATION)
    check_migrations(migrations, read_frozen(root / "migrations" / "frozen.txt"))
    sections = [fill(part("head"), VERSION=version)]
    sections += [f"-- migrations/{m.name}.sql\n{wrap(m, version)}" for m in migrations]
    for area in read_sources(root / "sql", AREA):
        sections.append(f"-- sql/{area.name}.sql\n{fill(area.text, VERSION=version)}")
    body = "\n".join(sections)
    sha256 = hashlib.sha256(body.encode()).hexdigest()
    return f"{body}\n{fill(part('foot'), VERSION=version, SHA256=sha256)}"


def plain_script(root: Path | None = None, version: str | None = None) -> str:
    """The script for a server where extension files cannot be installed: one transaction, any client."""
    root, version = root or source_root(), version or read_version()
    return f"{fill(part('plain_head'), VERSION=version)}{script(root, version)}COMMIT;\n"


def extension_files(root: Path | None = None, version: str | None = None) -> dict[str, str]:
    """File name → text of everything that belongs into a server's extension directory."""
    root, version = root or source_root(), version or read_version()
    text = script(root, version)
    create = GUARD.format(command="CREATE EXTENSION mlshare CASCADE")
    files = {"mlshare.control": CONTROL.format(version=version), f"mlshare--{version}.sql": create + text}
    for old in read_frozen(root / "migrations" / "frozen.txt").versions:
        if old != version:
            update = GUARD.format(command=f"ALTER EXTENSION mlshare UPDATE TO '{version}'")
            files[f"mlshare--{old}--{version}.sql"] = update + text
    return files


def write(directory: Path) -> list[Path]:
    """Write all built files into directory, removing those of an earlier build; returns their paths."""
    files = {**extension_files(), f"mlshare-{read_version()}.plain.sql": plain_script()}
    directory.mkdir(parents=True, exist_ok=True)
    for stale in [*directory.glob("mlshare*.sql"), *directory.glob("mlshare.control")]:
        stale.unlink()
    for name, text in files.items():
        (directory / name).write_text(text)
    return [directory / name for name in sorted(files)]
