"""Words of the engine as segments that read as lines."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from asrcli.providers.local.engine import Heard
from asrcli.transcript import Segment, Timing, Word

__all__ = ["segments"]

_COMFORTABLE = 7.0
"""Seconds; a line up to this is left alone."""
_LONGEST = 10.0
"""Seconds; a longer line is split even where nobody pauses."""
_PAUSE = 0.5
"""Seconds between words that end a line which is more than comfortable."""


def segments(heard: Sequence[Heard], *, start: float, end: float) -> list[Segment]:
    """The lines of an utterance that lies between `start` and `end` of the recording."""
    words = [
        Word(
            text,
            round(min(start + begin, end), 3),
            round(min(start + stop, end), 3),
            confidence,
        )
        for text, begin, stop, confidence in heard
    ]
    return [_segment(line) for line in _lines(words)]


def _lines(words: list[Word]) -> Iterator[list[Word]]:
    if not words:
        return
    split = _split(words)
    if split is None:
        yield words
    else:
        yield from _lines(words[:split])
        yield from _lines(words[split:])


def _split(words: list[Word]) -> int | None:
    """The index of the word that begins the second line; None if one line is best."""
    duration = words[-1].end - words[0].start
    if len(words) < 2 or duration <= _COMFORTABLE:
        return None
    middle = words[0].start + duration / 2

    def gap(index: int) -> float:
        return round(words[index].start - words[index - 1].end, 2)

    def merit(index: int) -> tuple[float, float]:
        return gap(index), -abs(words[index].start - middle)

    candidates = range(1, len(words))
    best = max(candidates, key=merit)
    if gap(best) >= _PAUSE:
        return best
    if duration <= _LONGEST:
        return None
    # Nobody pauses: any short gap will do, but not one that leaves a word or two alone.
    inner = [i for i in candidates if abs(words[i].start - middle) <= duration / 4]
    return max(inner or candidates, key=merit)


def _segment(words: list[Word]) -> Segment:
    confidences = [word.confidence for word in words if word.confidence is not None]
    return Segment(
        " ".join(word.text for word in words),
        words[0].start,
        words[-1].end,
        Timing.MODEL,
        language="en",
        confidence=round(sum(confidences) / len(confidences), 3),
        words=tuple(words),
    )
