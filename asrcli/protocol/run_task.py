"""The run-task dialogue of DashScope: fun-asr, paraformer, gummy and qwen-audio, live.

`run-task`, then audio in binary messages, then `finish-task` and the last sentences. A sentence is
sent again and again as it grows, with times for itself and its words; the last of these messages
ends it. Pages: "Fun-ASR realtime WebSocket API", "client events" and "server events" at
https://help.aliyun.com/en/model-studio/fun-asr-realtime-websocket-api and beside it.

The task is the dialogue: when it is over without a failure, another `RunTask` may begin on the same
socket within `limits.reuse_within` seconds. Silence must be sent as silence: the service gives up
when it gets nothing for 23 s.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from asrcli.errors import Retry, ServiceError
from asrcli.protocol.dialogue import Dialogue, Limits, State, join_url, new_id
from asrcli.protocol.events import Failed, Usage
from asrcli.protocol.ledger import Utterance
from asrcli.protocol.reading import dig, items, number, shown, text
from asrcli.transcript import Timing, Word

__all__ = ["RunTask", "RunTaskOptions"]

_MOST_CONTEXT = 400
"""Characters of context that the service reads."""
_MOST_SENTENCES = 1_000_000
"""Larger numbers are no numbers of sentences."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RunTaskOptions:
    """What is asked of one task; what is None is not sent and left to the service."""

    model: str
    sample_rate: int = 16_000
    """Hz of the audio that is sent; 8000 for the models with 8k in their name."""
    languages: tuple[str, ...] = ()
    """The model's own codes; fun-asr reads the first only."""
    vocabulary_id: str | None = None
    """A list of hotwords made for exactly this model; for another it does nothing."""
    vocabulary: Mapping[str, int] = field(default_factory=dict)
    """Hotwords and their weights, 1 to 5 or 50; only qwen-audio takes them in place."""
    prompt: str | None = None
    """What was said before, as context; 400 characters are read. Newer models only."""
    semantic: bool = False
    """Cut sentences by meaning rather than by pauses."""
    pause_ms: int | None = 800
    """Of silence that end a sentence, 200 to 6000; sent, since the pages differ on the default."""
    long_sentences: bool | None = None
    """False keeps sentences cut by pauses from growing too long."""
    heartbeat: bool | None = True
    """Keep the task through long silence; without, the service ends it after about 60 s."""
    noise_threshold: float | None = None
    """-1 to 1: the higher, the more is taken for noise. fun-asr only."""
    itn: bool | None = None
    """Paraformer v2 only; the others always do it."""
    disfluencies: bool | None = None
    """True keeps "uh" and "um". Paraformer only."""
    workspace: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    """Further `parameters`, as the service spells them."""

    def parameters(self) -> dict[str, Any]:
        """The `parameters` of `run-task`."""
        gummy = self.model.startswith("gummy")
        asked: dict[str, Any] = {"format": "pcm", "sample_rate": self.sample_rate}
        asked |= self._gummy() if gummy else self._fun_asr()
        asked["vocabulary_id"] = self.vocabulary_id
        asked["vocabulary"] = dict(self.vocabulary) or None
        # Only a whole message's text otherwise: "Qwen-Audio-ASR-Message server-side events".
        asked["intermediate_result_enabled"] = True if "-message" in self.model else None
        asked |= self.extra
        return {name: value for name, value in asked.items() if value is not None}

    def _fun_asr(self) -> dict[str, Any]:
        by_pause = not self.semantic
        return {
            "language_hints": list(self.languages) or None,
            "semantic_punctuation_enabled": self.semantic,
            "max_sentence_silence": self.pause_ms if by_pause else None,
            "multi_threshold_mode_enabled": _not(self.long_sentences) if by_pause else None,
            "heartbeat": self.heartbeat,
            "speech_noise_threshold": self.noise_threshold,
            "inverse_text_normalization_enabled": self.itn,
            "disfluency_removal_enabled": _not(self.disfluencies),
        }

    def _gummy(self) -> dict[str, Any]:
        # "Gummy WebSocket API", https://help.aliyun.com/document_detail/2869339.html
        return {
            "source_language": self.languages[0] if self.languages else None,
            "transcription_enabled": True,
            "translation_enabled": False,
            "max_end_silence": self.pause_ms,
        }


