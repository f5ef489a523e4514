"""The table of the benchmark: what holds, what is missed, how numbers look. Never the numbers themselves."""

from __future__ import annotations

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest


@pytest.fixture(scope="module")
def report() -> ModuleType:
    path = Path(__file__).parents[2] / "bench" / "speed" / "report.py"
    spec = importlib.util.spec_from_file_location("bench_report", path)
    assert spec and spec.loader
    module = sys.modules["bench_report"] = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_a_bound_that_is_just_met_holds(report: ModuleType) -> None:
    assert report.at_most("a", 1.5, "times", 1.5).ok
    assert report.at_least("a", 4.0, "times", 4.0).ok


def test_a_missed_bound_is_marked(report: ModuleType) -> None:
    slow = report.at_most("over the floor", 1.51, "times", 1.5)
    assert report.line(slow) == "| over the floor | 1.51 times | ≤ 1.5 | **MISSED** |"
    assert report.missed([slow, report.at_least("b", 5, "times", 4), report.Row("c", 1, "s")]) == [slow]


def test_a_row_without_bound_is_for_information(report: ModuleType) -> None:
    row = report.Row("peer", 0.5, "times")
    assert report.line(row) == "| peer | 0.5 times |  |  |"
    assert report.summary([row, report.at_most("a", 1, "ms", 60)]) == "1 of 1 bounds hold."


@pytest.mark.parametrize(("value", "text"), [(12345.6, "12,346"), (0.12345, "0.123"), (99.94, "99.9"), (100.4, "100")])
def test_numbers_have_no_exponent(report: ModuleType, value: float, text: str) -> None:
    assert report.number(value) == text


def test_the_document_holds_table_and_summary(report: ModuleType) -> None:
    text = report.document("Speed", [report.at_most("a", 2, "times", 1)], "here", "how")
    assert text.startswith("# Speed\n\nhow\n\nhere\n\n| what |")
    assert text.endswith("0 of 1 bounds hold.\n")
