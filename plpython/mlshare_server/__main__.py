"""python -m mlshare_server COMMAND."""

from __future__ import annotations

import sys

from mlshare_server.cli import main

sys.exit(main())
