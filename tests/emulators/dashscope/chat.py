"""`POST /compatible-mode/v1/chat/completions`: `qwen3-asr-flash`, and the Omni models.

Pages: https://docs.qwencloud.com/api-reference/speech-recognition/qwen-asr/openai,
https://www.alibabacloud.com/help/en/model-studio/qwen-omni and
https://help.aliyun.com/zh/model-studio/qwen3-8-omni-flash.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

from tests.emulators.dashscope.fields import Kind as FieldKind
from tests.emulators.dashscope.fields import choice, fields_of, one_of_range
from tests.emulators.dashscope.generation import check_asr_options, check_context, recognize
from tests.emulators.dashscope.models import Kind, Model
from tests.emulators.dashscope.omni import CLEAN, OmniScript
from tests.emulators.dashscope.refusals import Refusal, invalid
from tests.emulators.dashscope.streams import DONE, compatible_event
from tests.emulators.dashscope.text import about_tokens, pieces, spoken, text_of
from tests.emulators.dashscope.world import Call, Reply, World

__all__ = ["Chat"]

_EFFORTS = ("none", "low", "medium", "high", "xhigh", "max")
_SUMMARY = "The speaker talks at a steady pace."


@dataclass(frozen=True, slots=True)
class _Spoken:
    """What an answer tells, before it has a shape."""

    pieces: Sequence[str]
    finish_reason: str
    usage: dict[str, Any]
    annotation: dict[str, str] | None = None
    reasoning: Sequence[str] = field(default=())


class Chat:
    """The path, with the moods of the Omni models."""

    def __init__(self, world: World) -> None:
        self.script = CLEAN
        """How Omni answers from now on."""
        self.scripts: deque[OmniScript] = deque()
        """For the next answers, one each; they go before `script`."""
        self._world = world

    def answer(self, call: Call) -> Reply:
        """The answer to a call; raises a Refusal."""
        body = call.body
        name = body.get("model")
        if not isinstance(name, str):
            raise invalid("the body must contain model")
        model = self._world.model(name, call.caller)
        if model is None or model.kind not in {Kind.SYNC, Kind.OMNI}:
            raise Refusal(404, "model_not_supported", f"Unsupported model `{name}` for this API.")
        _check_streaming(body, model)
        tell = self._transcribe if model.kind is Kind.SYNC else self._talk
        return self._shape(tell(body, call, model), body, call)

    # --- qwen3-asr-flash ----------------------------------------------------------------------

    def _transcribe(self, body: dict[str, Any], call: Call, model: Model) -> _Spoken:
        fields_of(body, "the body", {"model": str, "messages": list}, _STREAMED | _ASR_FIELDS)
        options = body.get("asr_options", {})
        check_asr_options(options, model)
        context, parts = _messages(body["messages"])
        check_context(context)
        if len(parts) != 1:
            raise invalid("the user message must have one input_audio")
        location, _ = _audio(parts[0], optional={"format": str})
        text, annotation, seconds = recognize(self._world, call, model, location, options)
        usage = _usage(seconds * 25, about_tokens(context), about_tokens(text))
        return _Spoken(pieces(text), "stop", usage | {"seconds": seconds}, annotation)

    # --- Omni ---------------------------------------------------------------------------------

    def _talk(self, body: dict[str, Any], call: Call, model: Model) -> _Spoken:
        thinks = _check_omni(body, model)
        prompt, parts = _messages(body["messages"])
        sounds = [part for part in parts if part.get("type") == "input_audio"]
        texts = [fields_of(p, "content", _TEXT)["text"] for p in parts if p not in sounds]
        if not 1 <= len(sounds) <= model.most_files:
            raise invalid(f"the user message may have 1 to {model.most_files} input_audio")
        heard, seconds = [], 0.0
        for part in sounds:
            location, said = _audio(part, required={"format": str})
            content, sound = self._world.hear(location, call, model, said=said)
            self._world.charge(model, content, sound.duration, call)
            heard.append(text_of(spoken(sound.words)))
            seconds += sound.duration
        script = self._next_script()
        words, finish_reason = pieces(script.said(" ".join(heard))), script.finish_reason
        if len(words) > body.get("max_tokens", len(words)):
            words, finish_reason = words[: body["max_tokens"]], "length"
        reasoning = script.reasoning or (_SUMMARY if thinks else "")
        tokens = round(seconds * model.tokens_per_second)
        usage = _usage(tokens, about_tokens(prompt + "".join(texts)), len(words))
        return _Spoken(words, finish_reason, usage, None, pieces(reasoning))

    def _next_script(self) -> OmniScript:
        try:
            return self.scripts.popleft()
        except IndexError:  # not asked for beforehand: other threads take from it too
            return self.script

    # --- the answer's shape -------------------------------------------------------------------

    def _shape(self, spoken: _Spoken, body: dict[str, Any], call: Call) -> Reply:
        head = {
            "id": f"chatcmpl-{call.request_id}",
            "object": "chat.completion.chunk",
            "created": int(call.now),
            "model": body["model"],
        }
        if body.get("stream"):
            told = body.get("stream_options", {}).get("include_usage", False)
            return Reply(events=tuple(_chunks(head, spoken, told=told)))
        text = "".join(spoken.pieces)
        listed = self._world.switches.content_is_list
        message: dict[str, Any] = {
            "role": "assistant",
            "content": [{"type": "text", "text": text}] if listed else text,
        }
        if spoken.annotation:
            message["annotations"] = [spoken.annotation]
        if spoken.reasoning:
            message["reasoning_content"] = "".join(spoken.reasoning)
        choices = [{"index": 0, "finish_reason": spoken.finish_reason, "message": message}]
        head["object"] = "chat.completion"
        return Reply({**head, "choices": choices, "usage": spoken.usage})


# --- the body ---------------------------------------------------------------------------------

_TEXT: dict[str, FieldKind] = {"type": str, "text": str}
_STREAMED: dict[str, FieldKind] = {"stream": bool, "stream_options": dict}
_ASR_FIELDS: dict[str, FieldKind] = {"asr_options": dict}
_OMNI_FIELDS: dict[str, FieldKind] = {
    "modalities": list,
    "temperature": float,
    "top_p": float,
    "max_tokens": int,
    "seed": int,
}


def _check_streaming(body: dict[str, Any], model: Model) -> None:
    streams = body.get("stream") is True
    if "stream_options" in body:
        if not streams:
            raise invalid("stream_options can only be set when stream is true")
        fields_of(body["stream_options"], "stream_options", {}, {"include_usage": bool})
    if model.stream_only and not streams:
        raise invalid("This model only support stream mode, please enable the stream parameter.")


def _check_omni(body: dict[str, Any], model: Model) -> bool:
    """True if the model is to think; raises a Refusal."""
    if "enable_thinking" in body and model.thinking != "enable_thinking":
        raise Refusal(
            400,
            "InvalidParameter.NotSupportEnableThinking",
            "The model does not support enable_thinking.",
        )
    allowed: dict[str, FieldKind] = dict(_STREAMED | _OMNI_FIELDS)
    if model.thinking:
        allowed[model.thinking] = bool if model.thinking == "enable_thinking" else str
    if model.search:
        allowed["enable_search"] = bool
    fields_of(body, "the body", {"model": str, "messages": list}, allowed)
    # Audio could be had from some of the models; whoever wants a transcript wants none.
    choice(body.get("modalities", ["text"]), "modalities", (["text"],))
    one_of_range(body.get("temperature"), "temperature", 0, 1.999)
    one_of_range(body.get("top_p"), "top_p", 0.000_001, 1)
    one_of_range(body.get("max_tokens"), "max_tokens", 1, 131_072)
    if "reasoning_effort" in body:
        choice(body["reasoning_effort"], "reasoning_effort", _EFFORTS)
    if model.thinking == "reasoning_effort":
        return bool(body.get("reasoning_effort", "medium") != "none")
    return bool(body.get("enable_thinking", False))


def _messages(messages: list[Any]) -> tuple[str, list[dict[str, Any]]]:
    """The text of the system message, and the parts of the one of the user."""
    for message in messages:
        fields_of(message, "message", {"role": str, "content": (str, list)})
    roles = [message["role"] for message in messages]
    if roles not in (["user"], ["system", "user"]):
        raise invalid(f"messages must be one user message, or system and user: {roles}")
    parts = messages[-1]["content"]
    if not isinstance(parts, list) or not all(isinstance(part, dict) for part in parts):
        raise invalid("the content of the user message must be a list of objects")
    texts = [_text(message["content"]) for message in messages[:-1]]
    return "".join(texts), parts


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    items = [fields_of(item, "content", _TEXT) for item in content]
    for item in items:
        choice(item["type"], "content.type", ("text",))
    return "".join(item["text"] for item in items)


def _audio(
    part: dict[str, Any],
    *,
    required: dict[str, FieldKind] | None = None,
    optional: dict[str, FieldKind] | None = None,
) -> tuple[str, str | None]:
    """Where the audio is, and the format it is said to have."""
    fields_of(part, "content", {"type": str, "input_audio": dict})
    choice(part["type"], "content.type", ("input_audio",))
    needed: dict[str, FieldKind] = {"data": str, **(required or {})}
    sound = fields_of(part["input_audio"], "input_audio", needed, optional)
    return sound["data"], sound.get("format")


# --- chunks -----------------------------------------------------------------------------------


def _chunks(head: dict[str, Any], spoken: _Spoken, *, told: bool) -> list[bytes]:
    """An empty first delta, an item a word, one without content, the usage, the end."""
    first: dict[str, Any] = {"role": "assistant", "content": ""}
    deltas = [first, *({"reasoning_content": piece} for piece in spoken.reasoning)]
    noted: dict[str, Any] = {}
    if spoken.annotation:
        noted = {"role": None, "annotations": [spoken.annotation]}
    deltas += ({"content": piece, **noted} for piece in spoken.pieces)
    # What announces the end of qwen3-asr-flash has no content; that of Omni an empty one.
    deltas.append({"role": None} if spoken.annotation else {"content": ""})
    ends = [None] * (len(deltas) - 1) + [spoken.finish_reason]
    tail = {"usage": None, "system_fingerprint": None}
    chunks = [
        {
            **head,
            "choices": [{"index": 0, "delta": delta, "finish_reason": end, "logprobs": None}],
            **tail,
        }
        for delta, end in zip(deltas, ends, strict=True)
    ]
    if told:
        chunks.append({**head, "choices": [], "usage": spoken.usage})
    return [*map(compatible_event, chunks), DONE]


def _usage(audio: int, text: int, written: int) -> dict[str, Any]:
    return {
        "prompt_tokens": audio + text,
        "completion_tokens": written,
        "total_tokens": audio + text + written,
        "prompt_tokens_details": {"audio_tokens": audio, "text_tokens": text},
        "completion_tokens_details": {"text_tokens": written},
    }
