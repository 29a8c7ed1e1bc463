"""Subtitle cues: a transcript cut into what can be read at a glance.

A segment that fits is one cue. One that is too long, in lines or in seconds, is cut at the end of
a sentence, else of a clause, else between words. Where the segment has words, the cues take their
times; where it has none, times are interpolated in proportion to display width, inside that one
segment only: nothing is ever spread over several.
"""

from __future__ import annotations

import heapq
from bisect import bisect_left
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate

from asrcli.errors import UsageError
from asrcli.output.labels import labels
from asrcli.output.sanitize import for_text
from asrcli.output.units import Break, Unit, split_wide, units
from asrcli.output.width import display_width, last_cells
from asrcli.transcript import Segment, Transcript

__all__ = ["Cue", "CueShape", "cues", "segment_cues"]

_SHORTEST_MS = 500
"""A cue that ends sooner stays on for as long, where nothing else comes."""
_LEAST = 1 / 3
"""How full a cue is before it is cut for a good place alone; half of it ends a sentence."""
_NAMED = 10
"""Cells of a line, below which there is no room for a name."""
_STUB = 8
"""Cells; a last line of a single word as short as this is avoided."""


@dataclass(frozen=True, slots=True)
class CueShape:
    """How much a cue may hold; wide characters count two. Raises UsageError below the least."""

    max_line_chars: int = 42
    max_lines: int = 2
    max_seconds: float = 7.0

    def __post_init__(self) -> None:
        if self.max_line_chars < 2 or self.max_lines < 1 or not self.max_seconds > 0:
            raise UsageError("a cue needs a line of two characters and some time")


@dataclass(frozen=True, slots=True)
class Cue:
    """One numbered entry of SRT or VTT; whole milliseconds from the start of the audio."""

    start_ms: int
    end_ms: int
    lines: tuple[str, ...]
    speaker: str | None = None


@dataclass(frozen=True, slots=True, order=True)
class _Draft:
    start: float
    end: float
    order: int
    """Decides between drafts of the same times, in place of their text."""
    lines: tuple[str, ...]
    speaker: str | None


def cues(transcript: Transcript, shape: CueShape, *, name_in_text: bool = False) -> Iterator[Cue]:
    """All cues in order of time. They never overlap, and each ends after it starts.

    Where two segments overlap, the first one's cue ends where the second one's starts, or half a
    second after its own start if that is later. A cue shorter than half a second is kept on for
    that long if there is room. `name_in_text` puts `NAME: ` before the text of each cue of a
    speaker, and counts it. Segments need times; those without text are left out.
    """
    label = labels(transcript)

    def drafts() -> Iterator[_Draft]:
        # Cues of segments that overlap come out by time; what lies ahead is not all held.
        waiting: list[_Draft] = []
        order = 0
        spoken = (s for s in transcript.segments if s.start is not None and s.end is not None)
        for segment in sorted(spoken, key=lambda s: s.start or 0.0):
            while waiting and waiting[0].start < (segment.start or 0.0):
                yield heapq.heappop(waiting)
            name = label(segment) if label else None
            for start, end, lines in segment_cues(segment, shape, name if name_in_text else None):
                heapq.heappush(waiting, _Draft(start, end, order, lines, name))
                order += 1
        while waiting:
            yield heapq.heappop(waiting)

    last_ms = None if transcript.duration is None else _milliseconds(transcript.duration)
    return _apart(map(_cue, drafts()), shape, last_ms)


def segment_cues(
    segment: Segment, shape: CueShape, name: str | None = None
) -> Iterator[tuple[float, float, tuple[str, ...]]]:
    """Start and end in seconds, and lines, of each cue of one segment that has times."""
    prefix = _prefix(name, shape)
    beside = sum(unit.width + 1 for unit in prefix) if shape.max_lines == 1 else 0
    found = list(split_wide(units(_clean(segment)), shape.max_line_chars - beside))
    first = 0
    while first < len(found):
        fits = _furthest(found, first, shape, prefix)
        until = fits if fits == len(found) else _cut(found, first, fits, shape, prefix)
        taken = found[first:until]
        start, end = taken[0].start, taken[-1].end
        if prefix:
            taken = [*prefix, taken[0]._replace(spaced=True), *taken[1:]]
        yield start, min(end, start + shape.max_seconds), _lines(taken, shape.max_line_chars)
        first = until


def _clean(segment: Segment) -> Segment:
    return replace(segment, text=for_text(segment.text))


