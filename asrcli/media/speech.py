"""Pauses and speech: where a recording can be cut, and which parts of it are worth recognizing.

Everything streams: blocks of float32 samples come in, pieces go out, and no more than the window
that is being looked at is held. Energy finds what surely is a pause; the neural gate of
`asrcli.media.gate` judges the rest, and asks no longer than until the answer is clear.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from asrcli.media.gate import CHUNK, SAMPLE_RATE, STRETCH, Gate, open_gate, spoken
from asrcli.media.window import (
    FRAMES_PER_SECOND,
    SILENCE,
    Piece,
    Window,
    levels,
    powers,
    quietest,
    runs,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]
    Levels = NDArray[np.float64]

__all__ = ["SAMPLE_RATE", "Piece", "cut", "has_speech", "speech_spans", "utterances"]

_SMOOTH = 5
"""Frames (50 ms) over which loudness is judged."""
_HISTORY = 30 * FRAMES_PER_SECOND
"""Frames gone by that still count for the noise floor."""
_LEAST_HEARD = 2 * FRAMES_PER_SECOND
"""With fewer frames than these nothing is known of the noise floor."""
_LEAST_DROPPED = 2.0
"""Seconds without speech that are left out of an utterance."""
_MARGIN = 0.5
"""Seconds of these that are kept on either side: the gate hears a word a little late."""
_SHORTEST = FRAMES_PER_SECOND // 10
"""Frames; a shorter sound is no word."""


def cut(
    blocks: Iterable[Samples],
    *,
    target: float,
    limit: float,
    sample_rate: int = SAMPLE_RATE,
    least: float = 1.0,
) -> Iterator[Piece]:
    """Cut at pauses into pieces that join without a gap: no sample is lost or doubled.

    All times are seconds. A piece ends in the quietest 200 ms of the last third of `target`; if
    that is no pause, in the quietest up to `limit`, which no piece exceeds. If that is none
    either, the piece is not `clean`: its last word may go on in the next. No piece is shorter
    than `least`, unless the whole recording is.
    """
    if not 0 < least <= target / 3 or target > limit:
        raise ValueError(f"cannot cut at {target} s, from {least} s to {limit} s")
    window = Window(sample_rate)
    source = iter(blocks)
    while True:
        more = window.fill(source, _frames(limit + least) + 1)
        if not more and window.size <= target * sample_rate:
            break
        end, clean = _end(window, target=target, limit=limit, least=least)
        if not (clean or more) and window.size <= limit * sample_rate:
            break
        first = window.first
        yield Piece(window.take(end), first, sample_rate, clean=clean)
    if window.size:
        first = window.first
        yield Piece(window.take(), first, sample_rate)


def _end(window: Window, *, target: float, limit: float, least: float) -> tuple[int, bool]:
    last = len(window.power) - _frames(least)
    early = _frames(target * 2 / 3)
    end, clean = quietest(window.power, early, min(_frames(target), last))
    if not clean:
        end, clean = quietest(window.power, early, min(_frames(limit), last))
    return end, clean


def utterances(
    blocks: Iterable[Samples],
    *,
    longest: float,
    pause: float = 0.5,
    padding: float = 0.2,
    neural: bool = True,
) -> Iterator[Piece]:
    """Find the stretches of speech of a recording at 16 kHz, each with a little quiet around it.

    All times are seconds. A pause of at least `pause` ends an utterance and belongs to none, but
    for `padding` on both sides; shorter ones stay inside. An utterance that would be longer than
    `longest` is cut at the quietest place of its last third. What the gate does not take for
    speech is left out: of utterances only whole seconds of it, so that no word is clipped.
    Without the gate (`neural` is False, or there is no wheel of it here) every sound that stands
    out from the noise is an utterance, whose `speech` is None.
    """
    gate: Gate | None = None
    for piece in _sounds(blocks, longest=longest, pause=pause, padding=padding):
        if neural and gate is None:  # of silence nobody has to ask
            gate = open_gate()
            neural = gate is not None
        if gate is None:
            yield piece
        else:
            yield from _gated(piece, gate, least=max(pause, _LEAST_DROPPED))


def has_speech(samples: Samples, *, neural: bool = True) -> bool:
    """Whether someone speaks in these samples at 16 kHz; no longer looked at than until then."""
    found = utterances(_blocks_of(samples), longest=30.0, neural=neural)
    return next(found, None) is not None


def speech_spans(samples: Samples, *, neural: bool = True) -> list[tuple[float, float]]:
    """Where there is speech in these samples at 16 kHz: starts and ends in seconds."""
    spans: list[tuple[float, float]] = []
    blocks = _blocks_of(samples)
    for piece in utterances(blocks, longest=30.0, pause=0.3, padding=0.1, neural=neural):
        if spans and piece.start <= spans[-1][1]:
            spans[-1] = (spans[-1][0], piece.end)
        else:
            spans.append((piece.start, piece.end))
    return spans


def _blocks_of(samples: Samples) -> Iterator[Samples]:
    return (samples[i : i + SAMPLE_RATE] for i in range(0, len(samples), SAMPLE_RATE))


# --- energy -----------------------------------------------------------------------------------


def _sounds(
    blocks: Iterable[Samples], *, longest: float, pause: float, padding: float
) -> Iterator[Piece]:
    """Whatever stands out from the noise floor, between pauses."""
    import numpy as np

    window = Window(SAMPLE_RATE)
    source = iter(blocks)
    heard: Levels = np.empty(0)
    limit, gap, pad = _frames(longest), _frames(pause), _frames(padding)
    joined = True  # what comes next belongs to no pause before it
    more = True
    while more or window.size:
        more = window.fill(source, limit + gap + pad)
        if not len(window.power):  # no whole frame was left
            return
        loud = _loud(window.power, heard)
        skipped = _quiet_before(loud, gap if joined else pad, pad, more=more)
        if skipped:
            heard = _remembered(heard, window.power[:skipped])
            window.take(skipped if more or loud.any() else None)
            joined = True
            continue
        end = _pause_after(loud, gap, pad)
        joined, clean = False, True
        if end is None or end > limit:
            end, joined = None, True
            if more or window.size > limit * window.frame:
                end, clean = _end(window, target=longest, limit=longest, least=longest / 6)
        first, audible = window.first, int(loud[:end].sum())
        heard = _remembered(heard, window.power[:end])
        samples = window.take(end)
        if audible >= _SHORTEST:
            yield Piece(samples, first, SAMPLE_RATE, clean=clean)


def _loud(power: Levels, heard: Levels) -> NDArray[np.bool_]:
    """Which frames stand out from the noise floor; in doubt they do."""
    import numpy as np

    level = levels(np.concatenate((heard, power)), _SMOOTH)
    low = SILENCE
    if len(level) >= _LEAST_HEARD:
        floor, peak = np.percentile(level, (5, 99.5))
        low = floor + float(np.clip((peak - floor) / 5, 3.0, 10.0))
    return level[len(heard) :] > low


def _remembered(heard: Levels, power: Levels) -> Levels:
    import numpy as np

    return np.concatenate((heard, power))[-_HISTORY:]


def _quiet_before(loud: NDArray[np.bool_], allowed: int, pad: int, *, more: bool) -> int:
    """How many frames to skip so that the next utterance begins; 0 if it begins at once."""
    if not loud.any():
        return len(loud) - pad if more else len(loud)
    quiet = int(loud.argmax())
    return quiet - pad if quiet > allowed else 0


def _pause_after(loud: NDArray[np.bool_], gap: int, pad: int) -> int | None:
    """Where the utterance ends that begins at 0, its padding included; None if it goes on."""
    first = int(loud.argmax())
    for begin, end in runs(~loud[first:]):
        if end - begin >= gap:
            return first + begin + pad
    return None


# --- the gate ---------------------------------------------------------------------------------


def _gated(piece: Piece, gate: Gate, *, least: float) -> Iterator[Piece]:
    """What is left of a piece without its stretches of `least` seconds that hold no speech."""
    import numpy as np

    power = powers(piece.samples, SAMPLE_RATE // FRAMES_PER_SECOND)
    level = float(np.percentile(levels(power, _SMOOTH), 98))  # and not that of a click
    spans = _spoken_spans(spoken(piece.samples, gate, level=level), len(piece.samples), least)
    for number, (begin, end) in enumerate(spans, start=1):
        clean = piece.clean or number < len(spans) or end < len(piece.samples)
        yield Piece(
            piece.samples[begin:end],
            piece.first + begin,
            piece.sample_rate,
            clean=clean,
            speech=True,
        )


def _spoken_spans(evident: list[bool], count: int, least: float) -> list[tuple[int, int]]:
    """Sample ranges to keep: all but long stretches without speech, less a margin."""
    import numpy as np

    if not any(evident):
        return []
    unit, margin = STRETCH * CHUNK, int(_MARGIN * SAMPLE_RATE)
    spans: list[tuple[int, int]] = []
    begin = 0
    for first, last in runs(~np.array(evident)):
        start, stop = first * unit, min(last * unit, count)
        if stop - start < least * SAMPLE_RATE:
            continue
        if start:
            spans.append((begin, start + margin))
        begin = max(stop - margin, 0) if stop < count else count
    return [*spans, (begin, count)] if begin < count else spans


def _frames(seconds: float) -> int:
    """Complete frames; a limit is never rounded up."""
    return int(seconds * FRAMES_PER_SECOND + 1e-6)
