"""A serialized model: what is packed comes out again, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlshare import archive, serialized, transport
from mlshare.errors import CorruptModel

TYPES = {"a": "integer", 'Größe "x"': "timestamp with time zone"}


@pytest.mark.parametrize("target", ["smallint", None])
@pytest.mark.parametrize("mining", [{"settings": [["ALGO_NAME", "ALGO_NAIVE_BAYES"]]}, None])
def test_it_keeps_types_and_settings(target: str | None, mining: Any) -> None:
    known = {"lineage": {"columns": TYPES}, "target_type": target, "mining": mining}
    packed = serialized.pack(b"model", {**known, "golden": "stays at home"})
    assert serialized.is_packed(packed)
    assert serialized.unpack(packed) == (b"model", {name: value for name, value in known.items() if value})


def test_other_files_are_no_serialized_models() -> None:
    for other in (b"", b"model", archive.pack(b"{}", [], {}), b"\x08\x09" * 40):
        assert not serialized.is_packed(other)
    assert not archive.is_archive(serialized.pack(b"model", {}))


def made(described: Any, n_models: int = 1, version: str = "1") -> bytes:
    tensors = {f"m{i}": transport.Tensor("U8", memoryview(b"model")) for i in range(n_models)}
    metadata = {"format": "mlshare.model", "version": version, "described": described}
    return b"".join(transport.write(tensors, metadata))


GOOD = json.dumps({"lineage": {"columns": {}}, "target_type": None, "mining": None})


DESCRIPTIONS = (
    "no JSON",
    "[]",
    "{}",
    '{"lineage": {"columns": []}, "target_type": null, "mining": null}',
    '{"lineage": {"columns": {}}}',
    GOOD.replace("{}", '{"a": 1}'),
    GOOD.replace('mining": null', 'mining": [7]'),
    "[" * 100_000,
    7,
)
OTHERS = (made(GOOD, 0), made(GOOD, 2), made(GOOD, version="2"), made(GOOD)[:40], made(GOOD)[:-1])


@pytest.mark.parametrize("raw", [*map(made, DESCRIPTIONS), *OTHERS])
def test_a_damaged_one_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptModel):
        serialized.unpack(raw)
