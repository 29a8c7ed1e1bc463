"""A language that is heard at once: each word is a stretch of one sample value.

`speak` makes the audio, `hear` finds the words in it again. A word is heard when at least nine
tenths of it are there in one piece, so what was lost or doubled on the way is lost or doubled in
the text.
"""

from __future__ import annotations

from array import array
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import groupby

__all__ = ["WORDS", "Heard", "Word", "hear", "silence", "speak", "talk"]

WORDS = tuple(
    "zero one two three four five six seven eight nine ten eleven twelve thirteen fourteen".split()
)
LENGTH = 0.2
"""Seconds of a word."""
_LOUDNESS = 1000
"""Sample value of the first word; the next are so much louder each."""


@dataclass(frozen=True, slots=True)
class Word:
    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Heard:
    words: tuple[Word, ...]


def silence(seconds: float, rate: int = 16_000) -> bytes:
    return bytes(2 * round(seconds * rate))


def speak(text: str, rate: int = 16_000) -> bytes:
    """The words one after the other, with 50 ms between; any word of `WORDS`."""
    gap = silence(0.05, rate)
    return gap.join(_word(WORDS.index(word), rate) for word in text.split())


def talk(*texts: str, pause: float = 1.0, rate: int = 16_000) -> bytes:
    """Several utterances, each followed by a pause."""
    return b"".join(speak(text, rate) + silence(pause, rate) for text in texts)


def hear(samples: bytes, rate: int) -> Heard:
    return Heard(tuple(_words(array("h", samples[: len(samples) // 2 * 2]), rate)))


def _word(number: int, rate: int) -> bytes:
    return array("h", [_LOUDNESS * (number + 1)] * round(LENGTH * rate)).tobytes()


def _words(samples: Iterable[int], rate: int) -> Iterator[Word]:
    place = 0
    for value, run in groupby(samples):
        length = sum(1 for _ in run)
        number, rest = divmod(value, _LOUDNESS)
        if 1 <= number <= len(WORDS) and not rest and length >= 0.9 * LENGTH * rate:
            for count in range(max(1, round(length / rate / LENGTH))):
                start = place / rate + count * LENGTH
                end = min(start + LENGTH, (place + length) / rate)
                yield Word(WORDS[number - 1], round(start, 3), round(end, 3))
        place += length
