"""LightGBM's function that scores one row, without its Python package, which imports scikit-learn and pandas."""

from __future__ import annotations

import ctypes
import weakref
from array import array
from collections.abc import Sequence
from ctypes import byref
from functools import cache, partial
from importlib.util import find_spec
from pathlib import Path
from struct import Struct
from typing import Any

# c_api.h
_FLOAT64, _INT32 = 1, 2
# What to predict (of a model without objective: its scores), the first iteration, and how many (0: all). For sparse
# rows the library mistakes the order of these three (LightGBM pull request 7430): that cannot be told of three zeros.
_ALL_SCORES = (0, 0, 0)


class Booster:
    """An open LightGBM model, given as its text, that makes ``n_scores`` of a row of ``width`` numbers.

    The text must be sound: the library follows its indexes wherever they lead. Errors: OSError if there is no library,
    ValueError if it refuses the model.
    """

    def __init__(self, text: str, width: int, n_scores: int) -> None:
        lightgbm, handle, config = load(), ctypes.c_void_p(), ctypes.c_void_p()
        # One thread: regions of OpenMP may not start others in a backend.
        _require(lightgbm.LGBM_SetMaxThreads(1))
        _require(lightgbm.LGBM_BoosterLoadModelFromString(text.encode(), byref(ctypes.c_int()), byref(handle)))
        weakref.finalize(self, lightgbm.LGBM_BoosterFree, handle)
        start = lightgbm.LGBM_BoosterPredictForCSRSingleRowFastInit
        columns = ctypes.c_int64(width)
        _require(start(handle, *_ALL_SCORES, _FLOAT64, columns, b"num_threads=1", byref(config)))
        weakref.finalize(self, lightgbm.LGBM_FastConfigFree, config)
        # As a sparse row with all its columns: of a dense one the library takes what is next to 0 for 0.
        self._row, self._scores = array("d", bytes(8 * width)), (ctypes.c_double * n_scores)()
        ends, places, length = array("i", [0, width]), array("i", range(width)), ctypes.c_int64()
        self._kept = ends, places  # of these, as of the row, the call has only addresses
        sizes = ctypes.c_int64(len(ends)), ctypes.c_int64(width)
        given = (config, _at(ends), ctypes.c_int(_INT32), _at(places), _at(self._row), *sizes)
        predict = ctypes.PYFUNCTYPE(ctypes.c_int)(("LGBM_BoosterPredictForCSRSingleRowFast", lightgbm))
        self._predict = partial(predict, *given, byref(length), byref(self._scores))
        self._write = Struct(f"{width}d").pack_into

    def scores(self, row: Sequence[float]) -> list[float]:
        """The sums of the trees [n_scores] for a row [width]. Errors: ValueError."""
        self._write(self._row, 0, *row)
        _require(self._predict())
        return self._scores[:]


@cache
def load() -> Any:
    """LightGBM's shared library, loaded and no more. Errors: OSError."""
    package = find_spec("lightgbm")
    if package is None or not package.submodule_search_locations:
        raise OSError("LightGBM is not installed")
    return ctypes.PyDLL(str(Path(package.submodule_search_locations[0]) / "lib" / "lib_lightgbm.so"))


def _require(status: int) -> None:
    if status:
        raise ValueError("LightGBM refused a model")


def _at(values: array[Any]) -> ctypes.c_void_p:
    return ctypes.c_void_p(values.buffer_info()[0])
