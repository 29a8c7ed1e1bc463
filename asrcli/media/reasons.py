"""Say why a media file cannot be used, as one clause for a sentence."""

from __future__ import annotations

import os
from collections.abc import Iterator
from typing import BinaryIO

from asrcli.media.formats import FORMATS

__all__ = ["NOTHING_DECODES", "NOTHING_FOLLOWS", "why_not"]

NOTHING_FOLLOWS = "cut short: nothing follows its header"
NOTHING_DECODES = "damaged: no sound can be made of its data"

_ATOMS = 10_000


def why_not(file: BinaryIO, container: str) -> str:
    """Why a file with the right beginning cannot be opened."""
    if FORMATS[container].demuxers == ("mov",):
        atoms = list(_atoms(file))
        if all(kind != b"moov" for kind, _ in atoms):
            return "cut short: its index (the moov atom) is missing"
        if not all(complete for _, complete in atoms):
            return "cut short: its last part is missing"
    size = os.fstat(file.fileno()).st_size
    return f"damaged or cut short: it begins like {container}, but cannot be read" + (
        f" ({size:,} bytes)" if size < 10_000 else ""
    )


def _atoms(file: BinaryIO) -> Iterator[tuple[bytes, bool]]:
    """Kind of each top-level atom of MP4 or QuickTime, and whether all of it is there."""
    size = os.fstat(file.fileno()).st_size
    at = 0
    for _ in range(_ATOMS):
        file.seek(at)
        header = file.read(16)
        if len(header) < 8:
            return
        length = int.from_bytes(header[:4], "big")
        if length == 1:
            length = int.from_bytes(header[8:], "big")
        elif length == 0:
            length = size - at
        if length < 8:
            return
        yield header[4:8], at + length <= size
        at = min(at + length, size)
