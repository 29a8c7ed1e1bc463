"""Decode recordings in other processes: a file that makes a decoder crash or hang costs one child.

What comes back is what `asrcli.media.decode.blocks` and `asrcli.media.probe.probe` give, sample by
sample, and their errors. A child that waits for us to take its samples is in no hurry; one that
lets us wait too long, or breaks in any other way, is killed, and the recording is refused.
"""

from __future__ import annotations

import json
import sys
import threading
import time
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager, nullcontext, suppress
from pathlib import Path
from typing import TYPE_CHECKING

from asrcli.errors import FileUnreadableError, NotAudioError
from asrcli.media.audio import AudioFile
from asrcli.media.children import Child
from asrcli.media.conversation import BrokenError, Decoder, Limits

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Decoders", "Limits", "blocks_isolated", "probe_isolated"]

_START = (
    "import json, sys; "
    "sys.path[:] = json.loads(sys.argv[1]); "
    "from asrcli.media.decoder import main; "
    "main()"
)
_MOST_JOBS = 1_000
"""Jobs after which a child is replaced: what a library leaks does not add up."""
_LEAST_SHARE = 0.5
"""Of the length that was counted, what has to come out of a decoder."""
_MOST_SHARE, _MOST_BEYOND = 2.0, 60.0
"""Times the length that was counted, and seconds more, are the most that may come out of it."""
_CHECKED_SECONDS = 1.0
"""Lengths below this are too coarse to compare."""
_BYTES_A_SECOND = 20_000_000
"""How fast a file is looked through, at least: for the limit of `probe_isolated`."""


