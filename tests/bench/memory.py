"""How much memory a recording takes, by its length: it must not.

    python tests/bench/memory.py --speech FOLDER

10 minutes, 1 hour and 12 hours of speech go in pieces to a service that answers at once.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.pieces import speech  # noqa: E402
from tests.bench.processes import environment, measured  # noqa: E402
from tests.bench.service import Service  # noqa: E402

LIMIT = 20e6


def main() -> int:
    """Measure and print; exits with 1 where the limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--speech", type=Path, required=True)
    parser.add_argument("--minutes", type=int, nargs="*", default=[10, 60, 720])
    options = parser.parse_args()
    peaks = []
    with tempfile.TemporaryDirectory() as name, Service(delay=0.2) as service:
        folder = Path(name)
        for minutes in options.minutes:
            path = speech(options.speech, folder, minutes)
            environ = environment(**service.environment(), XDG_STATE_HOME=str(folder))
            command = [sys.executable, "-m", "asrcli", "transcribe", "-m", "qwen3-asr-flash",
                       "-q", "--no-cache", str(path)]  # fmt: skip
            ran = measured(command, environ)
            peaks.append(ran.peak)
            row = {"minutes": minutes, "memory": round(ran.peak / 1e6, 1)}
            print(json.dumps(row | {"seconds": round(ran.seconds, 1), **service.report()}))
    return 0 if max(peaks) - min(peaks) <= LIMIT else 1


if __name__ == "__main__":
    sys.exit(main())
