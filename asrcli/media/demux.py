"""Open a media file with FFmpeg's libraries (PyAV) so that it reaches nothing but its own bytes.

FFmpeg takes names for protocols and follows what playlists and movies refer to. So it gets an open
file without a name and the one demuxer that the content calls for, and may open nothing else.
"""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any, BinaryIO

from asrcli.errors import NoAudioTrackError, NotAudioError, UnknownCodecError
from asrcli.media.files import QuietReader
from asrcli.media.reasons import NOTHING_FOLLOWS
from asrcli.media.timeline import Timeline

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

__all__ = [
    "MAX_CHANNELS",
    "SAMPLE_RATES",
    "audio_stream",
    "codec_name",
    "decoded",
    "frames",
    "has_video",
    "opened_media",
    "packets",
    "start_of",
    "timeline_of",
]

SAMPLE_RATES = range(1_000, 1_000_001)
"""Hz that are believed; beyond lie damaged headers, as beyond"""
MAX_CHANNELS = 64
"""channels, the most that FFmpeg converts."""

_BUFFER_BYTES = 1 << 16
_MOST_FAILURES = 100
"""Failures in a row after which the rest of a damaged file is given up."""


@contextmanager
def opened_media(file: BinaryIO, demuxer: str) -> Iterator[InputContainer]:
    """Open the file with this demuxer.

    Raises av.FFmpegError if it does not fit, and OSError at the end if reading it failed.
    """
    import av

    file.seek(0)
    reader = QuietReader(file)
    options = {
        "protocol_whitelist": "none",
        "format_whitelist": demuxer,
        # A QuickTime movie may name other files as its data.
        "enable_drefs": "0",
        "use_absolute_path": "0",
    }
    with av.open(
        reader,
        mode="r",
        format=demuxer,
        container_options=options,
        metadata_errors="replace",
        buffer_size=_BUFFER_BYTES,
        io_open=_open_nothing,
    ) as source:
        yield source
    reader.check()


def _open_nothing(url: str, flags: int, options: dict[str, str]) -> BinaryIO:  # noqa: ARG001
    """What a media file gets that asks for another: an empty one."""
    return io.BytesIO()


def audio_stream(source: InputContainer, track: int, name: str) -> AudioStream:
    """The audio track of this number, from 0; nothing but it is read from then on.

    Raises NoAudioTrackError, NotAudioError where there is no track at all, and UnknownCodecError
    if there is no decoder for it.
    """
    streams = source.streams.audio
    if not len(source.streams):
        raise NotAudioError(f"{name}: {NOTHING_FOLLOWS}")
    if not streams:
        raise NoAudioTrackError(name, _what_instead(source))
    if not 0 <= track < len(streams):
        raise NoAudioTrackError(
            name, f"number {track} was asked for; it has {len(streams)}, counted from 0"
        )
    stream = streams[track]
    if stream.codec_context is None:
        raise UnknownCodecError(
            f"{name} cannot be decoded: its codec is unknown, or it is encrypted"
        )
    _discard_others(source, stream)
    return stream


def _discard_others(source: InputContainer, stream: AudioStream) -> None:
    """Have other tracks stepped over where the container allows it, rather than read."""
    try:
        from av.stream import Discard
    except ImportError:  # PyAV before 15: they are read, and left.
        return
    for other in source.streams:
        if other.index != stream.index:
            other.discard = Discard.all


def _what_instead(source: InputContainer) -> str:
    if has_video(source):
        return "only pictures"
    return "only a cover picture" if source.streams.video else ""


def has_video(source: InputContainer) -> bool:
    """True if there are moving pictures; a cover is none."""
    import av

    return any(
        not stream.disposition & av.stream.Disposition.attached_pic
        for stream in source.streams.video
    )


def codec_name(stream: AudioStream) -> str:
    """FFmpeg's name of the codec, not of the decoder: `mp3`, not `mp3float`."""
    return stream.codec_context.codec.canonical_name


def start_of(source: InputContainer) -> float | None:
    """The container's time, in seconds, at which the first of its tracks starts."""
    return None if source.start_time is None else source.start_time / 1_000_000


def timeline_of(
    source: InputContainer, stream: AudioStream, container: str, first: AudioFrame
) -> Timeline:
    """The timeline of a track whose first frame this is."""
    return Timeline(
        container, codec_name(stream), first.sample_rate, first.samples, start_of(source)
    )


def packets(source: InputContainer, stream: AudioStream) -> Iterator[Packet[Any]]:
    """All packets of a track; damaged stretches are stepped over."""
    import av

    failures = 0
    while failures < _MOST_FAILURES:
        try:
            for packet in source.demux(stream):
                if packet.size:
                    failures = 0
                    yield packet
        except av.FFmpegError:
            failures += 1
        except IndexError:
            return  # PyAV stumbles at the end over a track that a damaged file begins late.
        else:
            return


def frames(source: InputContainer, stream: AudioStream) -> Iterator[AudioFrame | None]:
    """All that can be decoded of a track; None in the place of a damaged packet."""
    from av.error import FFmpegError

    decode = stream.codec_context.decode
    for packet in packets(source, stream):  # tens of thousands an hour: nothing is called in vain
        try:
            made = decode(packet)
        except FFmpegError:
            yield None
        else:
            for frame in made:
                if frame.samples:
                    yield frame
    yield from decoded(stream, None) or ()


def decoded(stream: AudioStream, packet: Packet[Any] | None) -> list[AudioFrame] | None:
    """The frames of a packet, or the last ones without one; None if it is damaged."""
    from av.error import FFmpegError

    try:
        return [frame for frame in stream.codec_context.decode(packet) if frame.samples]
    except FFmpegError:
        return None
