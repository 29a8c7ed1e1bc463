"""From samples that arrive bit by bit to utterances that begin, grow and end."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Protocol

__all__ = ["Heard", "Listen", "Listening", "Spoken", "Word", "joined"]


_SILENT = 300
"""Sample value up to which all is silence."""
_QUIET = 0.05
"""Share of the loudest sample of an utterance up to which its pauses go."""


class Word(Protocol):
    @property
    def text(self) -> str: ...
    @property
    def start(self) -> float: ...
    @property
    def end(self) -> float: ...


class Heard(Protocol):
    @property
    def words(self) -> Sequence[Word]: ...


Listen = Callable[[bytes, int], Heard]
"""Samples (16-bit little-endian, one channel) and their rate in Hz to words with seconds."""


@dataclass(frozen=True, slots=True)
class SpokenWord:
    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Spoken:
    """An utterance as it stands; `over` when a pause or a commit has ended it."""

    number: int
    words: tuple[SpokenWord, ...]
    over: bool
    language: str
    emotion: str

    @property
    def start(self) -> float:
        return self.words[0].start

    @property
    def end(self) -> float:
        return self.words[-1].end

    @property
    def text(self) -> str:
        return joined(word.text for word in self.words)


class Listening:
    """Listens anew after each `step` seconds of audio, whatever the size of the messages."""

    def __init__(self, listen: Listen, rate: int, *, pause: float, step: float) -> None:
        self._listen = listen
        self._rate = rate
        self.pause: float | None = pause
        """Seconds of quiet that end an utterance; None: only `end` does."""
        self._step = round(step * rate) * 2
        self._samples = bytearray()
        self._begun = 0
        self._number = 0
        self._last: Spoken | None = None

    @property
    def position(self) -> float:
        """Seconds of audio received."""
        return len(self._samples) / 2 / self._rate

    @property
    def quiet_since(self) -> float:
        """Where the last word ended."""
        return self._last.end if self._last else 0.0

    def take(self, samples: bytes) -> list[Spoken]:
        """More audio; returns what is new, in order."""
        changes = []
        rest = memoryview(samples)
        while rest:
            until = self._step - len(self._samples) % self._step
            self._samples += rest[:until]
            rest = rest[until:]
            if len(self._samples) % self._step == 0:
                changes += self._look(flush=False)
        return changes

    def end(self) -> list[Spoken]:
        """The audio is over, or was committed: the open utterance ends here."""
        changes = self._look(flush=True)
        self._begun = len(self._samples)
        return changes

    def _look(self, *, flush: bool) -> list[Spoken]:
        offset = self._begun / 2 / self._rate
        heard = self._listen(bytes(self._samples[self._begun :]), self._rate).words
        words = [SpokenWord(w.text, w.start + offset, w.end + offset) for w in heard]
        if not words:
            # Silence is not listened to again and again; a word may have begun just now.
            self._begun = max(self._begun, len(self._samples) - round(2 * self._rate) * 2)
        changes: list[Spoken] = []
        groups = self._groups(words)
        for place, group in enumerate(groups):
            over = flush or place < len(groups) - 1 or self._is_over(group)
            changes += self._change(group, heard[0], over=over)
        return changes

    def _groups(self, words: list[SpokenWord]) -> list[list[SpokenWord]]:
        groups: list[list[SpokenWord]] = []
        for word in words:
            gap = word.start - groups[-1][-1].end if groups else 0.0
            if not groups or (self.pause is not None and gap >= self.pause):
                groups.append([])
            groups[-1].append(word)
        return groups

    def _is_over(self, group: list[SpokenWord]) -> bool:
        if self.pause is None or self.position - group[-1].end < self.pause:
            return False
        # A long word that is still being spoken is no pause, though no word was heard since.
        tail = self._samples[-2 * round(self.pause * self._rate) :]
        return _peak(tail) <= max(_SILENT, _QUIET * _peak(self._samples[self._begun :]))

    def _change(self, group: list[SpokenWord], first: Word, *, over: bool) -> list[Spoken]:
        language = getattr(first, "language", "") or "en"
        emotion = getattr(first, "emotion", "") or "neutral"
        spoken = Spoken(self._number, tuple(group), over, language, emotion)
        if spoken == self._last:
            return []
        self._last = spoken
        if over:
            self._number += 1
            self._begun = round(group[-1].end * self._rate) * 2
        return [spoken]


def _peak(samples: bytes | bytearray) -> int:
    values = array("h", bytes(samples))
    highest, lowest = (max(values), min(values)) if values else (0, 0)
    return max(highest, -lowest)


def joined(words: Iterable[str]) -> str:
    """Words as they are written: with spaces, or without between scripts that have none."""
    line = ""
    for word in words:
        wide = line and ord(line[-1]) >= 0x2E80 and ord(word[0]) >= 0x2E80
        line += word if wide or not line else f" {word}"
    return line
