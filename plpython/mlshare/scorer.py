"""Scores rows with a stored model: an ONNX session and, for our own models, the encoder before it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from functools import cached_property, partial
from typing import Any

from mlshare import document, linear, manifest, prediction, rows, stacked, trees
from mlshare.document import Columns, Values
from mlshare.encoding import Encoder, Input
from mlshare.errors import InvalidModelMetadata
from mlshare.foreign import Adapter
from mlshare.linear import Linear
from mlshare.prediction import Answer, Floats, Prediction, Quick, QuickWork, Row
from mlshare.rows import Usual
from mlshare.runtime import BATCH_ROWS, MANY_ROWS, batches, one_row, open_session, run
from mlshare.table import Table

_FEATURES = "features"
_SMALL_FILE = 64 * trees.MOST_NODES  # bytes of a file that is kept, to be read once more for rows one at a time
_PATIENCE = 256  # rows that a model answers one at a time before its trees are opened a second time, for rows only
_TREES = ("LGBM", "XGB", "RandomForest", "ExtraTrees", "DecisionTree")
# They and linear models need no memory for a row but that of its features and its answer.
_FRUGAL = (*_TREES, "Logistic", "Linear", "Gaussian")
_OUTPUTS = {"classification": ["probabilities"], "regression": ["value"]}


class Scorer:
    """An open model.

    ``inputs`` are the raw columns it needs, ``known`` the strings it knows of some, ``classes`` the JSON values that
    label positions refer to (None for regression), ``nbytes`` an estimate of the memory it holds, ``rows_at_once`` how
    many rows its graph is given at most, ``divisible`` whether a row's answer is the same to the last bit whichever
    rows are scored with it: of trees it is, of a product of matrices nobody promises it.
    """

    key_columns: tuple[str, ...] = ()  # see mlshare.partitioned

    def __init__(self, onnx_bytes: bytes) -> None:
        """Open a model file; ScoringFailed or InvalidModelMetadata if it is not one of mlshare."""
        session = open_session(onnx_bytes)
        parsed = manifest.parse(session.get_modelmeta().custom_metadata_map.get(manifest.KEY))
        self.manifest = parsed.document
        self.task = parsed.task
        self.target = parsed.target
        self.target_kind = parsed.target_kind
        self.classes = None if parsed.classes is None else list(parsed.classes)
        kept = onnx_bytes if parsed.kind == "encoded" and len(onnx_bytes) <= _SMALL_FILE else b""
        # The runtime's form is about as large as the file, and so is that of trees which are opened once more.
        self.nbytes = 2 * (len(onnx_bytes) + len(kept))
        self._graph: _Encoded | Adapter = (
            _Encoded(session, parsed, kept) if parsed.kind == "encoded" else Adapter(session, parsed)
        )
        self._among: tuple[Columns, QuickWork] | None = None
        self.inputs: tuple[Input, ...] = self._graph.inputs
        self.rows_at_once, self.divisible = self._graph.rows_at_once, self._graph.divisible
        features = parsed.document.get("encoder", {}).get("features", ())
        self.known = {f["name"]: tuple(f["categories"]) for f in features if "categories" in f}

    def predict(self, table: Table) -> Prediction:
        """Score the rows of a table that has the columns ``inputs``; others are ignored.

        Raises ScoringFailed if the graph fails or its output is misshapen or not finite, and
        MissingFeature, FeatureTypeMismatch or InvalidFeatureValue for the input.
        """
        return self.begin(table)()

    def begin(self, table: Table) -> Callable[[], Prediction]:
        """The part of ``predict`` that needs this thread; what it returns does the rest, in any thread."""
        return self._graph.begin(table)

    def answer(self, row: Row, document: str | None = None) -> Answer:
        """Score one row of JSON values by column name. Errors: as predict."""
        return self._graph.answer(row)

    @cached_property
    def quick(self) -> Quick:
        """The quick way to the same, for rows that are usual. Errors: ScoringFailed."""
        usual = self._graph.usual
        if usual is None:
            return prediction.never_quick
        read, work = document.reader(usual.columns), self._graph.work(usual)

        def quick(given: str) -> Answer | None:
            values = read(given)
            return None if values is None else work(values)

        return quick

    def quick_among(self, columns: Columns) -> QuickWork:
        """As ``quick`` for rows given as the values of columns; kept, as a sub-model is always asked for the same."""
        if self._among is None or self._among[0] is not columns:
            usual = self._graph.usual and rows.among(columns, self._graph.usual)
            self._among = columns, self._graph.work(usual) if usual else prediction.never_quick
        return self._among[1]

    @property
    def terms(self) -> stacked.Terms | None:
        """The terms of a linear classifier of two classes and of numbers; None for any other model."""
        return self._graph.terms


class _Encoded:
    """One of our own graphs: a float64 matrix in, probabilities or values out. ``file`` is empty if it is large."""

    def __init__(self, session: Any, parsed: manifest.Manifest, file: bytes) -> None:
        self._session = session
        self._encoder = Encoder.from_json(parsed.document["encoder"])
        self.inputs = self._encoder.inputs
        self._outputs = _OUTPUTS[parsed.task]
        self._n_classes = len(parsed.classes or ())
        algorithm = str(parsed.document.get("algorithm"))
        self.rows_at_once = MANY_ROWS if algorithm.startswith(_FRUGAL) else BATCH_ROWS
        self.divisible = algorithm.startswith(_TREES)
        self._require_shape()
        self._file = file

    def begin(self, table: Table) -> Callable[[], Prediction]:
        matrix = self._encoder.encode(table)

        def rest() -> Prediction:
            parts = [self._run(matrix[rows]) for rows in batches(len(matrix), self.rows_at_once)]
            return prediction.joined(parts, self._n_classes)

        return rest

    def answer(self, row: Row) -> Answer:
        return self._finish(self._one(self._encoder.encode_row(row)))

    @property
    def usual(self) -> Usual | None:
        return self._encoder.usual

    def work(self, usual: Usual) -> QuickWork:
        """Answers rows that are usual."""
        if self._linear is not None:
            return self._linear.of_usual(usual)
        one, finish, read, numbers = self._one, self._finish, usual.read, usual.numbers
        patience = _PATIENCE

        def work(values: Values) -> Answer | None:
            nonlocal one, patience
            found = read(values)
            if found is None:
                return None
            patience -= 1
            if not patience:
                one = self._of_trees or one
            return finish(one(numbers(found)))

        return work

    @property
    def _finish(self) -> Callable[[list[float]], Answer]:
        return prediction.shares if self._n_classes else lambda found: prediction.value(found[0])

    @cached_property
    def _linear(self) -> Linear | None:
        """What was read of the graph, if it answers as the runtime does."""
        found = linear.of_graph(self._file, self._encoder.n_features)
        return found if found is not None and self._agrees(found.answers) else None

    @cached_property
    def _of_trees(self) -> Callable[[Sequence[float]], list[float]] | None:
        """The same for trees."""
        found = trees.of_graph(self._file, self._encoder.n_features)
        return found.answers if found is not None and self._agrees(found.answers) else None

    def _agrees(self, answers: Callable[[list[float]], list[float]]) -> bool:
        width = self._encoder.n_features
        probes = [[0.0] * width, [1.0 / (1 + i) for i in range(width)]]
        return all(_same(self._one(row), answers(row)) for row in probes)

    @cached_property
    def _one(self) -> Callable[[Sequence[float]], list[float]]:
        """From the features of one row to its answers [C] or [1]."""
        return one_row(self._session, _FEATURES, self._encoder.n_features, self._outputs[0], max(1, self._n_classes))

    @cached_property
    def terms(self) -> stacked.Terms | None:
        found = self._linear
        return stacked.terms(found, self._encoder) if found is not None and self._n_classes == 2 else None

    def _run(self, matrix: Floats) -> Prediction:
        output: Floats = run(self._session, self._outputs, {_FEATURES: matrix})[0]
        if self._n_classes:
            return prediction.classification(output, len(matrix), self._n_classes)
        return prediction.regression(output, len(matrix))

    def _require_shape(self) -> None:
        inputs, outputs = self._session.get_inputs(), self._session.get_outputs()
        names = [n.name for n in inputs], [n.name for n in outputs]
        types = {n.type for n in (*inputs, *outputs)}
        if names != ([_FEATURES], self._outputs) or types != {"tensor(double)"}:
            raise InvalidModelMetadata(reason="the graph is not one that takes an encoded matrix")
        if len(inputs[0].shape) != 2 or inputs[0].shape[1] != self._encoder.n_features:
            width = self._encoder.n_features
            raise InvalidModelMetadata(reason=f"the encoder makes {width} features, the graph differs")


def _same(one: list[float], other: list[float]) -> bool:
    close = partial(math.isclose, rel_tol=1e-9, abs_tol=1e-9)
    return len(one) == len(other) and all(map(close, one, other))


__all__ = ["Prediction", "Scorer"]
