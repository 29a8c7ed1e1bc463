"""One run at a time for each result file: locks of the kernel, which a killed run lets go."""

from __future__ import annotations

import contextlib
import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from asrcli.errors import LockedError

__all__ = ["OutputLocks"]


class OutputLocks:
    """Locks as files in a folder, named by a hash of what they lock; they are empty."""

    def __init__(self, folder: Path, *, warn: Callable[[str], None] = lambda _: None) -> None:
        self._folder = folder
        self._warn = warn
        self._warned = False

    @contextmanager
    def hold(self, path: Path) -> Iterator[None]:
        """Hold the lock of `path`; raises LockedError while another run does."""
        from filelock import FileLock, SoftFileLock, Timeout

        name = self._folder / f"{hashlib.sha256(os.fsencode(path.absolute())).hexdigest()}.lock"
        try:
            self._folder.mkdir(mode=0o700, parents=True, exist_ok=True)
            lock = FileLock(name, timeout=0, mode=0o600)
            lock.acquire()
        except Timeout:
            raise LockedError(f"another run is writing {path}") from None
        except (NotImplementedError, OSError) as error:
            # A folder that cannot be written, or a file system without locks.
            self._tell(error)
            soft = SoftFileLock(path.with_name(f".{path.name[:100]}.asrcli-lock"), timeout=0)
            try:
                soft.acquire()
            except Timeout:
                raise LockedError(
                    f"another run is writing {path}", hint=f"If none is: remove {soft.lock_file}."
                ) from None
            except OSError:
                yield  # nowhere to put a lock: the result itself will say why
                return
            try:
                yield
            finally:
                soft.release()
            return
        try:
            yield
        finally:
            # It is removed before it is let go; whoever has opened it meanwhile finds out.
            if os.name == "posix":
                with contextlib.suppress(OSError):
                    name.unlink()
            lock.release()

    def _tell(self, error: BaseException) -> None:
        if not self._warned:
            self._warned = True
            self._warn(f"no locks in {self._folder} ({error}): files beside the results do instead")
