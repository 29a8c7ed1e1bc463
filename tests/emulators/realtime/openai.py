"""Servers of one's own: OpenAI's dialogue in its forms, and vLLM's.

https://developers.openai.com/api/docs/guides/realtime-transcription,
https://github.com/speaches-ai/speaches (`docs/usage/realtime-api.md`),
https://docs.vllm.ai/en/latest/examples/speech_to_text/realtime/.
"""

from __future__ import annotations

import base64
from typing import Any

from tests.emulators.realtime.fields import Check, list_of_texts, number, obj, one_of, text, wrong
from tests.emulators.realtime.items import TRANSCRIPTION, ItemSession
from tests.emulators.realtime.listening import Spoken, joined
from tests.emulators.realtime.session import Session, parsed

__all__ = ["BetaSession", "OpenAISession", "SpeachesSession", "VLLMSession"]

_TRANSCRIPTION: dict[str, Check] = {
    "model": text,
    "language": text,
    "prompt": text,
    "keywords": list_of_texts,
}
_TURNS: dict[str, Check] = {
    "type": one_of("server_vad", "semantic_vad"),
    "threshold": number(0, 1),
    "silence_duration_ms": number(100, 6000),
    "prefix_padding_ms": number(0, 6000),
}


class OpenAISession(ItemSession):
    """The nested form; append-only partials."""

    ids_required = False
    shortest = 0.1
    commits_with_turns = True
    update = "session.update"

    def greet(self) -> None:
        self._told: dict[str, str] = {}
        self.say("session.created", session={"id": self.new_id("sess"), "type": "transcription"})

    def dispatch(self, event: dict[str, Any]) -> None:
        kind = event.get("type")
        if kind == self.update:
            self.configure(event)
        elif kind == "session.update":
            self.blame("the configuration of another form")
            self.complain("invalid_event", "unknown event type")
        else:
            super().dispatch(event)

    def configure(self, event: dict[str, Any]) -> None:
        asked = event.get("session")
        field = self.wrong_field(asked)
        if field is not None:
            self.blame(f"session.{field} is wrong")
            self.complain("invalid_value", f"Invalid value of {field}.", param=f"session.{field}")
            return
        assert isinstance(asked, dict)
        heard = self.heard(asked)
        self.listen_anew(24_000, heard.get("turn_detection"))
        self.say(f"{self.update.removesuffix('update')}updated", session=asked)

    def heard(self, asked: dict[str, Any]) -> dict[str, Any]:
        found = asked["audio"]["input"]
        assert isinstance(found, dict)
        return found

    def wrong_field(self, asked: Any) -> str | None:
        """The nested form."""
        if wrong(asked, {"type": one_of("transcription"), "audio": obj}, "type", "audio"):
            return "type"
        known = {"format": obj, "transcription": obj, "turn_detection": lambda v: not v or obj(v)}
        heard = asked["audio"].get("input")
        if field := wrong(heard, known, "format", "transcription"):
            return f"audio.input.{field}"
        if heard["format"] != {"type": "audio/pcm", "rate": 24_000}:
            return "audio.input.format"
        return self._wrong_parts(heard["transcription"], heard.get("turn_detection"))

    def _wrong_parts(self, transcription: Any, turns: Any) -> str | None:
        if field := wrong(transcription, _TRANSCRIPTION, "model"):
            return f"transcription.{field}"
        field = wrong(turns or {}, _TURNS)
        return f"turn_detection.{field}" if field else None

    def say_item(self, item: str, role: str, content: list[dict[str, Any]]) -> None:
        form = {"id": item, "type": "message", "role": role, "content": content}
        for kind in ("added", "done"):
            self.say(f"conversation.item.{kind}", previous_item_id=self._previous, item=form)
        self._previous = item

    def tell_partial(self, item: str, spoken: Spoken) -> None:
        told = self._told.get(item, "")
        self._told[item] = spoken.text
        if spoken.text != told:
            delta = spoken.text.removeprefix(told)
            self.say(f"{TRANSCRIPTION}delta", item_id=item, content_index=0, delta=delta)

    def tell_final(self, item: str, spoken: Spoken) -> None:
        self.tell_partial(item, spoken)
        seconds = spoken.end - spoken.start if spoken.words else 0.0
        self.say(
            f"{TRANSCRIPTION}completed",
            item_id=item,
            content_index=0,
            transcript=spoken.text,
            usage={"type": "duration", "seconds": round(seconds, 2)},
        )


