"""The omni models, strictly: "Real-time multimodal: client events", "server events".

https://www.alibabacloud.com/help/en/model-studio/client-events and …/server-events.
"""

from __future__ import annotations

from typing import Any

from tests.emulators.realtime.asr import TURNS
from tests.emulators.realtime.fields import Check, boolean, number, obj, one_of, text, wrong
from tests.emulators.realtime.items import TRANSCRIPTION, ItemSession
from tests.emulators.realtime.listening import Spoken, joined

__all__ = ["MODELS", "OmniSession"]

MODELS = frozenset(
    "qwen3.5-omni-plus-realtime qwen3.5-omni-plus-realtime-2026-03-15 qwen3.5-omni-flash-realtime "
    "qwen3.5-omni-flash-realtime-2026-03-15 qwen3-omni-flash-realtime "
    "qwen3-omni-flash-realtime-2025-12-01 qwen3-omni-flash-realtime-2025-09-15".split()
)
LONGEST = 7200.0
"""Seconds of a session: 120 minutes, counted in audio."""
_SESSION: dict[str, Check] = {
    "modalities": one_of(["text"], ["text", "audio"], ["audio", "text"]),
    "voice": lambda value: value is None or text(value),  # null from the vendor's SDK
    "instructions": text,
    "audio": obj,
    "input_audio_format": one_of("pcm", "pcm16"),
    "output_audio_format": one_of("pcm", "pcm24", "pcm16"),
    "input_audio_transcription": lambda value: value is None or obj(value),
    "turn_detection": lambda value: value is None or obj(value),
    "smooth_output": lambda value: value is None or boolean(value),
    "temperature": number(0, 1.999),
    "top_p": number(0, 1),
    "top_k": number(0, 100),
    "max_tokens": number(1, 100_000),
    "repetition_penalty": number(0, 2),
    "presence_penalty": number(-2, 2),
    "seed": number(-1, 2**31),
}
_TURNS = TURNS | {
    "type": one_of("server_vad", "semantic_vad"),
    "idle_timeout_ms": number(5000, 30_000),
}
_RATES = one_of(8000, 16_000, 24_000, 48_000)


