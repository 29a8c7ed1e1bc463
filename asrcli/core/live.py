"""From the microphone to hypotheses: one loop, and whatever happens to connections.

A thread of its own takes in the sound and puts it into the backlog; the loop reads it from there,
behind whatever is answered for. So a connection that ends costs nothing: the next one begins where
the answers ended. Nothing is told as final twice, and what no service can answer for any more is
told as a gap.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from typing import TYPE_CHECKING, Any, Protocol

from asrcli.core.capture import Capture
from asrcli.core.endpointing import Endpointer, loudness
from asrcli.core.healing import Healing
from asrcli.core.live_events import LiveEvent, LiveState, Outcome
from asrcli.core.live_session import LiveSession
from asrcli.core.live_telling import Teller
from asrcli.core.waking import Waker
from asrcli.errors import AsrError, ServiceError
from asrcli.providers.live import Finished, Hypothesis, LiveService, Noted, Started, State

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

    Samples = NDArray[np.float32]

__all__ = ["Backlog", "Live"]

_MOST_UNSENT = 64 * 1024
"""Bytes on their way to a slow line; more would only hide how late it is."""
_MOST_AT_ONCE = 50
_ENDING = 10.0
"""Seconds from the last event, within which a lost connection is replaced at the end."""
_QUIET = 10.0
"""Seconds without sound after which silence is sent, where the service insists on something."""
_RUN_UP = 3
"""Blocks before speech that belong to it."""
_PROGRESS = 0.5
"""Seconds more that are answered for, by which a connection was worth its while."""
_TICK = 0.5
_GRACE = 30.0
"""Seconds by which an old connection is kept on, if there is no pause at all."""
_KEPT_IDS = 20


class _Stretch(Protocol):
    @property
    def start(self) -> float: ...
    @property
    def samples(self) -> Samples: ...


class Backlog(Protocol):
    """Keeps what was heard; float32 in [-1, 1], seconds since the first sample ever appended."""

    @property
    def end(self) -> float:
        """How much was appended."""
        ...

    def append(self, samples: Samples) -> None:
        """Keep a block; what is too old may be given up for it."""
        ...

    def discard_before(self, seconds: float) -> None:
        """Forget what is answered for."""
        ...

    def since(self, seconds: float, *, block_seconds: float = ...) -> Iterator[_Stretch]:
        """What was heard from then on; begins later where that is gone."""
        ...


class Live:
    """One stream to one service. `run` is called once; `stop` by any thread or signal handler.

    Blocks and backlog have the sample rate that `sample_rate` says. `most_waiting`: so many
    seconds may wait to be sent before no more is taken in, for sound that can wait, as that of a
    pipe; None for a microphone, where the backlog gives up the oldest when it is full.
    `chunk_seconds` are sent at once; the services advise 0.1.
    """

    def __init__(
        self,
        service: LiveService,
        backlog: Backlog,
        on_event: Callable[[LiveEvent], None],
        *,
        most_waiting: float | None = None,
        chunk_seconds: float = 0.1,
        healing: Healing | None = None,
        clock: Callable[[], float] = time.monotonic,
        waker: Waker | None = None,
    ) -> None:
        self._service = service
        self._backlog = backlog
        self._most_waiting = most_waiting
        self._clock = clock
        self._healing = healing or Healing(clock=clock)
        self._waker = waker or Waker()
        self._dialogue = service.make_dialogue()
        self._rate = self._dialogue.sample_rate
        self._chunk_seconds = chunk_seconds
        self._chunk = round(chunk_seconds * self._rate)
        # Of the stream, in samples.
        self._cursor = 0
        self._answered = 0
        self._progress = 0
        self._end: int | None = None
        self._capture = Capture(backlog.append, full=self._is_full, waker=self._waker)
        self._tell = Teller(on_event, service=service.name, lag=self._waiting, clock=clock)
        self._connections = 0
        self._heard = clock()
        self._ids: deque[str] = deque(maxlen=_KEPT_IDS)
        self._endpointer = Endpointer()
        self._run_up: deque[tuple[int, bytes]] = deque(maxlen=_RUN_UP)

    @property
    def sample_rate(self) -> int:
        """Hz that blocks and backlog must have."""
        return self._rate

    def stop(self) -> None:
        """End capture; `run` returns after the last words. Does not wait."""
        self._capture.stop()

    def run(self, blocks: Iterable[Samples]) -> Outcome:
        """Listen until the blocks end, or `stop`, or nothing helps any more.

        Errors of the service and AsrErrors of `blocks` are in the outcome. Whatever `on_event`
        raises ends everything at once, and so does a signal's exception.
        """
        self._capture.start(blocks)
        try:
            outcome = self._converse()
        finally:
            self._capture.join()
        error = self._capture.error
        if error is not None and not isinstance(error, AsrError):
            raise error
        return outcome

    def _is_full(self) -> bool:
        return self._most_waiting is not None and self._waiting() > self._most_waiting

    def _waiting(self) -> float:
        return self._backlog.end - self._cursor / self._rate

    # --- connections ----------------------------------------------------------------------------

    def _converse(self) -> Outcome:
        while True:
            self._cursor = self._answered
            session, error = self._open()
            if session is not None:
                error = self._hold(session)
                if error is None and (not session.renewing or self._all_answered()):
                    return self._outcome(finished=True)
            if error is None:
                continue
            self._tell.take_back_partial()
            pause = self._healing.pause(error, opening=session is None)
            if pause is None or not self._wait_out(pause):
                self._give_up(session, error)
                return self._outcome(finished=False, error=error)

    def _open(self) -> tuple[LiveSession | None, AsrError | None]:
        self._tell.state(LiveState.RECONNECTING if self._connections else LiveState.CONNECTING)
        dialogue = self._dialogue
        if dialogue.state is not State.NEW:
            dialogue = self._dialogue = self._service.make_dialogue()
        try:
            line = self._service.connect(dialogue, self._waker.wake)
        except AsrError as error:
            return None, error
        self._connections += 1
        self._healing.reached()
        self._endpointer = Endpointer()
        self._run_up.clear()
        return LiveSession(dialogue, line, at=self._cursor, now=self._clock()), None

    def _hold(self, session: LiveSession) -> AsrError | None:
        """Talk until the dialogue is over; the error if that was before its time."""
        try:
            self._talk(session)
            self._remember(session)
        except BaseException:
            session.line.abort()
            raise
        error = session.error(self._service.name)
        if error is None:
            session.line.close()
        else:
            session.line.abort()
            # However long it took to find out that it was dead: the next one has its time.
            self._heard = self._clock()
        return error

    def _wait_out(self, pause: float) -> bool:
        """Wait for the next try; False if that comes too late for the end."""
        self._tell.state(LiveState.RECONNECTING)
        until = self._clock() + pause
        while (left := until - self._clock()) > 0:
            if self._ending() and until > self._heard + _ENDING:
                return False
            self._tell.status()
            self._waker.wait(min(left, _TICK))
        return not self._ending() or self._clock() <= self._heard + _ENDING

    def _all_answered(self) -> bool:
        return self._ending() and self._answered >= (self._end or 0)

    def _ending(self) -> bool:
        """True when no more sound is taken in; its end is then known."""
        if self._end is None and self._capture.over:
            self._end = round(self._backlog.end * self._rate)
            self._heard = self._clock()
        return self._end is not None

    # --- one connection -------------------------------------------------------------------------

    def _talk(self, session: LiveSession) -> None:
        dialogue = session.dialogue
        dialogue.start()
        while True:
            now = self._clock()
            heard = session.heard
            self._tell_all(session, session.receive(now))
            if session.heard != heard:
                self._heard = now
            self._forget(session, now)
            if dialogue.over:
                return
            self._send(session, now)
            self._finish_if_due(session, now)
            session.flush()
            self._tell.status()
            self._waker.wait(self._next_step(session, now))

    def _next_step(self, session: LiveSession, now: float) -> float:
        """Seconds until something is to be done even if nothing happens."""
        waits = [_TICK]
        if (patience := session.dialogue.patience) is not None:
            waits.append(session.heard + patience - now)
        has_room = session.line.unsent < _MOST_UNSENT
        if has_room and session.dialogue.accepts_audio and self._available():
            waits.append(session.wait_to_send(now))
        return max(0.0, min(waits))

    def _available(self) -> bool:
        """True when there is a chunk to send, or the end."""
        left = round(self._backlog.end * self._rate) - self._cursor
        if self._end is not None:
            left = self._end - self._cursor
            return left > 0
        return left >= self._chunk

    def _send(self, session: LiveSession, now: float) -> None:
        dialogue = session.dialogue
        self._ending()
        for _ in range(_MOST_AT_ONCE):
            if not dialogue.accepts_audio or session.asked_to_finish or not self._available():
                break
            if session.line.unsent >= _MOST_UNSENT or session.wait_to_send(now) > 0:
                break
            if self._is_old(session, now):
                break
            if not self._send_next(session, now):
                break
            session.flush()
        self._capture.drained()
        self._keep_alive(session, now)

    def _send_next(self, session: LiveSession, now: float) -> bool:
        """Send the next chunk, or pass over it; False if there is none after all."""
        start = self._cursor / self._rate
        stretch = next(iter(self._backlog.since(start, block_seconds=self._chunk_seconds)), None)
        if stretch is None:
            # What was still to be sent is gone from the backlog.
            self._skip(round(self._backlog.end * self._rate))
            return False
        at = round(stretch.start * self._rate)
        if at > self._cursor:
            self._skip(at)
        pcm = _pcm(stretch.samples)
        if self._end is not None:
            pcm = pcm[: 2 * max(0, self._end - at)]
        self._cursor = at + len(pcm) // 2
        before = self._endpointer.speaking
        ended = self._endpointer.take(loudness(stretch.samples), len(pcm) / 2 / self._rate)
        if session.dialogue.manual:
            self._send_speech(session, pcm, at, now, spoken=before or self._endpointer.speaking)
            if ended:
                session.end_utterance(now)
        elif pcm:
            session.send(pcm, at=at, now=now)
        return bool(pcm)

    def _send_speech(
        self, session: LiveSession, pcm: bytes, at: int, now: float, *, spoken: bool
    ) -> None:
        """Send what is spoken only: what is sent here is an utterance, even if nobody spoke."""
        if not spoken:
            self._run_up.append((at, pcm))
            return
        for place, quiet in self._run_up:
            session.send(quiet, at=place, now=now)
        self._run_up.clear()
        session.send(pcm, at=at, now=now)

    def _skip(self, to: int) -> None:
        """The backlog had to give up what would have been next."""
        if to > self._cursor:
            self._tell_gap(self._cursor, to, "more was waiting than could be kept")
            self._cursor = to
            self._answered = max(self._answered, to)

    def _keep_alive(self, session: LiveSession, now: float) -> None:
        within = session.dialogue.limits.send_within
        if within is None or session.dialogue.manual or session.asked_to_finish:
            return
        if session.dialogue.accepts_audio and now - session.silent_since >= min(_QUIET, within / 2):
            session.send_silence(self._chunk_seconds, now)

    def _finish_if_due(self, session: LiveSession, now: float) -> None:
        if session.asked_to_finish or session.dialogue.state is not State.RUNNING:
            return
        if self._end is not None and self._cursor >= self._end:
            if session.dialogue.accepts_audio:
                self._tell.state(LiveState.FINISHING)
                session.finish(now)
        elif self._is_old(session, now):
            session.renewing = True
            session.finish(now)

    def _is_old(self, session: LiveSession, now: float) -> bool:
        """True when another connection should go on, and no word is cut by that."""
        limits, dialogue = session.dialogue.limits, session.dialogue
        if limits.renew_after is None or not dialogue.accepts_audio:
            return False
        age = max(now - session.opened, dialogue.sent)
        latest = 0.95 * limits.session if limits.session else 1.1 * limits.renew_after
        # The service is behind: only our own ear knows that nobody has begun to speak just now.
        if age < limits.renew_after or not self._endpointer.paused:
            return age >= latest + _GRACE
        return age >= latest or not dialogue.speaking

    def _forget(self, session: LiveSession, now: float) -> None:
        answered = session.answered(now)
        if session.dialogue.manual and self._run_up and not session.dialogue.speaking:
            dialogue = session.dialogue
            if dialogue.acknowledged_samples >= dialogue.sent_samples:
                answered = self._run_up[0][0]
        if session.dialogue.state is State.CLOSED:
            answered = self._cursor
        if answered > self._answered:
            self._answered = answered
            if answered - self._progress >= _PROGRESS * self._rate:
                self._progress = answered
                self._healing.worked()
            self._backlog.discard_before(answered / self._rate)
        elif now - session.opened >= self._healing.policy.healthy:
            self._healing.worked()

    # --- telling --------------------------------------------------------------------------------

    def _tell_all(self, session: LiveSession, events: Iterable[Any]) -> None:
        for event in events:
            match event:
                case Hypothesis():
                    self._tell.hypothesis(session, event)
                case Noted():
                    self._tell.note(event)
                case Started():
                    self._tell.state(LiveState.LISTENING)
                case Finished(usage):
                    self._tell.count(usage)
                # Failed is seen by `_hold`; the others say nothing about the text.

    def _tell_gap(self, first: int, last: int, reason: str) -> None:
        self._tell.gap(first / self._rate, last / self._rate, reason)

    # --- the end --------------------------------------------------------------------------------

    def _remember(self, session: LiveSession) -> None:
        if session.dialogue.session_id:
            self._ids.append(session.dialogue.session_id)

    def _give_up(self, session: LiveSession | None, error: AsrError) -> None:
        """No connection will come any more: tell what there is, and what there is not."""
        if session is not None:
            session.dialogue.give_up()
            self._tell_all(session, session.dialogue.events_received())
        self._capture.stop()
        self._ending()
        first = max(self._answered, round(self._tell.last_final * self._rate))
        self._tell_gap(first, self._end or 0, str(error))

    def _outcome(self, *, finished: bool, error: AsrError | None = None) -> Outcome:
        if error is None and isinstance(self._capture.error, AsrError):
            error = self._capture.error
        if error is None and not finished:
            error = ServiceError(self._service.name, "it did not say that it had said all")
        return Outcome(
            finished=finished,
            error=error,
            seconds=self._backlog.end,
            connections=self._connections,
            dropped=self._tell.dropped,
            billed_seconds=self._tell.usage.seconds,
            tokens_in=self._tell.usage.tokens_in,
            tokens_out=self._tell.usage.tokens_out,
            session_ids=tuple(self._ids),
        )


def _pcm(samples: Samples) -> bytes:
    from asrcli.media.pcm import pcm16

    return pcm16(samples)
