"""How soon the first call leaves when a folder holds 100,000 files, 30 levels deep.

python tests/bench/scan.py
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.clips import clips  # noqa: E402
from tests.bench.processes import environment, held  # noqa: E402
from tests.bench.service import Service  # noqa: E402

LIMIT_FIRST = 2.0
LIMIT_MEMORY = 200e6
DEPTH = 30


def tree(folder: Path, clip: Path, count: int) -> None:
    """So many links to one clip, below folders below folders."""
    each = count // DEPTH
    current = folder
    for level in range(DEPTH):
        current = current / f"level-{level:02}"
        current.mkdir(parents=True)
        for number in range(each + (count % DEPTH if level == 0 else 0)):
            os.link(clip, current / f"{number:05}.opus")


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--files", type=int, default=100_000)
    options = parser.parse_args()
    with tempfile.TemporaryDirectory() as name, Service(delay=0.05) as service:
        folder = Path(name)
        clip = clips(folder / "one", 1)[0]
        # Most file systems allow some 65,000 names for one file.
        half = folder / "one" / "two.opus"
        half.write_bytes(clip.read_bytes())
        tree(folder / "tree" / "a", clip, options.files // 2)
        tree(folder / "tree" / "b", half, options.files - options.files // 2)
        environ = environment(**service.environment(), XDG_STATE_HOME=str(folder / "state"))
        started = time.monotonic()
        process = subprocess.Popen(
            [sys.executable, "-m", "asrcli", "transcribe", "-m", "qwen3-asr-flash", "-r", "-q",
             str(folder / "tree"), "-o", f"{folder}/texts/"],
            env=environ,
        )  # fmt: skip
        first = peak = 0.0
        while not first and process.poll() is None:
            peak = max(peak, held(process.pid))
            first = service.report()["first"]
        process.kill()
        process.wait()
        row = {"files": options.files, "first": round(first - started, 2), "memory": peak / 1e6}
        print(json.dumps(row))
        return 0 if first and row["first"] <= LIMIT_FIRST and peak <= LIMIT_MEMORY else 1


if __name__ == "__main__":
    sys.exit(main())
