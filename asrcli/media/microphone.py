"""The sound of a microphone, as it comes, through PortAudio.

PortAudio calls back on a thread of its own, with a block at a time; the blocks wait in a queue
for whoever reads them. A reader that is too slow loses the oldest, which is counted.
"""

from __future__ import annotations

import atexit
import contextlib
import math
import os
import sys
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from queue import Empty, SimpleQueue
from types import TracebackType
from typing import TYPE_CHECKING, Any, Self

from asrcli.errors import MicrophoneError
from asrcli.media.devices import Device, devices, listing, load_portaudio
from asrcli.media.pcm import FLOOR, Level, even, level_of, mono

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asrcli.media.sound import Sound

    Samples = NDArray[np.float32]

__all__ = ["Microphone"]

_TICK = 0.2
"""Seconds between two looks at the clock while nothing comes."""
_LONGEST_TAIL = 0.5
"""Seconds that are recorded after `stop` at most: what was said, but is still on its way."""
_CLOSING = 2.0
"""Seconds that a driver which no longer answers is waited for."""
_TRY_ANOTHER = {-9997, -9998, -9999}
"""PortAudio's paInvalidSampleRate, paInvalidChannelCount, paUnanticipatedHostError: another rate
or number of channels may do. http://files.portaudio.com/docs/v19-doxydocs/portaudio_8h.html"""