def _prefix(name: str | None, shape: CueShape) -> list[Unit]:
    # A name may take half a line; the end of a longer one is what tells it from others.
    if not name or shape.max_line_chars < _NAMED:
        return []
    shown = last_cells(name, shape.max_line_chars // 2 - 1)
    text = f"{shown}:"
    return [Unit(text, display_width(text), False, 0.0, 0.0, Break.INSIDE)]


# --- where a cue ends -------------------------------------------------------------------------


def _furthest(found: Sequence[Unit], first: int, shape: CueShape, prefix: Sequence[Unit]) -> int:
    """The index after the last unit that still fits into a cue that begins with `first`."""
    line = sum(unit.width for unit in prefix)
    lines = 1
    begins = not prefix
    for index in range(first, len(found)):
        unit = found[index]
        if index > first and unit.end - found[first].start > shape.max_seconds:
            return index
        width = unit.width
        # The text after a name is spaced, whatever its script.
        space = 0 if begins else int(unit.spaced or index == first)
        if line + space + width > shape.max_line_chars:
            lines += 1
            if lines > shape.max_lines and index > first:
                return index
            line = width
        else:
            line += space + width
        begins = False
    return len(found)


def _cut(
    found: Sequence[Unit], first: int, until: int, shape: CueShape, prefix: Sequence[Unit]
) -> int:
    """The best place to end a cue that could go on up to `until`, but not to the segment's end."""
    widths = list(accumulate(u.width + u.spaced for u in found[first:until]))
    full = widths[-1]
    places = [
        first + i + 1
        for i, width in enumerate(widths)
        if width >= full * (_LEAST / 2 if found[first + i].after is Break.SENTENCE else _LEAST)
    ]
    best = max(found[place - 1].after for place in places)
    places = [place for place in places if found[place - 1].after is best]
    if best is Break.SENTENCE:
        return places[-1]
    # Where one more cue will do, the two share the rest evenly: no last cue of one short word.
    if _furthest(found, places[-1], shape, prefix) < len(found):
        return places[-1]
    enough = bisect_left(
        places, True, key=lambda place: _furthest(found, place, shape, prefix) == len(found)
    )
    rest = list(accumulate(u.width + u.spaced for u in found[first:]))
    return min(places[enough:], key=lambda place: abs(rest[place - first - 1] - rest[-1] / 2))


# --- lines of a cue ---------------------------------------------------------------------------


def _lines(taken: Sequence[Unit], limit: int) -> tuple[str, ...]:
    """Break a cue into as few lines as hold it, of about the same width."""
    lines: list[str] = []
    left = _count(taken, limit)
    while left > 1:
        at = _line_break(taken, left, limit)
        lines.append(_joined(taken[:at]))
        taken = taken[at:]
        left -= 1
    return (*lines, _joined(taken))


def _line_break(taken: Sequence[Unit], left: int, limit: int) -> int:
    """Where the first of `left` lines ends."""
    sums = list(accumulate(u.width + u.spaced for u in taken))
    ideal = sums[-1] / left
    best, least = 1, float("inf")
    for at in range(1, len(taken)):
        if sums[at - 1] - taken[0].spaced > limit:
            break
        rest = taken[at:]
        if not _holds(sums[-1] - sums[at - 1] - rest[0].spaced, rest, left - 1, limit):
            continue
        stub = len(rest) == 1 and rest[0].width <= _STUB
        cost = abs(sums[at - 1] - ideal) / ideal + _COST[taken[at - 1].after] + stub
        if cost <= least:
            best, least = at, cost
    return best


_COST = {Break.SENTENCE: 0.0, Break.CLAUSE: 0.1, Break.WORD: 0.4, Break.INSIDE: 1.2}
"""What it costs to end a line there, in shares of a line's width that it may be off the middle."""


def _holds(width: int, rest: Sequence[Unit], lines: int, limit: int) -> bool:
    return width <= limit if lines == 1 else _count(rest, limit) <= lines


def _count(taken: Iterable[Unit], limit: int) -> int:
    """The fewest lines that hold the units."""
    lines, line = 0, limit
    for unit in taken:
        width = unit.width
        if lines == 0 or line + unit.spaced + width > limit:
            lines, line = lines + 1, width
        else:
            line += unit.spaced + width
    return lines


def _joined(taken: Sequence[Unit]) -> str:
    return taken[0].text + "".join(f" {u.text}" if u.spaced else u.text for u in taken[1:])


# --- whole milliseconds, one after the other --------------------------------------------------


def _milliseconds(seconds: float) -> int:
    return max(0, round(seconds * 1000))


def _cue(draft: _Draft) -> Cue:
    start_ms = _milliseconds(draft.start)
    return Cue(start_ms, max(start_ms + 1, _milliseconds(draft.end)), draft.lines, draft.speaker)


def _apart(found: Iterable[Cue], shape: CueShape, last_ms: int | None) -> Iterator[Cue]:
    shortest = max(1, _milliseconds(min(_SHORTEST_MS / 1000, shape.max_seconds)))
    before: Cue | None = None
    for following in found:
        cue = following
        if before is not None:
            bound = max(cue.start_ms, min(before.end_ms, before.start_ms + shortest))
            cue = replace(cue, start_ms=bound, end_ms=max(cue.end_ms, bound + 1))
            end_ms = max(min(before.end_ms, bound), min(before.start_ms + shortest, bound))
            yield replace(before, end_ms=end_ms)
        before = cue
    if before is not None:
        room = max(before.end_ms, last_ms or 0)
        end_ms = max(before.end_ms, min(before.start_ms + shortest, room))
        yield replace(before, end_ms=end_ms)
