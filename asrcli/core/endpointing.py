"""Where utterances end, by loudness alone: for services that leave that to us.

The loudness of a room is learned from its quietest moments, so that a fan is no speech.
"""

from __future__ import annotations

import math
from collections import deque
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Endpointer", "loudness"]

_FLOOR = -90.0
_ABOVE = 9.0
"""dB by which speech stands out from the room,"""
_LEAST = -55.0
"""and the dBFS that it has at least: less is a room in which nobody speaks."""
_SLACK = 0.01
"""Seconds that blocks may lack of a pause: tenths do not add up."""
_ROOM = 5.0
"""Seconds of which the quietest moment is the room."""


def loudness(samples: Samples) -> float:
    """The dBFS of a block of float32 samples in [-1, 1]; -90 for silence and all below."""
    power = float((samples * samples).mean()) if len(samples) else 0.0
    return max(_FLOOR, 10 * math.log10(power)) if power > 0 else _FLOOR


class Endpointer:
    """Takes the loudness of block after block; about 0.1 s each."""

    def __init__(self, *, pause: float = 0.6, longest: float = 20.0) -> None:
        """`pause` are the seconds of quiet that end an utterance; `longest` ends it anyhow."""
        self.speaking = False
        """An utterance has begun and not ended."""
        self.quiet = 0.0
        """Seconds since the last speech."""
        self.lasted = 0.0
        """Seconds since the utterance began."""
        self.pause = pause
        """May be changed between blocks."""
        self._longest = longest
        self._room: deque[tuple[float, float]] = deque()
        self._seconds = 0.0

    @property
    def paused(self) -> bool:
        """It was quiet for long enough."""
        return self.quiet >= self.pause - _SLACK

    def take(self, level: float, seconds: float) -> bool:
        """One more block; True when it ends the utterance."""
        loud = self._is_loud(level, seconds)
        self.quiet = 0.0 if loud else self.quiet + seconds
        if not self.speaking:
            self.speaking, self.lasted = loud, seconds if loud else 0.0
            return False
        self.lasted += seconds
        if not self.paused and self.lasted < self._longest:
            return False
        self.speaking = False
        return True

    def _is_loud(self, level: float, seconds: float) -> bool:
        self._room.append((level, seconds))
        self._seconds += seconds
        while self._seconds - self._room[0][1] > _ROOM:
            self._seconds -= self._room.popleft()[1]
        room = min(known for known, _ in self._room)
        # Somebody who speaks without a breath is no room.
        return level >= max(_LEAST, min(room, -30.0) + _ABOVE)
