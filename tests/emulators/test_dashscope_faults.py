"""The emulated DashScope: what can go wrong anywhere."""

from __future__ import annotations

import json
import math
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import (
    KEY,
    DashScope,
    faults,
    fetch_from,
)
from tests.emulators.dashscope.calls import (
    CHAT,
    GENERATION,
    client_of,
    code_of,
    data_uri,
    omni_body,
    policy_form,
    run_job,
    sync_body,
)
from tests.emulators.server import serve
from tests.emulators.troubles import After, Drop
from tests.recordings import recording

WELCOME = recording("welcome")
ASR = "qwen3-asr-flash"
URL = "https://example.com/a.wav"
STREAM = {"X-DashScope-SSE": "enable"}


@pytest.fixture
def service() -> Iterator[DashScope]:
    emulator = DashScope(sleep=lambda _: None, fetch=fetch_from({URL: WELCOME.path}))
    yield emulator
    emulator.close()


@pytest.fixture
def client(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service) as opened:
        yield opened


@pytest.fixture(scope="module")
def uri() -> str:
    return data_uri(WELCOME.path)


@pytest.mark.parametrize(
    ("fault", "status", "native", "compatible"),
    [
        (faults.rate_quota(), 429, "Throttling.RateQuota", "limit_requests"),
        (faults.burst_rate(), 429, "Throttling.BurstRate", "limit_burst_rate"),
        (faults.quota_used_up(), 429, "Throttling.AllocationQuota", "insufficient_quota"),
        (faults.billing(), 429, "PostpaidBillOverdue", "PostpaidBillOverdue"),
        (faults.arrears(), 400, "Arrearage", "Arrearage"),
        (faults.invalid_key(), 401, "InvalidApiKey", "invalid_api_key"),
        (faults.access_denied(), 403, "AccessDenied", "access_denied"),
        (faults.model_access_denied(), 403, "Model.AccessDenied", "Model.AccessDenied"),
        (
            faults.free_tier_only(),
            403,
            "AllocationQuota.FreeTierOnly",
            "AllocationQuota.FreeTierOnly",
        ),
        (faults.model_not_found(), 404, "ModelNotFound", "model_not_found"),
        (faults.data_inspection_failed(), 400, "DataInspectionFailed", "data_inspection_failed"),
        (
            faults.data_inspection(),
            400,
            "InvalidParameter.DataInspection",
            "invalid_parameter_error",
        ),
        (faults.internal_error(), 500, "InternalError", "internal_error"),
        (faults.service_unavailable(), 503, "ServiceUnavailable", "ServiceUnavailable"),
        (faults.gateway_timeout(), 504, "GatewayTimeout", "GatewayTimeout"),
        (faults.failed_in_ok(), 200, "InternalError.Algo", "InternalError.Algo"),
    ],
    ids=lambda value: value if isinstance(value, str) else "",
)
def test_a_fault_has_the_shape_of_the_path_and_an_id_of_its_own(
    service: DashScope,
    client: httpx.Client,
    fault: Any,
    status: int,
    native: str,
    compatible: str,
) -> None:
    service.failures.extend([fault, fault])

    first, second = client.post(GENERATION, json={}), client.post(CHAT, json={})

    assert (first.status_code, first.json()["code"]) == (status, native)
    assert code_of(second) == (status, compatible)
    for answer in (first, second):
        assert answer.json()["request_id"] == answer.headers["x-request-id"]
    assert first.headers["x-request-id"] != second.headers["x-request-id"]


def test_a_rate_limit_may_say_when_to_come_back(service: DashScope, client: httpx.Client) -> None:
    service.failures.extend([faults.rate_quota(retry_after="2"), faults.burst_rate()])

    first, second = (client.post(GENERATION, json={}) for _ in range(2))

    assert first.headers["retry-after"] == "2"
    assert "retry-after" not in second.headers


def test_faults_can_be_for_one_path_only(service: DashScope, client: httpx.Client) -> None:
    route = "GET /api/v1/tasks/*"
    service.failures.add(faults.internal_error(), faults.html(), route=route, times=2)

    answers = []
    task = "x"
    for _ in range(5):
        assert client.post(GENERATION, json={}).status_code == 400
        answers.append(client.get(f"/api/v1/tasks/{task}"))

    assert [a.status_code for a in answers] == [500, 500, 502, 502, 200]
    assert answers[2].headers["content-type"].startswith("text/html")


