"""Everything 1min.ai is known to say when it does not do what was asked, ready for `failures`.

Codes and shapes: https://docs.1min.ai/docs/api/chat-with-ai-api (section on errors) and answers
that users of the API published. Sentences are our own unless a client may look for their words.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Any

import httpx

if TYPE_CHECKING:
    from tests.emulators.service import Received

__all__ = [
    "access_denied",
    "busy",
    "challenge_page",
    "cloudflare",
    "coded",
    "echoing_headers",
    "empty",
    "file_too_large",
    "file_type",
    "gateway_page",
    "html_page",
    "insufficient_credits",
    "invalid_prompt",
    "invalid_token",
    "key_deleted",
    "key_inactive",
    "missing_fields",
    "not_found",
    "openai_trouble",
    "plain",
    "rate_limited",
    "redirect",
    "server_error",
    "success_false",
    "unanalyzable",
    "unauthorized",
    "unsupported_feature",
    "unsupported_model",
]

BUSY = "The service is a bit busy at the moment. Please try again in a few minutes."


def coded(status: int, code: str, message: str, **more: Any) -> httpx.Response:
    """The shape that `/api/features` really sends: `errorCode` and `message`."""
    return httpx.Response(status, json={"errorCode": code, "message": message, **more})


def success_false(
    status: int, code: str, message: str, details: list[dict[str, str]] | None = None
) -> httpx.Response:
    """The documented shape: `success` is false, the rest is in `error`."""
    error = {"code": code, "message": message, "details": details or []}
    return httpx.Response(status, json={"success": False, "error": error})


# --- who asks ---------------------------------------------------------------------------------


def unauthorized() -> httpx.Response:
    """401: no key, or one that nobody knows."""
    return success_false(401, "UNAUTHORIZED", "API key is missing or invalid")


def key_deleted() -> httpx.Response:
    """401."""
    return coded(401, "HTTP_EXCEPTION", "API Key has been deleted")


def key_inactive() -> httpx.Response:
    """401: blocked by the team's administrator."""
    return coded(401, "HTTP_EXCEPTION", "API Key is not active. Please contact your team admin.")


def invalid_token() -> httpx.Response:
    """401: a key on a route of the web application."""
    message = "The authentication token is invalid"
    return httpx.Response(
        401, json={"error": "INVALID_AUTH_TOKEN", "message": message, "statusCode": 401}
    )


def access_denied() -> httpx.Response:
    """403 in JSON."""
    return httpx.Response(403, json={"message": "Access denied"})


def insufficient_credits(
    needed: float = 21_000, left: float = 120, *, team: str = "Secret Research"
) -> httpx.Response:
    """406; the sentence names the team, which is nobody's business."""
    message = (
        f"The feature requires {needed:,.0f} credits, but the {team} team only has"
        f" {left:,.0f} credits"
    )
    return coded(406, "INSUFFICIENT_CREDITS", message)


# --- what is asked ----------------------------------------------------------------------------


def unsupported_model(model: str) -> httpx.Response:
    """400: a bad id, or a model that is switched off."""
    message = f"Model {model} is not supported for feature SPEECH_TO_TEXT"
    return coded(400, "UNSUPPORTED_MODEL", message)


def unsupported_feature(kind: str) -> httpx.Response:
    """400: a wrong `type`."""
    return coded(400, "UNKNOWN_ERROR", f"Unsupported feature type: {kind}")


def missing_fields(*fields: str) -> httpx.Response:
    """400; `details` is a list."""
    details = [{"field": field, "message": f"{field} is required"} for field in fields]
    return coded(400, "MISSING_REQUIRED_FIELDS", "Missing required fields", details=details)


def invalid_prompt(*problems: tuple[str, str], documented: bool = False) -> httpx.Response:
    """422: field and sentence of each problem; in the documented shape, or in the usual one."""
    details = [{"field": field, "message": message} for field, message in problems]
    code, message = "PROMPT_OBJECT_VALIDATION_FAILED", "Prompt object validation failed"
    if documented:
        return success_false(422, code, message, details)
    return coded(422, code, message, details=details)


def unanalyzable(path: str) -> httpx.Response:
    """400: the audio could not be read for its length; the sentence holds the asset's URL."""
    url = f"https://asset.1min.ai.s3.us-east-1.amazonaws.com/{path}"
    return httpx.Response(400, json={"message": f"Failed to analyze media file: {url}"})


