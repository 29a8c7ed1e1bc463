"""What was said and not yet answered for: kept to be sent again after a lost connection.

A minute stays in memory; what is older goes to a file without a name, which vanishes with the
program; beyond an hour the oldest is given up, and counted.
"""

from __future__ import annotations

import tempfile
import threading
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Self

from asrcli.media.pcm import mono, pcm16

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Backlog", "Stretch"]

_SAMPLE = 2


@dataclass(frozen=True, slots=True, eq=False)
class Stretch:
    """Samples, and when they were heard."""

    start: float
    """Seconds since the first sample ever appended."""
    samples: Samples
    """float32, mono; as 16 bits hold them."""


class Backlog:
    """Samples in the order in which they were heard; any thread may use it, no signal handler.

    All times are seconds since the first sample that was appended, and exact to the sample.
    """

    def __init__(
        self,
        *,
        sample_rate: int = 16_000,
        memory_seconds: float = 60.0,
        most_seconds: float = 3600.0,
        folder: Path | None = None,
    ) -> None:
        """`folder` is where the file lies, the system's folder for such files if None."""
        self.sample_rate = sample_rate
        self.failure: OSError | None = None
        """Why nothing can be kept on disk, if so: only what fits into memory is kept then."""
        self._in_memory = round(memory_seconds * sample_rate)
        self._most = max(self._in_memory, round(most_seconds * sample_rate))
        self._folder = folder
        self._lock = threading.Lock()
        self._blocks: deque[bytes] = deque()
        self._first = 0
        self._spilled = 0
        """From `_first` to here in the file, from here to `_stop` in memory."""
        self._stop = 0
        self._dropped = 0
        self._file: IO[bytes] | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    @property
    def start(self) -> float:
        """Where the oldest sample that is kept begins."""
        return self._first / self.sample_rate

    @property
    def end(self) -> float:
        """Where the newest sample ends: how much was appended since the beginning."""
        return self._stop / self.sample_rate

    @property
    def seconds(self) -> float:
        """How much is kept."""
        with self._lock:
            return (self._stop - self._first) / self.sample_rate

    @property
    def dropped(self) -> float:
        """Seconds that were given up before they were answered for."""
        return self._dropped / self.sample_rate

    def append(self, samples: Samples) -> None:
        """Keep a block that was just heard."""
        if not len(samples):
            return
        data = pcm16(samples)
        with self._lock:
            self._blocks.append(data)
            self._stop += len(samples)
            while self._stop - self._spilled > self._in_memory and len(self._blocks) > 1:
                self._spill(self._blocks.popleft())
            if self._stop - self._first > self._most:
                self._drop(self._stop - self._most)

    def discard_before(self, seconds: float) -> None:
        """Forget what was heard before: it has been answered for."""
        with self._lock:
            self._forget(min(self._stop, round(seconds * self.sample_rate)))

    def since(self, seconds: float, *, block_seconds: float = 0.1) -> Iterator[Stretch]:
        """What was heard from then on, block by block, up to what has come when it gets there.

        Begins with the oldest that is kept if that is younger. Other threads may append and
        discard meanwhile; what is gone before its turn is left out, as `start` of the next shows.
        """
        size = max(1, round(block_seconds * self.sample_rate))
        at = round(seconds * self.sample_rate)
        while True:
            with self._lock:
                at = max(at, self._first)
                try:
                    data = self._read(at, min(size, self._stop - at))
                except OSError as error:
                    self.failure = error
                    self._drop(self._spilled)
                    continue
            if not data:
                return
            yield Stretch(at / self.sample_rate, mono(data))
            at += len(data) // _SAMPLE

    def close(self) -> None:
        """Forget everything."""
        with self._lock:
            self._forget(self._stop)
            file, self._file = self._file, None
        if file is not None:
            file.close()

    # --- with the lock held ----------------------------------------------------------------------

    def _forget(self, first: int) -> None:
        if first <= self._first:
            return
        self._first = first
        while self._blocks and self._spilled + len(self._blocks[0]) // _SAMPLE <= first:
            self._spilled += len(self._blocks.popleft()) // _SAMPLE
        if self._first >= self._spilled and self._file is not None:
            self._file.truncate(0)  # Gives the room back to the disk.

    def _drop(self, first: int) -> None:
        """Give up what is older; `discard_before` may have been there already."""
        self._dropped += max(0, first - self._first)
        self._forget(first)

    def _spill(self, data: bytes) -> None:
        """Move the oldest block in memory to the file, unless it is no longer wanted."""
        after = self._spilled + len(data) // _SAMPLE
        if self.failure is None:
            try:
                self._write(self._spilled, data)
            except OSError as error:
                self.failure = error
        self._spilled = after
        if self.failure is not None:
            self._drop(after)

    def _write(self, at: int, data: bytes) -> None:
        if self._file is None:
            # For this user alone, and without a name where the system knows such files.
            self._file = tempfile.TemporaryFile(  # noqa: SIM115
                buffering=0, prefix="asrcli-", dir=self._folder
            )
        for place, part in self._places(at, data):
            self._file.seek(place)
            left = memoryview(part)
            while left:
                left = left[self._file.write(left) :]

    def _places(self, at: int, data: bytes) -> Iterator[tuple[int, bytes]]:
        """Where in the file a block lies: it is a ring, so perhaps at its end and its start."""
        ring = _SAMPLE * (self._most + self.sample_rate)
        while data:
            place = _SAMPLE * at % ring
            part = data[: ring - place]
            yield place, part
            data = data[len(part) :]
            at += len(part) // _SAMPLE

    def _read(self, at: int, count: int) -> bytes:
        if count <= 0:
            return b""
        if at < self._spilled:
            return self._from_file(at, min(count, self._spilled - at))
        first = self._spilled
        parts = []
        for block in self._blocks:
            stop = first + len(block) // _SAMPLE
            if stop > at:
                parts.append(block[_SAMPLE * max(0, at - first) : _SAMPLE * (at + count - first)])
            first = stop
            if first >= at + count:
                break
        return b"".join(parts)

    def _from_file(self, at: int, count: int) -> bytes:
        assert self._file is not None
        parts = []
        for place, part in self._places(at, bytes(_SAMPLE * count)):
            self._file.seek(place)
            parts.append(self._file.read(len(part)))
        return b"".join(parts)
