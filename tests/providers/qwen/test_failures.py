"""What DashScope's errors mean: https://docs.qwencloud.com/api-reference/preparation/error-messages.

The shapes are written out in `tests/data/dashscope`; the codes of the page are listed here.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime

import pytest

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
from asrcli.providers.qwen.failures import (
    RESULT_EXPIRED,
    failure,
    read_failure,
    read_result_failure,
    read_store_failure,
)
from asrcli.secret import Secret
from asrcli.transport.http import Answer
from tests.emulators.dashscope.hosts import KEY
from tests.providers.calling import answer_from, cases

REQUEST = "7f2c3a52-1e7a-9b57-8f3d-6a5a0a4b1c01"
NEVER, TRANSIENT = Retry.NEVER, Retry.TRANSIENT
THROTTLED, AMBIGUOUS = Retry.THROTTLED, Retry.AMBIGUOUS

CODES: list[tuple[int, str, str, type[AsrError], Retry]] = [
    (400, "InvalidParameter", "Missing file_urls", RefusedError, NEVER),
    (400, "InvalidParameter", "url error, please check url！", RefusedError, NEVER),
    (400, "InvalidParameter", "Failed to download multimodal content",
     InputRefusedError, TRANSIENT),
    (400, "InternalError.Algo.InvalidParameter", "Failed to download multimodal content",
     InputRefusedError, TRANSIENT),
    (400, "InternalError.Algo.InvalidParameter", "The provided URL is not valid",
     RefusedError, NEVER),
    (400, "InternalError.Algo.InvalidParameter",
     "Exceeded limit on max bytes per data-uri item : 10485760", InputRefusedError, NEVER),
    (400, "InternalError.Algo.InvalidParameter", "The audio cannot be decoded",
     InputRefusedError, NEVER),
    (400, "invalid_parameter_error", "The audio is empty", InputRefusedError, NEVER),
    (400, "InvalidParameter.DataInspection", "Unable to download the media resource",
     InputRefusedError, TRANSIENT),
    (400, "InvalidParameter.NotSupportEnableThinking", "no thinking", RefusedError, NEVER),
    (400, "InvalidURL", "Invalid URL", RefusedError, NEVER),
    (400, "InvalidFile.DownloadFailed", "not reachable", InputRefusedError, TRANSIENT),
    (400, "InvalidFile.AudioLengthError", "Audio length must be between 1s and 300s.",
     InputRefusedError, NEVER),
    (400, "Arrearage", "Access denied, please recharge", ArrearsError, NEVER),
    (400, "DataInspectionFailed", "inappropriate content", RefusedError, NEVER),
    (400, "data_inspection_failed", "inappropriate content", RefusedError, NEVER),
    (400, "UnsupportedOperation", "cannot cancel", RefusedError, NEVER),
    (400, "APIConnectionError", "network", ServiceError, TRANSIENT),
    (400, "ClientDisconnect", "network", ServiceError, TRANSIENT),
    (400, "Throttling.AllocationQuota", "10 lists exist", RefusedError, NEVER),
    (400, "ModelNotFound", "Model not exist.", ModelRefusedError, NEVER),
    (400, "InvalidParameter", "Model not exist.", ModelRefusedError, NEVER),
    (401, "InvalidApiKey", "Invalid API-key provided.", KeyRefusedError, NEVER),
    (401, "invalid_api_key", "Incorrect API key provided.", KeyRefusedError, NEVER),
    (401, "NOT AUTHORIZED", "Workspace not allowed", RightsError, NEVER),
    (402, "SomethingNew", "Pay", ArrearsError, NEVER),
    (403, "AccessDenied", "no synchronous calls", RightsError, NEVER),
    (403, "access_denied", "no", RightsError, NEVER),
    (403, "AccessDenied.Unpurchased", "not activated", ArrearsError, NEVER),
    (403, "Model.AccessDenied", "Model access denied.", RightsError, NEVER),
    (403, "Workspace.AccessDenied", "Workspace access denied.", RightsError, NEVER),
    (403, "AllocationQuota.FreeTierOnly", "free tier used up", ArrearsError, NEVER),
    (403, "SomethingNew", "no", RightsError, NEVER),
    (404, "ModelNotFound", "Model can not be found.", ModelRefusedError, NEVER),
    (404, "model_not_found", "no such model", ModelRefusedError, NEVER),
    (404, "model_not_supported", "no compatible mode", ModelRefusedError, NEVER),
    (404, "WorkSpaceNotFound", "no such workspace", RightsError, NEVER),
    (413, "SomethingNew", "too large", InputRefusedError, NEVER),
    (416, "BadRequest.ResourceNotExist", "no such vocabulary", RefusedError, NEVER),
    (429, "Throttling", "slow down", RateLimitedError, THROTTLED),
    (429, "Throttling.RateQuota", "slow down", RateLimitedError, THROTTLED),
    (429, "Throttling.BurstRate", "slow down", RateLimitedError, THROTTLED),
    (429, "limit_requests", "slow down", RateLimitedError, THROTTLED),
    (429, "limit_burst_rate", "slow down", RateLimitedError, THROTTLED),
    (429, "Throttling.AllocationQuota", "Too many tokens", RateLimitedError, THROTTLED),
    (429, "insufficient_quota", "Too many tokens", RateLimitedError, THROTTLED),
    (429, "Throttling.AllocationQuota", "Free allocated quota exceeded.", ArrearsError, NEVER),
    (429, "insufficient_quota", "Free allocated quota exceeded.", ArrearsError, NEVER),
    (429, "CommodityNotPurchased", "buy it", ArrearsError, NEVER),
    (429, "PrepaidBillOverdue", "pay", ArrearsError, NEVER),
    (429, "PostpaidBillOverdue", "pay", ArrearsError, NEVER),
    (429, "SomethingNew", "slow down", RateLimitedError, THROTTLED),
    (500, "InternalError", "Internal server error!", ServiceError, TRANSIENT),
    (500, "InternalError.Algo", "inference failed", ServiceError, TRANSIENT),
    (500, "InternalError.FileUpload", "upload", ServiceError, TRANSIENT),
    (500, "InternalError.Upload", "upload", ServiceError, TRANSIENT),
    (500, "InternalError.Timeout", "3 h without a result", ServiceError, NEVER),
    (500, "SystemError", "system", ServiceError, TRANSIENT),
    (500, "ModelServiceFailed", "model", ServiceError, TRANSIENT),
    (500, "RequestTimeOut", "over 300 s", ServiceError, AMBIGUOUS),
    (500, "ModelServingError", "overload", ServiceError, TRANSIENT),
    (500, "SomethingNew", "oops", ServiceError, TRANSIENT),
    (502, "SomethingNew", "oops", ServiceError, AMBIGUOUS),
    (503, "ModelServingError", "overload", ServiceError, TRANSIENT),
    (503, "ModelUnavailable", "overload", ServiceError, TRANSIENT),
    (503, "ServiceUnavailable", "overload", ServiceError, TRANSIENT),
    (504, "GatewayTimeout", "timed out", ServiceError, AMBIGUOUS),
    (200, "InternalError.Algo", "inference failed", ServiceError, TRANSIENT),
    (400, "SomethingNew", "never heard of", RefusedError, NEVER),
]  # fmt: skip

SHAPES: dict[str, tuple[type[AsrError] | None, str]] = {
    "error-native": (KeyRefusedError, "Invalid API-key provided."),
    "error-in-ok": (ArrearsError, "in good standing."),
    "error-compatible": (KeyRefusedError, "Incorrect API key provided."),
    "error-inside-message": (InputRefusedError, "qwen: The audio cannot be decoded (InternalErr"),
    "error-text": (RefusedError, "Not today"),
    "error-in-ok-without-code": (RefusedError, "Not today"),
    "error-code-number": (RefusedError, "Not today"),
    "error-empty": (None, ""),
    "error-page": (None, ""),
    "error-page-413": (None, ""),
    "error-without-code-500": (None, ""),
    "error-never-again": (ServiceError, "Internal server error!"),
    "error-echo": (
        RefusedError,
        "cannot use Authorization: *** *** for https://host/… (BadKey.***, HTTP 400",
    ),
    "error-quotes-recording": (InputRefusedError, "bad value: data:audio/wav;base64,UklG"),
}

STORE: dict[str, tuple[type[AsrError] | None, Retry, str | None]] = {
    "store-ok": (None, NEVER, None),
    "store-no-content": (None, NEVER, None),
    "store-expired": (ServiceError, NEVER, "PolicyExpired"),
    "store-denied": (ServiceError, NEVER, "AccessDenied"),
    "store-signature": (ServiceError, NEVER, "SignatureDoesNotMatch"),
    "store-too-large": (InputRefusedError, NEVER, "EntityTooLarge"),
    "store-exists": (ServiceError, NEVER, "FileAlreadyExists"),
    "store-slow": (ServiceError, TRANSIENT, "RequestTimeout"),
    "store-down": (ServiceError, TRANSIENT, None),
    "store-page": (UnexpectedAnswerError, NEVER, None),
    "store-nonsense": (ServiceError, NEVER, None),
}


Shape = Callable[[int, str, str], Answer]


def native(status: int, code: str, message: str) -> Answer:
    body = {"code": code, "message": message, "request_id": REQUEST}
    return Answer(status, {}, json.dumps(body).encode(), "host", "qwen")


def compatible(status: int, code: str, message: str) -> Answer:
    error = {"message": message, "type": "invalid_request_error", "param": None, "code": code}
    body = {"error": error, "request_id": REQUEST}
    return Answer(status, {}, json.dumps(body).encode(), "host", "qwen")


@pytest.fixture(autouse=True)
def _live_key() -> None:
    Secret(KEY)


def test_each_answer_that_is_written_out_is_read_by_a_test() -> None:
    assert set(cases("dashscope", "error*")) == set(SHAPES)
    assert set(cases("dashscope", "store*")) == set(STORE)


# --- codes ------------------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [native, compatible], ids=lambda shape: shape.__name__)
@pytest.mark.parametrize(
    ("status", "code", "message", "kind", "retry"), CODES, ids=lambda value: str(value)[:24]
)
def test_each_code_has_its_kind_and_its_chance_of_another_try(
    status: int, code: str, message: str, kind: type[AsrError], retry: Retry, shape: Shape
) -> None:
    error = read_failure(shape(status, code, message))

    assert type(error) is kind
    assert error.retry is retry
    assert (error.code, error.http_status, error.request_id) == (code, status, REQUEST)


@pytest.mark.parametrize(
    ("status", "code", "exit_status", "stops"),
    [
        (401, "InvalidApiKey", 4, True),
        (403, "Model.AccessDenied", 4, True),
        (400, "Arrearage", 5, True),
        (429, "PostpaidBillOverdue", 5, True),
        (429, "Throttling.RateQuota", 5, True),
        (404, "ModelNotFound", 2, False),
        (400, "InvalidFile.AudioLengthError", 7, False),
        (400, "DataInspectionFailed", 9, False),
        (500, "InternalError", 9, False),
    ],
)
def test_the_kind_of_an_error_decides_how_a_run_ends(
    status: int, code: str, exit_status: int, stops: bool
) -> None:
    error = read_failure(native(status, code, "no"))

    assert error is not None
    assert (error.exit_status, error.stops_run) == (exit_status, stops)


def test_a_code_counts_whatever_its_case() -> None:
    assert type(failure("ARREARAGE", "no")) is ArrearsError


def test_a_refused_key_is_told_that_keys_belong_to_regions() -> None:
    error = read_failure(native(401, "InvalidApiKey", "no"))

    assert error is not None
    assert "--region" in (error.hint or "")


def test_a_free_tier_that_is_used_up_is_told_where_to_switch_it_off() -> None:
    error = read_failure(native(403, "AllocationQuota.FreeTierOnly", "no"))

    assert error is not None
    assert "free tier only" in (error.hint or "")


# --- shapes -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", SHAPES)
def test_each_shape_of_an_error_is_read(name: str) -> None:
    kind, said = SHAPES[name]

    error = read_failure(answer_from("dashscope", name))

    assert (type(error) if error else None) is kind
    assert said in str(error)


@pytest.mark.parametrize("name", SHAPES)
def test_no_error_shows_keys_signatures_or_recordings(name: str) -> None:
    text = str(read_failure(answer_from("dashscope", name)))

    assert KEY not in text
    assert "Signature" not in text
    assert len(text) < 700


@pytest.mark.parametrize("name", ["answer", "answer-silence", "policy"])
def test_a_success_is_no_failure(name: str) -> None:
    assert read_failure(answer_from("dashscope", name)) is None


def test_what_is_no_json_is_unexpected_where_it_says_that_all_is_well() -> None:
    with pytest.raises(UnexpectedAnswerError, match="a web page"):
        read_failure(answer_from("dashscope", "answer-page"))


def test_a_redirect_is_left_to_the_transport() -> None:
    assert read_failure(Answer(302, {"location": "https://elsewhere"}, b"")) is None


def test_the_service_may_forbid_another_try() -> None:
    error = read_failure(answer_from("dashscope", "error-never-again"))

    assert error is not None
    assert error.retry is Retry.NEVER


# --- the object store -------------------------------------------------------------------------


@pytest.mark.parametrize("name", STORE)
def test_the_xml_of_the_object_store_is_read(name: str) -> None:
    kind, retry, code = STORE[name]

    error = read_store_failure(answer_from("dashscope", name))

    assert (type(error) if error else None) is kind
    assert error is None or (error.retry, error.code) == (retry, code)


def test_a_refusal_of_the_object_store_is_told_in_its_words() -> None:
    error = read_store_failure(answer_from("dashscope", "store-denied"))

    assert str(error) == (
        "qwen: the upload was refused: Invalid according to Policy: Policy Condition failed: "
        '["eq", "$x-oss-object-acl"] (AccessDenied, HTTP 403, request 6550A1B2C3)'
    )


def store_answer(status: int, message: str, date: str) -> Answer:
    xml = f"<Error><Code>AccessDenied</Code><Message>{message}</Message></Error>"
    return Answer(status, {"date": date}, xml.encode(), "oss.example", "qwen")


NOON = datetime(2026, 11, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize("read", [read_store_failure, read_result_failure])
@pytest.mark.parametrize(
    ("date", "told"),
    [
        ("Mon, 02 Nov 2026 10:00:00 GMT", "; this computer's clock is 2 h 00 min ahead of the"),
        ("Mon, 02 Nov 2026 12:20:00 GMT", "; this computer's clock is 20 min behind the"),
        ("Mon, 02 Nov 2026 12:04:00 GMT", None),
        ("Mon, 02 Nov 2026 12:00:00", None),
        ("soon", None),
        ("", None),
    ],
)
def test_s24_a_clock_that_is_wrong_is_named_where_a_signature_is_refused(
    read: Callable[..., RemoteError | None], date: str, told: str | None
) -> None:
    error = read(store_answer(403, "Policy expired.", date), now=lambda: NOON)

    assert error is not None
    assert "Policy expired." in error.message
    assert ("clock" in error.message) is (told is not None)
    assert told is None or told in error.message


@pytest.mark.parametrize("status", [403, 404])
def test_a_result_that_is_not_there_any_longer_is_to_be_asked_for_again(status: int) -> None:
    error = read_result_failure(store_answer(status, "Request has expired.", ""))

    assert isinstance(error, RefusedError)
    assert (error.code, error.http_status, error.retry) == (RESULT_EXPIRED, status, Retry.NEVER)


@pytest.mark.parametrize("status", [400, 429, 500, 503])
def test_any_other_status_of_a_result_is_left_to_the_transport(status: int) -> None:
    assert read_result_failure(store_answer(status, "no", "")) is None
