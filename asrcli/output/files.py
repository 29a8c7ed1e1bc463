"""Files that appear whole or not at all.

A file is written beside its target under a name of its own, flushed to the disk and renamed, so
whoever looks sees the old state or the new one. What a killed run left behind is found by that
name and removed by `sweep`.
"""

from __future__ import annotations

import contextlib
import errno
import os
import re
import stat
import threading
from collections.abc import Iterable, Iterator
from functools import lru_cache
from pathlib import Path

from asrcli.errors import OutputError, OutputExistsError

__all__ = ["Disk", "batches", "check_target", "reason", "sweep", "write_atomically"]

_LONGEST_NAME = 255
"""Bytes; what nearly all file systems take."""
_BATCH = 64 * 1024
_DAY = 86400.0
_TEMPORARY = re.compile(r"\..*\.asrcli-([0-9a-f]{6})-([0-9]+)-[0-9a-f]{8}\.tmp", re.DOTALL)
_STREAMS = re.compile(r"/dev/(?:stdout|stderr|null|fd/[0-9]+)")
_REASONS = {
    errno.ENOSPC: "no space left on device",
    errno.EDQUOT: "the disk quota is used up",
    errno.EROFS: "the file system is read-only",
    errno.EACCES: "permission denied",
    errno.EPERM: "permission denied",
    errno.EIO: "the device failed (input/output error)",
    errno.ENOENT: "the folder does not exist",
    errno.ENOTDIR: "what should be its folder is a file",
    errno.ENAMETOOLONG: "the name is too long",
    errno.EFBIG: "the file would be too large",
    errno.EBADF: "it is closed",
    errno.EISDIR: "it is a folder",
}
_NO_LINKS = {
    errno.EPERM,
    errno.EACCES,
    errno.EINVAL,
    errno.EMLINK,
    errno.ENOSYS,
    errno.ENOTSUP,
    errno.EOPNOTSUPP,
}
"""How systems say that there are no hard links, in a folder that a file was just made in."""

_live: set[Path] = set()
"""Temporary files of this process that are being written."""


class Disk:
    """The calls that can fail, so that a test can let each of them fail."""

    def open(self, path: Path) -> int:
        """Create a file that must not exist, for this user alone; never through a link."""
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        for extra in ("O_NOFOLLOW", "O_CLOEXEC", "O_BINARY"):
            flags |= getattr(os, extra, 0)
        return os.open(path, flags, 0o600)

    def write(self, descriptor: int, data: memoryview) -> int:
        """Write some of the data; returns how much."""
        return os.write(descriptor, data)

    def chmod(self, descriptor: int, mode: int) -> None:
        """Set the permissions, where the file system has any."""
        if os.chmod in os.supports_fd:
            with contextlib.suppress(PermissionError, NotImplementedError):
                os.chmod(descriptor, mode)

    def sync(self, descriptor: int) -> None:
        """Wait until what was written is on the disk."""
        try:
            os.fsync(descriptor)
        except OSError as error:  # not every file system can
            if error.errno not in {errno.EINVAL, errno.ENOTSUP, errno.ENOSYS}:
                raise

    def close(self, descriptor: int) -> None:
        """Close it; network file systems report a full disk only here."""
        os.close(descriptor)

    def link(self, source: Path, target: Path) -> None:
        """Give the file a second name; raises FileExistsError if something has it."""
        target.hardlink_to(source)

    def rename(self, source: Path, target: Path) -> None:
        """Give the file its name, in place of what had it."""
        source.replace(target)

    def rename_new(self, source: Path, target: Path) -> None:
        """Give the file its name; raises FileExistsError if something has it."""
        if os.name == "nt":
            source.rename(target)
            return
        try:
            self.link(source, target)
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            # The name is taken first, so that a file which appears meanwhile is not replaced.
            os.close(self.open(target))
            try:
                self.rename(source, target)
            except BaseException:
                target.unlink(missing_ok=True)
                raise
        else:
            source.unlink()

    def sync_folder(self, folder: Path) -> None:
        """Wait until the name is on the disk, where the system can."""
        if os.name == "nt":
            return
        with contextlib.suppress(OSError):
            descriptor = os.open(folder, os.O_RDONLY | getattr(os, "O_DIRECTORY", 0))
            try:
                os.fsync(descriptor)
            finally:
                os.close(descriptor)


def write_atomically(
    path: Path, chunks: Iterable[str], *, overwrite: bool, disk: Disk | None = None
) -> None:
    """Write the text as UTF-8; the file appears complete, or nothing changes.

    Without `overwrite` a file that is there, even since a moment ago, is left alone: raises
    OutputExistsError. With it, a file keeps its permissions; one that is read-only, a folder, a
    link and a device are refused. `/dev/stdout`, `/dev/stderr`, `/dev/null` and `/dev/fd/N` are
    written to as they are. Raises OutputError with path and reason for whatever else goes wrong,
    and BrokenPipeError if such a stream has no reader.
    """
    disk = disk or Disk()
    if _STREAMS.fullmatch(str(path)):
        _write_stream(path, chunks, disk)
        return
    mode = _check(path, overwrite=overwrite)
    try:
        temporary = _write_temporary(path, chunks, mode, disk)
        try:
            if overwrite:
                disk.rename(temporary, path)
            else:
                disk.rename_new(temporary, path)
        finally:
            _forget(temporary)
    except FileExistsError as error:
        raise OutputExistsError(str(path)) from error
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    disk.sync_folder(path.parent)


def check_target(path: Path, *, overwrite: bool) -> None:
    """Raise the OutputError that `write_atomically` would; nothing is written."""
    if _STREAMS.fullmatch(str(path)):
        return
    if len(os.fsencode(path.name)) > _LONGEST_NAME:
        raise OutputError(f"cannot write {path}: {_REASONS[errno.ENAMETOOLONG]}")
    _check(path, overwrite=overwrite)


