"""`*-asr-flash` of Fun-ASR and Qwen-Audio by DashScope's synchronous call: with times and words.

They share the address of `qwen3-asr-flash`, and neither the body nor the answer. Page:
https://www.alibabacloud.com/help/en/model-studio/fun-asr-flash-recorded-speech-recognition-http-api.
"""

from __future__ import annotations

import textwrap
from collections.abc import Iterable
from pathlib import PurePosixPath
from typing import Any
from urllib.parse import unquote, urlsplit

from asrcli.errors import AsrError, NetworkError, Retry, UnsupportedFormatError
from asrcli.media.audio import AudioFile
from asrcli.media.formats import FORMATS
from asrcli.providers.base import Model, OnText, Options, Reference
from asrcli.providers.calls import MENDED, SENT_TWICE
from asrcli.providers.languages import canonical
from asrcli.providers.qwen.flash import event_bodies
from asrcli.providers.qwen.jobs import instant_hotwords
from asrcli.providers.qwen.results import most_common, segment_of
from asrcli.providers.reading import dig, first_text, number_at, text_at
from asrcli.transcript import Segment, Transcript, join_texts
from asrcli.transport.http import Answer, ServerEvent

__all__ = ["read_events", "read_transcript", "request_body"]

_MOST_ROUNDS = 5
_MOST_ROUND = 400
"""Characters of each; the service cuts what is longer."""
_ANSWER = "OK."
"""What stands for the other side of a conversation of which there is only ours."""
_ALIASES = {"aif": "aiff", "mpg": "mpeg", "oga": "ogg", "wave": "wav"}


def request_body(
    audio: AudioFile | Reference, location: str, model: Model, options: Options
) -> dict[str, Any]:
    """The JSON to send; `location` is a URL or a data URI. The body is the same for streams.

    Raises UnsupportedFormatError for a URL that does not tell the format, which the call has to.
    """
    messages: list[dict[str, Any]] = []
    for text in _rounds(options.prompt)[:_MOST_ROUNDS]:
        messages.append(_message("user", {"type": "input_text", "text": text}))
        messages.append(_message("assistant", {"type": "text", "text": _ANSWER}))
    messages.append(_message("user", {"type": "input_audio", "input_audio": {"data": location}}))
    parameters: dict[str, Any] = {"format": _format(audio, model)}
    if options.language:
        parameters["language_hints"] = [options.language]
    if options.vocabulary:
        parameters["vocabulary_id"] = options.vocabulary
    if options.hotwords:
        parameters["vocabulary"] = instant_hotwords(model, options)
    if options.diarize:
        parameters["speaker_diarization_enabled"] = True
    return {"model": model.id, "input": {"messages": messages}, "parameters": parameters}


def _message(role: str, item: dict[str, Any]) -> dict[str, Any]:
    return {"role": role, "content": [item]}


def _rounds(prompt: str | None) -> list[str]:
    return textwrap.wrap(prompt or "", _MOST_ROUND, break_on_hyphens=False)


def _format(audio: AudioFile | Reference, model: Model) -> str:
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


# --- answers ----------------------------------------------------------------------------------


def read_transcript(
    answer: Answer, model: Model, options: Options, *, duration: float | None
) -> Transcript:
    """Read the whole answer of a call without streaming."""
    heard = _Heard()
    heard.take(answer.json)
    if not heard.anything:
        raise answer.unexpected("its answer holds no text")
    warnings = [MENDED] if answer.mended else []
    if answer.possible_duplicate:
        warnings.append(SENT_TWICE)
    heard.request_id = heard.request_id or answer.request_id
    return heard.transcript(model, options, duration=duration, warnings=warnings)


