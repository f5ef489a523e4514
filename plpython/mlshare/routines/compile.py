"""Compiling: from a stored model to an SQL function that needs no Python."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from mlshare import __version__, catalog, db, errors, loading, store
from mlshare import options as opt
from mlshare.routines.boundary import routine

if TYPE_CHECKING:
    from mlshare.child import Reply


@routine
def ml_model_compile(model_handle: str | None, function_name: str | None, options: str | None) -> None:
    chosen = opt.parse(options, opt.COMPILE)
    model = catalog.find(model_handle, "SELECT")
    if function_name is None:
        raise errors.InvalidArgument(argument="function_name", reason="a function must be named")
    function = db.qualified(function_name)
    if not chosen.get("replace") and db.value("function_exists", function):
        raise errors.FunctionExists(
            function=function, hint='Drop it, choose another name, or replace it: {"replace": true}.'
        )
    reply = _compiled(model, chosen)
    _create(model, function, reply, chosen)
    store.touch(model)


def _compiled(model: catalog.Model, chosen: dict[str, Any]) -> Reply:
    metadata = store.read_row(model)["model_metadata"] or {}
    lineage = metadata.get("lineage")
    types = lineage.get("columns") if isinstance(lineage, dict) else None
    request = {
        **chosen,
        "types": types if isinstance(types, dict) else {},
        "target_type": metadata.get("target_type"),
    }
    return loading.compiled(model, request)


def _create(model: catalog.Model, function: str, reply: Reply, chosen: dict[str, Any]) -> None:
    result = reply.result
    body = reply.blob.decode()
    signature = [(db.quote_ident(name), f"pg_catalog.{db.quote_ident(kind)}") for name, kind in result["arguments"]]
    db.run(
        f"create_compiled_{result['language']}",
        function=function,
        arguments=", ".join(f"{name} {kind}" for name, kind in signature),
        returns=db.quote_ident(result["returns"]),
        cost=str(int(result["cost"])),
        settings=_settings(result),
        body=body if result["language"] == "sql" else db.quote_literal(body),
        or_replace="OR REPLACE" if chosen.get("replace") else "",
    )
    types = ", ".join(kind for _, kind in signature)
    db.run("comment_on_compiled", function=function, types=types, text=db.quote_literal(_origin(model, chosen)))
    db.notice(f"created function {function}({', '.join(name for name, _ in signature)})")


def _settings(result: dict[str, Any]) -> str:
    """A real is read as it is written, whatever a session prints. An expression cannot have settings: the planner
    would not put it in the place of the call any more."""
    has_real = any(kind == "float4" for _, kind in result["arguments"])
    return "SET extra_float_digits = 1" if has_real and result["language"] == "plpgsql" else ""


def _origin(model: catalog.Model, chosen: dict[str, Any]) -> str:
    what = chosen.get("output", "prediction")
    if "class" in chosen:
        what += f" of class {chosen['class']}"
    if "threshold" in chosen:
        what += f" with threshold {chosen['threshold']}"
    return (
        f"The {what} of model {model.name}, compiled by mlshare {__version__} on {db.value('today')}; "
        f"model object sha256 {model.digest}"
    )
