"""The installed program, listening at real time while the service drops the connection again.

    python tests/bench/endurance.py --minutes 10 --drops 10

The emulator writes down the words whose sound arrived; each is to be printed once, in order. What
the process holds is looked at all the while: memory, threads and files must not grow.
"""

from __future__ import annotations

import argparse
import itertools
import json
import subprocess
import sys
import threading
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import environment  # noqa: E402
from tests.emulators.realtime import Abort, At, Close, RealtimeEmulator  # noqa: E402
from tests.emulators.realtime.toy import WORDS, hear, talk  # noqa: E402

BLOCK = 3_200
"""Bytes of 100 ms of 16 kHz."""
PERIOD = 4.0
"""Seconds from one utterance to the next."""
MOST_GROWTH = 8e6


def sentences(minutes: float) -> list[str]:
    """Pairs of words, all different from their neighbors."""
    count = int(minutes * 60 / PERIOD)
    return [f"{WORDS[n % 15]} {WORDS[(n * 7 + 3) % 15]}" for n in range(count)]


def quick_hear(samples: bytes, rate: int) -> Any:
    """As `hear`, but silence costs next to nothing."""
    return hear(samples if any(samples[::320]) else b"", rate)


def held(pid: int) -> dict[str, int]:
    """Bytes of memory, threads and open files of a process."""
    status = Path(f"/proc/{pid}/status").read_text("utf-8").splitlines()
    fields = dict(line.split(":", 1) for line in status)
    return {
        "memory": int(fields["VmRSS"].split()[0]) * 1024,
        "threads": int(fields["Threads"]),
        "files": sum(1 for _ in Path(f"/proc/{pid}/fd").iterdir()),
    }


def listen(service: RealtimeEmulator, sound: bytes) -> tuple[list[str], list[dict[str, int]]]:
    """What the program printed, and what it held every two seconds."""
    environ = environment(
        DASHSCOPE_API_KEY=service.key, DASHSCOPE_WEBSOCKET_BASE_URL=service.base_url
    )
    command = [sys.executable, "-m", "asrcli", "stream-mic", "-m", "fun-asr-realtime",
               "--input", "-", "--rate", "16000"]  # fmt: skip
    process = subprocess.Popen(command, env=environ, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    output, lines, samples = process.stdout, list[str](), list[dict[str, int]]()
    reader = threading.Thread(target=lambda: lines.extend(line.decode().strip() for line in output))
    reader.start()
    began = time.monotonic()
    for number in itertools.count():
        block = sound[number * BLOCK : (number + 1) * BLOCK]
        if not block:
            break
        time.sleep(max(0.0, began + number / 10 - time.monotonic()))
        process.stdin.write(block)
        process.stdin.flush()
        if number % 20 == 0:
            samples.append(held(process.pid))
    process.stdin.close()
    reader.join()
    if process.wait():
        raise RuntimeError(f"asrcli ended with {process.returncode}")
    return lines, samples


def main() -> int:
    """Listen, print, and exit with 1 where something was lost, doubled, or grew."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--minutes", type=float, default=10.0)
    parser.add_argument("--drops", type=int, default=10)
    options = parser.parse_args()
    said = sentences(options.minutes)
    sound = b"".join(talk(text, pause=PERIOD - 0.45) for text in said)
    each = options.minutes * 60 / (options.drops + 1)
    with RealtimeEmulator(listen=quick_hear, step=0.5, idle_limit=None) as service:
        for number in range(options.drops):
            actions: list[Any] = [Abort(), Close(1011), Close(1013), Close(1000)]
            service.scripts.append([At(each + 0.3 * number, actions[number % 4])])
        lines, samples = listen(service, sound)
        connections = len(service.connections)
    settled = samples[len(samples) // 5 :]
    row = {
        "minutes": options.minutes,
        "connections": connections,
        "said": len(said),
        "printed": len(lines),
        "as said": lines == said,
    }
    for name in ("memory", "threads", "files"):
        seen = [sample[name] for sample in settled]
        row[name] = {"first": seen[0], "last": seen[-1], "most": max(seen)}
    print(json.dumps(row, indent=1))
    first, last = settled[0], settled[-1]
    grew = last["memory"] - first["memory"] > MOST_GROWTH or any(
        last[name] > first[name] + 1 for name in ("threads", "files")
    )
    return 0 if lines == said and connections == options.drops + 1 and not grew else 1


if __name__ == "__main__":
    sys.exit(main())
