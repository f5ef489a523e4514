"""For the tests of rows one at a time: a graph as the runtime answers it, and as a model file has it."""

from __future__ import annotations

from collections.abc import Callable

import onnx

from mlshare.convert import graph
from mlshare.encoding import Encoder
from mlshare.runtime import one_row, open_session


def by_runtime(model: onnx.ModelProto, width: int) -> Callable[[list[float]], list[float]]:
    """What the runtime says of a row of features."""
    session = open_session(model.SerializeToString())
    (output,) = session.get_outputs()
    return one_row(session, "features", width, output.name, output.shape[1])


def stored(encoder: Encoder, model: onnx.ModelProto, algorithm: str = "LogisticRegression") -> bytes:
    """The file of a classifier of two classes."""
    manifest = {"version": 1, "kind": "encoded", "task": "classification", "target": "y", "target_kind": "category",
                "classes": ["no", "yes"], "algorithm": algorithm, "encoder": encoder.to_json()}  # fmt: skip
    return graph.write(model, manifest)
