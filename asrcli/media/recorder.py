"""Write what is heard to a WAV file while it is heard.

The file is complete at every moment but for the last second, and is taken up to the last sample
by `close`. Beyond 4 GB it becomes RF64 (EBU Tech 3306), for which its header has room.
"""

from __future__ import annotations

import contextlib
import os
import stat
import struct
from pathlib import Path
from types import TracebackType
from typing import TYPE_CHECKING, Self

from asrcli.errors import OutputError, OutputExistsError
from asrcli.media.pcm import pcm16

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Recorder"]

_HEADER_BYTES = 80
_WAV_LIMIT = 0xFFFF_FFFF
_SAMPLE = 2


class Recorder:
    """A WAV file of 16 bits, mono, that grows.

    A failure to write is raised once, by `write`; what was written before stays a whole file, and
    later calls do nothing, so that hearing can go on. `failed` tells.
    """

    def __init__(
        self,
        path: Path,
        *,
        sample_rate: int = 16_000,
        overwrite: bool = False,
        wav_limit: int = _WAV_LIMIT,
    ) -> None:
        """Create the file, or empty the one that is there if that is allowed.

        `wav_limit` is the size in bytes above which it becomes RF64. Raises OutputExistsError,
        and OutputError for links, folders, devices, and whatever the system refuses.
        """
        self.path = path
        self.sample_rate = sample_rate
        self.failed = False
        self._wav_limit = wav_limit
        self._size = 0
        self._told = 0
        self._descriptor: int | None = None
        try:
            self._descriptor = _open(path, overwrite=overwrite)
            self._write_all(_header(sample_rate, 0, wav_limit))
        except OSError as error:
            self._abandon()
            raise self._error(error) from error

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        if kind is None:
            self.close()
            return
        with contextlib.suppress(OutputError):  # The first error says more.
            self.close()

    @property
    def seconds(self) -> float:
        """How much is in the file."""
        return self._size / _SAMPLE / self.sample_rate

    def write(self, samples: Samples) -> None:
        """Append a block; raises OutputError when that fails for the first time."""
        if self.failed or self._descriptor is None:
            return
        try:
            self._write_all(pcm16(samples))
            self._size += _SAMPLE * len(samples)
            if self._size - self._told >= _SAMPLE * self.sample_rate:
                self._tell()
        except OSError as error:
            self.failed = True
            self._mend()
            raise self._error(error) from error

    def close(self) -> None:
        """Complete the file; raises OutputError unless `write` has failed before."""
        descriptor = self._descriptor
        if descriptor is None:
            return
        try:
            if not self.failed:
                self._tell()
                with contextlib.suppress(OSError):  # Not every file system can.
                    os.fsync(descriptor)
        except OSError as error:
            self.failed = True
            raise self._error(error) from error
        finally:
            self._abandon()

    def _tell(self) -> None:
        """Write into the header how much there is."""
        descriptor = self._open_descriptor()
        os.lseek(descriptor, 0, os.SEEK_SET)
        self._write_all(_header(self.sample_rate, self._size, self._wav_limit))
        os.lseek(descriptor, _HEADER_BYTES + self._size, os.SEEK_SET)
        self._told = self._size

    def _mend(self) -> None:
        """Cut off what was half written, and keep the rest."""
        descriptor = self._open_descriptor()
        with contextlib.suppress(OSError):
            there = max(0, os.fstat(descriptor).st_size - _HEADER_BYTES)
            self._size = there - there % _SAMPLE
            os.truncate(descriptor, _HEADER_BYTES + self._size)
            self._tell()

    def _write_all(self, data: bytes) -> None:
        left = memoryview(data)
        while left:
            left = left[os.write(self._open_descriptor(), left) :]

    def _open_descriptor(self) -> int:
        if self._descriptor is None:
            raise ValueError("the recorder is closed")
        return self._descriptor

    def _abandon(self) -> None:
        descriptor, self._descriptor = self._descriptor, None
        if descriptor is not None:
            with contextlib.suppress(OSError):
                os.close(descriptor)

    def _error(self, error: OSError) -> OutputError:
        if isinstance(error, FileExistsError):
            return OutputExistsError(str(self.path))
        return OutputError(f"cannot write {self.path}: {_reason(error)}")


def _open(path: Path, *, overwrite: bool) -> int:
    with contextlib.suppress(FileNotFoundError, NotADirectoryError):
        _check(path, path.lstat().st_mode)
    flags = os.O_RDWR | os.O_CREAT
    for extra in ("O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOINHERIT", "O_BINARY"):
        flags |= getattr(os, extra, 0)
    descriptor = os.open(path, flags if overwrite else flags | os.O_EXCL, 0o666)
    try:
        _check(path, os.fstat(descriptor).st_mode)  # It may have changed since.
        os.truncate(descriptor, 0)
    except BaseException:
        os.close(descriptor)
        raise
    return descriptor


def _check(path: Path, mode: int) -> None:
    if stat.S_ISREG(mode):
        return
    if stat.S_ISLNK(mode):
        hint = "Name the file that it points to."
        raise OutputError(f"cannot write {path}: it is a symbolic link", hint=hint)
    kind = "a folder" if stat.S_ISDIR(mode) else "a device or a pipe"
    raise OutputError(f"cannot write {path}: it is {kind}")


def _reason(error: OSError) -> str:
    if isinstance(error, FileNotFoundError):
        return "the folder does not exist"
    said = error.strerror or type(error).__name__
    return said[:1].lower() + said[1:]


def _header(sample_rate: int, size: int, wav_limit: int) -> bytes:
    """RIFF, or RF64 if it is too large for that; both of 80 bytes, with samples behind them."""
    form = struct.pack(
        "<4sIHHIIHH", b"fmt ", 16, 1, 1, sample_rate, _SAMPLE * sample_rate, _SAMPLE, 16
    )
    whole = _HEADER_BYTES - 8 + size
    if whole <= wav_limit:
        start = struct.pack("<4sI4s4sI28x", b"RIFF", whole, b"WAVE", b"JUNK", 28)
        return start + form + struct.pack("<4sI", b"data", size)
    samples = size // _SAMPLE
    start = struct.pack("<4sI4s", b"RF64", 0xFFFF_FFFF, b"WAVE")
    start += struct.pack("<4sIQQQI", b"ds64", 28, whole, size, samples, 0)
    return start + form + struct.pack("<4sI", b"data", 0xFFFF_FFFF)
