"""`qwen3-asr-flash` by DashScope's synchronous call: one short recording, one answer.

Page: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference. The answer holds text, the
language and the emotion; no times.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterable, Iterator
from typing import Any

from asrcli.errors import NetworkError, Retry, UnexpectedAnswerError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, OnText, Options
from asrcli.providers.languages import canonical
from asrcli.providers.qwen.failures import failure
from asrcli.providers.reading import dig, number_at, text_at
from asrcli.transcript import Segment, Transcript
from asrcli.transport.http import Answer, ServerEvent

__all__ = ["PATH", "data_uri", "encoded_size", "read_events", "read_transcript", "request_body"]

PATH = "services/aigc/multimodal-generation/generation"


def encoded_size(audio: AudioFile) -> int:
    """How many characters `data_uri` has; it is these that the service counts."""
    return len(f"data:{audio.mime_type};base64,") + (audio.size + 2) // 3 * 4


def data_uri(audio: AudioFile) -> str:
    """The file inside the request."""
    content = base64.b64encode(audio.path.read_bytes()).decode("ascii")
    return f"data:{audio.mime_type};base64,{content}"


def request_body(location: str, model: Model, options: Options, *, stream: bool) -> dict[str, Any]:
    """The JSON to send; `location` is a URL, a data URI or an `oss://` reference."""
    messages: list[dict[str, Any]] = []
    if options.prompt:
        messages.append({"role": "system", "content": [{"text": options.prompt}]})
    messages.append({"role": "user", "content": [{"audio": location}]})
    asr_options: dict[str, Any] = {}
    if options.language:
        asr_options["language"] = options.language
    if options.itn is not None:
        asr_options["enable_itn"] = options.itn
    parameters: dict[str, Any] = {}
    if asr_options:
        parameters["asr_options"] = asr_options
    if stream:
        # Unset, some models send the whole text again with every event.
        parameters["incremental_output"] = True
    return {"model": model.id, "input": {"messages": messages}, "parameters": parameters}


def read_transcript(
    answer: Answer, model: Model, options: Options, *, duration: float | None
) -> Transcript:
    """Read the whole answer of a call without streaming."""
    body = answer.json
    text = _text(body)
    if text is None:
        raise UnexpectedAnswerError(
            "qwen", "its answer holds no text", http_status=answer.status,
            request_id=answer.request_id,
        )  # fmt: skip
    return _transcript(
        text, [body], model, options, duration=duration, duplicate=answer.possible_duplicate
    )


def read_events(
    events: Iterable[ServerEvent],
    model: Model,
    options: Options,
    *,
    duration: float | None,
    on_text: OnText,
) -> Transcript:
    """Read a streamed answer; raises if it ends before the service said that it is complete."""
    text, bodies, complete = "", [], False
    for body in _bodies(events):
        text += _text(body) or ""
        bodies = [*bodies[:1], body]
        complete = dig(body, "output", "choices", 0, "finish_reason") in {"stop", "length"}
        on_text(text)
    if not complete:
        raise NetworkError("qwen", "the stream ended before the text did", retry=Retry.AMBIGUOUS)
    return _transcript(text, bodies, model, options, duration=duration)


def _bodies(events: Iterable[ServerEvent]) -> Iterator[Any]:
    for event in events:
        try:
            body = json.loads(event.data)
        except (ValueError, RecursionError) as error:
            raise UnexpectedAnswerError("qwen", "an event of its stream is no JSON") from error
        if event.event == "error" or text_at(body, "code"):
            raise failure(
                text_at(body, "code"),
                text_at(body, "message") or "the stream ended with an error",
                request_id=text_at(body, "request_id"),
            )
        yield body


def _text(body: Any) -> str | None:
    """The text of an answer or event; `""` for silence, None where nothing of the kind is."""
    message = dig(body, "output", "choices", 0, "message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        return None
    if not isinstance(content, list):
        return None
    # An empty list is what silence, and the first event of a stream, look like.
    texts = [text_at(item, "text") for item in content]
    return None if None in texts else "".join(text for text in texts if text)


def _transcript(
    text: str,
    bodies: list[Any],
    model: Model,
    options: Options,
    *,
    duration: float | None,
    duplicate: bool = False,
) -> Transcript:
    annotation = _annotation(bodies)
    language = canonical(text_at(annotation, "language") or options.language)
    cut = dig(bodies[-1], "output", "choices", 0, "finish_reason") == "length"
    warnings = ["the service cut the text at its longest"] if cut else []
    if duplicate:
        warnings.append("sent twice after an unclear failure: it may have been charged twice")
    text = text.strip()
    segment = Segment(text, language=language, emotion=text_at(annotation, "emotion"))
    return Transcript(
        segments=(segment,) if text else (),
        provider="qwen",
        model=model.id,
        language=language,
        duration=duration,
        request_ids=tuple(filter(None, [text_at(bodies[-1], "request_id")])),
        billed_seconds=number_at(bodies[-1], "usage", "seconds"),
        warnings=tuple(warnings),
    )


def _annotation(bodies: list[Any]) -> Any:
    for body in reversed(bodies):
        for item in dig(body, "output", "choices", 0, "message", "annotations") or []:
            if text_at(item, "type") in {"audio_info", None}:
                return item
    return None
