"""1min.ai: upload to its Asset API, then `SPEECH_TO_TEXT`.

Pages: https://docs.1min.ai/docs/api/asset-api, https://docs.1min.ai/docs/api/ai-for-audio/speech-to-text.
The service answers with text alone: no times, no language, no emotion.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asrcli.errors import TimeLimitError, UnexpectedAnswerError
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, OnText, Options, Reference
from asrcli.providers.calls import MENDED, SENT_TWICE, file_part, host_of, marked_as, telling_key
from asrcli.providers.onemin_failures import (
    body_of,
    codes_of,
    decoded,
    failure,
    read_failure,
    unexpected,
)
from asrcli.providers.reading import dig, first_text, shown, text_at
from asrcli.secret import Secret
from asrcli.transcript import Segment, Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, HTTPClient
from asrcli.transport.retry import Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_BASE_URL", "OneMin", "read_transcript"]

DEFAULT_BASE_URL = "https://api.1min.ai"

_POLL_SECONDS = 2.0
_LONGEST_POLLING = 120.0
_DONE = {"success", "completed"}
_FAILED = {"failure", "failed", "error"}
_TEXT_NAMES = ("text", "transcript", "content")


class OneMin:
    """The service, with one key; `key_place` says where that was found.

    `wait` sleeps between two looks at a result that is not ready.
    """

    name = "onemin"

    def __init__(
        self,
        key: Secret,
        connection: Connection,
        *,
        retrier: Retrier,
        base_url: str = DEFAULT_BASE_URL,
        wait: Callable[[float], None],
        key_place: str | None = None,
        transport: httpx.BaseTransport | None = None,
    ) -> None:
        self._http = HTTPClient(
            self.name,
            base_url,
            {"API-KEY": key},
            connection,
            retrier=retrier,
            read_failure=read_failure,
            transport=transport,
        )
        self._wait = wait
        self._key_place = key_place

    @property
    def host(self) -> str:
        """Where recordings go."""
        return host_of(self._http.base_url)

    def stores_first(self, audio: AudioFile, model: Model) -> bool:  # noqa: ARG002
        """True: the service takes nothing but assets."""
        return True

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, audio: AudioFile, model: Model) -> Reference:
        """Store a file as an asset; how long it stays is not documented, nor how to delete it."""
        with telling_key(self._key_place, model, self._http.base_url):
            answer = self._http.post_file("api/assets", [], file_part("asset", audio))
        body = body_of(answer)
        path = first_text(
            text_at(body, "fileContent", "path"), text_at(body, "asset", "key"), dig(body, "path")
        )
        if path is None:
            raise unexpected(answer, "the upload's answer names no path")
        return Reference(self.name, path)

    def transcribe(
        self,
        audio: AudioFile | Reference,
        model: Model,
        options: Options,
        *,
        on_text: OnText | None = None,  # noqa: ARG002 - the text comes at once
    ) -> Transcript:
        """Recognize a file or an asset; an answer that says PROCESSING is waited for."""
        reference = self.upload(audio, model) if isinstance(audio, AudioFile) else audio
        duration = audio.duration if isinstance(audio, AudioFile) else None
        body = {
            "type": "SPEECH_TO_TEXT",
            "model": model.id,
            "promptObject": _prompt_object(reference.location, model, options),
        }
        with telling_key(self._key_place, model, self._http.base_url):
            first = self._http.post("api/features", body)
            with marked_as(first):
                answer = self._finished(first)
                return read_transcript(answer, model, options, duration=duration)

    def _finished(self, first: Answer) -> Answer:
        answer, waited = first, 0.0
        while _status(body_of(answer)) == "processing":
            uuid = text_at(body_of(answer), "aiRecord", "uuid")
            if uuid is None or not re.fullmatch(r"[\w-]{1,64}", uuid, re.ASCII):
                raise unexpected(answer, "it is working, but does not say on what")
            if waited >= _LONGEST_POLLING:
                said = f"no result after {waited:.0f} s"
                raise TimeLimitError(self.name, said, request_id=shown(uuid))
            self._wait(_POLL_SECONDS)
            waited += _POLL_SECONDS
            answer = self._http.get(f"api/results/{uuid}")
            if not isinstance(dig(body_of(answer), "aiRecord"), dict):
                raise UnexpectedAnswerError(
                    self.name, "it no longer knows the result", request_id=shown(uuid)
                )
        return answer.marked(possible_duplicate=first.possible_duplicate)


def _prompt_object(location: str, model: Model, options: Options) -> dict[str, Any]:
    # Each family has its own fields, and what it does not know it may ignore in silence.
    prompt: dict[str, Any] = {"audioUrl": location}
    if model.id == "whisper-1":
        prompt["response_format"] = "text"
    if options.language:
        prompt["language"] = options.language
    if options.itn is not None:
        prompt["enable_itn"] = options.itn
    return prompt


# --- reading ----------------------------------------------------------------------------------


def read_transcript(
    answer: Answer, model: Model, options: Options, *, duration: float | None
) -> Transcript:
    """Read the answer of `/api/features`; raises if it reports a failure or holds no text.

    The text is in `aiRecord.aiRecordDetail.resultObject`, in one of several shapes.
    """
    body = body_of(answer)
    text = _text(body)
    warnings = _status_warnings(answer, text)
    if text is None:
        raise unexpected(answer, "it says that it succeeded, but holds no text")
    text = text.strip()
    if not text:
        warnings.append("the service heard nothing")
    if answer.mended:
        warnings.append(MENDED)
    if answer.possible_duplicate:
        warnings.append(SENT_TWICE)
    return Transcript(
        segments=(Segment(text, language=options.language),) if text else (),
        provider="onemin",
        model=model.id,
        language=options.language,
        duration=duration,
        request_ids=(uuid,) if (uuid := text_at(body, "aiRecord", "uuid")) else (),
        warnings=tuple(warnings),
    )


def _text(body: Any) -> str | None:
    """The text from wherever it lies: one that is empty only if there is no other."""
    record = dig(body, "aiRecord")
    detail = dig(record, "aiRecordDetail")
    other = dig(detail, "responseObject")
    places = (
        dig(detail, "resultObject"),
        other if isinstance(other, dict) else None,
        dig(record, "resultObject"),
        dig(body, "resultObject"),
    )
    found = [text for place in places if (text := _text_of(place)) is not None]
    return first_text(*found) or (found[0] if found else None)


def _status_warnings(answer: Answer, text: str | None) -> list[str]:
    """Raises the failure that the record reports; an unknown status passes if there is a text."""
    body = body_of(answer)
    status = _status(body)
    if status in _DONE:
        return []
    record = dig(body, "aiRecord")
    said = first_text(
        text_at(record, "aiRecordDetail", "errorMessage"),
        text_at(record, "errorMessage"),
        text_at(body, "error", "message"),
        dig(body, "error"),
    )
    if status in _FAILED:
        code = first_text(text_at(record, "errorCode"), *codes_of(body))
        reason = first_text(said, text) or "it failed, and does not say why"
        raise failure(answer, code=code, message=reason)
    described = f"the status of its record is {shown(status, 40) or 'missing'}"
    if said or not first_text(text):
        raise unexpected(answer, f"{described}: {shown(said)}" if said else described)
    return [described]


def _status(body: Any) -> str:
    return (text_at(body, "aiRecord", "status") or "").strip().lower()


def _text_of(result: Any) -> str | None:
    """The text in one of the shapes that were seen; None where there is none."""
    if isinstance(result, str):
        return _text_of_json(result)
    if isinstance(result, dict):
        texts = [result[name] for name in _TEXT_NAMES if isinstance(result.get(name), str)]
        return first_text(*texts) or (texts[0] if texts else None)
    if isinstance(result, list):
        texts = [text for item in result if (text := _text_of(item)) is not None]
        return "\n".join(texts) if texts else None
    return None


def _text_of_json(text: str) -> str:
    # Only an object that holds a transcript is unpacked: speech may well begin with a bracket.
    inner = decoded(text) if text.lstrip().startswith("{") else None
    if isinstance(inner, dict):
        found = (inner.get(name) for name in ("text", "transcript"))
        return next((t for t in found if isinstance(t, str)), text)
    return text
