"""Machine-learning models kept, run and shared inside PostgreSQL."""

from __future__ import annotations

__version__ = "0.1.0"
