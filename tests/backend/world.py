"""The tables and models that the tests of the routines start from."""

from __future__ import annotations

import datetime as dt
import uuid
from dataclasses import dataclass
from typing import Any

import numpy as np
import psycopg

# Kinds of roles; all but "plain" may call the routines.
ROLES = ("owner", "other", "third", "plain")


@dataclass(frozen=True)
class World:
    """A database with models, and the names of its roles."""

    name: str
    owner: str
    other: str
    third: str
    plain: str

    @property
    def roles(self) -> tuple[str, ...]:
        """The names of all roles."""
        return (self.owner, self.other, self.third, self.plain)


@dataclass(frozen=True)
class Training:
    """A call of ml_train."""

    handle: str
    table: str
    target: str
    options: dict[str, Any]


# Target columns of shop.goods: the task, and the type that predictions of it have.
TARGETS = {
    "t_text": ("classification", "text"),
    "t_char": ("classification", "bpchar"),
    "t_int": ("classification", "integer"),
    "t_boolean": ("classification", "boolean"),
    "t_enum": ("classification", "shop.mood"),
    "t_smallint": ("regression", "smallint"),
    "t_double": ("regression", "double precision"),
    "t_numeric": ("regression", "numeric"),
}
FEATURES = ("a", "b", "c")  # of shop.goods
QUICK = {"time_budget": 0.01}  # one trial
_MODELS = {"classification": "GaussianNB", "regression": "LinearRegression"}


def goods(target: str, handle: str | None = None) -> Training:
    """The training of a model of one target of shop.goods."""
    task = TARGETS[target][0]
    others = [name for name in TARGETS if name != target]
    options = {"task": task, "model_list": [_MODELS[task]], "exclude_column_list": ["id", *others], **QUICK}
    return Training(handle or target, "shop.goods", target, options)


_LOGISTIC = {"model_list": ["LogisticRegression"], **QUICK}
_LINEAR = {"task": "regression", "model_list": ["LinearRegression"], **QUICK}

TRAININGS = (
    Training("loan", "shop.loan", "answer", {**_LOGISTIC, "exclude_column_list": ["id"], "notes": "who pays"}),
    Training("types", "shop.types", "answer", {**_LOGISTIC, "exclude_column_list": ["id", "amount"]}),
    Training("tree", "shop.types", "amount", {**_LINEAR, "model_list": ["DecisionTreeRegressor"]}),
    Training("amount", "shop.types", "amount", {**_LINEAR, "exclude_column_list": ["id", "answer"]}),
    *(goods(target) for target in TARGETS),
)

_TABLES = """
CREATE TYPE shop.mood AS ENUM ('sad', 'ok', 'happy');
CREATE DOMAIN shop.positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN shop.tiny AS shop.positive CHECK (VALUE < 1000);
CREATE DOMAIN shop.label AS text CHECK (VALUE <> '');
CREATE DOMAIN shop.feeling AS shop.mood;
CREATE TABLE shop.loan (
    id integer PRIMARY KEY, age integer, income double precision, job text, member boolean, since date, answer text);
CREATE TABLE shop.goods (
    id integer, a integer, b double precision, c text, t_text text, t_char char(6), t_int integer, t_boolean boolean,
    t_enum shop.mood, t_smallint smallint, t_double double precision, t_numeric numeric(10,2));
CREATE TABLE shop.types (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, n_small smallint, n_integer integer, n_big bigint, n_real real,
    n_double double precision, n_numeric numeric(12,4), flag boolean, d_date date, d_time time, d_stamp timestamp,
    d_tz timestamptz, s_text text, s_varchar varchar(20), s_char char(8), s_enum shop.mood, s_uuid uuid,
    dom_int shop.tiny, dom_text shop.label, dom_enum shop.feeling, body text, answer text, amount double precision);
"""


