"""Machine-learning models kept, run and shared inside PostgreSQL."""

__version__ = "0.1.0"
