"""Model bytes as they are stored: compressed by zstandard, cut into chunks."""

from __future__ import annotations

import zstandard

from mlshare import errors

CHUNK_BYTES = 1 << 20
LEVEL = 1
# A frame may ask for this much history; more would let a few bytes reserve a lot of memory.
MAX_WINDOW_BYTES = 128 << 20
# A block of zstandard unpacks to 128 KiB from as few as 4 bytes, so one step gives at most 64 MiB.
_STEP_BYTES = 2 << 10
# No more than this is allocated because a frame says so.
_AT_ONCE_BYTES = 64 << 20


def pack(raw: bytes) -> bytes:
    """``raw`` as one zstandard frame which carries its size and a checksum."""
    return zstandard.ZstdCompressor(level=LEVEL, write_content_size=True, write_checksum=True).compress(raw)


def unpack(stored: bytes, limit: int) -> bytes:
    """The bytes that ``pack`` was given.

    Raises ModelTooLarge if they are (or say they are) more than ``limit`` bytes, CorruptModel if
    ``stored`` is anything but one whole frame.
    """
    declared = _declared_size(stored)
    if declared is not None and declared > limit:
        raise errors.ModelTooLarge(reason=f"it unpacks to {declared} bytes, the limit is {limit}")
    small = declared is not None and 0 < declared <= _AT_ONCE_BYTES
    raw = _decompress_at_once(stored) if small else _decompress(stored, limit)
    if declared is not None and len(raw) != declared:
        raise errors.CorruptModel(reason=f"it unpacks to {len(raw)} bytes instead of {declared}")
    return raw


def split(stored: bytes) -> list[bytes]:
    """``stored`` in chunks of 1 MiB, the last one shorter; at least one chunk."""
    return [stored[i : i + CHUNK_BYTES] for i in range(0, max(len(stored), 1), CHUNK_BYTES)]


def _declared_size(stored: bytes) -> int | None:
    try:
        frame = zstandard.get_frame_parameters(stored)
    except zstandard.ZstdError as error:
        raise errors.CorruptModel(reason="it is not a zstandard frame", detail=str(error)) from error
    if frame.window_size > MAX_WINDOW_BYTES and frame.content_size == zstandard.CONTENTSIZE_UNKNOWN:
        raise errors.ModelTooLarge(reason="unpacking it needs too much memory")
    return None if frame.content_size == zstandard.CONTENTSIZE_UNKNOWN else int(frame.content_size)


def _decompress_at_once(stored: bytes) -> bytes:
    try:
        unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES)
        return unpacker.decompress(stored, allow_extra_data=False)
    except zstandard.ZstdError as error:
        raise errors.CorruptModel(reason="it cannot be decompressed", detail=str(error)) from error


def _decompress(stored: bytes, limit: int) -> bytes:
    # In steps: a size that the frame claims is never allocated before the bytes are there.
    unpacker = zstandard.ZstdDecompressor(max_window_size=MAX_WINDOW_BYTES).decompressobj()
    parts: list[bytes] = []
    size = 0
    try:
        for start in range(0, len(stored), _STEP_BYTES):
            part = unpacker.decompress(stored[start : start + _STEP_BYTES])
            size += len(part)
            if size > limit:
                raise errors.ModelTooLarge(reason=f"it unpacks to more than {limit} bytes")
            parts.append(part)
    except zstandard.ZstdError as error:
        raise errors.CorruptModel(reason="it cannot be decompressed", detail=str(error)) from error
    if not unpacker.eof or unpacker.unused_data or unpacker.unconsumed_tail:
        raise errors.CorruptModel(reason="it is cut short or followed by other bytes")
    return b"".join(parts)
