"""What all dialogues have in common: one interface, a state, an outbox and an inbox.

A dialogue owns no socket, no thread and no clock, and belongs to one thread at a time. Calls made
out of turn are the caller's mistake and raise RuntimeError; the service's mistakes never raise:
they become a `Noted` that is told once, or a `Failed` that ends the dialogue.

Audio is 16-bit little-endian PCM of one channel at `sample_rate`.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from enum import Enum
from typing import Any
from urllib.parse import parse_qsl, urlencode, urlsplit, urlunsplit
from uuid import uuid4

from asrcli.errors import NetworkError, RefusedError, Retry, ServiceError
from asrcli.protocol.events import (
    Event,
    Failed,
    Finished,
    Noted,
    SpeechEnded,
    SpeechStarted,
    Started,
    Usage,
)
from asrcli.protocol.failures import Verdict, judge, of_close
from asrcli.protocol.ledger import Ledger, Utterance
from asrcli.protocol.reading import object_of, shown

__all__ = ["Dialogue", "Limits", "State", "join_url", "new_id"]

SAMPLE_BYTES = 2
_LEEWAY = 1.0
"""Seconds by which a time may lie past the audio that was sent, and still be believed."""

_REFUSED = Verdict(RefusedError)
_PASSING = Verdict(ServiceError, Retry.TRANSIENT)


class State(Enum):
    """Where a dialogue stands."""

    NEW = "new"
    """Not begun: `start` comes first."""
    STARTING = "starting"
    """The service has not said yet that it listens."""
    RUNNING = "running"
    FINISHING = "finishing"
    """All audio is sent; the last words are awaited."""
    CLOSED = "closed"
    """Everything was said; the socket can be closed with 1000."""
    FAILED = "failed"


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """The service's rules as data; seconds and bytes. None where no such rule is known."""

    frame_bytes: int = 12_800
    """Of audio in one message at most; longer chunks are cut by the dialogue."""
    send_within: float | None = None
    """The service gives up when it gets nothing for so long: send silence when nothing is heard."""
    silence: float | None = None
    """The service gives up after so much silent audio."""
    session: float | None = None
    """A connection is closed by the service after so long."""
    renew_after: float | None = None
    """When to change to a new connection, between two utterances, before it is."""
    reuse_within: float | None = None
    """After the end another dialogue may begin on the same socket if no more time has passed."""
    pace: float = 4.0
    """Times real time at most, while catching up."""
    start_timeout: float = 10.0
    """For the service to say that it listens."""
    finish_timeout: float = 10.0
    """From one event to the next, while the last words are awaited."""


def new_id() -> str:
    """32 random hexadecimal digits, as the vendor's own clients make them."""
    return uuid4().hex


def join_url(base: str, path: str, query: Mapping[str, str]) -> str:
    """The address of a WebSocket: `path` below `base`, with what `query` adds to the base's own.

    A base that ends in one of the services' endpoints is taken for the folder above it. Raises
    ValueError for a base that is no http, https, ws or wss URL.
    """
    parts = urlsplit(base)
    scheme = {"http": "ws", "https": "wss"}.get(parts.scheme, parts.scheme)
    if scheme not in {"ws", "wss"} or not parts.netloc:
        raise ValueError(f"{base!r} is not the URL of a service")
    folder = parts.path.rstrip("/")
    for endpoint in ("/inference", "/realtime"):
        folder = folder.removesuffix(endpoint)
    known = parse_qsl(parts.query, keep_blank_values=True)
    names = {name for name, _ in known}
    added = [(name, value) for name, value in query.items() if name not in names]
    return urlunsplit((scheme, parts.netloc, f"{folder}/{path}", urlencode(known + added), ""))


