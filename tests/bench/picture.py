"""Draw the README picture: `python tests/bench/picture.py` runs commands and keeps the screen.

The commands run in a real terminal of 92 columns (tmux), with no key and no network needed; what
it shows is written as SVG to `.readme/terminal.svg`.
"""

from __future__ import annotations

import os
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
    "asrcli transcribe -f srt journey.flac | head -n 8",
    "asrcli models --language yue --batch | cut -c1-90",
)


def tmux(socket: str, *arguments: str) -> str:
    """One command to a tmux server of our own."""
    command = ["tmux", "-L", socket, *arguments]
    return subprocess.run(command, check=True, capture_output=True, text=True).stdout


def screen(commands: tuple[str, ...]) -> str:
    """What a terminal shows after the commands, with its colors as escape sequences."""
    socket = f"asrcli-{uuid.uuid4().hex[:8]}"
    environ = {
        "PATH": f"{Path(sys.executable).parent}:{os.environ['PATH']}",
        "PS1": r"\[\e[1;32m\]$\[\e[0m\] ",
        "HOME": tempfile.mkdtemp(),
        "TERM": "xterm-256color",
        "LC_ALL": "C.UTF-8",
    }
    settings = [f"-e{name}={value}" for name, value in environ.items()]
    size = ["-x", str(COLUMNS), "-y", str(LINES)]
    shell = "bash --norc --noprofile"
    tmux(socket, "-f", "/dev/null", "new-session", "-d", *size, *settings,
         "-c", str(RECORDINGS), shell)  # fmt: skip
    try:
        for number, command in enumerate(commands):
            signal = f"done-{number}"
            tmux(socket, "send-keys", f"{command}; tmux -L {socket} wait -S {signal}", "Enter")
            tmux(socket, "wait", signal)
        return tmux(socket, "capture-pane", "-p", "-e", "-J")
    finally:
        tmux(socket, "kill-server")


def draw(shown: str, path: Path) -> None:
    """Write a screen as SVG."""
    import re

    clean = re.sub(r"; tmux -L \S+ wait -S done-\d", "", shown)
    console = Console(width=COLUMNS, record=True, file=open(os.devnull, "w"))  # noqa: SIM115, PTH123
    console.print(Text.from_ansi(clean.rstrip()), soft_wrap=True)
    path.write_text(console.export_svg(title="asrcli"), "utf-8")


if __name__ == "__main__":
    draw(screen(COMMANDS), ROOT / ".readme" / "terminal.svg")
