"""Paths as they are kept: absolute, one for each file, and any bytes that a name can have."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

__all__ = ["place_of"]


def place_of(path: Path) -> bytes:
    """The path with its folder's links followed; not its own, since results replace links."""
    folder = _followed(os.path.abspath(path.parent))  # noqa: PTH100 - surrogates stay
    return os.fsencode(os.path.join(folder, path.name))  # noqa: PTH118


@lru_cache(maxsize=1_024)
def _followed(folder: str) -> str:
    """Asked several times for each file of a folder, where each part of it costs a look."""
    return os.path.realpath(folder)
