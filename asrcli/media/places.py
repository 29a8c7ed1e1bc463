"""Where a piece lies in a recording, to the sample: values without any sound."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from dataclasses import dataclass

__all__ = ["PADDING", "RATE", "Place", "Span"]

RATE = 16_000
"""Hz; what pieces are cut at."""
PADDING = 0.4
"""Seconds of quiet that stay on either side of sound where a silence is shortened."""


@dataclass(frozen=True, slots=True)
class Span:
    """A stretch of a piece that is one stretch of the recording too; all in samples."""

    inside: int
    """Where it begins in the piece."""
    source: int
    """Where it begins in the recording."""
    length: int


@dataclass(frozen=True, slots=True)
class Place:
    """Where the sound of a piece is in the recording; its spans touch each other in the piece."""

    spans: tuple[Span, ...]
    channel: int | None = None
    seam: float | None = None
    """Seconds in the recording where the cut before it is, if that went through speech: then it
    begins before the seam, and the piece before it ends behind."""

    @property
    def start(self) -> float:
        """Seconds in the recording where its sound begins."""
        return self.spans[0].source / RATE

    @property
    def end(self) -> float:
        """Seconds in the recording where its sound ends."""
        return (self.spans[-1].source + self.spans[-1].length) / RATE

    @property
    def seconds(self) -> float:
        """How long it is to send."""
        return (self.spans[-1].inside + self.spans[-1].length) / RATE

    def in_source(self, seconds: float) -> float:
        """The moment of the recording that a moment of the piece is; never going backwards."""
        at = seconds * RATE
        return self._source(self._span_from(at), at)

    def times(self, start: float, end: float) -> tuple[float, float]:
        """A stretch of the piece as one of the recording.

        Speech does not reach over a shortened silence for the sake of the quiet beside it: if it
        only just does, as models are not exact, it begins behind the silence or ends before it.
        """
        first, last = start * RATE, max(start, end) * RATE
        one, other = self._span_from(first), self._span_to(last)
        quiet = PADDING * RATE
        if one < other and last - self.spans[other].inside <= quiet:
            other -= 1
        if one < other and self.spans[one + 1].inside - first <= quiet:
            one += 1
        begin = self._source(one, max(first, self.spans[one].inside))
        return begin, max(self._source(other, last), begin)

    def _span_from(self, at: float) -> int:
        """The span that holds a moment; where two touch, the later."""
        return max(bisect_right(self.spans, at, key=lambda span: span.inside) - 1, 0)

    def _span_to(self, at: float) -> int:
        """The span that holds a moment; where two touch, the earlier."""
        return max(bisect_left(self.spans, at, key=lambda span: span.inside) - 1, 0)

    def _source(self, number: int, at: float) -> float:
        span = self.spans[number]
        return (span.source + min(max(at - span.inside, 0.0), span.length)) / RATE
