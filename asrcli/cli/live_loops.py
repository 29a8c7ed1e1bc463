"""The loop that hears, made for a model: over a WebSocket, by short clips, or on this computer."""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Protocol

from asrcli.cli.asked import Request
from asrcli.cli.session import Session
from asrcli.core.live_events import LiveEvent, Outcome, Partial
from asrcli.core.live_service import Hearing
from asrcli.providers.base import API
from asrcli.transport.connection import Connection

if TYPE_CHECKING:
    from asrcli.core.asking import Asker
    from asrcli.core.jobs import JobRunner

__all__ = ["Loop", "LoopMaker"]

_RATE = 16_000
_SENT_LATE = 5.0
"""Seconds of a pipe's sound that may wait to be sent before no more of it is read,"""
_ANSWERED_LATE = 30.0
"""and of speech in clips that may wait for their answers."""
_JOBS = 8
"""Clips at work at once where each is a job: one takes longer than it lasts,"""
_JOB_PATIENCE = 300.0
"""and at the end its text is waited for that long."""


class Loop(Protocol):
    """`core.live.Live` or `core.near.Near`."""

    def run(self, blocks: Any) -> Outcome:
        """Hear all of it."""
        ...

    def stop(self) -> None:
        """End capture; by any thread."""
        ...


@dataclass(frozen=True, slots=True)
class LoopMaker:
    """Makes one loop; whatever has to be closed after it is put on `stack`."""

    session: Session
    request: Request
    hearing: Hearing
    on_event: Callable[[LiveEvent], None]
    stack: ExitStack
    piped: bool = False
    """The sound can wait, as that of a microphone cannot."""
    partials: bool = True
    dialect: str | None = None
    """Of a server of one's own."""

    def make(self) -> tuple[Loop, int]:
        """The loop, and the sample rate in Hz that it takes."""
        if self.hearing.embedded:
            return self._embedded(), _RATE
        if self.hearing.live:
            return self._live()
        return self._clips(), _RATE

    def _live(self) -> tuple[Loop, int]:
        from asrcli.core.healing import Healing, HealingPolicy
        from asrcli.core.hearing import Backlog
        from asrcli.core.live import Live
        from asrcli.core.live_service import make_service

        session, model = self.session, self.hearing.choice.model
        service = make_service(
            model,
            self._options(),
            session.settings,
            self._connection(),
            environ=os.environ,
            dialect=self.dialect,
        )
        backlog = Backlog(sample_rate=service.make_dialogue().sample_rate)
        self.stack.enter_context(backlog)
        live = Live(
            service,
            backlog,
            self.on_event,
            most_waiting=_SENT_LATE if self.piped else None,
            healing=Healing(HealingPolicy(retries=session.network.retries)),
        )
        return live, live.sample_rate

    def _clips(self) -> Loop:
        from asrcli.core.asking import Asker
        from asrcli.core.clips import ServiceClips
        from asrcli.core.near import Near

        session, model = self.session, self.hearing.choice.model
        asker = Asker(session.provider(model.provider), session.memory())
        jobs = self._jobs(asker)
        late = ", each a job of its own: its text comes late" if jobs else ""
        session.console.note(
            f"{model.id} at {model.provider} takes recordings: speech is sent in short clips, cut "
            f"at pauses{late}"
        )
        slow: dict[str, Any] = {"in_flight": _JOBS, "patience": _JOB_PATIENCE} if jobs else {}
        return Near(
            ServiceClips(asker, model, self._options(), session.folder, jobs=jobs),
            self.on_event,
            service=model.provider,
            sample_rate=_RATE,
            most_waiting=_ANSWERED_LATE if self.piped else None,
            **slow,
        )

    def _jobs(self, asker: Asker) -> JobRunner | None:
        if self.hearing.choice.model.api not in {API.JOB, API.JOB_LIST}:
            return None
        return self.session.jobs(asker, self.session.memory(), detach=False)

    def _embedded(self) -> Loop:
        from asrcli.core.clips import EmbeddedClips, UtteranceCutter
        from asrcli.core.near import Near

        engine = EmbeddedClips(self.hearing.choice.model.id)
        self.stack.callback(engine.close)
        cutter = UtteranceCutter(
            _RATE,
            read=engine.text if self.partials else None,
            tell=lambda text, start: self.on_event(Partial(text, start)),
        )
        return Near(
            engine,
            self.on_event,
            service="local",
            sample_rate=_RATE,
            most_waiting=_ANSWERED_LATE if self.piped else None,
            cutter=cutter,
        )

    def _options(self) -> Any:
        session = self.session
        return session.options(self.request, session.memory(), send=True)(self.hearing.choice)

    def _connection(self) -> Connection:
        network = self.session.network
        return Connection(
            timeout=network.timeout or None,
            ca_bundle=network.ca_bundle,
            insecure_http=network.insecure_http,
            offline=network.offline,
        )
