"""Small changes to a stream of samples on its way to an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32] | NDArray[np.int16]

__all__ = ["normalized", "padded"]


def padded(blocks: Iterable[Samples], *, least: int) -> Iterator[Samples]:
    """The same samples, float32 or int16, followed by silence up to `least` of them."""
    import numpy as np

    count, is_integer = 0, False
    for block in blocks:
        count, is_integer = count + len(block), block.dtype == np.int16
        yield block
    if count < least:
        silence = np.zeros(least - count, dtype=np.int16)
        yield silence if is_integer else silence.astype(np.float32)


def normalized(
    blocks: Iterable[NDArray[np.float32]], *, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """The same samples with the loudest near full scale; holds all of them in memory."""
    import numpy as np

    from asrcli.media.clips import normalize

    yield normalize(np.concatenate(list(blocks)), sample_rate=sample_rate)
