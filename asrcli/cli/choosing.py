"""What the command line says about providers, checked."""

from __future__ import annotations

import difflib

from asrcli.errors import UsageError
from asrcli.settings import PROVIDERS

__all__ = ["known_provider", "nearest"]


def nearest(word: str, known: list[str] | tuple[str, ...]) -> str:
    """The names that come closest to a word, or all of them, as a question."""
    close = difflib.get_close_matches(word, known, n=2) or list(known)
    return f"Did you mean {', '.join(close)}?"


def known_provider(name: str | None) -> str | None:
    """The provider that was named, if it is one; raises UsageError for any other."""
    if name is not None and name not in PROVIDERS:
        raise UsageError(f"there is no provider {name!r}", hint=nearest(name, PROVIDERS))
    return name
