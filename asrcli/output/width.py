"""How wide text is in cells: wide characters of East Asia take two, combining marks none.

Cells are what subtitles count in and what a terminal has; characters are neither.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache

__all__ = ["character_width", "clusters", "display_width", "last_cells"]

_JOINER = "\u200d"
_AS_EMOJI = re.compile("(.)\ufe0f")
"""A character that is to be shown as an emoji, which is wide even if the character is not."""


def display_width(text: str) -> int:
    """The cells that a text without control characters takes."""
    if text.isascii():
        return len(text)
    width = sum(map(character_width, text))
    return width + sum(character_width(match[1]) == 1 for match in _AS_EMOJI.finditer(text))


@lru_cache(maxsize=8192)
def character_width(character: str) -> int:
    """0, 1 or 2 cells."""
    # Mn, Me: combining marks. Cf: joiners and direction marks. U+1160-U+11FF: the vowels and
    # final consonants that share the cell of the Hangul letter before them.
    if unicodedata.category(character) in {"Mn", "Me", "Cf"} or "\u1160" <= character <= "\u11ff":
        return 0
    if unicodedata.category(character) == "Cn":  # emoji newer than this Python are wide
        return 2 if "\U0001f300" <= character <= "\U0001faff" else 1
    return 2 if unicodedata.east_asian_width(character) in "WF" else 1


def clusters(text: str) -> list[str]:
    """The text cut where it may be cut at all: marks stay with the letter they belong to."""
    if text.isascii():
        return list(text)
    found: list[str] = []
    for character in text:
        joined = character_width(character) == 0 or (found and found[-1].endswith(_JOINER))
        if found and joined:
            found[-1] += character
        else:
            found.append(character)
    return found


def last_cells(text: str, cells: int, *, mark: str = "…") -> str:
    """The end of a text, at most `cells` wide, with the mark (one cell, or none) if it was cut."""
    if cells <= 0:
        return ""
    # Nothing wider than its own number of characters times two can matter for the end.
    tail = text[-4 * cells - 4 :]
    if tail == text and display_width(text) <= cells:
        return text
    kept: list[str] = []
    room = cells - len(mark)
    for cluster in reversed(clusters(tail)):
        room -= display_width(cluster)
        if room < 0:
            break
        kept.append(cluster)
    return mark + "".join(reversed(kept)).lstrip()
