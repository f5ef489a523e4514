"""Files in a directory of this machine, or of a file system that worker and server both mount."""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO
from urllib.parse import unquote

from mlshare_server.errors import StorageRefused
from mlshare_server.storage import Access


class LocalStorage:
    """A storage link file:///directory/."""

    def __init__(self, access: Access) -> None:
        self.uri = access.uri
        self.root = Path(unquote(access.uri.removeprefix("file://")))

    def path(self, name: str) -> Path:
        """Where a file lies; refused where that is not below the link's directory, symbolic links followed."""
        found = Path(os.path.realpath(self.root / name))
        if not found.is_relative_to(os.path.realpath(self.root)) or "\0" in name:
            raise StorageRefused(uri=self.uri, reason=f'"{name}" lies outside of it')
        return found

    @contextmanager
    def create(self, path: str) -> Iterator[BinaryIO]:
        final = self.path(path)
        final.parent.mkdir(parents=True, exist_ok=True)
        # The row of the file was there before it, so a leftover of a crash is found by its name.
        part = final.with_name(f"{final.name}.part")
        try:
            with part.open("xb") as file:
                yield file
                file.flush()
                os.fsync(file.fileno())
            part.rename(final)
        except BaseException:
            with suppress(FileNotFoundError):
                part.unlink()
            raise

    def open(self, path: str) -> BinaryIO:
        return self.path(path).open("rb")

    def read(self, path: str) -> bytes:
        return self.path(path).read_bytes()

    def size(self, path: str) -> int:
        return self.path(path).stat().st_size

    def delete(self, path: str) -> None:
        final = self.path(path)
        for name in (final, final.with_name(f"{final.name}.part")):
            with suppress(FileNotFoundError):
                name.unlink()
        self._remove_empty(final.parent)

    def _remove_empty(self, directory: Path) -> None:
        root = Path(os.path.realpath(self.root))
        with suppress(OSError):
            while directory != root and directory.is_relative_to(root):
                directory.rmdir()
                directory = directory.parent

    def sign(self, path: str, seconds: int) -> str | None:
        return None
