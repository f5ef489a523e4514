"""The bank marketing data with default options: 45,211 rows, the accuracy that HeatWave's notebook prints."""

from __future__ import annotations

import csv
from pathlib import Path

import psycopg
import pytest
from sklearn.model_selection import train_test_split

from backend import calls
from backend.calls import metadata, value


@pytest.mark.slow
@pytest.mark.data
@pytest.mark.timeout(400)
def test_accuracy_with_defaults(owner: psycopg.Connection, bank_csv: Path) -> None:
    with bank_csv.open() as file:
        names, *lines = csv.reader(file)
    parts = train_test_split(lines, test_size=0.3, random_state=1, stratify=[line[-1] for line in lines])
    types = ["integer" if lines[0][i].lstrip("-").isdigit() else "text" for i in range(len(names))]
    columns = ", ".join(f'"{n}" {t}' for n, t in zip(names, types, strict=True))
    for name, part in zip(("bank_train", "bank_test"), parts, strict=True):
        owner.execute(f"CREATE TABLE shop.{name} ({columns})")
        with owner.cursor().copy(f"COPY shop.{name} FROM STDIN") as copy:
            for line in part:
                copy.write_row(line)
    calls.train(owner, "shop.bank_train", "y", None, "bank")
    assert metadata(owner, "bank")["training_time"] < 90
    assert calls.score(owner, "shop.bank_test", "y", "bank", "accuracy") >= 0.9080
    calls.predict_table(owner, "shop.bank_test", "bank", "shop.bank_predictions")
    right = value(owner, "SELECT avg((prediction = y)::int)::float8 FROM shop.bank_predictions")
    assert right == pytest.approx(calls.score(owner, "shop.bank_test", "y", "bank", "accuracy"))
