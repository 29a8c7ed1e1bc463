"""What DashScope's errors mean.

They come in several shapes: `code` and `message` at the top, or inside `error`, with a status of
400 and above or with 200; as an event of a stream; as XML from the object store.
Page: https://docs.qwencloud.com/api-reference/preparation/error-messages.
"""

from __future__ import annotations

import html
import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any

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
)
from asrcli.providers.reading import dig, first_text, shown, text_at
from asrcli.transport.http import Answer, ServerEvent

__all__ = [
    "ALREADY_THERE",
    "POLICY_EXPIRED",
    "RESULT_EXPIRED",
    "failure",
    "read_event_failure",
    "read_failure",
    "read_result_failure",
    "read_store_failure",
]

Kind = tuple[type[RemoteError], Retry]

_REFUSED: Kind = (RefusedError, Retry.NEVER)
_INPUT: Kind = (InputRefusedError, Retry.NEVER)
_ARREARS: Kind = (ArrearsError, Retry.NEVER)
_RATE: Kind = (RateLimitedError, Retry.THROTTLED)
_RIGHTS: Kind = (RightsError, Retry.NEVER)
_KEY: Kind = (KeyRefusedError, Retry.NEVER)
_MODEL: Kind = (ModelRefusedError, Retry.NEVER)
_SERVER: Kind = (ServiceError, Retry.TRANSIENT)
_LOST: Kind = (ServiceError, Retry.AMBIGUOUS)
"""The service lost sight of a call that may have been carried out."""
_UNREACHED: Kind = (InputRefusedError, Retry.TRANSIENT)
"""It could not fetch the recording just now."""

# In lower case; the native spelling and that of the OpenAI-compatible protocol.
_BY_CODE: dict[str, Kind] = {
    "invalidapikey": _KEY,
    "invalid_api_key": _KEY,
    "not authorized": _RIGHTS,
    "accessdenied": _RIGHTS,
    "access_denied": _RIGHTS,
    "accessdenied.unpurchased": _ARREARS,
    "model.accessdenied": _RIGHTS,
    "workspace.accessdenied": _RIGHTS,
    "workspacenotfound": _RIGHTS,
    "allocationquota.freetieronly": _ARREARS,
    "arrearage": _ARREARS,
    "commoditynotpurchased": _ARREARS,
    "prepaidbilloverdue": _ARREARS,
    "postpaidbilloverdue": _ARREARS,
    "modelnotfound": _MODEL,
    "model_not_found": _MODEL,
    "model_not_supported": _MODEL,
    "throttling": _RATE,
    "throttling.ratequota": _RATE,
    "throttling.burstrate": _RATE,
    "throttling.allocationquota": _RATE,
    "limit_requests": _RATE,
    "limit_burst_rate": _RATE,
    "insufficient_quota": _RATE,
    "invalidfile.audiolengtherror": _INPUT,
    "invalidfile.downloadfailed": _UNREACHED,
    "invalidparameter.datainspection": _UNREACHED,
    "datainspectionfailed": _REFUSED,
    "data_inspection_failed": _REFUSED,
    "apiconnectionerror": _SERVER,
    "clientdisconnect": _SERVER,
    "internalerror": _SERVER,
    "internal_error": _SERVER,
    "internal_server_error": _SERVER,
    "internalerror.algo": _SERVER,
    "internalerror.fileupload": _SERVER,
    "internalerror.upload": _SERVER,
    "systemerror": _SERVER,
    "modelservicefailed": _SERVER,
    "internalerror.timeout": (ServiceError, Retry.NEVER),
    "requesttimeout": _LOST,
    "modelservingerror": _SERVER,
    "modelunavailable": _SERVER,
    "serviceunavailable": _SERVER,
    "gatewaytimeout": _LOST,
    # Of jobs, inside an answer that says 200.
    "file_download_failed": _UNREACHED,
    "file_server_error": _UNREACHED,
    "file_check_failed": _UNREACHED,
    "content_length_check_failed": _UNREACHED,
    "file_404_not_found": _INPUT,
    "file_403_forbidden": _INPUT,
    "request_invalid_file_url_value": _INPUT,
    "file_too_large": _INPUT,
    "audio_duration_too_long": _INPUT,
    "file_normalize_failed": _INPUT,
    "file_parse_failed": _INPUT,
    "mkv_parse_failed": _INPUT,
    "decode_error": _INPUT,
    "unsupported_format": _INPUT,
    "no_valid_audio_error": _INPUT,
    "file_trans_task_expired": _REFUSED,
}
_BY_STATUS: dict[int, Kind] = {
    401: _KEY,
    402: _ARREARS,
    403: _RIGHTS,
    404: _MODEL,
    408: _SERVER,
    413: _INPUT,
    415: _INPUT,
    429: _RATE,
    502: _LOST,
    504: _LOST,
}
_INNER_CODE = re.compile(r"^<\d{3}>\s*([A-Za-z.]+):\s*(.*)$", re.DOTALL)
_SAYS_AUDIO = re.compile(r"max bytes per data-uri|audio|decod", re.IGNORECASE)
_PARAMETER = ("invalidparameter", "invalid_parameter_error")


