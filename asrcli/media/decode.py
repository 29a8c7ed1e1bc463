"""Decode any recording to mono samples at one rate, block by block.

Memory stays flat however long the recording is; nothing is read before the first block is asked
for, and closing the iterator closes the file.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.errors import InputError, UsageError
from asrcli.media.packages import require
from asrcli.media.sound import Sound, read_sound

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["CLIP_SECONDS", "blocks", "read_clip", "resampled"]

CLIP_SECONDS = 600.0
"""What `read_clip` holds in memory at most."""


def blocks(
    path: Path,
    *,
    container: str,
    sample_rate: int = 16_000,
    channel: int | None = None,
    track: int = 0,
    block_seconds: float = 1.0,
) -> Generator[Samples, None, None]:
    """Give the sound as mono blocks in [-1, 1], all of one length but for the last.

    Mono is the mean of all channels, or the one with this number, from 0. `container` is what
    `probe` found. Damaged stretches are left out, gaps become silence. Raises UsageError if there
    is no such channel, and the errors of `probe`.
    """
    with closing(read_sound(path, container=container, track=track)) as sounds:
        mono = _mono(sounds, channel, path.name)
        size = max(1, round(block_seconds * sample_rate))
        yield from _even(resampled(mono, sample_rate), size)


def read_clip(
    path: Path,
    *,
    container: str,
    sample_rate: int = 16_000,
    channel: int | None = None,
    track: int = 0,
) -> Samples:
    """Give all of a short recording as `blocks` would; InputError above `CLIP_SECONDS`."""
    import numpy as np

    most = round(CLIP_SECONDS * sample_rate)
    parts = []
    count = 0
    found = blocks(path, container=container, sample_rate=sample_rate, channel=channel, track=track)
    with closing(found):
        for block in found:
            count += len(block)
            if count > most:
                raise InputError(f"{path.name} lasts longer than {CLIP_SECONDS / 60:.0f} minutes")
            parts.append(block)
    return np.concatenate(parts) if parts else np.zeros(0, dtype=np.float32)


def _mono(sounds: Iterable[Sound], channel: int | None, name: str) -> Iterator[Sound]:

    for sound in sounds:
        count = sound.samples.shape[1]
        if channel is not None and not 0 <= channel < count:
            raise UsageError(
                f"{name} has no channel {channel}",
                hint=f"It has {count}, counted from 0." if count > 1 else "It has one, number 0.",
            )
        if channel is not None or count == 1:
            mono = sound.samples[:, channel or 0]
        else:
            mono = _mean(sound.samples)
        yield Sound(_finite(mono), sound.sample_rate)


def _mean(samples: Samples) -> Samples:
    # Column by column: numpy's mean along short rows takes twenty times as long.
    total = samples[:, 0].copy()
    for channel in range(1, samples.shape[1]):
        total += samples[:, channel]
    total /= samples.shape[1]
    return total


def _finite(samples: Samples) -> Samples:
    import numpy as np

    if np.isfinite(samples).all():
        return samples
    return np.nan_to_num(samples, nan=0.0, posinf=1.0, neginf=-1.0)


def resampled(sounds: Iterable[Sound], sample_rate: int) -> Iterator[Samples]:
    """One-dimensional sound at another rate, without aliases or delay, and no sample lost."""
    require("soxr")
    import numpy as np
    import soxr

    stream = None
    rate = sample_rate
    for sound in sounds:
        if sound.sample_rate != rate:
            if stream is not None:
                yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)
            rate = sound.sample_rate
            stream = None
            if rate != sample_rate:
                stream = soxr.ResampleStream(rate, sample_rate, 1, dtype="float32", quality="HQ")
        yield sound.samples if stream is None else stream.resample_chunk(sound.samples)
    if stream is not None:
        yield stream.resample_chunk(np.zeros(0, dtype=np.float32), last=True)


def _even(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    import numpy as np

    waiting: list[Samples] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = np.concatenate(waiting)
        whole = count - count % size
        for start in range(0, whole, size):
            yield np.clip(joined[start : start + size], -1.0, 1.0)
        waiting = [joined[whole:]]
        count -= whole
    if count:
        yield np.clip(np.concatenate(waiting), -1.0, 1.0)
