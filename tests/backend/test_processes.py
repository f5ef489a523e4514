"""What a backend loads: predictions need neither scikit-learn nor pandas, and a training leaves none behind."""

from __future__ import annotations

from pathlib import Path

import psycopg
import pytest

from backend import calls, world
from backend.calls import value
from backend.world import World
from fix_db import Database

HEAVY = ("sklearn", "pandas", "scipy", "lightgbm", "xgboost", "skl2onnx", "optuna", "onnx")
MODULES = """
CREATE FUNCTION public.modules() RETURNS text[] LANGUAGE plpython3u AS
$$import sys; return sorted({name.split('.')[0] for name in sys.modules})$$
"""


@pytest.fixture
def session(made: World, fresh: Database) -> psycopg.Connection:
    """A session of an ordinary role that has done nothing yet."""
    with fresh.connect() as admin:
        admin.execute(MODULES)
        admin.execute("GRANT EXECUTE ON FUNCTION public.modules() TO PUBLIC")
    return fresh.connect(made.owner)


def test_no_routine_loads_one(made: World, session: psycopg.Connection) -> None:
    training = world.goods("t_int")
    calls.train(session, training.table, training.target, training.options, "new")
    calls.predict_table(session, "shop.types", "types", "shop.out")
    calls.predict(session, "loan", "TABLE shop.loan")
    calls.score(session, "shop.loan", "answer", "loan", "roc_auc")
    calls.export(session, "loan", "shop.sent")
    calls.import_table(session, "shop", "sent", "back")
    calls.grant(session, "loan", made.other)
    assert not set(value(session, "SELECT public.modules()")) & set(HEAVY)


@pytest.mark.private
def test_the_process_maps_none(session: psycopg.Connection) -> None:
    calls.predict_row(session, {"a": 1, "b": 2, "c": "p"}, "t_int")
    try:
        maps = Path(f"/proc/{session.info.backend_pid}/maps").read_text()
    except PermissionError:
        pytest.skip("NOT RUN: only root can read what the server's processes have mapped")
    assert "onnxruntime" in maps
    assert not [name for name in HEAVY if f"/{name}/" in maps]
