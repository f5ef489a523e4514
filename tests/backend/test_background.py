"""Rows of a table are scored by two threads: whichever of them it is, the answers are the same."""

from __future__ import annotations

import pytest

from backend import calls, world
from backend.calls import value
from backend.world import World
from fix_db import Database

TABLE = "CREATE TABLE shop.wide AS SELECT t.*, repeat('x', 500) AS pad FROM shop.{} AS t, generate_series(1, 80)"

# Without patience half of each batch is taken over, from the third on, whether there was something to wait for or not.
IMPATIENT = """
CREATE FUNCTION public.be_impatient() RETURNS void LANGUAGE plpython3u AS $$
from mlshare import background, batches
background._PATIENCE = -2.0
def counted(*given, joined=batches.joined):
    GD["n_shared"] = GD.get("n_shared", 0) + 1
    return joined(*given)
batches.joined = counted
$$;
CREATE FUNCTION public.n_shared() RETURNS integer LANGUAGE plpython3u AS $$ return GD.get("n_shared", 0) $$;
GRANT EXECUTE ON FUNCTION public.be_impatient(), public.n_shared() TO PUBLIC"""


@pytest.mark.parametrize(
    ("table", "handle", "shared"), [("types", "tree", True), ("goods", "boosted", True), ("goods", "t_numeric", False)]
)
def test_whichever_thread_scores_a_row(made: World, fresh: Database, table: str, handle: str, shared: bool) -> None:
    fresh.connect().execute(IMPATIENT)
    calm, hasty = fresh.connect(made.owner), fresh.connect(made.owner)
    calm.execute(TABLE.format(table))
    if handle == "boosted":
        options = {**world.goods("t_text").options, "model_list": ["LGBMClassifier"]}
        calls.train(calm, "shop.goods", "t_text", options, handle)
    hasty.execute("SELECT public.be_impatient()")
    for session, output in ((calm, "shop.calm"), (hasty, "shop.hasty")):
        calls.predict_table(session, "shop.wide", handle, output)
    assert value(calm, "SELECT public.n_shared()") == 0
    assert (value(hasty, "SELECT public.n_shared()") >= 2) == shared
    assert value(calm, "SELECT count(*) FROM (TABLE shop.calm EXCEPT TABLE shop.hasty) AS d") == 0
    assert value(calm, "SELECT (SELECT count(*) FROM shop.hasty) - (SELECT count(*) FROM shop.wide)") == 0
