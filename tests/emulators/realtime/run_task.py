"""The run-task dialogue, strictly: "Fun-ASR client events", "Fun-ASR server events".

https://help.aliyun.com/en/model-studio/fun-asr-client-events and beside it; gummy:
https://help.aliyun.com/document_detail/2869339.html.
"""

from __future__ import annotations

import math
from typing import Any

from tests.emulators.realtime.faults import Close
from tests.emulators.realtime.fields import (
    Check,
    boolean,
    list_of_texts,
    number,
    obj,
    one_of,
    text,
    wrong,
)
from tests.emulators.realtime.listening import Spoken
from tests.emulators.realtime.session import Session, parsed

__all__ = ["MODELS", "TaskSession"]

MODELS = frozenset(
    "fun-asr-realtime fun-asr-realtime-2026-02-28 fun-asr-realtime-2025-11-07 "
    "fun-asr-realtime-2025-09-15 fun-asr-flash-8k-realtime fun-asr-flash-8k-realtime-2026-01-28 "
    "paraformer-realtime-v2 paraformer-realtime-v1 paraformer-realtime-8k-v2 "
    "paraformer-realtime-8k-v1 gummy-realtime-v1 gummy-chat-v1 "
    "qwen-audio-3.0-asr-flash-streaming qwen-audio-3.1-asr-flash-streaming "
    "qwen-audio-3.1-asr-flash-message".split()
)
FORMATS = ("pcm", "wav", "mp3", "opus", "speex", "aac", "amr")
LANGUAGES = frozenset(
    "zh yue en ja ko vi th id ms tl hi ar fr de es pt ru it nl sv da fi no el pl cs hu ro bg hr "
    "sk".split()
)
_ALL: dict[str, Check] = {
    "format": text,
    "sample_rate": number(8000, 48_000),
    "vocabulary_id": text,
}
_COMMON: dict[str, Check] = {
    "language_hints": lambda value: list_of_texts(value) and LANGUAGES.issuperset(value),
    "semantic_punctuation_enabled": boolean,
    "max_sentence_silence": number(200, 6000),
    "multi_threshold_mode_enabled": boolean,
    "heartbeat": boolean,
    "special_word_filter": lambda value: isinstance(value, str | dict),
}
_FUN: dict[str, Check] = {"speech_noise_threshold": number(-1, 1)}
_PARAFORMER: dict[str, Check] = {
    "punctuation_prediction_enabled": boolean,
    "inverse_text_normalization_enabled": boolean,
    "disfluency_removal_enabled": boolean,
}
_QWEN_AUDIO: dict[str, Check] = {"vocabulary": obj, "intermediate_result_enabled": boolean}
_GUMMY: dict[str, Check] = {
    "source_language": text,
    "transcription_enabled": boolean,
    "translation_enabled": boolean,
    "translation_target_languages": list_of_texts,
    "max_end_silence": number(200, 6000),
}
_HEADER: dict[str, Check] = {
    "action": text,
    "task_id": lambda value: text(value) and len(value.replace("-", "")) == 32,
    "streaming": one_of("duplex"),
}
_PAYLOAD: dict[str, Check] = {
    "task_group": one_of("audio"),
    "task": one_of("asr"),
    "function": one_of("recognition"),
    "model": text,
    "parameters": obj,
    "input": obj,
    "resources": lambda value: isinstance(value, list),
}


