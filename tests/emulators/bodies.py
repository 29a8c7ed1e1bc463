"""What a request carries: kept in memory while it is small, on disk when it is large.

Forms are read to the letter: parts in their order, each with its name, file name, content type
and bytes, and no byte between them that RFC 7578 does not ask for.
"""

from __future__ import annotations

import hashlib
import io
import json
import mmap
import re
import tempfile
import weakref
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import IO, Any

__all__ = ["Body", "MalformedForm", "Part", "parse_form", "strict_json"]

IN_MEMORY = 1 << 20
"""Bytes; what is larger goes to disk."""
MOST_HEADERS = 4_096
_PIECE = 1 << 18


class MalformedForm(ValueError):  # noqa: N818 - it is a statement about the body
    """The body is no form that a strict server takes."""


class Body:
    """The bytes of a request, which can be read any number of times."""

    def __init__(self, pieces: Iterable[bytes] = ()) -> None:
        self.size = 0
        self._memory = b""
        self._file: IO[bytes] | None = None
        self._map: mmap.mmap | None = None
        start = bytearray()
        for piece in pieces:
            self.size += len(piece)
            if self._file is None and self.size <= IN_MEMORY:
                start += piece
                continue
            if self._file is None:
                self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed by `close`
                weakref.finalize(self, self._file.close)
                self._file.write(start)
            self._file.write(piece)
        if self._file is None:
            self._memory = bytes(start)
        else:
            self._file.flush()
            self._map = mmap.mmap(self._file.fileno(), 0, access=mmap.ACCESS_READ)
            weakref.finalize(self, self._map.close)

    @property
    def in_memory(self) -> bool:
        return self._map is None

    @property
    def content(self) -> bytes:
        """All of it."""
        return self.slice(0, self.size)

    @cached_property
    def sha256(self) -> str:
        return _digest(self, 0, self.size)

    def slice(self, start: int, end: int) -> bytes:
        return (self._memory if self._map is None else self._map)[start:end]

    def find(self, wanted: bytes, start: int = 0) -> int:
        """Where it occurs first at or after `start`; -1 if nowhere."""
        return (self._memory if self._map is None else self._map).find(wanted, start)

    def pieces(self, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """A stretch of it, in pieces that fit in memory."""
        stop = self.size if end is None else end
        for at in range(start, stop, _PIECE):
            yield self.slice(at, min(at + _PIECE, stop))

    def forget(self) -> None:
        """Let go of the bytes; the size stays."""
        self._memory = b""
        if self._map is not None and self._file is not None:
            self._map.close()
            self._file.close()
            self._map = None


@dataclass(frozen=True, slots=True)
class Part:
    """One part of a form, as a stretch of the body."""

    name: str
    filename: str | None
    """As it was sent, percent signs and all; None for a plain field."""
    content_type: str | None
    body: Body
    start: int
    end: int

    @property
    def size(self) -> int:
        return self.end - self.start

    @property
    def content(self) -> bytes:
        return self.body.slice(self.start, self.end)

    @property
    def text(self) -> str:
        """A field's value; raises MalformedForm if it is not UTF-8."""
        try:
            return self.content.decode()
        except UnicodeDecodeError as error:
            raise MalformedForm(f"the field {self.name} is not UTF-8") from error

    @property
    def sha256(self) -> str:
        return _digest(self.body, self.start, self.end)

    def open(self) -> IO[bytes]:
        """A file to read and seek in, which does not hold the part in memory."""
        return io.BufferedReader(_Window(self.body, self.start, self.end), _PIECE)

    def save(self, path: Path) -> Path:
        """Write it to a file of its own."""
        with path.open("wb") as file:
            file.writelines(self.body.pieces(self.start, self.end))
        return path


class _Window(io.RawIOBase):
    """A stretch of a body as a file."""

    def __init__(self, body: Body, start: int, end: int) -> None:
        super().__init__()
        self._body = body
        self._start = start
        self._size = end - start
        self._at = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        base = {io.SEEK_SET: 0, io.SEEK_CUR: self._at, io.SEEK_END: self._size}[whence]
        self._at = max(0, base + offset)
        return self._at

    def readinto(self, buffer: Any) -> int:
        start = self._start + min(self._at, self._size)
        data = self._body.slice(start, min(start + len(buffer), self._start + self._size))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)


