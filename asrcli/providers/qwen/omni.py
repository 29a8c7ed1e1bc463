"""Qwen-Omni over the OpenAI-compatible protocol: a language model that is asked for a transcript.

Page: https://www.alibabacloud.com/help/en/model-studio/qwen-omni; for 3.8
https://help.aliyun.com/zh/model-studio/qwen3-8-omni-flash. The answer is a stream of text alone:
no times, no language. What the model says besides the transcript is dealt with in `omni_talk`.
"""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from contextlib import closing
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Any, cast
from urllib.parse import unquote, urlsplit

from asrcli.errors import (
    AsrError,
    NetworkError,
    RefusedError,
    Retry,
    TimeLimitError,
    UnexpectedAnswerError,
    UnsupportedFormatError,
)
from asrcli.media.audio import AudioFile
from asrcli.media.formats import FORMATS
from asrcli.protocol.realtime_omni import transcription_instructions
from asrcli.providers.base import Model, OnText, Options, Reference
from asrcli.providers.calls import MENDED, SENT_TWICE
from asrcli.providers.languages import canonical
from asrcli.providers.qwen.flash import event_bodies
from asrcli.providers.qwen.omni_talk import Heard, hear, without_emotion
from asrcli.providers.reading import dig, number_at, shown, text_at
from asrcli.transcript import Segment, Transcript
from asrcli.transport.http import HTTPClient, ServerEvent
from asrcli.transport.retry import Retrier

__all__ = ["CUT", "PATH", "Omni", "read_events", "request_body"]

PATH = "chat/completions"
CUT = "the service cut the text at its longest"

_TASK = "Transcribe the speech in this recording word for word. Write the transcript alone."
_TEMPERATURE = 0.1
_ALIASES = {"aif": "aiff", "mpg": "mpeg", "oga": "ogg", "wave": "wav", "3gpp": "3gp"}
_TOKENS_A_SECOND = {"qwen3.5-omni": 7.0, "qwen3-omni": 12.5}
"""Of audio, as the page of Qwen-Omni counts them; that of 3.8 says nothing."""
_LEAST_HEARD = 0.75


class Omni:
    """Calls the models. `http` makes each call once; `retrier` decides on another try.

    A stream can only be tried again as a whole, by whoever reads it to its end.
    """

    def __init__(self, http: HTTPClient, retrier: Retrier) -> None:
        self._http = http
        self._retrier = retrier

    def transcribe(
        self,
        audio: AudioFile | Reference,
        location: str,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,
    ) -> Transcript:
        """Recognize a recording; `location` is a URL, a data URI or an `oss://` reference.

        Raises UnsupportedFormatError for a URL that does not tell the format, RefusedError for a
        model that declines, NetworkError for a stream that ends before the text does.
        """
        body = request_body(location, _container(audio, model), model, options)
        resolves = {"X-DashScope-OssResourceResolve": "enable"}
        headers = resolves if location.startswith("oss://") else {}
        duration = audio.duration if isinstance(audio, AudioFile) else None

        def attempt() -> Transcript:
            stream = self._http.events(PATH, body, headers=headers)
            # Closed at once: an error that is kept would keep the connection open.
            with closing(cast("Generator[ServerEvent, None, None]", stream)) as events:
                return read_events(events, model, options, duration=duration, on_text=on_text)

        held = self._retrier.hold(attempt, ambiguous=True)
        held.release()
        found = held.value
        return replace(found, warnings=(*found.warnings, SENT_TWICE)) if held.resent else found


def request_body(location: str, container: str, model: Model, options: Options) -> dict[str, Any]:
    """The JSON to send: streamed, text alone, and without thinking where a model would.

    The prompt and the hotwords stand in the system message, below what is wanted of the model.
    """
    instructions = transcription_instructions(
        language=options.language,  # a name: there is no field for it
        prompt=options.prompt,
        hotwords=[word.text for word in options.hotwords],
        emotion=options.emotion,
    )
    sound = {"type": "input_audio", "input_audio": {"data": location, "format": container}}
    body: dict[str, Any] = {
        "model": model.id,
        "messages": [
            {"role": "system", "content": instructions},
            {"role": "user", "content": [sound, {"type": "text", "text": _TASK}]},
        ],
        "modalities": ["text"],
        "stream": True,
        "stream_options": {"include_usage": True},
        "temperature": _TEMPERATURE,
    }
    if model.id.startswith("qwen3-omni-flash"):
        body["enable_thinking"] = False  # the only one that knows it; the others refuse it
    elif model.family == "qwen3.8-omni":
        body["reasoning_effort"] = "none"  # it thinks unless it is told not to
    return body


def _container(audio: AudioFile | Reference, model: Model) -> str:
    """The name of the format, which the call has to tell."""
    if isinstance(audio, AudioFile):
        return audio.container
    suffix = PurePosixPath(unquote(urlsplit(audio.location).path)).suffix[1:].lower()
    name = _ALIASES.get(suffix, suffix)
    if name not in FORMATS:
        raise UnsupportedFormatError(
            f"{model.id} has to be told the format, and the URL ends with none",
            hint="Download the file and give that, or choose another model with -m.",
        )
    return name


