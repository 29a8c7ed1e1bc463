"""`qwen3-asr-flash` by DashScope's synchronous call: one short recording, one answer.

Page: https://help.aliyun.com/zh/model-studio/qwen-asr-api-reference. The answer holds text, the
language and the emotion; no times.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from asrcli.errors import (
    AsrError,
    FileUnreadableError,
    NetworkError,
    Retry,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, OnText, Options
from asrcli.providers.calls import MENDED, SENT_TWICE, media_type
from asrcli.providers.languages import canonical
from asrcli.providers.qwen.failures import read_event_failure
from asrcli.providers.reading import dig, first_text, number_at, text_at
from asrcli.transcript import Segment, Transcript
from asrcli.transport.answers import read_json
from asrcli.transport.http import Answer, ServerEvent

__all__ = [
    "PATH",
    "data_uri",
    "encoded_size",
    "event_bodies",
    "read_events",
    "read_transcript",
    "request_body",
]

PATH = "services/aigc/multimodal-generation/generation"


def encoded_size(audio: AudioFile) -> int:
    """How many characters `data_uri` has; it is these that the service counts."""
    return len(_prefix(audio)) + (audio.size + 2) // 3 * 4


def data_uri(audio: AudioFile) -> str:
    """The file inside the request; raises FileUnreadableError."""
    try:
        content = audio.path.read_bytes()
    except OSError as error:
        raise FileUnreadableError(f"cannot read {audio.name}: {error.strerror}") from error
    return _prefix(audio) + base64.b64encode(content).decode("ascii")


def _prefix(audio: AudioFile) -> str:
    return f"data:{media_type(audio)};base64,"


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
        raise answer.unexpected("its answer holds no text")
    warnings = [MENDED] if answer.mended else []
    if answer.possible_duplicate:
        warnings.append(SENT_TWICE)
    found = _transcript(text, [body], model, options, duration=duration, warnings=warnings)
    if not found.request_ids and answer.request_id:
        found = replace(found, request_ids=(answer.request_id,))
    return found


def read_events(
    events: Iterable[ServerEvent],
    model: Model,
    options: Options,
    *,
    duration: float | None,
    on_text: OnText,
) -> Transcript:
    """Read a streamed answer; raises if it ends before the service said that it is complete.

    What fails after the first text may have been paid for: its error is `Retry.AMBIGUOUS`.
    """
    text, mended = "", False
    bodies: list[Any] = []
    try:
        for body, changed in event_bodies(events):
            text += _text(body) or ""
            bodies = [*bodies[:1], body]
            mended = mended or changed
            on_text(text)
            if _finished(body):
                break
        else:
            said = "the stream ended before the text did"
            raise NetworkError("qwen", said, retry=Retry.AMBIGUOUS)
    except AsrError as error:
        if text and error.retry is Retry.TRANSIENT:
            error.retry = Retry.AMBIGUOUS
        raise
    warnings = [MENDED] if mended else []
    return _transcript(text, bodies, model, options, duration=duration, warnings=warnings)


def event_bodies(events: Iterable[ServerEvent]) -> Iterator[tuple[Any, bool]]:
    """The JSON of each event, and whether it had to be mended; raises what they report."""
    for event in events:
        try:
            body, mended = read_json(event.data.encode("utf-8", "replace"))
        except ValueError as error:
            said = f"an event of its stream is {error}"
            raise UnexpectedAnswerError("qwen", said) from error
        if failure := read_event_failure(event, body):
            raise failure
        yield body, mended


def _finished(body: Any) -> str | None:
    """Why the text ends here; None while it goes on, which some events say in a text."""
    reason = text_at(body, "output", "choices", 0, "finish_reason")
    return reason if reason in {"stop", "length"} else None


def _text(body: Any) -> str | None:
    """The text of an answer or event; `""` for silence, None where nothing of the kind is."""
    message = dig(body, "output", "choices", 0, "message")
    if not isinstance(message, dict):
        return None
    content = message.get("content")
    if isinstance(content, str):
        return content
    if content is None:
        return "" if _finished(body) else None
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
    warnings: list[str],
) -> Transcript:
    annotation = _annotation(bodies)
    language = canonical(text_at(annotation, "language")) or canonical(options.language)
    if any(_finished(body) == "length" for body in bodies):
        warnings = ["the service cut the text at its longest", *warnings]
    text = text.strip()
    segment = Segment(text, language=language, emotion=text_at(annotation, "emotion"))
    request_id = first_text(*(text_at(body, "request_id") for body in reversed(bodies)))
    seconds = (number_at(body, "usage", "seconds") for body in reversed(bodies))
    return Transcript(
        segments=(segment,) if text else (),
        provider="qwen",
        model=model.id,
        language=language,
        duration=duration,
        request_ids=(request_id,) if request_id else (),
        billed_seconds=next((s for s in seconds if s is not None), None),
        warnings=tuple(warnings),
    )


def _annotation(bodies: list[Any]) -> Any:
    for body in reversed(bodies):
        found = dig(body, "output", "choices", 0, "message", "annotations")
        for item in found if isinstance(found, list) else []:
            if text_at(item, "type") == "audio_info" or text_at(item, "language"):
                return item
    return None
