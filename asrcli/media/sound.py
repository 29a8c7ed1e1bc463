"""The sound of a file as it was recorded: all channels, its own sample rate, a second at a time.

libsndfile reads WAV, AIFF and FLAC; FFmpeg reads the rest, and goes on where libsndfile gives up:
behind a damaged frame of FLAC, or where the header of a WAV is not to be believed.
"""

from __future__ import annotations

from collections.abc import Generator, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, BinaryIO

from asrcli.errors import EmptyFileError, NotAudioError
from asrcli.media.demux import (
    MAX_CHANNELS,
    SAMPLE_RATES,
    audio_stream,
    frames,
    opened_media,
    timeline_of,
)
from asrcli.media.files import QuietReader, open_regular
from asrcli.media.formats import FORMATS, read_head
from asrcli.media.packages import has_libsndfile, require
from asrcli.media.plain import read_plain
from asrcli.media.reasons import NOTHING_DECODES, why_not

if TYPE_CHECKING:
    import numpy as np
    from av.audio.frame import AudioFrame
    from av.audio.stream import AudioStream
    from av.container import InputContainer
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Sound", "check_sound", "opened_sound", "read_sound"]

_MOST_VALUES = 1 << 18
"""Samples of all channels together that are read at once, at most."""


@dataclass(frozen=True, slots=True)
class Sound:
    """A stretch of sound, usually a second of it."""

    samples: Samples
    """(samples, channels), in [-1, 1] unless the file itself goes beyond."""
    sample_rate: int


def read_sound(path: Path, *, container: str, track: int = 0) -> Generator[Sound, None, None]:
    """Read a track from its start to its end, with silence where there is a gap in it.

    Rate and number of channels may change on the way. Raises the errors of `probe`.
    """
    with open_regular(path, path.name) as file:
        done: int | None = 0
        if FORMATS[container].soundfile and track == 0 and has_libsndfile():
            done = yield from _by_libsndfile(path.name, file, container)
        if done is not None:
            yield from _by_ffmpeg(path, file, container, track, skip=done)


def check_sound(name: str, channels: int, sample_rate: int) -> None:
    """Raise NotAudioError for what no sound has, so that nobody divides by it or allocates it."""
    if sample_rate not in SAMPLE_RATES:
        raise NotAudioError(f"{name} cannot be decoded: it declares {sample_rate:,} Hz")
    if not 1 <= channels <= MAX_CHANNELS:
        raise NotAudioError(f"{name} cannot be decoded: it declares {channels:,} channels")


# --- libsndfile -------------------------------------------------------------------------------


@contextmanager
def opened_sound(file: BinaryIO) -> Iterator[Any]:
    """Open the file with libsndfile, as a soundfile.SoundFile.

    Raises soundfile.LibsndfileError, and OSError at the end if reading the file failed.
    """
    import soundfile

    file.seek(0)
    reader = QuietReader(file)
    with soundfile.SoundFile(reader) as sound:
        yield sound
    reader.check()


def _by_libsndfile(name: str, file: BinaryIO, container: str) -> Generator[Sound, None, int | None]:
    """Return None when all was read, else how many samples were, for another reader to go on."""
    import soundfile

    frames_expected = None
    if container != "flac":
        plain = read_plain(file, container)
        if plain is None:
            return 0
        check_sound(name, plain.channels, plain.sample_rate)
        if not plain.frames:
            raise EmptyFileError(name)
        frames_expected = plain.frames
    done = 0
    try:
        with opened_sound(file) as source:
            if source.frames != (frames_expected or source.frames):
                return 0
            check_sound(name, source.channels, source.samplerate)
            count = _at_once(source.channels, source.samplerate)
            while len(samples := source.read(count, dtype="float32", always_2d=True)):
                done += len(samples)
                yield Sound(samples, source.samplerate)
            return None if done and done == source.frames else done
    except soundfile.LibsndfileError:
        return done


# --- FFmpeg -----------------------------------------------------------------------------------


def _by_ffmpeg(
    path: Path, file: BinaryIO, container: str, track: int, *, skip: int
) -> Iterator[Sound]:
    require("av")
    import av

    file.seek(0)
    demuxer = FORMATS[container].demuxer(read_head(file))
    heard = skip > 0
    try:
        with opened_media(file, demuxer) as source:
            stream = audio_stream(source, track, path.name)
            for sound in _without_first(skip, _sounds(source, stream, container, path.name)):
                heard = True
                yield sound
    except av.FFmpegError as error:
        raise NotAudioError(f"{path.name}: {why_not(file, container)}") from error
    if not heard:
        raise NotAudioError(f"{path.name}: {NOTHING_DECODES}")


