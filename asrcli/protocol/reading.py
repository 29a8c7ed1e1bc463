"""Reading messages that may hold anything: what is absent, null or of another type is None."""

from __future__ import annotations

import json
import math
from typing import Any

__all__ = ["dig", "integer", "items", "number", "object_of", "shown", "text"]

_MOST_SHOWN = 200


def object_of(message: str) -> dict[str, Any] | None:
    """The JSON object in `message`; None if it is no JSON, or something else than an object."""
    try:
        value = json.loads(message)
    except (ValueError, RecursionError):
        return None
    return value if isinstance(value, dict) else None


def dig(value: Any, *path: str) -> Any:
    """What lies at `path`, or None where there is no such place."""
    for step in path:
        if not isinstance(value, dict):
            return None
        value = value.get(step)
    return value


def text(value: Any, *path: str) -> str | None:
    """The text at `path`; a number is taken for one, since ids are sent as either."""
    found = dig(value, *path)
    if isinstance(found, int) and not isinstance(found, bool):
        return str(found)
    return _whole(found) if isinstance(found, str) else None


def number(value: Any, *path: str) -> float | None:
    """The finite number at `path`, also one written as a text."""
    found = dig(value, *path)
    if isinstance(found, bool) or not isinstance(found, int | float | str):
        return None
    try:
        result = float(found)
    except (ValueError, OverflowError):
        return None
    return result if math.isfinite(result) else None


def integer(value: Any, *path: str) -> int | None:
    """The number at `path` without its fraction."""
    found = number(value, *path)
    return None if found is None else int(found)


def items(value: Any, *path: str) -> list[dict[str, Any]]:
    """The objects of the list at `path`; what else is in the list is left out."""
    found = dig(value, *path)
    return [entry for entry in found if isinstance(entry, dict)] if isinstance(found, list) else []


def _whole(line: str) -> str:
    # JSON can hold half a character, which no terminal and no file can.
    if line.isascii():
        return line
    return line.encode("utf-16", "surrogatepass").decode("utf-16", "replace")


def shown(value: object) -> str:
    """A foreign text, short and on one line, to stand within a message of ours."""
    line = " ".join(str(value).split())
    return line if len(line) <= _MOST_SHOWN else line[:_MOST_SHOWN] + "…"