def test_a_stream_can_be_cut(service: DashScope, client: httpx.Client, uri: str) -> None:
    service.failures.append(faults.cut_stream(service, events=2))
    received: list[bytes] = []

    with (
        client.stream("POST", GENERATION, json=sync_body(uri), headers=STREAM) as answer,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        received.extend(answer.iter_raw())

    assert answer.status_code == 200
    assert b"".join(received).count(b"event:result") == 2


def test_a_served_stream_can_be_cut(service: DashScope, uri: str) -> None:
    service.failures.append(faults.cut_stream(service, events=2))
    key = {"Authorization": f"Bearer {KEY}", **STREAM}

    with (
        serve(service) as server,
        httpx.Client(base_url=server.url, trust_env=False) as client,
        pytest.raises(httpx.RemoteProtocolError),
    ):
        client.post(GENERATION, json=sync_body(uri), headers=key)


@pytest.mark.parametrize("path", [GENERATION, CHAT])
def test_a_stream_can_end_with_an_error(
    service: DashScope, client: httpx.Client, uri: str, path: str
) -> None:
    service.failures.append(faults.error_in_stream(service, events=2))
    body = sync_body(uri) if path == GENERATION else omni_body(uri)

    text = client.post(path, json=body, headers=STREAM).text

    *_, last, end = text.split("\n\n")
    assert end == ""
    if path == GENERATION:
        assert last.startswith("id:3\nevent:error\n:HTTP_STATUS/500\ndata:")
        assert json.loads(last.partition("data:")[2])["code"] == "InternalError"
    else:
        assert json.loads(last.removeprefix("data: "))["error"]["code"] == "internal_error"


def test_an_answer_can_be_cut_or_changed(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    def without_text(body: dict[str, Any]) -> None:
        body["output"]["choices"][0]["message"]["content"] = [{"text": None}]

    service.failures.append(faults.cut_json(service))
    service.failures.append(faults.with_body(service, without_text))
    service.failures.append(faults.with_body(service, lambda _: []))

    answers = [client.post(GENERATION, json=sync_body(uri)) for _ in range(3)]

    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        answers[0].json()
    changed = answers[1].json()["output"]["choices"][0]["message"]
    assert changed["content"] == [{"text": None}]
    assert answers[2].json() == []


def test_a_slow_first_byte_is_waited_for(uri: str) -> None:
    waited: list[float] = []
    service = DashScope(sleep=waited.append)
    service.failures.append(faults.slow(590))
    with client_of(service) as client:
        answer = client.post(GENERATION, json=sync_body(uri))

    assert (answer.status_code, waited) == (200, [590])


def test_an_upload_host_can_fail_in_xml(service: DashScope, client: httpx.Client) -> None:
    late = faults.store_error(
        403,
        "RequestTimeTooSkewed",
        "The difference between the times is too large.",
        headers={"date": "Mon, 02 Nov 2026 08:13:20 GMT"},
    )
    service.failures.add(faults.policy_expired(), late, route="POST /")
    host, form = policy_form(client, model="fun-asr", name="a.wav")
    with client_of(service, key=None) as store:
        send = [store.post(host, data=form, files={"file": b"x"}) for _ in range(3)]

    assert [a.status_code for a in send] == [403, 403, 200]
    assert "Policy expired." in send[0].text
    assert send[1].headers["date"] == "Mon, 02 Nov 2026 08:13:20 GMT"


def test_a_lost_answer_to_a_submission_leaves_a_job_that_is_charged(
    service: DashScope, client: httpx.Client
) -> None:
    route = "POST */transcription"
    service.failures.add(After(Drop("reset")), route=route)
    with pytest.raises(httpx.ReadError):
        run_job(client, "fun-asr", URL)
    run_job(client, "fun-asr", URL)

    assert service.billed(WELCOME.path) == 2
    assert len(service.jobs.all) == 2


def test_polls_can_fail_for_ever(service: DashScope, client: httpx.Client) -> None:
    service.failures.add(faults.service_unavailable(), route="GET /api/v1/tasks/*", times=math.inf)

    answers = [client.get("/api/v1/tasks/x") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [503] * 3
