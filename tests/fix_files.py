"""Files that tests compare with or read: golden texts in tests/golden/, data sets from MLSHARE_DATA."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

GOLDEN = Path(__file__).parent / "golden"


@pytest.fixture
def golden() -> Callable[[str, str], None]:
    """Compares a text with the file of that name; MLSHARE_UPDATE_GOLDEN=1 writes the file instead."""

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if os.environ.get("MLSHARE_UPDATE_GOLDEN"):
            path.write_text(text)
        assert path.exists(), f"{path} is missing: run once with MLSHARE_UPDATE_GOLDEN=1 and review it"
        assert text == path.read_text()

    return compare


@pytest.fixture(scope="session")
def data_file() -> Callable[[str], Path]:
    """Path of a data set by name; the test is skipped, with the reason, where it is not there."""

    def find(name: str) -> Path:
        directory = os.environ.get("MLSHARE_DATA")
        if not directory:
            pytest.skip(f"NOT RUN: set MLSHARE_DATA to the directory that holds {name}")
        path = Path(directory) / name
        if not path.exists():
            pytest.skip(f"NOT RUN: MLSHARE_DATA={directory} holds no {name}")
        return path

    return find


@pytest.fixture(scope="session")
def bank_csv(data_file: Callable[[str], Path]) -> Path:
    """The bank marketing data: 45,211 rows with a header, separated by commas."""
    return data_file("bank-full.csv")