def _without_first(count: int, sounds: Iterator[Sound]) -> Iterator[Sound]:
    for sound in sounds:
        left = len(sound.samples) - count
        if left > 0:
            yield Sound(sound.samples[count:], sound.sample_rate) if count else sound
        count = max(0, -left)


def _sounds(
    source: InputContainer, stream: AudioStream, container: str, name: str
) -> Iterator[Sound]:
    queue = _Queue(name)
    timeline = None
    missing = False
    base = float(stream.time_base or 0)
    for frame in frames(source, stream):
        if frame is None:
            missing = True
            continue
        if not queue.takes(frame):
            yield from queue.rest()
            queue.start(frame)
            if timeline is not None:
                timeline.change_rate()
        if timeline is None:
            timeline = timeline_of(source, stream, container, frame)
            queue.lead_in = timeline.lead_in
        time = None if frame.pts is None else frame.pts * base
        gap = timeline.silence_before(time, missing=missing)
        missing = False
        if gap:
            yield from queue.rest()
            yield from queue.silence(gap)
        timeline.end += gap + frame.samples / frame.sample_rate
        if queue.put(frame):
            yield from queue.rest()
    yield from queue.rest()


class _Queue:
    """Puts frames together to stretches of a second: one array in place of forty."""

    def __init__(self, name: str) -> None:
        self.lead_in = 0
        """Samples at the start of what is put in that are no sound."""
        self._name = name
        self._kind: tuple[str, int, int] | None = None
        self._fifo: Any = None
        self._most = 0

    def takes(self, frame: AudioFrame) -> bool:
        """True if the frame is of the same kind as those before it.

        FFmpeg's queue does not look at the number of channels, and would read past their end.
        """
        return self._kind == (frame.format.name, frame.layout.nb_channels, frame.sample_rate)

    def start(self, frame: AudioFrame) -> None:
        """Be for frames of this kind from now on."""
        import av

        channels = frame.layout.nb_channels
        check_sound(self._name, channels, frame.sample_rate)
        self._kind = (frame.format.name, channels, frame.sample_rate)
        self._fifo = av.AudioFifo()
        self._most = _at_once(channels, frame.sample_rate)

    def put(self, frame: AudioFrame) -> bool:
        """Take a frame; True when that makes a second."""
        frame.pts = None  # Or the queue compares times itself.
        self._fifo.write(frame)
        return bool(self._fifo.samples >= self._most)

    def rest(self) -> Iterator[Sound]:
        """All that was put in."""
        frame = self._fifo.read() if self._fifo is not None else None
        if frame is None:
            return
        skipped = min(self.lead_in, frame.samples)
        self.lead_in -= skipped
        if skipped < frame.samples:
            yield Sound(_samples_of(frame)[skipped:], frame.sample_rate)

    def silence(self, seconds: float) -> Iterator[Sound]:
        """Zeros of the same kind."""
        import numpy as np

        _, channels, sample_rate = self._kind or ("", 1, 1)
        left = round(seconds * sample_rate)
        while left > 0:
            count = min(left, self._most)
            yield Sound(np.zeros((count, channels), dtype=np.float32), sample_rate)
            left -= count


def _at_once(channels: int, sample_rate: int) -> int:
    """How many samples make a stretch: a second, or fewer if there are very many channels."""
    return max(1, min(sample_rate, _MOST_VALUES // channels))


_PLANES = 8
"""Channels apart from each other that an array can no longer be made of: with so many, PyAV runs
past the last one (`AudioFrame.planes` looks for a null behind it, which is not there)."""
_SCALES = {"u8": 1 << 7, "s16": 1 << 15, "s32": 1 << 31, "s64": 1 << 63}
"""FFmpeg's integer formats, and what full scale is in them; the others are floating-point."""


def _samples_of(frame: AudioFrame) -> Samples:
    """The frame as (samples, channels) in [-1, 1]."""
    import numpy as np

    channels = frame.layout.nb_channels
    if frame.format.is_planar and channels >= _PLANES:
        return np.concatenate([_samples_of(part) for part in _interleaved(frame)])
    planar = frame.format.is_planar
    stored = frame.to_ndarray()
    kind = frame.format.name.removesuffix("p")
    samples = stored.astype(np.float32, copy=False)
    if kind == "u8":
        samples = samples - np.float32(128)
    if kind in _SCALES:
        samples = samples * np.float32(1 / _SCALES[kind])
    return samples.T if planar else samples.reshape(-1, channels)


def _interleaved(frame: AudioFrame) -> list[AudioFrame]:
    import av

    converter = av.AudioResampler("flt", frame.layout, frame.sample_rate)
    return [*converter.resample(frame), *converter.resample(None)]
