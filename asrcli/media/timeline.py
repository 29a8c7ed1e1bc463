"""When each piece of sound belongs, by the times that its container gives.

Sound may start later than the pictures, stop for minutes while a speaker was muted, or come from
two files glued together whose clocks both start at zero. Times of a transcript are times of the
recording, so a gap counts as silence, and a clock that is set anew goes on where it was.
"""

from __future__ import annotations

__all__ = ["Timeline"]

_BACKWARD = 1.0
"""Seconds by which a clock may go back before it counts as set anew."""
_LONGEST_GAP = 3_600.0
"""Seconds after which a gap is taken for a broken clock: hours of silence help nobody."""
_EXACT = 0.02
_DRIFT = 0.2
"""Seconds by which times may be off before silence is put in: where they are surely right, and
where containers round to milliseconds and sound cards run slow."""

_COUNTS_SAMPLES = {"flac", "ogg", "opus"}
"""Containers whose times are exact to the sample."""
_NO_CLOCK = {"aac", "amr", "mp3"}
"""Containers whose times FFmpeg counts itself, all by the rate at the start."""
_CANNOT_TELL = {"aac", "avi", "flv", "mp3", "mpeg"}
"""Containers without a place for a codec's delay."""


class Timeline:
    """Turns a container's times into seconds from the start of the recording."""

    def __init__(
        self, container: str, codec: str, sample_rate: int, frame_samples: int, start: float | None
    ) -> None:
        """Begin with the first frame of a track; `start` is the container's first time, if known.

        All times are in seconds.
        """
        self._container = container
        self._clocked = True
        delay, late = _delay_of(codec, container, frame_samples, start)
        self._late = late / sample_rate
        self._start = None if start is None else start + self._late
        self.lead_in = delay
        """Samples at the start of what a decoder hands out that are no sound."""
        self.end = -delay / sample_rate
        """Up to here there is sound; below 0, the lead-in is still to come."""

    def change_rate(self) -> None:
        """From here on the sample rate is another one."""
        self._clocked = self._container not in _NO_CLOCK

    def silence_before(self, time: float | None, *, missing: bool = False) -> float:
        """Seconds of silence that are due before the sound that the container dates `time`.

        `missing` says that something before it is known to be lost.
        """
        gap = self._place(time) - self.end
        exact = missing or self.end <= 0 or self._container in _COUNTS_SAMPLES
        return gap if gap > (_EXACT if exact else _DRIFT) else 0.0

    def extend(self, time: float | None, seconds: float) -> None:
        """Take note of sound of this length, dated `time`, without looking at the sound."""
        if time is None:
            self.end += seconds
        else:
            self.end = max(self.end, self._place(time) + seconds)

    def _place(self, time: float | None) -> float:
        """Where sound belongs; behind the last if it is undated."""
        if time is None or not self._clocked:
            return self.end
        if self._start is None:
            self._start = time + self._late
        place = time - self._start
        if not self.end - _BACKWARD <= place <= self.end + _LONGEST_GAP:
            self._start = time - self.end
            return self.end
        return place


def _delay_of(
    codec: str, container: str, frame_samples: int, start: float | None
) -> tuple[int, int]:
    """What a codec puts in front that is no sound, where the container cannot say so.

    Returns how many samples a decoder hands out too many, and by how many the container's times
    are late. An encoder starts with a lead-in, which MP4, Matroska, Ogg and LAME's tag declare and
    FFmpeg then removes. For the others this is the usual length: one frame of AAC; with MP3, 576
    of LAME and 529 of any decoder (https://lame.sourceforge.io/tech-FAQ.txt). A stream that was
    cut out of a longer one loses a frame that could not be decoded right.
    """
    if codec in {"wmav1", "wmav2"}:
        # FFmpeg drops the lead-in of one frame and the next, but leaves the times as they are.
        return 0, frame_samples
    if container not in _CANNOT_TELL or (container == "mp3" and start):
        return 0, 0  # An MP3 whose tag tells starts later by what was removed.
    delay = {"aac": frame_samples, "mp3": 1105, "mp2": 481}.get(codec, 0)
    return delay, delay
