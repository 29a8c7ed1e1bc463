"""The two standard streams as they are: terminals, pipes, closed, full, of any encoding."""

from __future__ import annotations

import contextlib
import errno
import os
import select
from collections.abc import Mapping
from typing import IO, Any, BinaryIO, TextIO

from asrcli.errors import OutputError
from asrcli.output.files import reason

__all__ = ["DataStream", "NoticeStream", "is_dumb", "size", "wants_color"]

_DEFAULT_SIZE = (80, 25)


def wants_color(choice: str, environ: Mapping[str, str], *, terminal: bool) -> bool:
    """`--color` beats NO_COLOR, that beats FORCE_COLOR, and that beats what the stream is.

    An empty variable is one that is not set (https://no-color.org, https://force-color.org).
    """
    if choice != "auto":
        return choice == "always"
    if environ.get("NO_COLOR"):
        return False
    return bool(environ.get("FORCE_COLOR")) or (terminal and not is_dumb(environ))


def is_dumb(environ: Mapping[str, str]) -> bool:
    """True for a terminal that cannot move its cursor."""
    return environ.get("TERM", "") in {"dumb", "unknown"}


def size(stream: Any, environ: Mapping[str, str]) -> tuple[int, int]:
    """Columns and lines of a terminal at this moment; some report 0, and then it is 80 by 25."""
    columns, lines = 0, 0
    with contextlib.suppress(OSError, ValueError, AttributeError):
        columns, lines = os.get_terminal_size(stream.fileno())
    wanted = environ.get("COLUMNS", "")
    if wanted.isdecimal() and wanted.isascii():
        columns = int(wanted)
    return columns or _DEFAULT_SIZE[0], lines or _DEFAULT_SIZE[1]


class DataStream:
    """Standard output: bytes in UTF-8 whatever the locale says; None where it is closed."""

    def __init__(self, stream: BinaryIO | None) -> None:
        self._stream = stream
        self.terminal = _is_terminal(stream)

    def write(self, data: bytes) -> None:
        """Write all of it; raises OutputError, or BrokenPipeError if nobody reads any more."""
        with _explained():
            if self._stream is None:
                raise OSError(errno.EBADF, "closed")
            left = memoryview(data)
            while left:
                try:
                    left = left[self._stream.write(left) or 0 :]
                except BlockingIOError as error:  # someone made the pipe non-blocking
                    left = left[error.characters_written :]
                    _wait_for(self._stream)

    def flush(self) -> None:
        """Hand on what was written; raises as `write` does."""
        while self._stream is not None:
            try:
                with _explained():
                    self._stream.flush()
            except BlockingIOError:
                _wait_for(self._stream)
            else:
                return

    def size(self, environ: Mapping[str, str]) -> tuple[int, int]:
        """Columns and lines."""
        return size(self._stream, environ)

    def close(self) -> None:
        """Flush, and where that fails make sure that Python does not try again at its end."""
        if self._stream is not None:
            try:
                self._stream.flush()
            except (OSError, ValueError):
                _discard(self._stream)


class NoticeStream:
    """Standard error: whatever happens to it, writing there never raises."""

    def __init__(self, stream: TextIO | None) -> None:
        self._stream = stream
        self._broken = stream is None
        self.terminal = _is_terminal(stream)
        self.encoding = getattr(stream, "encoding", None) or "utf-8"

    @property
    def unicode(self) -> bool:
        """True if every character can be shown."""
        return self.encoding.lower().startswith("utf")

    def showable(self, text: str) -> str:
        """The text with an escape for each character that the encoding lacks."""
        return text.encode(self.encoding, "backslashreplace").decode(self.encoding)

    def write(self, text: str) -> int:
        """Write and flush what can be shown, or nothing at all."""
        if self._stream is not None and not self._broken:
            try:
                self._stream.write(self.showable(text))
                self._stream.flush()
            except BlockingIOError:
                pass  # a line may be lost; the next one may not
            except (OSError, ValueError):
                self._broken = True
        return len(text)

    def flush(self) -> None:
        """Nothing: every write is flushed."""

    def isatty(self) -> bool:
        """What rich asks."""
        return self.terminal

    def fileno(self) -> int:
        """What rich asks on Windows."""
        return -1 if self._stream is None else self._stream.fileno()

    def size(self, environ: Mapping[str, str]) -> tuple[int, int]:
        """Columns and lines."""
        return size(self._stream, environ)

    def close(self) -> None:
        """Make sure that Python does not fail at its end over what could not be written."""
        if self._stream is not None and self._broken:
            _discard(self._stream)


@contextlib.contextmanager
def _explained() -> Any:
    try:
        yield
    except (BrokenPipeError, BlockingIOError):
        raise
    except ValueError as error:  # Python's own file object is closed
        raise OutputError("cannot write output: it is closed") from error
    except OSError as error:
        if os.name == "nt" and error.errno == errno.EINVAL:  # how Windows says it
            raise BrokenPipeError(errno.EPIPE, "nobody reads") from error
        raise OutputError(f"cannot write output: {reason(error)}") from error


def _is_terminal(stream: IO[Any] | None) -> bool:
    try:
        return stream is not None and stream.isatty()
    except (OSError, ValueError):
        return False


def _wait_for(stream: BinaryIO) -> None:
    select.select([], [stream], [])


def _discard(stream: IO[Any]) -> None:
    """Send what is still in the stream's buffer, and all that follows, to nowhere."""
    with contextlib.suppress(OSError, ValueError):
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno())
        finally:
            os.close(nowhere)
        stream.flush()
