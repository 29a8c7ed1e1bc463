"""The emulated DashScope: hosts, keys, money and limits."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from tests.emulators.dashscope import DashScope, Key, Throttle, content_hash
from tests.emulators.dashscope.calls import (
    GENERATION,
    Clock,
    client_of,
    code_of,
    data_uri,
    native_events,
    sync_body,
)
from tests.emulators.server import serve
from tests.recordings import recording

WELCOME = recording("welcome")
CHINA = "https://dashscope.aliyuncs.com"
STREAM = {"X-DashScope-SSE": "enable"}


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Iterator[DashScope]:
    emulator = DashScope(clock=clock)
    yield emulator
    emulator.close()


@pytest.fixture
def client(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service) as opened:
        yield opened


@pytest.fixture(scope="module")
def uri() -> str:
    return data_uri(WELCOME.path)


# --- hosts and keys -------------------------------------------------------------------------------


def test_a_recording_comes_back_as_the_words_in_it(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, asr_options={"enable_itn": False}))

    body = answer.json()
    assert body == {
        "output": {
            "choices": [
                {
                    "finish_reason": "stop",
                    "message": {
                        "role": "assistant",
                        "content": [{"text": WELCOME.text}],
                        "annotations": [
                            {"type": "audio_info", "language": "en", "emotion": "neutral"}
                        ],
                    },
                }
            ]
        },
        "usage": {
            "seconds": 6,
            "input_tokens_details": {"text_tokens": 0},
            "output_tokens_details": {"text_tokens": 24},
        },
        "request_id": answer.headers["x-request-id"],
    }


@pytest.mark.parametrize("header", [None, "Bearer sk-wrong", "sk-raw", "bearer x"])
def test_a_missing_or_wrong_key_is_refused_in_the_native_shape(
    service: DashScope, header: str | None
) -> None:
    headers = {} if header is None else {"Authorization": header}
    with client_of(service, key=None) as stranger:
        answer = stranger.post(GENERATION, json={}, headers=headers)

    assert code_of(answer) == (401, "InvalidApiKey")
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_a_wrong_key_is_refused_in_the_compatible_shape(service: DashScope) -> None:
    with client_of(service, key="sk-wrong") as stranger:
        answer = stranger.post("/compatible-mode/v1/chat/completions", json={})

    body = answer.json()
    assert answer.status_code == 401
    assert body["error"]["code"] == "invalid_api_key"
    assert body["error"]["message"] == "Incorrect API key provided."
    assert body["request_id"] == answer.headers["x-request-id"]


def test_a_key_of_one_region_is_unknown_in_another(service: DashScope, uri: str) -> None:
    with client_of(service, base=CHINA) as stranger:
        answer = stranger.post(GENERATION, json=sync_body(uri))

    assert code_of(answer) == (401, "InvalidApiKey")


def test_a_dedicated_host_takes_only_keys_of_its_workspace() -> None:
    service = DashScope(keys=[Key(workspace="ws-mine")])
    uri = data_uri(WELCOME.path)
    hosts = [f"https://{name}.ap-southeast-1.maas.aliyuncs.com" for name in ("ws-mine", "ws-x")]
    answers = []
    for host in hosts:
        with client_of(service, base=host) as client:
            answers.append(client.post(GENERATION, json=sync_body(uri)))

    assert answers[0].status_code == 200
    assert code_of(answers[1]) == (401, "NOT AUTHORIZED")


@pytest.mark.parametrize(
    ("workspace", "status", "code"),
    [
        ("llm-other", 403, "Workspace.AccessDenied"),
        ("not a workspace", 404, "WorkSpaceNotFound"),
        ("llm-sub", 200, None),
    ],
)
def test_the_workspace_header_must_name_one_that_the_key_may_use(
    uri: str, workspace: str, status: int, code: str | None
) -> None:
    service = DashScope(keys=[Key(subworkspaces=frozenset({"llm-sub"}))])
    with client_of(service) as client:
        answer = client.post(
            GENERATION, json=sync_body(uri), headers={"X-DashScope-WorkSpace": workspace}
        )

    assert (answer.status_code, answer.json().get("code")) == (status, code)


def test_a_key_can_be_revoked_between_two_calls(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    first = client.post(GENERATION, json=sync_body(uri))
    service.keys.revoke(Key().value)
    second = client.post(GENERATION, json=sync_body(uri))

    assert [first.status_code, second.status_code] == [200, 401]


def test_a_host_that_does_not_exist_is_not_reached(service: DashScope) -> None:
    with (
        client_of(service, base="https://dashscope.example.com") as client,
        pytest.raises(httpx.ConnectError),
    ):
        client.post(GENERATION, json={})


def test_a_host_can_be_named(uri: str) -> None:
    service = DashScope(hosts={"gateway.example.com": "ap-southeast-1"})
    with client_of(service, base="https://gateway.example.com") as client:
        assert client.post(GENERATION, json=sync_body(uri)).status_code == 200


def test_a_path_that_does_not_exist_is_not_found(client: httpx.Client) -> None:
    assert code_of(client.post("/api/v1/nothing")) == (404, "NotFound")


def test_a_path_takes_one_method(client: httpx.Client) -> None:
    assert code_of(client.get(GENERATION)) == (405, "MethodNotAllowed")


def test_it_is_served_on_loopback_with_its_streams(uri: str) -> None:
    with serve(DashScope()) as server, httpx.Client(trust_env=False) as client:
        answer = client.post(
            f"{server.url}{GENERATION}",
            json=sync_body(uri, incremental_output=True),
            headers={"Authorization": f"Bearer {Key().value}", **STREAM},
        )

    texts = [e["output"]["choices"][0]["message"]["content"] for e in native_events(answer.text)]
    assert "".join(item["text"] for content in texts for item in content) == WELCOME.text


# --- money and limits -----------------------------------------------------------------------------


def test_the_ledger_counts_what_was_recognized(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    for _ in range(2):
        client.post(GENERATION, json=sync_body(uri))
    client.post(GENERATION, json=sync_body(uri, asr_options={"language": "xx"}))

    assert service.billed(WELCOME.path) == 2
    assert [charge.sha256 for charge in service.ledger.charges] == [content_hash(WELCOME.path)] * 2
    assert service.ledger.seconds() == 12


def test_a_throttle_tells_a_burst_from_a_full_minute(
    service: DashScope, client: httpx.Client, clock: Clock
) -> None:
    service.throttles["qwen3-asr-flash"] = Throttle(2, retry_after="7")
    codes = []
    for seconds in (0.0, 0.0, 1.5, 1.5, 60.0):
        clock.forward(seconds)
        answer = client.post(GENERATION, json=sync_body("x"))
        codes.append((answer.json()["code"], answer.headers.get("retry-after")))

    passed = ("InternalError.Algo.InvalidParameter", None)
    assert codes == [
        passed,
        ("Throttling.BurstRate", "7"),
        passed,
        ("Throttling.RateQuota", "7"),
        passed,
    ]
