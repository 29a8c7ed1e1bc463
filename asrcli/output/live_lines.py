"""Live text for a person: what is heard so far in one line that is repainted, and a status line.

Both stand below all else that is on the screen, and are taken away before anything else is
written: what a console shows it takes away by itself, others write within `above`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from asrcli.output.displays import NoDisplay
from asrcli.output.labels import labels
from asrcli.output.sanitize import for_terminal, for_text, one_line
from asrcli.output.terminal import NoticeStream, is_dumb
from asrcli.output.width import clusters, display_width, last_cells
from asrcli.transcript import Segment, Transcript

__all__ = ["LinesDisplay", "LiveLines", "plain_line", "screen_line"]

_PERIOD = 0.1
"""Seconds from one painting to the next, where only the level has changed."""
_CELLS = 10
_QUIETEST = -60.0
"""dBFS at which the meter shows nothing."""
_ERASE = "\r\x1b[2K"
_UP = "\x1b[1A\x1b[2K"
_HIDE, _SHOW = "\x1b[?25l", "\x1b[?25h"


class LiveLines:
    """The lines at the bottom; any thread may call. Where nobody watches, nothing is painted.

    `status` False leaves the status line away.
    """

    def __init__(
        self,
        stream: NoticeStream,
        environ: Mapping[str, str],
        *,
        status: bool = True,
        clock: Callable[[], float] = time.monotonic,
        lock: threading.RLock | None = None,
    ) -> None:
        """`lock` is that of whoever else writes on the same screen."""
        self.active = stream.terminal and not is_dumb(environ)
        self._stream = stream
        self._environ = environ
        self._with_status = status
        self._clock = clock
        self._lock = lock or threading.RLock()
        self._rows = 0
        self._held = 0
        self._paused = False
        self._begun = False
        self._painted_at = -1.0
        self._partial = ""
        self._level = _QUIETEST
        self._seconds = 0.0
        self._state = ""
        self._service = ""
        self._lag = 0.0

    def __enter__(self) -> LiveLines:
        with self._lock:
            self._begun = True
            if self.active:
                self._stream.write(_HIDE)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._begun = False
            if self.active:
                self._stream.write(self._erased() + _SHOW)

    def partial(self, text: str) -> None:
        """What is heard so far; empty takes it back."""
        with self._lock:
            self._partial = for_terminal(one_line(text))
            self._paint()

    def status(self, state: str, *, lag: float, service: str) -> None:
        """How the service is doing; `lag` are seconds."""
        with self._lock:
            self._state, self._lag, self._service = state, lag, service
            self._paint()

    def level(self, level: float, seconds: float) -> None:
        """How loud it is, in dBFS, and how many seconds were heard."""
        with self._lock:
            self._level, self._seconds = level, seconds
            if self._with_status and self._clock() - self._painted_at >= _PERIOD:
                self._paint()

    def write(self, text: str) -> None:
        """Write lines for whoever watches; within `above`."""
        self._stream.write(for_terminal(text, lines=True))

    @contextmanager
    def above(self, *, final: bool = False) -> Iterator[None]:
        """Let something be written above the lines; a `final` takes the place of the partial."""
        with self._lock:
            self._stream_erase()
            self._held += 1
            if final:
                self._partial = ""
            try:
                yield
            finally:
                self._held -= 1
                self._paint()

    def pause(self) -> None:
        """Leave the screen to someone else, until `resume`."""
        with self._lock:
            self._paused = True
            self._stream_erase()

    def resume(self) -> None:
        """Come back."""
        with self._lock:
            self._paused = False
            self._paint()

    # --- with the lock held ---------------------------------------------------------------------

    def _stream_erase(self) -> None:
        if erased := self._erased():
            self._stream.write(erased)

    def _erased(self) -> str:
        rows, self._rows = self._rows, 0
        return "" if rows == 0 else _ERASE + _UP * (rows - 1)

    def _paint(self) -> None:
        if not self.active or not self._begun or self._held or self._paused:
            return
        self._painted_at = self._clock()
        # The last cell is left free: terminals differ in what comes after it.
        cells = max(1, self._stream.size(self._environ)[0] - 1)
        lines = [last_cells(self._partial, cells, mark=self._mark)] if self._partial else []
        if self._with_status and self._state:
            lines.append(_first_cells(self._status_line(), cells))
        self._stream.write(self._erased() + "\n".join(lines))
        self._rows = len(lines)

    @property
    def _mark(self) -> str:
        return "…" if self._stream.unicode else ""

    def _status_line(self) -> str:
        lag = f", {self._lag:.1f} s behind" if self._lag >= 0.5 else ""
        service = for_terminal(one_line(self._service))
        return f"{_clock_time(self._seconds)} {self._meter()} {service}: {self._state}{lag}"

    def _meter(self) -> str:
        share = min(1.0, max(0.0, (self._level - _QUIETEST) / -_QUIETEST))
        full = round(share * _CELLS)
        on, off = ("█", "░") if self._stream.unicode else ("#", ".")
        return f"[{on * full}{off * (_CELLS - full)}]"


class LinesDisplay(NoDisplay):
    """The lines as what stands on the screen of a console, which pauses it to write."""

    def __init__(self, lines: LiveLines) -> None:
        self._lines = lines

    def pause(self) -> None:
        """Take them away."""
        self._lines.pause()

    def resume(self) -> None:
        """Paint them again."""
        self._lines.resume()

    def stop(self) -> None:
        """Take them away for good."""
        self._lines.pause()


# --- finals -------------------------------------------------------------------------------------


def plain_line(segment: Segment) -> str:
    """A final as a line of text, with who spoke where that is known."""
    name = _speaker(segment)
    text = for_text(segment.text)
    return f"{name}: {text}" if name else text


def screen_line(segment: Segment) -> str:
    """A final as someone who watches sees it: with its time, speaker and emotion if known."""
    marks = [f"[{_clock_time(segment.start)}]"] if segment.start is not None else []
    if name := _speaker(segment):
        marks.append(name)
    if segment.emotion:
        marks.append(f"({for_text(segment.emotion)})")
    text = for_text(segment.text)
    return f"{' '.join(marks)}{':' if marks[1:] else ''} {text}".strip()


def _speaker(segment: Segment) -> str | None:
    label = labels(Transcript((segment,), provider="", model=""))
    return label(segment) if label else None


def _first_cells(text: str, cells: int) -> str:
    """The beginning of a text, at most so many cells wide."""
    if display_width(text) <= cells:
        return text
    kept = ""
    for cluster in clusters(text):
        if display_width(kept + cluster) > cells:
            break
        kept += cluster
    return kept


def _clock_time(seconds: float) -> str:
    whole = int(seconds)
    hours, minutes = whole // 3600, whole // 60 % 60
    return f"{hours}:{minutes:02}:{whole % 60:02}" if hours else f"{minutes:02}:{whole % 60:02}"
