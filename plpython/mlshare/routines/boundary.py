"""The boundary between SQL and Python that every routine passes."""

from __future__ import annotations

from collections.abc import Callable
from functools import wraps
from typing import TypeVar, TypeVarTuple

from mlshare import errors

Arguments = TypeVarTuple("Arguments")
T = TypeVar("T")


def routine(function: Callable[[*Arguments], T]) -> Callable[[*Arguments], T]:
    """Leaves the way through our modules out of the CONTEXT of errors that are the caller's to mend."""

    @wraps(function)
    def call(*args: *Arguments) -> T:
        try:
            return function(*args)
        except errors.MlshareError as e:
            raise e.with_traceback(None) from None

    return call
