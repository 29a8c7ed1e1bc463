"""1min.ai: upload to its Asset API, then `SPEECH_TO_TEXT`.

Pages: https://docs.1min.ai/docs/api/asset-api, https://docs.1min.ai/docs/api/ai-for-audio/speech-to-text.
The service answers with text alone: no times, no language, no emotion.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from asrcli.errors import (
    ArrearsError,
    AsrError,
    InputRefusedError,
    KeyRefusedError,
    ModelRefusedError,
    RateLimitedError,
    RefusedError,
    RemoteError,
    Retry,
    RightsError,
    ServiceError,
    TimeLimitError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, OnText, Options, Reference
from asrcli.providers.reading import dig, first_text, number_at, text_at, without_urls
from asrcli.secret import Secret
from asrcli.transcript import Segment, Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer, FilePart, HTTPClient
from asrcli.transport.retry import Retrier

if TYPE_CHECKING:
    import httpx

__all__ = ["DEFAULT_BASE_URL", "OneMin", "read_failure", "read_transcript"]

DEFAULT_BASE_URL = "https://api.1min.ai"

_POLL_SECONDS = 2.0
_LONGEST_POLLING = 120.0
_DONE = {"success", "completed"}
_FAILED = {"failure", "failed", "error"}
_NUMBERS = re.compile(r"requires\s+([\d.,]+)\s+credits.*?has\s+([\d.,]+)\s+credits", re.DOTALL)


class OneMin:
    """The service, with one key."""

    name = "onemin"

    def __init__(
        self,
        key: Secret,
        connection: Connection,
        *,
        retrier: Retrier,
        base_url: str = DEFAULT_BASE_URL,
        wait: Callable[[float], None],
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

    def close(self) -> None:
        """Close the connections."""
        self._http.close()

    def upload(self, audio: AudioFile, model: Model) -> Reference:  # noqa: ARG002 - any model's
        """Store a file as an asset; how long it stays is not documented, nor how to delete it.

        The name that is sent says nothing about the file: it becomes part of the asset's path.
        """
        part = FilePart("asset", f"audio{audio.suffix}", audio.mime_type, audio.path)
        answer = self._http.post_file("api/assets", [], part)
        body = _unwrapped(answer.json)
        path = first_text(
            text_at(body, "fileContent", "path"), text_at(body, "asset", "key"), dig(body, "path")
        )
        if path is None:
            raise _unexpected(answer, "the upload's answer names no path")
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
        body = {
            "type": "SPEECH_TO_TEXT",
            "model": model.id,
            "promptObject": _prompt_object(reference.location, model, options),
        }
        answer = self._finished(self._http.post("api/features", body))
        duration = audio.duration if isinstance(audio, AudioFile) else None
        return read_transcript(answer, model, options, duration=duration)

    def _finished(self, answer: Answer) -> Answer:
        waited = 0.0
        duplicate = answer.possible_duplicate
        while _status(answer.json) == "processing":
            uuid = text_at(answer.json, "aiRecord", "uuid")
            if uuid is None or not re.fullmatch(r"[\w-]{1,64}", uuid):
                raise _unexpected(answer, "it is working, but does not say on what")
            if waited >= _LONGEST_POLLING:
                raise TimeLimitError(
                    self.name, f"no result after {waited:.0f} s", request_id=uuid, retry=Retry.NEVER
                )
            self._wait(_POLL_SECONDS)
            waited += _POLL_SECONDS
            answer = self._http.get(f"api/results/{uuid}")
            if dig(answer.json, "aiRecord") is None:
                raise _unexpected(answer, f"it no longer knows the result {uuid}")
        return answer.marked(possible_duplicate=duplicate)


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
    body = answer.json
    _raise_for_status(answer)
    detail = dig(body, "aiRecord", "aiRecordDetail")
    text = _first_not_none(
        _text_of(dig(detail, "resultObject")),
        _text_of(dig(detail, "responseObject")) if dig(detail, "responseObject") else None,
        _text_of(dig(body, "aiRecord", "resultObject")),
        _text_of(dig(body, "resultObject")),
    )
    if text is None:
        raise _unexpected(answer, "it says that it succeeded, but holds no text")
    text = text.strip()
    warnings = [] if text else ["the service heard nothing"]
    if answer.possible_duplicate:
        warnings.append("sent twice after an unclear failure: it may have been charged twice")
    return Transcript(
        segments=(Segment(text, language=options.language),) if text else (),
        provider="onemin",
        model=model.id,
        language=options.language,
        duration=duration,
        request_ids=(uuid,) if (uuid := text_at(body, "aiRecord", "uuid")) else (),
        warnings=tuple(warnings),
    )


def _raise_for_status(answer: Answer) -> None:
    body = answer.json
    status = _status(body)
    if status in _DONE:
        return
    record = dig(body, "aiRecord")
    said = first_text(
        text_at(record, "aiRecordDetail", "errorMessage"),
        text_at(record, "errorMessage"),
        text_at(body, "error", "message"),
        dig(body, "error"),
    )
    result = _text_of(dig(record, "aiRecordDetail", "resultObject"))
    if status in _FAILED:
        reason = without_urls(said or result or "it failed, and does not say why")
        raise _classified(answer, code=None, message=reason)
    if not record or not result or said:
        raise _unexpected(answer, f"the status of its record is {status or 'missing'}")


def _status(body: Any) -> str:
    return (text_at(body, "aiRecord", "status") or "").lower()


def _text_of(result: Any) -> str | None:
    """The text in one of the shapes that were seen; None where there is none."""
    if isinstance(result, str):
        return _text_of_json(result)
    if isinstance(result, dict):
        return first_text(*(result.get(name) for name in ("text", "transcript", "content")))
    if isinstance(result, list):
        texts = [text for item in result if (text := _text_of(item)) is not None]
        return "\n".join(texts) if texts else None
    return None


def _text_of_json(text: str) -> str:
    # Only an object that holds a transcript is unpacked: speech may well begin with a bracket.
    if text.lstrip().startswith("{"):
        try:
            inner = json.loads(text)
        except (ValueError, RecursionError):
            return text
        if isinstance(inner, dict):
            found = inner.get("text", inner.get("transcript"))
            return found if isinstance(found, str) else text
    return text


def _first_not_none(*candidates: str | None) -> str | None:
    return next((c for c in candidates if c is not None), None)


def _unwrapped(body: Any) -> Any:
    if isinstance(body, str):
        try:
            return json.loads(body)
        except (ValueError, RecursionError):
            return body
    return body


def _unexpected(answer: Answer, message: str) -> UnexpectedAnswerError:
    return UnexpectedAnswerError(
        "onemin", message, http_status=answer.status, request_id=answer.request_id
    )


# --- failures ---------------------------------------------------------------------------------


def read_failure(answer: Answer) -> AsrError | None:
    """The error an answer reports, or None if it is no failure or one of HTTP's own.

    https://docs.1min.ai/docs/api/chat-with-ai-api, section on errors, names some of the codes.
    """
    if answer.status >= 500:
        return None
    if 200 <= answer.status < 300:
        # A failed record is read with the record; this is an error in place of one.
        body = _unwrapped(answer.json)
        if not isinstance(body, dict) or {"aiRecord", "asset", "fileContent"} & body.keys():
            return None
        if not ({"error", "errorCode"} & body.keys()):
            return None
    elif answer.status < 400:
        return None
    body = _body_or_text(answer)
    code = first_text(text_at(body, "errorCode"), text_at(body, "error", "code"))
    message = first_text(
        text_at(body, "message"), text_at(body, "error", "message"), dig(body, "error"),
        text_at(body, "detail"), body,
    )  # fmt: skip
    return _classified(answer, code=code, message=without_urls(message or "no reason given"))


def _body_or_text(answer: Answer) -> Any:
    try:
        return answer.json
    except AsrError:
        return answer.excerpt if not answer.excerpt.lstrip().startswith("<") else None


_FINAL = (RefusedError, Retry.NEVER)
_BY_CODE: dict[str, tuple[type[RemoteError], Retry]] = {
    "INSUFFICIENT_CREDITS": (ArrearsError, Retry.NEVER),
    "UNSUPPORTED_MODEL": (ModelRefusedError, Retry.NEVER),
    "RATE_LIMITED": (RateLimitedError, Retry.THROTTLED),
    "OPEN_AI_UNEXPECTED_ERROR": (ServiceError, Retry.TRANSIENT),
    "UNAUTHORIZED": (KeyRefusedError, Retry.NEVER),
    "INVALID_AUTH_TOKEN": (KeyRefusedError, Retry.NEVER),
}
_BY_STATUS: dict[int, tuple[type[RemoteError], Retry]] = {
    401: (KeyRefusedError, Retry.NEVER),
    402: (ArrearsError, Retry.NEVER),
    403: (RightsError, Retry.NEVER),
    406: (ArrearsError, Retry.NEVER),
    408: (ServiceError, Retry.TRANSIENT),
    413: (InputRefusedError, Retry.NEVER),
    415: (InputRefusedError, Retry.NEVER),
    429: (RateLimitedError, Retry.THROTTLED),
}


def _classified(answer: Answer, *, code: str | None, message: str) -> RemoteError:
    kind, retry = _BY_CODE.get(code or "") or _BY_STATUS.get(answer.status) or _FINAL
    hint = None
    if code == "EXTERNAL_API_RESPONSE_WITH_ERROR":
        kind, retry, message = _vendor_refusal(answer, message)
    elif kind is ArrearsError and (numbers := _NUMBERS.search(message)):
        # The sentence also holds the team's name, which is nobody's business here.
        message = f"this needs {numbers[1]} credits, the team has {numbers[2]}"
    elif "analyze media file" in message or "type isn't supported" in message:
        kind, retry = InputRefusedError, Retry.NEVER
    elif answer.status == 403 and not isinstance(_body_or_text(answer), dict):
        kind, retry, message, hint = _edge_refusal(answer)
    elif code in {"PROMPT_OBJECT_VALIDATION_FAILED", "MISSING_REQUIRED_FIELDS"}:
        message = "; ".join([message, *_detail_messages(answer)])
    return kind(
        "onemin",
        message,
        code=code,
        http_status=answer.status,
        request_id=answer.request_id,
        retry=retry,
        retry_after=_retry_after(answer),
        hint=hint,
    )


def _retry_after(answer: Answer) -> float | None:
    seconds = number_at(_body_or_text(answer), "retryAfter")
    return seconds if seconds is not None and seconds >= 0 else None


def _edge_refusal(answer: Answer) -> tuple[type[RemoteError], Retry, str, str | None]:
    if "1010" in answer.excerpt:
        hint = "A proxy or an old version may be in the way: `asrcli --version`."
        return ServiceError, Retry.NEVER, "the service's edge refuses this client", hint
    if "1015" in answer.excerpt:
        return RateLimitedError, Retry.THROTTLED, "the service's edge limits the rate", None
    return ServiceError, Retry.TRANSIENT, "the service's edge asks for a browser", None


def _vendor_refusal(answer: Answer, message: str) -> tuple[type[RemoteError], Retry, str]:
    # "The service is busy" is said of any refusal; the vendor's own reason is in the details.
    status = number_at(_details(answer), "response", "status")
    code = text_at(_details(answer), "response", "data", "code")
    said = "; ".join(_detail_messages(answer)) or message
    said = f"{said} ({code})" if code else said
    if status is None or status == 429 or status >= 500:
        return ServiceError, Retry.TRANSIENT, said
    if "audio" in said.lower() or (code or "").startswith("InvalidFile"):
        return InputRefusedError, Retry.NEVER, said
    return RefusedError, Retry.NEVER, said


def _details(answer: Answer) -> Any:
    return _unwrapped(dig(_body_or_text(answer), "details"))


def _detail_messages(answer: Answer) -> list[str]:
    details = _details(answer)
    found = [text_at(details, "response", "data", "message"), text_at(details, "message")]
    for item in details if isinstance(details, list) else []:
        field, said = text_at(item, "field"), text_at(item, "message")
        found.append(f"{field}: {said}" if field and said else said)
    return [without_urls(text) for text in found if text]
