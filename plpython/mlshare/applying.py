"""dbms_data_mining.apply: the predictions for all rows of a relation, by their case identifiers."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np

from mlshare import arrays, batches, cache, catalog, db, errors, frame, scoring
from mlshare.partitioned import PartitionedScorer
from mlshare.results import label_text
from mlshare.table import Table

_COLUMNS = ("prediction", "probability", "partition_name")


class _Job(batches.Job):
    """Gives for each row the probabilities of all classes, or the value, and which of ``documents`` its partition is.

    A row without a prediction has NaN.
    """

    def _scored(self) -> Iterator[batches.Scored]:
        try:
            self._look_again()
            wanted, known = batches.needs(self._scorer)
            for window in batches.windows(self._source, wanted, known, self._scorer):
                yield from self._window(window, arrays.concatenated(wanted, [b.table for b in window]))
        except errors.MlshareError as error:  # on its way through SQL it would become another
            self._failure = error
            raise

    def _window(self, window: Sequence[frame.Batch], table: Table) -> Iterator[batches.Scored]:
        found = self._scorer.predict(table)
        numbers = np.array(scoring.comparable(found, self._scorer))
        if found.labels is not None:
            numbers[found.labels < 0] = np.nan
        codes, names = self._partitions(table)
        start = 0
        for batch in window:
            assert batch.blocks is not None
            rows, (first, end) = slice(start, start + len(batch.table)), batch.blocks
            own = batches.three_bytes(codes[rows])
            # Its statements number rows by a window: they need not know how many came before.
            yield f"({first},0)", f"({end},0)", 0, None, own, 0, names, numbers[rows].ravel().tolist()
            start = rows.stop

    def _partitions(self, table: Table) -> tuple[Any, str]:
        """The partition of each row as a position in a JSON array of names; -1 for none."""
        if not isinstance(self._scorer, PartitionedScorer):
            return np.full(len(table), -1), "[]"
        names = self._scorer.names(table)
        place = {name: i for i, name in enumerate(dict.fromkeys(n for n in names if n is not None))}
        return np.array([-1 if n is None else place[n] for n in names]), json.dumps(list(place))


def apply(model: catalog.Model, table: str, case: str, output: str) -> None:
    """Writes the result table: the case, prediction, probability (one row for each class), partition_name."""
    scorer = cache.scorer(model)
    source = frame.relation(table)
    case_id = source[case]
    scoring.require_inputs(source, scorer)
    if case in _COLUMNS:
        raise errors.ReservedColumn(column=case, table=source.name)
    db.require_new(output)
    target = scoring.target_type(model, scorer)
    classes = db.quote_literal(json.dumps([label_text(c) for c in scorer.classes or ()]))
    value = "i._4aad19ca6e_v"
    parts = {
        "case": case_id.quoted,
        "type": str(target["type"]),
        "labels": db.text("labels", type=str(target["type"]), classes=classes),
        "width": str(len(scorer.classes or ())),
        "rounded": scoring.whole(value, str(target["type"])) if target["whole"] else value,
        "partition": db.text("partition_of", code=db.text("code")) if scorer.key_columns else "",
        "output": output,
    }
    statement = "apply_numbers" if scorer.classes is None else "apply_labels"
    with scoring.staged(source, output) as rows:
        scoring.run(_Job(rows, model, None), statement, rows, parts)
