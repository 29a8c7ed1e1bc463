"""Paths as they are kept: absolute, one for each file, and any bytes that a name can have."""

from __future__ import annotations

import os
from pathlib import Path

__all__ = ["place_of"]


def place_of(path: Path) -> bytes:
    """The path with its folder's links followed; not its own, since results replace links."""
    folder = os.path.realpath(path.parent)
    return os.fsencode(os.path.join(folder, path.name))  # noqa: PTH118 - surrogates stay
