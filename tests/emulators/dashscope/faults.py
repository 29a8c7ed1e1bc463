"""What DashScope does when it does not work: items for the queue `failures`.

    service.failures.append(rate_quota(retry_after="2"))
    service.failures.add(internal_error(), route="GET /api/v1/tasks/*", times=math.inf)

Each answers in the shape of the path that was asked, with a request id of its own. Those that
change an answer of the service's need the service. What happens to connections whatever the
service (`Drop`, `Raw`, `Delay`, `After`, …) is in `tests.emulators.troubles`.
Page: https://docs.qwencloud.com/api-reference/preparation/error-messages.
"""

from __future__ import annotations

import json
import uuid
from collections.abc import Callable
from typing import Any

import httpx

from tests.emulators.dashscope.app import DashScope, refused
from tests.emulators.dashscope.refusals import Refusal, StoreRefusal
from tests.emulators.dashscope.streams import compatible_event, native_event
from tests.emulators.service import Received
from tests.emulators.troubles import Delay, Drop, troubled

__all__ = [
    "access_denied",
    "arrears",
    "billing",
    "burst_rate",
    "cut_json",
    "cut_stream",
    "data_inspection",
    "data_inspection_failed",
    "error",
    "error_in_stream",
    "failed_in_ok",
    "free_tier_only",
    "gateway_timeout",
    "html",
    "internal_error",
    "invalid_key",
    "model_access_denied",
    "model_not_found",
    "policy_expired",
    "quota_used_up",
    "rate_quota",
    "service_unavailable",
    "slow",
    "store_error",
    "with_body",
]

Fault = Callable[[Received], httpx.Response]


def error(status: int, code: str, message: str, *, headers: dict[str, str] | None = None) -> Fault:
    """Any refusal; `code` is the native one."""

    def answer(request: Received) -> httpx.Response:
        refusal = Refusal(status, code, message, headers=headers)
        return refused(request.url, refusal, str(uuid.uuid4()))

    return answer


# --- limits and money -------------------------------------------------------------------------


def rate_quota(*, retry_after: str | None = None) -> Fault:
    """429, too many a minute; `retry_after` is the header as it stands there."""
    return _throttled("Throttling.RateQuota", "Requests rate limit exceeded.", retry_after)


def burst_rate(*, retry_after: str | None = None) -> Fault:
    """429, too steep a start."""
    return _throttled("Throttling.BurstRate", "Request rate increased too quickly.", retry_after)


def _throttled(code: str, message: str, retry_after: str | None) -> Fault:
    headers = {} if retry_after is None else {"retry-after": retry_after}
    return error(429, code, message, headers=headers)


def quota_used_up() -> Fault:
    """429 by its status, but no rate limit: the free quota is gone."""
    return error(429, "Throttling.AllocationQuota", "Free allocated quota exceeded.")


def billing(code: str = "PostpaidBillOverdue") -> Fault:
    """429 by its status, but unpaid; also `PrepaidBillOverdue`, `CommodityNotPurchased`."""
    return error(429, code, "The bill is overdue. Please recharge your account.")


def arrears() -> Fault:
    """400, the account owes money."""
    return error(400, "Arrearage", "Access denied, please make sure your account is in good"
                 " standing.")  # fmt: skip


# --- refusals ---------------------------------------------------------------------------------


def invalid_key() -> Fault:
    return error(401, "InvalidApiKey", "Invalid API-key provided.")


def access_denied() -> Fault:
    return error(403, "AccessDenied", "Access denied.")


def model_access_denied() -> Fault:
    return error(403, "Model.AccessDenied", "Model access denied.")


def free_tier_only() -> Fault:
    """403, the free quota is used up, and the account allows no other."""
    return error(403, "AllocationQuota.FreeTierOnly", "The free tier of the model has been"
                 " exhausted.")  # fmt: skip


def model_not_found() -> Fault:
    return error(404, "ModelNotFound", "Model can not be found.")


def data_inspection_failed() -> Fault:
    """400, the moderation of contents says no."""
    return error(400, "DataInspectionFailed", "Output data may contain inappropriate content.")


