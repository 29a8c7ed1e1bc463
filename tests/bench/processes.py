"""Run a command, and know how long it took and what it held; keep a service running beside it."""

from __future__ import annotations

import compileall
import json
import os
import subprocess
import sys
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import asrcli

__all__ = ["Process", "Ran", "environment", "held", "measured"]

_EVERY = 0.02


@dataclass(frozen=True, slots=True)
class Ran:
    """What a command took; `started` is by the monotonic clock."""

    started: float
    seconds: float
    peak: int
    """Bytes that belong to the process and those below it, together, at the worst moment."""
    output: str


def environment(**more: str) -> dict[str, str]:
    """The variables for a program that is measured; what is imported has been compiled before."""
    compileall.compile_dir(str(Path(asrcli.__file__).parent), quiet=1)
    unwanted = {"PYTHONDONTWRITEBYTECODE"}
    return {k: v for k, v in os.environ.items() if k not in unwanted} | more


def measured(
    command: Sequence[str], environ: Mapping[str, str], *, folder: Path | None = None
) -> Ran:
    """Run it to its end; it has to succeed. Memory is read on Linux alone, else it is 0."""
    started = time.monotonic()
    process = subprocess.Popen(
        command, env=environ, cwd=folder, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
    )
    ended = threading.Event()
    peaks = [0]

    def watch() -> None:
        while not ended.wait(_EVERY):
            peaks.append(held(process.pid))

    watcher = threading.Thread(target=watch, daemon=True)
    watcher.start()
    output, errors = process.communicate()
    seconds = time.monotonic() - started
    ended.set()
    watcher.join()
    if process.returncode:
        raise RuntimeError(f"{command[0]} ended with {process.returncode}: {errors[-2000:]}")
    return Ran(started, seconds, max(peaks), output)


def held(root: int) -> int:
    """The proportional memory of a process and all below it, in bytes."""
    waiting, total = [root], 0
    while waiting:
        pid = waiting.pop()
        folder = Path(f"/proc/{pid}")
        try:
            for line in (folder / "smaps_rollup").read_text().splitlines():
                if line.startswith("Pss:"):
                    total += int(line.split()[1]) * 1024
            for task in (folder / "task").iterdir():
                waiting += map(int, (task / "children").read_text().split())
        except (OSError, ValueError):
            continue
    return total


class Process:
    """A service in a process of its own, seen from outside.

    The script prints where it listens, and answers each line on its standard input by a line of
    JSON about what has come since the last one. It ends with the block.
    """

    def __init__(self, script: str, *arguments: str) -> None:
        self._process = subprocess.Popen(
            [sys.executable, script, *arguments],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
            cwd=Path(__file__).parents[2],
        )
        self.url = self._line()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self._process.kill()
        self._process.wait()
        for pipe in (self._process.stdin, self._process.stdout):
            if pipe is not None:
                pipe.close()

    def told(self) -> Any:
        """What came since the last time."""
        assert self._process.stdin is not None
        self._process.stdin.write("tell\n")
        self._process.stdin.flush()
        return json.loads(self._line())

    def _line(self) -> str:
        assert self._process.stdout is not None
        return self._process.stdout.readline().strip()
