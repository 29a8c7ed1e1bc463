"""A long recording as parcels: sound that fits into one call each, without the long silences.

Energy finds the pauses, and every cut that can is made in one. Where somebody speaks without a
pause for longer than a call may last, the cut goes through the quietest place, and both parcels
hold the sound around it: words at its edges are whole in one of them. The neural gate is asked
about each stretch of sound whether it is speech, at its loudest place first and no longer than
until the answer is yes.

Everything streams: samples come in by blocks, and no more than one parcel and what follows it
for a few seconds is held. The same samples give the same parcels, whatever the blocks.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain, pairwise, repeat
from typing import TYPE_CHECKING

from asrcli.media.audible import FRAME, Frames, audible, concatenated
from asrcli.media.gate import CHUNK, STRETCH, Gate, open_gate
from asrcli.media.places import PADDING, RATE, Place, Span
from asrcli.media.window import FRAMES_PER_SECOND, levels, quietest, runs

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    PCM = NDArray[np.int16]

__all__ = ["Parcel", "Place", "Span", "cues", "parcels"]

_SHORTEST = 3.0
"""Seconds; nobody wants parcels shorter than that as the longest."""
_LEAST = 1.0
"""Seconds that are left for the next parcel at least."""
_SHARED = 1.6
"""Seconds on either side of a cut through speech that both parcels hold at most; half of it at
least, as their edges lie in the quietest place between."""
_EARLY = 4
"""Parcels that are short. It does not follow the number of calls at once: the next run may have
another, and is to cut in the same places."""
_PAUSE = FRAMES_PER_SECOND * 3 // 10
"""Frames; so long a quiet is a pause between words, and not inside one."""
_PAUSE_DROP = 12.0
"""dB below the loud parts around it, or it may be soft speech."""
_AUDIBLE = FRAMES_PER_SECOND // 10
"""Frames; a shorter sound is no word."""


@dataclass(frozen=True, slots=True, eq=False)
class Parcel:
    """What one call sends."""

    pcm: PCM
    """16 kHz, 16 bits; may be shorter than a second, which a call has to be padded to."""
    place: Place

    @property
    def samples(self) -> Samples:
        """The same as float32 in [-1, 1]."""
        import numpy as np

        return np.divide(self.pcm, np.float32(32_768), dtype=np.float32)

    def blocks(self) -> Iterator[PCM]:
        """The same a second at a time, for an encoder."""
        for begin in range(0, len(self.pcm), RATE):
            yield self.pcm[begin : begin + RATE]

    @property
    def seconds(self) -> float:
        """How long it is to send."""
        return len(self.pcm) / RATE

    def digest(self) -> str:
        """SHA-256 of its 16-bit PCM, little endian: the same sound, the same answer."""
        return hashlib.sha256(self.pcm.astype("<i2", copy=False).data).hexdigest()


def parcels(
    blocks: Iterable[Samples],
    *,
    longest: float,
    first: float | None = None,
    channel: int | None = None,
    neural: bool = True,
) -> Iterator[Parcel]:
    """All sound of a recording at 16 kHz that may be speech, in order of time.

    No parcel exceeds `longest` seconds, which are 3 at least; where there are pauses, each but the
    last is filled to two thirds of it or more. The first four are about `first` seconds long, so
    that as many calls can be made early. Silence of 2 s and more is shortened to 0.8 s. Without
    the gate (`neural` is False, or there is no wheel of it here) whatever stands out from noise is
    sent.
    """
    rules = _Rules(longest=longest, first=first, gap=2.0, padding=PADDING, shared=_SHARED)
    return _Cutter(blocks, rules, channel, neural=neural).parcels()


def cues(
    blocks: Iterable[Samples], *, longest: float, channel: int | None = None, neural: bool = True
) -> Iterator[Parcel]:
    """Stretches of speech between pauses of 0.6 s, of `longest` seconds at most.

    Each is short enough to be one subtitle, and its place is when to show it.
    """
    rules = _Rules(longest=longest, gap=0.6, padding=0.25, shared=1.0, earliest=1 / 3, single=True)
    return _Cutter(blocks, rules, channel, neural=neural).parcels()


@dataclass(frozen=True, slots=True)
class _Rules:
    """How to cut; seconds. Raises ValueError where no parcel could be made."""

    longest: float
    gap: float
    padding: float
    shared: float
    first: float | None = None
    earliest: float = 2 / 3
    """Of a parcel; before that it is not cut."""
    single: bool = False
    """Each stretch between gaps is a parcel of its own."""

    def __post_init__(self) -> None:
        if self.longest < _SHORTEST or (self.first is not None and self.first < _SHORTEST):
            raise ValueError(f"parcels of {self.longest} s, the first {self.first} s: too short")

    @property
    def limit(self) -> int:
        """Frames of a parcel at most."""
        return _frames(self.longest)

    @property
    def lent(self) -> int:
        """Frames on either side of a cut through speech, at most."""
        return _frames(min(self.shared, self.longest / 5))


@dataclass(frozen=True, slots=True)
class _Cut:
    """Where a parcel ends; frames of the queue."""

    end: int
    clean: bool = True
    """False if it goes through speech."""


class _Cutter:
    def __init__(
        self, blocks: Iterable[Samples], rules: _Rules, channel: int | None, *, neural: bool
    ) -> None:
        self._rules = rules
        self._channel = channel
        self._judge = _Judge(neural=neural)
        gap, padding = _frames(rules.gap), _frames(rules.padding)
        self._queue = _Queue(audible(blocks, gap=gap, padding=padding))
        self._kept: list[Frames] = []
        """Speech that waits for more, to be a parcel together."""
        self._seam: float | None = None

    def parcels(self) -> Iterator[Parcel]:
        longest = self._rules.longest
        early = min(self._rules.first or longest, longest)
        targets = chain(repeat(early, _EARLY), repeat(longest))
        target = next(targets)
        while (cut := self._next_cut(_frames(target))) is not None:
            if self._kept and not cut.clean:  # what comes next needs a parcel of its own
                yield self._parcel()
                target = next(targets)
                continue
            seam = self._queue.time(cut.end) if not cut.clean else None
            taken = self._queue.take(cut.end) if cut.clean else self._taken_with_shared(cut.end)
            self._kept += self._judge.speech(taken)
            filled = self._held >= _frames(target * 2 / 3)
            if self._kept and (filled or not cut.clean or self._rules.single):
                yield self._parcel()
                target = next(targets)
            self._seam = self._seam if seam is None else seam
        if self._kept:
            yield self._parcel()

    @property
    def _held(self) -> int:
        return sum(map(len, self._kept))

    def _parcel(self) -> Parcel:
        frames = concatenated(self._kept)
        if len(self._kept) == 1:
            frames = frames.owned()
        spans = _spans(frames)
        # Between a seam and the parcel may have been sound that is no speech.
        shares = self._seam is not None and spans[0].source < self._seam * RATE
        place = Place(spans, self._channel, self._seam if shares else None)
        self._kept, self._seam = [], None
        return Parcel(frames.pcm, place)

    # --- where to cut -----------------------------------------------------------------------------

    def _next_cut(self, target: int) -> _Cut | None:
        """The end of what is taken next, with room in the parcel for it; None at the very end."""
        rules, queue, held = self._rules, self._queue, self._held
        room, least = rules.limit - held, _frames(_LEAST)
        early = max(int(target * rules.earliest) - held, least)
        if rules.single and (jump := queue.fill_to_jump(room + least)) is not None and jump <= room:
            return _Cut(jump)
        target -= held
        if target < room and (queue.fill(target + least) or queue.size > target):
            cut = self._best(early, target)
            if cut.clean:
                return cut
        queue.fill(room + least)
        if queue.size <= room:
            return _Cut(queue.size) if queue.size else None
        cut = self._best(early, room)
        return cut if cut.clean else self._best(early, room - rules.lent)

    def _best(self, early: int, late: int) -> _Cut:
        """The best place in this range: a shortened silence, a pause, else the quietest."""
        import numpy as np

        frames = self._queue.frames
        late = max(min(late, len(frames) - _frames(_LEAST)), early + 1)
        jumps = [jump for jump in frames.jumps() if early <= jump <= late]
        if jumps:
            return _Cut(jumps[-1])
        level = levels(frames.power, 5)
        quiet = ~frames.loud & (level <= np.percentile(level, 90) - _PAUSE_DROP)
        pauses = runs(quiet[early:late])
        begin, end = max(pauses, key=lambda pause: pause[1] - pause[0], default=(0, 0))
        if end - begin >= _PAUSE:
            return _Cut(early + (begin + end) // 2)
        return _Cut(*quietest(frames.power, early, late))

    def _taken_with_shared(self, cut: int) -> Frames:
        """Up to some frames behind the cut; those from some frames before it stay."""
        frames, far = self._queue.frames, self._rules.lent
        stop = _softest(frames, cut + far // 2, min(cut + far, len(frames)))
        start = _softest(frames, max(cut - far, 1), cut - far // 2)
        shared = frames.part(start, stop)
        taken = self._queue.take(stop)
        self._queue.put_back(shared)
        return taken


class _Queue:
    """Frames that came and were not yet taken."""

    def __init__(self, source: Iterator[Frames]) -> None:
        self._source = source
        self._parts: list[Frames] = []

    @property
    def size(self) -> int:
        """How many there are."""
        return sum(map(len, self._parts))

    @property
    def frames(self) -> Frames:
        """All of them as one; there has to be any."""
        self._parts = [concatenated(self._parts)]
        return self._parts[0]

    def time(self, frame: int) -> float:
        """Where a frame begins in the recording, in seconds."""
        return float(self.frames.at[frame]) * FRAME / RATE

    def fill(self, count: int) -> bool:
        """Read until there are so many; False if the source ended before."""
        size = self.size
        while size < count:
            part = next(self._source, None)
            if part is None:
                return False
            self._parts.append(part)
            size += len(part)
        return True

    def fill_to_jump(self, count: int) -> int | None:
        """Read until silence was left out, or there are so many; the frame behind that silence."""
        if self._parts and (jumps := self.frames.jumps()):
            return jumps[0]
        size = self.size
        while size < count and (part := next(self._source, None)) is not None:
            jumped = bool(self._parts) and part.at[0] != self._parts[-1].at[-1] + 1
            self._parts.append(part)
            if jumped:
                return size
            size += len(part)
        return None

    def take(self, count: int) -> Frames:
        """Remove so many from the front."""
        frames = self.frames
        rest = frames.part(count, len(frames))
        self._parts = [rest.owned()] if len(rest) else []
        return frames.part(0, count)

    def put_back(self, frames: Frames) -> None:
        """Put some in front again."""
        self._parts.insert(0, frames.owned())


class _Judge:
    """Tells which stretches are speech."""

    def __init__(self, *, neural: bool) -> None:
        self._neural = neural
        self._gate: Gate | None = None

    def speech(self, frames: Frames) -> list[Frames]:
        """The stretches between left-out silences that someone may speak in."""
        bounds = [0, *frames.jumps(), len(frames)]
        stretches = (frames.part(*pair) for pair in pairwise(bounds))
        return [stretch for stretch in stretches if self._is_speech(stretch)]

    def _is_speech(self, stretch: Frames) -> bool:
        if int(stretch.loud.sum()) < _AUDIBLE:
            return False
        if self._neural and self._gate is None:  # of silence nobody has to ask
            self._gate = open_gate()
            self._neural = self._gate is not None
        return self._gate is None or _heard(stretch, self._gate)


# --- the gate ---------------------------------------------------------------------------------

_BEFORE = 8
"""Chunks before the loudest place, from where the network listens there."""
_PROBABLE = 0.5
_EVIDENCE = 3
"""So many probable chunks in a second are speech; a sound that is none reaches one or two."""
_TARGET_LEVEL = -20.0
"""dBFS: softer sound is raised to it, for the network misses speech that is very soft."""
_MOST_GAIN = 50.0


def _heard(stretch: Frames, gate: Gate) -> bool:
    """Whether there is speech: asked at the loudest place first, then wherever it is loud."""
    import numpy as np

    level = levels(stretch.power, 30)
    gain = 10 ** (min(max(_TARGET_LEVEL - np.percentile(level, 98), 0.0), _MOST_GAIN) / 20)
    loudest = int(level.argmax()) * FRAME // CHUNK
    gate.reset()
    if _evident(stretch.pcm, max(loudest - _BEFORE, 0), gain, gate):
        return True
    gate.reset()
    for begin in range(0, len(stretch.pcm) // CHUNK + 1, STRETCH):
        first, last = begin * CHUNK // FRAME, (begin + STRETCH) * CHUNK // FRAME
        if stretch.loud[first : last + 1].any() and _evident(stretch.pcm, begin, gain, gate):
            return True
    return False


def _evident(pcm: PCM, begin: int, gain: float, gate: Gate) -> bool:
    """Whether there is speech in the second of chunks from `begin` on."""
    import numpy as np

    part = pcm[begin * CHUNK : (begin + STRETCH) * CHUNK] * np.float32(gain / 32_768)
    padded = np.pad(np.clip(part, -1, 1), (0, -len(part) % CHUNK))
    found = 0
    for chunk in padded.reshape(-1, CHUNK):
        found += gate.process_samples(chunk.tolist()) >= _PROBABLE
        if found == _EVIDENCE:
            return True
    return False


# --- frames -----------------------------------------------------------------------------------


def _softest(frames: Frames, first: int, last: int) -> int:
    """The frame in the middle of the quietest 50 ms of a range."""
    level = levels(frames.power[first:last], 5)
    return first + (int(level.argmin()) if len(level) else 0)


def _spans(frames: Frames) -> tuple[Span, ...]:
    bounds = [0, *frames.jumps(), len(frames)]
    size = len(frames.pcm)
    return tuple(
        Span(begin * FRAME, int(frames.at[begin]) * FRAME, min(end * FRAME, size) - begin * FRAME)
        for begin, end in pairwise(bounds)
    )


def _frames(seconds: float) -> int:
    """Complete frames; a limit is never rounded up."""
    return int(seconds * FRAMES_PER_SECOND + 1e-6)
