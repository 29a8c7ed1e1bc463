"""Telling what is heard: in the time of the stream, once, and no more often than is of use."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from asrcli.core.live_events import Final, Gap, LiveEvent, LiveState, Note, Partial, Status
from asrcli.core.live_session import LiveSession
from asrcli.providers.languages import canonical
from asrcli.providers.live import Hypothesis, Noted, Usage
from asrcli.transcript import Segment, Word

__all__ = ["Teller"]

_STATUS = 1.0
"""Seconds from one status to the next, while nothing changes."""
_WORTH_TELLING = 0.2
"""Seconds: the end of an utterance is not known better than that."""


class Teller:
    """Tells `on_event`, and remembers what was told; `lag` says how far sending is behind."""

    def __init__(
        self,
        on_event: Callable[[LiveEvent], None],
        *,
        service: str,
        lag: Callable[[], float],
        clock: Callable[[], float],
    ) -> None:
        self._on_event = on_event
        self._service = service
        self._lag = lag
        self._clock = clock
        self._state: LiveState | None = None
        self._told_at = clock()
        self._shown = False
        self._noted: set[str] = set()
        self.last_final = 0.0
        """Where the last final ended that said so."""
        self.dropped = 0.0
        """Seconds in gaps."""
        self.usage = Usage()

    def hypothesis(self, session: LiveSession, heard: Hypothesis) -> None:
        """A partial or a final; one without text takes back the partial."""
        start = None if heard.start is None else session.place(heard.start)
        if not heard.final:
            self._shown = True
            self._on_event(Partial(heard.text, start, heard.stable))
            return
        if not heard.text.strip():
            self.take_back_partial()
            return
        end = None if heard.end is None else session.place(heard.end)
        self._shown = False
        self.last_final = max(self.last_final, end or 0.0)
        self._on_event(Final(_segment(session, heard, start, end), heard.complete))

    def take_back_partial(self) -> None:
        """What was heard of it will be heard again, or not at all."""
        if self._shown:
            self._shown = False
            self._on_event(Partial(""))

    def gap(self, start: float, end: float, reason: str) -> None:
        """Nothing will come for this stretch, unless it is too short to matter."""
        if end - start >= _WORTH_TELLING:
            self.dropped += end - start
            self._on_event(Gap(start, end, reason))

    def note(self, noted: Noted) -> None:
        """Something odd, the first time that it is seen on any connection."""
        if noted.name not in self._noted:
            self._noted.add(noted.name)
            self._on_event(Note(noted.name, noted.message))

    def state(self, state: LiveState) -> None:
        """How the service is doing, if that is new."""
        if state is not self._state:
            self._state = state
            self.status(now=True)

    def status(self, *, now: bool = False) -> None:
        """The same again when it is time, or `now`."""
        at = self._clock()
        if self._state is not None and (now or at - self._told_at >= _STATUS):
            self._told_at = at
            self._on_event(Status(self._state, max(0.0, self._lag()), self._service))

    def count(self, usage: Usage) -> None:
        """What a connection cost."""
        self.usage = Usage(
            _sum(self.usage.seconds, usage.seconds),
            _sum(self.usage.tokens_in, usage.tokens_in),
            _sum(self.usage.tokens_out, usage.tokens_out),
        )


def _segment(
    session: LiveSession, heard: Hypothesis, start: float | None, end: float | None
) -> Segment:
    words = tuple(
        Word(word.text, session.place(word.start), session.place(word.end), word.confidence)
        for word in heard.words
    )
    return Segment(
        heard.text.strip(),
        start=start,
        end=end,
        timing=heard.timing,
        speaker=heard.speaker,
        language=canonical(heard.language),
        emotion=heard.emotion,
        words=words,
    )


def _sum(total: Any, more: Any) -> Any:
    return total if more is None else (total or 0) + more
