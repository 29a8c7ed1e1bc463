"""Reading JSON strictly: every field known, of its type, and given once."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from tests.emulators.bodies import strict_json
from tests.emulators.dashscope.refusals import invalid

__all__ = ["Kind", "choice", "fields_of", "one_of_range", "parse_object"]

Kind = type | tuple[type, ...]


def parse_object(content: bytes, *, where: str = "the body") -> dict[str, Any]:
    """A JSON object in UTF-8, no key of which is given twice."""
    try:
        value = strict_json(content)
    except (ValueError, RecursionError) as error:
        raise invalid(f"{where} is no valid JSON: {error}") from error
    if not isinstance(value, dict):
        raise invalid(f"{where} must be a JSON object")
    return value


def fields_of(
    value: Any,
    where: str,
    required: Mapping[str, Kind] | None = None,
    optional: Mapping[str, Kind] | None = None,
) -> dict[str, Any]:
    """The object itself, if it has all the required fields, and no others than the two kinds."""
    if not isinstance(value, dict):
        raise invalid(f"{where} must be an object")
    required, known = required or {}, {**(required or {}), **(optional or {})}
    for name in required:
        if name not in value:
            raise invalid(f"{where} must contain {name}")
    for name, item in value.items():
        if name not in known:
            raise invalid(f"{where} has an unknown field: {name}")
        if not _is(item, known[name]):
            raise invalid(f"{where}.{name} has the wrong type: {type(item).__name__}")
    return value


def _is(value: Any, kind: Kind) -> bool:
    kinds = kind if isinstance(kind, tuple) else (kind,)
    if isinstance(value, bool):
        return bool in kinds
    if float in kinds and isinstance(value, int):
        return True
    return isinstance(value, kinds)


def choice(value: Any, where: str, among: tuple[Any, ...]) -> None:
    """Refuse a value that is not one of the few that are known."""
    if value not in among:
        raise invalid(f"{where} must be one of {', '.join(map(str, among))}: {value!r}")


def one_of_range(value: float | None, where: str, least: float, most: float) -> None:
    """Refuse a number outside [least, most]; None is a field that was not given."""
    if value is not None and not least <= value <= most:
        raise invalid(f"{where} must be in [{least}, {most}]: {value}")
