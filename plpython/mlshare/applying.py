"""dbms_data_mining.apply: the predictions for all rows of a relation, by their case identifiers."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from mlshare import cache, catalog, db, errors, frame, scoring
from mlshare.partitioned import AnyScorer, PartitionedScorer
from mlshare.prediction import Prediction
from mlshare.results import label_text

_PREDICTION, _PROBABILITY, _PARTITION = "prediction", "probability", "partition_name"
_NONE, _PLAIN = 0, 1  # codes of rows without a prediction, and of rows of a model without partitions


class _Job(scoring.Job):
    """Codes say which partition predicts a row, numbers are values or the probabilities of all classes."""

    def _scored(self) -> tuple[bytes | None, str | None]:
        self._places: dict[str | None, int] = {None: _NONE}
        codes, numbers = [], []
        for table in scoring.read_batches(self.source, self.scorer):
            found = self.scorer.predict(table)
            codes.append(self._codes_of(table, found))
            numbers.append(np.asarray(scoring.comparable(found, self.scorer)).ravel())
        # No NULL among the numbers: a subscript would have to look for it from the first one on.
        return self._literal(codes).encode(), "{" + ",".join(repr(v) for part in numbers for v in part.tolist()) + "}"

    def _codes_of(self, table: Any, found: Prediction) -> NDArray[np.int32]:
        there = scoring.predicted(found)
        if not isinstance(self.scorer, PartitionedScorer):
            return np.where(there, _PLAIN, _NONE).astype(np.int32)
        names = self.scorer.names(table)
        codes = [self._places.setdefault(name, len(self._places)) for name in names]
        return np.where(there, np.array(codes, np.int32), _NONE).astype(np.int32)

    def entries(self) -> list[tuple[int, str | None, str | None]]:
        """Partition names by code; the classes follow as -1, -2, …"""
        self.columns()
        classes = [(-1 - i, label_text(c), None) for i, c in enumerate(self.scorer.classes or ())]
        plain = [] if isinstance(self.scorer, PartitionedScorer) else [(_PLAIN, None, None)]
        return [*((code, name, None) for name, code in self._places.items()), *plain, *classes]


def apply(model: catalog.Model, table: str, case: str, output: str) -> None:
    """Writes the result table: the case, prediction, probability (one row for each class), partition_name."""
    scorer = cache.scorer(model)
    source = frame.relation(table)
    case_id = source[case]
    scoring.require_inputs(source, scorer)
    if case in (_PREDICTION, _PROBABILITY, _PARTITION):
        raise errors.ReservedColumn(column=case, table=source.name)
    if db.value("table_exists", output):
        raise errors.TableExists(table=output, hint="Drop it, or choose another name.")
    kind = scoring.target_type(model, scorer)
    columns = [f"i.{case_id.quoted}", *_answers(scorer, kind)]
    if isinstance(scorer, PartitionedScorer):
        columns.append(f"p.prediction AS {_PARTITION}")
    parts = {"columns": ", ".join(columns), "output": output, "type": str(kind["type"])}
    with scoring.staged(source, output) as rows:
        scoring.run(_Job(rows, model), "apply_numbers" if scorer.classes is None else "apply_labels", parts)


def _answers(scorer: AnyScorer, kind: dict[str, Any]) -> list[str]:
    """Expressions for the columns of the answer."""
    numbers = "(SELECT s.numbers FROM scored AS s)"
    if scorer.classes is not None:
        at = f"{numbers}[i._4aad19ca6e_n * (SELECT count(*) FROM classes) + c.k + 1]"
        return [f"c.prediction AS {_PREDICTION}", f"CASE WHEN c.k >= 0 THEN {at} END AS {_PROBABILITY}"]
    value = f"nullif({numbers}[i._4aad19ca6e_n + 1], 'NaN')"
    rounded = f"round({value}::numeric)" if kind["whole"] else value
    return [f"{rounded}::{kind['type']} AS {_PREDICTION}"]
