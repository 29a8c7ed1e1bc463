"""Read the header of a plain WAV or AIFF file: uncompressed, so its length is a division.

Headers lie: recorders that were switched off leave a size of zero, pipes write 4 GB, cut files
promise more than there is. So the bytes that are present decide, not the size that is declared.
Imports nothing heavy: a small WAV is known in a fraction of a millisecond.
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterator
from dataclasses import dataclass
from typing import BinaryIO, Literal

__all__ = ["PlainSound", "read_plain"]

_FMT_BYTES = 16
_COMM_BYTES = 18
_UNKNOWN = 0xFFFF_FFFF
_CHUNKS = 10_000
"""A file with more chunks than this in front of its sound is left to a full demuxer."""

_PCM, _FLOAT, _ALAW, _MULAW, _EXTENSIBLE = 1, 3, 6, 7, 0xFFFE
_WAV_CODECS = {
    (_PCM, 1): "pcm_u8",
    (_PCM, 2): "pcm_s16",
    (_PCM, 3): "pcm_s24",
    (_PCM, 4): "pcm_s32",
    (_FLOAT, 4): "pcm_f32",
    (_FLOAT, 8): "pcm_f64",
    (_ALAW, 1): "pcm_alaw",
    (_MULAW, 1): "pcm_mulaw",
}
"""By format tag and bytes a sample; FFmpeg's names without their byte order."""
_AIFC_CODECS = {
    b"fl32": "pcm_f32be",
    b"FL32": "pcm_f32be",
    b"fl64": "pcm_f64be",
    b"FL64": "pcm_f64be",
    b"alaw": "pcm_alaw",
    b"ALAW": "pcm_alaw",
    b"ulaw": "pcm_mulaw",
    b"ULAW": "pcm_mulaw",
}
_Order = Literal["little", "big"]
_ORDERED = {"pcm_s16", "pcm_s24", "pcm_s32", "pcm_f32", "pcm_f64"}


@dataclass(frozen=True, slots=True)
class PlainSound:
    """Uncompressed sound in a file."""

    codec: str
    """FFmpeg's name."""
    channels: int
    sample_rate: int
    """Hz; as it stands in the header, so possibly nonsense."""
    frames: int
    """Samples per channel that are really there."""
    start: int
    """Offset of the first, in bytes."""
    frame_bytes: int


@dataclass(frozen=True, slots=True)
class _Chunk:
    kind: bytes
    start: int
    declared: int
    available: int


@dataclass(frozen=True, slots=True)
class _Coding:
    codec: str
    channels: int
    sample_rate: int
    frame_bytes: int


def read_plain(file: BinaryIO, container: str) -> PlainSound | None:
    """Read the header of a `wav` or `aiff` from its start; None if it is not plain PCM.

    Byte orders, RF64 and BW64, WAVE_FORMAT_EXTENSIBLE and the plain kinds of AIFF-C are known.
    """
    file.seek(0)
    start = file.read(12)
    if len(start) < 12:
        return None
    size = os.fstat(file.fileno()).st_size
    if container == "aiff":
        return _read_aiff(file, size)
    return _read_wav(file, size, "big" if start[:4] == b"RIFX" else "little", start)


def _read_wav(file: BinaryIO, size: int, order: _Order, start: bytes) -> PlainSound | None:
    coding = None
    long_size = None
    for chunk in _chunks(file, size, order):
        if chunk.kind == b"ds64":
            long_size = struct.unpack("<8xQ", file.read(16))[0] if chunk.available >= 28 else None
        elif chunk.kind == b"fmt ":
            coding = _wav_coding(file.read(min(chunk.available, 40)), order)
            if coding is None:
                return None
        elif chunk.kind == b"data":
            declared = chunk.declared
            if long_size is not None and declared == _UNKNOWN:
                declared = long_size
            elif not declared and int.from_bytes(start[4:8], order) + 8 != size:
                declared = _UNKNOWN  # Never finished, so neither size was filled in.
            return _sound(coding, chunk.start, min(declared, size - chunk.start))
    return _sound(coding, size, 0)


def _wav_coding(data: bytes, order: _Order) -> _Coding | None:
    if len(data) < _FMT_BYTES:
        return None
    mark = "<" if order == "little" else ">"
    tag, channels, rate, _, frame_bytes, bits = struct.unpack(f"{mark}HHIIHH", data[:_FMT_BYTES])
    if tag == _EXTENSIBLE and len(data) >= 26:
        tag = struct.unpack(f"{mark}H", data[24:26])[0]
    width = (bits + 7) // 8
    codec = _WAV_CODECS.get((tag, width))
    if codec is None or frame_bytes != channels * width:
        return None
    if codec in _ORDERED:
        codec += "le" if order == "little" else "be"
    return _Coding(codec, channels, rate, frame_bytes)


def _read_aiff(file: BinaryIO, size: int) -> PlainSound | None:
    coding = None
    for chunk in _chunks(file, size, "big"):
        if chunk.kind == b"COMM":
            coding = _aiff_coding(file.read(min(chunk.available, 22)))
            if coding is None:
                return None
        elif chunk.kind == b"SSND":
            offset = int.from_bytes(file.read(4), "big")
            first = chunk.start + 8 + offset
            declared = chunk.declared - 8 - offset if chunk.declared else _UNKNOWN
            # In some files it comes before its description; those are left to a demuxer.
            return _sound(coding, first, min(declared, size - first))
    return _sound(coding, size, 0)


def _aiff_coding(data: bytes) -> _Coding | None:
    if len(data) < _COMM_BYTES:
        return None
    channels, _, bits, exponent, mantissa = struct.unpack(">HIHHQ", data[:_COMM_BYTES])
    rate = _extended(exponent, mantissa)
    kind = data[18:22] or b"NONE"
    width = (bits + 7) // 8
    codec = _AIFC_CODECS.get(kind)
    if codec is not None:
        width = {"pcm_f32be": 4, "pcm_f64be": 8}.get(codec, 1)
    elif kind in {b"NONE", b"twos", b"sowt", b"in24", b"in32"} and 1 <= width <= 4:
        order = "le" if kind == b"sowt" else "be"
        codec = "pcm_s8" if width == 1 else f"pcm_s{width * 8}{order}"
    else:
        return None
    return _Coding(codec, channels, rate, channels * width)


def _extended(exponent: int, mantissa: int) -> int:
    """The integer part of an 80-bit number, 0 for what no rate can be."""
    power = (exponent & 0x7FFF) - 16_383 - 63
    return mantissa >> -power if -64 < power <= 0 and exponent < 0x8000 else 0


def _sound(coding: _Coding | None, start: int, length: int) -> PlainSound | None:
    if coding is None or not coding.frame_bytes:
        return None
    return PlainSound(
        codec=coding.codec,
        channels=coding.channels,
        sample_rate=coding.sample_rate,
        frames=max(length, 0) // coding.frame_bytes,
        start=start,
        frame_bytes=coding.frame_bytes,
    )


def _chunks(file: BinaryIO, size: int, order: _Order) -> Iterator[_Chunk]:
    """All chunks behind the first 12 bytes; the file stands at the content of the one given."""
    at = 12
    for _ in range(_CHUNKS):
        file.seek(at)
        header = file.read(8)
        if len(header) < 8:
            return
        declared = int.from_bytes(header[4:], order)
        yield _Chunk(header[:4], at + 8, declared, min(declared, size - at - 8))
        at += 8 + declared + (declared & 1)
