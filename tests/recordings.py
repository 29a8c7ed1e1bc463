"""Recordings for tests: the spoken ones of `tests/data/recordings`, and what is made of them.

`RECORDINGS` are the committed clips with their words; `encode_as` puts one into any container;
the rest makes silence, noise, long recordings and broken files. All of it is for tests only.
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from fractions import Fraction
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = [
    "DAMAGES",
    "FORMATS_MADE",
    "RATE",
    "RECORDINGS",
    "VIDEO_FORMATS",
    "Recording",
    "SpokenWord",
    "concatenate",
    "cut",
    "damage",
    "encode_as",
    "louder",
    "mix",
    "noise",
    "recording",
    "side_by_side",
    "silence",
    "tone",
]

FOLDER = Path(__file__).with_name("data") / "recordings"
RATE = 16_000


@dataclass(frozen=True, slots=True)
class SpokenWord:
    """A word as it is written, with its punctuation; times in seconds."""

    text: str
    start: float
    end: float


@dataclass(frozen=True, slots=True)
class Recording:
    """A committed clip: 16 kHz, mono, 16 bits."""

    name: str
    """The file's stem: `welcome`, `report`, …"""
    path: Path
    voice: str
    speaker: str
    language: str
    emotion: str
    seconds: float
    text: str
    """What is said, with capitals and punctuation."""
    heard: str
    """What the embedded engine makes of the whole clip, in lower case."""
    heard_right: bool
    words: tuple[SpokenWord, ...]


def _load(folder: Path) -> tuple[Recording, ...]:
    manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
    return tuple(_recording_of(folder, row) for row in manifest["recordings"])


def _recording_of(folder: Path, row: dict[str, Any]) -> Recording:
    file = row.pop("file")
    words = tuple(SpokenWord(*word) for word in row.pop("words"))
    return Recording(name=Path(file).stem, path=folder / file, words=words, **row)


RECORDINGS = _load(FOLDER)
"""`welcome`, `report`, `planet`, `meeting`, `bridge`, `number`, `letter`, `lesson` and the
`journey` of a minute. `number` is the shortest."""


def recording(name: str) -> Recording:
    """One of `RECORDINGS`, by its name."""
    return next(r for r in RECORDINGS if r.name == name)


# --- formats ----------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class _Format:
    muxer: str
    codec: str
    rate: int = RATE
    video: str | None = None
    bit_rate: int | None = None


_FORMATS = {
    "aac": _Format("adts", "aac", bit_rate=48_000),
    "aiff": _Format("aiff", "pcm_s16be"),
    "amr": _Format("amr", "libopencore_amrnb", rate=8_000, bit_rate=12_200),
    "avi": _Format("avi", "libmp3lame", video="mpeg4", bit_rate=48_000),
    "flac": _Format("flac", "flac"),
    "flv": _Format("flv", "libmp3lame", rate=22_050, video="flv", bit_rate=64_000),
    "m4a": _Format("ipod", "aac", bit_rate=48_000),
    "mkv": _Format("matroska", "flac", video="mpeg4"),
    "mov": _Format("mov", "pcm_s16le", video="mpeg4"),
    "mp3": _Format("mp3", "libmp3lame", bit_rate=48_000),
    "mp4": _Format("mp4", "aac", video="mpeg4", bit_rate=48_000),
    "mpeg": _Format("mpeg", "mp2", rate=44_100, video="mpeg1video", bit_rate=96_000),
    "ogg": _Format("ogg", "vorbis"),
    "opus": _Format("opus", "libopus", bit_rate=24_000),
    "wav": _Format("wav", "pcm_s16le"),
    "webm": _Format("webm", "libopus", video="libvpx", bit_rate=24_000),
    "wma": _Format("asf", "wmav2", bit_rate=48_000),
    "wmv": _Format("asf", "wmav2", video="wmv2", bit_rate=48_000),
}
FORMATS_MADE = tuple(_FORMATS)
"""The containers `encode_as` knows: each suffix that Qwen takes, and mp4 and mov."""
VIDEO_FORMATS = tuple(name for name, kind in _FORMATS.items() if kind.video)
"""Those that get a picture unless they are asked for without."""


