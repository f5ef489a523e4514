"""The small jobs: trying a storage link, deleting files that no version needs."""

from __future__ import annotations

import urllib.error
import urllib.request
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

from mlshare_server.errors import StorageError, StorageRefused
from mlshare_server.storage import Access, Storage, open_storage
from mlshare_server.worker.jobs import Job

DROP, DROP_FORCE, FORGET = 1, 2, 3


def storage_of(job: Job, link: UUID) -> Storage:
    """The storage behind a link, as far as the settings allow it."""
    row = job.one("storage_access", link=link)
    if row is None or row.uri is None:
        uri = job.one("link_uri", link=link)
        reason = "the setting storage_roots does not allow it"
        raise StorageRefused(uri=uri.uri if uri else "", reason=reason)
    access = Access(row.uri, row.username, row.password, row.metadata)
    return open_storage(
        access, private_endpoints=job.setting("private_endpoints").lower() in ("true", "on", "yes", "1")
    )


def validate(job: Job, storage: Storage) -> dict[str, str]:
    """Write, read, sign and delete a small file; how each went, in the words of the reference."""
    path, text = f"validate_{uuid4().hex}.txt", b"mlshare"

    def write() -> None:
        with storage.create(path) as file:
            file.write(text)

    def read() -> None:
        if storage.read(path) != text:
            raise StorageError(uri=path, reason="another text was read than was written")

    def fetch() -> None:
        url = storage.sign(path, 60)
        if url is not None:
            with urllib.request.urlopen(url, timeout=10) as answer:
                if answer.read() != text:
                    raise StorageError(uri=path, reason="a signed URL gave another text")

    def gone() -> None:
        try:
            storage.size(path)
        except FileNotFoundError:
            return
        raise StorageError(uri=path, reason="the file is still there after it was deleted")

    def delete() -> None:
        storage.delete(path)
        gone()

    steps: dict[str, Callable[[], Any]] = {
        "WRITE": write,
        "READ": read,
        # A signed URL cannot be taken back: it ends with its file.
        "CREATE_PAR": fetch,
        "DELETE": delete,
        "DELETE_PAR": gone,
    }
    found = {name: attempt(step) for name, step in steps.items()}
    return {name: found[name] for name in ("READ", "WRITE", "CREATE_PAR", "DELETE_PAR", "DELETE")}


def attempt(step: Callable[[], Any]) -> str:
    """PASSED, or FAILED and why."""
    try:
        step()
    except Exception as error:  # noqa: BLE001 - whatever a storage raises is the result
        return f"FAILED: {error}"
    return "PASSED"


def purge(job: Job, storage: Storage, link: UUID, mode: int, **of: Any) -> dict[str, Any]:
    """Delete detached files: all of a link, or those of one version (share_id, first_version) that came to nothing."""
    count, errors = 0, []
    for row in job.run("detached", link=link, **{"share_id": None, "first_version": None, **of}):
        job.check()
        # First the row, locked until the file is gone: nobody can take the file into a version meanwhile.
        with job.connection.transaction():
            job.run("forget", file_id=row.file_id)
            problem = "" if mode == FORGET else attempt(lambda path=row.path: storage.delete(path))  # type: ignore[misc]
            if problem.startswith("FAILED"):
                errors.append({"file": row.path, "error": problem})
                if mode == DROP:
                    raise StorageError(uri=row.path, reason=problem)
        count += 1
    return {"num_files": count, "errors": errors}
