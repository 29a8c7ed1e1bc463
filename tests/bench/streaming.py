"""Live audio at real time, next to the bare `websockets` library that sends the same frames.

    python tests/bench/streaming.py

Both read 16 kHz from a pipe into which 100 ms are written every 100 ms, and send it to the same
service, in turn. The delay of a frame is from the moment at which its last byte was in the pipe to
its arrival; that of an event from the moment at which the service sent it to its line on standard
output. What asrcli adds is the difference to the bare library, percentile by percentile. The time
of the processor is counted from the first line on: the start is not part of it.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from itertools import pairwise
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.listener import Listener  # noqa: E402
from tests.bench.processes import environment  # noqa: E402

BLOCK = 3_200
"""Bytes of 100 ms, which are written at once."""
PERCENTILES = (50, 95, 99)
LIMIT_FRAME = 10.0
LIMIT_EVENT = 15.0
LIMIT_CPU = 0.03
MODELS = {"run-task": "fun-asr-realtime", "realtime": "qwen3-asr-flash-realtime"}


@dataclass(frozen=True, slots=True)
class Heard:
    """Delays in milliseconds, and the share of a processor that was used."""

    frames: list[float]
    events: list[float]
    cpu: float
    frame_bytes: int


def listen(command: list[str], environ: dict[str, str], listener: Listener, seconds: int) -> Heard:
    """Let a command listen for so long."""
    process = subprocess.Popen(
        command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE, cwd=ROOT
    )
    assert process.stdin is not None
    assert process.stdout is not None
    output = process.stdout
    lines: list[tuple[float, str]] = []
    used: list[tuple[float, float]] = []

    def read() -> None:
        for line in output:
            lines.append((time.monotonic(), line.decode().strip()))
            used.append((time.monotonic(), processor_seconds(process.pid)))

    reader = threading.Thread(target=read)
    reader.start()
    written = feed(process, seconds)
    reader.join()
    if process.wait():
        raise RuntimeError(f"{command[0]} ended with {process.returncode}")
    came = listener.report()
    texts = [text for _, text in lines]
    assert texts == [f"second {n + 1}" for n in range(seconds)], texts
    frames = [1000 * (at - written[-(-end // BLOCK) - 1]) for end, at in came["frames"]
              if end <= len(written) * BLOCK]  # fmt: skip
    events = [1000 * (at - sent) for (at, _), sent in zip(lines, came["finals"], strict=True)]
    (began, before), (ended, after) = used[0], used[-1]
    sizes = [end - begin for (begin, _), (end, _) in pairwise(came["frames"])]
    cpu = (after - before) / (ended - began)
    return Heard(frames[10:], events[1:], cpu, round(statistics.median(sizes)))


def feed(process: subprocess.Popen[bytes], seconds: int) -> list[float]:
    """Write audio at real time; gives when each block was in the pipe."""
    assert process.stdin is not None
    written = []
    # Not before it listens: what waits in the pipe meanwhile is no delay of a stream.
    time.sleep(2.0)
    began = time.monotonic()
    for number in range(seconds * 10):
        time.sleep(max(0.0, began + (number + 1) / 10 - time.monotonic()))
        process.stdin.write(os.urandom(BLOCK))
        process.stdin.flush()
        written.append(time.monotonic())
    process.stdin.close()
    return written


def processor_seconds(pid: int) -> float:
    """What a process has used so far; 0 where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()
    except OSError:
        return 0.0
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def compare(dialogue: str, model: str, seconds: int, listener: Listener) -> dict[str, Any]:
    """All numbers for one dialogue."""
    environ = environment(**listener.environment())
    ours = listen(
        [sys.executable, "-m", "asrcli", "stream-mic", "-q", "-m", model, "--input", "-",
         "--rate", "16000"],
        environ, listener, seconds,
    )  # fmt: skip
    end = "inference" if dialogue == "run-task" else "realtime"
    bare = [sys.executable, str(ROOT / "tests/bench/bare.py"), f"{listener.url}/{end}"]
    theirs = listen([*bare, str(ours.frame_bytes)], environ, listener, seconds)
    row: dict[str, Any] = {"dialogue": dialogue, "frame bytes": ours.frame_bytes}
    for name, mine, other in (
        ("frame", ours.frames, theirs.frames), ("event", ours.events, theirs.events)
    ):  # fmt: skip
        for percent in PERCENTILES:
            a, b = percentile(mine, percent), percentile(other, percent)
            row[f"{name} p{percent}"] = round(a, 2)
            row[f"{name} p{percent}, bare"] = round(b, 2)
            row[f"{name} p{percent}, added"] = round(a - b, 2)
    return row | {"cpu": round(ours.cpu, 4), "cpu, bare": round(theirs.cpu, 4)}


def percentile(values: list[float], percent: int) -> float:
    """The value that so many percent are below."""
    return statistics.quantiles(values, n=100, method="inclusive")[percent - 1]


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--seconds", type=int, default=60)
    options = parser.parse_args()
    kept = True
    for dialogue, model in MODELS.items():
        with Listener() as listener:
            row = compare(dialogue, model, options.seconds, listener)
        print(json.dumps(row, indent=1), flush=True)
        kept &= row["frame p95, added"] < LIMIT_FRAME and row["event p95, added"] < LIMIT_EVENT
        kept &= row["cpu"] < LIMIT_CPU
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