def read_failure(answer: Answer) -> AsrError | None:
    """The error an answer reports, also one that came with HTTP 200; None if there is none.

    What holds neither a code nor a reason is left to the transport's own reading.
    """
    if 300 <= answer.status < 400:
        return None
    body = _body(answer)
    code, message = _code(body), _message(body)
    if answer.status < 300 and not (code or dig(body, "error")):
        return None
    if code is None and (message is None or answer.status >= 500):
        return None
    error = failure(
        code,
        message or "it gives no reason",
        http_status=answer.status,
        request_id=answer.request_id or text_at(body, "request_id"),
    )
    if answer.headers.get("x-should-retry") == "false":  # as the vendor's SDK reads it
        error.retry = Retry.NEVER
    return error


def read_event_failure(event: ServerEvent, body: Any) -> AsrError | None:
    """The error that an event of a stream reports, or None; such an event ends the stream."""
    code = _code(body)
    if event.event != "error" and not code and not dig(body, "error"):
        return None
    return failure(
        code,
        _message(body) or "the stream ended with an error",
        http_status=event.http_status,
        request_id=text_at(body, "request_id"),
    )


def _code(body: Any) -> str | None:
    return first_text(
        text_at(body, "code"), text_at(body, "error", "code"), text_at(body, "error", "type")
    )


def _message(body: Any) -> str | None:
    return first_text(
        text_at(body, "message"), text_at(body, "error", "message"), dig(body, "error")
    )


def failure(
    code: str | None,
    message: str,
    *,
    http_status: int | None = None,
    request_id: str | None = None,
) -> RemoteError:
    """The error for a code of the service, wherever it stood: an answer, a stream, a job."""
    # The compatible protocol keeps the native code inside its message.
    if inner := _INNER_CODE.match(message):
        code, message = inner[1], inner[2]
    kind, retry = _kind(code, message, http_status)
    return kind(
        "qwen",
        shown(message),
        code=shown(code, 100) if code else None,
        http_status=http_status,
        request_id=shown(request_id, 100) if request_id else None,
        retry=retry,
        hint=_hint(kind, code),
    )


def _kind(code: str | None, message: str, status: int | None) -> Kind:
    lowered = (code or "").lower()
    if lowered in {"throttling.allocationquota", "insufficient_quota"}:
        if "free allocated quota" in message.lower():
            return _ARREARS
        if status == 400:  # no rate, but a number: of vocabularies, for one
            return _REFUSED
    if lowered in _BY_CODE:
        return _BY_CODE[lowered]
    if lowered.endswith(_PARAMETER) and "download" in message.lower():
        return _UNREACHED
    if lowered.endswith(_PARAMETER) and _SAYS_AUDIO.search(message):
        return _INPUT
    if "model not exist" in message.lower():
        return _MODEL
    usual = _SERVER if status is not None and status >= 500 else _REFUSED
    return _BY_STATUS.get(status or 0, usual)


