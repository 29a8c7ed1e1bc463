"""Make a recording fit a model: as it is if it fits, converted if that makes it fit, else refused.

All of this happens before the first byte of the recording leaves.
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.errors import FileTooLargeError, FileTooLongError, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.encode import Codec, encode, estimated_bytes
from asrcli.media.isolated import Decoders, blocks_isolated
from asrcli.media.shaping import normalized, padded
from asrcli.providers.base import Feature, Model

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Changes", "Prepared", "check_length", "fits", "prepare"]

_RATE = 16_000
_SHORT_SECONDS = 300.0
"""Gain is changed in memory, so only of clips up to this length."""
_FAR_TOO_LARGE = 1 << 62
_PREFIX = 64
"""More than what a data URI begins with."""
_ORDER = (Codec.FLAC, Codec.OPUS, Codec.MP3)
"""What loses nothing first; then what needs the fewest bytes; then what every model takes."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What the user wants done to the sound; any of them means that it is converted."""

    channel: int | None = None
    normalize: bool = False
    mix: bool = False
    """All channels as one, for a service that would else hear the first alone."""

    def __bool__(self) -> bool:
        return self.channel is not None or self.normalize or self.mix


@dataclass(frozen=True, slots=True)
class Prepared:
    """What is sent, and in words what was done to it (empty if nothing was)."""

    audio: AudioFile
    note: str = ""


def check_length(audio: AudioFile, model: Model) -> None:
    """Raise FileTooLongError for more than the model takes in one call."""
    if model.max_seconds is not None and audio.duration > model.max_seconds:
        raise FileTooLongError(audio.name, audio.duration, model.max_seconds, model=model.id)


def fits(audio: AudioFile, model: Model, changes: Changes) -> bool:
    """True if one call can take it, as it is or converted: as far as can be said beforehand."""
    limit = _limit(model)
    if limit is None or not any(_reasons(audio, model, changes)):
        return True
    codecs = [c for c in _ORDER if not model.formats or c.container in model.formats]
    return any(estimated_bytes(codec, audio.duration) <= limit for codec in codecs)


def prepare(
    audio: AudioFile,
    model: Model,
    folder: Callable[[], Path],
    changes: Changes,
    decoders: Decoders | None = None,
) -> Prepared:
    """Give back what can be sent: `audio` itself, or a conversion of it in `folder`.

    It is decoded by one of `decoders`, or by a process of its own. Raises FileTooLongError,
    FileTooLargeError or UnsupportedFormatError where nothing can be.
    """
    check_length(audio, model)
    reasons = list(_reasons(audio, model, changes))
    if not reasons:
        return Prepared(audio)
    converted = _convert(audio, model, folder, changes, decoders)
    note = (
        f"{audio.name}: converted from {audio.container} ({_size(audio.size)}) to "
        f"{converted.container} ({_size(converted.size)}), because {' and '.join(reasons)}"
    )
    return Prepared(converted, note)


def _reasons(audio: AudioFile, model: Model, changes: Changes) -> Iterator[str]:
    limit = _limit(model)
    if model.formats and audio.container not in model.formats:
        yield f"{model.id} does not take {audio.container}"
    if limit is not None and audio.size > limit:
        yield f"its limit is {_size(limit)}"
    if model.min_seconds is not None and audio.duration < model.min_seconds:
        yield f"it has to last {model.min_seconds:g} s"
    if audio.track != 0:
        yield f"track {audio.track} was asked for"
    if changes.channel is not None:
        yield f"channel {changes.channel} was asked for"
    if changes.mix:
        yield f"{model.id} hears one of {audio.channels} channels, and all are wanted"
    if changes.normalize:
        yield "normalizing was asked for"


def _convert(
    audio: AudioFile,
    model: Model,
    folder: Callable[[], Path],
    changes: Changes,
    decoders: Decoders | None,
) -> AudioFile:
    limit = _limit(model)
    codecs = [c for c in _ORDER if not model.formats or c.container in model.formats]
    if not codecs:
        raise UnsupportedFormatError(f"{model.id} takes none of the formats that asrcli writes")
    smallest, best = _FAR_TOO_LARGE, codecs[0]
    for codec in codecs:
        # An estimate that is far too large saves the work of finding out.
        if limit is not None and estimated_bytes(codec, audio.duration) > 4 * limit:
            smallest, best = min((smallest, best), (estimated_bytes(codec, audio.duration), codec))
            continue
        path = folder() / f"{uuid.uuid4().hex}.{codec.container}"
        size = encode(_sound(audio, model, changes, decoders), path, codec, sample_rate=_RATE)
        if limit is None or size <= limit:
            return replace(
                audio,
                path=path,
                container=codec.container,
                mime_type=codec.mime_type,
                codec=str(codec),
                size=size,
                duration=max(audio.duration, model.min_seconds or 0.0),
                channels=1,
                sample_rate=_RATE,
                track=0,
                tracks=1,
                has_video=False,
            )
        smallest, best = min((smallest, best), (size, codec))
        path.unlink()
    raise FileTooLargeError(audio.name, smallest, limit or 0, what=f"bytes even as {best}")


def _sound(
    audio: AudioFile, model: Model, changes: Changes, decoders: Decoders | None
) -> Iterator[NDArray[np.float32] | NDArray[np.int16]]:
    """The samples to send: the chosen track and channel, padded to the model's shortest length."""
    sound: Iterator[NDArray[np.float32]] = blocks_isolated(
        audio.path,
        container=audio.container,
        duration=audio.duration,
        sample_rate=_RATE,
        channel=changes.channel,
        track=audio.track,
        decoders=decoders,
    )
    if changes.normalize:
        if audio.duration > _SHORT_SECONDS:
            raise UnsupportedFormatError(
                f"{audio.name} is too long to be normalized: {audio.duration:,.0f} s",
                hint=f"--normalize is for clips of up to {_SHORT_SECONDS:.0f} s.",
            )
        sound = normalized(sound, sample_rate=_RATE)
    return padded(sound, least=int((model.min_seconds or 0.0) * _RATE))


def _limit(model: Model) -> int | None:
    """Bytes of a file at most; one that is part of the call becomes a third larger in base64."""
    inside = model.max_encoded_bytes
    if inside is None or Feature.UPLOAD in model.features:
        return model.max_bytes
    raw = (inside - _PREFIX) // 4 * 3
    return raw if model.max_bytes is None else min(raw, model.max_bytes)


def _size(count: int) -> str:
    return f"{count / 1e6:,.1f} MB" if count >= 100_000 else f"{count / 1e3:,.1f} kB"
