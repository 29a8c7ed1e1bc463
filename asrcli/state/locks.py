"""Locks of the kernel, which a killed run lets go: for result files, and for jobs to be submitted.

A number of a process says little on the next boot or in another container; a lock of the kernel
ends with its holder, whatever became of it. Where a file system has none, a file beside the result
stands for it, and a warning says so.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.errors import LockedError
from asrcli.state.places import place_of

if TYPE_CHECKING:
    from filelock import BaseFileLock

__all__ = ["Claims", "KernelLock", "OutputLocks", "lock_file"]

_OLD = 86_400.0
"""Seconds; lock files that a killed run left behind are looked at after that."""
_TICK = 0.05
"""Seconds between two looks at whether another process has let go."""


class KernelLock:
    """One empty file that one holder at a time has; it may be released on any thread."""

    def __init__(self, file: Path) -> None:
        from filelock import FileLock

        # Without its own way out: it warns past our console.
        self._lock: BaseFileLock = FileLock(
            file, mode=0o600, thread_local=False, fallback_to_soft=False
        )
        self._file = file

    def acquire(self, *, wait: float = 0.0) -> bool:
        """True if it is ours, False if another holder has it; OSError where there are no locks."""
        from filelock import Timeout

        try:
            self._lock.acquire(timeout=wait, blocking=wait > 0.0)
        except Timeout:
            return False
        except NotImplementedError as error:
            raise OSError(str(error)) from error
        return True

    def release(self) -> None:
        """Let it go, and remove the file."""
        # Removed while it is held: who has opened it meanwhile sees that it has no name any more,
        # and opens a new one. Windows removes nothing that is open; there it is swept later.
        with contextlib.suppress(OSError):
            self._file.unlink()
        self._lock.release()


def lock_file(folder: Path, *marks: bytes) -> Path:
    """The file in the folder for locks that stands for something."""
    return folder / f"{hashlib.sha256(bytes(1).join(marks)).hexdigest()}.lock"


class Claims:
    """One process at a time asks a service for something, among those that share a database."""

    def __init__(self, database: Path) -> None:
        self._folder = database.parent / "locks"
        self._place = place_of(database)
        self._made = False

    @contextmanager
    def hold(self, key: str, *, stop: Callable[[], bool] = lambda: False) -> Iterator[None]:
        """Wait until no other process has it, or `stop` says so; who waited looks again.

        Where a file system has no locks, nobody waits, and both may ask.
        """
        release = self._taken(lock_file(self._folder, b"ask", self._place, key.encode()), stop)
        try:
            yield
        finally:
            release()

    def _taken(self, file: Path, stop: Callable[[], bool]) -> Callable[[], None]:
        try:
            if not self._made:
                self._folder.mkdir(mode=0o700, exist_ok=True)
                self._made = True
            while (release := _claimed(file)) is None:
                if stop():
                    return _nothing
                time.sleep(_TICK)
        except OSError:
            return _nothing
        return release


def _claimed(file: Path) -> Callable[[], None] | None:
    """As `KernelLock` at a tenth of its cost, as it is for every call; None if somebody has it."""
    try:
        import fcntl
    except ImportError:
        lock = KernelLock(file)
        return lock.release if lock.acquire() else None
    while True:
        descriptor = os.open(file, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            if os.fstat(descriptor).st_nlink:
                break
        except BlockingIOError:
            os.close(descriptor)
            return None
        except BaseException:
            os.close(descriptor)
            raise
        os.close(descriptor)  # it was let go, and removed, since it was opened

    def release() -> None:
        with contextlib.suppress(OSError):
            file.unlink()
        os.close(descriptor)

    return release


def _nothing() -> None:
    """Where there is nothing to let go."""


class OutputLocks:
    """One run at a time for each result file; the lock files are in `folder`."""

    def __init__(
        self,
        folder: Path,
        *,
        warn: Callable[[str], None] = lambda _: None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self._folder = folder
        self._warn = warn
        self._clock = clock
        self._lock = threading.Lock()
        self._begun = False
        self._warned = False

    @contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Hold the lock of `path`; raises LockedError while another run does."""
        release = self._held(path)
        try:
            yield
        finally:
            release()

    def _held(self, path: Path) -> Callable[[], None]:
        try:
            self._begin()
            if release := _claimed(lock_file(self._folder, place_of(path))):
                return release
        except OSError as error:
            self._tell(error)
            return _held_beside(path)
        raise LockedError(f"another run is writing {path}")

    def _begin(self) -> None:
        with self._lock:
            if not self._begun:
                self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                self._sweep()
                self._begun = True

    def _sweep(self) -> None:
        """Remove what killed runs have left."""
        before = self._clock() - _OLD
        for file in self._folder.glob("*.lock"):
            with contextlib.suppress(OSError):
                if file.stat().st_mtime < before:
                    lock = KernelLock(file)
                    if lock.acquire():
                        lock.release()

    def _tell(self, error: OSError) -> None:
        with self._lock:
            first, self._warned = not self._warned, True
        if first:
            reason = error.strerror or str(error)
            self._warn(f"no locks in {self._folder} ({reason}): files beside the results instead")


def _held_beside(path: Path) -> Callable[[], None]:
    """A file that is there while the result is written; filelock removes those of dead holders."""
    from filelock import SoftFileLock, Timeout

    mark = hashlib.sha256(os.fsencode(path.name)).hexdigest()[:16]
    lock = SoftFileLock(
        path.with_name(f".asrcli-{mark}.lock"), mode=0o600, thread_local=False, blocking=False
    )
    try:
        lock.acquire()
    except Timeout:
        raise LockedError(
            f"another run is writing {path}", hint=f"If none is: remove {lock.lock_file}."
        ) from None
    except OSError:  # nowhere to put it: the result itself will say why
        return lambda: None
    return lock.release
