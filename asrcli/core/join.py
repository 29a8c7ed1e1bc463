"""The transcripts of pieces as one: in order of time, each word once, what is missing marked.

Pieces that were cut at a pause follow each other. Where there was no pause, two pieces share some
sound, and so some words: those are found in both, by their times too where the model gave any.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from itertools import zip_longest

from asrcli.core.splice import Token, agreement, splice, tokens
from asrcli.media.places import Place
from asrcli.transcript import Segment, Timing, Transcript, Word, join_texts

__all__ = ["Part", "gap", "join", "splice"]

_NEAR = 60
"""Words at a seam that are looked at."""


@dataclass(frozen=True, slots=True)
class Part:
    """What was heard in one piece, with times of the piece; None if it failed for good."""

    place: Place
    transcript: Transcript | None


def gap(place: Place) -> Part:
    """A piece without a transcript; joined, it is `[no transcript 00:12:03-00:15:01]`."""
    return Part(place, None)


def join(
    parts: Iterable[Part], *, provider: str, model: str, duration: float | None, timing: Timing
) -> Transcript:
    """One transcript of all parts, which may come in any order; times are of the recording.

    `timing` is what the bounds of a piece are worth as times, where the model gave none. Channels
    are put together each by itself, then merged by time.
    """
    ordered = sorted(parts, key=lambda part: (part.place.start, _number(part.place)))
    channels: dict[int, list[Part]] = defaultdict(list)
    for part in ordered:
        channels[_number(part.place)].append(part)
    segments = [s for number in sorted(channels) for s in _joined(channels[number], timing)]
    if len(channels) > 1:
        segments.sort(key=lambda segment: segment.start or 0.0)
    heard = [part.transcript for part in ordered if part.transcript is not None]
    billed = [t.billed_seconds for t in heard if t.billed_seconds is not None]
    return Transcript(
        segments=tuple(segments),
        provider=provider,
        model=model,
        language=_most_spoken(segments) or next((t.language for t in heard if t.language), None),
        duration=duration,
        request_ids=tuple(dict.fromkeys(i for t in heard for i in t.request_ids)),
        billed_seconds=sum(billed) if billed else None,
        warnings=tuple(dict.fromkeys(w for t in heard for w in t.warnings)),
    )


def _number(place: Place) -> int:
    return -1 if place.channel is None else place.channel


def _most_spoken(segments: Iterable[Segment]) -> str | None:
    spoken: Counter[str] = Counter()
    for segment in segments:
        if segment.language:
            spoken[segment.language] += len(segment.text)
    return spoken.most_common(1)[0][0] if spoken else None


def _joined(parts: Sequence[Part], timing: Timing) -> list[Segment]:
    """The segments of one channel; `parts` are in order of time."""
    done: list[Segment] = []
    last: list[Segment] = []
    before: Part | None = None
    for part, following in zip_longest(parts, parts[1:]):
        new = _placed(part, timing, None if following is None else following.place.seam)
        if before is not None and _share(before, part):
            last, new = _Seam(before, part).parted(last, new)
        done += last
        last, before = new, part
    return [*done, *last]


def _share(before: Part, part: Part) -> bool:
    """Whether two parts heard the same sound at the seam between them."""
    known = before.transcript is not None and part.transcript is not None
    return known and part.place.seam is not None and before.place.end > part.place.start


# --- times of the recording -------------------------------------------------------------------


def _placed(part: Part, timing: Timing, next_seam: float | None) -> list[Segment]:
    place = part.place
    end = place.end if next_seam is None else min(place.end, next_seam)
    bounds = (place.start if place.seam is None else place.seam, end)
    if part.transcript is None:
        return [_gap_segment(bounds, place.channel)]
    language = part.transcript.language
    segments: list[Segment] = []
    for segment in part.transcript.segments:
        new = replace(
            segment,
            language=segment.language or language,
            channel=segment.channel if place.channel is None else place.channel,
        )
        if segment.start is not None and segment.end is not None:
            segments.append(_moved(new, place))
            continue
        new = replace(new, start=bounds[0], end=bounds[1], timing=timing, words=())
        if segments and replace(segments[-1], text="") == replace(new, text=""):
            segments[-1] = replace(new, text=join_texts((segments[-1].text, new.text)))
        else:
            segments.append(new)
    return segments


def _moved(segment: Segment, place: Place) -> Segment:
    assert segment.start is not None
    assert segment.end is not None
    start, end = place.times(segment.start, segment.end)
    words: list[Word] = []
    for word in segment.words:
        first, last = place.times(word.start, word.end)
        first = max(first, words[-1].start) if words else first
        words.append(replace(word, start=first, end=max(first, last)))
    if words:
        start, end = min(start, words[0].start), max(end, *(word.end for word in words))
    return replace(segment, start=start, end=end, words=tuple(words))


def _gap_segment(bounds: tuple[float, float], channel: int | None) -> Segment:
    text = f"[no transcript {_clock(math.floor(bounds[0]))}-{_clock(math.ceil(bounds[1]))}]"
    return Segment(text, *bounds, timing=Timing.PIECE, channel=channel)


def _clock(seconds: int) -> str:
    return f"{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}"


# --- seams ------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Near:
    """A word near a seam, and the segment that it is in."""

    segment: int
    token: Token


class _Seam:
    """Where two parts share sound."""

    def __init__(self, before: Part, part: Part) -> None:
        self._seam = part.place.seam or part.place.start
        self._rates = [_rate(before), _rate(part)]
        self._seconds = before.place.end - part.place.start

    def parted(
        self, before: list[Segment], after: list[Segment]
    ) -> tuple[list[Segment], list[Segment]]:
        """The segments of both, without what the other has too; no start lies before another."""
        left, right = _near_end(before), _near_start(after)
        if not left or not right:
            return before, after
        timed = all(near.token.time is not None for near in (*left, *right))
        found = agreement(
            [near.token for near in left],
            [near.token for near in right],
            expected=None if timed else self._seconds * sum(self._rates) / 2,
            seam=self._seam,
        )
        if found is not None:
            before, after = self._until(before, left[found[0]]), self._since(after, right[found[1]])
        elif timed:
            before, after = self._by_time(before, after, left, right)
        floor = before[-1].start if before and before[-1].start is not None else 0.0
        return before, [_not_before(segment, floor) for segment in after]

    def _until(self, segments: list[Segment], last: _Near) -> list[Segment]:
        """All up to a word."""
        segment = segments[last.segment]
        return [*segments[: last.segment], _head(segment, last.token.end, self._seam)]

    def _since(self, segments: list[Segment], before: _Near) -> list[Segment]:
        """All behind a word."""
        segment = _tail(segments[before.segment], before.token.end, self._seam)
        return [*([segment] if segment else []), *segments[before.segment + 1 :]]

    def _by_time(
        self, before: list[Segment], after: list[Segment], left: list[_Near], right: list[_Near]
    ) -> tuple[list[Segment], list[Segment]]:
        """No word agrees: where both have some, those on the other side of the seam go."""
        first, last = right[0].token.time or 0.0, left[-1].token.time or 0.0
        ends = [n for n in left if (n.token.time or 0.0) < max(self._seam, first)]
        begins = [n for n in right if (n.token.time or 0.0) < min(self._seam, last)]
        if len(ends) < len(left):
            before = self._until(before, ends[-1]) if ends else before[: left[0].segment]
        if begins:
            after = self._since(after, begins[-1])
        return before, after


def _not_before(segment: Segment, floor: float) -> Segment:
    if segment.start is None or segment.end is None or segment.start >= floor:
        return segment
    words = tuple(
        replace(word, start=max(word.start, floor), end=max(word.end, floor))
        for word in segment.words
    )
    return replace(segment, start=floor, end=max(segment.end, floor), words=words)


def _rate(part: Part) -> float:
    """Words a second; zero if nobody spoke."""
    count = sum(len(tokens(s.text)) for s in part.transcript.segments) if part.transcript else 0
    return count / part.place.seconds


def _near_end(segments: list[Segment]) -> list[_Near]:
    found: list[_Near] = []
    for number in range(len(segments) - 1, -1, -1):
        found = [_Near(number, token) for token in _timed_tokens(segments[number])] + found
        if len(found) >= _NEAR:
            break
    return found[-_NEAR:]


def _near_start(segments: list[Segment]) -> list[_Near]:
    found: list[_Near] = []
    for number, segment in enumerate(segments):
        found += [_Near(number, token) for token in _timed_tokens(segment)]
        if len(found) >= _NEAR:
            break
    return found[:_NEAR]


def _timed_tokens(segment: Segment) -> list[Token]:
    """The words of the text, with times where the segment has words that are found in it."""
    ends = _word_ends(segment)
    found = []
    number = 0
    for token in tokens(segment.text):
        while number < len(ends) and ends[number] <= token.begin:
            number += 1
        time = None
        if number < len(ends):
            word = segment.words[number]
            time = (word.start + word.end) / 2
        found.append(replace(token, time=time))
    return found


def _word_ends(segment: Segment) -> list[int]:
    """Where each word of a segment ends in its text; in proportion if it is not written there."""
    # Some letters are two in lower case, as "İ": then capitals have to agree.
    lower = len(segment.text.lower()) == len(segment.text)
    text = segment.text.lower() if lower else segment.text
    at = 0
    ends = []
    for number, word in enumerate(segment.words, start=1):
        written = word.text.strip()
        place = text.find(written.lower() if lower else written, at)
        if place < 0 or place > at + 40:
            at = max(at, len(text) * number // len(segment.words))
        else:
            at = place + len(written)
        ends.append(at)
    return ends


def _head(segment: Segment, until: int, seam: float) -> Segment:
    """A segment up to a place in its text."""
    words = tuple(w for w, e in zip(segment.words, _word_ends(segment), strict=True) if e <= until)
    end = words[-1].end if words else min(segment.end or seam, max(seam, segment.start or 0.0))
    return replace(segment, text=segment.text[:until].rstrip(), words=words, end=end)


def _tail(segment: Segment, since: int, seam: float) -> Segment | None:
    """A segment from a place in its text on; None if that is its end."""
    text = segment.text[since:].lstrip()
    if not text:
        return None
    words = tuple(w for w, e in zip(segment.words, _word_ends(segment), strict=True) if e > since)
    start = words[0].start if words else max(segment.start or seam, min(seam, segment.end or seam))
    return replace(segment, text=text, words=words, start=start)
