"""Samples as they come from and go to a live stream: bytes, mono blocks, their level."""

from __future__ import annotations

import math
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["ENCODINGS", "FLOOR", "Level", "even", "level_of", "limited", "mono", "pcm16"]

FLOOR = -120.0
"""dBFS that stand for silence, and for all below."""

ENCODINGS = {"u8": 1, "s16le": 2, "s24le": 3, "s32le": 4, "f32le": 4, "f64le": 8}
"""FFmpeg's names of what `mono` reads, and the bytes of one sample of one channel."""


@dataclass(frozen=True, slots=True)
class Level:
    """How loud a block is, in dBFS: 0 is full scale, FLOOR is silence."""

    rms: float
    peak: float


def level_of(samples: Samples) -> Level:
    """Measure a block; an empty one is silent."""
    import numpy as np

    if not len(samples):
        return Level(FLOOR, FLOOR)
    power = float(np.mean(np.square(samples, dtype=np.float64)))
    return Level(_decibels(math.sqrt(power)), _decibels(float(np.max(np.abs(samples)))))


def _decibels(value: float) -> float:
    return max(FLOOR, 20 * math.log10(value)) if value > 0 else FLOOR


def pcm16(samples: Samples) -> bytes:
    """Give 16-bit PCM, little endian; what was such PCM comes out as it was."""
    import numpy as np

    numbers = np.clip(np.nan_to_num(samples, posinf=1.0, neginf=-1.0), -1, 1)
    pcm: bytes = np.minimum(np.rint(numbers * 32_768), 32_767).astype("<i2").tobytes()
    return pcm


def mono(data: bytes, *, channels: int = 1, encoding: str = "s16le") -> Samples:
    """The mean of interleaved channels, in [-1, 1]; `data` holds whole frames."""
    samples = _decoded(data, encoding)
    if channels == 1:
        return samples
    # Channel by channel: numpy's mean along short rows takes twenty times as long.
    total = samples[::channels].copy()
    for channel in range(1, channels):
        total += samples[channel::channels]
    total /= channels
    return total


def _decoded(data: bytes, encoding: str) -> Samples:
    import numpy as np

    if encoding == "u8":
        return (np.frombuffer(data, "u1").astype(np.float32) - 128) / np.float32(1 << 7)
    if encoding == "s24le":
        wide = np.zeros((len(data) // 3, 4), dtype=np.uint8)
        wide[:, 1:] = np.frombuffer(data, "u1").reshape(-1, 3)
        return wide.view("<i4")[:, 0].astype(np.float32) / np.float32(1 << 31)
    if encoding.startswith("f"):
        stored = np.frombuffer(data, "<f4" if encoding == "f32le" else "<f8")
        sound = np.nan_to_num(stored.astype(np.float32), nan=0.0, posinf=1.0, neginf=-1.0)
        return np.clip(sound, -1.0, 1.0)
    bits = 8 * ENCODINGS[encoding]
    integers = np.frombuffer(data, f"<i{bits // 8}")
    return integers.astype(np.float32) / np.float32(1 << (bits - 1))


def even(pieces: Iterable[Samples], size: int) -> Iterator[Samples]:
    """The same samples in blocks of `size`, as soon as each is full; the last may be shorter."""
    import numpy as np

    waiting: list[Samples] = []
    count = 0
    for piece in pieces:
        waiting.append(piece)
        count += len(piece)
        if count < size:
            continue
        joined = np.clip(np.concatenate(waiting), -1.0, 1.0)
        whole = count - count % size
        for start in range(0, whole, size):
            yield joined[start : start + size]
        waiting = [joined[whole:]]
        count -= whole
    if count:
        yield np.clip(np.concatenate(waiting), -1.0, 1.0)


def limited(
    blocks: Iterable[Samples], *, seconds: float | None, sample_rate: int
) -> Iterator[Samples]:
    """The first `seconds` of a stream, to the sample; all of it if None.

    The stream is not asked for more once that much has come: a live one would make us wait.
    """
    if seconds is None:
        yield from blocks
        return
    left = round(seconds * sample_rate)
    if left <= 0:
        return
    for block in blocks:
        yield block[:left]
        left -= len(block)
        if left <= 0:
            return
