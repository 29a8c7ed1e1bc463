"""How alike two sounds are, and how far one is behind the other."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["lag", "likeness"]

RATE = 16_000


def lag(sound: Samples, original: Samples) -> float:
    """Seconds by which `original` starts late in `sound` (negative: too early)."""
    size = 1 << (len(sound) + len(original)).bit_length()
    products = np.fft.rfft(sound, size) * np.conj(np.fft.rfft(original, size))
    at = int(np.argmax(np.abs(np.fft.irfft(products, size))))
    return (at - size if at > size // 2 else at) / RATE


def likeness(sound: Samples, original: Samples) -> float:
    """Correlation, 0 to 1, of what they have in common when laid upon each other as they best fit.

    Without regard to sign: a codec may turn it, and nobody hears.
    """
    behind = round(lag(sound, original) * RATE)
    first, second = sound[max(behind, 0) :], original[max(-behind, 0) :]
    count = min(len(first), len(second))
    return abs(float(np.corrcoef(first[:count], second[:count])[0, 1]))
