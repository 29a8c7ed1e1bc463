"""What a failure means: its class, and whether a new connection can help.

The codes are those of https://docs.qwencloud.com/api-reference/preparation/error-messages and of
the realtime pages beside it. They are spelt in more than one way (`InvalidApiKey`,
`invalid_api_key`), so only letters, digits and dots count.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass

from asrcli.errors import (
    ArrearsError,
    InputRefusedError,
    KeyRefusedError,
    ModelRefusedError,
    NetworkError,
    RateLimitedError,
    RedirectError,
    RefusedError,
    RemoteError,
    Retry,
    RightsError,
    ServiceError,
)
from asrcli.protocol.events import Failed
from asrcli.protocol.reading import object_of, shown, text

__all__ = ["Verdict", "judge", "of_close", "of_handshake"]


@dataclass(frozen=True, slots=True)
class Verdict:
    """The class of a failure, and what a new connection may do."""

    kind: type[RemoteError]
    retry: Retry = Retry.NEVER


_KEY = Verdict(KeyRefusedError)
_RIGHTS = Verdict(RightsError)
_ARREARS = Verdict(ArrearsError)
_MODEL = Verdict(ModelRefusedError)
_REFUSED = Verdict(RefusedError)
_AUDIO = Verdict(InputRefusedError)
_RATE = Verdict(RateLimitedError, Retry.THROTTLED)
_OVERLOAD = Verdict(ServiceError, Retry.THROTTLED)
_SERVER = Verdict(ServiceError, Retry.TRANSIENT)
_LOST = Verdict(NetworkError, Retry.TRANSIENT)
_BROKEN = Verdict(ServiceError)
_REDIRECT = Verdict(RedirectError)

_REFUSALS: dict[type[RemoteError], str] = {
    KeyRefusedError: "it does not accept the key",
    RightsError: "it does not let this key in",
    RateLimitedError: "too many connections at once",
    RedirectError: "it sends the connection elsewhere, which is not followed",
}

# The first that is the beginning of the code decides; the longer ones stand first.
_CODES: tuple[tuple[str, Verdict], ...] = (
    ("invalidapikey", _KEY),
    ("incorrectapikey", _KEY),
    ("accessdenied.unpurchased", _ARREARS),
    ("accessdenied", _RIGHTS),
    ("model.accessdenied", _RIGHTS),
    ("workspace.accessdenied", _RIGHTS),
    ("bailiangateway.workspace", _RIGHTS),
    ("workspacenotfound", _RIGHTS),
    ("notauthorized", _RIGHTS),
    ("arrearage", _ARREARS),
    ("isv.outofservice", _ARREARS),
    ("allocationquota.freetieronly", _ARREARS),
    ("commoditynotpurchased", _ARREARS),
    ("prepaidbilloverdue", _ARREARS),
    ("postpaidbilloverdue", _ARREARS),
    ("model.notexist", _MODEL),
    ("modelnotfound", _MODEL),
    ("modelnotsupported", _MODEL),
    ("throttling", _RATE),
    ("limitrequests", _RATE),
    ("limitburstrate", _RATE),
    ("ratelimitexceeded", _RATE),
    # Also what a limit of tokens per minute is called, so it may well pass.
    ("insufficientquota", _RATE),
    ("modelservingerror", _OVERLOAD),
    ("modelunavailable", _OVERLOAD),
    ("serviceunavailable", _OVERLOAD),
    ("internalerror", _SERVER),
    ("servererror", _SERVER),
    ("systemerror", _SERVER),
    ("modelservicefailed", _SERVER),
    ("requesttimeout", _SERVER),
    ("gatewaytimeout", _SERVER),
    ("processingerror", _SERVER),
    ("invalidparameter", _REFUSED),
    ("clienterror", _REFUSED),
    ("datainspectionfailed", _REFUSED),
    ("unsupportedformat", _REFUSED),
    ("novalidaudioerror", _AUDIO),
    ("noinputaudioerror", _AUDIO),
)

# Looked for in the message in lower case: first those that overrule the code …
_OVERRULING: tuple[tuple[str, Verdict], ...] = (
    ("free allocated quota exceeded", _ARREARS),
    ("free tier", _ARREARS),
    ("in good standing", _ARREARS),
    ("request timeout after", _SERVER),
    ("response timeout", _SERVER),
)
# … then those that stand in for a code that is missing or says nothing.
_PHRASES: tuple[tuple[str, Verdict], ...] = (
    ("rate limit", _RATE),
    ("request rate increased", _RATE),
    ("quota exceeded", _RATE),
    ("exceeded your current quota", _RATE),
    ("too many requests", _RATE),
    ("invalid api key", _KEY),
    ("invalid api-key", _KEY),
    ("model not exist", _MODEL),
    ("failed to decode audio", _REFUSED),
    ("decoded text message was too big", _REFUSED),
    ("task can not be null", _REFUSED),
    ("missing required parameter", _REFUSED),
)

_STATUSES = {
    400: _REFUSED,
    401: _KEY,
    402: _ARREARS,
    403: _RIGHTS,
    404: _REFUSED,
    408: _LOST,
    429: _RATE,
}

_CLOSES = {
    # The socket went away without a word; the others were said by the service.
    1005: _LOST,
    1006: _LOST,
    1015: _LOST,
    1000: _SERVER,
    1001: _SERVER,
    1011: _SERVER,
    1012: _SERVER,
    1013: _OVERLOAD,
    1014: _SERVER,
    1007: _REFUSED,
    1003: _REFUSED,
    1008: _RIGHTS,
    1002: _BROKEN,
    1009: _BROKEN,
    # Numbers that several live recognizers share.
    4000: _REFUSED,
    4001: _KEY,
    4002: _ARREARS,
    4003: _ARREARS,
    4008: _SERVER,
    4029: _RATE,
    4031: _SERVER,
    4100: _REFUSED,
    4101: _REFUSED,
    4102: _RATE,
}


def judge(code: str | None, message: str) -> Verdict | None:
    """The class of a failure by its code and its words; None if neither is known."""
    said = message.lower()
    if verdict := _first(_OVERRULING, lambda phrase: phrase in said):
        return verdict
    plain = re.sub(r"[^a-z0-9.]", "", (code or "").lower())
    if verdict := _first(_CODES, plain.startswith):
        return verdict
    return _first(_PHRASES, lambda phrase: phrase in said)


def of_handshake(status: int, body: str = "", *, retry_after: float | None = None) -> Failed:
    """A connection that was answered with an HTTP status other than 101.

    The body is read for `code`, `message` and `request_id`, at its top or within `error`.
    """
    answer = object_of(body) or {}
    inner = answer.get("error") if isinstance(answer.get("error"), dict) else answer
    code = text(inner, "code")
    said = shown(text(inner, "message") or "")
    verdict = _of_refusal(status, code, said)
    return Failed(
        code=code,
        message=said or _REFUSALS.get(verdict.kind, f"it refused the connection ({status})"),
        kind=verdict.kind,
        retry=verdict.retry,
        request_id=text(answer, "request_id") or text(inner, "request_id"),
        http_status=status,
        retry_after=retry_after,
    )


def of_close(code: int | None, reason: str = "") -> Failed:
    """A connection that ended before the dialogue did; `code` is None where no frame came.

    1000 is no success here: it only means that the other side was polite.
    """
    known = 1006 if code is None else code
    said = shown(reason)
    verdict = judge(None, said) or _of_close_code(known)
    how = f"the connection ended early (close code {known})"
    return Failed(
        code=f"Close{known}",
        message=f"{how}: {said}" if said else how,
        kind=verdict.kind,
        retry=verdict.retry,
    )


def _of_refusal(status: int, code: str | None, said: str) -> Verdict:
    if 300 <= status < 400:
        return _REDIRECT
    verdict = judge(code, said) or _of_status(status)
    # Whatever it calls the reason: there is no connection, and there may be one later.
    return Verdict(NetworkError, verdict.retry) if status >= 500 else verdict


def _of_status(status: int) -> Verdict:
    if status in _STATUSES:
        return _STATUSES[status]
    return _LOST if status >= 500 else _REFUSED


def _of_close_code(code: int) -> Verdict:
    if code in _CLOSES:
        return _CLOSES[code]
    # 4401, 4429, 4503: an HTTP status that was made a close code.
    if 4400 <= code < 4600:
        return _of_status(code - 4000)
    return _BROKEN if code >= 3000 else _SERVER


def _first(table: tuple[tuple[str, Verdict], ...], fits: Callable[[str], bool]) -> Verdict | None:
    return next((verdict for mark, verdict in table if fits(mark)), None)
