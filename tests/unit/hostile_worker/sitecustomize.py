"""Makes a worker that has this directory in its module path answer with what the file "trick" says."""

from __future__ import annotations

import json
import os
import sys
from importlib.abc import MetaPathFinder
from importlib.machinery import PathFinder
from pathlib import Path
from typing import Any


class _Trap(Exception):
    """Bytes that stand for it write a file where they are read, anywhere but here, and become an honest error."""

    def __reduce__(self) -> Any:
        source = f"[__import__('os').getpid() == {os.getpid()} or open({self.args[0]!r}, 'x'), ValueError('trap')][1]"
        return eval, (source,)


def _answer(honest: bytes, remote: Any) -> Any:
    from dataclasses import replace

    import onnx

    trick, note = Path("trick").read_text().split()
    if trick == "object":
        return _Trap(note)
    if trick == "raising_object":
        raise _Trap(note)
    if trick == "plain_error":
        raise ValueError("no")
    if trick == "crash":
        os._exit(3)
    if trick == "no_bytes":
        return {"models": 1}
    if trick == "not_an_answer":
        return honest[:-7]
    (one,) = remote.unpack_answer(honest, 1)
    said, model = json.loads(one.description), onnx.ModelProto.FromString(one.model)
    if trick == "extra_field":
        said["surprise"] = 1
    if trick == "infinite_score":
        said["score"] = float("inf")
    if trick == "other_golden":
        said["golden"]["probabilities"][0] = [0.123, 0.877]
    if trick == "other_operator":
        model.graph.node[0].op_type, model.graph.node[0].domain = "Loop", ""
    if trick == "other_target":
        entry = model.metadata_props[0]
        entry.value = entry.value.replace('"target":"two"', '"target":"one"')
    raw = b"nonsense" if trick == "not_onnx" else model.SerializeToString(deterministic=True)
    changed = replace(one, model=raw, description=json.dumps(said).encode())
    return remote.pack_answer([changed])


class _Finder(MetaPathFinder):
    def find_spec(self, name: str, path: Any, target: Any = None) -> Any:
        if name != "mlshare.build.remote":
            return None
        spec = PathFinder.find_spec(name, path)
        assert spec is not None and spec.loader is not None
        load = spec.loader.exec_module

        def loaded(module: Any) -> None:
            load(module)
            honest = module.fit
            module.fit = lambda task: _answer(honest(task), module)

        spec.loader.exec_module = loaded  # type: ignore[method-assign]
        return spec


sys.meta_path.insert(0, _Finder())
