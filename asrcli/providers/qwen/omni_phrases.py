"""What language models say of themselves: patterns from `omni_phrases.toml`, read once."""

from __future__ import annotations

import re
from enum import StrEnum
from functools import cache
from pathlib import Path

__all__ = ["Phrase", "holds", "is_phrase", "starts_with"]

_FILE = Path(__file__).with_name("omni_phrases.toml")


class Phrase(StrEnum):
    """The kinds, by the names of their tables."""

    ANNOUNCEMENT = "announcement"
    LABEL = "label"
    CLOSING = "closing"
    DECLINES = "declines"
    DOUBTFUL = "doubtful"
    SILENCE = "silence"
    SOUND = "sound"


def is_phrase(text: str, *kinds: Phrase) -> bool:
    """True if the text as a whole is of one of the kinds."""
    return any(p.fullmatch(text) for kind in kinds for p in _patterns()[kind])


def starts_with(text: str, kind: Phrase) -> bool:
    """True if a phrase of the kind stands at the start."""
    return any(pattern.match(text) for pattern in _patterns()[kind])


def holds(text: str, kind: Phrase) -> bool:
    """True if a phrase of the kind stands somewhere in the text."""
    return any(pattern.search(text) for pattern in _patterns()[kind])


@cache
def _patterns() -> dict[Phrase, tuple[re.Pattern[str], ...]]:
    import tomllib

    data = tomllib.loads(_FILE.read_text(encoding="utf-8"))
    parts: dict[str, str] = data["part"]

    def compiled(source: str) -> re.Pattern[str]:
        for name, part in parts.items():
            source = source.replace(f"{{{name}}}", part)
        return re.compile(source, re.IGNORECASE)

    return {
        kind: tuple(compiled(source) for sources in data[kind].values() for source in sources)
        for kind in Phrase
    }
