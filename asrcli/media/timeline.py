"""When each piece of sound belongs, by the times that its container gives.

Sound may start later than the pictures, stop for minutes while a speaker was muted, or come from
two files glued together whose clocks both start at zero. Times of a transcript are times of the
recording, so a gap counts as silence, and a clock that is set anew goes on where it was.
"""

from __future__ import annotations

__all__ = ["Timeline", "delay_of"]

_BACKWARD = 1.0
"""Seconds by which a clock may go back before it counts as set anew."""
_LONGEST_GAP = 3_600.0
"""Seconds after which a gap is taken for a broken clock: hours of silence help nobody."""
_LEAD = 0.02
_DRIFT = 0.2
"""Seconds by which times may be off, at the start and later, before silence is put in: containers
round to milliseconds, and sound cards run slow."""

_CANNOT_TELL = {"aac", "avi", "flv", "mp3", "mpeg"}
"""Containers without a place for a codec's delay."""


class Timeline:
    """Turns a container's times into seconds from the start of the recording."""

    def __init__(self, start: float | None, *, late: float = 0.0, end: float = 0.0) -> None:
        """`start` is the time of the container that is 0, by default that of the first sound.

        `late` is by how much its times are late. All in seconds.
        """
        self._start = None if start is None else start + late
        self._late = late
        self.end = end
        """Up to here there is sound; below 0, what comes next is a lead-in."""

    def place(self, time: float | None) -> float:
        """Where the sound belongs that the container dates `time`; behind the last if undated."""
        if time is None:
            return self.end
        if self._start is None:
            self._start = time + self._late
        place = time - self._start
        if not self.end - _BACKWARD <= place <= self.end + _LONGEST_GAP:
            self._start = time - self.end
            return self.end
        return place

    def silence_before(self, time: float | None) -> float:
        """Seconds of silence that are due before the sound dated `time`."""
        gap = self.place(time) - self.end
        return gap if gap > (_DRIFT if self.end > 0 else _LEAD) else 0.0

    def extend(self, time: float | None, seconds: float) -> None:
        """Take note of sound of this length, dated `time`, without looking at the sound."""
        if time is None:
            self.end += seconds
        else:
            self.end = max(self.end, self.place(time) + seconds)


def delay_of(
    codec: str, container: str, frame_samples: int, *, start: float | None
) -> tuple[int, int]:
    """What a codec puts in front that is no sound, where the container cannot say so.

    Returns how many samples a decoder hands out too many, and by how many the container's times
    are late; `start` is its first time. An encoder starts with a lead-in, which MP4, Matroska,
    Ogg and LAME's tag declare and FFmpeg then removes. For the others this is the usual length:
    one frame of AAC; with MP3, 576 of LAME and 529 of any decoder
    (https://lame.sourceforge.io/tech-FAQ.txt). A stream that was cut out of a longer one loses a
    frame that could not be decoded right.
    """
    if codec in {"wmav1", "wmav2"}:
        # FFmpeg drops the lead-in of one frame and the next, but leaves the times as they are.
        return 0, frame_samples
    if container not in _CANNOT_TELL or (container == "mp3" and start):
        return 0, 0  # An MP3 whose tag tells starts later by what was removed.
    delay = {"aac": frame_samples, "mp3": 1105, "mp2": 481}.get(codec, 0)
    return delay, delay
