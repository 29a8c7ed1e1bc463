"""Two requests next to each other, field by field: what an official SDK sent, and what we sent.

A request is taken apart into named fields: `path`, `query model`, `header accept`,
`json input.messages[0].role`, `form key`. Whatever differs has to be in a table of `Difference`s
that says what each side sends, and why that is right; a line of the table that is not needed any
more is a failure too.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

from tests.emulators.service import Received

__all__ = ["Difference", "assert_alike"]

_FOLLOWING = frozenset({"content-length"})
"""Headers that follow from the body, which is compared itself."""


@dataclass(frozen=True, slots=True)
class Difference:
    """A field that may differ: patterns for the whole of it on either side, None where it is not.

    A pattern on each side is for values of the service's, or of the moment.
    """

    field: str
    sdk: str | None
    ours: str | None
    why: str

    def explains(self, sdk: str | None, ours: str | None) -> bool:
        """True if both sides are what the line says."""
        return _fits(self.sdk, sdk) and _fits(self.ours, ours)


def assert_alike(sdk: Received, ours: Received, *allowed: Iterable[Difference]) -> None:
    """Fail for a field that differs otherwise than allowed, and for a line nobody needs."""
    left, right = dict(_fields(sdk)), dict(_fields(ours))
    found = {
        name: (left.get(name), right.get(name))
        for name in sorted({*left, *right})
        if left.get(name) != right.get(name)
    }
    lines = {line.field: line for table in allowed for line in table}
    unexplained = {
        name: pair
        for name, pair in found.items()
        if name not in lines or not lines[name].explains(*pair)
    }
    assert not unexplained, f"fields (SDK's, ours) that no line explains: {unexplained}"
    unneeded = sorted(set(lines) - set(found))
    assert not unneeded, f"lines about fields that are alike: {unneeded}"


def _fits(pattern: str | None, value: str | None) -> bool:
    if pattern is None or value is None:
        return pattern is value
    return re.fullmatch(pattern, value, re.DOTALL) is not None


# --- fields -----------------------------------------------------------------------------------


def _fields(request: Received) -> Iterator[tuple[str, str]]:
    yield "method", request.method
    yield "path", request.url.raw_path.partition(b"?")[0].decode()
    for name, value in request.url.params.multi_items():
        yield f"query {name}", value
    kind = request.headers.get("content-type", "")
    for name, value in request.headers.items():
        if name not in _FOLLOWING:
            # The boundary of a form is a new one each time.
            yield f"header {name}", re.sub(r"(boundary=)\S+", r"\1…", value)
    if "json" in kind:
        for place, value in _leaves(request.json, ""):
            yield f"json {place}".rstrip(), value
    elif kind.startswith("multipart/"):
        yield from _form(request)


def _leaves(value: Any, place: str) -> Iterator[tuple[str, str]]:
    if isinstance(value, dict) and value:
        for name, item in value.items():
            yield from _leaves(item, f"{place}.{name}".lstrip("."))
    elif isinstance(value, list) and value:
        for number, item in enumerate(value):
            yield from _leaves(item, f"{place}[{number}]")
    else:
        yield place, value if isinstance(value, str) else json.dumps(value)


def _form(request: Received) -> Iterator[tuple[str, str]]:
    parts = request.form
    yield "form order", " ".join(part.name for part in parts)
    texts: dict[str, list[str]] = {}
    for part in parts:
        if part.filename is None:
            texts.setdefault(part.name, []).append(part.text)
            continue
        yield f"form {part.name} name", part.filename
        yield f"form {part.name} type", part.content_type or "none"
        yield f"form {part.name} bytes", part.sha256
    for name, values in texts.items():
        yield f"form {name}", values[0] if len(values) == 1 else json.dumps(values)
