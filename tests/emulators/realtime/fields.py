"""What may be in a message: names, types and ranges. The first thing wrong is told."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["Check", "boolean", "list_of_texts", "number", "obj", "one_of", "text", "wrong"]

Check = Callable[[Any], bool]


def wrong(value: Any, known: Mapping[str, Check], *required: str) -> str | None:
    """The first field that is missing, unknown or out of its range; None if all are right."""
    if not isinstance(value, dict):
        return "(not an object)"
    for name in required:
        if name not in value:
            return name
    return next((n for n, v in value.items() if n not in known or not known[n](v)), None)


def text(value: Any) -> bool:
    return isinstance(value, str) and bool(value)


def boolean(value: Any) -> bool:
    return isinstance(value, bool)


def obj(value: Any) -> bool:
    return isinstance(value, dict)


def list_of_texts(value: Any) -> bool:
    return isinstance(value, list) and bool(value) and all(text(item) for item in value)


def number(lowest: float, highest: float) -> Check:
    def check(value: Any) -> bool:
        right = isinstance(value, int | float) and not isinstance(value, bool)
        return right and lowest <= value <= highest

    return check


def one_of(*choices: Any) -> Check:
    return lambda value: any(value == choice and type(value) is type(choice) for choice in choices)