class RunTask(Dialogue):
    """One task; `session_id` is its task id, which the service wants in a report."""

    def __init__(self, options: RunTaskOptions, *, make_id: Callable[[], str] = new_id) -> None:
        super().__init__(
            sample_rate=options.sample_rate,
            limits=Limits(
                frame_bytes=12_800,  # of 1 to 16 KB
                send_within=23.0,
                silence=None if options.heartbeat else 60.0,
                reuse_within=50.0,  # of 60, and the service may be quicker
            ),
            headers={"X-DashScope-WorkSpace": options.workspace} if options.workspace else {},
            make_id=make_id,
        )
        self._options = options
        self._task = self.session_id = make_id()
        self._ranks: dict[float | None, int] = {}
        self._highest = 0
        self._last_end = 0.0

    def url(self, base: str) -> str:
        """`…/api-ws/v1/inference` below `…/api-ws/v1`; the model is named in a message."""
        return join_url(base, "inference", {})

    # --- out ------------------------------------------------------------------------------------

    def _begin(self) -> None:
        payload = {
            "task_group": "audio",
            "task": "asr",
            "function": "recognition",
            "model": self._options.model,
            "parameters": self._options.parameters(),
            "input": self._context(),  # refused when it is missing, even if empty
        }
        self._put("run-task", payload)

    def _context(self) -> dict[str, Any]:
        prompt = self._options.prompt
        if not prompt:
            return {}
        if len(prompt) > _MOST_CONTEXT:
            self._note("context", f"only {_MOST_CONTEXT} characters of the prompt are read")
        content = [{"type": "input_text", "text": prompt}]
        return {"context": [{"role": "user", "content": content}]}

    def _put(self, action: str, payload: dict[str, Any]) -> None:
        header = {"action": action, "task_id": self._task, "streaming": "duplex"}
        message = {"header": header, "payload": payload}
        self._outbox.append(json.dumps(message, ensure_ascii=False))

    def _put_audio(self, frame: bytes) -> None:
        self._outbox.append(frame)

    def _end(self) -> None:
        self._put("finish-task", {"input": {}})

    # --- in -------------------------------------------------------------------------------------

    def _take(self, event: dict[str, Any]) -> None:
        header, name = event.get("header"), text(event, "header", "event")
        task = text(header, "task_id")
        if task is not None and task != self._task:
            self._note("foreign", "it sent a message of another task")
            return
        match name:
            case "task-started":
                if self.state is State.STARTING:
                    self._listen(self._options.model)
            case "result-generated":
                self._take_result(event.get("payload"))
            case "task-finished":
                self._take_end(event.get("payload"))
            case "task-failed":
                self._take_failure(header)
            case _:
                self._unknown(name)

    def _take_end(self, payload: Any) -> None:
        self._count(payload)
        if not self._to_finish:
            # It was not told that the audio is over: what is sent from now on would be lost.
            self._fail(_early("TaskEnded", "it ended the task before all was sent"))
            return
        self._close()

    def _take_failure(self, header: Any) -> None:
        code = text(header, "error_code")
        message = shown(text(header, "error_message") or "the task failed, without a reason")
        if code == "NO_INPUT_AUDIO_ERROR" and self._to_finish and not self._sent_bytes:
            self._close()
            return
        self._fail(self._judged(code, message, request_id=text(header, "request_id")))

    def _take_result(self, payload: Any) -> None:
        if self.state is State.STARTING:
            self._note("early", "it sent a result before it said that it listens")
            return
        self._count(payload)
        output = dig(payload, "output")
        sentence = dig(output, "sentence")
        ended = dig(sentence, "end_time") is not None
        if sentence is None:
            # Gummy calls it a transcription, and gives it an end at all times.
            sentence, ended = dig(output, "transcription"), False
        if not isinstance(sentence, dict):
            self._note("empty", "it sent a result without a sentence")
            return
        if sentence.get("heartbeat") is not True:
            self._take_sentence(sentence, ended=ended or sentence.get("sentence_end") is True)

    def _take_sentence(self, sentence: dict[str, Any], *, ended: bool) -> None:
        begin = number(sentence, "begin_time")
        rank = self._rank(number(sentence, "sentence_id"), begin)
        utterance = self._ledger.open(str(rank), rank=rank)
        if utterance is None or utterance.settled:
            self._late(str(rank))
            return
        self._fill(utterance, sentence, begin)
        self._speech_starts(utterance)
        if ended:
            end = number(sentence, "end_time")
            self._last_end = max(self._last_end, end or begin or 0.0)
            utterance.end = self._seconds(end)
            self._settle(utterance)
        else:
            self._tell(utterance)

    def _fill(self, utterance: Utterance, sentence: dict[str, Any], begin: float | None) -> None:
        said = text(sentence, "text")
        if said is not None:
            utterance.text = said.strip()
            utterance.words = self._words(sentence)
        # A sentence that began without a word may as well have been noise.
        utterance.promised = bool(utterance.text)
        utterance.timing = Timing.MODEL
        utterance.start = self._seconds(begin) if begin is not None else utterance.start
        utterance.emotion = text(sentence, "emo_tag") or utterance.emotion
        utterance.speaker = text(sentence, "speaker_id") or utterance.speaker
        utterance.language = text(sentence, "language") or utterance.language

    def _rank(self, number_: float | None, begin: float | None) -> int:
        """The place of a sentence among the others: its number, where the service counts.

        Servers that send no number, or always the same, are counted by where sentences begin.
        """
        named = number_ if number_ is not None and 0 <= number_ <= _MOST_SENTENCES else None
        rank = self._ranks.get(named)
        if rank is None:
            rank = self._highest + 1 if named is None else math.floor(named)
        elif self._ended(rank) and (named is None if begin is None else begin >= self._last_end):
            rank = self._highest + 1
        self._ranks[named] = rank
        self._highest = max(self._highest, rank)
        return rank

    def _ended(self, rank: int) -> bool:
        utterance = self._ledger.find(str(rank))
        return utterance is None or utterance.settled

    def _words(self, sentence: dict[str, Any]) -> tuple[Word, ...]:
        words = []
        for entry in items(sentence, "words"):
            start = self._seconds(number(entry, "begin_time"))
            end = self._seconds(number(entry, "end_time"))
            said = f"{text(entry, 'text') or ''}{text(entry, 'punctuation') or ''}".strip()
            if said and start is not None and end is not None:
                words.append(Word(said, start, max(start, end)))
        return tuple(words)

    def _count(self, payload: Any) -> None:
        # Under `payload` on some pages, under `payload.output` on others.
        for path in (("usage", "duration"), ("output", "usage", "duration")):
            seconds = number(payload, *path)
            if seconds is not None and seconds >= (self._usage.seconds or 0.0):
                self._usage = Usage(seconds=seconds)


def _not(value: object) -> bool | None:
    return None if value is None else not value


def _early(code: str, message: str) -> Failed:
    return Failed(code=code, message=message, kind=ServiceError, retry=Retry.TRANSIENT)