def _digest(body: Body, start: int, end: int) -> str:
    digest = hashlib.sha256()
    for piece in body.pieces(start, end):
        digest.update(piece)
    return digest.hexdigest()


# --- forms ------------------------------------------------------------------------------------

_BOUNDARY = re.compile(r'multipart/form-data; ?boundary=(?:"([^"]{1,70})"|([^";,\s]{1,70}))')
_DISPOSITION = re.compile(r'form-data; name="([^"]*)"(?:; filename="([^"]*)")?')


def parse_form(content_type: str, body: Body) -> list[Part]:
    """The parts in their order; raises MalformedForm."""
    found = _BOUNDARY.fullmatch(content_type)
    if found is None:
        raise MalformedForm(f"not a form: {content_type[:100]!r}")
    delimiter = b"--" + (found[1] or found[2]).encode("ascii")
    if body.slice(0, len(delimiter) + 2) != delimiter + b"\r\n":
        raise MalformedForm("the body does not begin with its boundary")
    parts = []
    at = len(delimiter) + 2
    while True:
        part = _part(body, at, delimiter)
        parts.append(part)
        at = part.end + 2 + len(delimiter)
        after = body.slice(at, at + 2)
        if after == b"--":
            break
        if after != b"\r\n":
            raise MalformedForm("a boundary does not end its line")
        at += 2
    if body.slice(at + 2, body.size) not in {b"", b"\r\n"}:
        raise MalformedForm("there is something after the last boundary")
    return parts


def _part(body: Body, start: int, delimiter: bytes) -> Part:
    blank = body.find(b"\r\n\r\n", start)
    if not 0 <= blank - start <= MOST_HEADERS:
        raise MalformedForm("a part has no end of its headers")
    name, filename, content_type = _part_headers(body.slice(start, blank))
    begin = blank + 4
    end = body.find(b"\r\n" + delimiter, begin)
    if end < 0:
        raise MalformedForm(f"the part {name} does not end")
    return Part(name, filename, content_type, body, begin, end)


def _part_headers(block: bytes) -> tuple[str, str | None, str | None]:
    try:
        lines = block.decode("utf-8").split("\r\n")
    except UnicodeDecodeError as error:
        raise MalformedForm("the headers of a part are not UTF-8") from error
    headers: dict[str, str] = {}
    for line in lines:
        name, colon, value = line.partition(": ")
        if not colon or name.lower() in headers or not value.isprintable():
            raise MalformedForm(f"the header {line[:100]!r} of a part")
        headers[name.lower()] = value
    if headers.keys() - {"content-disposition", "content-type"}:
        raise MalformedForm(f"unknown headers of a part: {', '.join(headers)}")
    disposition = _DISPOSITION.fullmatch(headers.get("content-disposition", ""))
    if disposition is None:
        raise MalformedForm(f"the disposition {headers.get('content-disposition')!r}")
    return disposition[1], disposition[2], headers.get("content-type")


# --- JSON -------------------------------------------------------------------------------------


def strict_json(content: bytes) -> Any:
    """JSON in UTF-8 without twins among its keys, NaN or infinities; raises ValueError."""
    return json.loads(
        content.decode("utf-8"), object_pairs_hook=_without_twins, parse_constant=_no_constant
    )


def _without_twins(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError(f"a key is given twice: {[name for name, _ in pairs]}")
    return found


def _no_constant(name: str) -> Any:
    raise ValueError(f"{name} is not JSON")
