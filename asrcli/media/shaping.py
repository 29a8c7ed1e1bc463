"""Small changes to a stream of samples on its way to an encoder."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["normalized", "padded"]


def padded(blocks: Iterable[NDArray[np.float32]], *, least: int) -> Iterator[NDArray[np.float32]]:
    """The same samples, followed by silence up to `least` of them."""
    import numpy as np

    count = 0
    for block in blocks:
        count += len(block)
        yield block
    if count < least:
        yield np.zeros(least - count, dtype=np.float32)


def normalized(
    blocks: Iterable[NDArray[np.float32]], *, sample_rate: int
) -> Iterator[NDArray[np.float32]]:
    """The same samples with the loudest near full scale; holds all of them in memory."""
    import numpy as np

    from asrcli.media.clips import normalize

    yield normalize(np.concatenate(list(blocks)), sample_rate=sample_rate)
