"""Signatures: every field counts, a changed byte is refused, the key file stays private."""

from __future__ import annotations

import os
import random
from pathlib import Path
from typing import Any

import pytest

from mlshare import codec, errors, signing
from mlshare.signing import Identity

KEY, OTHER_KEY = bytes(range(32)), bytes(32)
HERE = Identity("ml_schema_a", "model", 0)
PLACE: dict[str, Any] = {
    "identity": HERE,
    "chunk_id": 1,
    "n_chunks": 2,
    "object_sha256": b"d" * 32,
    "chunk": b"data",
}
SIGNATURE = signing.sign(KEY, **PLACE)


def test_own_signature_is_recognised() -> None:
    assert len(SIGNATURE) == signing.SIGNATURE_BYTES
    assert signing.verify(KEY, SIGNATURE, **PLACE) == "ours"


@pytest.mark.parametrize("signature", [None, b"", b"short", signing.sign(OTHER_KEY, **PLACE)])
def test_unsigned_or_signed_elsewhere_is_foreign(signature: bytes | None) -> None:
    assert signing.verify(KEY, signature, **PLACE) == "foreign"


@pytest.mark.parametrize(
    "change",
    [
        {"identity": Identity("ml_schema_b", "model", 0)},
        {"identity": Identity("ml_schema_a", "other", 0)},
        {"identity": Identity("ml_schema_a", "model", 1)},
        {"chunk_id": 2},
        {"n_chunks": 3},
        {"object_sha256": b"e" * 32},
        {"chunk": b"datA"},
        {"chunk": b""},
    ],
    ids=lambda change: next(iter(change)),
)
def test_every_field_counts(change: dict[str, Any]) -> None:
    with pytest.raises(errors.TamperedModel):
        signing.verify(KEY, SIGNATURE, **{**PLACE, **change})


def test_fields_cannot_flow_into_each_other() -> None:
    one = signing.sign(KEY, Identity("ab", "c", 0), 1, 1, b"", b"")
    two = signing.sign(KEY, Identity("a", "bc", 0), 1, 1, b"", b"")
    three = signing.sign(KEY, Identity("ab", "c", 0), 1, 1, b"x", b"")
    four = signing.sign(KEY, Identity("ab", "c", 0), 1, 1, b"", b"x")
    assert len({one, two, three, four}) == 4


def test_cut_signature_is_tampered() -> None:
    with pytest.raises(errors.TamperedModel):
        signing.verify(KEY, SIGNATURE[:-1], **PLACE)


def test_thousand_flipped_bytes_of_a_stored_object_are_refused() -> None:
    dice = random.Random(1)
    stored = codec.pack(dice.randbytes(50_000))
    place = {**PLACE, "chunk": stored}
    signature = signing.sign(KEY, **place)
    for _ in range(1000):
        flipped = _flip(stored, dice)
        with pytest.raises(errors.TamperedModel):
            signing.verify(KEY, signature, **{**place, "chunk": flipped})


def test_thousand_flipped_bytes_do_not_pass_the_codec_unnoticed() -> None:
    dice = random.Random(2)
    raw = dice.randbytes(20_000) + bytes(20_000)
    stored = codec.pack(raw)
    refused = 0
    for _ in range(1000):
        try:
            # A flip may hit a bit without meaning: then the same bytes come out.
            assert codec.unpack(_flip(stored, dice), limit=1 << 20) == raw
        except errors.ModelObjectError:
            refused += 1
    assert refused >= 990


def test_thousand_flipped_bytes_of_a_signature_never_count_as_ours() -> None:
    dice = random.Random(3)
    for _ in range(1000):
        flipped = _flip(SIGNATURE, dice)
        try:
            assert signing.verify(KEY, flipped, **PLACE) == "foreign"
        except errors.TamperedModel:
            assert flipped[:8] == SIGNATURE[:8]


def test_key_file_is_made_once_and_private(tmp_path: Path) -> None:
    path = tmp_path / "key"
    signing.create_key(str(path))
    key = signing.load_key(str(path))
    signing.create_key(str(path))
    assert signing.load_key(str(path)) == key
    assert len(key) == 32
    assert path.stat().st_mode & 0o777 == 0o600
    assert [p.name for p in tmp_path.iterdir()] == ["key"]


@pytest.mark.parametrize("mode", [0o640, 0o604, 0o660, 0o601])
def test_key_that_others_can_read_is_refused(tmp_path: Path, mode: int) -> None:
    path = tmp_path / "key"
    signing.create_key(str(path))
    path.chmod(mode)
    with pytest.raises(errors.InstallationError) as caught:
        signing.load_key(str(path))
    assert "chmod 600" in str(caught.value.hint)


def test_key_of_another_user_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "key"
    signing.create_key(str(path))
    owner = path.stat().st_uid
    monkeypatch.setattr(os, "geteuid", lambda: owner + 1)
    with pytest.raises(errors.InstallationError, match="not private"):
        signing.load_key(str(path))


@pytest.mark.parametrize("content", [b"", b"x" * 31, b"x" * 33])
def test_damaged_key_is_refused(tmp_path: Path, content: bytes) -> None:
    path = tmp_path / "key"
    path.write_bytes(content)
    path.chmod(0o600)
    with pytest.raises(errors.InstallationError, match="damaged"):
        signing.load_key(str(path))


def test_missing_key_and_links_are_refused(tmp_path: Path) -> None:
    real = tmp_path / "real"
    signing.create_key(str(real))
    (tmp_path / "link").symlink_to(real)
    os.mkfifo(tmp_path / "pipe", 0o600)
    for name in ("missing", "link", "pipe", "."):
        with pytest.raises(errors.InstallationError):
            signing.load_key(str(tmp_path / name))


def _flip(data: bytes, dice: random.Random) -> bytes:
    at = dice.randrange(len(data))
    return data[:at] + bytes([data[at] ^ dice.randrange(1, 256)]) + data[at + 1 :]
