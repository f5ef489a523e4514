"""Batches of groups on their way to a cluster's worker and back: rows as an Arrow stream, models as a tensor file.

``fit`` is what runs on a worker, which has mlshare installed; everything else is for both sides.
"""

from __future__ import annotations

import functools
import json
from collections.abc import Sequence
from typing import Any

import numpy as np
import pyarrow
from threadpoolctl import threadpool_limits  # type: ignore[import-untyped]

from mlshare import transport
from mlshare.build import single
from mlshare.build.attempt import Attempt, attempt
from mlshare.build.groups import Group, cut
from mlshare.build.plan import Plan
from mlshare.errors import CorruptModel
from mlshare.table import Column, Table

_KEY = b"mlshare"


def fit(task: bytes) -> bytes:
    """Fit every group of a batch; never raises what a group's rows cause."""
    _one_thread()
    table, groups, plan = unpack_task(task)
    return pack_answer([attempt(functools.partial(single.fit, cut(table, group), plan)) for group in groups])


@functools.cache
def _one_thread() -> Any:
    """Kept for as long as the process lives; a worker runs as many tasks at once as it has threads."""
    return threadpool_limits({"blas": 1, "openmp": 1})


def pack_task(table: Table, groups: Sequence[Group], plan: Plan) -> bytes:
    """The rows from the first group's to the last's, which follow one another, as an Arrow stream."""
    first, end = groups[0].start, groups[-1].start + groups[-1].rows
    rows = cut(table, Group(0, "", first, end - first))
    places = [[group.start - first, group.rows] for group in groups]
    kinds = [column.kind for column in rows.columns]
    header = json.dumps({"plan": plan.to_json(), "groups": places, "kinds": kinds}).encode()
    arrays = [_array(column) for column in rows.columns]
    fields = [pyarrow.field(c.name, a.type) for c, a in zip(rows.columns, arrays, strict=True)]
    schema = pyarrow.schema(fields, metadata={_KEY: header})
    sink = pyarrow.BufferOutputStream()
    with pyarrow.ipc.new_stream(sink, schema) as stream:
        stream.write_batch(pyarrow.RecordBatch.from_arrays(arrays, schema=schema))
    return bytes(sink.getvalue())


def unpack_task(task: bytes) -> tuple[Table, list[Group], Plan]:
    """What pack_task packed; groups are named by their position."""
    batch = pyarrow.ipc.open_stream(task).read_next_batch()
    header = json.loads(batch.schema.metadata[_KEY])
    columns = zip(batch.schema.names, header["kinds"], batch.columns, strict=True)
    table = Table(tuple(_column(name, kind, array) for name, kind, array in columns))
    groups = [Group(i, str(i), start, rows) for i, (start, rows) in enumerate(header["groups"])]
    return table, groups, Plan.from_json(header["plan"])


def _array(column: Column) -> Any:
    if column.values is not None:
        return pyarrow.array(column.values, from_pandas=False)
    codes = pyarrow.array(column.codes, mask=np.asarray(column.codes) < 0)
    return pyarrow.DictionaryArray.from_arrays(codes, pyarrow.array(column.dictionary, type=pyarrow.string()))


def _column(name: str, kind: Any, array: Any) -> Column:
    if not isinstance(array, pyarrow.DictionaryArray):
        return Column(name, kind, values=array.to_numpy())
    codes = array.indices.fill_null(-1).to_numpy()
    return Column(name, kind, codes=codes, dictionary=tuple(array.dictionary.to_pylist()))


def pack_answer(attempts: Sequence[Attempt]) -> bytes:
    """Models and descriptions, and of each attempt how long it took and why it failed."""
    tensors: dict[str, transport.Tensor] = {}
    for i, one in enumerate(attempts):
        tensors[f"{i}.model"] = transport.Tensor("U8", memoryview(one.model))
        tensors[f"{i}.description"] = transport.Tensor("U8", memoryview(one.description))
    said = json.dumps([[one.seconds, one.error, one.sqlstate] for one in attempts])
    return b"".join(transport.write(tensors, {"attempts": said}))


def unpack_answer(answer: object, expected: int) -> list[Attempt]:
    """What pack_answer packed, from a worker that may send anything: CorruptModel unless it has that form."""
    try:
        if not isinstance(answer, bytes):
            raise TypeError("no bytes")
        tensors, metadata = transport.read(memoryview(answer))
        said = json.loads(metadata["attempts"])
        if len(said) != expected:
            raise ValueError(f"{len(said)} answers to {expected} groups")
        return [_attempt(i, tensors, *words) for i, words in enumerate(said)]
    except (CorruptModel, ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        raise CorruptModel(reason="a worker's answer is not one", detail=str(error)[:500]) from error


def _attempt(i: int, tensors: dict[str, transport.Tensor], seconds: Any, error: Any, sqlstate: Any) -> Attempt:
    if not isinstance(seconds, float) or not 0 <= seconds < 1e9:
        raise ValueError("seconds")
    if error is not None:
        if not isinstance(error, str) or not isinstance(sqlstate, str) or not sqlstate.isalnum() or len(sqlstate) != 5:
            raise ValueError("error")
        return Attempt(seconds, error=error[:1000].replace("\0", ""), sqlstate=sqlstate)
    return Attempt(seconds, bytes(tensors[f"{i}.model"].data), bytes(tensors[f"{i}.description"].data))
