"""A long recording in pieces, next to `qwen3-asr-toolkit` on the same service.

    python tests/bench/pieces.py --speech FOLDER --toolkit VENV/bin/qwen3-asr

FOLDER holds recordings of real speech, which are put one after another until there are 10 and 60
minutes of them. Both programs have 4 calls in flight, each answered after 1 s, and run in turn.
Ratios are ours to theirs; the ideal wall time is the larger of the waves of calls and the time
that the processors need to encode. Without `--toolkit` only the ideal is compared with.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import Ran, environment, measured  # noqa: E402
from tests.bench.service import Service  # noqa: E402

DELAY = 1.0
IN_FLIGHT = 4
LIMITS = {"first": 0.15, "bytes": 0.15, "memory": 0.2, "wall": 0.5, "ideal": 1.3}


def speech(folder: Path, target: Path, minutes: int) -> Path:
    """So many minutes of the recordings in `folder`, over and over, as MP3."""
    names = sorted(p for p in folder.iterdir() if p.suffix in {".wav", ".flac", ".mp3", ".ogg"})
    single = target / "single.mp3"
    graph = "".join(f"[{i}:a]aresample=16000,aformat=channel_layouts=mono[a{i}];"
                    for i in range(len(names)))  # fmt: skip
    graph += "".join(f"[a{i}]" for i in range(len(names))) + f"concat=n={len(names)}:v=0:a=1"
    inputs = [part for name in names for part in ("-i", str(name))]
    quiet = ["ffmpeg", "-v", "error", "-y"]
    subprocess.run([*quiet, *inputs, "-filter_complex", graph, str(single)], check=True)
    made = target / f"speech-{minutes}.mp3"
    subprocess.run(
        [*quiet, "-stream_loop", "-1", "-i", str(single), "-t", str(60 * minutes),
         "-c", "copy", str(made)],
        check=True,
    )  # fmt: skip
    return made


def ideal(path: Path, calls: int) -> float:
    """The larger of the waves of calls, and decoding the first piece plus encoding all of them."""
    from asrcli.media.decode import blocks
    from asrcli.media.encode import Codec, encode
    from asrcli.media.parcels import parcels

    started = time.process_time()
    found = list(parcels(blocks(path, container="mp3", sample_rate=16_000), longest=180.0))
    decoding = time.process_time() - started
    started = time.process_time()
    with tempfile.TemporaryDirectory() as folder:
        for parcel in found:
            encode([parcel.samples], Path(folder) / "piece.opus", Codec.OPUS)
    encoding = time.process_time() - started
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    waves = math.ceil(calls / IN_FLIGHT) * DELAY
    return max(waves, encoding / (cores or 1) + decoding / len(found))


def ours(path: Path, service: Service, folder: Path) -> tuple[Ran, dict[str, Any]]:
    """One run of asrcli from nothing."""
    environ = environment(**service.environment(), XDG_STATE_HOME=str(folder / "state"))
    command = [sys.executable, "-m", "asrcli", "transcribe", "-m", "qwen3-asr-flash",
               "-j", str(IN_FLIGHT), "--no-cache", "--state", str(folder / "none.db"),
               "-q", str(path)]  # fmt: skip
    ran = measured(command, environ)
    return ran, service.report()


def theirs(program: str, path: Path, service: Service, folder: Path) -> tuple[Ran, dict[str, Any]]:
    """One run of the toolkit, which writes its text beside the recording."""
    environ = environment(**service.environment(), PYTHONWARNINGS="ignore")
    command = [program, "-i", str(path), "-j", str(IN_FLIGHT), "-t", str(folder / "cache"), "-s"]
    ran = measured(command, environ)
    return ran, service.report()


def compare(path: Path, minutes: int, program: str | None, folder: Path) -> dict[str, Any]:
    """All numbers for one recording."""
    with Service(delay=DELAY) as service:
        mine, came = ours(path, service, folder)
        row: dict[str, Any] = {
            "minutes": minutes,
            "wall": round(mine.seconds, 2),
            "first": round(came["first"] - mine.started, 2),
            "requests": came["calls"],
            "megabytes": round(came["bytes"] / 1e6, 2),
            "memory": round(mine.peak / 1e6),
            "in flight": came["most_in_flight"],
            "ideal": round(ideal(path, came["calls"]), 2),
        }
        row["wall / ideal"] = round(mine.seconds / row["ideal"], 2)
        if program is None:
            return row
        other, went = theirs(program, path, service, folder)
    row |= {
        "their wall": round(other.seconds, 2),
        "their first": round(went["first"] - other.started, 2),
        "their requests": went["calls"],
        "their megabytes": round(went["bytes"] / 1e6, 2),
        "their memory": round(other.peak / 1e6),
        "wall ratio": round(mine.seconds / other.seconds, 3),
        "first ratio": round((came["first"] - mine.started) / (went["first"] - other.started), 3),
        "bytes ratio": round(came["bytes"] / went["bytes"], 3),
        "memory ratio": round(mine.peak / other.peak, 3),
    }
    return row


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--toolkit", help="the program qwen3-asr of an environment of its own")
    parser.add_argument("--minutes", type=int, nargs="*", default=[10, 60])
    options = parser.parse_args()
    kept = True
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        for minutes in options.minutes:
            path = speech(options.speech, folder, minutes)
            row = compare(path, minutes, options.toolkit, folder)
            print(json.dumps(row, indent=1))
            kept &= row["wall / ideal"] <= LIMITS["ideal"]
            for field in ("wall", "first", "bytes", "memory"):
                kept &= row.get(f"{field} ratio", 0.0) <= LIMITS[field]
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
