"""Models as SQL functions without Python. For the child process only: it reads ONNX files."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from typing import Any

from onnx import ModelProto

from mlshare import manifest
from mlshare.compile import function, graph
from mlshare.compile.answer import Wanted
from mlshare.compile.arguments import arguments, label_type
from mlshare.compile.columns import columns
from mlshare.compile.sql import cast, literal
from mlshare.encoding import Encoder
from mlshare.errors import CorruptModel, InvalidOptionValue, NotCompilable
from mlshare.table import Table

__all__ = ["run"]


def run(
    request: Mapping[str, Any], payload: Table | bytes | None, progress: Callable[[str, float], None]
) -> tuple[dict[str, Any], bytes]:
    """The task "compile": an audited model file as the parts of CREATE FUNCTION, and its body as bytes.

    ``request``: "types" (of the columns, by name, as format_type writes them), "target_type", "utf8" (whether the
    database is), "given" (expressions in the places of the arguments), "output" ("prediction" or "probability"),
    "class", "threshold". Returns {"arguments": [[name, type in pg_catalog] …], "returns": type in pg_catalog,
    "language", "cost"}. Errors: NotCompilable, CompiledTooLarge,
    InvalidOptionValue.
    """
    if not isinstance(payload, bytes):
        raise CorruptModel(reason="it is empty")
    model = ModelProto.FromString(payload)
    parsed = manifest.parse(next((p.value for p in model.metadata_props if p.key == manifest.KEY), None))
    if parsed.kind != "encoded":
        raise NotCompilable(reason="it was not trained here but brought as ONNX")
    encoder = Encoder.from_json(parsed.document["encoder"])
    given = arguments(encoder.inputs, request.get("types") or {}, request.get("given"))
    wanted, returns = _wanted(parsed, request)
    made = function.write(_read(model, parsed), columns(encoder.features, given, bool(request.get("utf8"))), wanted)
    result = {
        "arguments": [[a.name, a.type] for a in given],
        "returns": returns,
        "language": made.language,
        "cost": made.cost,
    }
    return result, made.body.encode()


def _read(model: ModelProto, parsed: manifest.Manifest) -> graph.Model:
    found = graph.read(model)
    n_scores, n_classes = found.scores.n_scores, len(parsed.classes or ())
    expected = 1 if n_classes in (0, 2) and found.link in ("identity", "sigmoid", "complement") else n_classes
    if n_scores != expected or (found.link == "identity") != (n_classes == 0):
        raise NotCompilable(reason="its graph and its classes do not agree")
    return found


def _wanted(parsed: manifest.Manifest, request: Mapping[str, Any]) -> tuple[Wanted, str]:
    """What to return, and its type."""
    output = request.get("output") or "prediction"
    _check_options(parsed, request, output)
    if parsed.classes is None:
        return Wanted(), "float8"
    if output == "probability":
        return Wanted(position=_position(parsed.classes, request.get("class"))), "float8"
    type_name = label_type(parsed.target_kind, request.get("target_type"))
    labels = tuple(cast(literal(_text(c)), type_name) for c in parsed.classes)
    return Wanted(labels, threshold=request.get("threshold")), type_name


def _check_options(parsed: manifest.Manifest, request: Mapping[str, Any], output: str) -> None:
    if parsed.classes is None and output != "prediction":
        raise InvalidOptionValue(option="output", reason="a regression model gives no probabilities")
    if request.get("class") is not None and output != "probability":
        raise InvalidOptionValue(option="class", reason='it goes with {"output": "probability"}')
    if request.get("threshold") is not None and (output != "prediction" or len(parsed.classes or ()) != 2):
        raise InvalidOptionValue(option="threshold", reason="it is for the prediction of one of two classes")


def _position(classes: tuple[Any, ...], given: Any) -> int:
    names = [_text(c) for c in classes]
    listed = "The classes are " + ", ".join(names)[:200] + "."
    if given is None:
        if len(names) > 2:
            raise InvalidOptionValue(option="class", reason="with more than two classes it must be given", hint=listed)
        return 1
    if _text(given) not in names:
        raise InvalidOptionValue(option="class", reason=f"{_text(given)[:60]} is not a class of the model", hint=listed)
    return names.index(_text(given))


def _text(label: Any) -> str:
    """A class as PostgreSQL prints it."""
    return label if isinstance(label, str) else json.dumps(label)