def encode_as(
    source: Path,
    container: str,
    folder: Path,
    *,
    video: bool | None = None,
    rate: int | None = None,
    channels: int = 1,
    bit_rate: int | None = None,
    codec: str | None = None,
) -> Path:
    """Write `source` anew as `container` and return the file, `<stem>.<container>`.

    Containers of video get a tiny picture; `video=False` leaves it out and adds `-sound` to the
    stem. `rate` in Hz and `bit_rate` in bit/s replace the format's own; `codec` is FFmpeg's name.
    """
    kind = _FORMATS[container]
    picture_codec = None if video is False else kind.video
    stem = source.stem if picture_codec == kind.video else f"{source.stem}-sound"
    path = folder / f"{stem}.{container}"
    if path == source:
        raise ValueError(f"{path} would be overwritten while it is read")
    rate = rate or kind.rate
    codec = codec or kind.codec
    if codec == "vorbis":
        return _write_vorbis(source, path, rate, channels)
    import av

    with av.open(str(path), "w", format=kind.muxer) as out:
        # The picture comes first, as cameras write it.
        picture: Any = out.add_stream(picture_codec, rate=25) if picture_codec else None
        layout = "mono" if channels == 1 else "stereo" if channels == 2 else f"{channels}c"
        options = {"compression_level": "3" if codec == "libopus" else "7"}
        sound: Any = out.add_stream(codec, rate=rate, options=options, layout=layout)
        if bit_rate or kind.bit_rate:
            sound.bit_rate = bit_rate or kind.bit_rate
        if picture is not None:
            picture.width, picture.height, picture.pix_fmt = 32, 32, "yuv420p"
        out.start_encoding()
        if picture is not None:
            for packet in _pictures(picture, _seconds(source)):
                out.mux(packet)
        for packet in _sounds(sound, _blocks(source, rate), layout, channels):
            out.mux(packet)
    return path


def _write_vorbis(source: Path, path: Path, rate: int, channels: int) -> Path:
    # PyAV's wheel has no libvorbis, and FFmpeg's own encoder is an experiment; libsndfile's is not.
    import numpy as np
    import soundfile

    with soundfile.SoundFile(path, "w", rate, channels, format="OGG", subtype="VORBIS") as out:
        for block in _blocks(source, rate):
            out.write(np.repeat(block[:, None], channels, axis=1))
    return path


def _sounds(stream: Any, blocks: Iterable[Samples], layout: str, channels: int) -> Iterator[Any]:
    import av

    queue = av.AudioFifo()
    written = 0
    size = stream.codec_context.frame_size or 1024

    def encoded(*, partial: bool) -> Iterator[Any]:
        nonlocal written
        for piece in queue.read_many(size, partial=partial):
            piece.pts, piece.time_base = written, Fraction(1, stream.rate)
            written += piece.samples
            yield from stream.encode(piece)

    for frame in _converted(stream, blocks, layout, channels):
        queue.write(frame)
        yield from encoded(partial=False)
    yield from encoded(partial=True)
    yield from stream.encode(None)


def _converted(stream: Any, blocks: Iterable[Samples], layout: str, channels: int) -> Iterator[Any]:
    """The samples in the form that the encoder takes."""
    import av
    import numpy as np

    resampler = av.AudioResampler(stream.codec_context.format, layout, stream.rate)
    for block in blocks:
        interleaved = np.repeat(np.round(block * 32_767).astype(np.int16), channels)[None, :]
        frame: Any = av.AudioFrame.from_ndarray(np.ascontiguousarray(interleaved), "s16", layout)
        frame.sample_rate = stream.rate
        for piece in resampler.resample(frame):
            piece.pts = None
            yield piece
    for piece in resampler.resample(None):
        piece.pts = None
        yield piece


def _pictures(stream: Any, seconds: float) -> Iterator[Any]:
    import av
    import numpy as np

    for number in range(max(1, int(seconds * 25))):
        gray = np.full((48, 32), 16 + number % 200, dtype=np.uint8)
        frame = av.VideoFrame.from_ndarray(gray, "yuv420p")
        frame.pts = number
        yield from stream.encode(frame)
    yield from stream.encode(None)


# --- recordings made of others ----------------------------------------------------------------


def silence(seconds: float, path: Path) -> Path:
    """Digital zeros."""
    import numpy as np

    return _write(path, np.zeros(round(seconds * RATE), dtype=np.float32))


def tone(seconds: float, path: Path, *, frequency: float = 440.0) -> Path:
    """A sine at -12 dB."""
    import numpy as np

    time = np.arange(round(seconds * RATE)) / RATE
    return _write(path, (0.25 * np.sin(2 * np.pi * frequency * time)).astype(np.float32))


