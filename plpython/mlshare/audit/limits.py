"""How large a model may be."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any

from mlshare import errors


@dataclasses.dataclass(frozen=True)
class Limits:
    """Bounds of a model file; a request may override each by name."""

    max_bytes: int = 1 << 30
    max_nodes: int = 10_000
    max_names: int = 100_000
    max_tensor_elements: int = 1 << 27
    max_dimensions: int = 8
    max_text_bytes: int = 1 << 20
    max_tree_nodes: int = 10_000_000
    # ONNX Runtime builds trees recursively: a chain of a million nodes overflows its stack.
    max_tree_depth: int = 1_000
    trial_seconds: float = 60.0

    @classmethod
    def from_json(cls, document: Mapping[str, Any] | None) -> Limits:
        """The defaults with the numbers of ``document`` in their place."""
        known = {f.name for f in dataclasses.fields(cls)}
        given = dict(document or {})
        wrong = [n for n, v in given.items() if n not in known or not isinstance(v, int | float) or v <= 0]
        if wrong:
            raise errors.InvalidModelMetadata(reason=f"unknown or unusable limits: {sorted(wrong)}")
        return cls(**given)


def require(value: float, limit: float, what: str) -> None:
    """ModelTooLarge if ``value`` is over ``limit``."""
    if value > limit:
        raise errors.ModelTooLarge(reason=f"{what}: {value:.15g}, the limit is {limit:.15g}")
