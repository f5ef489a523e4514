"""What every test can ask for: the fixtures live in fix_*.py, one file per subject."""

from __future__ import annotations

pytest_plugins = ["fix_server", "fix_workers", "fix_db", "fix_files", "fix_http", "fix_clients", "fix_tally"]
