"""What the emulated dialogues in JSON events share: envelopes, audio in base64, items.

Pages: https://www.alibabacloud.com/help/en/model-studio/qwen-asr-realtime-client-events and
…-server-events; https://developers.openai.com/api/reference/resources/realtime/client-events.
"""

from __future__ import annotations

import base64
import binascii
from abc import abstractmethod
from typing import Any

from tests.emulators.realtime.faults import Close
from tests.emulators.realtime.listening import Spoken
from tests.emulators.realtime.session import Session, parsed

__all__ = ["ItemSession"]

TRANSCRIPTION = "conversation.item.input_audio_transcription."
MOST_AUDIO = 15 * 1024 * 1024


class ItemSession(Session):
    """Utterances are items; subclasses say what is told of each."""

    ids_required = True
    shortest = 0.0
    """Seconds that may be committed."""
    commits_with_turns = False
    """A commit is taken also while the service finds the utterances."""

    def opened(self) -> None:
        self.configured = False
        self.turns: dict[str, Any] | None = {}
        self._event_ids: set[str] = set()
        self._current: dict[str, Any] = {}
        self._items: dict[int, str] = {}
        self._previous = ""
        self._committed = 0.0
        self.greet()

    @abstractmethod
    def greet(self) -> None:
        """What is said first."""

    @abstractmethod
    def configure(self, event: dict[str, Any]) -> None:
        """`session.update` came."""

    @abstractmethod
    def tell_partial(self, item: str, spoken: Spoken) -> None:
        """The text so far."""

    @abstractmethod
    def tell_final(self, item: str, spoken: Spoken) -> None:
        """All that follows the end of an utterance."""

    # --- messages -------------------------------------------------------------------------------

    def received(self, message: str | bytes) -> None:
        if self.over:
            return
        event = None if isinstance(message, bytes) else parsed(message)
        if event is None:
            self.blame("a message that is no JSON object")
            self.complain("invalid_event", "cannot read the message")
            return
        self._check_id(event)
        self._current = event
        self.dispatch(event)

    def dispatch(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "session.update":
                self.configure(event)
            case "input_audio_buffer.append":
                self._append(event)
            case "input_audio_buffer.commit":
                self._commit(event)
            case "session.finish":
                self.finish(event)
            case kind:
                self.blame(f"an event of unknown type: {kind}")
                self.complain("invalid_event", f"unknown event type: {kind}")

    def finish(self, event: dict[str, Any]) -> None:
        """`session.finish` came; only some know it."""
        self.complain("invalid_event", f"unknown event type: {event['type']}")

    def _check_id(self, event: dict[str, Any]) -> None:
        name = event.get("event_id")
        if not isinstance(name, str) or not name:
            if self.ids_required:
                self.blame("an event without event_id")
        elif name in self._event_ids:
            self.blame("an event_id that came before")
        else:
            self._event_ids.add(name)

    def say(self, kind: str, **fields: Any) -> None:
        self.out.append({"event_id": self.new_id("event"), "type": kind, **fields})

    def failure(self, code: str, message: str, kind: str) -> dict[str, Any]:
        error = {"type": kind, "code": code, "message": message, "param": None}
        return {"event_id": self.new_id("event"), "type": "error", "error": error}

    def complain(self, code: str, message: str, *, param: str | None = None) -> None:
        """An error after which the session goes on."""
        event = self.failure(code, message, "invalid_request_error")
        event["error"] |= {"param": param, "event_id": self._current.get("event_id")}
        self.out.append(event)

    # --- audio ----------------------------------------------------------------------------------

    def _append(self, event: dict[str, Any]) -> None:
        audio = event.get("audio")
        if not self.configured or self.hearing is None:
            self.blame("audio before the configuration")
            self.complain("invalid_event", "audio came before session.update")
            return
        try:
            samples = base64.b64decode(audio, validate=True) if isinstance(audio, str) else b""
        except (binascii.Error, ValueError):
            samples = b""
        if not samples or len(samples) > MOST_AUDIO or set(event) - {"event_id", "type", "audio"}:
            self.blame("audio that cannot be decoded")
            self.complain("invalid_audio", "cannot decode the audio")
            return
        if len(samples) % 2:
            self.blame("audio that ends within a sample")
        self.tell(self.hear(samples))

    def tell(self, changes: list[Spoken], *, committed: bool = False) -> None:
        for spoken in changes:
            if self.turns is None and not committed:
                # Without turn detection nothing is told before the commit.
                continue
            item = self._item(spoken)
            if not spoken.over:
                self.tell_partial(item, spoken)
            else:
                self._end_item(item, spoken, committed=committed)

    def _item(self, spoken: Spoken) -> str:
        if spoken.number not in self._items:
            self._items[spoken.number] = self.new_id("item")
            if self.turns is not None:
                start = self._clock(spoken.start)
                self.say_speech("started", audio_start_ms=start, item_id=self._items[spoken.number])
        return self._items[spoken.number]

    def say_speech(self, what: str, **fields: Any) -> None:
        self.say(f"input_audio_buffer.speech_{what}", **fields)

    def _clock(self, seconds: float) -> int:
        return round(seconds * 1000)

    def _end_item(self, item: str, spoken: Spoken, *, committed: bool) -> None:
        if self.turns is not None and not committed:
            self.say_speech("stopped", audio_end_ms=self._clock(spoken.end), item_id=item)
        self.say_committed(item)
        if self.turns is None:
            self.tell_partial(item, spoken)
        self.tell_final(item, spoken)

    def say_committed(self, item: str) -> None:
        assert self.hearing is not None
        self._committed = self.hearing.position
        self.say("input_audio_buffer.committed", previous_item_id=self._previous, item_id=item)
        self.say_item(item, "user", [{"type": "input_audio", "transcript": None}])

    def say_item(self, item: str, role: str, content: list[dict[str, Any]]) -> None:
        form = {"id": item, "object": "realtime.item", "type": "message", "status": "completed"}
        self.say(
            "conversation.item.created",
            previous_item_id=self._previous,
            item=form | {"role": role, "content": content},
        )
        self._previous = item

    def _commit(self, event: dict[str, Any]) -> None:
        seconds = self.hearing.position - self._committed if self.hearing else 0.0
        if self.turns is not None and not self.commits_with_turns:
            self.blame("a commit although the service finds the utterances")
            self.complain("commit_not_allowed", "commit is not allowed with turn detection")
        elif seconds <= 0 or seconds < self.shortest:
            self.complain("input_audio_buffer_commit_empty", "the buffer is too small")
        else:
            self.commit()

    def commit(self) -> None:
        """End the open utterance here; without a word in it, it has an empty text."""
        assert self.hearing is not None
        changes = self.hearing.end()
        self.tell(changes, committed=True)
        if not any(spoken.over for spoken in changes):
            item = self.new_id("item")
            self.say_committed(item)
            self.tell_final(item, Spoken(-1, (), over=True, language="en", emotion="neutral"))

    def listen_anew(self, rate: int, turns: dict[str, Any] | None) -> None:
        """Take the configuration; `turns` is None when the client says where utterances end."""
        self.turns, self.configured = turns, True
        silence = (turns or {}).get("silence_duration_ms", 800) / 1000
        listening = self.hearing or self.start_listening(rate, silence)
        own = self.manners.pause if self.manners.pause is not None else silence
        listening.pause = None if turns is None else own

    def close(self, code: int, reason: str = "") -> None:
        self.over = True
        self.out.append(Close(code, reason))
