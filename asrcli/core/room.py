"""Is there room on a disk for what is about to be written: asked before the work, not after it."""

from __future__ import annotations

import shutil
from pathlib import Path

from asrcli.errors import OutputError

__all__ = ["check_room"]


def check_room(folder: Path, size: int, *, what: str) -> None:
    """Raise OutputError if `folder` lies on a disk that has fewer than `size` bytes left.

    `what` says what they are for. A disk that does not tell is taken for one that has them.
    """
    try:
        free = shutil.disk_usage(folder).free
    except OSError:
        return
    if free < size:
        raise OutputError(
            f"{what} takes up to {_megabytes(size)} of temporary files, and the disk that holds "
            f"{folder.parent} has {_megabytes(free)} left",
            hint="Make room there, or set TMPDIR to a folder on another disk.",
        )


def _megabytes(size: int) -> str:
    return f"{size / 1e6:,.1f} MB"
