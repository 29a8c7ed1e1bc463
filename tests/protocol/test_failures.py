from __future__ import annotations

import pytest

from asrcli.errors import (
    ArrearsError,
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
from asrcli.protocol.failures import judge, of_close, of_handshake

NEVER, TRANSIENT, THROTTLED = Retry.NEVER, Retry.TRANSIENT, Retry.THROTTLED


@pytest.mark.parametrize(
    ("code", "message", "kind", "retry"),
    [
        ("InvalidApiKey", "Invalid API-key provided.", KeyRefusedError, NEVER),
        ("invalid_api_key", "Incorrect API key provided", KeyRefusedError, NEVER),
        ("AccessDenied", "Access denied.", RightsError, NEVER),
        ("AccessDenied.Unpurchased", "Access to model denied.", ArrearsError, NEVER),
        ("BailianGateway.Workspace.NotAuthorised", "", RightsError, NEVER),
        ("Arrearage", "your account is in good standing", ArrearsError, NEVER),
        ("isv.OUT_OF_SERVICE", "", ArrearsError, NEVER),
        ("AllocationQuota.FreeTierOnly", "", ArrearsError, NEVER),
        ("Throttling.AllocationQuota", "Free allocated quota exceeded.", ArrearsError, NEVER),
        ("Throttling.AllocationQuota", "Allocated quota exceeded", RateLimitedError, THROTTLED),
        ("insufficient_quota", "You exceeded your current quota", RateLimitedError, THROTTLED),
        ("Throttling.RateQuota", "Requests rate limit exceeded", RateLimitedError, THROTTLED),
        (None, "Requests rate limit exceeded, please try later", RateLimitedError, THROTTLED),
        ("Model.NotExist", "Model not exist.", ModelRefusedError, NEVER),
        ("ModelNotFound", "", ModelRefusedError, NEVER),
        ("InvalidParameter", "task can not be null", RefusedError, NEVER),
        ("CLIENT_ERROR", "request timeout after 23 seconds.", ServiceError, TRANSIENT),
        ("CLIENT_ERROR", "something else", RefusedError, NEVER),
        ("RequestTimeOut", "Response timeout!", ServiceError, TRANSIENT),
        ("ModelServingError", "Too many requests", ServiceError, THROTTLED),
        ("InternalError", "oops", ServiceError, TRANSIENT),
        ("internal_error", "oops", ServiceError, TRANSIENT),
        ("server_error", "oops", ServiceError, TRANSIENT),
        ("DataInspectionFailed", "inappropriate content", RefusedError, NEVER),
        ("UNSUPPORTED_FORMAT", "", RefusedError, NEVER),
    ],
)
def test_a_documented_code_has_its_class(
    code: str | None, message: str, kind: type[RemoteError], retry: Retry
) -> None:
    verdict = judge(code, message)

    assert verdict is not None
    assert (verdict.kind, verdict.retry) == (kind, retry)


def test_a_code_that_nobody_knows_has_no_class() -> None:
    assert judge("Novelty", "something new happened") is None


@pytest.mark.parametrize(
    ("status", "kind", "retry", "exit_status"),
    [
        (401, KeyRefusedError, NEVER, 4),
        (403, RightsError, NEVER, 4),
        (404, RefusedError, NEVER, 9),
        (429, RateLimitedError, THROTTLED, 5),
        (302, RedirectError, NEVER, 9),
        (500, NetworkError, TRANSIENT, 6),
        (503, NetworkError, TRANSIENT, 6),
    ],
)
def test_w01_w02_a_refused_handshake_has_the_class_of_its_status(
    status: int, kind: type[RemoteError], retry: Retry, exit_status: int
) -> None:
    failure = of_handshake(status)

    assert (failure.kind, failure.retry) == (kind, retry)
    assert failure.error("qwen").exit_status == exit_status


def test_the_body_of_a_refused_handshake_tells_more_than_its_status() -> None:
    body = '{"code": "Arrearage", "message": "overdue", "request_id": "r-1"}'

    failure = of_handshake(403, body, retry_after=7.0)

    assert str(failure.error("qwen")) == "qwen: overdue (Arrearage, HTTP 403, request r-1)"
    assert failure.kind is ArrearsError
    assert failure.retry_after == 7.0


def test_an_overloaded_service_was_not_reached_whatever_it_calls_that() -> None:
    failure = of_handshake(503, '{"code": "ServiceUnavailable", "message": "busy"}')

    assert (failure.kind, failure.retry) == (NetworkError, THROTTLED)


def test_a_body_in_openais_form_is_read_as_well() -> None:
    body = '{"error": {"code": "model_not_found", "message": "no such model"}}'

    assert of_handshake(404, body).kind is ModelRefusedError


@pytest.mark.parametrize("body", ["", "<html>", "[]", '{"error": 5}', '{"code": {}}'])
def test_a_body_that_says_nothing_does_no_harm(body: str) -> None:
    assert of_handshake(503, body).message == "it refused the connection (503)"


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        (None, NetworkError, TRANSIENT),
        (1000, ServiceError, TRANSIENT),
        (1001, ServiceError, TRANSIENT),
        (1006, NetworkError, TRANSIENT),
        (1007, RefusedError, NEVER),
        (1008, RightsError, NEVER),
        (1009, ServiceError, NEVER),
        (1011, ServiceError, TRANSIENT),
        (1013, ServiceError, THROTTLED),
        (4001, KeyRefusedError, NEVER),
        (4002, ArrearsError, NEVER),
        (4029, RateLimitedError, THROTTLED),
        (4031, ServiceError, TRANSIENT),
        (4429, RateLimitedError, THROTTLED),
        (4503, NetworkError, TRANSIENT),
        (4999, ServiceError, NEVER),
    ],
)
def test_w07_an_early_close_has_the_class_of_its_code(
    code: int | None, kind: type[RemoteError], retry: Retry
) -> None:
    failure = of_close(code)

    assert (failure.kind, failure.retry) == (kind, retry)


def test_the_reason_of_a_close_is_shown_and_decides_where_it_is_known() -> None:
    failure = of_close(1011, "Requests rate limit exceeded")

    assert failure.kind is RateLimitedError
    expected = "the connection ended early (close code 1011): Requests rate limit exceeded"
    assert failure.message == expected
