"""Nearly live: for services that take recordings only.

Speech is cut at pauses into clips of about five seconds. Each is recognized by itself, a few at a
time, and told in the order in which it was said. There are no partials.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING

from asrcli.core.endpointing import Endpointer, loudness
from asrcli.core.live_events import Final, Gap, LiveEvent, LiveState, Outcome, Status
from asrcli.core.waking import Waker
from asrcli.errors import AsrError, ServiceError
from asrcli.transcript import Segment, Timing, Transcript, Word

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Clip", "Cutter", "Near"]

_RUN_UP = 3
"""Blocks before speech that belong to it."""
_SEARCHED = 2.0
"""Seconds at the end of a clip that grew too long, in which its quietest place is looked for."""
_STATUS = 1.0
_TICK = 0.5


@dataclass(frozen=True, slots=True, eq=False)
class Clip:
    """Speech, and when it was heard."""

    start: float
    """Seconds since the first sample of the stream."""
    end: float
    blocks: tuple[Samples, ...] = field(repr=False)
    """float32, mono, one after the other."""
    sample_rate: int
    cut: bool = False
    """True where it ends for its length, not for a pause."""


Recognize = Callable[[Clip], Transcript]
"""Recognizes one clip, within its limits and with its retries; raises an AsrError."""


class Cutter:
    """Takes blocks of about 0.1 s, gives clips; silence between them is left out."""

    def __init__(
        self,
        sample_rate: int,
        *,
        target: float = 5.0,
        longest: float = 12.0,
        pause: float = 0.8,
        short_pause: float = 0.25,
    ) -> None:
        """A `pause` ends any clip, a `short_pause` one that has `target` seconds."""
        self._rate = sample_rate
        self._target = target
        self._pauses = (pause, short_pause)
        self._endpointer = Endpointer(pause=pause, longest=longest)
        self._run_up: deque[Samples] = deque(maxlen=_RUN_UP)
        self._blocks: list[Samples] = []
        self._position = 0

    def take(self, block: Samples) -> Clip | None:
        """One more block; the clip that it ends, if it does."""
        ends = self._endpointer
        ends.pause = self._pauses[ends.lasted >= self._target]
        before = ends.speaking
        ended = ends.take(loudness(block), len(block) / self._rate)
        self._position += len(block)
        if not before and not ends.speaking:
            self._run_up.append(block)
            return None
        if not before:
            self._blocks.extend(self._run_up)
            self._run_up.clear()
        self._blocks.append(block)
        return self._clip(cut=not ends.paused) if ended else None

    def rest(self) -> Clip | None:
        """What was not cut yet, at the end."""
        return self._clip(cut=False) if self._blocks else None

    def _clip(self, *, cut: bool) -> Clip:
        kept = len(self._blocks)
        if cut:
            kept = self._quietest()
        blocks, rest = self._blocks[:kept], self._blocks[kept:]
        self._blocks = rest
        end = self._position - sum(map(len, rest))
        start = end - sum(map(len, blocks))
        if rest:
            self._endpointer.speaking = True
            self._endpointer.lasted = sum(map(len, rest)) / self._rate
        return Clip(start / self._rate, end / self._rate, tuple(blocks), self._rate, cut)

    def _quietest(self) -> int:
        """How many blocks come before the quietest place near the end, with that block."""
        count, seconds = len(self._blocks), 0.0
        while count > 1 and seconds < _SEARCHED:
            count -= 1
            seconds += len(self._blocks[count]) / self._rate
        levels = [loudness(block) for block in self._blocks[count:]]
        return count + levels.index(min(levels)) + 1


@dataclass(slots=True, eq=False)
class _Asked:
    clip: Clip
    begun: bool = False
    done: bool = False
    transcript: Transcript | None = None
    error: BaseException | None = None

    @property
    def seconds(self) -> float:
        return self.clip.end - self.clip.start


class Near:
    """One stream, by clips. `run` is called once; `stop` by any thread or signal handler.

    `most_waiting`: so many seconds of speech may wait for an answer before no more is taken in, for
    sound that can wait; None for a microphone, where the oldest that nobody asked for yet is given
    up beyond `most_kept` seconds, and told as a gap.
    """

    def __init__(
        self,
        recognize: Recognize,
        on_event: Callable[[LiveEvent], None],
        *,
        service: str,
        sample_rate: int = 16_000,
        in_flight: int = 3,
        most_waiting: float | None = None,
        most_kept: float = 600.0,
        patience: float = 30.0,
        cutter: Cutter | None = None,
        clock: Callable[[], float] = time.monotonic,
        waker: Waker | None = None,
    ) -> None:
        """`patience`: seconds from the last answer, for those that are missing at the end."""
        self._recognize = recognize
        self._on_event = on_event
        self._service = service
        self._rate = sample_rate
        self._in_flight = in_flight
        self._most_waiting = most_waiting
        self._most_kept = most_kept
        self._patience = patience
        self._cutter = cutter or Cutter(sample_rate)
        self._clock = clock
        self._waker = waker or Waker()
        self._lock = threading.Lock()
        self._cutting = threading.Lock()
        self._cut_off = False
        self._asked: deque[_Asked] = deque()
        self._drained = threading.Event()
        self._stopping = False
        self._captured = False
        self._heard = 0
        self._input_error: BaseException | None = None
        self._error: AsrError | None = None
        self._dropped = 0.0
        self._told_at: float | None = None
        self._billed: float | None = None

    def stop(self) -> None:
        """End capture; `run` returns after the last words. Does not wait."""
        self._stopping = True
        self._waker.wake()

    def run(self, blocks: Iterable[Samples]) -> Outcome:
        """Listen until the blocks end, or `stop`, or an error that no other clip would escape.

        Clips that fail by themselves are gaps; the last such error is in the outcome.
        """
        capture = threading.Thread(target=self._capture, args=(blocks,), name="asrcli-capture")
        capture.daemon = True
        capture.start()
        try:
            finished = self._work()
        finally:
            self._stopping = True
            self._drained.set()
            capture.join(1.0)
        if self._input_error is not None and not isinstance(self._input_error, AsrError):
            raise self._input_error
        error = self._error or self._input_error
        return Outcome(
            finished=finished,
            error=error if isinstance(error, AsrError) else None,
            seconds=self._heard / self._rate,
            dropped=self._dropped,
            billed_seconds=self._billed,
        )

    # --- taking in ------------------------------------------------------------------------------

    def _capture(self, blocks: Iterable[Samples]) -> None:
        try:
            for block in blocks:
                if self._stopping:
                    break
                self._heard += len(block)
                with self._cutting:
                    clip = None if self._cut_off else self._cutter.take(block)
                self._add(clip)
                self._wait_for_room()
        except BaseException as error:  # noqa: BLE001 - told, or raised, by `run`
            self._input_error = error
        finally:
            self._cut_rest()
            self._captured = True
            self._waker.wake()

    def _cut_rest(self) -> None:
        """No more sound counts; by whoever sees that first, since a microphone may hang."""
        with self._cutting:
            rest = None if self._cut_off else self._cutter.rest()
            self._cut_off = True
        self._add(rest)

    def _add(self, clip: Clip | None) -> None:
        if clip is not None:
            with self._lock:
                self._asked.append(_Asked(clip))
            self._waker.wake()

    def _wait_for_room(self) -> None:
        while self._most_waiting is not None and not self._stopping:
            self._drained.clear()
            if self._waiting() <= self._most_waiting:
                return
            self._drained.wait(_TICK)

    def _waiting(self) -> float:
        with self._lock:
            return sum(asked.seconds for asked in self._asked)

    # --- asking ---------------------------------------------------------------------------------

    def _work(self) -> bool:
        """True when everything was answered."""
        last = self._clock()
        ending = False
        while True:
            if self._tell_answers():
                last = self._clock()
            if self._error is not None and self._error.stops_run:
                return self._leave(self._error)
            if over := self._captured or self._stopping:
                self._cut_rest()
            self._begin()
            with self._lock:
                left = len(self._asked)
            if over and not left:
                return self._dropped == 0
            if over and not ending:
                ending, last = True, self._clock()
            if ending and self._clock() - last >= self._patience:
                error = ServiceError(self._service, "it did not answer in time at the end")
                return self._leave(error)
            self._tell_status(ending=ending)
            self._waker.wait(_TICK)

    def _begin(self) -> None:
        with self._lock:
            busy = sum(asked.begun and not asked.done for asked in self._asked)
            waiting = [asked for asked in self._asked if not asked.begun]
            free = self._in_flight - busy
            started = waiting[: max(0, free)]
            for asked in started:
                asked.begun = True
            self._drop_oldest(waiting[len(started) :])
        for asked in started:
            threading.Thread(
                target=self._ask, args=(asked,), name="asrcli-clip", daemon=True
            ).start()

    def _drop_oldest(self, waiting: list[_Asked]) -> None:
        kept = sum(asked.seconds for asked in waiting)
        for asked in waiting:
            if kept <= self._most_kept:
                return
            kept -= asked.seconds
            asked.begun = asked.done = True  # told in its turn

    def _ask(self, asked: _Asked) -> None:
        try:
            asked.transcript = self._recognize(asked.clip)
        except BaseException as error:  # noqa: BLE001 - told, or raised, in its turn
            asked.error = error
        asked.done = True
        self._waker.wake()

    # --- telling --------------------------------------------------------------------------------

    def _tell_answers(self) -> bool:
        """Tell those whose turn it is; True if there were any."""
        told = False
        while True:
            with self._lock:
                if not (self._asked and self._asked[0].done):
                    break
                asked = self._asked.popleft()
            told = True
            self._tell(asked)
        self._drained.set()
        return told

    def _tell(self, asked: _Asked) -> None:
        if asked.transcript is not None:
            if asked.transcript.billed_seconds is not None:
                self._billed = (self._billed or 0.0) + asked.transcript.billed_seconds
            for segment in asked.transcript.segments:
                if segment.text.strip():
                    self._on_event(Final(_placed(segment, asked.clip)))
        elif asked.error is None:
            self._tell_gap(asked.clip, "more was waiting than could be kept")
        elif isinstance(asked.error, AsrError):
            self._error = asked.error
            self._tell_gap(asked.clip, str(asked.error))
        else:
            raise asked.error

    def _tell_gap(self, clip: Clip, reason: str) -> None:
        self._dropped += clip.end - clip.start
        self._on_event(Gap(clip.start, clip.end, reason))

    def _tell_status(self, *, ending: bool) -> None:
        now = self._clock()
        if self._told_at is None or now - self._told_at >= _STATUS:
            self._told_at = now
            state = LiveState.FINISHING if ending else LiveState.LISTENING
            self._on_event(Status(state, self._waiting(), self._service))

    def _leave(self, error: AsrError) -> bool:
        """What has no answer will get none."""
        self._error = error
        with self._lock:
            left = list(self._asked)
            self._asked.clear()
        for asked in left:
            if asked.done and asked.transcript is not None:
                self._tell(asked)
            else:
                self._tell_gap(asked.clip, str(error))
        return False


def _placed(segment: Segment, clip: Clip) -> Segment:
    """The segment in the time of the stream; without times of its own it has those of the clip."""
    if segment.start is None or segment.end is None:
        timing = Timing.PIECE if clip.cut else Timing.VAD
        return replace(segment, start=clip.start, end=clip.end, timing=timing)
    words = tuple(
        Word(word.text, clip.start + word.start, clip.start + word.end, word.confidence)
        for word in segment.words
    )
    return replace(
        segment, start=clip.start + segment.start, end=clip.start + segment.end, words=words
    )
