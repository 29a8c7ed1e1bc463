"""Short clips in memory, with pydub: channels, gain, silence at the ends, a system's ffmpeg.

pydub holds everything at once and changes rates without a filter, so it gets clips of at most
`LONGEST` seconds and never changes a rate. Longer recordings are streamed by `decode`.
"""

from __future__ import annotations

import warnings
from contextlib import closing
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

from asrcli.errors import MissingHelperError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.ffmpeg import run_ffmpeg
from asrcli.media.files import open_regular
from asrcli.media.formats import FORMATS, read_head
from asrcli.media.sound import read_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["LONGEST", "decode_with_ffmpeg", "normalize", "split_channels", "trim_silence"]

LONGEST = 300.0
"""Seconds."""

_HEADROOM = 1.0
_SILENT_PEAK = 0.001
"""-60 dB of full scale: a clip whose loudest sample is softer would only have its noise raised."""
_FULL_SCALE = 1 << 31


def split_channels(audio: AudioFile, *, sample_rate: int = 16_000) -> list[Samples]:
    """The channels of a short recording, each by itself at this rate, all of one length.

    Raises UnsupportedFormatError above `LONGEST`, and the errors of `probe`.
    """
    import numpy as np
    import soxr

    if audio.duration > LONGEST:
        raise UnsupportedFormatError(
            f"{audio.name} is too long to be split in memory: {audio.duration:,.0f} s",
            hint=f"Up to {LONGEST:.0f} s can be; of a longer one, take a channel at a time.",
        )
    with closing(read_sound(audio.path, container=audio.container, track=audio.track)) as sounds:
        parts = list(sounds)
    rate, count = parts[0].sample_rate, parts[0].samples.shape[1]
    if any((p.sample_rate, p.samples.shape[1]) != (rate, count) for p in parts):
        raise UnsupportedFormatError(f"{audio.name} changes its channels or rate on the way")
    clip = _segment(np.concatenate([part.samples for part in parts]), rate)
    channels = [_samples(channel) for channel in clip.split_to_mono()]
    return [soxr.resample(channel, rate, sample_rate, quality="HQ") for channel in channels]


def normalize(samples: Samples, *, sample_rate: int) -> Samples:
    """The clip with its loudest sample 1 dB below full scale; as it was if it is all but silent."""
    import numpy as np

    _check_length(len(samples), sample_rate)
    if not len(samples) or float(np.abs(samples).max()) < _SILENT_PEAK:
        return samples
    return _samples(_pydub().effects.normalize(_segment(samples, sample_rate), headroom=_HEADROOM))


def trim_silence(
    samples: Samples, *, sample_rate: int, threshold: float = -50.0, keep: float = 0.1
) -> tuple[Samples, float]:
    """The clip without silence at its ends, and how many seconds were cut off its start.

    Silence is 10 ms whose mean is below `threshold` dBFS; `keep` seconds of it stay on each side.
    Of a silent clip nothing is left.
    """
    _check_length(len(samples), sample_rate)
    clip = _segment(samples, sample_rate)
    find = _pydub().silence.detect_leading_silence
    before = find(clip, silence_threshold=threshold) / 1000
    if round(before * sample_rate) >= len(samples) - sample_rate // 1000:
        return samples[:0], 0.0
    after = find(clip.reverse(), silence_threshold=threshold) / 1000
    start = round(max(before - keep, 0.0) * sample_rate)
    end = len(samples) - round(max(after - keep, 0.0) * sample_rate)
    return samples[start:end], start / sample_rate


def decode_with_ffmpeg(
    path: Path,
    *,
    container: str,
    sample_rate: int = 16_000,
    track: int = 0,
    program: Path | None = None,
) -> Samples:
    """Decode a clip that PyAV cannot, with the system's ffmpeg (or `program`): mono in [-1, 1].

    Raises MissingHelperError without ffmpeg, NotAudioError if it cannot either, and
    UnsupportedFormatError above `LONGEST`.
    """
    with open_regular(path, path.name) as file:
        demuxer = FORMATS[container].demuxer(read_head(file))
        wav = run_ffmpeg(
            file,
            path.name,
            demuxer,
            track=track,
            sample_rate=sample_rate,
            seconds=LONGEST + 1,
            program=program,
        )
    pydub = _pydub()
    data = bytearray(wav)
    pydub.audio_segment.fix_wav_headers(data)
    clip = pydub.AudioSegment(data=bytes(data))
    if clip.duration_seconds > LONGEST:
        raise UnsupportedFormatError(f"{path.name} is too long for ffmpeg to decode in memory")
    return _samples(clip.set_sample_width(4).set_channels(1))


def _check_length(count: int, sample_rate: int) -> None:
    if count > LONGEST * sample_rate:
        raise ValueError(f"a clip of {count / sample_rate:,.0f} s; {LONGEST:.0f} s is the most")


def _segment(samples: Samples, sample_rate: int) -> Any:
    """A pydub.AudioSegment of (samples,) or (samples, channels), in 32 bits to lose nothing."""
    import numpy as np

    scaled = np.rint(samples.astype(np.float64) * _FULL_SCALE)
    integers = np.clip(scaled, -_FULL_SCALE, _FULL_SCALE - 1).astype(np.int32)
    return _pydub().AudioSegment(
        data=integers.tobytes(),
        sample_width=4,
        frame_rate=sample_rate,
        channels=samples.shape[1] if samples.ndim == 2 else 1,
    )


def _samples(segment: Any) -> Samples:
    import numpy as np

    integers = np.frombuffer(segment.raw_data, dtype=np.int32)
    return (integers / np.float64(_FULL_SCALE)).astype(np.float32)


@cache
def _pydub() -> Any:
    """pydub; it warns when it is imported, of old syntax, `audioop` and a missing ffmpeg."""
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", category=SyntaxWarning)
        warnings.filterwarnings("ignore", "'audioop' is deprecated", DeprecationWarning)
        warnings.filterwarnings("ignore", "invalid escape sequence", DeprecationWarning)
        warnings.filterwarnings("ignore", "Couldn't find ffmpeg", RuntimeWarning)
        try:
            import pydub
            import pydub.effects
            import pydub.silence
        except ImportError as error:  # from Python 3.13 on it needs audioop-lts beside it
            raise MissingHelperError(
                "changing clips in memory needs pydub, which cannot be loaded here",
                hint="`pip install pydub`, and `audioop-lts` with Python 3.13 and later.",
            ) from error
    return pydub
