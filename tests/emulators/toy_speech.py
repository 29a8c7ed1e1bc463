"""Hours of speech that cost next to nothing, and an ear that reads every word back to the sample.

Each word is a square wave of 1 kHz with a loudness and a length of its own. The ear hears a word
if it is there from its first sample to its last; of one that was cut it makes another word, or
nothing at all. All of it is for tests only. It needs numpy at the top.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from random import Random

import numpy as np
from numpy.typing import NDArray

__all__ = ["RATE", "VOCABULARY", "Spoken", "ToySpeech", "chatter", "hear", "sermon"]

RATE = 16_000
VOCABULARY = tuple(a + b + c for a in "bdfgklmnpr" for b in "aeiou" for c in ("", "n", "st", "lo"))
_SOFTEST, _STEP = 3_000, 40
_QUIET = 3
"""The sample value of a pause; that of a dip between two words is `_DIP`."""
_DIP = 400

PCM = NDArray[np.int16]
Samples = NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word, and its first and the one after its last sample."""

    text: str
    first: int
    stop: int


@dataclass(frozen=True, slots=True)
class ToySpeech:
    """Words, each followed by a stretch of quiet: (word, samples of it, its loudness)."""

    turns: tuple[tuple[int, int, int], ...]
    lead: int = 0
    """Samples of silence before the first word."""

    @property
    def words(self) -> list[Spoken]:
        """All words that are said."""
        found, at = [], self.lead
        for word, rest, _ in self.turns:
            found.append(Spoken(VOCABULARY[word], at, at + _length(word)))
            at += _length(word) + rest
        return found

    @property
    def seconds(self) -> float:
        return (self.lead + sum(_length(word) + rest for word, rest, _ in self.turns)) / RATE

    def blocks(self, size: int | None = None) -> Iterator[Samples]:
        """The sound, in blocks of `size` samples or of whatever comes."""
        if size is None:
            yield from self._natural()
            return
        waiting: list[Samples] = []
        count = 0
        for block in self._natural():
            waiting.append(block)
            count += len(block)
            if count >= size:
                joined = np.concatenate(waiting)
                yield from (joined[i : i + size] for i in range(0, count - count % size, size))
                waiting, count = [joined[count - count % size :]], count % size
        yield np.concatenate([np.zeros(0, dtype=np.float32), *waiting])

    def _natural(self) -> Iterator[Samples]:
        yield from _silence(self.lead)
        parts: list[Samples] = []
        for word, rest, level in self.turns:
            parts.append(_SOUNDS[word])
            if rest <= RATE:
                parts.append(_wave(level, rest))
                if len(parts) < 64:
                    continue
            yield np.concatenate(parts)
            parts = []
            if rest > RATE:
                yield from _silence(rest)
        if parts:
            yield np.concatenate(parts)


def chatter(seconds: float, *, seed: int) -> ToySpeech:
    """Talk as people talk: a breath between phrases, now and then nothing for some seconds."""
    random = Random(seed)
    turns, left = [], seconds * RATE
    while left > 0:
        for number in range(count := random.randint(2, 14)):
            word = random.randrange(len(VOCABULARY))
            rest, level = random.randint(160, 800), _DIP
            if number == count - 1:
                long = random.random() < 0.1
                rest = int(
                    random.uniform(2.1, 8) * RATE if long else random.uniform(0.4, 1.2) * RATE
                )
                level = _QUIET
            turns.append((word, rest, level))
            left -= _length(word) + rest
    return ToySpeech(tuple(turns), lead=random.randrange(5 * RATE))


def sermon(seconds: float, *, seed: int, most_dip: int = 320, most_times: int = 2) -> ToySpeech:
    """Talk without any pause: between words are dips of 1 ms to `most_dip` samples alone.

    One word in ten is said several times over, up to `most_times`.
    """
    random = Random(seed)
    turns, left = [], seconds * RATE
    while left > 0:
        word = random.randrange(len(VOCABULARY))
        for _ in range(random.randint(2, most_times) if random.random() < 0.1 else 1):
            rest = random.randint(16, most_dip)
            turns.append((word, rest, _DIP))
            left -= _length(word) + rest
    return ToySpeech(tuple(turns))


def hear(pcm: PCM, *, random: Random) -> list[Spoken]:
    """The words in these samples; `random` decides what becomes of those that were cut."""
    loud = np.abs(pcm.astype(np.int32))
    edges = np.flatnonzero(np.diff(loud)) + 1
    bounds = np.concatenate(([0], edges, [len(loud)]))
    found = []
    for first, stop in zip(bounds[:-1].tolist(), bounds[1:].tolist(), strict=True):
        number, rest = divmod(int(loud[first]) - _SOFTEST, _STEP)
        if rest or not 0 <= number < len(VOCABULARY):
            continue
        if stop - first == _length(number):
            found.append(Spoken(VOCABULARY[number], first, stop))
        elif random.random() < 0.5:
            found.append(Spoken(random.choice(VOCABULARY), first, stop))
    return found


def _length(word: int) -> int:
    return 2_400 + 16 * (word * 37 % 200)


def _wave(level: int, length: int) -> Samples:
    signs = 1 - 2 * (np.arange(length) // 8 % 2)
    return (signs * level / 32_768).astype(np.float32)


def _silence(length: int) -> Iterable[Samples]:
    for begin in range(0, length, RATE):
        yield _wave(_QUIET, min(RATE, length - begin))


_SOUNDS = tuple(_wave(_SOFTEST + _STEP * n, _length(n)) for n in range(len(VOCABULARY)))