class BetaSession(OpenAISession):
    """The flat form of the beta."""

    update = "transcription_session.update"

    def greet(self) -> None:
        self._told: dict[str, str] = {}
        self.say("transcription_session.created", session={"id": self.new_id("sess")})

    def heard(self, asked: dict[str, Any]) -> dict[str, Any]:
        return asked

    def wrong_field(self, asked: Any) -> str | None:
        known = {
            "input_audio_format": one_of("pcm16"),
            "input_audio_transcription": obj,
            "turn_detection": lambda value: not value or obj(value),
        }
        if field := wrong(asked, known, "input_audio_transcription"):
            return field
        return self._wrong_parts(asked["input_audio_transcription"], asked.get("turn_detection"))


class SpeachesSession(BetaSession):
    """No partials; times from the beginning of each utterance's own audio."""

    update = "session.update"

    def greet(self) -> None:
        self._zero = 0.0
        self._told = {}
        flat = {"id": self.new_id("sess"), "input_audio_transcription": {}}
        self.say("session.created", session=flat)
        if "model" not in self.book.query:
            self.blame("no model in the query")

    def wrong_field(self, asked: Any) -> str | None:
        # Naming the format is refused, although it is the only one.
        named = isinstance(asked, dict) and "input_audio_format" in asked
        return "input_audio_format" if named else super().wrong_field(asked)

    def _clock(self, seconds: float) -> int:
        return round((seconds - self._committed) * 1000)

    def tell_partial(self, item: str, spoken: Spoken) -> None:
        """It tells none."""


class VLLMSession(Session):
    """One text at a time, between a commit that is not final and one that is."""

    def opened(self) -> None:
        self._model: str | None = None
        self._told: str | None = None
        self.out.append({"type": "session.created", "id": self.new_id("sess"), "created": 0})

    def failure(self, code: str, message: str, kind: str) -> dict[str, Any]:
        return {"type": "error", "error": message, "code": code}

    def received(self, message: str | bytes) -> None:
        event = None if isinstance(message, bytes) else parsed(message)
        if event is None:
            self._complain("invalid_json", "Invalid JSON")
            return
        match event:
            case {"type": "session.update", "model": str(model)}:
                self._model = model
                if model.startswith("unknown"):
                    self._complain("model_not_found", "the model does not exist")
            case {"type": "input_audio_buffer.append", "audio": str(audio)}:
                self._append(base64.b64decode(audio))
            case {"type": "input_audio_buffer.commit", "final": bool(final)}:
                self._commit(final=final)
            case _:
                self._complain("unknown_event", f"unknown event type: {event.get('type')}")

    def _complain(self, code: str, message: str) -> None:
        self.blame(message)
        self.out.append(self.failure(code, message, ""))

    def _append(self, samples: bytes) -> None:
        if self._told is None or not samples:
            self._complain("invalid_audio", "Invalid audio data")
            return
        for spoken in self.hear(samples):
            delta = spoken.text.removeprefix(self._told)
            self._told = spoken.text
            self.out.append({"type": "transcription.delta", "delta": delta})

    def _commit(self, *, final: bool) -> None:
        if self._model is None:
            self._complain("model_not_validated", "Model not validated.")
        elif not final and self._told is None:
            self._told = ""
            listening = self.hearing or self.start_listening(16_000, 1.0)
            listening.pause = None
        elif final and self._told is not None:
            assert self.hearing is not None
            heard = joined(spoken.text for spoken in self.hearing.end())
            tokens = len(heard.split())
            usage = {"prompt_tokens": 10, "completion_tokens": tokens, "total_tokens": 10 + tokens}
            self.out.append({"type": "transcription.done", "text": heard, "usage": usage})
            self._told = None
