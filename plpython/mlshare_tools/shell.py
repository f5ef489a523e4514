"""Run other programs, with the rights that a step needs, and say what is going on."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache
from pathlib import Path


class ToolError(Exception):
    """A step failed for a reason that its user can do something about."""


def say(message: str) -> None:
    """One line of progress on stderr, so that stdout stays for results."""
    print(f"mlshare: {message}", file=sys.stderr, flush=True)


@contextmanager
def step(message: str) -> Iterator[None]:
    """Announce a slow step and, when it is over, how long it took."""
    say(f"{message} …")
    start = time.monotonic()
    yield
    say(f"{message}: {time.monotonic() - start:.1f} s")


def clean_environment() -> dict[str, str]:
    """The environment without what would lead a Python astray; settings of pip and proxies stay."""
    led_astray = ("PYTHONPATH", "PYTHONHOME", "VIRTUAL_ENV", "__PYVENV_LAUNCHER__")
    return {name: value for name, value in os.environ.items() if name not in led_astray}


def run(command: Sequence[str | Path], *, env: Mapping[str, str] | None = None, stdin: str | None = None) -> str:
    """Run a program from / and return its stdout; its whole output becomes the error if it fails."""
    words = [str(word) for word in command]
    done = subprocess.run(words, env=env or clean_environment(), input=stdin, capture_output=True, text=True, cwd="/")
    if done.returncode:
        output = (done.stdout + done.stderr).strip()
        raise ToolError(f"{' '.join(words)[:300]} failed ({done.returncode})\n{output[-4000:]}")
    return done.stdout


def is_root() -> bool:
    """Whether this process may do anything it likes."""
    return os.geteuid() == 0


@cache
def as_root() -> tuple[str, ...] | None:
    """The words before a command that needs root: none, sudo, or None where there is no way."""
    if is_root():
        return ()
    sudo = shutil.which("sudo")
    if sudo and subprocess.run([sudo, "-n", "true"], capture_output=True).returncode == 0:
        return (sudo, "-n")
    return None


def as_server(*command: str | Path) -> list[str | Path]:
    """A command as the operating system user the private server runs as (never root)."""
    return ["runuser", "-u", "postgres", "--", *command] if is_root() else list(command)
