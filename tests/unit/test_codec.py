"""Compression of stored objects: exact, bounded, and nothing but one whole frame is accepted."""

from __future__ import annotations

import tracemalloc

import pytest
import zstandard

from mlshare import codec, errors

RAW = b"a model " * 1000


@pytest.mark.parametrize("raw", [b"", b"x", RAW, bytes(range(256)) * 20_000])
def test_pack_and_unpack_are_inverse(raw: bytes) -> None:
    assert codec.unpack(codec.pack(raw), limit=len(raw)) == raw


def test_split_cuts_at_one_mebibyte_and_loses_nothing() -> None:
    stored = bytes(2 * codec.CHUNK_BYTES + 7)
    chunks = codec.split(stored)
    assert [len(c) for c in chunks] == [codec.CHUNK_BYTES, codec.CHUNK_BYTES, 7]
    assert b"".join(chunks) == stored
    assert codec.split(b"") == [b""]


def test_declared_size_over_the_limit_is_refused() -> None:
    with pytest.raises(errors.ModelTooLarge):
        codec.unpack(codec.pack(RAW), limit=len(RAW) - 1)


def test_frame_without_size_is_bounded_while_it_unpacks() -> None:
    frame = zstandard.ZstdCompressor(write_content_size=False).compress(bytes(500_000_000))
    tracemalloc.start()
    with pytest.raises(errors.ModelTooLarge):
        codec.unpack(frame, limit=1_000_000)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 200_000_000


def test_frame_that_lies_about_its_size_is_refused() -> None:
    honest = codec.pack(RAW)
    # Magic, descriptor, then the size: 8000 - 256 in two bytes for frames of 256 to 65,791 bytes.
    at = honest.index((len(RAW) - 256).to_bytes(2, "little"))
    lie = honest[:at] + (100).to_bytes(2, "little") + honest[at + 2 :]
    with pytest.raises(errors.ModelObjectError):
        codec.unpack(lie, limit=1 << 20)


@pytest.mark.parametrize(
    "stored",
    [
        b"",
        b"\x28\xb5\x2f\xfd",
        b"garbage" * 100,
        codec.pack(RAW)[:-1],
        codec.pack(RAW)[:20],
        codec.pack(RAW) + b"\0",
        codec.pack(RAW) + codec.pack(RAW),
        b"\x50\x2a\x4d\x18\x04\0\0\0skip" + codec.pack(RAW),
    ],
    ids=["empty", "magic", "garbage", "cut", "cut early", "trailing byte", "two frames", "skippable frame"],
)
def test_anything_but_one_whole_frame_is_corrupt(stored: bytes) -> None:
    with pytest.raises(errors.CorruptModel):
        codec.unpack(stored, limit=1 << 20)


def test_window_too_large_is_refused() -> None:
    parameters = zstandard.ZstdCompressionParameters(window_log=30, write_content_size=False)
    stream = zstandard.ZstdCompressor(compression_params=parameters).compressobj()
    frame = stream.compress(RAW) + stream.flush()
    with pytest.raises(errors.ModelObjectError):
        codec.unpack(frame, limit=1 << 20)
