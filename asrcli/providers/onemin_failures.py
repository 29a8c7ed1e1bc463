"""What 1min.ai's errors mean.

They come in several shapes of JSON, as HTML or as plain text; what the vendor behind a model says
is JSON in a text inside. Page: https://docs.1min.ai/docs/api/chat-with-ai-api, section on errors.
"""

from __future__ import annotations

import re
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
    UnexpectedAnswerError,
)
from asrcli.providers.reading import dig, first_text, number_at, shown, text_at
from asrcli.transport.answers import read_json
from asrcli.transport.http import Answer

__all__ = ["body_of", "codes_of", "decoded", "failure", "read_failure", "unexpected"]

Kind = tuple[type[RemoteError], Retry]

_NUMBERS = re.compile(r"requires\s+([\d.,]+)\s+credits.*\s([\d.,]+)\s+credits", re.DOTALL)
_UNREADABLE = re.compile(r"analyze media file|type isn.t supported", re.IGNORECASE)


def read_failure(answer: Answer) -> AsrError | None:
    """The error an answer reports, or None if it is no failure or one of HTTP's own."""
    if 300 <= answer.status < 400 or (answer.status < 300 and not _is_error(body_of(answer))):
        return None
    body = _body_or_text(answer)
    if answer.status >= 500 and not isinstance(body, dict):
        return None
    message = first_text(
        text_at(body, "message"), text_at(body, "error", "message"), dig(body, "error"),
        text_at(body, "detail"), body,
    )  # fmt: skip
    return failure(answer, code=first_text(*codes_of(body)), message=message or "no reason given")


def _is_error(body: Any) -> bool:
    """True for an error in place of a record; a failed record is read with the record."""
    if not isinstance(body, dict):
        return False
    if any(isinstance(body.get(name), dict) for name in ("aiRecord", "asset", "fileContent")):
        return False
    return bool(body.get("error") or body.get("errorCode")) or body.get("success") is False


def codes_of(body: Any) -> tuple[str | None, ...]:
    """The places where a code may stand; most are None."""
    error = text_at(body, "error")
    known = error if error in _BY_CODE else None
    return text_at(body, "errorCode"), text_at(body, "error", "code"), known


def _body_or_text(answer: Answer) -> Any:
    try:
        return body_of(answer)
    except AsrError:
        return answer.excerpt if not answer.excerpt.lstrip().startswith("<") else None


_FINAL = (RefusedError, Retry.NEVER)
_FAILED = (ServiceError, Retry.TRANSIENT)
_LOST = {502, 504, 520, 522, 524}
"""A gateway lost sight of the service, which may have done the work."""
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


def failure(answer: Answer, *, code: str | None, message: str) -> RemoteError:
    """The error for a code and a reason, also those of a record that came with HTTP 200."""
    usual = _FAILED if answer.status >= 500 else _FINAL
    kind, retry = _BY_CODE.get(code or "") or _BY_STATUS.get(answer.status) or usual
    hint = None
    if code == "EXTERNAL_API_RESPONSE_WITH_ERROR":
        kind, retry, message = _vendor_refusal(answer, message)
    elif kind is ArrearsError or _NUMBERS.search(message):
        kind, retry, message = ArrearsError, Retry.NEVER, _credits(message)
    elif _UNREADABLE.search(message):
        kind, retry = InputRefusedError, Retry.NEVER
    elif answer.status == 403 and not isinstance(_body_or_text(answer), dict):
        kind, retry, message, hint = _edge_refusal(answer)
    elif code in {"PROMPT_OBJECT_VALIDATION_FAILED", "MISSING_REQUIRED_FIELDS"}:
        message = "; ".join([message, *_detail_messages(answer)])
    if answer.status in _LOST:
        retry = Retry.AMBIGUOUS
    return kind(
        "onemin",
        shown(message),
        code=shown(code, 100) if code else None,
        http_status=answer.status,
        request_id=_request_id(answer),
        retry=retry,
        retry_after=_retry_after(answer),
        hint=hint,
    )


def _credits(message: str) -> str:
    # The sentence also holds the team's name, which is nobody's business here.
    if numbers := _NUMBERS.search(message):
        return f"this needs {numbers[1]} credits, the team has {numbers[2]}"
    return "the team has not enough credits"


def _retry_after(answer: Answer) -> float | None:
    seconds = number_at(_body_or_text(answer), "retryAfter")
    return seconds if seconds is not None and seconds >= 0 else None


def _edge_refusal(answer: Answer) -> tuple[type[RemoteError], Retry, str, str | None]:
    # https://developers.cloudflare.com/support/troubleshooting/http-status-codes/cloudflare-1xxx-errors/
    found = re.search(r"error(?: code:)?\s+(\d{4})\b", _start(answer), re.IGNORECASE)
    number = found[1] if found else ""
    if number == "1015":
        return RateLimitedError, Retry.THROTTLED, "the service's edge limits the rate", None
    if number:
        hint = "A proxy or an old version may be in the way: `asrcli --version`."
        said = f"the service's edge refuses this client (error {number})"
        return ServiceError, Retry.NEVER, said, hint
    return ServiceError, Retry.TRANSIENT, "the service's edge asks for a browser", None


def _start(answer: Answer) -> str:
    return answer.body[:20_000].decode("utf-8", "replace")


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
    body = _body_or_text(answer)
    details = dig(body, "details")
    details = dig(body, "error", "details") if details is None else details
    return decoded(details) if isinstance(details, str) else details


def _detail_messages(answer: Answer) -> list[str]:
    """What the details say, each sentence once; nothing else of them is fit to be shown."""
    details = _details(answer)
    inner = text_at(details, "response", "data", "message")
    found = [inner or text_at(details, "message")]
    for item in details if isinstance(details, list) else []:
        field, said = text_at(item, "field"), text_at(item, "message")
        found.append(f"{field}: {said}" if field and said else said)
    return list(dict.fromkeys(text for text in found if text))


# --- bodies --------------------------------------------------------------------------------------


def body_of(answer: Answer) -> Any:
    """The answer's JSON, taken out of the text that it may be wrapped in."""
    body = answer.json
    return decoded(body) if isinstance(body, str) else body


def decoded(text: str) -> Any:
    """The JSON in a text, or the text itself."""
    try:
        return read_json(text.encode("utf-8", "replace"))[0]
    except ValueError:
        return text


def unexpected(answer: Answer, message: str) -> UnexpectedAnswerError:
    """The answer is none of those that are documented."""
    return UnexpectedAnswerError(
        "onemin", message, http_status=answer.status, request_id=_request_id(answer)
    )


def _request_id(answer: Answer) -> str | None:
    """What to name in a report: that of the answer, else that of the record."""
    said = first_text(answer.request_id, text_at(_body_or_text(answer), "aiRecord", "uuid"))
    return shown(said, 100) if said else None
