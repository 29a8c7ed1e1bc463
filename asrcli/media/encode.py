"""Write mono samples as a file that a service takes, block by block.

FLAC and WAV are written by libsndfile, Ogg-Opus and MP3 by FFmpeg's libraries (PyAV). All of them
decode to as many samples as went in, from the same start: encoders' lead-ins are declared in the
file. The same samples give the same bytes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import StrEnum
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrcli.errors import OutputError
from asrcli.media.files import QuietWriter
from asrcli.media.formats import FORMATS
from asrcli.media.packages import require

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32] | NDArray[np.int16]

__all__ = ["Codec", "encode", "encode_bytes", "estimated_bytes"]

_HEADER_BYTES = 8_192
"""More than any of the containers needs besides its sound."""


class Codec(StrEnum):
    """What can be written: mono, 16 bits where it is lossless."""

    FLAC = "flac"
    OPUS = "opus"
    """24 kbit/s, in Ogg; some 27 of it for speech."""
    MP3 = "mp3"
    """32 kbit/s, constant."""
    WAV = "wav"

    @property
    def container(self) -> str:
        """Its name in `asrcli.media.formats.FORMATS`; also the usual suffix."""
        return self.value

    @property
    def mime_type(self) -> str:
        """What to declare the file as."""
        return FORMATS[self.container].mime_type

    @property
    def bytes_per_second(self) -> int:
        """What a second at 16 kHz takes at most, for planning."""
        return _BYTES_PER_SECOND[self]


_BYTES_PER_SECOND = {Codec.FLAC: 32_100, Codec.OPUS: 3_750, Codec.MP3: 4_020, Codec.WAV: 32_000}
"""FLAC of noise is as large as WAV, of speech about half; Opus has 3,440 of speech on average."""


@dataclass(frozen=True, slots=True)
class _Encoder:
    muxer: str
    name: str
    sample_format: str
    bit_rate: int
    options: dict[str, str]


_ENCODERS = {
    # "audio" is twice as fast as "voip" and was recognized as well; at level 0 it needs two thirds
    # of the time of level 3 and an eighth fewer bytes, with no more words misheard than in FLAC.
    # Packets of 60 ms take a seventh less of both than those of 20 ms.
    Codec.OPUS: _Encoder(
        "ogg",
        "libopus",
        "s16",
        24_000,
        {"compression_level": "0", "application": "audio", "frame_duration": "60"},
    ),
    # LAME is twice as fast at 7, but was recognized clearly worse.
    Codec.MP3: _Encoder("mp3", "libmp3lame", "s16p", 32_000, {"compression_level": "5"}),
}


def estimated_bytes(codec: Codec, seconds: float) -> int:
    """How large a file of this length at 16 kHz is at most, as good as surely."""
    return _HEADER_BYTES + round(codec.bytes_per_second * max(seconds, 0.0))


def encode(
    blocks: Iterable[Samples], path: Path, codec: Codec, *, sample_rate: int = 16_000
) -> int:
    """Write mono samples to a new file, float32 in [-1, 1] or int16; return its size in bytes.

    `sample_rate` in Hz is what the samples have; Opus takes 8, 12, 16, 24 or 48 kHz. What was
    written is removed if it cannot be completed. Raises OutputError, and what `blocks` raises.
    """
    file = None
    complete = False
    try:
        with path.open("wb") as file:
            _encode(blocks, QuietWriter(file), codec, sample_rate)
        complete = True
        return path.stat().st_size
    except OSError as error:
        raise OutputError(f"cannot write {path}: {error.strerror or error}") from error
    finally:
        if file is not None and not complete and path.is_file():
            path.unlink()


def encode_bytes(blocks: Iterable[Samples], codec: Codec, *, sample_rate: int = 16_000) -> bytes:
    """Encode a short piece in memory; see `encode`."""
    file = io.BytesIO()
    _encode(blocks, QuietWriter(file), codec, sample_rate)
    return file.getvalue()


def _encode(blocks: Iterable[Samples], target: QuietWriter, codec: Codec, sample_rate: int) -> None:
    if codec in _ENCODERS:
        _encode_with_ffmpeg(blocks, target, _ENCODERS[codec], sample_rate)
    else:
        _encode_with_libsndfile(blocks, target, codec, sample_rate)
    target.check()


def _encode_with_libsndfile(
    blocks: Iterable[Samples], target: QuietWriter, codec: Codec, sample_rate: int
) -> None:
    require("soundfile")
    import soundfile

    with soundfile.SoundFile(
        target, "w", sample_rate, 1, subtype="PCM_16", format=codec.name
    ) as out:
        for samples in _integers(blocks):
            out.write(samples)
            target.check()


def _encode_with_ffmpeg(
    blocks: Iterable[Samples], target: QuietWriter, encoder: _Encoder, sample_rate: int
) -> None:
    require("av")
    import av

    # Without "bitexact" Ogg gets a random serial number, and every file a version of FFmpeg.
    options = {"fflags": "+bitexact"}
    with av.open(target, "w", format=encoder.muxer, container_options=options) as out:
        stream: Any = out.add_stream(
            encoder.name, rate=sample_rate, layout="mono", options=dict(encoder.options)
        )
        stream.bit_rate = encoder.bit_rate
        written = 0
        for samples in _integers(blocks):
            frame = av.AudioFrame.from_ndarray(samples[None, :], encoder.sample_format, "mono")
            frame.sample_rate = sample_rate
            frame.pts, frame.time_base = written, Fraction(1, sample_rate)
            written += len(samples)
            out.mux(stream.encode(frame))
            target.check()
        out.mux(stream.encode(None))


def _integers(blocks: Iterable[Samples]) -> Iterator[NDArray[np.int16]]:
    """The samples with 16 bits; those that came from 16 bits are what they were."""
    import numpy as np

    for block in blocks:
        if block.dtype == np.int16:
            yield block.astype(np.int16, copy=False)
        elif len(block):
            scaled = np.rint(block * np.float32(32_768))
            yield np.clip(scaled, -32_768, 32_767).astype(np.int16)
