"""The thread beside the backend's own, and how much of its work the caller takes over."""

from __future__ import annotations

import time
from collections.abc import Callable

import pytest

from mlshare.background import Balance, ahead


def test_results_come_in_order() -> None:
    assert list(ahead(((n, lambda n=n: n * n) for n in range(9)), Balance())) == [(n, n * n) for n in range(9)]


def test_an_error_is_raised_where_its_result_is_asked_for() -> None:
    calculations: list[Callable[[], float]] = [lambda: 1.0, lambda: 1 / 0, lambda: 2.0]
    results = ahead(enumerate(calculations), Balance())
    assert next(results) == (0, 1.0)
    with pytest.raises(ZeroDivisionError):
        next(results)


def test_whoever_waits_takes_over_work() -> None:
    balance = Balance()
    for _ in ahead(((n, lambda: time.sleep(0.01)) for n in range(20)), balance):
        pass
    assert balance.own == 0.5


def test_whoever_never_waits_gives_it_back() -> None:
    balance = Balance()
    balance.own = 0.5
    for _ in range(200):
        balance.waited(0.0)
    assert balance.own == 0


def test_some_waiting_is_borne() -> None:
    balance = Balance()
    for _ in range(20):
        time.sleep(0.001)
        balance.waited(0.00001)
    assert balance.own == 0