def sweep(folder: Path, *, now: float | None = None) -> int:
    """Remove what killed runs left in a folder; returns how many files.

    Only files with our name for them whose process is gone. Those of another machine (the folder
    may be shared) must be a day older than `now`, seconds since 1970, if it is given.
    """
    removed = 0
    with contextlib.suppress(OSError):
        for entry in list(os.scandir(folder)):
            match = _TEMPORARY.fullmatch(entry.name)
            if match is None or Path(entry.path) in _live:
                continue
            host, process = match.groups()
            with contextlib.suppress(OSError):
                old = now is not None and entry.stat(follow_symlinks=False).st_mtime < now - _DAY
                if old if host != _host() else _is_gone(int(process)):
                    Path(entry.path).unlink()
                    removed += 1
    return removed


def batches(chunks: Iterable[str]) -> Iterator[bytes]:
    """The chunks as UTF-8 in pieces worth a call each."""
    waiting: list[bytes] = []
    size = 0
    for chunk in chunks:
        waiting.append(chunk.encode("utf-8", "replace"))
        size += len(waiting[-1])
        if size >= _BATCH:
            yield b"".join(waiting)
            waiting, size = [], 0
    if size:
        yield b"".join(waiting)


def reason(error: OSError) -> str:
    """Why, in words that are the same everywhere."""
    known = _REASONS.get(error.errno) if error.errno is not None else None
    return known or error.strerror or type(error).__name__


# --- the target -------------------------------------------------------------------------------


def _check(path: Path, *, overwrite: bool) -> int:
    """The permissions that the file will have; raises for a target that is none."""
    try:
        there = path.lstat()
    except (FileNotFoundError, NotADirectoryError):
        return 0o666 & ~_umask()
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error
    if stat.S_ISLNK(there.st_mode):
        hint = "Name the file that it points to."
        raise OutputError(f"cannot write {path}: it is a symbolic link", hint=hint)
    if stat.S_ISDIR(there.st_mode):
        raise OutputError(f"cannot write {path}: it is a folder")
    if not stat.S_ISREG(there.st_mode):
        raise OutputError(f"cannot write {path}: it is a device or a pipe")
    if not overwrite:
        raise OutputExistsError(str(path))
    if not there.st_mode & 0o222:
        raise OutputError(f"cannot write {path}: the file is read-only")
    return stat.S_IMODE(there.st_mode)


def _write_stream(path: Path, chunks: Iterable[str], disk: Disk) -> None:
    # The stream itself, not a file opened anew: `>` and `>>` of the shell keep their place.
    numbers = {"/dev/stdout": 1, "/dev/stderr": 2}
    name = str(path)
    try:
        if name == "/dev/null":
            descriptor = os.open(os.devnull, os.O_WRONLY)
        else:
            number = numbers[name] if name in numbers else int(path.name)
            descriptor = os.dup(number)
        try:
            _write_all(descriptor, chunks, disk)
        finally:
            os.close(descriptor)
    except BrokenPipeError:
        raise
    except OSError as error:
        raise OutputError(f"cannot write {path}: {reason(error)}") from error


# --- the temporary file -----------------------------------------------------------------------


def _write_temporary(path: Path, chunks: Iterable[str], mode: int, disk: Disk) -> Path:
    temporary, descriptor = _open_temporary(path, disk)
    try:
        try:
            _write_all(descriptor, chunks, disk)
            disk.chmod(descriptor, mode)
            disk.sync(descriptor)
        finally:
            disk.close(descriptor)
    except BaseException:
        _forget(temporary)
        raise
    return temporary


def _open_temporary(path: Path, disk: Disk) -> tuple[Path, int]:
    ending = f".asrcli-{_host()}-{os.getpid()}-{os.urandom(4).hex()}.tmp"
    for room in (_LONGEST_NAME - len(ending) - 1, 0):  # some file systems take half as much
        temporary = path.with_name(f".{_shortened(path.name, room)}{ending}")
        _live.add(temporary)
        try:
            return temporary, disk.open(temporary)
        except OSError as error:
            _live.discard(temporary)
            if error.errno != errno.ENAMETOOLONG or not room:
                raise
        except BaseException:
            _forget(temporary)
            raise
    raise AssertionError  # the last turn returns or raises


def _shortened(name: str, size: int) -> str:
    """As much of a name as fits into that many bytes of UTF-8."""
    return os.fsencode(name)[:size].decode("utf-8", "ignore")


def _write_all(descriptor: int, chunks: Iterable[str], disk: Disk) -> None:
    for data in batches(chunks):
        left = memoryview(data)
        while left:
            left = left[disk.write(descriptor, left) :]


def _forget(temporary: Path) -> None:
    with contextlib.suppress(OSError):
        temporary.unlink(missing_ok=True)
    _live.discard(temporary)


# --- the process and its machine --------------------------------------------------------------


@lru_cache(maxsize=1)
def _host() -> str:
    import hashlib
    import socket

    return hashlib.blake2b(socket.gethostname().encode(), digest_size=3).hexdigest()


def _is_gone(process: int) -> bool:
    if process == os.getpid():  # an earlier one: what this one writes is known by name
        return True
    if os.name == "nt":  # os.kill would end it; and a file that is open is not removed there
        return True
    try:
        os.kill(process, 0)
    except ProcessLookupError:
        return True
    except (OSError, OverflowError):
        return False
    return False


_umask_lock = threading.Lock()


@lru_cache(maxsize=1)
def _umask() -> int:
    # The system only tells it by setting another; for that moment, files are made too private.
    with _umask_lock:
        mask = os.umask(0o077)
        os.umask(mask)
        return mask