def noise(seconds: float, path: Path, *, level: float = -30.0, seed: int = 1) -> Path:
    """White noise at `level` dB of full scale (RMS)."""
    import numpy as np

    samples = np.random.default_rng(seed).standard_normal(round(seconds * RATE))
    return _write(path, np.clip(samples * 10 ** (level / 20), -1, 1).astype(np.float32))


def concatenate(paths: Iterable[Path], path: Path, *, gap: float = 0.0) -> Path:
    """One after the other, with `gap` seconds of zeros between; written block by block.

    Any number of clips (16 kHz, mono), also hours of them; WAV or FLAC by the suffix of `path`.
    """
    import numpy as np
    import soundfile

    known: dict[Path, Samples] = {}
    pause = np.zeros(round(gap * RATE), dtype=np.float32)
    with soundfile.SoundFile(path, "w", RATE, 1, subtype="PCM_16") as out:
        for number, clip in enumerate(paths):
            if clip not in known:
                known[clip] = _read(clip)
            out.write(pause[: len(pause) if number else 0])
            out.write(known[clip])
    return path


def cut(source: Path, path: Path, *, start: float = 0.0, end: float | None = None) -> Path:
    """What lies between two times, in seconds."""
    stop = None if end is None else round(end * RATE)
    return _write(path, _read(source)[round(start * RATE) : stop])


def louder(source: Path, path: Path, *, gain: float) -> Path:
    """The same `gain` decibels louder (softer if negative); clipped at full scale."""
    import numpy as np

    return _write(path, np.clip(_read(source) * 10 ** (gain / 20), -1, 1).astype(np.float32))


def mix(sources: Sequence[Path], path: Path) -> Path:
    """All at once in one channel, each at its own level divided by their number."""
    return _write(path, _aligned(sources).mean(axis=1))


def side_by_side(sources: Sequence[Path], path: Path) -> Path:
    """Each in a channel of its own; the shorter ones end in zeros."""
    return _write(path, _aligned(sources))


def _aligned(sources: Sequence[Path]) -> Samples:
    import numpy as np

    clips = [_read(source) for source in sources]
    channels = np.zeros((max(map(len, clips)), len(clips)), dtype=np.float32)
    for number, clip in enumerate(clips):
        channels[: len(clip), number] = clip
    return channels


def _read(path: Path) -> Samples:
    import soundfile

    samples, rate = soundfile.read(path, dtype="float32")
    if rate != RATE or samples.ndim != 1:
        raise ValueError(f"{path.name} is not {RATE} Hz mono")
    return samples  # type: ignore[no-any-return]


def _seconds(path: Path) -> float:
    import soundfile

    return soundfile.info(path).duration  # type: ignore[no-any-return]


def _blocks(path: Path, rate: int) -> Iterator[Samples]:
    """The file at another rate, ten seconds at a time: some are hours long."""
    import soundfile
    import soxr

    with soundfile.SoundFile(path) as file:
        if file.samplerate != RATE or file.channels != 1:
            raise ValueError(f"{path.name} is not {RATE} Hz mono")
        stream = soxr.ResampleStream(RATE, rate, 1, dtype="float32")
        left = file.frames
        for block in file.blocks(10 * RATE, dtype="float32"):
            left -= len(block)
            yield block if rate == RATE else stream.resample_chunk(block, last=left <= 0)


def _write(path: Path, samples: Samples) -> Path:
    import soundfile

    soundfile.write(path, samples, RATE, subtype="PCM_16")
    return path


# --- broken files -----------------------------------------------------------------------------


def damage(source: Path, how: str, folder: Path) -> Path:
    """A broken copy, `<stem>-<how><suffix>`; `how` is one of `DAMAGES`."""
    path = folder / f"{source.stem}-{how}{source.suffix}"
    shutil.copyfile(source, path)
    path.write_bytes(_DAMAGES[how](path.read_bytes()))
    return path


_DAMAGES: dict[str, Callable[[bytes], bytes]] = {
    "empty": lambda _: b"",
    "header": lambda data: data[:44],
    "truncated": lambda data: data[: len(data) // 2],
    "zeros": lambda data: bytes(len(data)),
    "text": lambda _: b"This is no recording.\n" * 200,
    "html": lambda _: b"<!DOCTYPE html><html><body>404 Not Found</body></html>",
    "random": lambda data: bytes((i * 7919 + (i >> 3) * 104_729) & 0xFF for i in range(len(data))),
}
DAMAGES = tuple(_DAMAGES)
"""`empty`, the `header` alone, `truncated` in the middle, `zeros`, `text`, `html`, `random`."""
