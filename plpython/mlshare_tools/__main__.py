"""Run the command line: python3 -m mlshare_tools."""

from __future__ import annotations

import sys

from mlshare_tools.cli import main

sys.exit(main())
