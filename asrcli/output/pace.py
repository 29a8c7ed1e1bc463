"""How fast work goes, measured over a window that moves with it.

Work comes in lumps: a piece of three minutes, or a job of ten hours. So the window holds the last
minute, but never fewer than the last lumps; with one lump an answer would be a guess, and there
is none.
"""

from __future__ import annotations

from collections import deque

__all__ = ["Pace"]

_WINDOW = 60.0
_STEP = 1.0
"""Seconds; lumps that come closer to each other are kept as one."""
_LUMPS = 16
"""At least so many are kept, however old the first of them is."""
_ENOUGH = 3
_LEAST = 2.0
"""Lumps, and seconds of the clock, before a rate is told."""


class Pace:
    """Seconds of audio for a second of the clock; the clock is the caller's."""

    def __init__(self) -> None:
        self._marks: deque[tuple[float, float]] = deque()
        """When, and how much was done by then; the first is where the measure begins."""
        self._done = 0.0
        self._lumps = 0

    def add(self, seconds: float, *, since: float, now: float) -> None:
        """So much more was done; `since` is when its work began, and counts for the first."""
        if not self._marks:
            self._marks.append((since, 0.0))
        self._done += seconds
        self._lumps += 1
        marks = self._marks
        if len(marks) > 2 and now - marks[-2][0] < _STEP:
            marks.pop()
        marks.append((now, self._done))
        while len(marks) > _LUMPS and marks[1][0] < now - _WINDOW:
            marks.popleft()

    def rate(self, now: float) -> float | None:
        """The rate until now; None until it can be said."""
        if self._lumps < _ENOUGH:
            return None
        began, done = self._marks[0]
        if now - began < _LEAST or self._done <= done:
            return None
        return (self._done - done) / (now - began)
