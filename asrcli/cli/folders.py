"""Folders for temporary files, and how those of runs that were killed are told from the others.

A run holds a lock on a file in its folder; the system lets go of it however the run ends. Where
there are no such locks (Windows), nothing is removed.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from pathlib import Path
from typing import IO

__all__ = ["PREFIX", "claim", "remove_abandoned"]

PREFIX = "asrcli-"
_CLAIM = "in-use"


def claim(folder: Path) -> IO[bytes] | None:
    """Say that the folder is in use until what is returned is closed."""
    try:
        import fcntl
    except ImportError:
        return None
    file = (folder / _CLAIM).open("wb")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:  # not on every file system; then its folder has no claim, and stays
        file.close()
        (folder / _CLAIM).unlink()
        return None
    return file


def remove_abandoned(parent: Path) -> None:
    """Remove this user's folders in `parent` that runs left behind when they were killed."""
    with contextlib.suppress(ImportError, OSError):
        import fcntl

        for entry in list(os.scandir(parent)):
            if not entry.name.startswith(PREFIX) or not entry.is_dir(follow_symlinks=False):
                continue
            with contextlib.suppress(OSError):
                if entry.stat(follow_symlinks=False).st_uid != os.getuid():
                    continue
                with (Path(entry.path) / _CLAIM).open("rb") as file:
                    fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    shutil.rmtree(entry.path, ignore_errors=True)
