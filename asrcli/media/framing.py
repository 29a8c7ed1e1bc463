"""Recognize sound that has no container: MPEG audio, and AAC as ADTS or LATM.

Eleven or twelve set bits begin each frame, which also occur by chance. So a frame counts only if
another of its kind follows where its header says that it ends.
"""

from __future__ import annotations

from collections.abc import Callable

__all__ = ["declared_bytes", "find_adts", "find_latm", "find_mpeg_audio", "is_amr"]

_FIRST = 2
"""Frames in a row that are believed at the very start,"""
_LATER = 8
"""and behind other bytes, where 64 kB of chance are to be told from a cut-off beginning."""

_KBITS_1 = {
    1: (32, 64, 96, 128, 160, 192, 224, 256, 288, 320, 352, 384, 416, 448),
    2: (32, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384),
    3: (32, 40, 48, 56, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320),
}
"""Bit rates of MPEG 1 by layer (ISO 11172-3, 2.4.2.3), in kbit/s,"""
_KBITS_2 = {
    1: (32, 48, 56, 64, 80, 96, 112, 128, 144, 160, 176, 192, 224, 256),
    2: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
    3: (8, 16, 24, 32, 40, 48, 56, 64, 80, 96, 112, 128, 144, 160),
}
"""and of MPEG 2 and 2.5 (ISO 13818-3)."""
_RATES = (44_100, 48_000, 32_000)

_AMR = (
    (b"#!AMR\n", (12, 13, 15, 17, 19, 20, 26, 31, 5)),
    (b"#!AMR-WB\n", (17, 23, 32, 36, 40, 46, 50, 58, 60, 5)),
)
"""Marks, and bytes of a frame's speech by its type (RFC 4867, 5.3; TS 26.101 and 26.201)."""

_Frame = tuple[int, bytes]
"""Length in bytes, and what all frames of a stream have in common."""
_Parser = Callable[[bytes, int], _Frame | None]
"""Reads the header of a frame at a position, or says that there is none."""


def find_mpeg_audio(head: bytes, *, whole: bool = False, search: bool = True) -> int | None:
    """Where the first frame of MPEG audio (layer 1 to 3) begins, or None.

    `whole` says that `head` is all there is, so a single frame may do; without `search` only the
    very start is looked at.
    """
    return _find(head, 0xFF, _mpeg_frame, whole=whole, search=search)


def declared_bytes(head: bytes) -> int | None:
    """How many bytes an MP3 has without tags, by the Xing or Info tag in its first frame."""
    at = find_mpeg_audio(head)
    if at is None:
        return None
    # Behind the header and 9 to 32 bytes of side information; 1 and 2 are frames and bytes.
    mark = next(
        (found for name in (b"Xing", b"Info") if (found := head.find(name, at, at + 48)) > 0), -1
    )
    if mark < 0 or len(head) < mark + 16 or head[mark + 7] & 3 != 3:
        return None
    return int.from_bytes(head[mark + 12 : mark + 16], "big")


def find_adts(head: bytes, *, whole: bool = False, search: bool = True) -> int | None:
    """Where the first frame of ADTS AAC begins, or None; see `find_mpeg_audio`."""
    return _find(head, 0xFF, _adts_frame, whole=whole, search=search)


def find_latm(head: bytes, *, search: bool = True) -> int | None:
    """Where the first frame of AAC in LATM (LOAS) begins, or None; see `find_mpeg_audio`."""
    return _find(head, 0x56, _latm_frame, whole=False, search=search)


def is_amr(head: bytes) -> bool:
    """True for AMR or AMR-WB whose first frames have headers that can be."""
    for mark, sizes in _AMR:
        if head.startswith(mark):
            at = len(mark)
            for _ in range(_LATER):
                if at >= len(head):
                    break
                kind = head[at] >> 3 & 0xF
                if head[at] & 0x83 or len(sizes) <= kind < 14:
                    return False
                at += 1 + (sizes[kind] if kind < len(sizes) else 0)
            return True
    return False


def _find(head: bytes, mark: int, parse: _Parser, *, whole: bool, search: bool) -> int | None:
    count, end = _row(head, 0, parse, _FIRST)
    if count == _FIRST or (whole and count and end == len(head)):
        return 0
    at = head.find(mark, 1) if search else -1
    while at >= 0:
        if _row(head, at, parse, _LATER)[0] == _LATER:
            return at
        at = head.find(mark, at + 1)
    return None


def _row(head: bytes, at: int, parse: _Parser, most: int) -> tuple[int, int]:
    """How many frames of one kind follow each other, up to `most`, and where the last one ends."""
    kind = None
    for count in range(most):
        frame = parse(head, at)
        if frame is None or (kind is not None and frame[1] != kind):
            return count, at
        at += frame[0]
        kind = frame[1]
    return most, at


def _mpeg_frame(data: bytes, at: int) -> _Frame | None:
    if len(data) < at + 4 or data[at] != 0xFF or data[at + 1] & 0xE0 != 0xE0:
        return None
    version = data[at + 1] >> 3 & 3  # 0 is MPEG 2.5, 2 is MPEG 2, 3 is MPEG 1.
    layer = 4 - (data[at + 1] >> 1 & 3)
    bit_rate, rate = data[at + 2] >> 4, data[at + 2] >> 2 & 3
    if version == 1 or layer == 4 or bit_rate in {0, 15} or rate == 3:
        return None
    kbits = (_KBITS_1 if version == 3 else _KBITS_2)[layer][bit_rate - 1]
    hertz = _RATES[rate] >> (3 - version if version else 2)
    padding = data[at + 2] >> 1 & 1
    if layer == 1:
        length = (12_000 * kbits // hertz + padding) * 4
    else:
        length = (72_000 if layer == 3 and version != 3 else 144_000) * kbits // hertz + padding
    return length, bytes((data[at + 1] & 0xFE, rate))


def _adts_frame(data: bytes, at: int) -> _Frame | None:
    if len(data) < at + 7 or data[at] != 0xFF or data[at + 1] & 0xF6 != 0xF0:
        return None
    length = (data[at + 3] & 3) << 11 | data[at + 4] << 3 | data[at + 5] >> 5
    if length < 8 or data[at + 2] >> 2 & 0xF > 12:
        return None
    # MPEG version, profile, rate and channels stay the same; the private bit need not.
    return length, bytes((data[at + 1] & 0xFE, data[at + 2] & 0xFD, data[at + 3] & 0xC0))


def _latm_frame(data: bytes, at: int) -> _Frame | None:
    if len(data) < at + 3 or data[at] != 0x56 or data[at + 1] & 0xE0 != 0xE0:
        return None
    length = 3 + ((data[at + 1] & 0x1F) << 8 | data[at + 2])
    return (length, b"") if length > 8 else None
