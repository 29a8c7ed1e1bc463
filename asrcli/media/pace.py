"""Hand out a recording as fast as somebody speaks, or a little faster to catch up."""

from __future__ import annotations

import time
from collections.abc import Callable

__all__ = ["CATCHING_UP", "Pace"]

CATCHING_UP = 4.0
"""Times real time: the most that is sent when there is something to catch up on."""


class Pace:
    """A clock of sound: `wait` sleeps until the next stretch is due.

    A stretch is due when a listener of the original, who began with the first one, would hear it.
    Whoever is behind that is let on at `fastest` times real time, and never faster.
    """

    def __init__(
        self,
        *,
        fastest: float = CATCHING_UP,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self._fastest = fastest
        self._clock = clock
        self._sleep = sleep
        self._due: float | None = None
        self._soonest = 0.0

    def wait(self, seconds: float) -> None:
        """Sleep until a stretch of this length may go; the first one may go at once."""
        now = self._clock()
        due = now if self._due is None else self._due
        pause = max(due, self._soonest) - now
        if pause > 0:
            self._sleep(pause)
        self._due = due + seconds
        self._soonest = max(now, now + pause) + seconds / self._fastest