class OmniSession(ItemSession):
    commits_with_turns = True

    def greet(self) -> None:
        self._to_answer: list[tuple[str, Spoken]] = []
        self.session: dict[str, Any] = {
            "id": self.new_id("sess"),
            "object": "realtime.session",
            "model": self.book.query["model"],
            "modalities": ["text", "audio"],
            "voice": "Cherry",
            "input_audio_format": "pcm16",
            "output_audio_format": "pcm24",
            "input_audio_transcription": {"model": "qwen3-asr-flash-realtime"},
            "turn_detection": {
                "type": "server_vad",
                "threshold": 0.5,
                "prefix_padding_ms": 300,
                "silence_duration_ms": 800,
                "create_response": True,
                "interrupt_response": True,
            },
            "temperature": 0.8,
        }
        if self.manners.transcribes == "none":
            self.session["input_audio_transcription"] = None
        self.say("session.created", session=dict(self.session))

    def dispatch(self, event: dict[str, Any]) -> None:
        match event.get("type"):
            case "response.create":
                self._create()
            case "response.cancel":
                self.complain("response_cancel_not_active", "no response is active")
            case "input_audio_buffer.clear":
                self._clear()
            case _:
                super().dispatch(event)
        if self.book.seconds >= LONGEST and not self.over:
            self.close(1000, "the session has reached its longest duration")

    # --- configuration --------------------------------------------------------------------------

    def configure(self, event: dict[str, Any]) -> None:
        asked = event.get("session")
        if field := self._wrong(asked):
            self.blame(f"session.{field} is wrong")
            self.complain("invalid_value", f"Invalid value of {field}.", param=f"session.{field}")
            return
        assert isinstance(asked, dict)
        self.session |= asked
        form = asked.get("audio", {}).get("input", {}).get("format", {})
        self.listen_anew(form.get("sample_rate", 16_000), self.session["turn_detection"])
        self.say("session.updated", session=dict(self.session))

    def _wrong(self, asked: Any) -> str | None:
        if field := wrong(asked, _SESSION):
            return field
        if field := wrong(asked.get("turn_detection") or {}, _TURNS):
            return f"turn_detection.{field}"
        newer = str(self.session["model"]).startswith("qwen3.5")
        if "audio" in asked and ("input_audio_format" in asked or not newer):
            return "audio"
        if "audio" in asked and not self._form(asked["audio"]):
            return "audio.input.format"
        if "smooth_output" in asked and newer:
            return "smooth_output"
        semantic = (asked.get("turn_detection") or {}).get("type") == "semantic_vad"
        return "turn_detection.type" if semantic and not newer else None

    def _form(self, audio: dict[str, Any]) -> bool:
        form = audio.get("input", {}).get("format", {})
        return form.get("type") in {"pcm", "wav"} and _RATES(form.get("sample_rate"))

    # --- utterances -----------------------------------------------------------------------------

    @property
    def _recognizes(self) -> bool:
        return self.session["input_audio_transcription"] is not None

    def tell_partial(self, item: str, spoken: Spoken) -> None:
        if not self._recognizes or self.manners.transcribes != "delta":
            return
        stable = joined(word.text for word in spoken.words[:-1])
        self.say(
            f"{TRANSCRIPTION}delta",
            item_id=item,
            content_index=0,
            language=spoken.language,
            emotion=spoken.emotion,
            text=stable,
            stash=spoken.text[len(stable) :],
            obfuscation="x",
        )

    def tell_final(self, item: str, spoken: Spoken) -> None:
        self._tell_aside(item, spoken)
        self._to_answer.append((item, spoken))
        if self.turns is not None:
            self._respond()

    def _tell_aside(self, item: str, spoken: Spoken) -> None:
        place = {"item_id": item, "content_index": 0}
        if not self._recognizes:
            return
        if self.manners.transcribes == "failed":
            error = {"code": "audio_unintelligible", "message": "cannot hear", "param": None}
            self.say(f"{TRANSCRIPTION}failed", **place, error=error)
        else:
            self.say(f"{TRANSCRIPTION}completed", **place, transcript=spoken.text)

    def _clear(self) -> None:
        if self.hearing is not None:
            self.hearing.end()
            self._committed = self.hearing.position
        self.say("input_audio_buffer.cleared")

    # --- responses ------------------------------------------------------------------------------

    def _create(self) -> None:
        if not self._to_answer:
            self.blame("a response was asked for, but nothing was said")
            self.complain("invalid_value", "there is nothing to answer")
        else:
            self._respond()

    def _respond(self) -> None:
        _, spoken = self._to_answer[-1]
        self._to_answer.clear()
        instructions = str(self.session.get("instructions", ""))
        said = self.manners.answer(spoken.text, instructions)
        if "`emotion: `" in instructions:
            said = f"{said}\nemotion: {spoken.emotion}"
        statuses = self.manners.statuses
        status = statuses.pop(0) if statuses else "completed"
        if status != "completed":
            said = said[: len(said) // 2]
        self._write(said, status, len(spoken.words))

    def _write(self, said: str, status: str, words: int) -> None:
        # With sound, the text has other names.
        sound = "audio" in self.session["modalities"]
        name = "audio_transcript" if sound else "text"
        response, item = self.new_id("resp"), self.new_id("item")
        base = {"id": response, "object": "realtime.response", "conversation_id": "conv_1"}
        base |= {"modalities": self.session["modalities"]}
        place = {"response_id": response, "output_index": 0}
        part = {**place, "item_id": item, "content_index": 0}
        form = {"id": item, "object": "realtime.item", "type": "message", "role": "assistant"}
        self.say("response.created", response=base | {"status": "in_progress", "output": []})
        self.say("response.output_item.added", **place, item=form | {"content": []})
        self.say_item(item, "assistant", [])
        self.say("response.content_part.added", **part, part={"type": "text", "text": ""})
        for begin in range(0, len(said), 8):
            self.say(f"response.{name}.delta", **part, delta=said[begin : begin + 8])
        whole = {"transcript": said} if sound else {"text": said}
        self.say(f"response.{name}.done", **part, **whole)
        content = [{"type": "audio" if sound else "text", **whole}]
        self.say("response.content_part.done", **part, part=content[0])
        done = form | {"content": content, "status": "completed"}
        self.say("response.output_item.done", **place, item=done)
        usage = {"input_tokens": 50 + words, "output_tokens": words, "total_tokens": 50 + 2 * words}
        end = {"status": status, "output": [done], "usage": usage}
        self.say("response.done", response=base | end)

    # --- the end --------------------------------------------------------------------------------

    def finish(self, event: dict[str, Any]) -> None:
        match self.manners.finishes:
            case "finished":
                self.say("session.finished")
                self.over = True
            case "reject":
                super().finish(event)
