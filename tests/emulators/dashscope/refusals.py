"""How DashScope says no: JSON of two shapes for calls, XML for its object store.

Page: https://docs.qwencloud.com/api-reference/preparation/error-messages. A refusal is raised with
the service's native code; the OpenAI-compatible path translates it at its door.
"""

from __future__ import annotations

from typing import Any
from xml.sax.saxutils import escape

__all__ = [
    "Refusal",
    "StoreRefusal",
    "compatible_error",
    "invalid",
    "native_error",
    "unfit",
]

_COMPATIBLE_CODES = {
    "InvalidApiKey": "invalid_api_key",
    "InvalidParameter": "invalid_parameter_error",
    "AccessDenied": "access_denied",
    "ModelNotFound": "model_not_found",
    "DataInspectionFailed": "data_inspection_failed",
    "Throttling.RateQuota": "limit_requests",
    "Throttling.BurstRate": "limit_burst_rate",
    "Throttling.AllocationQuota": "insufficient_quota",
    "InternalError": "internal_error",
}
# The compatible path keeps these inside the message, behind the status.
_INNER_CODES = (
    "InternalError.Algo.InvalidParameter",
    "InvalidParameter.DataInspection",
    "InvalidParameter.NotSupportEnableThinking",
)


class Refusal(Exception):  # noqa: N818 - a refusal is an answer
    """A call that is answered with an error; `code` is the native one."""

    def __init__(
        self, status: int, code: str, message: str, *, headers: dict[str, str] | None = None
    ) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message
        self.headers = headers or {}


class StoreRefusal(Exception):  # noqa: N818 - a refusal is an answer
    """A request to the object store that is answered with XML."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(status, code, message)
        self.status = status
        self.code = code
        self.message = message

    def xml(self, request_id: str, host: str) -> str:
        return (
            '<?xml version="1.0" encoding="UTF-8"?>\n<Error>\n'
            f"  <Code>{escape(self.code)}</Code>\n"
            f"  <Message>{escape(self.message)}</Message>\n"
            f"  <RequestId>{escape(request_id)}</RequestId>\n"
            f"  <HostId>{escape(host)}</HostId>\n"
            "</Error>\n"
        )


def invalid(message: str) -> Refusal:
    """The commonest refusal: a parameter that is missing, unknown or of the wrong type."""
    return Refusal(400, "InvalidParameter", message)


def unfit(message: str) -> Refusal:
    """The model itself does not take the input."""
    return Refusal(400, "InternalError.Algo.InvalidParameter", message)


def native_error(code: str, message: str, request_id: str) -> dict[str, Any]:
    return {"code": code, "message": message, "request_id": request_id}


def compatible_error(status: int, code: str, message: str, request_id: str) -> dict[str, Any]:
    if code == "InvalidApiKey":
        message = "Incorrect API key provided."
    if code in _INNER_CODES:
        message = f"<{status}> {code}: {message}"
        code = "InvalidParameter"
    code = _COMPATIBLE_CODES.get(code, code)
    kind = "invalid_request_error" if status < 429 else code
    error = {"message": message, "type": kind, "param": None, "code": code}
    return {"error": error, "id": f"chatcmpl-{request_id}", "request_id": request_id}
