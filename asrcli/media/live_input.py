"""Sound from a pipe, as it comes: raw 16-bit PCM or a WAV stream, at the speed of speech.

    arecord -f S16_LE -r 16000 | asrcli stream-mic --input -
    ffmpeg -i rtsp://… -f wav - | asrcli stream-mic --input -

Nothing that is not yet due is read from the pipe, beyond a few seconds: whoever writes waits.
"""

from __future__ import annotations

import contextlib
import os
import select
import threading
import time
from collections.abc import Callable, Iterator
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

from asrcli.errors import (
    AsrError,
    EmptyFileError,
    FileUnreadableError,
    UnsupportedFormatError,
    UsageError,
)
from asrcli.media.pace import CATCHING_UP, Pace
from asrcli.media.pcm import ENCODINGS, FLOOR, Level, even, level_of, mono
from asrcli.media.wav_header import WavHeader, read_wav_header

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    from asrcli.media.sound import Sound

    Samples = NDArray[np.float32]

__all__ = ["LiveInput"]

_AT_ONCE = 8_192
"""Bytes that are read at once,"""
_WAITING = 40
"""and how many such reads may wait: ten seconds of 16 kHz mono."""
_TICK = 0.2
_HINT = "Convert it on the way: `ffmpeg -i … -f wav - | asrcli stream-mic --input -`."
_OTHERS = {
    b"OggS": "Ogg",
    b"fLaC": "FLAC",
    b"ID3": "MP3",
    b"FORM": "AIFF",
    b".snd": "AU",
    b"caff": "CAF",
    b"RIFX": "big-endian WAV",
    b"#!AMR": "AMR",
    b"FLV\x01": "FLV",
    b"riff\x2e\x91": "Wave64",
    b"\x1a\x45\xdf\xa3": "Matroska or WebM",
    b"\x30\x26\xb2\x75": "WMA",
}
"""First bytes that are no samples: those of formats with signs too short to tell are missing."""


