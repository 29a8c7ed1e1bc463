"""Answers: read within limits, decoded with guards, never trusted."""

from __future__ import annotations

import json
import math
import re
import zlib
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from asrcli.errors import Retry, UnexpectedAnswerError
from asrcli.secret import redact

__all__ = ["MOST_BODY", "MOST_HEADERS", "Answer", "decoded", "encode_json", "read_json"]

MOST_BODY = 32_000_000
"""Bytes of an answer, as sent and as decoded."""
MOST_HEADERS = 64_000
_PIECE = 64 * 1024
_MOST_EXCERPT = 200


@dataclass(frozen=True, slots=True)
class Answer:
    """What a service answered, read to its end."""

    status: int
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)
    """Names in small letters."""
    body: bytes = field(default=b"", repr=False)
    host: str = ""
    """Who answered; shown, so without port, path and query."""
    service: str = ""
    """The provider's name, for errors."""
    possible_duplicate: bool = False
    """The request was sent a second time after the first may have been carried out."""
    whole: bool = True
    """False where nothing but the end of the connection says that this is all."""
    _decoded: list[tuple[Any, bool]] = field(default_factory=list, repr=False, compare=False)

    @property
    def json(self) -> Any:
        """The body as JSON; raises UnexpectedAnswerError if it is none."""
        return self._read()[0]

    @property
    def mended(self) -> bool:
        """True if the JSON held characters or numbers that no text and no JSON can have."""
        return self._read()[1]

    @property
    def request_id(self) -> str | None:
        """What to name in a report to the service."""
        found: Any = self.headers.get("x-request-id")
        if not found and self.body.lstrip()[:1] == b"{":
            try:
                found = self.json.get("request_id")
            except UnexpectedAnswerError:
                found = None
        return _printable(found)[:100] if isinstance(found, str) and found else None

    @property
    def is_html(self) -> bool:
        """True for a web page."""
        start = self.body[:256].lstrip(b"\xef\xbb\xbf \t\r\n").lower()
        return start.startswith((b"<!doctype html", b"<html")) or (
            "html" in self.headers.get("content-type", "") and start.startswith(b"<")
        )

    @property
    def excerpt(self) -> str:
        """The first 200 characters on one line, safe to be shown where somebody asks for them."""
        text = self.body[: 8 * _MOST_EXCERPT].decode("utf-8", "replace")
        return " ".join(_printable(redact(text)).split())[:_MOST_EXCERPT]

    def marked(self, *, possible_duplicate: bool) -> Answer:
        """The same answer, marked as the second one of a request."""
        return replace(self, possible_duplicate=self.possible_duplicate or possible_duplicate)

    def unexpected(self, message: str, *, retry: Retry = Retry.NEVER) -> UnexpectedAnswerError:
        """An error that says so, with status and request id."""
        error = UnexpectedAnswerError(
            self.service or self.host, message, http_status=self.status, retry=retry
        )
        error.request_id = _printable(self.headers.get("x-request-id", ""))[:100] or None
        if shown := self.excerpt:
            error.add_note(f"the answer begins: {shown}")  # seen with --debug alone
        return error

    def _read(self) -> tuple[Any, bool]:
        if not self._decoded:
            try:
                self._decoded.append(read_json(self.body))
            except ValueError as error:
                what = "a web page" if self.is_html else str(error)
                raise self.unexpected(f"it answered with {what}") from error
        return self._decoded[0]


# --- bytes ------------------------------------------------------------------------------------


def decoded(pieces: Iterable[bytes], encoding: str) -> Iterator[bytes]:
    """The bytes with the content encoding undone, in small pieces.

    Asked for `identity`, some servers send gzip anyway. Raises ValueError for another encoding or
    broken data, and EOFError for data that was cut: zlib takes both without a word.
    """
    encoding = encoding.strip().lower()
    if encoding in {"", "identity"}:
        yield from pieces
        return
    if encoding not in {"gzip", "x-gzip", "deflate"}:
        raise ValueError(f"the encoding {_printable(encoding)[:20]!r}, which was not asked for")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 32)  # gzip or zlib, by its first bytes
    for piece in pieces:
        rest = piece
        while rest:
            if unpacker.eof:
                raise ValueError("more after the end of packed data")
            try:
                yield unpacker.decompress(rest, _PIECE)
            except zlib.error as error:
                raise ValueError("data that cannot be unpacked") from error
            rest = unpacker.unconsumed_tail or unpacker.unused_data
    while not unpacker.eof and (last := unpacker.decompress(b"", _PIECE)):
        yield last
    if not unpacker.eof:
        raise EOFError


# --- JSON -------------------------------------------------------------------------------------

_LONE_SURROGATE = re.compile(
    r"\\u[dD][89abAB][0-9a-fA-F]{2}\\u[dD][c-fC-F][0-9a-fA-F]{2}"  # a pair: kept
    r"|(\\u[dD][89a-fA-F][0-9a-fA-F]{2})"
    r"|\\."  # any other escape: passed over, so that its letters are not read as one
)


def encode_json(value: Any) -> bytes:
    """The value as it is sent; what UTF-8 cannot hold becomes `?`."""
    text = json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return text.encode("utf-8", "replace")


def read_json(body: bytes) -> tuple[Any, bool]:
    """The value, and whether something in it had to be replaced.

    Bytes and escapes that are no character become U+FFFD, NaN and infinities None. Raises
    ValueError, whose text goes on after "it answered with", for what is no JSON, is nested too
    deeply, or holds a number of thousands of digits.
    """
    if not body.strip():
        raise ValueError("nothing")
    changes: list[str] = []
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        text = body.decode("utf-8-sig", "replace")
        changes.append("bytes")
    if "\\ud" in text or "\\uD" in text:
        text = _LONE_SURROGATE.sub(lambda match: _mended(match, changes), text)

    def finite(digits: str) -> float | None:
        number = float(digits)
        if math.isfinite(number):
            return number
        changes.append(digits)
        return None

    try:
        # Line breaks within a text, which some services forget to escape, do no harm.
        value = json.loads(text, parse_constant=finite, parse_float=finite, strict=False)
    except RecursionError:
        raise ValueError("JSON that is nested too deeply") from None
    except json.JSONDecodeError:
        raise ValueError("something that is no JSON") from None
    except ValueError:
        raise ValueError("JSON with a number of thousands of digits") from None
    return value, bool(changes)


def _mended(match: re.Match[str], changes: list[str]) -> str:
    if match[1] is None:
        return match[0]
    changes.append(match[1])
    return "\ufffd"


def _printable(text: str) -> str:
    return "".join(c if c.isprintable() else " " for c in text)
