"""The sound of a recording at 16 kHz without its long silences, frame by frame.

Imported only by `asrcli.media.parcels`. Everything is decided by pages of equal length, so the
result does not depend on the blocks that the samples come in.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from asrcli.media.places import RATE
from asrcli.media.window import FRAMES_PER_SECOND, SILENCE, levels, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    PCM = NDArray[np.int16]
    Levels = NDArray[np.float64]

__all__ = ["FRAME", "Frames", "audible", "concatenated"]

FRAME = RATE // FRAMES_PER_SECOND
"""Samples: 10 ms."""

_PAGE = 4 * FRAMES_PER_SECOND
_HISTORY = 30 * FRAMES_PER_SECOND
"""Frames gone by that still count for the noise floor."""
_LEAST_HEARD = 2 * FRAMES_PER_SECOND
"""With fewer frames than these nothing is known of the noise floor."""
_SMOOTH = 5
"""Frames over which loudness is judged."""
_FLOOR, _PEAK = 0.05, 0.995
"""Which of the levels, in order, are the noise floor and the loudest sound."""
_LEAST_ABOVE, _MOST_ABOVE = 3.0, 8.0
"""dB above the noise floor, from where a frame is no longer quiet; in doubt it is not."""
_STEADY, _LIVELY = 6.0, 12.0
"""dB between floor and peaks: less is steady noise alone; from the other on it is sound above
noise, and between them nobody knows whether the softest of it is noise."""


@dataclass(frozen=True, slots=True, eq=False)
class Frames:
    """Some frames of a recording; silences between them are left out."""

    pcm: PCM
    """16 bits, `FRAME` for each; the very last frame of a recording may be shorter."""
    power: Levels
    loud: NDArray[np.bool_]
    """Which stand out from the noise."""
    at: NDArray[np.int64]
    """The number of each frame in the recording."""

    def __len__(self) -> int:
        return len(self.power)

    def part(self, begin: int, end: int) -> Frames:
        """The frames from `begin` to before `end`: a view."""
        pcm = self.pcm[begin * FRAME : end * FRAME]
        return Frames(pcm, self.power[begin:end], self.loud[begin:end], self.at[begin:end])

    def owned(self) -> Frames:
        """A copy that keeps nothing else in memory."""
        return Frames(self.pcm.copy(), self.power.copy(), self.loud.copy(), self.at.copy())

    def jumps(self) -> list[int]:
        """The indices of the frames before which silence was left out."""
        import numpy as np

        found: list[int] = (np.flatnonzero(np.diff(self.at) != 1) + 1).tolist()
        return found


def concatenated(parts: Iterable[Frames]) -> Frames:
    """All parts as one; at least one is needed."""
    import numpy as np

    several = list(parts)
    if len(several) == 1:
        return several[0]
    return Frames(
        np.concatenate([part.pcm for part in several]),
        np.concatenate([part.power for part in several]),
        np.concatenate([part.loud for part in several]),
        np.concatenate([part.at for part in several]),
    )


def audible(blocks: Iterable[Samples], *, gap: int, padding: int) -> Iterator[Frames]:
    """Leave out silence of at least `gap` frames, but for `padding` beside the sound around it.

    Silence before the first and after the last sound counts as long. `gap` is at least twice
    `padding`. What comes out is all in order, and in parts of any length.
    """
    sieve = _Sieve(gap, padding)
    for page in _measured(blocks):
        yield from sieve.passed(page)


class _Sieve:
    """Lets sound through, and of a long silence its edges alone."""

    def __init__(self, gap: int, padding: int) -> None:
        self._gap = gap
        self._padding = padding
        self._quiet = gap
        """Frames of silence so far; before the recording there was nothing but that."""
        self._held: list[Frames] = []
        """Of these frames nobody knows yet whether the silence is a long one."""

    def passed(self, page: Frames) -> Iterator[Frames]:
        """What is to be let through now."""
        done = 0
        for begin, end in runs(~page.loud):
            # A short dip inside of sound changes nothing.
            if end - begin < self._padding and begin > 0 and end < len(page):
                continue
            if begin > done:
                yield from self._sounded(page.part(done, begin))
            yield from self._quieted(page.part(begin, end))
            done = end
        if done < len(page):
            yield from self._sounded(page.part(done, len(page)))

    def _sounded(self, part: Frames) -> Iterator[Frames]:
        yield from self._held
        self._held = []
        self._quiet = 0
        yield part

    def _quieted(self, part: Frames) -> Iterator[Frames]:
        passing = min(max(self._padding - self._quiet, 0), len(part))
        self._quiet += len(part)
        if passing:
            yield part.part(0, passing)
        if passing < len(part):
            self._held.append(part.part(passing, len(part)))
        if self._held and self._quiet >= self._gap:
            held = concatenated(self._held)
            self._held = [held.part(max(len(held) - self._padding, 0), len(held))]


def _measured(blocks: Iterable[Samples]) -> Iterator[Frames]:
    import numpy as np

    heard = np.empty(0)
    number = 0
    for samples in _pages(blocks, _PAGE * FRAME):
        pcm = _pcm(samples)
        power = _powers(pcm)
        at = np.arange(number, number + len(power))
        yield Frames(pcm, power, _loud(power, heard), at)
        number += len(power)
        heard = np.concatenate((heard, power))[-_HISTORY:]


def _pcm(samples: Samples) -> PCM:
    """With 16 bits, as they are encoded anyway: half the memory."""
    import numpy as np

    scaled = samples * np.float32(32_768)
    np.rint(scaled, out=scaled)
    if not np.isfinite(scaled.sum(dtype=np.float64)):
        np.nan_to_num(scaled, copy=False, posinf=0.0, neginf=0.0)
    return np.clip(scaled, -32_768, 32_767, out=scaled).astype(np.int16)


def _powers(pcm: PCM) -> Levels:
    """The variance of each frame, of full scale; the last one may lack some samples."""
    import numpy as np

    numbers = np.zeros(-(-len(pcm) // FRAME) * FRAME, dtype=np.float32)
    # Without an offset, single precision is enough for squares.
    np.subtract(pcm, pcm.mean(dtype=np.float32), out=numbers[: len(pcm)])
    frames = numbers.reshape(-1, FRAME)
    squares = np.einsum("ij,ij->i", frames, frames).astype(np.float64) / FRAME
    means = frames.mean(axis=1).astype(np.float64)
    power: Levels = np.maximum(squares - means**2, 0.0) / 32_768.0**2
    return power


def _loud(power: Levels, heard: Levels) -> NDArray[np.bool_]:
    """Which frames stand out from the noise floor; in doubt they do."""
    import numpy as np

    if 10 * np.log10(power.max() + 1e-12) <= SILENCE:
        return np.zeros(len(power), dtype=np.bool_)
    level = levels(np.concatenate((heard, power)), _SMOOTH)
    now = level[len(heard) :]
    low = SILENCE
    if len(level) >= _LEAST_HEARD:
        # Soft speech behind loud music has a floor of its own.
        floor = min(_ranked(level, _FLOOR), _ranked(now, _FLOOR))
        peak = _ranked(level, _PEAK)
        if not _STEADY <= peak - floor < _LIVELY:
            low = floor + float(np.clip((peak - floor) / 5, _LEAST_ABOVE, _MOST_ABOVE))
    return now > low


def _ranked(level: Levels, share: float) -> float:
    """The level that this share of all is below."""
    import numpy as np

    place = int(share * (len(level) - 1))
    return float(np.partition(level, place)[place])


def _pages(blocks: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples in blocks of `size`; only the last is shorter."""
    import numpy as np

    waiting: list[Samples] = []
    count = 0
    for block in blocks:
        waiting.append(block)
        count += len(block)
        if count < size:
            continue
        samples = np.concatenate(waiting)
        whole = count - count % size
        yield from (samples[i : i + size] for i in range(0, whole, size))
        waiting, count = [samples[whole:].copy()], count - whole
    if count:
        yield np.concatenate(waiting)
