"""Writes what in the documentation follows from the sources. Run by "make docs"; a test fails when it is stale."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import NamedTuple

from mlshare import errors, metrics, options
from mlshare.estimators import registry
from mlshare_server import errors as server_errors

CHECKOUT = Path(__file__).parents[1]
DOCS = CHECKOUT / "docs"
NOTE = '<!-- Written by "make docs" from the sources: do not edit. -->'
AREAS = {
    "20_settings": "Settings",
    "30_catalog": "The catalog",
    "40_train": "Training",
    "50_load": "Loading",
    "60_predict": "Predicting and scoring",
    "65_compile": "Compiling to SQL",
    "66_partitions": "Partitions",
    "67_data_mining": "Oracle's package",
    "68_scoring_functions": "Scoring functions",
    "69_mining_views": "Dictionary views",
    "70_transfer": "Export and import",
    "71_share_names": "Data shares: settings",
    "72_share_storage": "Data shares: who, and where to",
    "73_share_shares": "Data shares: shares and their tables",
    "74_share_publish": "Data shares: publishing",
    "75_share_recipients": "Data shares: recipients",
    "77_share_views": "Data shares: views",
    "78_share_constants": "Data shares: constants",
    "80_sharing": "Sharing without a copy",
    "81_share_consumer": "Data shares of others",
    "85_json": "Carried over from MySQL",
}
OPTIONS = {
    "ml_train": options.TRAIN,
    "ml_predict_row": options.PREDICT,
    "ml_predict_table": options.PREDICT,
    "ml_predict": options.PREDICT,
    "ml_score": options.SCORE,
    "ml_model_compile": options.COMPILE,
}
_OBJECT = re.compile(
    r"^CREATE OR REPLACE (FUNCTION|PROCEDURE|VIEW) ((sys|dbms_data_mining|dbms_share)\.(\w+)(?:.*?))"
    r"(?= ?\n?LANGUAGE| AS\n| WITH \()",
    re.M | re.S,
)
_COMMENT = re.compile(
    r"^COMMENT ON (?:FUNCTION|PROCEDURE|VIEW) (?:sys|dbms_data_mining|dbms_share)\.(\w+)[^']*? IS\s+'((?:[^']|'')*)';",
    re.M,
)
# Functions that only convert a row and call the one of the same name that takes jsonb.
_CONVERTER = re.compile(r'"row" (text|anyelement)\b')
_RAISED = re.compile(r"RAISE EXCEPTION '((?:[^']|'')*)'[^;]*?ERRCODE = '(ML\d+)'", re.S)
_SETTING = re.compile(r"^    \('(\w+)', +(\d+), +'(\w*)', +'([^']*)'\)", re.M)


class Object(NamedTuple):
    """A public routine or view."""

    area: str
    kind: str
    schema: str
    name: str
    signature: str
    comment: str


def objects() -> Iterator[Object]:
    """The public objects in the order of the SQL sources."""
    for path in sorted((CHECKOUT / "sql").glob("*.sql")):
        text = path.read_text()
        comments: dict[str, list[str]] = {}
        for name, comment in _COMMENT.findall(text):
            comments.setdefault(name, []).append(comment.replace("''", "'"))
        for kind, signature, schema, name in _OBJECT.findall(text):
            if not name.startswith("_") and not _CONVERTER.search(signature):
                line = re.sub(r"\s+", " ", signature).replace("( ", "(")
                yield Object(path.stem, kind, schema, name, line, _next(comments[name]))


def _next(comments: list[str]) -> str:
    """The comment of the next routine of a name; several may share one."""
    return comments.pop(0) if len(comments) > 1 else comments[0]


def table(heads: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    """A Markdown table."""
    heads = list(heads)
    lines = [heads, ["---"] * len(heads), *map(list, rows)]
    return "\n".join(f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in line)} |" for line in lines)


# --- reference.md ----------------------------------------------------------------------------------


def reference() -> str:
    """The page of all routines, views and options."""
    parts = [
        f"{NOTE}\n\n# Reference\n\nSQL folds capitals, so `sys.ML_TRAIN` is `sys.ml_train`. A "
        "procedure is for `CALL`, a function for `SELECT`; an argument with a default may be left out or NULL. "
        "[models.md](models.md) explains tasks, columns and metadata, [errors.md](errors.md) lists the errors.",
    ]
    area = ""
    for each in objects():
        if each.area != area:
            area = each.area
            parts.append(f"## {AREAS.get(area) or area[3:].replace('_', ' ').capitalize()}")
        parts.append(f"### {each.name}\n\n```text\n{each.kind} {each.signature}\n```\n\n{each.comment}.")
        if each.name in OPTIONS:
            rows = ([f"`{n}`", o.expected, o.about] for n, o in OPTIONS[each.name].items())
            parts.append(table(("option", "value", "what it does"), rows))
        if each.name == "ml_settings":
            parts.append(settings())
    return "\n\n".join(parts) + "\n"


def settings() -> str:
    """The limits and their defaults."""
    text = (CHECKOUT / "sql" / "20_settings.sql").read_text()
    rows = ([f"`{name}`", f"{value} {unit}".strip(), about] for name, value, unit, about in _SETTING.findall(text))
    return table(("name", "default", "what it limits"), rows)


# --- errors.md -------------------------------------------------------------------------------------


def error_classes() -> dict[str, type[errors.MlshareError]]:
    """The errors by the name of their class, in the order of errors.py."""
    found = {name: each for name, each in vars(errors).items() if isinstance(each, type)}
    return {name: each for name, each in found.items() if issubclass(each, errors.MlshareError)}


def hints() -> dict[str, list[str]]:
    """The hints that the sources give with each error, its default first; … stands for what varies."""
    found = {n: [c.default_hint] if c.default_hint else [] for n, c in error_classes().items()}
    for path in sorted((CHECKOUT / "plpython" / "mlshare").rglob("*.py")):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Call) and (name := ast.unparse(node.func).split(".")[-1]) in found:
                given = [k.value for k in node.keywords if k.arg == "hint"]
                texts = [text for value in given for text in literals(value)]
                found[name] += [text for text in texts if text not in found[name]]
    return found


def literals(node: ast.expr) -> Iterator[str]:
    """The texts that an expression can give, as far as they stand in the source."""
    if isinstance(node, ast.IfExp):
        yield from (*literals(node.body), *literals(node.orelse))
    elif isinstance(node, ast.BinOp):
        yield "…".join([*literals(node.left), *literals(node.right)]).replace("……", "…")
    elif isinstance(node, ast.JoinedStr):
        parts = (str(p.value) if isinstance(p, ast.Constant) else "…" for p in node.values)
        yield "".join(parts)
    elif isinstance(node, ast.Constant) and isinstance(node.value, str):
        yield node.value
    elif isinstance(node, ast.Name | ast.Call | ast.Attribute):
        yield "…"


def error_page() -> str:
    """The page of all errors."""
    known = hints()
    rows = []
    for name, each in error_classes().items():
        message = (each.__doc__ or "").split("\n\n")[0].strip()
        useful = [text for text in known[name] if text.strip("…")]
        rows.append((f"`{each.sqlstate}`", f"`{name}`", re.sub(r"\{(\w+)\}", r"*\1*", message), "<br>".join(useful)))
    about = (
        "Every message begins with `mlshare: `. Class `ML` is our own; other states are PostgreSQL's for the same "
        "thing. What varies is in italics, or `…` in a hint. Errors that are not listed, such as a missing table or a "
        "missing right on it, are PostgreSQL's."
    )
    own = table(("SQLSTATE", "name", "message", "hint"), rows)
    shares = table(("SQLSTATE", "message"), sorted(set(share_errors())))
    return f"{NOTE}\n\n# Errors\n\n{about}\n\n{own}\n\n## Data shares\n\n{shares}\n"


def share_errors() -> Iterator[tuple[str, str]]:
    """State and message of what dbms_share and the publish worker raise."""
    for path in sorted((CHECKOUT / "sql").glob("7?_share_*.sql")):
        for message, state in _RAISED.findall(path.read_text()):
            yield f"`{state}`", re.sub(r"%", "…", message.replace("''", "'"))
    for each in vars(server_errors).values():
        if isinstance(each, type) and issubclass(each, server_errors.ServerError) and each.sqlstate.startswith("ML"):
            message = (each.__doc__ or "").split("\n\n")[0].strip()
            yield f"`{each.sqlstate}`", re.sub(r"\{(\w+)\}", r"*\1*", message)


# --- parts of other pages --------------------------------------------------------------------------


def routines() -> str:
    """The table of routines in README.md."""
    shown = [o for o in objects() if "share" not in o.area or o.area == "80_sharing"]
    rows = ([f"[`{o.schema}.{o.name}`](docs/reference.md#{o.name})", o.comment] for o in shown)
    return table(("routine or view", "what it does"), rows)


def algorithms() -> str:
    """The algorithms by task."""
    rows = []
    for e in registry.REGISTRY:
        tried = {None: "always", 0: "only if named"}.get(e.auto_rows, f"up to {e.auto_rows or 0:,} rows")
        rows.append((f"`{e.name}`", e.task, tried, f"{e.max_rows:,}" if e.max_rows else "all"))
    return table(("algorithm", "task", "tried by itself", "rows it is fitted on, at most"), rows)


def metric_table() -> str:
    """The metrics by task."""
    rows = [
        (task, f"`{metrics.DEFAULT[task]}`", ", ".join(f"`{m}`" for m in metrics.names(task))) for task in options.TASKS
    ]
    return table(("task", "default for training", "all"), rows)


PARTS = {
    "README.md": {"routines": routines},
    "docs/models.md": {"algorithms": algorithms, "metrics": metric_table},
    "docs/operations.md": {"settings": settings},
}


def filled(text: str, name: str, content: str) -> str:
    """The text with what is between the markers of a part replaced."""
    pattern = re.compile(rf"(<!-- begin: {name}[^\n]*-->\n).*?(<!-- end: {name} -->)", re.S)
    if not pattern.search(text):
        raise ValueError(f"no markers for {name}")
    return pattern.sub(lambda found: f"{found[1]}{content}\n{found[2]}", text)


def pages() -> dict[Path, str]:
    """Every page that is written, or of which a part is, as it should be."""
    found = {DOCS / "reference.md": reference(), DOCS / "errors.md": error_page()}
    for page, parts in PARTS.items():
        text = (CHECKOUT / page).read_text()
        for name, content in parts.items():
            text = filled(text, name, content())
        found[CHECKOUT / page] = text
    return found


if __name__ == "__main__":
    for path, text in pages().items():
        path.write_text(text)
