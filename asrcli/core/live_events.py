"""What live recognition tells while it runs, and what is left to say when it is over.

Times are seconds from the first sample that was heard, whatever happened to connections.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

from asrcli.errors import AsrError
from asrcli.transcript import Segment

__all__ = ["Final", "Gap", "LiveEvent", "LiveState", "Note", "Outcome", "Partial", "Status"]


class LiveState(StrEnum):
    """How the service is doing."""

    CONNECTING = "connecting"
    LISTENING = "listening"
    RECONNECTING = "reconnecting"
    FINISHING = "finishing"
    """All was sent; the last words are awaited."""


@dataclass(frozen=True, slots=True)
class Partial:
    """What is heard so far of the utterance that lasts; replaces the partial before it.

    An empty text takes it back.
    """

    text: str
    start: float | None = None
    stable: str = ""
    """The beginning of `text` that will not change any more, where the service says so."""


@dataclass(frozen=True, slots=True)
class Final:
    """An utterance that will not change again."""

    segment: Segment
    complete: bool = True
    """False where it was made of the last partial, because no final came."""


@dataclass(frozen=True, slots=True)
class Gap:
    """Sound for which no text can come any more."""

    start: float
    end: float
    reason: str


@dataclass(frozen=True, slots=True)
class Status:
    """Told when the state changes, and now and then."""

    state: LiveState
    lag: float
    """Seconds of sound that were heard and not yet sent."""
    service: str


@dataclass(frozen=True, slots=True)
class Note:
    """Something odd that was got over; told once for each `name`."""

    name: str
    message: str


LiveEvent = Partial | Final | Gap | Status | Note


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """How it ended. The text was told already, and is kept in any case."""

    finished: bool
    """The service said that it has said all."""
    error: AsrError | None = None
    """Why not, or what became of the input; its `exit_status` is that of the command."""
    seconds: float = 0.0
    """Of sound that was heard."""
    connections: int = 0
    """That were opened; the second and all after it replaced one that ended early or grew old."""
    dropped: float = 0.0
    """Seconds of sound within gaps."""
    billed_seconds: float | None = None
    tokens_in: int | None = None
    tokens_out: int | None = None
    session_ids: tuple[str, ...] = field(default=())
    """What to name in a report to the service; the last ones only."""
