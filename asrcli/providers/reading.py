"""Reading answers that may hold anything, and saying so much of them as may be shown."""

from __future__ import annotations

import re
from typing import Any

from asrcli.secret import redact

__all__ = ["dig", "first_text", "number_at", "shown", "text_at", "without_urls"]

_URL = re.compile(r"(https?://)(?:[^\s/?#@]*@)?([^\s/?#\"'<>]+)\S*", re.IGNORECASE)
_MOST_SHOWN = 500


def dig(value: Any, *path: str | int) -> Any:
    """What lies at `path` in decoded JSON, or None where there is no such place."""
    for step in path:
        if isinstance(step, str) and isinstance(value, dict):
            value = value.get(step)
        elif isinstance(step, int) and isinstance(value, list) and 0 <= step < len(value):
            value = value[step]
        else:
            return None
    return value


def text_at(value: Any, *path: str | int) -> str | None:
    """The text at `path`, or None if something else or nothing is there."""
    found = dig(value, *path)
    return found if isinstance(found, str) else None


def number_at(value: Any, *path: str | int) -> float | None:
    """The number at `path`, also one written as a text; None if nothing of that kind is there."""
    found = dig(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        number = float(found)
    except (ValueError, OverflowError):
        return None
    return number if abs(number) < float("inf") else None


def first_text(*candidates: Any) -> str | None:
    """The first of the values that is a text with something in it."""
    return next((c for c in candidates if isinstance(c, str) and c.strip()), None)


def without_urls(text: str) -> str:
    """The text with each URL shown without its path: it may be signed, and it is long."""
    return _URL.sub(r"\1\2/…", text)


def shown(text: str, most: int = _MOST_SHOWN) -> str:
    """What a service said, as one line of at most `most` characters, without keys and signatures.

    A service that quotes the request may repeat the key, or all of the recording.
    """
    # Once before URLs hide the start of a key, once after lines have grown together.
    line = redact(" ".join(without_urls(redact(text)).split()))
    return line if len(line) <= most else line[:most] + "…"
