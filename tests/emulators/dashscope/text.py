"""What the models make of the words that were heard: sentences, spelling, masks, numbers."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from tests.emulators.recognizer import HeardWord

__all__ = [
    "Sentence",
    "Spoken",
    "about_tokens",
    "deleted",
    "inverse_normalized",
    "masked",
    "pieces",
    "sentences",
    "speaker_numbers",
    "spelled",
    "spoken",
    "text_of",
]

_MARKS = ".,;:!?"
PAUSE_MS = 500
"""A gap between words from which voice activity detection cuts."""


@dataclass(frozen=True, slots=True)
class Spoken:
    """A word as it is written, without the mark that follows it; milliseconds."""

    text: str
    start: int
    end: int
    mark: str = ""
    speaker: str = ""
    language: str = ""
    emotion: str = ""

    @property
    def written(self) -> str:
        return self.text + self.mark


@dataclass(frozen=True, slots=True)
class Sentence:
    """Some words that belong together; there is at least one."""

    words: tuple[Spoken, ...]

    @property
    def start(self) -> int:
        return self.words[0].start

    @property
    def end(self) -> int:
        return self.words[-1].end

    @property
    def text(self) -> str:
        return text_of(self.words)


def spoken(words: Iterable[HeardWord]) -> list[Spoken]:
    """The words with their marks apart, and in milliseconds."""
    return [_spoken(word) for word in words]


def _spoken(word: HeardWord) -> Spoken:
    text = word.text.rstrip(_MARKS)
    return Spoken(
        text,
        round(word.start * 1000),
        round(word.end * 1000),
        word.text[len(text) :],
        word.speaker,
        word.language,
        word.emotion,
    )


def text_of(words: Iterable[Spoken]) -> str:
    return " ".join(word.written for word in words)


def sentences(words: Sequence[Spoken], *, by_marks: bool) -> list[Sentence]:
    """Cut at pauses and where another speaks; also at `.`, `?` and `!` if `by_marks`."""
    found: list[list[Spoken]] = []
    for word in words:
        before = found[-1][-1] if found else None
        if (
            before is None
            or word.start - before.end >= PAUSE_MS
            or word.speaker != before.speaker
            or (by_marks and before.mark[-1:] in {".", "?", "!"})
        ):
            found.append([])
        found[-1].append(word)
    return [Sentence(tuple(group)) for group in found]


def speaker_numbers(words: Iterable[Spoken]) -> dict[str, int]:
    """Numbers from 0, in the order in which the speakers begin."""
    return {name: n for n, name in enumerate(dict.fromkeys(word.speaker for word in words))}


def spelled(words: Sequence[Spoken], terms: Iterable[str]) -> list[Spoken]:
    """The same words, those of `terms` written as the terms are: how hotwords show."""
    spelled = list(words)
    for term in terms:
        parts = term.split()
        names = [part.casefold() for part in parts]
        for first in range(len(spelled) - len(parts) + 1):
            group = spelled[first : first + len(parts)]
            if [word.text.casefold() for word in group] == names:
                spelled[first : first + len(parts)] = [
                    replace(word, text=part) for word, part in zip(group, parts, strict=True)
                ]
    return spelled


def masked(words: Sequence[Spoken], terms: Iterable[str]) -> list[Spoken]:
    """Stars of equal length in place of the terms."""
    return _changed(words, terms, lambda word: replace(word, text="*" * len(word.text)))


def deleted(words: Sequence[Spoken], terms: Iterable[str]) -> list[Spoken]:
    """Without the terms, and without the marks that follow them."""
    return _changed(words, terms, lambda _: None)


def _changed(
    words: Sequence[Spoken], terms: Iterable[str], change: Callable[[Spoken], Spoken | None]
) -> list[Spoken]:
    names = {term.casefold() for term in terms}
    found = (change(word) if word.text.casefold() in names else word for word in words)
    return [word for word in found if word is not None]


_DIGITS: Mapping[str, str] = {
    name: str(number)
    for number, name in enumerate(
        "one two three four five six seven eight nine ten eleven twelve".split(), start=1
    )
} | {"twenty": "20", "thirty": "30", "forty": "40", "fifty": "50", "sixty": "60"}


def inverse_normalized(words: Sequence[Spoken]) -> list[Spoken]:
    """Small numbers as digits, which is all of ITN that the recordings can show."""
    return [replace(word, text=_DIGITS.get(word.text.casefold(), word.text)) for word in words]


def pieces(text: str) -> list[str]:
    """The text word by word, as a stream sends it; joined they are the text again."""
    return re.findall(r"\s*\S+|\s+$", text)


def about_tokens(text: str) -> int:
    """A rough count: four ASCII characters a token, or one of any other script."""
    plain = sum(character.isascii() for character in text)
    return -(-plain // 4) + len(text) - plain
