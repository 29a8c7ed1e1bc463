"""A recording said to a live service: by the vendor's SDK (`dashscope`), and by our own dialogues.

Ours are driven as the package `asrcli.protocol` says, over the program's own WebSocket; nothing is
paced on either side, since the emulated services listen to audio and not to the clock.
"""

from __future__ import annotations

import base64
import contextlib
import threading
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from queue import Queue
from typing import Any

from asrcli.protocol.dialogue import Dialogue, State
from asrcli.protocol.events import Event, Failed, Hypothesis
from asrcli.providers.live import Line, WebSocketService

__all__ = [
    "RATE",
    "Heard",
    "Sentences",
    "append",
    "chunks",
    "connected",
    "listen",
    "said",
    "threads_end",
]

RATE = 16_000
_CHUNK = 3_200
"""Bytes: 100 ms."""
_PATIENCE = 10.0
"""Seconds until what never comes is a failure of the test."""


def chunks(audio: bytes) -> list[bytes]:
    """Pieces of 100 ms."""
    return [audio[begin : begin + _CHUNK] for begin in range(0, len(audio), _CHUNK)]


@contextmanager
def threads_end() -> Iterator[None]:
    """See every thread that is begun within to its end.

    But for those of an event loop's pool: the emulated service goes on, and so does its own.
    """
    before = set(threading.enumerate())
    yield
    begun = set(threading.enumerate()) - before
    for thread in (thread for thread in begun if not thread.name.startswith("asyncio_")):
        thread.join(_PATIENCE)
        assert not thread.is_alive(), f"{thread.name} goes on"


# --- the SDK's ----------------------------------------------------------------------------------


class Heard:
    """An `OmniRealtimeCallback`, which keeps what it is told."""

    def __init__(self) -> None:
        self.events: Queue[dict[str, Any]] = Queue()
        self.closes: Queue[tuple[int | None, str | None]] = Queue()
        self.conversation: Any = None
        self.line: Any = None

    def on_open(self) -> None:
        """It is what `connect` waited for."""

    def on_event(self, message: dict[str, Any]) -> None:
        self.line = self.line or self.conversation.ws.sock
        self.events.put(message)

    def on_close(self, code: int | None, reason: str | None) -> None:
        self.closes.put((code, reason))

    def until(self, kind: str) -> list[dict[str, Any]]:
        """All events up to the next of that type."""
        events = [self.events.get(timeout=_PATIENCE)]
        while events[-1]["type"] != kind:
            events.append(self.events.get(timeout=_PATIENCE))
        return events


class Sentences:
    """A `RecognitionCallback`, which keeps what it is told."""

    def __init__(self) -> None:
        self.ended: list[dict[str, Any]] = []
        self.calls: list[str] = []

    def on_open(self) -> None:
        self.calls.append("open")

    def on_event(self, result: Any) -> None:
        sentence = result.get_sentence()
        if result.is_sentence_end(sentence):
            self.ended.append(sentence)

    def on_complete(self) -> None:
        self.calls.append("complete")

    def on_error(self, result: Any) -> None:
        self.calls.append(f"error {result.code}")

    def on_close(self) -> None:
        self.calls.append("close")

    @property
    def text(self) -> str:
        return " ".join(sentence["text"] for sentence in self.ended)


@contextmanager
def connected(conversation: Any) -> Iterator[Any]:
    """An `OmniRealtimeConversation` that is connected, and closed at the end."""
    heard: Heard = conversation.callback
    heard.conversation = conversation
    try:
        conversation.connect()
        heard.line = conversation.ws.sock or heard.line
        yield conversation
    finally:
        line = heard.line
        if line is not None and line.connected:
            # Its own `close` takes the answer from the thread that reads, which then sleeps 10 s.
            with contextlib.suppress(OSError):
                line.send_close()
        conversation.thread.join(_PATIENCE)
        if line is not None:
            line.shutdown()  # which it forgets once a close frame came


def append(conversation: Any, audio: bytes) -> None:
    """Say it in an `OmniRealtimeConversation`."""
    for chunk in chunks(audio):
        conversation.append_audio(base64.b64encode(chunk).decode())


# --- ours ---------------------------------------------------------------------------------------


def listen(service: WebSocketService, audio: bytes) -> list[Event]:
    """All that a dialogue of the service tells of this audio; the connection is closed then."""
    woken = threading.Event()
    dialogue = service.make_dialogue()
    line = service.connect(dialogue, woken.set)
    try:
        return list(_events(dialogue, line, deque(chunks(audio)), woken))
    finally:
        line.close()


def _events(
    dialogue: Dialogue, line: Line, waiting: deque[bytes], woken: threading.Event
) -> Iterator[Event]:
    dialogue.start()
    while not dialogue.over:
        woken.clear()
        for message in line.messages():
            dialogue.receive(message)
        if line.closed is not None:
            dialogue.closed(line.closed.code, line.closed.reason)
        _speak(dialogue, waiting)
        for outgoing in dialogue.messages_to_send():
            line.send(outgoing)
        yield from dialogue.events_received()
        if not dialogue.over and not woken.wait(dialogue.patience or _PATIENCE):
            assert dialogue.patience, "nothing came"
            dialogue.timed_out()
            yield from dialogue.events_received()


def _speak(dialogue: Dialogue, waiting: deque[bytes]) -> None:
    while waiting and dialogue.accepts_audio:
        dialogue.send_audio(waiting.popleft())
    if not waiting and dialogue.state is State.RUNNING:
        dialogue.finish()


def said(events: list[Event]) -> str:
    """The finals, as one text; the failure, where there is one."""
    failed = [f"{event.code}: {event.message}" for event in events if isinstance(event, Failed)]
    finals = [event.text for event in events if isinstance(event, Hypothesis) and event.final]
    return " ".join(failed or finals)