class LiveInput:
    """A pipe that is listened to, in mono at the rate asked for.

    `rate` (Hz) and `channels` are those of raw PCM, 16,000 and 1 if None; a WAV stream says its
    own. `odd_bytes` counts what was left of a sample at the end. `stop` may be called by other
    threads and by a signal handler.
    """

    def __init__(
        self,
        descriptor: int,
        *,
        name: str = "standard input",
        rate: int | None = None,
        channels: int | None = None,
        sample_rate: int = 16_000,
        block_seconds: float = 0.1,
        fastest: float = CATCHING_UP,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.name = name
        self.sample_rate = sample_rate
        self.native_rate = rate or 16_000
        """Hz of what comes; of a WAV stream known when the first block is there."""
        self.channels = channels or 1
        self.odd_bytes = 0
        self.level = Level(FLOOR, FLOOR)
        """Of the block that was handed out last."""
        self._asked = (rate, channels)
        self._block_seconds = block_seconds
        self._pace = Pace(fastest=fastest, clock=clock, sleep=sleep)
        self._pipe = _Pipe(descriptor)
        self._stopping = False

    def blocks(self) -> Iterator[Samples]:
        """Float32 blocks in [-1, 1] of `block_seconds`, each when it is due; ends with the pipe.

        Raises UsageError for a terminal, and for a rate or channels other than the WAV stream's;
        EmptyFileError; UnsupportedFormatError and NotAudioError for what is not to be heard; and
        FileUnreadableError where reading fails, after what was heard before.
        """
        from asrcli.media.decode import resampled

        self._pipe.start(self.name)
        size = max(1, round(self._block_seconds * self.sample_rate))
        try:
            for block in even(resampled(self._sounds(), self.sample_rate), size):
                self._pace.wait(len(block) / self.sample_rate)
                if self._stopping:
                    return
                self.level = level_of(block)
                yield block
            self._pipe.check(self.name)
        finally:
            self._pipe.stop()

    def stop(self) -> None:
        """End `blocks` with the one that is being handed out."""
        self._stopping = True
        self._pipe.stop()

    def _sounds(self) -> Iterator[Sound]:
        from asrcli.media.sound import Sound

        header = self._header()
        self.native_rate = header.sample_rate
        self.channels = header.channels
        frame = header.channels * ENCODINGS[header.encoding]
        count = max(1, round(self._block_seconds * header.sample_rate)) * frame
        left = header.size
        while left is None or left > 0:
            data = self._pipe.read(count if left is None else min(count, left))
            whole = len(data) - len(data) % frame
            if whole:
                samples = mono(data[:whole], channels=header.channels, encoding=header.encoding)
                yield Sound(samples, header.sample_rate)
            if len(data) < count:
                self.odd_bytes = len(data) - whole
                return
            left = None if left is None else left - len(data)

    def _header(self) -> WavHeader:
        head = self._pipe.peek(12)
        if not head and not self._stopping:
            self._pipe.check(self.name)
            raise EmptyFileError(self.name)
        if head[:4] in {b"RIFF", b"RF64"} and head[8:] == b"WAVE":
            return self._agreed(read_wav_header(self._pipe.read, self.name, hint=_HINT))
        other = next((kind for sign, kind in _OTHERS.items() if head.startswith(sign)), None)
        if head[4:8] == b"ftyp":
            other = "MP4"
        if other is not None:
            raise UnsupportedFormatError(
                f"{self.name} is {other}; only raw PCM and WAV can be heard live", hint=_HINT
            )
        return WavHeader(self.native_rate, self.channels, "s16le", None)

    def _agreed(self, header: WavHeader) -> WavHeader:
        for option, asked, there in (
            ("--rate", self._asked[0], header.sample_rate),
            ("--channels", self._asked[1], header.channels),
        ):
            if asked is not None and asked != there:
                raise UsageError(
                    f"{option} {asked} contradicts {self.name}: a WAV stream with {there}",
                    hint=f"Leave {option} away: the stream says so itself.",
                )
        return header


class _Pipe:
    """Reads ahead on a thread, so that waiting for the pipe can be interrupted on any system."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        # Its `put` may interrupt itself, so a signal handler may call it; a Queue's may not.
        self._queue: SimpleQueue[bytes | None] = SimpleQueue()
        self._room = threading.Semaphore(_WAITING)
        self._waiting = b""
        self._ended = False
        self._failure: OSError | None = None

    def start(self, name: str) -> None:
        """Begin to read."""
        with contextlib.suppress(OSError):
            if os.isatty(self._descriptor):
                raise UsageError(
                    f"{name} is a terminal, not sound",
                    hint="Leave --input away for the microphone.",
                )
        threading.Thread(target=self._read_ahead, name="live-input", daemon=True).start()

    def stop(self) -> None:
        """Let the reader see the end now."""
        self._ended = True
        self._queue.put(None)

    def peek(self, size: int) -> bytes:
        """The next bytes, which stay; fewer at the end."""
        while len(self._waiting) < size and not self._ended:
            self._fill()
        return self._waiting[:size]

    def read(self, size: int) -> bytes:
        """The next bytes; fewer at the end."""
        data = self.peek(size)
        self._waiting = self._waiting[len(data) :]
        return data

    def check(self, name: str) -> None:
        """Raise FileUnreadableError if the pipe ended because reading failed."""
        if self._failure is not None:
            reason = self._failure.strerror or str(self._failure)
            error: AsrError = FileUnreadableError(f"{name} cannot be read: {reason}")
            raise error from self._failure

    def _fill(self) -> None:
        with contextlib.suppress(Empty):
            data = self._queue.get(timeout=_TICK)
            self._room.release()
            if data is None:
                self._ended = True
            else:
                self._waiting += data

    def _read_ahead(self) -> None:
        # Not through sys.stdin: a thread that waits in it keeps the program from ending.
        while not self._ended:
            if not self._room.acquire(timeout=_TICK):
                continue
            try:
                data = os.read(self._descriptor, _AT_ONCE)
            except BlockingIOError:  # Somebody else's flag; it belongs to the pipe, not to us.
                select.select([self._descriptor], [], [], _TICK)
                self._room.release()
                continue
            except OSError as error:
                self._failure = error
                data = b""
            self._queue.put(data or None)
            if not data:
                return
