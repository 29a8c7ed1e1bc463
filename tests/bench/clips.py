"""Many short clips at once, next to `xargs -P 32 curl` that makes the same calls.

    python tests/bench/clips.py

2,000 clips of 3 to 8 s go to a service that answers each call after 0.2 s, 32 at a time: 160 a
second is what there is to reach. curl gets bodies that were prepared before; asrcli looks at each
file, encodes it, keeps the answer and writes its text.
"""

from __future__ import annotations

import argparse
import base64
import json
import random
import shutil
import sys
import tempfile
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[2]
sys.path.insert(0, str(ROOT))

from tests.bench.processes import Ran, environment, measured  # noqa: E402
from tests.bench.service import GENERATION, Service  # noqa: E402

DELAY = 0.2
IN_FLIGHT = 32
LIMIT_REACHED = 0.9
LIMIT_CURL = 1.0
LIMIT_CONNECTIONS = 1.1


def clips(folder: Path, count: int) -> list[Path]:
    """So many clips of noise, all different."""
    import numpy as np

    from asrcli.media.encode import Codec, encode

    folder.mkdir()
    made, dice = [], np.random.default_rng(7)
    lengths = random.Random(7)
    for number in range(count):
        samples = dice.normal(0, 0.05, round(lengths.uniform(3, 8) * 16_000)).astype(np.float32)
        path = folder / f"{number:04}.opus"
        encode([samples], path, Codec.OPUS)
        made.append(path)
    return made


def bodies(paths: list[Path], folder: Path) -> Path:
    """The same calls as files for curl, and the list of them."""
    folder.mkdir()
    names = []
    for path in paths:
        audio = f"data:audio/ogg;base64,{base64.b64encode(path.read_bytes()).decode()}"
        messages = [{"role": "user", "content": [{"audio": audio}]}]
        body = {"model": "qwen3-asr-flash", "input": {"messages": messages}, "parameters": {}}
        target = folder / f"{path.stem}.json"
        target.write_text(json.dumps(body), "utf-8")
        names.append(str(target))
    listed = folder / "list"
    listed.write_text("\n".join(names), "utf-8")
    return listed


def with_curl(listed: Path, service: Service) -> tuple[Ran, dict[str, Any]]:
    """The calls by curl, one process each."""
    key = service.environment()["DASHSCOPE_API_KEY"]
    call = (
        f"xargs -P {IN_FLIGHT} -I BODY curl -sS -o BODY.answer -H 'Authorization: Bearer {key}' "
        f"-H 'Content-Type: application/json' --data-binary @BODY {service.url}{GENERATION} "
        f"< {listed}"
    )
    ran = measured(["sh", "-c", call], environment())
    return ran, service.report()


def with_asrcli(folder: Path, output: Path, service: Service) -> tuple[Ran, dict[str, Any]]:
    """The calls by asrcli, with its state kept as usual."""
    environ = environment(**service.environment(), XDG_STATE_HOME=str(output / "state"))
    command = [sys.executable, "-m", "asrcli", "transcribe", "-m", "qwen3-asr-flash",
               "-j", str(IN_FLIGHT), "-q", str(folder), "-o", f"{output}/texts/"]  # fmt: skip
    ran = measured(command, environ)
    return ran, service.report()


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--clips", type=int, default=2_000)
    parser.add_argument("--rounds", type=int, default=1)
    options = parser.parse_args()
    if shutil.which("curl") is None or shutil.which("xargs") is None:
        raise SystemExit("curl and xargs are needed")
    rows = []
    with tempfile.TemporaryDirectory() as name, Service(delay=DELAY) as service:
        folder = Path(name)
        paths = clips(folder / "clips", options.clips)
        listed = bodies(paths, folder / "bodies")
        for number in range(options.rounds):
            output = folder / f"round-{number}"
            output.mkdir()
            ran, came = with_asrcli(folder / "clips", output, service)
            curl, went = with_curl(listed, service)
            best = options.clips * DELAY / IN_FLIGHT
            rows.append(
                {
                    "wall": round(ran.seconds, 2),
                    "curl": round(curl.seconds, 2),
                    "ideal": best,
                    "reached": round(best / ran.seconds, 3),
                    "wall / curl": round(ran.seconds / curl.seconds, 3),
                    "calls": came["calls"],
                    "connections": came["connections"],
                    "most in flight": came["most_in_flight"],
                    "memory": round(ran.peak / 1e6),
                    "curl calls": went["calls"],
                }
            )
            print(json.dumps(rows[-1]))
    last = rows[-1]
    kept = (
        last["reached"] >= LIMIT_REACHED
        and last["wall / curl"] <= LIMIT_CURL
        and last["connections"] <= LIMIT_CONNECTIONS * IN_FLIGHT
        and last["calls"] == options.clips
    )
    return 0 if kept else 1


if __name__ == "__main__":
    sys.exit(main())