def data_inspection() -> Fault:
    """400, no verdict in spite of its name: the audio could not be downloaded just now."""
    return error(400, "InvalidParameter.DataInspection", "Unable to download the media resource"
                 " during the data inspection process.")  # fmt: skip


# --- failures of the service ------------------------------------------------------------------


def internal_error() -> Fault:
    return error(500, "InternalError", "Internal server error!")


def service_unavailable() -> Fault:
    return error(503, "ServiceUnavailable", "The service is unavailable.")


def gateway_timeout() -> Fault:
    return error(504, "GatewayTimeout", "The gateway timed out.")


def failed_in_ok(code: str = "InternalError.Algo", message: str = "inference failed") -> Fault:
    """200 by its status, but a failure by its body."""
    return error(200, code, message)


def html(status: int = 502) -> Fault:
    """The page of something that stands in front of the service."""
    text = f"<html><head><title>{status}</title></head><body>{status} Bad Gateway</body></html>"
    return lambda _: httpx.Response(status, html=text)


def slow(seconds: float) -> Delay:
    """The usual answer, after a while without a byte."""
    return Delay(seconds)


def store_error(
    status: int, code: str, message: str, *, headers: dict[str, str] | None = None
) -> Fault:
    """What the hosts of uploads and results answer, in XML; `headers` may hold a `date`."""

    def answer(request: Received) -> httpx.Response:
        text = StoreRefusal(status, code, message).xml(str(uuid.uuid4()), request.url.host)
        kind = {"content-type": "application/xml"}
        return httpx.Response(status, headers=kind | (headers or {}), content=text.encode())

    return answer


def policy_expired() -> Fault:
    """403 of the upload host: the policy ended between its answer and its use."""
    return store_error(403, "AccessDenied", "Invalid according to Policy: Policy expired.")


# --- answers that are spoiled -----------------------------------------------------------------


def with_body(service: DashScope, change: Callable[[dict[str, Any]], object]) -> Fault:
    """The usual answer, its JSON changed in place (or replaced by what `change` returns)."""

    def answer(request: Received) -> httpx.Response:
        usual = service.answer(request)
        body = json.loads(usual.read())
        changed = change(body)
        body = body if changed is None else changed
        return httpx.Response(usual.status_code, headers=_kept(usual), json=body)

    return answer


def cut_json(service: DashScope) -> Fault:
    """The first half of the usual answer, with a length that agrees with it."""

    def answer(request: Received) -> httpx.Response:
        usual = service.answer(request)
        content = usual.read()
        headers = _kept(usual) | {"content-type": "application/json"}
        return httpx.Response(
            usual.status_code, headers=headers, content=content[: len(content) // 2]
        )

    return answer


def cut_stream(service: DashScope, *, events: int = 2) -> Fault:
    """The usual stream, whose connection is closed after so many events."""

    def answer(request: Received) -> httpx.Response:
        pieces = list(service.answer(request).iter_raw())
        sent = len(b"".join(pieces[:events]))
        return troubled(Drop("close", writing=sent), _stream(pieces))

    return answer


def error_in_stream(
    service: DashScope,
    *,
    events: int = 2,
    status: int = 500,
    code: str = "InternalError",
    message: str = "Internal server error!",
) -> Fault:
    """The usual stream, which after so many events ends with one that tells an error."""

    def answer(request: Received) -> httpx.Response:
        pieces = list(service.answer(request).iter_raw())[:events]
        fault = Refusal(status, code, message)
        body = json.loads(refused(request.url, fault, service.new_id()).content)
        if "error" in body:
            pieces.append(compatible_event(body))
        else:
            pieces.append(native_event(len(pieces) + 1, body, status=status))
        return _stream(pieces)

    return answer


def _stream(pieces: list[bytes]) -> httpx.Response:
    headers = {"content-type": "text/event-stream;charset=UTF-8"}
    return httpx.Response(200, headers=headers, content=iter(pieces))


def _kept(response: httpx.Response) -> dict[str, str]:
    request_id = response.headers.get("x-request-id")
    return {"x-request-id": request_id} if request_id else {}
