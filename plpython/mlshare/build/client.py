"""The connection to a Dask scheduler, over TLS, and what is not believed of it.

What must be trusted: a scheduler and its workers see the rows, and can send models that fit them badly or none at all,
so only an administrator names them. What need not be: the client is in a forked process of its own (see alone), results
are read as plain bytes, and Python objects that a scheduler sends are not built (see ``_guard``), so nothing that comes
back can run code here. Models and descriptions are checked afterwards, see untrusted.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mlshare.errors import ExecutorFailed, InstallationError

_CONNECT_SECONDS = 5.0
# The only global name that what a scheduler sends may refer to: how Dask marks bytes.
_HARMLESS = {("builtins", "bytes")}
# Names that were refused since something was last received.
refused: list[str] = []


@dataclass(frozen=True)
class Executor:
    """A cluster as an administrator described it: address "tls://host:port", files of the certificates."""

    name: str
    address: str
    ca: str
    certificate: str
    key: str

    @classmethod
    def of(cls, request: Mapping[str, Any]) -> Executor:
        """Checked: ExecutorFailed if it is not reached by TLS."""
        executor = cls(*(str(request.get(name) or "") for name in ("name", "address", "ca", "certificate", "key")))
        if not executor.address.startswith("tls://"):
            raise executor.failed("its address does not begin with tls://")
        return executor

    def failed(self, reason: str, detail: object = None) -> ExecutorFailed:
        """The error for this executor."""
        return ExecutorFailed(executor=self.name, reason=reason, detail=None if detail is None else str(detail)[:500])


def connect(executor: Executor) -> Any:
    """Connected; it is never closed, the end of this process does that, and at once."""
    # No file of the user that the server runs as may change what Dask does, and none is written.
    os.environ["DASK_CONFIG"] = "/dev/null/dask"
    try:
        import dask
        import distributed

        from mlshare.build import remote  # noqa: F401 - before the guard
    except ImportError as error:
        raise InstallationError(
            reason="the packages for executors are missing",
            hint='Install them into the environment of the server: pip install "mlshare[cluster]".',
            detail=str(error)[:500],
        ) from error
    library: Any = distributed  # it has no types
    dask.config.set({"distributed.comm.timeouts": {"connect": "5s", "tcp": "15s"}, "distributed.comm.retry.count": 0})
    try:
        security = library.Security(
            tls_ca_file=executor.ca,
            tls_client_cert=executor.certificate,
            tls_client_key=executor.key,
            require_encryption=True,
        )
        _guard()
        return library.Client(
            executor.address,
            security=security,
            timeout=_CONNECT_SECONDS,
            set_as_default=False,
            direct_to_workers=False,
            serializers=["msgpack"],
            deserializers=["msgpack"],
            name="mlshare",
        )
    except (OSError, ValueError, RuntimeError) as error:
        raise executor.failed("there is no connection to its scheduler", error) from error


def _guard() -> None:
    """From now on, bytes that stand for Python objects can name no class or function: this process refuses.

    Dask reads messages of the scheduler, the errors of tasks among them, in Python's own form of objects, which can
    call anything. The interpreter announces each name that such bytes refer to before it looks it up. A message
    that cannot be read leaves the client deaf, or a task without the reason why it failed; cluster deals with both.
    """

    def refuse(event: str, arguments: tuple[Any, ...]) -> None:
        if event.endswith(".find_class") and arguments not in _HARMLESS:
            refused.append(".".join(map(str, arguments)))
            raise RuntimeError("refused: " + refused[-1])

    sys.addaudithook(refuse)