def _hint(kind: type[RemoteError], code: str | None) -> str | None:
    if kind is KeyRefusedError:
        return (
            "A key belongs to one region: if it is right, try --region intl, cn, us or hk. "
            "Keys of a coding plan (sk-sp-…) do not work here."
        )
    if code and code.lower() == "allocationquota.freetieronly":
        return "The free quota is used up; switch off “free tier only” in the console to go on."
    return None


def _body(answer: Answer) -> Any:
    try:
        return answer.json
    except AsrError:
        if answer.status < 300:
            raise
        return None


# --- the object store -------------------------------------------------------------------------

POLICY_EXPIRED = "PolicyExpired"
"""A code of our own: the store says AccessDenied for this, as for much else."""
ALREADY_THERE = "FileAlreadyExists"
_STORE_KINDS: dict[str, Kind] = {
    "EntityTooLarge": _INPUT,
    "RequestTimeout": (ServiceError, Retry.TRANSIENT),
}
_XML = re.compile(r"<(Code|Message|RequestId)>([^<]{1,500})</\1>")

RESULT_EXPIRED = "ResultExpired"
"""A code of our own: the URL of a result is too old; asking for the job again gives another one."""

_LEAST_SKEW = timedelta(minutes=5)
"""Less is no reason for a signature to be refused."""


def _now() -> datetime:
    return datetime.now(UTC)


def read_store_failure(answer: Answer, *, now: Callable[[], datetime] = _now) -> RemoteError | None:
    """The error of the object store that uploads go to; it answers in XML."""
    if answer.status < 300 and answer.is_html:  # the store has nothing to say on success
        return answer.unexpected("the upload host answered with a web page")
    if answer.status < 300:
        return None
    if answer.status >= 500:
        return ServiceError(
            "qwen", "the upload host failed", http_status=answer.status, retry=Retry.TRANSIENT
        )
    code, message, request_id = _store_words(answer)
    if code == "AccessDenied" and "expired" in message.lower():
        code = POLICY_EXPIRED
    kind, retry = _STORE_KINDS.get(code or "", (ServiceError, Retry.NEVER))
    return kind(
        "qwen",
        shown(f"the upload was refused: {message}") + _skew(answer, now()),
        code=shown(code, 100) if code else None,
        http_status=answer.status,
        request_id=request_id,
        retry=retry,
    )


def read_result_failure(
    answer: Answer, *, now: Callable[[], datetime] = _now
) -> RemoteError | None:
    """The error of the object store that results lie in, for a signed URL."""
    if answer.status not in {403, 404}:
        return None
    _, message, request_id = _store_words(answer)
    return RefusedError(
        "qwen",
        shown(f"the result cannot be fetched, or not any longer: {message}") + _skew(answer, now()),
        code=RESULT_EXPIRED,
        http_status=answer.status,
        request_id=request_id,
    )


def _store_words(answer: Answer) -> tuple[str | None, str, str | None]:
    """Code, message and request id of an answer in XML."""
    parts = dict(_XML.findall(answer.body.decode("utf-8", "replace")))
    message = html.unescape(parts.get("Message", "it gives no reason"))
    return parts.get("Code"), message, parts.get("RequestId")


def _skew(answer: Answer, now: datetime) -> str:
    """What to add about the clocks, if they differ by more than a signature forgives."""
    from email.utils import parsedate_to_datetime

    if answer.status != 403:
        return ""
    try:
        theirs = parsedate_to_datetime(answer.headers.get("date", ""))
    except (TypeError, ValueError, OverflowError):
        return ""
    ahead = now - (theirs if theirs.tzinfo else theirs.replace(tzinfo=UTC))
    if abs(ahead) < _LEAST_SKEW:
        return ""
    minutes = abs(round(ahead.total_seconds() / 60))
    span = f"{minutes // 60} h {minutes % 60:02} min" if minutes >= 60 else f"{minutes} min"
    side = "ahead of" if ahead > timedelta() else "behind"
    return f"; this computer's clock is {span} {side} the service's: set it right"