class Microphone:
    """A device that is recorded from, in mono at the rate asked for.

    `overflows` counts how often the system lost sound before it came to us, `lost` the seconds
    that we dropped because nobody read them within `kept_seconds`. Only `stop` and the counters
    may be used by other threads; `stop` also by a signal handler.
    """

    def __init__(
        self,
        device: Device,
        *,
        sample_rate: int = 16_000,
        block_seconds: float = 0.1,
        kept_seconds: float = 10.0,
        watchdog: float = 5.0,
        clock: Callable[[], float] = time.monotonic,
        portaudio: Any = None,
    ) -> None:
        self.device = device
        self.sample_rate = sample_rate
        self.native_rate = sample_rate
        """Hz at which the device is recorded from; known when it is open."""
        self.channels = 1
        """How many are recorded, and mixed; known when it is open."""
        self.overflows = 0
        self.lost = 0.0
        self.level = Level(FLOOR, FLOOR)
        """Of the block that was handed out last."""
        self.only_zeros = True
        """True while nothing but digital silence came: muted, or not allowed by the system."""
        self._block_seconds = block_seconds
        self._kept_seconds = kept_seconds
        self._watchdog = watchdog
        self._clock = clock
        self._library = portaudio or load_portaudio()
        self._stream: Any = None
        # Its `put` may interrupt itself, so a signal handler may call it; a Queue's may not.
        self._queue: SimpleQueue[bytes] = SimpleQueue()
        self._most_blocks = max(1, round(kept_seconds / block_seconds))
        self._came = 0
        self._came_before_stop = 0
        self._dropped = 0
        self._stopping = False
        self._finished = False
        self._hung = False

    def __enter__(self) -> Self:
        if self._stream is None:
            self.open()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def open(self) -> None:
        """Begin to record; raises MicrophoneError if the device is busy, gone or not allowed."""
        failure: Exception | None = None
        for rate, channels in self._ways():
            try:
                with _quiet():
                    self._start(rate, channels)
            except self._library.PortAudioError as error:
                failure = error
                if error.args[1:2] and error.args[1] not in _TRY_ANOTHER:
                    break
            else:
                return
        raise MicrophoneError(
            f"{self.device.name} cannot be recorded from: {_words(failure)}", hint=self._others()
        ) from failure

    def blocks(self) -> Iterator[Samples]:
        """Float32 blocks in [-1, 1] of `block_seconds`, as they come; ends after `stop`.

        The last one may be shorter. Raises MicrophoneError when the device goes away, or sends
        nothing for `watchdog` seconds; all that was heard before has been handed out then.
        """
        from asrcli.media.decode import resampled

        size = max(1, round(self._block_seconds * self.sample_rate))
        for block in even(resampled(self._sounds(), self.sample_rate), size):
            self.level = level_of(block)
            yield block
        if self._hung and not self._stopping:
            raise MicrophoneError(
                f"{self.device.name} has sent nothing for {self._watchdog:g} s",
                hint="Is it unplugged, or in use by another program?",
            )
        if not self._stopping:
            raise MicrophoneError(
                f"{self.device.name} is gone",
                hint="Plug it in again, or choose another: --list-devices.",
            )

    def stop(self) -> None:
        """End `blocks` after what has been said so far; safe in threads and signal handlers."""
        if not self._stopping:
            self._came_before_stop = self._came
            self._stopping = True
        self._queue.put(b"")

    def close(self) -> None:
        """Let go of the device; `blocks` ends. May be called twice."""
        self.stop()
        stream, self._stream = self._stream, None
        if stream is None:
            return
        if not self._hung:
            self._release(stream)
            return
        # A driver that sends nothing may also never return from here.
        thread = threading.Thread(target=self._release, args=(stream,), daemon=True)
        thread.start()
        thread.join(_CLOSING)
        if thread.is_alive():
            # Nor would it let the program end: sounddevice closes all streams at exit.
            handler = getattr(self._library, "_exit_handler", None)
            if handler is not None:
                atexit.unregister(handler)

    # --- opening and closing --------------------------------------------------------------------

    def _ways(self) -> Iterator[tuple[int, int]]:
        """Rates and numbers of channels to try, the best first.

        Two channels are mixed here, for some drivers would give the left one alone. Of more, the
        first is taken: the others may hold what the computer plays, or not be there at all.
        """
        usual = 2 if self.device.channels == 2 else 1
        rates = dict.fromkeys((self.sample_rate, self.device.sample_rate))
        for channels in dict.fromkeys((usual, self.device.channels, 1)):
            for rate in rates:
                yield rate, channels

    def _start(self, rate: int, channels: int) -> None:
        stream = self._library.RawInputStream(
            device=self.device.number,
            samplerate=rate,
            channels=channels,
            dtype="int16",
            blocksize=max(1, round(self._block_seconds * rate)),
            callback=self._take,
            finished_callback=self._end,
        )
        self.native_rate = rate
        self.channels = channels
        try:
            stream.start()
        except BaseException:
            self._release(stream)
            raise
        self._finished = False
        self._stream = stream

    def _release(self, stream: Any) -> None:
        with contextlib.suppress(self._library.PortAudioError):
            stream.abort()
        with contextlib.suppress(self._library.PortAudioError):
            stream.close()

    def _others(self) -> str | None:
        with contextlib.suppress(MicrophoneError):
            return listing(devices(portaudio=self._library))
        return None

    # --- on the thread of PortAudio -----------------------------------------------------------

    def _take(self, data: Any, frames: int, _time: Any, status: Any) -> None:
        if status.input_overflow:
            self.overflows += 1
        if self._queue.qsize() >= self._most_blocks:
            self._drop()
        self._queue.put(bytes(data))
        self._came += frames

    def _drop(self) -> None:
        with contextlib.suppress(Empty):
            frames = len(self._queue.get_nowait()) // (2 * self.channels)
            self._dropped += frames
            self.lost = self._dropped / self.native_rate

    def _end(self) -> None:
        self._finished = True
        self._queue.put(b"")

    # --- on the thread of the reader ------------------------------------------------------------

    def _sounds(self) -> Iterator[Sound]:
        """What comes, until it ends for one of the reasons that `blocks` tells apart."""
        from asrcli.media.sound import Sound

        taken = 0
        last: int | None = None
        while last is None or taken + self._dropped < last:
            data = self._next()
            if data is None:
                return
            if self._stopping and last is None:
                last = self._came_before_stop + self._tail()
            if data:
                self.only_zeros = self.only_zeros and data.count(0) == len(data)
                taken += len(data) // (2 * self.channels)
                yield Sound(mono(data, channels=self.channels), self.native_rate)

    def _tail(self) -> int:
        """Frames that were heard before now but come later."""
        stream = self._stream
        if stream is None or not stream.active:
            return 0
        delay = min(float(stream.latency) + self._block_seconds, _LONGEST_TAIL)
        return math.ceil(delay * self.native_rate)

    def _next(self) -> bytes | None:
        """The next block, nothing if there is news, or None if there will be no more."""
        since = self._clock()
        while not (self._finished and self._queue.empty()):
            try:
                return self._queue.get(timeout=_TICK)
            except Empty:
                patience = _LONGEST_TAIL if self._stopping else self._watchdog
                if self._clock() - since >= patience:
                    self._hung = True
                    return None
        return None


def _words(error: Exception | None) -> str:
    """What PortAudio says, without its number and what it was about."""
    said, _, host = (*getattr(error, "args", ()), None, None, None)[:3]
    if host:  # The host API's number, its error's number, and what it says.
        return f"{host[2] or said}"
    return str(said).rpartition(": ")[2]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Keep what ALSA and PortAudio print about a device off standard error: errors are ours."""
    if not sys.platform.startswith("linux"):
        yield
        return
    try:
        kept = os.dup(2)
    except OSError:  # It is closed.
        yield
        return
    try:
        with Path(os.devnull).open("wb") as nowhere:
            os.dup2(nowhere.fileno(), 2)
        yield
    finally:
        os.dup2(kept, 2)
        os.close(kept)
