"""The header of a WAV stream, read from a pipe, where there is no way back and no size to trust.

Layout: https://www.mmsp.ece.mcgill.ca/Documents/AudioFormats/WAVE/WAVE.html, and EBU Tech 3306
for RF64.
"""

from __future__ import annotations

import struct
from collections.abc import Callable
from dataclasses import dataclass

from asrcli.errors import NotAudioError, UnsupportedFormatError

__all__ = ["WavHeader", "read_wav_header"]

_NO_SIZE = 0x7FFF_0000
"""From here on a size stands for "until it ends": 0x7FFFFFFF, 0x80000000 and 0xFFFFFFFF are what
programs write that cannot know; some write 0."""
_LONGEST_CHUNK = 1 << 20
_MOST_CHUNKS = 64
_PCM, _FLOAT, _EXTENSIBLE = 1, 3, 0xFFFE
_ENCODINGS = {
    (_PCM, 8): "u8",
    (_PCM, 16): "s16le",
    (_PCM, 24): "s24le",
    (_PCM, 32): "s32le",
    (_FLOAT, 32): "f32le",
    (_FLOAT, 64): "f64le",
}


@dataclass(frozen=True, slots=True)
class WavHeader:
    """What comes behind the header."""

    sample_rate: int
    channels: int
    encoding: str
    """One of `asrcli.media.pcm.ENCODINGS`."""
    size: int | None
    """Bytes of samples, or None for all until the stream ends."""


def read_wav_header(read: Callable[[int], bytes], name: str, *, hint: str) -> WavHeader:
    """Read up to the first sample; `read(n)` gives n bytes, or fewer where the stream ends.

    The stream begins with RIFF or RF64, four bytes and WAVE. Raises NotAudioError for a header
    that is none, and UnsupportedFormatError, with the hint, for a codec other than PCM.
    """
    read(12)
    header: WavHeader | None = None
    for _ in range(_MOST_CHUNKS):
        kind, size = _chunk(read, name)
        if kind == b"data":
            if header is None:
                raise NotAudioError(f"{name} is no WAV stream: its format is missing", hint=hint)
            known = size if 0 < size < _NO_SIZE else None
            return WavHeader(header.sample_rate, header.channels, header.encoding, known)
        if size > _LONGEST_CHUNK:
            break
        content = read(size + size % 2)
        if kind == b"fmt ":
            header = _format(content, name, hint)
    raise NotAudioError(f"{name} is no WAV stream: there are no samples in it", hint=hint)


def _chunk(read: Callable[[int], bytes], name: str) -> tuple[bytes, int]:
    head = read(8)
    if len(head) < 8:
        raise NotAudioError(f"{name} ends within the header of the WAV stream")
    return head[:4], int.from_bytes(head[4:], "little")


def _format(content: bytes, name: str, hint: str) -> WavHeader:
    from asrcli.media.sound import check_sound

    if len(content) < 16:
        raise NotAudioError(f"{name} is no WAV stream: its format is cut off", hint=hint)
    tag, channels, sample_rate, _, align, bits = struct.unpack_from("<HHIIHH", content)
    if tag == _EXTENSIBLE and len(content) >= 26:
        tag = int.from_bytes(content[24:26], "little")
    encoding = _ENCODINGS.get((tag, bits))
    if encoding is None:
        raise UnsupportedFormatError(
            f"{name} is a WAV stream of a kind that cannot be heard live "
            f"(format {tag:#06x}, {bits} bits)",
            hint=hint,
        )
    check_sound(name, channels, sample_rate)
    if align != channels * bits // 8:
        raise NotAudioError(f"{name} is no WAV stream: its format contradicts itself", hint=hint)
    return WavHeader(sample_rate, channels, encoding, None)
