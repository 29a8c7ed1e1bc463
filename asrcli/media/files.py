"""Open a file to read it, and nothing but a file: no folder, pipe, socket or device.

Also files as FFmpeg and libsndfile may have them: without a name, and without exceptions, which
would end in the middle of a library that can only print them to standard error.
"""

from __future__ import annotations

import errno
import os
import stat
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, BinaryIO

from asrcli.errors import FileUnreadableError

__all__ = ["QuietReader", "QuietWriter", "open_regular"]

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
_WORDS = {
    errno.ENOENT: "does not exist",
    errno.ENOTDIR: "does not exist",
    errno.EACCES: "may not be read",
    errno.EPERM: "may not be read",
    errno.EISDIR: "is a folder, not a file",
    errno.ENXIO: "is a socket or a device, not a file",
    errno.ELOOP: "is a link that leads to itself",
    errno.ENAMETOOLONG: "does not exist: its name is too long",
}


@contextmanager
def open_regular(path: Path, name: str) -> Iterator[BinaryIO]:
    """Open `path`, called `name` in messages; no pipe makes this wait.

    Raises FileUnreadableError for what is no regular file, and for any failure to open it or,
    inside the `with`, to read it.
    """
    try:
        with open(path, "rb", opener=_open_without_waiting) as file:
            mode = os.fstat(file.fileno()).st_mode
            if kind := next((word for test, word in _KINDS if test(mode)), None):
                raise FileUnreadableError(f"{name} is {kind}, not a file")
            yield file
    except OSError as error:
        words = _WORDS.get(error.errno or 0) or f"cannot be read: {error.strerror or error}"
        raise FileUnreadableError(f"{name} {words}") from error
    except ValueError as error:
        if "null byte" not in str(error):
            raise
        raise FileUnreadableError(f"{name!r} is no name of a file") from error


def _open_without_waiting(path: str, flags: int) -> int:
    # Windows has neither flag, and no pipes in its folders.
    return os.open(path, flags | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_NOCTTY", 0))


class QuietReader:
    """A file to read from; it seems to end where it fails, and `check` raises why."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._failure: OSError | None = None

    def read(self, size: int = -1) -> bytes:
        """As a file's."""
        try:
            return self._file.read(size) if self._failure is None else b""
        except OSError as error:
            self._failure = error
            return b""

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's, but -1 for what is no place."""
        try:
            return self._file.seek(offset, whence)
        except (OSError, ValueError):
            return -1

    def tell(self) -> int:
        """As a file's."""
        return self._file.tell()

    def check(self) -> None:
        """Raise the OSError that ended the file, if one did."""
        if self._failure is not None:
            raise self._failure


class QuietWriter:
    """A file to write to; it takes everything, also what it cannot keep: `check` raises that."""

    def __init__(self, file: IO[bytes]) -> None:
        self._file = file
        self._failure: OSError | None = None

    def write(self, data: bytes) -> int:
        """As a file's."""
        try:
            if self._failure is None:
                self._file.write(data)
        except OSError as error:
            self._failure = error
        return len(data)

    def seek(self, offset: int, whence: int = os.SEEK_SET) -> int:
        """As a file's."""
        try:
            return self._file.seek(offset, whence) if self._failure is None else offset
        except OSError as error:
            self._failure = error
            return offset

    def tell(self) -> int:
        """As a file's."""
        return self._file.tell() if self._failure is None else 0

    def check(self) -> None:
        """Raise the OSError that a call ended in, if one did."""
        if self._failure is not None:
            raise self._failure
