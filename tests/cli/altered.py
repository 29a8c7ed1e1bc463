"""What tests of faults need: a program with shorter limits, many inputs, and its end watched."""

from __future__ import annotations

import subprocess
import sys
import time
import wave
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from tests.program import COMMAND, environment
from tests.recordings import Recording, recording

__all__ = ["GENERATION", "SHORT", "altered", "begin", "spoken", "until", "variants"]

GENERATION = "POST /api/v1/services/aigc/multimodal-generation/generation"
"""The route of a call to `qwen3-asr-flash`."""
SHORT = ("number", "welcome", "planet", "letter")
"""Recordings of a few seconds."""


def altered(code: str) -> list[str]:
    """The command that runs some code first, for limits that no option changes."""
    return [sys.executable, "-c", f"{code}\nfrom asrcli.__main__ import main\nmain()\n"]


def begin(
    *arguments: str | Path,
    env: Mapping[str, str],
    command: Sequence[str] = COMMAND,
    **rest: Any,
) -> subprocess.Popen[str]:
    """Start the program; it is waited for by `communicate`."""
    streams = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    return subprocess.Popen(
        [*command, *map(str, arguments)], env=environment(**env), text=True, **(streams | rest)
    )


def until(condition: Callable[[], object], *, limit: float = 30.0) -> None:
    """Wait for something to become true; fails after `limit` seconds."""
    end = time.monotonic() + limit
    while not condition():
        assert time.monotonic() < end, "it did not happen"
        time.sleep(0.005)


def variants(count: int, folder: Path, names: Sequence[str] = SHORT) -> list[Path]:
    """So many different recordings: the same few, each with a little more silence at its end."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for number in range(count):
        source = recording(names[number % len(names)])
        path = folder / f"{number:03}-{source.name}.wav"
        with wave.open(str(source.path)) as read, wave.open(str(path), "wb") as written:
            written.setparams(read.getparams())
            written.writeframes(read.readframes(read.getnframes()) + bytes(2 * 16 * number))
        made.append(path)
    return made


def spoken(path: Path) -> Recording:
    """What is said in one of the `variants`."""
    return recording(path.stem.partition("-")[2])
