"""One connection of a live stream: what was sent over it, and where in the stream that lies.

A dialogue counts from the first sample that it was sent. In the stream that sample lies anywhere:
an earlier connection had what is before it. Silence of our own lies nowhere, and what was given up
is skipped. Positions are samples.
"""

from __future__ import annotations

from collections import deque

from asrcli.errors import AsrError, Retry
from asrcli.providers.live import Dialogue, Event, Hypothesis, Line

__all__ = ["LiveSession"]

_SURE = 45.0
"""Seconds after which a connection that still lives has listened to what it was sent: one that does
not is found out sooner. Without speech, nothing else says so."""
_NO_END = "NoEnd"
"""How a dialogue calls it that the end was asked for and never came."""
_BURST = 0.2
"""Seconds by which sending may be late, and still make up for it."""


class LiveSession:
    """A dialogue on its line; used by one thread."""

    def __init__(self, dialogue: Dialogue, line: Line, *, at: int, now: float) -> None:
        """`at` is the position in the stream of the first sample that will be sent."""
        self.dialogue = dialogue
        self.line = line
        self.opened = now
        self.heard = now
        """When the last message came, or patience began anew."""
        self.renewing = False
        """It is to end only because it has grown old."""
        self.asked_to_finish = False
        self._rate = dialogue.sample_rate
        self._breaks: deque[tuple[int, int]] = deque([(0, at)])
        self._next = at
        self._last_sent = now
        self._due = now
        self._marks: deque[tuple[float, int]] = deque()
        self._answered = at

    # --- times ----------------------------------------------------------------------------------

    def place(self, seconds: float) -> float:
        """A time of the dialogue as one of the stream."""
        return self._place(seconds * self._rate) / self._rate

    def _place(self, sample: float) -> float:
        place = float(self._breaks[0][1])
        for index, (begun, at) in enumerate(self._breaks):
            if begun > sample and index:
                return min(place, at)
            place = at + max(0.0, sample - begun)
        return min(place, self._next)

    def answered(self, now: float) -> int:
        """The position up to which all that was sent is answered for; it never shrinks."""
        dialogue = self.dialogue
        if not (dialogue.manual or dialogue.speaking):
            while self._marks and self._marks[0][0] <= now - _SURE:
                self._answered = max(self._answered, self._marks.popleft()[1])
        self._answered = max(self._answered, int(self._place(dialogue.acknowledged_samples)))
        while len(self._breaks) > 1 and self._breaks[1][0] <= dialogue.acknowledged_samples:
            self._breaks.popleft()
        return self._answered

    # --- sending --------------------------------------------------------------------------------

    @property
    def silent_since(self) -> float:
        """When sound was sent last."""
        return self._last_sent

    def wait_to_send(self, now: float) -> float:
        """Seconds until more sound may be sent at the service's pace."""
        return max(0.0, self._due - now)

    def send(self, pcm: bytes, *, at: int, now: float) -> None:
        """Send what lies at that position of the stream."""
        self._break(at)
        self.dialogue.send_audio(pcm)
        count = len(pcm) // 2
        self._next = at + count
        self._due = max(self._due, now - _BURST) + count / self._rate / self.dialogue.limits.pace
        self._mark(now)

    def send_silence(self, seconds: float, now: float) -> None:
        """Send silence of our own, to be remembered."""
        self.dialogue.send_audio(bytes(2 * round(seconds * self._rate)))
        self._break(self._next)
        self._mark(now)

    def flush(self) -> None:
        """Let leave what the dialogue says."""
        for message in self.dialogue.messages_to_send():
            self.line.send(message)

    def _break(self, at: int) -> None:
        begun, known = self._breaks[-1]
        sent = self.dialogue.sent_samples
        if known + sent - begun != at:
            self._breaks.append((sent, at))

    def _mark(self, now: float) -> None:
        self._last_sent = now
        if not self._marks or now - self._marks[-1][0] >= 1.0:
            self._marks.append((now, self._next))

    # --- receiving ------------------------------------------------------------------------------

    def receive(self, now: float) -> list[Event]:
        """Take in what came, and what did not come in time; then what it means."""
        dialogue = self.dialogue
        for message in self.line.messages():
            self.heard = now
            dialogue.receive(message)
        if self.line.unsent:
            self.heard = now  # it cannot answer what it does not have yet
        if not dialogue.over and (ended := self.line.closed) is not None:
            dialogue.closed(ended.code, ended.reason)
        patience = None if dialogue.over else dialogue.patience
        if patience is not None and now - self.heard >= patience:
            self.heard = now
            dialogue.timed_out()
        events = dialogue.events_received()
        if self._left_unended:
            # What it did not answer is sent to the next one: nothing of it is final yet.
            return [event for event in events if not _is_makeshift(event)]
        return events

    @property
    def _left_unended(self) -> bool:
        """It was to make room for another connection, and never said that it was done."""
        failure = self.dialogue.failure
        return self.renewing and failure is not None and failure.code == _NO_END

    def error(self, service: str) -> AsrError | None:
        """Why it ended before its time, if so."""
        failure = self.dialogue.failure
        if failure is None:
            return None
        error = failure.error(service)
        if self._left_unended:
            error.retry = Retry.TRANSIENT
        return error

    def finish(self, now: float) -> None:
        """Say that no more sound comes."""
        self.asked_to_finish = True
        self.heard = now
        self.dialogue.finish()

    def end_utterance(self, now: float) -> None:
        """Say that the utterance ends; where the dialogue is `manual`."""
        self.heard = now
        self.dialogue.end_utterance()


def _is_makeshift(event: Event) -> bool:
    return isinstance(event, Hypothesis) and event.final and not event.complete
