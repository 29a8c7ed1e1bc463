"""qwen3-asr-flash-realtime, strictly."""

from __future__ import annotations

from typing import Any

from tests.emulators.realtime.fields import Check, list_of_texts, number, obj, one_of, text, wrong
from tests.emulators.realtime.items import TRANSCRIPTION, ItemSession
from tests.emulators.realtime.listening import Spoken, joined

__all__ = ["MODELS", "ASRSession"]

MODELS = frozenset(
    "qwen3-asr-flash-realtime qwen3-asr-flash-realtime-2026-02-10 "
    "qwen3-asr-flash-realtime-2025-10-27".split()
)
LANGUAGES = frozenset(
    "zh yue en ja de ko ru fr pt ar it es hi id th tr uk vi cs da fil fi is ms no pl sv".split()
)
TURNS: dict[str, Check] = {
    "type": one_of("server_vad"),
    "threshold": number(-1, 1),
    "silence_duration_ms": number(200, 6000),
    "prefix_padding_ms": number(0, 6000),
}
_SESSION: dict[str, Check] = {
    "modalities": list_of_texts,
    "input_audio_format": one_of("pcm", "opus"),
    "sample_rate": one_of(16_000, 8000),
    "input_audio_transcription": lambda value: value is None or obj(value),
    "turn_detection": lambda value: value is None or obj(value),
    # Nothing is spoken here, but the vendor's SDK (`dashscope`) sends both to all its models.
    "voice": one_of(None),
    "output_audio_format": one_of("pcm16"),
}
_TRANSCRIPTION: dict[str, Check] = {
    "language": lambda value: text(value) and value in LANGUAGES,
    "corpus": lambda value: obj(value) and set(value) == {"text"} and text(value["text"]),
}


class ASRSession(ItemSession):
    def greet(self) -> None:
        self.session: dict[str, Any] = {
            "id": self.new_id("sess"),
            "object": "realtime.session",
            "model": self.book.query["model"],
            "modalities": ["text"],
            "input_audio_format": "pcm",
            "sample_rate": 16_000,
            "input_audio_transcription": None,
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.2,
                "silence_duration_ms": 800,
                "create_response": True,
                "interrupt_response": True,
            },
        }
        self.say("session.created", session=dict(self.session))

    def configure(self, event: dict[str, Any]) -> None:
        asked = event.get("session")
        if field := self._wrong(asked):
            self.blame(f"session.{field} is wrong")
            self.complain("invalid_value", f"Invalid value of {field}.", param=f"session.{field}")
            return
        assert isinstance(asked, dict)
        self.session |= asked
        self.listen_anew(self.session["sample_rate"], self.session["turn_detection"])
        self.say("session.updated", session=dict(self.session))

    def _wrong(self, asked: Any) -> str | None:
        if field := wrong(asked, _SESSION):
            return field
        if field := wrong(asked.get("turn_detection") or {}, TURNS):
            return f"turn_detection.{field}"
        if field := wrong(asked.get("input_audio_transcription") or {}, _TRANSCRIPTION):
            return f"input_audio_transcription.{field}"
        return None

    def _language(self, spoken: Spoken) -> str:
        asked = self.session["input_audio_transcription"] or {}
        return str(asked.get("language") or spoken.language)

    def tell_partial(self, item: str, spoken: Spoken) -> None:
        stable = joined(word.text for word in spoken.words[:-1])
        self.say(
            f"{TRANSCRIPTION}text",
            item_id=item,
            content_index=0,
            language=self._language(spoken),
            emotion=spoken.emotion,
            text=stable,
            stash=spoken.text[len(stable) :],
        )

    def tell_final(self, item: str, spoken: Spoken) -> None:
        self.say(
            f"{TRANSCRIPTION}completed",
            item_id=item,
            content_index=0,
            language=self._language(spoken),
            emotion=spoken.emotion,
            transcript=spoken.text,
        )

    def finish(self, event: dict[str, Any]) -> None:
        if self.hearing is not None:
            rest = self.hearing.position - self._committed
            if self.turns is None and rest > 0:
                self.commit()
            else:
                self.tell(self.hearing.end())
        self.say("session.finished")
        self.over = True
        if self.manners.closes_after_end:
            self.close(1000)
