"""Queries of callers that are nothing but a table."""

from __future__ import annotations

import pytest

from mlshare.viewtext import table_of


@pytest.mark.parametrize(
    ("text", "table"),
    [
        (" SELECT rows.g,\n    rows.x0\n   FROM public.rows", "public.rows"),
        (" SELECT g,\n    x0\n   FROM public.rows", "public.rows"),
        (' SELECT "My ""rows".g\n   FROM work."My ""rows"', 'work."My ""rows"'),
    ],
)
def test_a_table_is_recognised(text: str, table: str) -> None:
    assert table_of(text) == table


@pytest.mark.parametrize(
    "text",
    [
        " SELECT rows.g AS key\n   FROM public.rows",
        " SELECT rows.g\n   FROM ONLY public.rows",
        " SELECT rows.g\n   FROM public.rows\n  WHERE rows.g > 1",
        " SELECT r.g\n   FROM public.rows r",
        " SELECT rows.g,\n    other.h\n   FROM public.rows,\n    public.other",
        " SELECT CURRENT_USER AS g\n   FROM public.rows",
        " SELECT abs(rows.g)\n   FROM public.rows",
        " SELECT DISTINCT rows.g\n   FROM public.rows",
        " SELECT rows.g\n   FROM public.rows\n LIMIT 1",
        " SELECT rows.g\n   FROM public.rows TABLESAMPLE system ((1)::real)",
        " SELECT rows.*::public.rows AS rows\n   FROM public.rows",
        " SELECT generate_series.g\n   FROM generate_series(1, 5) generate_series(g)",
        " SELECT rows.g\n   FROM rows",
    ],
)
def test_whatever_more_there_is_stays_a_query(text: str) -> None:
    assert table_of(text) is None
