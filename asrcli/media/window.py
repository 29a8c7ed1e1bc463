"""The part of a recording that is being looked at, and how loud it is, frame by frame.

Imported only by `asrcli.media.speech`, inside whose functions numpy is loaded.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Levels = NDArray[np.float64]

__all__ = [
    "FRAMES_PER_SECOND",
    "SILENCE",
    "Piece",
    "Window",
    "levels",
    "powers",
    "quietest",
    "runs",
]

FRAMES_PER_SECOND = 100
SILENCE = -75.0
"""dBFS (RMS). Below lie a few steps of 16 bits; nobody speaks there."""

_CUT_FRAMES = 20
"""200 ms: a cut is made in the middle of the quietest of these."""
_CLEAN_DROP = 15.0
"""dB below the loud parts around it, from where a quiet place is a pause."""


@dataclass(frozen=True, slots=True, eq=False)
class Piece:
    """A stretch of a recording: samples, and where they lie in it."""

    samples: Samples
    """float32, mono, in [-1, 1]."""
    first: int
    """The index of the first sample in the recording."""
    sample_rate: int
    clean: bool = True
    """False if its end goes through sound, for want of a pause; the next begins there."""
    speech: bool | None = None
    """True if the neural gate heard speech in it; None if nobody judged."""

    @property
    def stop(self) -> int:
        """The index after its last sample."""
        return self.first + len(self.samples)

    @property
    def start(self) -> float:
        """Seconds from the start of the recording."""
        return self.first / self.sample_rate

    @property
    def end(self) -> float:
        """Seconds from the start of the recording."""
        return self.stop / self.sample_rate

    def pcm16(self) -> bytes:
        """The samples as 16-bit PCM, little endian; what was such PCM comes out as it was."""
        import numpy as np

        numbers = np.clip(np.nan_to_num(self.samples, posinf=0.0, neginf=0.0), -1, 1)
        pcm: bytes = np.minimum(np.rint(numbers * 32_768), 32_767).astype("<i2").tobytes()
        return pcm


class Window:
    """Samples that came and were not yet taken, with the power of each 10 ms of them."""

    def __init__(self, sample_rate: int) -> None:
        import numpy as np

        self.sample_rate = sample_rate
        self.frame = sample_rate // FRAMES_PER_SECOND
        self.first = 0
        self.size = 0
        self.power: Levels = np.empty(0)
        """Of the complete frames; the samples after the last one have none yet."""
        self._blocks: list[Samples] = []
        self._rest: Samples = np.empty(0, dtype=np.float32)

    def fill(self, source: Iterator[Samples], frames: int) -> bool:
        """Read until there are so many frames; False if the source ended before."""
        while len(self.power) < frames:
            block = next(source, None)
            if block is None:
                return False
            self._add(block)
        return True

    def take(self, frames: int | None = None) -> Samples:
        """Remove that many frames from the front, or everything that is left."""
        import numpy as np

        samples = np.concatenate(self._blocks) if self._blocks else self._rest
        count = len(samples) if frames is None else min(frames * self.frame, len(samples))
        # Copies: a view would keep the whole window in memory.
        self._blocks = [samples[count:].copy()] if count < len(samples) else []
        self.power = self.power[frames:] if frames is not None else self.power[:0]
        if not self._blocks:
            self._rest = self._rest[:0]
        self.first += count
        self.size -= count
        return samples[:count].copy()

    def _add(self, block: Samples) -> None:
        import numpy as np

        self._blocks.append(block)
        self.size += len(block)
        pending = np.concatenate((self._rest, block))
        self.power = np.concatenate((self.power, powers(pending, self.frame)))
        self._rest = pending[len(pending) // self.frame * self.frame :].copy()


def powers(samples: Samples, frame: int) -> Levels:
    """The variance of each complete frame; what is no number counts as silence.

    It is the mean square without a constant offset, which some sound cards add and nobody hears.
    """
    import numpy as np

    count = len(samples) // frame
    frames = samples[: count * frame].reshape(count, frame)
    with np.errstate(invalid="ignore", over="ignore"):
        power: Levels = frames.var(axis=1, dtype=np.float64)
    return np.nan_to_num(power, copy=False, posinf=0.0)


def levels(power: Levels, frames: int) -> Levels:
    """The level around each frame in dBFS, averaged over `frames`; never below SILENCE."""
    import numpy as np

    if not len(power):
        return power
    around = min(frames, len(power))
    sums = np.concatenate(([0.0], np.cumsum(power)))
    at = np.arange(len(power))
    low = np.maximum(at - around // 2, 0)
    high = np.minimum(low + around, len(power))
    mean = (sums[high] - sums[low]) / (high - low)
    level: Levels = np.maximum(10 * np.log10(np.maximum(mean, 1e-12)), SILENCE)
    return level


def quietest(power: Levels, early: int, late: int) -> tuple[int, bool]:
    """The best frame to cut before, from `early` up to `late`, and whether it is a pause.

    No threshold is involved in the choice: it is the middle of the quietest stretch.
    """
    import numpy as np

    level = levels(power, _CUT_FRAMES)
    early = max(1, min(early, len(power) - 1))
    part = level[early : max(late, early) + 1]
    best = float(part.min())
    begin, end = max(runs(part <= best + 1.0), key=lambda run: run[1] - run[0])
    loud = float(np.percentile(level, 90))
    return early + (begin + end) // 2, best <= max(loud - _CLEAN_DROP, SILENCE)


def runs(mask: NDArray[np.bool_]) -> list[tuple[int, int]]:
    """Where the mask is true: beginnings, and the indices after the ends."""
    import numpy as np

    edges = np.flatnonzero(np.diff(np.concatenate(([False], mask, [False])).astype(np.int8)))
    return list(zip(edges[::2].tolist(), edges[1::2].tolist(), strict=True))
