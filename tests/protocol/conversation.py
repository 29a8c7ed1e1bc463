"""A dialogue and an emulated session, talking in memory: no socket, no thread, no time."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable
from typing import Any

from asrcli.protocol.dialogue import Dialogue
from asrcli.protocol.events import Event, Hypothesis
from tests.emulators.realtime.faults import Close
from tests.emulators.realtime.logbook import Connection
from tests.emulators.realtime.session import Manners, Session
from tests.emulators.realtime.toy import hear

__all__ = ["book_for", "converse", "counting", "finals", "made", "sent", "texts"]


def counting() -> Callable[[], str]:
    """Ids that are known beforehand: 32 digits, counted from 1."""
    numbers = itertools.count(1)
    return lambda: f"{next(numbers):032}"


def book_for(dialogue: Dialogue) -> Connection:
    """The logbook of a connection that is just open."""
    from urllib.parse import parse_qsl, urlsplit

    parts = urlsplit(dialogue.url("ws://127.0.0.1/api-ws/v1"))
    return Connection(1, parts.path, dict(parse_qsl(parts.query)), dict(dialogue.headers))


def made(kind: type[Session], dialogue: Dialogue, **manners: Any) -> Session:
    """A session of the emulator for this dialogue, with the toy ear."""
    return kind(book_for(dialogue), Manners(listen=hear, **manners))


def converse(
    dialogue: Dialogue,
    session: Session,
    audio: bytes,
    *,
    ends: Iterable[float] = (),
    chunk: int = 3200,
) -> list[Event]:
    """All the events of a dialogue that sends `audio`; `ends` are seconds of `end_utterance`."""
    events: list[Event] = []
    ends = list(ends)
    dialogue.start()
    session.opened()
    place = 0
    while not dialogue.over:
        moved = _exchange(dialogue, session)
        events += dialogue.events_received()
        if dialogue.accepts_audio and place < len(audio):
            dialogue.send_audio(audio[place : place + chunk])
            place += chunk
            if ends and dialogue.sent >= ends[0]:
                ends.pop(0)
                dialogue.end_utterance()
        elif dialogue.accepts_audio:
            dialogue.finish()
        elif not moved:
            dialogue.timed_out()
    return events + dialogue.events_received()


def _exchange(dialogue: Dialogue, session: Session) -> bool:
    moved = False
    while messages := dialogue.messages_to_send():
        for message in messages:
            session.received(message)
        moved = True
    out, session.out = session.out, []
    for event in out:
        if isinstance(event, Close):
            dialogue.closed(event.code, event.reason)
        else:
            dialogue.receive(json.dumps(event))
    return moved or bool(out)


def finals(events: Iterable[Event]) -> list[Hypothesis]:
    """The finals among the events."""
    return [event for event in events if isinstance(event, Hypothesis) and event.final]


def texts(events: Iterable[Event]) -> list[str]:
    """What they say."""
    return [final.text for final in finals(events)]


def sent(dialogue: Dialogue) -> list[dict[str, Any]]:
    """The JSON messages that the dialogue has to send; audio in binary is left out."""
    return [json.loads(m) for m in dialogue.messages_to_send() if isinstance(m, str)]
