"""What a person sees, in a real terminal (tmux)."""

from __future__ import annotations

import shutil
import subprocess
import uuid
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.cli.conftest import Served
from tests.emulators.dashscope.app import DashScope
from tests.emulators.troubles import Gate
from tests.program import COMMAND
from tests.recordings import recording

pytestmark = pytest.mark.skipif(shutil.which("tmux") is None, reason="tmux is not installed")


class Terminal:
    """A terminal of 60 columns with a shell in it."""

    def __init__(self, folder: Path, env: dict[str, str]) -> None:
        self._socket = f"asrcli-{uuid.uuid4().hex[:8]}"
        settings = [f"-e{name}={value}" for name, value in env.items()]
        self.tmux("-f", "/dev/null", "new-session", "-d", "-x", "60", "-y", "20", "-c", str(folder),
                  *settings, "bash --norc --noprofile")  # fmt: skip

    def tmux(self, *arguments: str) -> str:
        command = ["tmux", "-L", self._socket, *arguments]
        done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=60)
        return done.stdout

    def start(self, command: str, signal: str) -> None:
        """Type a command; `signal` is given when it has ended."""
        self.tmux(
            "send-keys", f"clear; {command}; tmux -L {self._socket} wait -S {signal}", "Enter"
        )

    def wait(self, signal: str) -> None:
        self.tmux("wait", signal)

    def screen(self) -> list[str]:
        return [line.rstrip() for line in self.tmux("capture-pane", "-p").splitlines()]


@pytest.fixture
def terminal(
    qwen: Served[DashScope], welcome: Path, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[Terminal]:
    home = str(tmp_path_factory.mktemp("home"))
    opened = Terminal(welcome.parent, {**qwen.env, "HOME": home, "PS1": "$ ", "LC_ALL": "C.UTF-8"})
    yield opened
    opened.tmux("kill-server")


def test_the_text_stands_alone_and_progress_leaves_no_debris(terminal: Terminal) -> None:
    terminal.start(f"{COMMAND[0]} transcribe welcome.wav", "done")
    terminal.wait("done")

    shown = [line for line in terminal.screen() if line and not line.startswith("$")]
    text = "".join(line for line in shown if not line.startswith("asrcli:"))
    assert "Good morning, and welcome." in text
    assert shown[-1].startswith(("asrcli: welcome.wav: qwen3-asr-flash", " RTF", "RTF")) or any(
        "RTF" in line for line in shown
    )
    assert not any(mark in "".join(shown) for mark in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏")


def test_somebody_who_waits_sees_what_is_being_done(
    terminal: Terminal, qwen: Served[DashScope]
) -> None:
    gate = Gate()
    qwen.service.failures.append(gate)
    terminal.start(f"{COMMAND[0]} transcribe welcome.wav", "done")

    seen = ""
    for _ in range(2000):
        seen = "\n".join(terminal.screen())
        if any(mark in seen for mark in "⠋⠙⠹⠸⠼⠴⠦⠧⠇⠏"):
            break
    gate.open()
    terminal.wait("done")

    assert "welcome.wav" in seen
    assert recording("welcome").text.split()[0] in "\n".join(terminal.screen())


def test_ctrl_c_stops_it_with_130_and_leaves_nothing_behind(
    terminal: Terminal, qwen: Served[DashScope], welcome: Path
) -> None:
    gate = Gate()
    qwen.service.failures.append(gate)
    command = f"{COMMAND[0]} transcribe welcome.wav -o out.txt; echo status=$?"
    terminal.start(command, "done")
    for _ in range(2000):
        if qwen.service.requests:
            break
        terminal.screen()
    terminal.tmux("send-keys", "C-c")
    terminal.wait("done")
    gate.open()

    shown = "\n".join(terminal.screen())
    assert "status=130" in shown
    assert "Traceback" not in shown
    assert sorted(path.name for path in welcome.parent.iterdir()) == ["welcome.wav"]
