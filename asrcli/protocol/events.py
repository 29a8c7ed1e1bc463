"""What a dialogue tells its caller.

Times are seconds from the first sample sent on this connection; who reconnects adds the offset.
"""

from __future__ import annotations

from dataclasses import dataclass

from asrcli.errors import RemoteError, Retry
from asrcli.transcript import Timing, Word

__all__ = [
    "Event",
    "Failed",
    "Finished",
    "Hypothesis",
    "Noted",
    "SpeechEnded",
    "SpeechStarted",
    "Started",
    "Usage",
]


@dataclass(frozen=True, slots=True)
class Started:
    """The service listens: audio may be sent."""

    session_id: str | None
    """What to name in a report to the service."""
    model: str | None = None
    """As the service calls it, where it does."""


@dataclass(frozen=True, slots=True)
class SpeechStarted:
    """Somebody began to speak."""

    at: float
    utterance: str


@dataclass(frozen=True, slots=True)
class SpeechEnded:
    """Somebody stopped speaking; the final text is still to come."""

    at: float
    utterance: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Hypothesis:
    """What is heard so far of one utterance; `final` when it will not change again.

    Each hypothesis replaces the one before it of the same utterance. There is one final for each
    utterance at most, and finals come in the order of the utterances; the text may be empty.
    """

    text: str
    utterance: str
    """Names the utterance on this connection."""
    final: bool
    start: float | None = None
    end: float | None = None
    """None while the utterance lasts, and where nobody told."""
    timing: Timing = Timing.NONE
    stable: str = ""
    """The beginning of `text` that will not change any more, where the service says so."""
    words: tuple[Word, ...] = ()
    language: str | None = None
    emotion: str | None = None
    speaker: str | None = None
    complete: bool = True
    """False for a final that was made of the last partial, because no final came."""


@dataclass(frozen=True, slots=True)
class Noted:
    """Something odd that was got over; comes once for each `name` and connection."""

    name: str
    message: str


@dataclass(frozen=True, slots=True)
class Usage:
    """What the service counted, as far as it says."""

    seconds: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None


@dataclass(frozen=True, slots=True)
class Finished:
    """The service has said all it had to say, and knows that it has."""

    usage: Usage = Usage()


@dataclass(frozen=True, slots=True, kw_only=True)
class Failed:
    """The dialogue is over before its end; nothing else comes after it.

    `retry` says what a new connection may do: NEVER, or after a pause (TRANSIENT), or after a
    longer one (THROTTLED). All audio past `Dialogue.acknowledged` is then to be sent again.
    """

    code: str | None
    """The service's own word, or one of ours in CamelCase where it has none."""
    message: str
    kind: type[RemoteError]
    retry: Retry
    request_id: str | None = None
    session_id: str | None = None
    http_status: int | None = None
    retry_after: float | None = None

    def error(self, service: str) -> RemoteError:
        """The same as an error to raise; `service` is the provider's name."""
        return self.kind(
            service,
            self.message,
            code=self.code,
            http_status=self.http_status,
            request_id=self.request_id or self.session_id,
            retry=self.retry,
            retry_after=self.retry_after,
        )


Event = Started | SpeechStarted | SpeechEnded | Hypothesis | Noted | Finished | Failed
