"""What live recognition listens to, a microphone or a pipe, and a WAV file of what was heard."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Protocol

from asrcli.errors import OutputError
from asrcli.media.backlog import Backlog
from asrcli.media.devices import Device, choose, devices
from asrcli.media.live_input import LiveInput
from asrcli.media.microphone import Microphone
from asrcli.media.pcm import Level, limited
from asrcli.media.recorder import Recorder

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Backlog", "Listening", "Source", "Tap", "devices", "open_source"]

_STDIN = 0
_MUTE = 3.0
"""Seconds of nothing but zeros after which a microphone is taken for muted."""


class Source(Protocol):
    """Something that is listened to."""

    @property
    def level(self) -> Level:
        """Of the block that was handed out last."""
        ...

    def blocks(self) -> Iterator[Samples]:
        """Float32 blocks in [-1, 1], as they come; raises an AsrError."""
        ...

    def stop(self) -> None:
        """End `blocks`; by any thread or signal handler."""
        ...


@dataclass(frozen=True, slots=True)
class Listening:
    """What to listen to."""

    piped: bool = False
    """Standard input, not a microphone."""
    device: str | None = None
    """Number, name or part of the name of a microphone."""
    rate: int | None = None
    """Hz of raw PCM on standard input,"""
    channels: int | None = None
    """and its channels; a WAV stream says its own."""

    def device_named(self) -> Device | None:
        """The microphone that is meant; None for a pipe.

        Raises MicrophoneError, UsageError, and MissingHelperError without PortAudio.
        """
        return None if self.piped else choose(devices(), self.device)


@contextmanager
def open_source(
    asked: Listening, device: Device | None, *, sample_rate: int
) -> Iterator[LiveInput | Microphone]:
    """Open the pipe or the microphone; raises MicrophoneError if it is busy or gone."""
    if device is None:
        yield LiveInput(_STDIN, rate=asked.rate, channels=asked.channels, sample_rate=sample_rate)
        return
    with Microphone(device, sample_rate=sample_rate) as microphone:
        yield microphone


class Tap:
    """Passes blocks on from a source, measures and records them.

    `on_level` gets dBFS and the seconds so far, `warn` what the listener should know; both are
    called on the thread that takes the blocks.
    """

    def __init__(
        self,
        source: Source,
        *,
        sample_rate: int,
        seconds: float | None = None,
        on_level: Callable[[float, float], None] = lambda _level, _seconds: None,
        warn: Callable[[str], None] = lambda _: None,
    ) -> None:
        """`seconds` is how much is passed on at most."""
        self.failure: OutputError | None = None
        """Why the recording is not complete."""
        self._source = source
        self._rate = sample_rate
        self._seconds = seconds
        self._on_level = on_level
        self._warn = warn
        self._recorder: Recorder | None = None
        self._heard = 0
        self._mute_told = False

    @contextmanager
    def recording(self, path: Path | None, *, overwrite: bool) -> Iterator[None]:
        """Record what passes; None records nothing. Raises OutputError if it cannot begin."""
        if path is None:
            yield
            return
        recorder = self._recorder = Recorder(path, sample_rate=self._rate, overwrite=overwrite)
        try:
            yield
        finally:
            self._close(recorder)

    def blocks(self) -> Iterator[Samples]:
        """What the source gives."""
        blocks = self._source.blocks()
        for block in limited(blocks, seconds=self._seconds, sample_rate=self._rate):
            self._record(block)
            self._heard += len(block)
            self._on_level(self._source.level.rms, self._heard / self._rate)
            self._look_for_sound()
            yield block

    def lost(self) -> Sequence[str]:
        """What of the sound did not come through, in words."""
        source = self._source
        if isinstance(source, LiveInput) and source.odd_bytes:
            return ["the sound ended in the middle of a sample, which was left out"]
        if not isinstance(source, Microphone):
            return []
        found = []
        if source.lost:
            found.append(f"{source.lost:.1f} s of sound were lost: this computer was too busy")
        if source.overflows:
            found.append(f"the system lost sound {source.overflows} times")
        return found

    def _close(self, recorder: Recorder) -> None:
        try:
            recorder.close()
        except OutputError as error:
            self._fail(error, "what was recorded may lack its end")
        if not recorder.seconds:
            with contextlib.suppress(OSError):
                recorder.path.unlink()

    def _fail(self, error: OutputError, but: str) -> None:
        self.failure = error
        self._warn(f"{error}; {but}")

    def _record(self, block: Samples) -> None:
        if self._recorder is None or self.failure is not None:
            return
        try:
            self._recorder.write(block)
        except OutputError as error:
            # What is heard now will not come again: hearing goes on.
            self._fail(error, "listening goes on")

    def _look_for_sound(self) -> None:
        source = self._source
        if self._mute_told or not isinstance(source, Microphone) or not source.only_zeros:
            return
        if self._heard >= _MUTE * self._rate:
            self._mute_told = True
            self._warn(
                f"nothing but silence comes from {source.device.name}: is it muted, or is this "
                "terminal not allowed to use it?"
            )