class Dialogue(ABC):
    """One connection's worth of live recognition; see the package for the loop around it."""

    limits: Limits
    headers: Mapping[str, str]
    """What the handshake needs besides the key (`Authorization: Bearer …`)."""
    manual = False
    """True when the caller says where utterances end, with `end_utterance`."""

    def __init__(
        self,
        *,
        sample_rate: int,
        limits: Limits,
        headers: Mapping[str, str] | None = None,
        make_id: Callable[[], str] = new_id,
    ) -> None:
        self.sample_rate = sample_rate
        self.limits = limits
        self.headers = dict(headers or {})
        self.state = State.NEW
        self.failure: Failed | None = None
        self.session_id: str | None = None
        self.notes: Counter[str] = Counter()
        """How often each odd thing happened; `unknown:NAME` for events this version ignores."""
        self._make_id = make_id
        self._outbox: list[str | bytes] = []
        self._inbox: list[Event] = []
        self._ledger = Ledger()
        self._begun: set[str] = set()
        self._sent_bytes = 0
        self._to_finish = False
        self._usage = Usage()

    # --- what the caller asks -------------------------------------------------------------------

    @abstractmethod
    def url(self, base: str) -> str:
        """Where to connect; `base` is the service's base URL. Raises ValueError for a bad one."""

    @property
    def over(self) -> bool:
        """True when nothing else will come: the last event is Finished or Failed."""
        return self.state in {State.CLOSED, State.FAILED}

    @property
    def accepts_audio(self) -> bool:
        """True when `send_audio` may be called now."""
        return self.state is State.RUNNING

    @property
    def speaking(self) -> bool:
        """True while an utterance is open, or its final text is still to come."""
        return len(self._ledger) > 0

    @property
    def sent(self) -> float:
        """Seconds of audio that were sent."""
        return self.sent_samples / self.sample_rate

    @property
    def sent_samples(self) -> int:
        """Samples that were sent."""
        return self._sent_bytes // SAMPLE_BYTES

    @property
    def acknowledged(self) -> float:
        """Seconds from the first sample up to which everything was answered for by finals.

        A caller that reconnects sends again what lies past it, and forgets what lies before.
        It never shrinks and never exceeds `sent`.
        """
        return min(self._ledger.answered, self.sent)

    @property
    def acknowledged_samples(self) -> int:
        """The same in samples, rounded down."""
        return int(self.acknowledged * self.sample_rate)

    @property
    def patience(self) -> float | None:
        """Seconds to wait for a message; None for as long as it takes.

        Counted from the last message, or from `start`, `end_utterance` or `finish` if that came
        later. When they have passed, `timed_out` says so to the dialogue.
        """
        if self.state is State.STARTING:
            return self.limits.start_timeout
        return self.limits.finish_timeout if self.state is State.FINISHING else None

    # --- what the caller does -------------------------------------------------------------------

    def start(self) -> None:
        """Begin, as soon as the socket is open."""
        self._expect(State.NEW)
        self.state = State.STARTING
        self._begin()

    def send_audio(self, chunk: bytes) -> None:
        """Send whole samples; any number, about 100 ms at a time is best."""
        if not self.accepts_audio:
            raise RuntimeError(f"no audio is accepted while the dialogue is {self.state.value}")
        if len(chunk) % SAMPLE_BYTES:
            raise RuntimeError("a chunk of audio ends in the middle of a sample")
        self._frame(chunk)

    def end_utterance(self) -> None:
        """Say that the utterance ends here; only where `manual`."""
        raise RuntimeError("this dialogue finds the ends of utterances by itself")

    def finish(self) -> None:
        """Say that no more audio comes; the last words come until `over`.

        May be called while starting, and does nothing once the dialogue is over.
        """
        if self.over:
            return
        self._expect(State.STARTING, State.RUNNING)
        if self._to_finish:
            raise RuntimeError("the dialogue was told to finish before")
        self._to_finish = True
        if self.state is State.RUNNING:
            self._finish()

    def receive(self, message: str | bytes) -> None:
        """Take in one message; then read `events_received` and `messages_to_send`."""
        if self.state is State.NEW:
            raise RuntimeError("a message came before the dialogue was started")
        if self.over:
            return
        if isinstance(message, bytes):
            self._note("binary", "it sent a binary message, which has no meaning here")
            return
        event = object_of(message)
        if event is None:
            self._note("unreadable", f"it sent what is no JSON object: {shown(message)}")
            return
        self._take(event)

    def closed(self, code: int | None, reason: str = "") -> None:
        """Say that the socket ended; `code` is None where no close frame came.

        An end before the dialogue's own is a failure, with 1000 as well.
        """
        if not self.over:
            self._fail(of_close(code, reason))

    def timed_out(self) -> None:
        """Say that no message came for `patience` seconds."""
        if self.state is State.STARTING:
            message = "it did not say that it listens"
            self._fail(_silent("NoStart", message, NetworkError, Retry.TRANSIENT))
        elif self.state is State.FINISHING:
            self.give_up()
            message = "it did not say that these were the last words"
            self._fail(_silent("NoEnd", message, ServiceError, Retry.NEVER))

    def give_up(self) -> None:
        """Turn what was heard but never finished into finals that are marked incomplete.

        For a caller that will not connect again, after Failed or before it leaves.
        """
        self._inbox.extend(self._ledger.release_all())

    def messages_to_send(self) -> list[str | bytes]:
        """What to put on the socket, in this order; each message is returned once."""
        messages, self._outbox = self._outbox, []
        return messages

    def events_received(self) -> list[Event]:
        """What happened since the last call, in order."""
        events, self._inbox = self._inbox, []
        return events

    # --- what a dialogue fills in ---------------------------------------------------------------

    @abstractmethod
    def _begin(self) -> None:
        """Put the opening message into the outbox, if there is one."""

    @abstractmethod
    def _put_audio(self, frame: bytes) -> None:
        """Put one frame into the outbox."""

    @abstractmethod
    def _end(self) -> None:
        """Put the finishing messages into the outbox."""

    @abstractmethod
    def _take(self, event: dict[str, Any]) -> None:
        """Take in one JSON object of the service."""

    # --- for the dialogues ----------------------------------------------------------------------

    def _expect(self, *states: State) -> None:
        if self.state not in states:
            raise RuntimeError(f"this cannot be done while the dialogue is {self.state.value}")

    def _frame(self, audio: bytes) -> None:
        size = self.limits.frame_bytes
        for begin in range(0, len(audio), size):
            frame = audio[begin : begin + size]
            self._put_audio(frame)
            self._sent_bytes += len(frame)

    def _listen(self, model: str | None = None) -> None:
        self.state = State.RUNNING
        self._inbox.append(Started(self.session_id, model))
        if self._to_finish:
            self._finish()

    def _finish(self) -> None:
        self.state = State.FINISHING
        self._end()

    def _close(self) -> None:
        self.give_up()
        self._ledger.answered = self.sent
        self.state = State.CLOSED
        self._inbox.append(Finished(self._usage))

    def _fail(self, failure: Failed) -> None:
        self.state = State.FAILED
        self.failure = replace(failure, session_id=failure.session_id or self.session_id)
        self._inbox.append(self.failure)

    def _judged(self, code: str | None, message: str, *, request_id: str | None = None) -> Failed:
        """A failure by its code; one that is not known is passing if all went well before."""
        unknown = _REFUSED if self.state is State.STARTING else _PASSING
        verdict = judge(code, message) or unknown
        return Failed(
            code=code,
            message=message,
            kind=verdict.kind,
            retry=verdict.retry,
            request_id=request_id,
        )

    def _note(self, name: str, message: str) -> None:
        self.notes[name] += 1
        if self.notes[name] == 1:
            self._inbox.append(Noted(name, message))

    def _unknown(self, name: object) -> None:
        self._note(f"unknown:{shown(name)}", f"it sent {shown(name)!r}, which is news to asrcli")

    def _seconds(self, milliseconds: float | None) -> float | None:
        """A time of the service, if it can be one: not past the audio that it has."""
        if milliseconds is None:
            return None
        seconds = milliseconds / 1000
        if seconds > self.sent + _LEEWAY:
            self._note("time", "it gave a time past the end of the audio; such times are left out")
            return None
        return max(seconds, 0.0)

    def _speech_starts(self, utterance: Utterance) -> None:
        if utterance.start is not None and utterance.name not in self._begun:
            self._begun.add(utterance.name)
            self._inbox.append(SpeechStarted(utterance.start, utterance.name))
            self._ledger.advance()

    def _speech_ends(self, utterance: Utterance) -> None:
        if utterance.end is not None:
            self._inbox.append(SpeechEnded(utterance.end, utterance.name))

    def _tell(self, utterance: Utterance) -> None:
        if not utterance.settled and (partial := utterance.partial()):
            self._inbox.append(partial)

    def _settle(self, utterance: Utterance) -> None:
        """Mark as final, and let out the finals whose turn it is."""
        utterance.settled = True
        if utterance.start is not None and utterance.end is not None:
            utterance.end = max(utterance.start, utterance.end)
        if utterance.end is None and utterance.committed is None:
            # Nobody said where it ended: not in what was sent during the last second.
            utterance.committed = max(self.sent - _LEEWAY, 0.0)
        self._inbox.extend(self._ledger.release())

    def _late(self, name: str) -> None:
        self._note("late", f"it sent more about utterance {shown(name)}, whose turn was over")


def _silent(
    code: str, message: str, kind: type[NetworkError | ServiceError], retry: Retry
) -> Failed:
    return Failed(code=code, message=message, kind=kind, retry=retry)
