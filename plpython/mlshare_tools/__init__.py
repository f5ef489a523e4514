"""Build of the extension script, migration runner, local cluster and command line of mlshare."""

from __future__ import annotations
