"""A real terminal: what is on its screen in the end (T06, T08, T10)."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from typing import BinaryIO, TextIO

import pytest

from asrcli.output.console import Console
from tests.output.screens import Clock, Screen

pytestmark = pytest.mark.skipif(os.name == "nt", reason="Windows has no pseudo-terminals")


class Terminal:
    """A pseudo-terminal, and all that was written to it."""

    def __init__(self) -> None:
        import pty

        self._master, self._slave = pty.openpty()
        self._taken = bytearray()
        self._reader = threading.Thread(target=self._read)
        self._reader.start()

    def resize(self, columns: int, lines: int) -> None:
        import termios

        termios.tcsetwinsize(self._slave, (lines, columns))

    def streams(self) -> tuple[BinaryIO, TextIO]:
        """Standard output and standard error."""
        out = os.fdopen(os.dup(self._slave), "wb")
        return out, os.fdopen(os.dup(self._slave), "w", encoding="utf-8")

    def close(self) -> str:
        """Hang up; returns what was written."""
        if self._slave >= 0:
            os.close(self._slave)
            self._slave = -1
            self._reader.join()
            os.close(self._master)
        return self._taken.decode()

    def _read(self) -> None:
        while True:
            try:
                data = os.read(self._master, 65536)
            except OSError:  # how Linux says that the other side has hung up
                return
            if not data:
                return
            self._taken += data


@pytest.fixture
def terminal() -> Iterator[Terminal]:
    made = Terminal()
    yield made
    made.close()


def test_texts_and_notes_are_whole_and_the_line_is_gone(terminal: Terminal) -> None:
    terminal.resize(30, 10)
    clock = Clock()
    out, err = terminal.streams()
    with out, err:
        console = Console(
            stdout=out, stderr=err, environ={"TERM": "xterm"}, clock=clock, ticker=clock.ticker
        )
        with console.progress(3, duration=30.0) as progress:
            for number in range(3):
                item = progress.begin(f"{number}.wav", duration=10.0)
                item.partial(f"語音 {number} " * 20)
                clock.tick(0.1)
                console.write_data([f"the whole text of number {number}, wider than it\x1b[2J\n"])
                item.end()
                clock.tick(0.1)
            console.note("a note")
        console.close()

    screen = Screen(30).feed(terminal.close())
    assert "".join(screen.lines) == (
        "the whole text of number 0, wider than it\\x1b[2J"
        "the whole text of number 1, wider than it\\x1b[2J"
        "the whole text of number 2, wider than it\\x1b[2J"
        "asrcli: a note"
    )
    assert screen.cursor_shown


@pytest.mark.parametrize("size", [(20, 5), (0, 0), (1, 1)])
def test_an_odd_size_is_no_trouble(terminal: Terminal, size: tuple[int, int]) -> None:
    terminal.resize(*size)
    clock = Clock()
    out, err = terminal.streams()
    with out, err:
        console = Console(
            stdout=out, stderr=err, environ={"TERM": "xterm"}, clock=clock, ticker=clock.ticker
        )
        with console.progress(1) as progress:
            progress.begin("talk.wav").partial("text " * 50)
            clock.tick(0.1)
        console.table(["A", "B"], [["one", "two"]])
        console.close()

    assert Screen(size[0] or 80).feed(terminal.close()).cursor_shown


def test_a_resize_in_the_middle_of_a_run_changes_the_line(terminal: Terminal) -> None:
    terminal.resize(70, 10)
    clock = Clock()
    out, err = terminal.streams()
    with out, err:
        console = Console(
            stdout=out, stderr=err, environ={"TERM": "xterm"}, clock=clock, ticker=clock.ticker
        )
        with console.progress(1) as progress:
            progress.begin("talk.wav").partial("x" * 200)
            clock.tick(0.1)
            terminal.resize(20, 10)
            clock.tick(0.1)
        console.close()

    written = terminal.close()
    before, after = written.split("x" * 50, 1)
    assert "talk.wav" in before
    assert "lk.wav …xxxxxxxxx\r" in after
    assert Screen(70).feed(written).lines == []


def test_progress_is_live_while_data_goes_into_a_pipe(terminal: Terminal) -> None:
    clock = Clock()
    out, err = terminal.streams()
    reader, writer = os.pipe()
    with out, err, os.fdopen(writer, "wb") as pipe:
        console = Console(
            stdout=pipe, stderr=err, environ={"TERM": "xterm"}, clock=clock, ticker=clock.ticker
        )
        with console.progress(1) as progress:
            progress.begin("talk.wav")
            clock.tick(0.1)
            console.write_data(["word " * 60 + "\n"])
        console.close()

    with os.fdopen(reader, "rb") as piped:
        assert piped.read() == b"word " * 60 + b"\n"
    assert "talk.wav" in terminal.close()


def test_the_real_ticker_paints_without_help(terminal: Terminal) -> None:
    painted = threading.Event()
    out, err = terminal.streams()

    class Watched:
        """Standard error that tells when something was painted."""

        encoding = "utf-8"

        def isatty(self) -> bool:
            return True

        def fileno(self) -> int:
            return err.fileno()

        def write(self, text: str) -> int:
            if "talk.wav" in text:
                painted.set()
            return err.write(text)

        def flush(self) -> None:
            err.flush()

    with out, err:
        console = Console(stdout=out, stderr=Watched(), environ={"TERM": "xterm"})  # type: ignore[arg-type]
        with console.progress(1) as progress:
            progress.begin("talk.wav")
            assert painted.wait(30)
        console.close()

    assert Screen().feed(terminal.close()).lines == []
    assert all(t.name != "asrcli-progress" for t in threading.enumerate())
