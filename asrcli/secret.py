"""Keys: held so that they cannot be printed by accident, and found again to be blotted out."""

from __future__ import annotations

import base64
import re
from urllib.parse import quote

__all__ = ["Secret", "redact"]

_BLOT = "***"
_live: set[str] = set()
# What signs a URL, whoever signed it; the parameter's name stays, its value goes.
_SIGNATURE = re.compile(
    r"(?i)((?:signature|x-amz-[\w-]+|ossaccesskeyid|security-token|token|key|sig|expires)=)[^&\s\"'<>]+"
)
# A key's header, or what follows "Bearer": long, so that a sentence about a bearer is left alone.
_HEADER = re.compile(
    r"(?i)(\b(?:api-key|authorization)[\"']?\s*[:=]\s*[\"']?(?:bearer\s+)?|\bbearer\s+(?=\S{16}))"
    r"[\w.+/=~-]{6,}"
)


class Secret:
    """A value that shows itself to nobody but `reveal`, which only the header builder calls."""

    __slots__ = ("_value",)

    def __init__(self, value: str) -> None:
        self._value = value
        if len(value) >= 4:  # shorter ones would blot out half of any text
            _live.update({value, quote(value, safe=""), _base64(value)})

    def reveal(self) -> str:
        """The value itself."""
        return self._value

    def __bool__(self) -> bool:
        return bool(self._value)

    def __repr__(self) -> str:
        return f"Secret({_BLOT})" if self._value else "Secret()"

    __str__ = __repr__

    def __reduce__(self) -> str:
        raise TypeError("a Secret is not written anywhere")


def redact(text: str) -> str:
    """The text without any live key, and without what signs a URL or fills a key's header."""
    for value in sorted(_live, key=len, reverse=True):
        text = text.replace(value, _BLOT)
    return _HEADER.sub(rf"\1{_BLOT}", _SIGNATURE.sub(rf"\1{_BLOT}", text))


def _base64(value: str) -> str:
    return base64.b64encode(value.encode()).decode()