def read_events(
    events: Iterable[ServerEvent],
    model: Model,
    options: Options,
    *,
    duration: float | None,
    on_text: OnText,
) -> Transcript:
    """Read a streamed answer; raises if it ends in the middle of a sentence.

    Recordings of less than a minute come as one event. No event says that it is the last one.
    What fails after the first text may have been paid for: its error is `Retry.AMBIGUOUS`.
    """
    heard, mended = _Heard(), False
    try:
        for body, changed in event_bodies(events):
            mended = mended or changed
            heard.take(body)
            on_text(heard.text)
        if not heard.anything or heard.unfinished:
            said = "the stream ended before the text did"
            raise NetworkError("qwen", said, retry=Retry.AMBIGUOUS)
    except AsrError as error:
        if heard.text and error.retry is Retry.TRANSIENT:
            error.retry = Retry.AMBIGUOUS
        raise
    warnings = [MENDED] if mended else []
    return heard.transcript(model, options, duration=duration, warnings=warnings)


class _Heard:
    """What an answer, or the events of a stream so far, say."""

    def __init__(self) -> None:
        self.anything = False
        """There was a text somewhere, be it an empty one."""
        self.request_id: str | None = None
        self._sentences: dict[Any, Any] = {}
        self._last: Any = None
        self._whole = ""
        self._billed: float | None = None

    @property
    def unfinished(self) -> bool:
        """The last sentence says of itself that there is more of it to come."""
        return dig(self._last, "sentence_end") is False

    @property
    def text(self) -> str:
        """All of it, as one line."""
        told = join_texts(text_at(s, "text") or "" for s in self._sentences.values())
        return self._whole if _letters(self._whole) > _letters(told) else told

    def take(self, body: Any) -> None:
        """Take in an answer or an event."""
        # Some pages show everything one level deeper.
        for output in (dig(body, "output"), dig(body, "output", "output")):
            whole = text_at(output, "text")
            if whole is not None:
                self.anything = True
                self._whole = max(self._whole, " ".join(whole.split()), key=_letters)
            for sentence in _sentences(output):
                self.anything = True
                self._last = sentence
                self._sentences[self._key(sentence)] = sentence
        self.request_id = first_text(text_at(body, "request_id"), self.request_id)
        for name in ("duration", "seconds"):
            billed = number_at(body, "usage", name)
            self._billed = billed if billed is not None else self._billed

    def transcript(
        self, model: Model, options: Options, *, duration: float | None, warnings: list[str]
    ) -> Transcript:
        """What was heard, by sentences; as one text if they do not hold all of it."""
        found = [segment_of(s, options) for s in self._sentences.values()]
        segments = [segment for segment in found if segment is not None]
        told = join_texts(segment.text for segment in segments)
        if _letters(self._whole) > _letters(told):
            segments = [Segment(self._whole, language=canonical(options.language))]
        rounds = len(_rounds(options.prompt))
        if rounds > _MOST_ROUNDS:
            most = _MOST_ROUNDS * _MOST_ROUND
            warnings = [*warnings, f"of the prompt, only about {most:,} characters were used"]
        if options.speakers is not None:
            told = "finds out by itself how many speakers there are: it was not told a number"
            warnings = [*warnings, f"{model.id} {told}"]
        return Transcript(
            segments=tuple(segments),
            provider="qwen",
            model=model.id,
            language=most_common(s.language for s in segments) or canonical(options.language),
            duration=duration,
            request_ids=(self.request_id,) if self.request_id else (),
            billed_seconds=self._billed,
            warnings=tuple(warnings),
        )

    def _key(self, sentence: Any) -> Any:
        number = number_at(sentence, "sentence_id")
        start = number_at(sentence, "begin_time")
        return ("number", number) if number is not None else ("start", start)


def _sentences(output: Any) -> list[Any]:
    found = []
    for name in ("sentence", "sentences"):
        value = dig(output, name)
        found += value if isinstance(value, list) else [value]
    return [value for value in found if isinstance(text_at(value, "text"), str)]


def _letters(text: str) -> int:
    return sum(character.isalnum() for character in text)
