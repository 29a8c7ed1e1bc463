"""A large upload, next to `curl -F` that sends the same file in the same form to the same service.

    python tests/bench/upload.py

Sending is timed by the service: from the headers of the form to its last byte. The file is also
hashed, for the record of `upload --json`, which curl does not do: that is measured by itself.
Memory is what 1 GB takes beyond 1 MB, in a run of its own. One round is no measure on a machine
that has other work: the median counts.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
import wave
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import environment, measured  # noqa: E402
from tests.bench.sink import FORMS, Arrival, Sink  # noqa: E402

MODEL = "qwen3-asr-flash-filetrans"
SMALL = 1_000_000
LIMIT_MEMORY = 60e6
LIMIT_SPEED = 0.8
_BLOCK = 1 << 20
_HEADER = 44


def sound(path: Path, size: int) -> Path:
    """A WAV file of so many bytes (or one less): noise, 16 kHz, stereo."""
    import numpy as np

    noise = np.random.default_rng(7).integers(-3_000, 3_000, _BLOCK, dtype=np.int16).tobytes()
    left = (size - _HEADER) // 4 * 4
    with wave.open(str(path), "wb") as file:
        file.setnchannels(2)
        file.setsampwidth(2)
        file.setframerate(16_000)
        while left:
            file.writeframesraw(noise[:left])
            left -= min(left, len(noise))
    return path


def asrcli(path: Path) -> list[str]:
    """The upload by asrcli."""
    return [sys.executable, "-m", "asrcli", "upload", "-q", "--json", "--no-cache",
            "-p", "qwen", "-m", MODEL, str(path)]  # fmt: skip


def curl(path: Path, sink: Sink) -> list[str]:
    """The same form by curl."""
    fields = ("OSSAccessKeyId=key", "Signature=c2lnbmF0dXJl", "policy=cG9saWN5",
              "x-oss-object-acl=private", "x-oss-forbid-overwrite=true",
              "key=dashscope-instant/bench/audio.wav", "success_action_status=200",
              f"file=@{path};type=audio/wav")  # fmt: skip
    form = [part for field in fields for part in ("-F", field)]
    return ["curl", "-sS", "--fail", *form, f"{sink.url}{FORMS}"]


def timed(command: list[str], environ: dict[str, str], sink: Sink) -> tuple[float, Arrival]:
    """Seconds for the whole command, and how its form came; nobody looks at its memory."""
    started = time.monotonic()
    subprocess.run(command, env=environ, check=True, capture_output=True)
    seconds = time.monotonic() - started
    (arrival,) = sink.arrivals()
    return seconds, arrival


def hashing(path: Path) -> float:
    """Seconds for the SHA-256 of the file."""
    started = time.perf_counter()
    with path.open("rb") as file:
        hashlib.file_digest(file, "sha256")
    return time.perf_counter() - started


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--bytes", type=int, default=1_000_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    if shutil.which("curl") is None:
        raise SystemExit("curl is needed")
    ratios = []
    with tempfile.TemporaryDirectory() as name, Sink() as sink:
        folder = Path(name)
        large = sound(folder / "large.wav", options.bytes)
        small = sound(folder / "small.wav", SMALL)
        size = large.stat().st_size
        environ = environment(**sink.environment(), XDG_STATE_HOME=name)
        least, most = (measured(asrcli(path), environ).peak for path in (small, large))
        sink.arrivals()
        for _ in range(options.rounds):
            wall, ours = timed(asrcli(large), environ, sink)
            _, theirs = timed(curl(large, sink), environ, sink)
            assert min(ours.bytes, theirs.bytes) > size
            ratios.append(theirs.seconds / ours.seconds)
            row = {
                "bytes": size,
                "wall": round(wall, 2),
                "hashing": round(hashing(large), 2),
                "sending": round(ours.seconds, 2),
                "curl": round(theirs.seconds, 2),
                "speed / curl": round(ratios[-1], 2),
            }
            print(json.dumps(row), flush=True)
    speed, memory = statistics.median(ratios), most - least
    row = {"speed / curl": speed, "memory": most / 1e6, "more memory": memory / 1e6}
    print(json.dumps({name: round(value, 2) for name, value in row.items()}))
    return 0 if speed >= LIMIT_SPEED and memory < LIMIT_MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