class Decoders:
    """Up to `count` children, for any number of threads; they start as they are needed, and stay.

    Each does one job at a time. A thread that asks for one more than there are waits, so no
    thread may hold a stream that is not at its end while it opens others. `command` is run in
    place of our own decoder.
    """

    def __init__(
        self,
        count: int,
        *,
        limits: Limits | None = None,
        command: tuple[str, ...] = (),
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.count = count
        self.limits = limits or Limits()
        self.clock = clock
        self._command = command or _own_command()
        self._changed = threading.Condition()
        self._idle: list[Decoder] = []
        self._busy: set[Decoder] = set()
        self._starting = 0
        self._closed = False

    def __enter__(self) -> Decoders:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def children(self) -> list[int]:
        """The ids of the processes that run."""
        with self._changed:
            return [decoder.child.pid for decoder in (*self._idle, *self._busy)]

    def warm(self) -> None:
        """Start a child, unless one is there: it loads its libraries while others have work."""
        with self._changed:
            if self._closed or self._idle or self._busy or self._starting:
                return
            self._starting += 1
        with suppress(FileUnreadableError):  # which the first recording will tell
            decoder = self._start("a recording")
            decoder.load()
            self._give_back(decoder, usable=True)

    def close(self) -> None:
        """End all children at once; what is decoded at this moment fails."""
        with self._changed:
            self._closed = True
            idle, self._idle = self._idle, []
            for decoder in self._busy:
                decoder.child.kill()  # the thread that reads from it forgets it
            self._changed.notify_all()
        for decoder in idle:
            decoder.child.end()

    @contextmanager
    def lent(self, name: str) -> Iterator[Decoder]:
        """A child for one job, called `name` in messages; it is kept only if the job was done.

        Raises FileUnreadableError if there is none to be had.
        """
        decoder = self._take(name)
        try:
            yield decoder
        except BrokenError as broken:
            with self._changed:
                closed = self._closed
            if closed:
                raise _stopped(name) from None
            raise NotAudioError(f"{name} cannot be decoded: {broken}") from None
        finally:
            self._give_back(decoder, usable=decoder.rests)

    def _take(self, name: str) -> Decoder:
        with self._changed:
            while True:
                if self._closed:
                    raise _stopped(name)
                if self._idle:
                    decoder = self._idle.pop()
                    if decoder.child.ended():
                        decoder.child.end()
                        continue
                    self._busy.add(decoder)
                    return decoder
                if len(self._busy) + self._starting < self.count:
                    self._starting += 1
                    break
                self._changed.wait()
        return self._start(name)

    def _start(self, name: str) -> Decoder:
        """Start a child in the place that was kept for it."""
        decoder = None
        try:
            decoder = Decoder(Child(self._command), self.clock)
        except OSError as error:
            raise FileUnreadableError(
                f"{name} cannot be decoded: no process can be started ({error})"
            ) from error
        finally:
            with self._changed:
                self._starting -= 1
                closed = self._closed
                if decoder is None:
                    self._changed.notify()
                else:
                    self._busy.add(decoder)
        if closed:
            self._give_back(decoder, usable=False)
            raise _stopped(name)
        return decoder

    def _give_back(self, decoder: Decoder, *, usable: bool) -> None:
        with self._changed:
            kept = usable and not self._closed and decoder.jobs < _MOST_JOBS
        if not kept:
            decoder.child.end()
        with self._changed:
            self._busy.discard(decoder)
            if kept:
                self._idle.append(decoder)
            self._changed.notify()


def blocks_isolated(
    path: Path,
    *,
    container: str,
    duration: float,
    sample_rate: int = 16_000,
    channel: int | None = None,
    track: int = 0,
    block_seconds: float = 1.0,
    decoders: Decoders | None = None,
) -> Generator[Samples, None, None]:
    """Give the same blocks as `asrcli.media.decode.blocks`, decoded in a child of `decoders`.

    `duration` in seconds is what `probe` counted, 0 if it is unknown. Without `decoders`, a child
    is started for this one recording. Closing the iterator kills the child. Raises the errors of
    `blocks`, and NotAudioError if the child crashes, hangs, or gives too little or too much.
    """
    job = {
        "do": "blocks",
        "container": container,
        "sample_rate": sample_rate,
        "channel": channel,
        "track": track,
        "block_seconds": block_seconds,
    }
    size = max(1, round(block_seconds * sample_rate))
    with _lent(decoders, path.name) as (owner, decoder):
        decoder.begin(path, job, owner.limits, seconds=duration)
        yield from _of_length(decoder.blocks(size, sample_rate), duration, sample_rate)


def probe_isolated(
    path: Path,
    *,
    name: str | None = None,
    track: int = 0,
    need_duration: bool = True,
    decoders: Decoders | None = None,
) -> AudioFile:
    """Look into a file as `asrcli.media.probe.probe` does, in a child of `decoders`.

    Raises the errors of `probe`, and NotAudioError if the child crashes or hangs.
    """
    label = path.name if name is None else name
    job = {"do": "probe", "name": label, "track": track, "need_duration": need_duration}
    with _lent(decoders, label) as (owner, decoder):
        decoder.begin(path, job, owner.limits, looking=_seconds_to_read(path))
        found = decoder.answer()
        try:
            return AudioFile(path=path, **found)
        except TypeError:
            decoder.rests = False
            raise BrokenError("its decoder gave no answer") from None


@contextmanager
def _lent(decoders: Decoders | None, name: str) -> Iterator[tuple[Decoders, Decoder]]:
    with (
        Decoders(1) if decoders is None else nullcontext(decoders) as owner,
        owner.lent(name) as decoder,
    ):
        yield owner, decoder


def _own_command() -> tuple[str, ...]:
    """Python without its site: no start-up files, nothing from the environment.

    It imports from where we do, so it finds what we found, also where asrcli is not installed.
    """
    folders = [str(Path(folder).absolute()) for folder in sys.path]
    utf8 = ("-X", "utf8") if sys.flags.utf8_mode else ()  # names of files mean the same
    return (sys.executable, "-I", "-S", "-B", *utf8, "-c", _START, json.dumps(folders))


def _seconds_to_read(path: Path) -> float:
    try:
        return path.stat().st_size / _BYTES_A_SECOND
    except (OSError, ValueError):
        return 0.0  # which the child will tell


def _of_length(blocks: Iterator[Samples], duration: float, sample_rate: int) -> Iterator[Samples]:
    """The blocks; raises BrokenError if they are far fewer or more than `duration` calls for."""
    known = duration >= _CHECKED_SECONDS
    most = _MOST_SHARE * duration + _MOST_BEYOND
    done = 0.0
    for block in blocks:
        done += len(block) / sample_rate
        if known and done > most:
            raise BrokenError(f"it lasts {duration:,.1f} s, and {done:,.1f} s came out of it")
        yield block
    if known and done < _LEAST_SHARE * duration:
        raise BrokenError(f"of its {duration:,.1f} s, only {done:,.1f} s came out")


def _stopped(name: str) -> FileUnreadableError:
    return FileUnreadableError(f"{name}: decoding it was stopped")
