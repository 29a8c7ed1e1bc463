"""What a recognizer heard, and when.

Each provider answers in its own shape and turns it into these values at its own door;
nothing past `providers` sees the original. Times are seconds from the start of the audio.
"""

from __future__ import annotations

import unicodedata
from collections.abc import Iterable
from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Segment", "Timing", "Transcript", "Word", "join_texts"]


class Timing(StrEnum):
    """How the times of a segment were obtained."""

    MODEL = "model"
    """The model gave them."""
    VAD = "vad"
    """Speech was found between pauses there, and sent by itself."""
    PIECE = "piece"
    """The bounds of a longer piece that was sent by itself."""
    NONE = "none"
    """There are no times: start and end are None."""


@dataclass(frozen=True, slots=True)
class Word:
    """A word; one character where a script has no spaces."""

    text: str
    start: float
    end: float
    confidence: float | None = None
    """0 to 1, as the service gave it."""


@dataclass(frozen=True, slots=True)
class Segment:
    """A stretch of speech that reads as one line."""

    text: str
    start: float | None = None
    end: float | None = None
    timing: Timing = Timing.NONE
    speaker: str | None = None
    channel: int | None = None
    language: str | None = None
    emotion: str | None = None
    confidence: float | None = None
    words: tuple[Word, ...] = ()


@dataclass(frozen=True, slots=True)
class Transcript:
    """All that was recognized in one recording."""

    segments: tuple[Segment, ...]
    provider: str
    model: str
    language: str | None = None
    """BCP 47, as detected or as asked for; None if nobody knows."""
    duration: float | None = None
    """Seconds of audio that were recognized."""
    request_ids: tuple[str, ...] = ()
    billed_seconds: float | None = None
    """What the service counted, where it says so."""
    warnings: tuple[str, ...] = ()
    """What the reader of the text should know: cut by length, sent twice, …"""

    @property
    def text(self) -> str:
        """The whole text as one line."""
        return join_texts(segment.text for segment in self.segments)

    @property
    def timed(self) -> bool:
        """True when every segment has a start and an end."""
        return all(s.start is not None and s.end is not None for s in self.segments)


def join_texts(texts: Iterable[str]) -> str:
    """Join into one line: with a space, or with none between scripts that are written without."""
    line = ""
    for text in filter(None, (" ".join(text.split()) for text in texts)):
        spaced = line and not (_unspaced(line[-1]) or _unspaced(text[0]))
        line += f" {text}" if spaced else text
    return line


def _unspaced(character: str) -> bool:
    # Han, kana and their full-width punctuation; Hangul is as wide but written with spaces.
    return unicodedata.east_asian_width(character) in "WF" and not unicodedata.name(
        character, ""
    ).startswith(("HANGUL", "HALFWIDTH HANGUL"))
