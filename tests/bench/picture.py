"""Draw the README picture: `python tests/bench/picture.py` runs commands and keeps the screen.

The commands run in a real terminal of 92 columns (tmux), with no key and no network needed; what
it shows is written as SVG to `.readme/terminal.svg`.
"""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import tempfile
import uuid
from pathlib import Path

from rich.console import Console
from rich.text import Text

ROOT = Path(__file__).parent.parent.parent
RECORDINGS = ROOT / "tests" / "data" / "recordings"
COLUMNS, LINES = 92, 26
COMMANDS = (
    "asrcli transcribe welcome.wav",
    "asrcli transcribe -q -f srt journey.flac | head -n 7",
    "asrcli models qwen3-asr-flash -p qwen | cut -c1-90 | head -n 8",
)
PROMPT = "\\033[1;32m$\\033[0m"


def tmux(socket: str, *arguments: str) -> str:
    """One command to a tmux server of our own."""
    command = ["tmux", "-L", socket, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def screen(commands: tuple[str, ...]) -> str:
    """What a terminal shows after the commands, with its colors as escape sequences."""
    socket = f"asrcli-{uuid.uuid4().hex[:8]}"
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "HOME": tempfile.mkdtemp(),
        "TERM": "screen-256color",
        "LC_ALL": "C.UTF-8",
    }
    settings = " ".join(f"{name}={shlex.quote(value)}" for name, value in environ.items())
    lines = [f"printf '{PROMPT} %s\\n' {shlex.quote(c)}; {c}" for c in commands]
    script = "; ".join([*lines, f"tmux -L {socket} wait -S done", "read -r"])
    shell = f"exec env -i {settings} bash -c {shlex.quote(script)}"
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    tmux(socket, "-f", "/dev/null", "new-session", "-d", *size, "-c", str(RECORDINGS), shell)
    try:
        tmux(socket, "wait", "done")
        return tmux(socket, "capture-pane", "-p", "-e")
    finally:
        tmux(socket, "kill-server")


def draw(shown: str, path: Path) -> None:
    """Write a screen as SVG."""
    console = Console(width=COLUMNS, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(shown.rstrip()), soft_wrap=True)
    path.write_text(console.export_svg(title="asrcli"), "utf-8")


if __name__ == "__main__":
    draw(screen(COMMANDS), ROOT / ".readme" / "terminal.svg")
