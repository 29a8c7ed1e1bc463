"""Forms with a file: the fields in their order, then the file, read from disk as it is sent."""

from __future__ import annotations

import io
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.errors import FileUnreadableError

if TYPE_CHECKING:
    import httpx

__all__ = ["FilePart", "form_request", "safe_name"]

_MIME_TYPE = re.compile(r"[\w.+-]+/[\w.+-]+", re.ASCII)
_MOST_NAME = 200
_BLOCK = 256 * 1024
"""Bytes: with the 64 KiB that httpx asks for, a fast line waits for Python between two of them."""


@dataclass(frozen=True, slots=True)
class FilePart:
    """A file in a form."""

    field: str
    filename: str
    """As the service sees it; it is made safe, but says what it says."""
    mime_type: str
    path: Path


def safe_name(name: str) -> str:
    """The name without anything that could end its header, or be taken for a path.

    Quotes, percent signs and whatever cannot be printed are percent-encoded.
    """
    name = re.sub(r"[/\\]", "_", name)[-_MOST_NAME:]
    return "".join(c if c.isprintable() and c not in '"%' else _percent(c) for c in name)


def _percent(character: str) -> str:
    return "".join(f"%{byte:02X}" for byte in character.encode("utf-8", "replace"))


@contextmanager
def form_request(
    url: str,
    headers: Mapping[str, str],
    fields: Sequence[tuple[str, str]],
    part: FilePart,
    *,
    on_sent: Callable[[int], None] | None = None,
) -> Iterator[httpx.Request]:
    """A POST of the form, with its length known; the file is open within the block.

    Fields of the same name are sent together. `on_sent` gets the bytes of the file that were read
    so far. Raises FileUnreadableError.
    """
    import httpx

    data: dict[str, list[str]] = {}
    for name, value in fields:
        data.setdefault(safe_name(name), []).append(value.encode("utf-8", "replace").decode())
    mime_type = part.mime_type
    if not _MIME_TYPE.fullmatch(mime_type):
        mime_type = "application/octet-stream"
    try:
        file = part.path.open("rb")
    except OSError as error:
        raise FileUnreadableError(f"cannot read {part.path}: {error.strerror}") from error
    with file:
        content = _Blocks(file, on_sent)
        files = {safe_name(part.field): (safe_name(part.filename), content, mime_type)}
        try:
            yield httpx.Request("POST", url, headers=dict(headers), data=data, files=files)  # type: ignore[arg-type]
        except httpx.LocalProtocolError as error:
            raise FileUnreadableError(f"{part.path} changed while it was sent") from error
        except OSError as error:  # of the file: those of sockets were made something else
            raise FileUnreadableError(f"cannot read {part.path}: {error.strerror}") from error


class _Blocks(io.RawIOBase):
    """A file that is read in larger blocks than asked for, and tells how far it was read.

    httpx passes on whatever a read gives until one gives nothing.
    """

    def __init__(self, file: io.BufferedReader, on_sent: Callable[[int], None] | None) -> None:
        super().__init__()
        self._file = file
        self._on_sent = on_sent

    def fileno(self) -> int:
        return self._file.fileno()

    def seekable(self) -> bool:
        return True

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        return self._file.seek(offset, whence)

    def read(self, size: int = -1) -> bytes:
        data = self._file.read(max(size, _BLOCK) if size >= 0 else -1)
        if self._on_sent:
            self._on_sent(self._file.tell())
        return data
