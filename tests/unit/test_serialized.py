"""A serialized model: what is packed comes out again, and nothing else is taken for one."""

from __future__ import annotations

import json
from typing import Any

import pytest

from mlshare import archive, serialized, transport
from mlshare.errors import CorruptModel

TYPES = {"a": "integer", 'Größe "x"': "timestamp with time zone"}


@pytest.mark.parametrize("target", ["smallint", None])
def test_it_keeps_types(target: str | None) -> None:
    packed = serialized.pack(b"model", TYPES, target)
    assert serialized.is_packed(packed)
    assert serialized.unpack(packed) == (b"model", {"lineage": {"columns": TYPES}, "target_type": target})


def test_other_files_are_no_serialized_models() -> None:
    for other in (b"", b"model", archive.pack(b"{}", [], {}), b"\x08\x09" * 40):
        assert not serialized.is_packed(other)
    assert not archive.is_archive(serialized.pack(b"model", {}, None))


def made(described: Any, n_models: int = 1, version: str = "1") -> bytes:
    tensors = {f"m{i}": transport.Tensor("U8", memoryview(b"model")) for i in range(n_models)}
    metadata = {"format": "mlshare.model", "version": version, "described": described}
    return b"".join(transport.write(tensors, metadata))


GOOD = json.dumps({"lineage": {"columns": {}}, "target_type": None})


@pytest.mark.parametrize(
    "raw",
    [
        made("no JSON"), made("[]"), made("{}"), made('{"lineage": {"columns": []}, "target_type": null}'),
        made('{"lineage": {"columns": {}}}'), made("[" * 100_000), made(7), made(GOOD, 0), made(GOOD, 2),
        made(GOOD, version="2"), made(GOOD)[:40], made(GOOD)[:-1],
    ],
)  # fmt: skip
def test_a_damaged_one_is_refused(raw: bytes) -> None:
    with pytest.raises(CorruptModel):
        serialized.unpack(raw)