def make_tables(owner: psycopg.Connection) -> None:
    """Make and fill the tables of schema shop; the same rows every time."""
    owner.execute(_TABLES)
    _copy(owner, "shop.loan", _loans(np.random.default_rng(1)))
    _copy(owner, "shop.goods", _goods(np.random.default_rng(2)))
    _copy(owner, "shop.types (" + ", ".join(TYPE_COLUMNS) + ", answer, amount)", _types(np.random.default_rng(3)))
    owner.execute("ANALYZE shop.loan, shop.goods, shop.types")


def _copy(owner: psycopg.Connection, table: str, lines: list[tuple[Any, ...]]) -> None:
    with owner.cursor().copy(f"COPY {table} FROM STDIN") as copy:
        for line in lines:
            copy.write_row(line)


def _gaps(dice: np.random.Generator, line: tuple[Any, ...], share: float = 0.05) -> tuple[Any, ...]:
    return tuple(None if dice.random() < share else v for v in line)


def _loans(dice: np.random.Generator) -> list[tuple[Any, ...]]:
    lines = []
    for i in range(240):
        age, income = int(dice.integers(18, 80)), round(float(dice.normal(3000, 900)), 2)
        job, member = str(dice.choice(["baker", "nurse", "pilot", "clerk"])), bool(dice.random() < 0.4)
        since = dt.date(2000, 1, 1) + dt.timedelta(days=int(dice.integers(0, 8000)))
        pays = income / 900 + member + (job == "nurse") + dice.normal() > 4.2
        lines.append((i + 1, *_gaps(dice, (age, income, job, member, since)), "yes" if pays else "no"))
    return lines


def _goods(dice: np.random.Generator) -> list[tuple[Any, ...]]:
    names = [("alpha", "xx", 1, False, "sad"), ("beta", "yyy", 2, True, "ok"), ("gamma", "zzzz", 30, True, "happy")]
    lines = []
    for i in range(150):
        a, b, c = int(dice.integers(0, 30)), float(dice.normal()), str(dice.choice(["p", "q", "r"]))
        level = a + 3 * b + (5 if c == "q" else 0)
        which = 0 if level < 12 else 1 if level < 22 else 2
        value = round(10 * level + float(dice.normal()), 2)
        lines.append((i, a, b, c, *names[which], round(value), value, value))
    return lines


TYPE_COLUMNS = (
    "n_small", "n_integer", "n_big", "n_real", "n_double", "n_numeric", "flag", "d_date", "d_time", "d_stamp", "d_tz",
    "s_text", "s_varchar", "s_char", "s_enum", "s_uuid", "dom_int", "dom_text", "dom_enum", "body",
)  # fmt: skip
_WORDS = ["good", "bad", "fast", "slow", "warm", "cold", "bright", "heavy", "cheap", "solid"]


def _types(dice: np.random.Generator) -> list[tuple[Any, ...]]:
    ids = [str(uuid.UUID(int=int(n))) for n in dice.integers(1, 2**62, 5)]
    lines = []
    for _ in range(300):
        k = int(dice.integers(-30_000, 30_000))
        moment = dt.datetime(1969, 12, 30) + dt.timedelta(seconds=float(dice.uniform(0, 1.7e9)))
        word = str(dice.choice(["red", "green", 'it\'s "odd"', "Größe ☃"]))
        line = (
            k, k * 7, k * 10**9, float(dice.normal()), float(dice.normal() * 1e6), f"{dice.normal() * 1e3:.4f}",
            bool(dice.random() < 0.5), moment.date(), moment.time(), moment,
            moment.replace(tzinfo=dt.timezone(dt.timedelta(hours=5, minutes=30))), word, word,
            str(dice.choice(["a", "bb", "ccc"])), str(dice.choice(["sad", "ok", "happy"])), str(dice.choice(ids)),
            int(dice.integers(1, 1000)), str(dice.choice(["one", "two"])), str(dice.choice(["sad", "happy"])),
            " ".join(dice.choice(_WORDS, 5)),
        )  # fmt: skip
        score = line[3] + (line[6] is True) + ("good" in line[-1]) - ("bad" in line[-1]) + 0.3 * dice.normal()
        lines.append((*_gaps(dice, line), "yes" if score > 0.5 else "no", round(100 * score, 3)))
    return lines