class TaskSession(Session):
    """Tasks one after the other on one socket."""

    task: str | None = None

    def opened(self) -> None:
        """The client speaks first."""
        self._tasks: set[str] = set()
        self._said: set[int] = set()
        self._ended = False
        self._last_frame = 0
        self._samples = 0
        self._beats = 0

    def received(self, message: str | bytes) -> None:
        if isinstance(message, bytes):
            self._take_audio(message)
            return
        command = parsed(message)
        header = command.get("header") if command else None
        if command is None or wrong(header, _HEADER, *_HEADER) or not isinstance(header, dict):
            self.blame(f"a message that cannot be read: {message[:80]}")
            self._close(1007, "cannot read the message")
            return
        match header["action"]:
            case "run-task":
                self._run(header["task_id"], command.get("payload"))
            case "finish-task":
                self._finish(header["task_id"], command.get("payload"))
            case "continue-task" if header["task_id"] == self.task:
                pass
            case action:
                self._refuse(f"unexpected action: {action}")

    def idle(self) -> None:
        if self.task is not None:
            self._fail("CLIENT_ERROR", "request timeout after 23 seconds.")
        elif self._tasks:
            self._close(1000, "idle")

    def failure(self, code: str, message: str, kind: str) -> dict[str, Any]:
        return self._event("task-failed", {}, error_code=code, error_message=message)

    # --- the beginning --------------------------------------------------------------------------

    def _run(self, task: str, payload: Any) -> None:
        if self.task is not None or task in self._tasks:
            self._refuse("a task runs already, or ran under this id")
            return
        self.task = task
        self._tasks.add(task)
        if not isinstance(payload, dict) or "input" not in payload:
            self._refuse("task can not be null", close=1007)
        elif "model" not in payload:
            self._refuse("Missing required parameter 'payload.model'!")
        elif field := wrong(payload, _PAYLOAD, *(set(_PAYLOAD) - {"resources"})):
            self._refuse(f"payload.{field} is wrong")
        elif payload["model"] not in MODELS:
            self._fail("Model.NotExist", "Model not exist.")
        else:
            self._configure(payload["model"], payload["parameters"])

    def _configure(self, model: str, asked: dict[str, Any]) -> None:
        field = wrong(asked, known_parameters(model), "format", "sample_rate")
        eight = "-8k-" in model
        if asked.get("format") not in FORMATS:
            self._fail("UNSUPPORTED_FORMAT", f"unsupported format {asked.get('format')}")
        elif field or (eight and asked["sample_rate"] != 8000):
            self._refuse(f"parameters.{field or 'sample_rate'} is wrong")
        else:
            self.model, self.asked, self._ended = model, asked, False
            self._samples = self._last_frame = self._beats = 0
            pause = asked.get("max_sentence_silence", asked.get("max_end_silence", 1300))
            self.book.audio.clear()
            self.start_listening(asked["sample_rate"], pause / 1000)
            self.out.append(self._event("task-started", {}))

    # --- audio ----------------------------------------------------------------------------------

    def _take_audio(self, frame: bytes) -> None:
        if self.task is None or self.hearing is None or self._ended:
            self.blame("audio outside of a task")
            if not self._tasks:
                self._refuse("audio came before run-task")
            return
        self._check_frame(frame)
        if not self._samples and self.asked["format"] == "pcm" and frame.startswith(b"RIFF"):
            self._fail("InvalidParameter", "Failed to decode audio: it is not pcm")
            return
        if not self._samples and self.asked["format"] == "wav":
            frame = frame[44:]
        self._samples += len(frame)
        for spoken in self.hear(frame):
            self._say(spoken)
        self._watch_silence()

    def _check_frame(self, frame: bytes) -> None:
        if len(frame) > 16_384:
            self.blame(f"a frame of {len(frame)} bytes")
        if 0 < self._last_frame < 1000:
            self.blame(f"a frame of {self._last_frame} bytes that was not the last")
        if len(frame) % 2:
            self.blame("a frame that ends within a sample")
        self._last_frame = len(frame)

    def _watch_silence(self) -> None:
        assert self.hearing is not None
        silent = self.hearing.position - self.hearing.quiet_since
        if not self.asked.get("heartbeat"):
            if silent >= self.manners.silence_limit:
                self._fail("RequestTimeOut", "Response timeout!")
        elif silent // 10 > self._beats:
            self._beats = int(silent // 10)
            beat = {"sentence_id": 0, "heartbeat": True, "text": "", "end_time": None, "words": []}
            self._result(beat | {"begin_time": 0, "sentence_end": False}, None)

    # --- the text -------------------------------------------------------------------------------

    def _say(self, spoken: Spoken) -> None:
        self._beats = 0
        if spoken.number not in self._said:
            self._said.add(spoken.number)
            self._result(self._sentence(spoken, empty=True), None)
        usage = None
        if spoken.over:
            assert self.hearing is not None
            usage = {"duration": math.ceil(self.hearing.position)}
        self._result(self._sentence(spoken), usage)

    def _sentence(self, spoken: Spoken, *, empty: bool = False) -> dict[str, Any]:
        over = spoken.over and not empty
        words = () if empty else spoken.words
        sentence: dict[str, Any] = {
            "sentence_id": spoken.number + 1,
            "begin_time": round(spoken.start * 1000),
            "end_time": round(spoken.end * 1000) if over else None,
            "text": "" if empty else spoken.text,
            "heartbeat": None,
            "sentence_begin": empty,
            "sentence_end": over,
            "words": [
                {
                    "begin_time": round(word.start * 1000),
                    "end_time": round(word.end * 1000),
                    "text": word.text.rstrip(".,?!"),
                    "punctuation": word.text[len(word.text.rstrip(".,?!")) :],
                }
                for word in words
            ],
        }
        if not self.manners.sentence_ids:
            del sentence["sentence_id"]
        if not self.manners.sentence_ends:
            del sentence["sentence_end"]
        return sentence

    def _result(self, sentence: dict[str, Any], usage: dict[str, Any] | None) -> None:
        if self.model.startswith("gummy"):
            end = sentence["end_time"] or sentence["begin_time"]
            output: dict[str, Any] = {"transcription": sentence | {"end_time": end}}
        else:
            output = {"sentence": sentence}
        payload = {"output": output, "usage": usage}
        if self.manners.usage_in_output:
            payload = {"output": output | {"usage": usage}}
        self.out.append(self._event("result-generated", payload))

    # --- the end --------------------------------------------------------------------------------

    def _finish(self, task: str, payload: Any) -> None:
        if task != self.task or self._ended:
            self._refuse("no such task runs")
        elif not isinstance(payload, dict) or not isinstance(payload.get("input"), dict):
            self._refuse("task can not be null")
        elif not self._samples:
            self._fail("NO_INPUT_AUDIO_ERROR", "no audio was received")
        else:
            assert self.hearing is not None
            for spoken in self.hearing.end():
                self._say(spoken)
            self.out.append(self._event("task-finished", {"output": {}, "usage": None}))
            self.task, self._ended = None, True
            self._said.clear()
            if self.manners.closes_after_end:
                self._close(1000, "")

    def _refuse(self, message: str, *, close: int = 1000) -> None:
        self.blame(message)
        self._fail("InvalidParameter", message, close=close)

    def _fail(self, code: str, message: str, *, close: int = 1000) -> None:
        self.out.append(self.failure(code, message, ""))
        self._close(close, message)

    def _close(self, code: int, reason: str) -> None:
        self.over = True
        self.task = None
        self.out.append(Close(code, reason))

    def _event(self, name: str, payload: dict[str, Any], **header: str) -> dict[str, Any]:
        head = {"task_id": self.task or "", "event": name, **header, "attributes": {}}
        return {"header": head, "payload": payload}


def known_parameters(model: str) -> dict[str, Check]:
    """What `parameters` may hold for a model."""
    if model.startswith("gummy"):
        return _ALL | _GUMMY
    special = {"fun": _FUN, "par": _PARAFORMER, "qwe": _FUN | _QWEN_AUDIO}[model[:3]]
    return _ALL | _COMMON | special
