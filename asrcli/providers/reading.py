"""Reading answers that may hold anything."""

from __future__ import annotations

import re
from typing import Any

__all__ = ["dig", "first_text", "number_at", "text_at", "without_urls"]

_URL = re.compile(r"https?://\S+")


def dig(value: Any, *path: str | int) -> Any:
    """What lies at `path` in decoded JSON, or None where there is no such place."""
    for step in path:
        if (isinstance(step, str) and isinstance(value, dict)) or (
            isinstance(step, int) and isinstance(value, list) and len(value) > step
        ):
            value = value.get(step) if isinstance(value, dict) else value[step]
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
    except ValueError:
        return None
    return number if abs(number) < float("inf") else None


def first_text(*candidates: Any) -> str | None:
    """The first of the values that is a text with something in it."""
    return next((c for c in candidates if isinstance(c, str) and c.strip()), None)


def without_urls(text: str) -> str:
    """The text with each URL shown without its path: it may be signed, and it is long."""
    return _URL.sub(lambda m: "/".join(m.group().split("/")[:3]) + "/…", text)
