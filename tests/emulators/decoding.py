"""Sound out of the bytes that a service was sent, by PyAV; the program's own code is not used.

What is not one of the containers that services document is `Undecodable`. PyAV and numpy are
imported when the first recording comes.
"""

from __future__ import annotations

import io
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import IO, TYPE_CHECKING, Any

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Sound", "Source", "Undecodable", "decode", "identify"]

Source = bytes | Path | IO[bytes]

_RATE = 8_000
_FIRST_BYTES = 4_096
_BY_FORMAT = {
    "aac": "aac",
    "aiff": "aiff",
    "amr": "amr",
    "avi": "avi",
    "flac": "flac",
    "flv": "flv",
    "mp3": "mp3",
    "mpeg": "mpeg",
    "wav": "wav",
}


class Undecodable(Exception):  # noqa: N818 - it is a statement about the bytes
    """There is no sound in these bytes, or none that can be read."""


@dataclass(frozen=True, slots=True)
class Sound:
    """What the bytes hold, before they are decoded; `seconds` as the header has it, or None."""

    container: str
    """`wav`, `mp3`, `m4a`, …, by content."""
    codec: str
    channels: int
    sample_rate: int
    """Hz."""
    seconds: float | None


def identify(source: Source) -> Sound:
    """Read the header alone; raises `Undecodable`."""
    with _opened(source) as container:
        return _sound(container, source)


def decode(source: Source, *, channel: int | None = None) -> tuple[Sound, Iterator[NDArray[Any]]]:
    """The header, and the samples at 8 kHz as floats, block by block.

    All channels are mixed down with equal weight, or `channel` (from 0) is taken alone.
    A damaged packet is left out; raises `Undecodable` if there is no sound at all.
    """
    container = _opened(source)
    try:
        sound = _sound(container, source)
        if channel is not None and channel >= sound.channels:
            raise Undecodable(f"there is no channel {channel}")
    except Undecodable:
        container.close()
        raise
    return sound, _blocks(container, channel)


def _blocks(container: Any, channel: int | None) -> Iterator[NDArray[np.float32]]:
    import av

    with container:
        for (format_name, layout, rate), frames in groupby(_frames(container), key=_kind):
            resampler: Any = av.AudioResampler("fltp", layout, _RATE)
            for frame in _joined(frames, format_name, layout, rate):
                yield from _mono(resampler.resample(frame), channel)
            yield from _mono(resampler.resample(None), channel)


def _kind(frame: Any) -> tuple[str, str, int]:
    return frame.format.name, frame.layout.name, frame.sample_rate


def _joined(frames: Iterable[Any], format_name: str, layout: str, rate: int) -> Iterator[Any]:
    """The same samples in frames of a second: a call for each small one would be slow."""
    import av
    import numpy as np

    for second in _batches((frame.to_ndarray() for frame in frames), rate):
        samples = np.ascontiguousarray(np.concatenate(second, axis=1))
        frame = av.AudioFrame.from_ndarray(samples, format_name, layout)
        frame.sample_rate = rate
        yield frame


def _batches(arrays: Iterable[NDArray[Any]], size: int) -> Iterator[list[NDArray[Any]]]:
    batch: list[NDArray[Any]] = []
    for array in arrays:
        batch.append(array)
        if sum(part.shape[1] for part in batch) >= size:
            yield batch
            batch = []
    if batch:
        yield batch


def _mono(frames: list[Any], channel: int | None) -> Iterator[NDArray[np.float32]]:
    for frame in frames:
        samples = frame.to_ndarray()
        yield samples.mean(axis=0) if channel is None else samples[channel]


def _frames(container: Any) -> Iterator[Any]:
    import av

    # A stream that breaks off is heard as far as it goes, as services do.
    with suppress(av.FFmpegError):
        for packet in container.demux(container.streams.audio[0]):
            with suppress(av.FFmpegError):
                yield from packet.decode()


def _opened(source: Source) -> Any:
    import av

    try:
        container: Any = av.open(_readable(source), "r")
    except (av.FFmpegError, ValueError) as error:
        raise Undecodable(f"cannot be opened: {error}") from error
    if not container.streams.audio:
        container.close()
        raise Undecodable("there is no audio track")
    return container


def _readable(source: Source) -> IO[bytes] | str:
    if isinstance(source, bytes):
        return io.BytesIO(source)
    if isinstance(source, Path):
        return str(source)
    source.seek(0)
    return source


def _sound(container: Any, source: Source) -> Sound:
    stream = container.streams.audio[0]
    name = _container_name(container, _head(source))
    codec = stream.codec_context
    if name is None or not codec.sample_rate or not codec.channels:
        raise Undecodable(f"{container.format.name} is not taken")
    seconds = container.duration / 1_000_000 if container.duration else None
    return Sound(name, codec.name, codec.channels, codec.sample_rate, seconds)


def _container_name(container: Any, head: bytes) -> str | None:
    name = container.format.name
    pictured = any(s.codec_context.name != "mjpeg" for s in container.streams.video)
    if name == "ogg":
        return "opus" if container.streams.audio[0].codec_context.name == "opus" else "ogg"
    if name == "asf":
        return "wmv" if pictured else "wma"
    if name.startswith("matroska"):
        return "webm" if b"webm" in head else "mkv"
    if name.startswith("mov"):
        brand = head[8:12]
        return {b"M4A ": "m4a", b"qt  ": "mov"}.get(brand, "mp4")
    return _BY_FORMAT.get(name)


def _head(source: Source) -> bytes:
    if isinstance(source, bytes):
        return source[:_FIRST_BYTES]
    if isinstance(source, Path):
        with source.open("rb") as file:
            return file.read(_FIRST_BYTES)
    source.seek(0)
    return source.read(_FIRST_BYTES)
