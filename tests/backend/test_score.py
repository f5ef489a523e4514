"""ml_score against scikit-learn, computed here on values that were read back."""

from __future__ import annotations

from typing import Any

import psycopg
import pytest
from sklearn import metrics

from backend import calls
from backend.calls import refused, rows

AVERAGES = ("macro", "micro", "weighted")
BY_LABELS: dict[str, Any] = {
    "accuracy": metrics.accuracy_score,
    "balanced_accuracy": metrics.balanced_accuracy_score,
    **{
        f"{name}_{average}": (lambda t, p, f=function, a=average: f(t, p, average=a, zero_division=0))
        for average in AVERAGES
        for name, function in (
            ("f1", metrics.f1_score),
            ("precision", metrics.precision_score),
            ("recall", metrics.recall_score),
        )
    },
    # With one label for each row, the mean over samples is the share of right ones.
    **{f"{name}_samples": metrics.accuracy_score for name in ("f1", "precision", "recall")},
}
BINARY: dict[str, Any] = {
    "f1": metrics.f1_score,
    "precision": metrics.precision_score,
    "recall": metrics.recall_score,
}
REGRESSION: dict[str, Any] = {
    "neg_mean_absolute_error": lambda t, p: -metrics.mean_absolute_error(t, p),
    "neg_mean_squared_error": lambda t, p: -metrics.mean_squared_error(t, p),
    "neg_median_absolute_error": lambda t, p: -metrics.median_absolute_error(t, p),
    "r2": metrics.r2_score,
}
MODELS = [("loan", "shop.loan", "answer"), ("t_int", "shop.goods", "t_int"), ("t_enum", "shop.goods", "t_enum")]
TWO_CLASSES = [("loan", "shop.loan", "answer"), ("t_boolean", "shop.goods", "t_boolean")]


def predicted(
    connection: psycopg.Connection, handle: str, table: str, target: str, options: dict[str, float] | None = None
) -> tuple[list[str], list[str], list[dict[str, float]]]:
    """True labels, predicted labels, probabilities."""
    answers = calls.predict(connection, handle, f"SELECT *, {target}::text AS truth FROM {table}", options)
    return [r["truth"] for r, _, _ in answers], [p for _, p, _ in answers], [d["probabilities"] for _, _, d in answers]


@pytest.mark.parametrize(("handle", "table", "target"), MODELS)
@pytest.mark.parametrize("metric", BY_LABELS)
def test_metrics_of_labels(owner: psycopg.Connection, handle: str, table: str, target: str, metric: str) -> None:
    truth, labels, _ = predicted(owner, handle, table, target)
    assert calls.score(owner, table, target, handle, metric) == pytest.approx(BY_LABELS[metric](truth, labels))


@pytest.mark.parametrize(("handle", "table", "target"), TWO_CLASSES)
@pytest.mark.parametrize("threshold", [None, 0.2, 0.8])
@pytest.mark.parametrize("metric", [*BINARY, "accuracy"])
def test_metrics_of_two_classes(
    owner: psycopg.Connection, handle: str, table: str, target: str, threshold: float | None, metric: str
) -> None:
    options = None if threshold is None else {"threshold": threshold}
    truth, labels, _ = predicted(owner, handle, table, target, options)
    second = max(truth)
    expected = {**BINARY, **BY_LABELS}[metric]([t == second for t in truth], [p == second for p in labels])
    assert calls.score(owner, table, target, handle, metric, options) == pytest.approx(expected)


@pytest.mark.parametrize(("handle", "table", "target"), TWO_CLASSES)
def test_metrics_of_probabilities(owner: psycopg.Connection, handle: str, table: str, target: str) -> None:
    truth, _, shares = predicted(owner, handle, table, target)
    second = max(truth)
    positive = [s[second] for s in shares]
    area = metrics.roc_auc_score([t == second for t in truth], positive)
    loss = metrics.log_loss([t == second for t in truth], positive)
    # ml_results holds probabilities with four decimals.
    assert calls.score(owner, table, target, handle, "roc_auc") == pytest.approx(area, abs=1e-3)
    assert calls.score(owner, table, target, handle, "neg_log_loss") == pytest.approx(-loss, abs=2e-3)


def test_log_loss_of_three_classes(owner: psycopg.Connection) -> None:
    truth, _, shares = predicted(owner, "t_text", "shop.goods", "t_text")
    names = sorted(shares[0])
    loss = metrics.log_loss(truth, [[s[n] / sum(s.values()) for n in names] for s in shares], labels=names)
    assert calls.score(owner, "shop.goods", "t_text", "t_text", "neg_log_loss") == pytest.approx(-loss, abs=2e-3)


@pytest.mark.parametrize("metric", REGRESSION)
@pytest.mark.parametrize("target", ["t_double", "t_smallint", "t_numeric"])
def test_metrics_of_regression(owner: psycopg.Connection, target: str, metric: str) -> None:
    answers = calls.predict(owner, target, f"SELECT *, {target}::float8 AS truth FROM shop.goods")
    truth = [r["truth"] for r, _, _ in answers]
    values = [d["predictions"][target] for _, _, d in answers]
    expected = REGRESSION[metric](truth, values)
    assert calls.score(owner, "shop.goods", target, target, metric) == pytest.approx(expected, rel=1e-9)


