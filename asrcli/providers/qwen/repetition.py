"""Text that runs in circles at its end, as language models write it when they lose the thread."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Loop", "find_loop"]

_WINDOW = 8_000
"""Characters from the end in which the period is looked for."""
_MOST_PERIOD = 500
_LEAST_COUNT = 8
_LEAST_LENGTH = 40
"""Characters: less is a laugh, a stammer or a chorus."""


@dataclass(frozen=True, slots=True)
class Loop:
    """A stretch that is repeated up to the end of a text."""

    unit: str
    count: int
    end: int
    """Where the first round ends."""


def find_loop(text: str) -> Loop | None:
    """The shortest stretch that ends the text and was said at least eight times in a row."""
    text = text.rstrip()
    tail = text[-_WINDOW:][::-1]
    matches = _matches(tail)
    for period in range(1, min(_MOST_PERIOD, len(tail) // _LEAST_COUNT) + 1):
        length = matches[period] + period
        if length >= _LEAST_LENGTH and length >= _LEAST_COUNT * period:
            return _loop(text, period, length)
    return None


def _loop(text: str, period: int, length: int) -> Loop | None:
    start = len(text) - length
    while start > 0 and text[start - 1] == text[start - 1 + period]:
        start -= 1
    # The rounds end where the text does, so the first one is whole there too.
    end = start + period + (len(text) - start - period) % period
    while (
        end < len(text) and text[end - 1].isalnum() and text[end].isascii() and text[end].isalnum()
    ):
        end += 1  # a text that was cut ends within a word
    unit = text[-period:].strip()
    if not any(character.isalnum() for character in unit):
        return None
    return Loop(unit, (len(text) - start) // period, end)


def _matches(text: str) -> list[int]:
    """For each place, how many characters from there on are as those at the start (Z-function)."""
    found = [0] * (len(text) + 1)
    left = right = 0
    for place in range(1, len(text)):
        count = min(right - place, found[place - left]) if place < right else 0
        while place + count < len(text) and text[count] == text[place + count]:
            count += 1
        found[place] = count
        if place + count > right:
            left, right = place, place + count
    return found