# --- the stream -------------------------------------------------------------------------------


def read_events(
    events: Iterable[ServerEvent],
    model: Model,
    options: Options,
    *,
    duration: float | None,
    on_text: OnText | None = None,
) -> Transcript:
    """Read a stream to its end; raises if it ends before the service said that it is complete.

    What fails after the first text may have been paid for: its error is `Retry.AMBIGUOUS`.
    """
    said = _Said(on_text if not options.emotion else _hiding_emotion(on_text))
    try:
        for body, mended in event_bodies(_until_done(events)):
            said.take(body, mended=mended)
    except (NetworkError, TimeLimitError) as error:
        if said.finish is None:
            raise said.judged(error) from None
        # The text is whole, and paid for; what is missing is the account of it.
    except AsrError as error:
        raise said.judged(error) from None
    if said.finish is None:
        missing = "the stream ended before the text did"
        raise NetworkError("qwen", missing, request_id=said.request_id, retry=Retry.AMBIGUOUS)
    return _transcript(said, model, options, duration=duration)


def _until_done(events: Iterable[ServerEvent]) -> Iterator[ServerEvent]:
    for event in events:
        if event.data.strip() == "[DONE]":
            return
        yield event


class _Said:
    """What the events of a stream say so far."""

    def __init__(self, on_text: OnText | None) -> None:
        self.text = ""
        self.finish: str | None = None
        self.usage: Any = None
        self.request_id: str | None = None
        self.mended = False
        self._on_text = on_text

    def take(self, body: Any, *, mended: bool) -> None:
        """Take in an event; thoughts (`reasoning_content`) are passed over."""
        self.mended = self.mended or mended
        self.request_id = text_at(body, "id") or self.request_id
        usage = dig(body, "usage")
        self.usage = usage if isinstance(usage, dict) else self.usage
        reason = text_at(body, "choices", 0, "finish_reason")
        self.finish = reason if reason not in {None, "", "null"} else self.finish
        if piece := _content(dig(body, "choices", 0, "delta", "content")):
            self.text += piece
            if self._on_text:
                self._on_text(self.text)

    def judged(self, error: AsrError) -> AsrError:
        """The error, as one after which the call may have been paid for if it had begun."""
        error.request_id = error.request_id or self.request_id
        if self.text and error.retry is Retry.TRANSIENT:
            error.retry = Retry.AMBIGUOUS
        return error


def _content(content: Any) -> str:
    if isinstance(content, list):
        return "".join(text_at(item, "text") or "" for item in content)
    return content if isinstance(content, str) else ""


def _hiding_emotion(on_text: OnText | None) -> OnText | None:
    if on_text is None:
        return None
    return lambda text: on_text(without_emotion(text))


# --- the transcript ---------------------------------------------------------------------------


def _transcript(
    said: _Said, model: Model, options: Options, *, duration: float | None
) -> Transcript:
    cut = said.finish == "length"
    _check_finish(said, model)
    heard = hear(said.text, emotion=options.emotion, duration=duration, cut=cut)
    if heard.refusal:
        raise RefusedError(
            "qwen",
            f"{model.id} did not transcribe, it answered: {shown(heard.refusal, 300)}",
            request_id=said.request_id,
            hint="A model that only recognizes speech does not decline: -m qwen3-asr-flash.",
        )
    language = canonical(options.language)
    segment = Segment(heard.text, language=language, emotion=heard.emotion)
    return Transcript(
        segments=(segment,) if heard.text else (),
        provider="qwen",
        model=model.id,
        language=language,
        duration=duration,
        request_ids=(said.request_id,) if said.request_id else (),
        billed_seconds=number_at(said.usage, "seconds"),
        warnings=tuple(_warnings(said, heard, model, duration=duration, cut=cut)),
    )


def _check_finish(said: _Said, model: Model) -> None:
    """Raises what the end of the stream reports."""
    text = said.text.strip()
    if said.finish == "content_filter":
        raise RefusedError(
            "qwen",
            "the moderation of the service stopped the text",
            code="content_filter",
            request_id=said.request_id,
        )
    if said.finish not in {"stop", "length"}:
        reason = shown(said.finish or "", 50)
        told = f"{model.id} ended for a reason that is not documented: {reason}"
        raise UnexpectedAnswerError("qwen", told, request_id=said.request_id)
    if said.finish == "length" and not text:
        told = f"{model.id} wrote as long as it may, and no text"
        raise UnexpectedAnswerError("qwen", told, request_id=said.request_id)


def _warnings(
    said: _Said, heard: Heard, model: Model, *, duration: float | None, cut: bool
) -> Iterator[str]:
    if cut:
        yield CUT
    yield from heard.warnings
    if said.mended:
        yield MENDED
    tokens = number_at(said.usage, "prompt_tokens_details", "audio_tokens")
    if tokens is None or not heard.text:
        return
    if tokens == 0:
        yield f"the service counted no audio: {model.id} may have made the text up"
        return
    rate = _TOKENS_A_SECOND.get(model.family)
    if rate and duration and tokens / rate + 1 < duration * _LEAST_HEARD:
        yield f"the service heard only about {tokens / rate:.0f} s of the {duration:.0f} s"