def test_the_logarithmic_error(owner: psycopg.Connection) -> None:
    positive = "(SELECT * FROM shop.goods WHERE t_double > 100)"
    answers = calls.predict(owner, "t_double", f"SELECT * FROM {positive} AS g")
    truth = [r["t_double"] for r, _, _ in answers]
    values = [d["predictions"]["t_double"] for _, _, d in answers]
    owner.execute(f"CREATE VIEW shop.positive_goods AS SELECT * FROM {positive} AS g")
    found = calls.score(owner, "shop.positive_goods", "t_double", "t_double", "neg_mean_squared_log_error")
    assert found == pytest.approx(-metrics.mean_squared_log_error(truth, values))
    owner.execute("UPDATE shop.goods SET t_double = -5 WHERE id = 3")
    with refused(owner, "ML404", 'metric "neg_mean_squared_log_error" cannot be computed: a value is -1 or less'):
        calls.score(owner, "shop.goods", "t_double", "t_double", "neg_mean_squared_log_error")


# --- the truth ---------------------------------------------------------------------------------------


def test_rows_without_truth_do_not_count(owner: psycopg.Connection) -> None:
    owner.execute("UPDATE shop.loan SET answer = NULL WHERE mod(id, 2) = 0")
    truth, labels, _ = predicted(owner, "loan", "(SELECT * FROM shop.loan WHERE answer IS NOT NULL) AS l", "answer")
    assert len(truth) == 120
    assert calls.score(owner, "shop.loan", "answer", "loan", "accuracy") == metrics.accuracy_score(truth, labels)


def test_labels_that_the_model_does_not_know_are_wrong(owner: psycopg.Connection) -> None:
    before = calls.score(owner, "shop.loan", "answer", "loan", "accuracy")
    owner.execute("INSERT INTO shop.loan SELECT id + 1000, age, income, job, member, since, 'never' FROM shop.loan")
    assert calls.score(owner, "shop.loan", "answer", "loan", "accuracy") == pytest.approx(before / 2)
    with refused(owner, "ML404", "a label is not known to the model"):
        calls.score(owner, "shop.loan", "answer", "loan", "neg_log_loss")


def test_the_truth_may_be_another_column(owner: psycopg.Connection) -> None:
    owner.execute("ALTER TABLE shop.loan RENAME answer TO happened")
    assert calls.score(owner, "shop.loan", "happened", "loan", "accuracy") > 0.7


def test_perfect_and_useless(owner: psycopg.Connection) -> None:
    calls.predict_table(owner, "shop.goods", "t_text", "shop.out")
    owner.execute("ALTER TABLE shop.out RENAME prediction TO said")
    assert calls.score(owner, "shop.out", "said", "t_text", "accuracy") == 1
    owner.execute("UPDATE shop.out SET said = 'nobody'")
    assert calls.score(owner, "shop.out", "said", "t_text", "f1_macro") == 0


@pytest.mark.parametrize(
    ("arguments", "sqlstate", "words"),
    [
        (("shop.loan", "answer", "loan", "r2"), "ML403", 'metric "r2" is not known for task "classification"'),
        (("shop.loan", "answer", "loan", "Accuracy"), "ML403", 'metric "Accuracy" is not known'),
        (("shop.goods", "t_double", "t_double", "accuracy"), "ML403", 'not known for task "regression"'),
        (("shop.goods", "t_text", "t_text", "f1"), "ML403", "classification with 3 classes"),
        (("shop.loan", "nope", "loan", "accuracy"), "42703", 'column "nope" does not exist in "shop.loan"'),
        (("shop.loan", "since", "t_double", "r2"), "ML400", 'lacks column "a"'),
        (("shop.goods", "c", "t_double", "r2"), "ML401", 'column "c" has type text'),
        (("shop.none", "answer", "loan", "accuracy"), "ML404", "there are no rows"),
        (("shop.blank", "answer", "loan", "accuracy"), "ML404", "there are no rows"),
        (("shop.one", "answer", "loan", "roc_auc"), "ML404", "the rows are all of one class"),
        (("shop.json", "answer", "loan", "accuracy"), "ML101", 'column "answer" has type jsonb'),
        (("shop.nowhere", "answer", "loan", "accuracy"), "42P01", 'relation "shop.nowhere" does not exist'),
        ((None, "answer", "loan", "accuracy"), "22023", "must be given"),
        (("shop.loan", None, "loan", "accuracy"), "22023", "must be given"),
        (("shop.loan", "answer", None, "accuracy"), "ML005", "a handle must be given"),
        (("shop.loan", "answer", "loan", None), "22023", "must be given"),
    ],
)
def test_refusals(owner: psycopg.Connection, arguments: tuple[Any, ...], sqlstate: str, words: str) -> None:
    owner.execute("CREATE TABLE shop.none (LIKE shop.loan)")
    owner.execute(
        "CREATE VIEW shop.blank AS SELECT age, income, job, member, since, NULL::text AS answer FROM shop.loan"
    )
    owner.execute("CREATE VIEW shop.one AS SELECT * FROM shop.loan WHERE answer = 'yes'")
    owner.execute(
        "CREATE VIEW shop.json AS SELECT age, income, job, member, since, '1'::jsonb AS answer FROM shop.loan"
    )
    with refused(owner, sqlstate, words):
        calls.score(owner, *arguments)


def test_two_rows_at_least_for_r2(owner: psycopg.Connection) -> None:
    owner.execute("CREATE VIEW shop.single AS SELECT * FROM shop.goods LIMIT 1")
    with refused(owner, "ML404", "it needs two rows or more"):
        calls.score(owner, "shop.single", "t_double", "t_double", "r2")


def test_scoring_does_not_write_into_the_table(owner: psycopg.Connection) -> None:
    before = rows(owner, "SELECT xmin, ctid, * FROM shop.loan ORDER BY id")
    calls.score(owner, "shop.loan", "answer", "loan", "accuracy")
    assert rows(owner, "SELECT xmin, ctid, * FROM shop.loan ORDER BY id") == before
