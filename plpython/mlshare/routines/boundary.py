"""The boundary between SQL and Python that every routine passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import ParamSpec, TypeVar

from mlshare import errors

P = ParamSpec("P")
T = TypeVar("T")


def routine(function: Callable[P, T]) -> Callable[P, T]:
    """Leaves the way through our modules out of the CONTEXT of errors that are the caller's to mend."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> T:
        try:
            return function(*args, **kwargs)
        except errors.MlshareError as e:
            raise e.with_traceback(None) from None

    return call
