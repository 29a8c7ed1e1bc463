"""Run the installed command as a user would: its own process, its own environment."""

from __future__ import annotations

import os
import subprocess
import sysconfig
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

__all__ = ["COMMAND", "Ran", "environment", "run"]

COMMAND = [str(Path(sysconfig.get_path("scripts")) / f"asrcli{'.exe' if os.name == 'nt' else ''}")]
"""The script that installing the package made, beside the Python that runs the tests."""
_DEADLINE = 120.0
"""Seconds after which a program that hangs is killed, and its test fails."""


@dataclass(frozen=True, slots=True)
class Ran:
    """A program that ended."""

    status: int
    out: str
    err: str
    out_bytes: bytes


def environment(**more: str) -> dict[str, str]:
    """The clean environment of the tests, and what is given on top."""
    return {**os.environ, "PYTHONWARNINGS": "error", **more}


def run(
    *arguments: str | Path,
    env: Mapping[str, str] | None = None,
    stdin: bytes | None = b"",
    cwd: Path | None = None,
    command: Sequence[str] = COMMAND,
    **rest: Any,
) -> Ran:
    """Run to the end; `stdin` None leaves it closed."""
    if stdin is None:
        rest["stdin"] = subprocess.DEVNULL
    else:
        rest["input"] = stdin
    done = subprocess.run(
        [*command, *map(str, arguments)],
        env=environment(**(env or {})),
        cwd=cwd,
        capture_output=True,
        timeout=_DEADLINE,
        check=False,
        **rest,
    )
    return Ran(
        done.returncode,
        done.stdout.decode("utf-8", "replace"),
        done.stderr.decode("utf-8", "replace"),
        done.stdout,
    )
