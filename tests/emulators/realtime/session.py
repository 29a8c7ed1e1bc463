"""What the emulated dialogues have in common: messages in, messages out, no socket."""

from __future__ import annotations

import json
from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from tests.emulators.realtime.faults import Close
from tests.emulators.realtime.listening import Listen, Listening, Spoken
from tests.emulators.realtime.logbook import Connection

__all__ = ["Manners", "Session", "parsed"]


@dataclass(slots=True)
class Manners:
    """How the emulated services behave where their pages differ, or where tests want speed."""

    listen: Listen
    step: float = 0.4
    """Seconds of audio from one partial to the next."""
    pause: float | None = None
    """Seconds of quiet that end an utterance; None: what the client asked for."""
    silence_limit: float = 60.0
    """Seconds of silent audio after which a task without heartbeat fails."""
    idle_limit: float | None = 23.0
    """Seconds by the clock without a message after which a task fails."""
    usage_in_output: bool = False
    """run-task: `usage` under `payload.output`, as newer pages have it."""
    sentence_ids: bool = True
    """run-task: older servers send none."""
    sentence_ends: bool = True
    """run-task: older servers send no `sentence_end`, only an `end_time`."""
    closes_after_end: bool = False
    """The service closes the socket after its last event."""
    transcribes: str = "delta"
    """Omni, text beside the answer: `delta`, `completed`, `failed` or `none`."""
    statuses: list[str] | None = None
    """Omni: what the next responses end with; `completed` when the list is used up."""
    answer: Callable[[str, str], str] = lambda heard, instructions: heard
    """Omni: the response, from the words heard and the instructions."""
    finishes: str = "reject"
    """Omni, on `session.finish`: `reject`, `ignore` or `finished`."""
    most_pace: float | None = None
    """Times real time that audio may arrive at on average; faster is a violation."""


class Session(ABC):
    """One connection, seen from the service. `out` is what it says, in order."""

    def __init__(self, book: Connection, manners: Manners) -> None:
        self.book = book
        self.manners = manners
        self.out: list[dict[str, Any] | Close] = []
        self.over = False
        self.hearing: Listening | None = None
        self._ids = 0

    @abstractmethod
    def opened(self) -> None:
        """The socket is open."""

    @abstractmethod
    def received(self, message: str | bytes) -> None:
        """A message came."""

    @abstractmethod
    def failure(self, code: str, message: str, kind: str) -> dict[str, Any]:
        """The event that says so in this dialogue."""

    def idle(self) -> None:  # noqa: B027 - most dialogues do not mind
        """Nothing came for the idle limit."""

    def blame(self, violation: str) -> None:
        """Remember what a well-behaved client does not do."""
        self.book.violations.append(violation)

    def new_id(self, prefix: str) -> str:
        self._ids += 1
        return f"{prefix}_{self.book.number:03}{self._ids:06}"

    def start_listening(self, rate: int, pause: float) -> Listening:
        self.book.sample_rate = rate
        own = self.manners.pause if self.manners.pause is not None else pause
        self.hearing = Listening(self.manners.listen, rate, pause=own, step=self.manners.step)
        return self.hearing

    def hear(self, samples: bytes) -> list[Spoken]:
        assert self.hearing is not None
        self.book.audio += samples
        return self.hearing.take(samples)


def parsed(message: str) -> dict[str, Any] | None:
    """The JSON object, or None."""
    try:
        value = json.loads(message)
    except ValueError:
        return None
    return value if isinstance(value, dict) else None
