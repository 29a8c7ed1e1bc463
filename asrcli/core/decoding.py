"""The processes that decode recordings for a run."""

from __future__ import annotations

import os
import threading
from pathlib import Path

from asrcli.media.isolated import Decoders
from asrcli.transport import early

__all__ = ["Decoders", "open_decoders", "warm_for"]

_MOST = 8
_LARGE = 1_000_000
"""Bytes; a smaller file is most often sent as it is."""


def open_decoders() -> Decoders:
    """As many as there are processors, and one; none is started yet."""
    return Decoders(min(os.cpu_count() or 1, _MOST) + 1)


def warm_for(path: Path, decoders: Decoders) -> None:
    """Start one, and load what sends, if the file is likely to be cut; returns at once.

    Both take their time, which would else pass between the first sound and the first call.
    """
    try:
        large = path.stat().st_size >= _LARGE
    except OSError:
        return
    if large:
        threading.Thread(target=_warm, args=(decoders,), name="warm", daemon=True).start()


def _warm(decoders: Decoders) -> None:
    decoders.warm()
    early.load()