def busy(
    inner: int | None = 400,
    *,
    code: str = "InvalidParameter",
    message: str = "The audio is not valid.",
    service: str = "alibaba",
    as_text: bool = True,
) -> httpx.Response:
    """400: the vendor refused, whatever the sentence says; `inner` is the vendor's own status.

    With `inner=None` there are no details. They are JSON in a string unless `as_text` is False.
    """
    more: dict[str, Any] = {"context": {"service": service}}
    if inner is not None:
        data = {"code": code, "message": message, "request_id": "9f2c1f5e-inner"}
        details = {"message": "Request failed", "response": {"status": inner, "data": data}}
        more["details"] = json.dumps(details) if as_text else details
    return coded(400, "EXTERNAL_API_RESPONSE_WITH_ERROR", BUSY, **more)


def openai_trouble() -> httpx.Response:
    """400: seen with whisper-1 when its vendor had trouble."""
    return coded(400, "OPEN_AI_UNEXPECTED_ERROR", BUSY, context={"service": "openai"})


def file_type(name: str = "audio.xyz") -> httpx.Response:
    """415: a file without an extension, or with one that is unknown or wrong."""
    return httpx.Response(415, json={"message": f"The file type isn't supported: {name}"})


def file_too_large() -> httpx.Response:
    """413."""
    return httpx.Response(413, json={"message": "File too large", "statusCode": 413})


def not_found(method: str = "POST", path: str = "/api/nowhere") -> httpx.Response:
    """404: no such route."""
    message = f"Cannot {method} {path}"
    return httpx.Response(404, json={"message": message, "error": "Not Found", "statusCode": 404})


# --- how much, and the edge -------------------------------------------------------------------


def rate_limited(
    *, header: str | None = None, seconds: float | None = None, documented: bool = True
) -> httpx.Response:
    """429; `header` is the text of `Retry-After`, `seconds` stand in the body as `retryAfter`."""
    headers = {"Retry-After": header} if header is not None else {}
    if seconds is not None:
        body: dict[str, Any] = {
            "message": f"Too many requests. Try again in {seconds:g} seconds.",
            "retryAfter": seconds,
        }
        return httpx.Response(429, headers=headers, json=body)
    if not documented:
        return httpx.Response(429, headers=headers)
    response = success_false(429, "RATE_LIMITED", "Too many requests")
    response.headers.update(headers)
    return response


def cloudflare(number: int = 1010) -> httpx.Response:
    """403 in plain text: 1010 is the client's signature, 1015 the rate."""
    return httpx.Response(403, text=f"error code: {number}")


def challenge_page() -> httpx.Response:
    """403: the edge wants to see a browser."""
    return httpx.Response(
        403, html="<!DOCTYPE html><html><head><title>Just a moment...</title></head></html>"
    )


def gateway_page(status: int = 522) -> httpx.Response:
    """5xx as the edge writes it: HTML, no JSON."""
    title = {522: "Connection timed out", 524: "A timeout occurred"}.get(status, "Bad gateway")
    page = (
        f"<!DOCTYPE html><html><head><title>api.1min.ai | {status}: {title}</title></head></html>"
    )
    return httpx.Response(status, html=page)


def server_error(status: int = 500) -> httpx.Response:
    """5xx in JSON."""
    return httpx.Response(
        status, json={"error": "Internal Server Error", "message": "oops", "statusCode": status}
    )


def html_page(status: int = 200) -> httpx.Response:
    """A page where JSON is expected."""
    return httpx.Response(status, html="<html><body><h1>Welcome to nginx!</h1></body></html>")


def plain(status: int, text: str) -> httpx.Response:
    """A plain text."""
    return httpx.Response(status, text=text)


def empty(status: int = 200) -> httpx.Response:
    """Nothing at all."""
    return httpx.Response(status)


def redirect(location: str, status: int = 307) -> httpx.Response:
    """Elsewhere."""
    return httpx.Response(status, headers={"Location": location})


def echoing_headers(status: int = 400) -> Any:
    """A function for `failures`: an error that repeats the request's headers, the key included."""

    def answer(request: Received) -> httpx.Response:
        said = ", ".join(f"{name}: {value}" for name, value in request.headers.items())
        return coded(status, "BAD_HEADERS", f"cannot understand these headers: {said}")

    return answer
