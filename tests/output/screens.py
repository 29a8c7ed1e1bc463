"""A terminal for tests: what is sent to it becomes what someone would see on it."""

from __future__ import annotations

import io
import re
from collections.abc import Callable

from asrcli.output.width import clusters, display_width

__all__ = ["Clock", "Screen", "TerminalStream"]

_SEQUENCE = re.compile(r"\x1b\[(?P<private>\??)(?P<argument>[0-9;]*)(?P<letter>[A-Za-z])")
_OBEYED = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]")


class Screen:
    """As much of a terminal as asrcli uses; anything else that is sent to it is an error.

    `lines` are all lines that were ever on it, those that scrolled out at the top too.
    """

    def __init__(self, columns: int = 80) -> None:
        self.columns = columns
        self.cursor_shown = True
        self._lines: list[list[str]] = [[]]
        self._row = 0
        self._column = 0

    @property
    def lines(self) -> list[str]:
        """The lines without blanks at their ends, up to the last that holds anything."""
        lines = ["".join(line).rstrip() for line in self._lines]
        while lines and not lines[-1]:
            lines.pop()
        return lines

    def feed(self, text: str) -> Screen:
        """Take what a program writes."""
        at = 0
        for match in _SEQUENCE.finditer(text):
            self._show(text[at : match.start()])
            self._obey(match["private"], match["argument"], match["letter"])
            at = match.end()
        self._show(text[at:])
        return self

    def _show(self, text: str) -> None:
        assert not _OBEYED.search(text), f"the terminal would obey something in {text!r}"
        for part in re.split("([\r\n])", text):
            match part:
                case "\n":
                    self._down()
                    self._column = 0
                case "\r":
                    self._column = 0
                case _:
                    for cluster in clusters(part):
                        self._put(cluster)

    def _obey(self, private: str, argument: str, letter: str) -> None:
        match private, letter:
            case "?", "h" | "l":
                assert argument == "25"
                self.cursor_shown = letter == "h"
            case "", "m":
                pass
            case "", "K":
                assert argument == "2"
                self._lines[self._row] = []
            case "", "A":
                self._row = max(0, self._row - int(argument or 1))
            case _:
                raise AssertionError(f"the terminal would obey {private}{argument}{letter}")

    def _put(self, cluster: str) -> None:
        width = display_width(cluster)
        if self._column + width > self.columns:
            self._down()
            self._column = 0
        line = self._lines[self._row]
        line.extend(" " * (self._column + width - len(line)))
        # A wide character stands in one cell, and the next one is empty.
        line[self._column : self._column + width] = [cluster] + [""] * (width - 1)
        self._column += width

    def _down(self) -> None:
        self._row += 1
        if self._row == len(self._lines):
            self._lines.append([])


class TerminalStream(io.StringIO):
    """A text stream that says it is a terminal."""

    def isatty(self) -> bool:
        return True

    @property
    def encoding(self) -> str:  # type: ignore[override]
        return "utf-8"


class Clock:
    """A clock and a ticker that are moved by hand."""

    def __init__(self) -> None:
        self.now = 100.0
        self.period = 0.0
        self.running = False
        self._tick: Callable[[], None] = lambda: None

    def __call__(self) -> float:
        return self.now

    def ticker(self, tick: Callable[[], None], period: float) -> Callable[[], None]:
        """What a Console takes as its ticker."""
        self._tick, self.period, self.running = tick, period, True

        def stop() -> None:
            self.running = False

        return stop

    def tick(self, seconds: float = 0.0) -> None:
        """Let time go by, and tick once."""
        self.now += seconds
        assert self.running
        self._tick()
