"""Find out what a file is, by looking into it: container, codec, length, tracks.

A small WAV costs a fraction of a millisecond and imports nothing; whatever FFmpeg has to open is
believed only after some of it was decoded. Lengths in headers are believed where the bytes that
are present agree with them, and counted elsewhere.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asrcli.errors import EmptyFileError, NotAudioError
from asrcli.media.audio import AudioFile
from asrcli.media.demux import (
    audio_stream,
    codec_name,
    decoded,
    has_video,
    opened_media,
    packets,
    start_of,
    timeline_of,
)
from asrcli.media.files import open_regular
from asrcli.media.formats import FORMATS, HEAD_BYTES, read_head, sniff, sound_start
from asrcli.media.framing import declared_bytes
from asrcli.media.lookalikes import lookalike
from asrcli.media.packages import has_libsndfile, require
from asrcli.media.plain import read_plain
from asrcli.media.reasons import NOTHING_DECODES, NOTHING_FOLLOWS, why_not
from asrcli.media.sound import check_sound, opened_sound, read_sound

if TYPE_CHECKING:
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from av.packet import Packet

__all__ = ["probe"]

_PATIENCE = 500
"""Packets of which none can be decoded, after which a file is taken for one without sound."""
_FLAC_SAMPLES = 4_096
_RIFF_BYTES = 12
_SCANNED_BYTES = 1 << 20
_TAGS = 4_096
"""Bytes of tags that may follow an MP3; in more there may be another recording."""

_SLOWEST, _FASTEST = 900, 60_000
"""Bytes that a second of MP3 has at least and at most: 8 to 320 kbit/s, and headers."""

_LAST_PART = 10_000_000
"""Microseconds at the end of a Matroska that are read to find its last sound."""

_Dated = tuple[float | None, float]
"""The time of a packet by its container, and its length, both in seconds."""


@dataclass(frozen=True, slots=True)
class _Source:
    path: Path
    file: BinaryIO
    name: str
    container: str
    demuxer: str
    track: int
    size: int
    start: int
    """Where it begins behind any tags, in bytes."""
    head: bytes


@dataclass(frozen=True, slots=True)
class _Facts:
    container: str
    codec: str
    channels: int
    sample_rate: int
    duration: float
    tracks: int = 1
    has_video: bool = False


def probe(
    path: Path, *, name: str | None = None, track: int = 0, need_duration: bool = True
) -> AudioFile:
    """Look into a file; `name` is what messages call it, `track` counts audio tracks from 0.

    Without `need_duration`, a length that would have to be counted is the header's guess, or 0.
    Raises FileUnreadableError, EmptyFileError, NotAudioError with the reason, NoAudioTrackError.
    """
    label = path.name if name is None else name
    with open_regular(path, label) as file:
        size = os.fstat(file.fileno()).st_size
        if not size:
            raise EmptyFileError(label)
        head = read_head(file)
        container = sniff(head, whole=size <= HEAD_BYTES)
        if container is None:
            raise NotAudioError(f"{label} is not audio: {_what_instead(head)}")
        if container == "wav" and len(head) == HEAD_BYTES and not any(head[_RIFF_BYTES:]):
            # FFmpeg would step through all of it, a chunk of no bytes at a time.
            raise NotAudioError(f"{label} is damaged: behind its first bytes there are zeros alone")
        demuxer = FORMATS[container].demuxer(head)
        start = sound_start(file)
        source = _Source(path, file, label, container, demuxer, track, size, start, head)
        facts = _plain(source) or _flac(source) or _media(source, need_duration=need_duration)
    return AudioFile(
        path=path,
        name=label,
        container=facts.container,
        mime_type=FORMATS[facts.container].mime_type,
        codec=facts.codec,
        size=size,
        duration=facts.duration,
        channels=facts.channels,
        sample_rate=facts.sample_rate,
        track=track,
        tracks=facts.tracks,
        has_video=facts.has_video,
    )


def _what_instead(head: bytes) -> str:
    like = lookalike(head)
    if like is not None:
        return f"it looks like {like}"
    return "its content is of no known format" if any(head) else "it is filled with zeros"


def _plain(source: _Source) -> _Facts | None:
    if source.container not in {"wav", "aiff"} or source.track:
        return None
    plain = read_plain(source.file, source.container)
    if plain is None:
        return None
    check_sound(source.name, plain.channels, plain.sample_rate)
    if not plain.frames:
        raise EmptyFileError(source.name)
    return _Facts(
        source.container,
        plain.codec,
        plain.channels,
        plain.sample_rate,
        plain.frames / plain.sample_rate,
    )


def _flac(source: _Source) -> _Facts | None:
    """The header of a FLAC, if its first and its last sample can be decoded."""
    if source.container != "flac" or source.track or not has_libsndfile():
        return None
    import soundfile

    try:
        with opened_sound(source.file) as sound:
            check_sound(source.name, sound.channels, sound.samplerate)
            if not len(sound.read(_FLAC_SAMPLES, dtype="float32")):
                return None
            sound.seek(sound.frames - 1)
            if len(sound.read(1, dtype="float32")) != 1:
                return None
            seconds = sound.frames / sound.samplerate
            return _Facts("flac", "flac", sound.channels, sound.samplerate, seconds)
    except soundfile.LibsndfileError:
        return None


def _media(source: _Source, *, need_duration: bool) -> _Facts:
    require("av")
    import av

    try:
        with opened_media(source.file, source.demuxer) as media:
            stream = audio_stream(media, source.track, source.name)
            return _listen(source, media, stream, need_duration=need_duration)
    except av.FFmpegError as error:
        reason = why_not(source.file, source.container)
        raise NotAudioError(f"{source.name}: {reason}") from error


def _listen(
    source: _Source, media: InputContainer, stream: AudioStream, *, need_duration: bool
) -> _Facts:
    found = packets(media, stream)
    dated: list[_Dated] = []
    frame = _first_frame(stream, found, dated)
    if frame is None:
        raise NotAudioError(f"{source.name}: {NOTHING_DECODES if dated else NOTHING_FOLLOWS}")
    channels, rate = frame.layout.nb_channels, frame.sample_rate
    check_sound(source.name, channels, rate)
    duration = _declared(source, media, stream, dated[0][0])
    if duration is None and need_duration and source.demuxer == "matroska":
        duration = _last_end(source)
    if duration is None and need_duration:
        duration = _counted(source, media, stream, frame, chain(dated, map(_date, found)))
    elif duration is None:
        duration = (media.duration or 0) / 1_000_000
    video = has_video(media)
    return _Facts(
        container=_refined(source.container, codec_name(stream), video=video),
        codec=codec_name(stream),
        channels=channels,
        sample_rate=rate,
        duration=duration,
        tracks=len(media.streams.audio),
        has_video=video,
    )


def _first_frame(
    stream: AudioStream, found: Iterator[Packet[Any]], dated: list[_Dated]
) -> AudioFrame | None:
    """Decode until something comes of it; `dated` gets the packets that were needed for it."""
    for packet in found:
        dated.append(_date(packet))
        if made := decoded(stream, packet):
            return made[0]
        if len(dated) >= _PATIENCE:
            return None
    made = decoded(stream, None)
    return made[0] if made else None


def _date(packet: Packet[Any]) -> _Dated:
    base = float(packet.time_base)
    time = None if packet.pts is None else packet.pts * base
    return time, (packet.duration or 0) * base


def _refined(container: str, codec: str, *, video: bool) -> str:
    """The name that fits what is inside, where one container has several."""
    if container in {"m4a", "mp4"}:
        return "mp4" if video else "m4a"
    if container in {"wma", "wmv"}:
        return "wmv" if video else "wma"
    if container in {"ogg", "opus"}:
        return "opus" if codec == "opus" and not video else "ogg"
    return container


# --- duration ---------------------------------------------------------------------------------


def _declared(
    source: _Source, media: InputContainer, stream: AudioStream, begins: float | None
) -> float | None:
    """The length by the header in seconds, if the bytes that are present agree with it.

    `begins` is the time of the first packet.
    """
    if stream.duration is None or stream.time_base is None:
        return None
    agrees = {"mov": _index_fits, "ogg": _is_one_chain, "mp3": _tag_fits}.get(source.demuxer)
    if agrees is None or not agrees(source, stream):
        return None
    first = (stream.start_time or 0) * stream.time_base
    lead = float(first) - (start_of(media) or 0.0)
    seconds = float(stream.duration * stream.time_base) + max(lead, 0.0)
    if source.demuxer == "ogg" and codec_name(stream) == "opus":
        seconds += min(begins or 0.0, 0.0)  # FFmpeg counts in what is skipped at the start.
    return seconds


def _index_fits(source: _Source, stream: AudioStream) -> bool:
    """True if the last packet that the index of an MP4 lists lies inside the file."""
    entries = getattr(stream, "index_entries", None)  # PyAV before 16 does not tell.
    if not entries:
        return False
    last = entries[len(entries) - 1]
    return len(entries) == stream.frames and last.pos + last.size <= source.size


def _is_one_chain(source: _Source, stream: AudioStream) -> bool:  # noqa: ARG001
    """True if nothing starts anew in an Ogg, so that its last page, where FFmpeg looks, counts."""
    # "First page of a stream" is a bit of each page's header (RFC 3533, section 6).
    mark, starts, tail = b"OggS\0\x02", 0, b""
    with open_regular(source.path, source.name) as file:
        while block := file.read(_SCANNED_BYTES):
            starts += (tail + block).count(mark)
            tail = block[1 - len(mark) :]
    return starts == 1


def _tag_fits(source: _Source, stream: AudioStream) -> bool:
    """True if as many bytes of MP3 are there as the tag of its encoder counts, and few more."""
    declared = declared_bytes(source.head)
    seconds = float((stream.duration or 0) * (stream.time_base or 0))
    if declared is None or not _SLOWEST * seconds <= declared <= _FASTEST * seconds:
        return False
    return declared <= source.size - source.start <= declared + _TAGS


def _last_end(source: _Source) -> float | None:
    """When the last sound of a Matroska ends in seconds, read from its last part alone.

    Spares the gigabytes of pictures before it. None if there is no sound in that part.
    """
    import av

    with (
        open_regular(source.path, source.name) as file,
        opened_media(file, source.demuxer) as media,
    ):
        stream = audio_stream(media, source.track, source.name)
        if not media.duration or media.duration < 2 * _LAST_PART:
            return None
        try:
            media.seek(media.duration - _LAST_PART)
        except av.FFmpegError:
            return None
        ends = [time + seconds for time, seconds in map(_date, packets(media, stream)) if time]
        return max(ends) - (start_of(media) or 0.0) if ends else None


def _counted(
    source: _Source,
    media: InputContainer,
    stream: AudioStream,
    frame: AudioFrame,
    dated: Iterable[_Dated],
) -> float:
    """The length by the times and lengths of all packets, without decoding them."""
    timeline = timeline_of(media, stream, source.container, frame)
    for time, seconds in dated:
        timeline.extend(time, seconds or frame.samples / frame.sample_rate)
    if timeline.end > 0:
        return timeline.end
    sounds = read_sound(source.path, container=source.container, track=source.track)
    return sum(len(sound.samples) / sound.sample_rate for sound in sounds)
