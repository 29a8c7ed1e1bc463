"""How long the program takes to start, next to what it is built on.

`python tests/bench/startup.py` prints two ratios: `asrcli --help` to the `--help` of the smallest
Typer program with rich, and `asrcli --version` to `python -c pass`. The pairs run in turn, so that
a change in the machine's speed meets both; the ratio is that of the medians.
"""

from __future__ import annotations

import compileall
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import asrcli

BARE = '''
import typer

app = typer.Typer(pretty_exceptions_enable=False)


@app.command()
def one(name: str) -> None:
    """Do one thing."""


@app.command()
def two(name: str) -> None:
    """Do another."""


def main() -> None:
    app()
'''
LAUNCHER = "import sys\nfrom {module} import main\nsys.exit(main())\n"
HELP_LIMIT = 1.2
VERSION_LIMIT = 3.0


def elapsed(command: list[str], environ: dict[str, str]) -> float:
    """Seconds that a command takes; it has to succeed."""
    started = time.perf_counter()
    subprocess.run(command, env=environ, check=True, stdout=subprocess.DEVNULL)
    return time.perf_counter() - started


def ratio(
    ours: list[str], theirs: list[str], environ: dict[str, str], *, runs: int = 21
) -> tuple[float, float, float]:
    """Medians of both in seconds, and their ratio."""
    pairs = [(elapsed(ours, environ), elapsed(theirs, environ)) for _ in range(runs + 2)][2:]
    mine, yours = (statistics.median(side) for side in zip(*pairs, strict=True))
    return mine, yours, mine / yours


def main() -> int:
    """Measure and print; exits with 1 where a limit is not kept."""
    environ = {k: v for k, v in os.environ.items() if k != "PYTHONDONTWRITEBYTECODE"}
    environ |= {"COLUMNS": "100", "TERM": "xterm"}
    compileall.compile_dir(str(Path(asrcli.__file__).parent), quiet=1)
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "bare.py").write_text(BARE, "utf-8")
        compileall.compile_dir(name, quiet=1)
        for program, module in (("theirs", "bare"), ("ours", "asrcli.__main__")):
            (folder / program).write_text(LAUNCHER.format(module=module), "utf-8")
        environ["PYTHONPATH"] = os.pathsep.join([name, str(Path(asrcli.__file__).parent.parent)])
        python = sys.executable
        ours, theirs = [python, f"{name}/ours"], [python, f"{name}/theirs"]
        rows = [
            ("asrcli --help / Typer + rich --help", HELP_LIMIT,
             *ratio([*ours, "--help"], [*theirs, "--help"], environ)),
            ("asrcli --version / python -c pass", VERSION_LIMIT,
             *ratio([*ours, "--version"], [python, "-c", "pass"], environ)),
        ]  # fmt: skip
    for what, limit, mine, yours, found in rows:
        print(f"{what}: {mine * 1e3:.0f} ms / {yours * 1e3:.0f} ms = {found:.2f} (at most {limit})")
    return int(any(found > limit for _, limit, _, _, found in rows))


if __name__ == "__main__":
    sys.exit(main())
