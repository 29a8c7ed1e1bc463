"""The emulated DashScope: chat completions."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import (
    CLEAN,
    CUT,
    LOOP,
    PREAMBLE,
    REFUSAL,
    THINKING,
    DashScope,
    OmniScript,
    fetch_from,
)
from tests.emulators.dashscope.calls import (
    CHAT,
    RESOLVE,
    client_of,
    code_of,
    compatible_events,
    data_uri,
    omni_body,
    upload,
)
from tests.recordings import recording

WELCOME = recording("welcome")
ASR = "qwen3-asr-flash"
URL = "https://example.com/a.wav"


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


def asr_body(audio: str, **fields: Any) -> dict[str, Any]:
    sound = {"type": "input_audio", "input_audio": {"data": audio}}
    return {"model": ASR, "messages": [{"role": "user", "content": [sound]}]} | fields


def deltas(answer: httpx.Response, name: str = "content") -> list[str]:
    chunks = [c["choices"][0]["delta"] for c in compatible_events(answer.text) if c["choices"]]
    return [delta[name] for delta in chunks if delta.get(name)]


# --- qwen3-asr-flash ------------------------------------------------------------------------------


def test_a_recording_comes_back_in_one_answer(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=asr_body(uri, asr_options={"language": "en"}))

    body = answer.json()
    assert body.pop("id").startswith("chatcmpl-")
    assert body.pop("created") > 0
    note = {"type": "audio_info", "language": "en", "emotion": "neutral"}
    message = {"role": "assistant", "content": WELCOME.text, "annotations": [note]}
    assert body == {
        "object": "chat.completion",
        "model": ASR,
        "choices": [{"index": 0, "finish_reason": "stop", "message": message}],
        "usage": {
            "prompt_tokens": 150,
            "completion_tokens": 24,
            "total_tokens": 174,
            "prompt_tokens_details": {"audio_tokens": 150, "text_tokens": 0},
            "completion_tokens_details": {"text_tokens": 24},
            "seconds": 6,
        },
    }


def test_the_content_can_be_a_list(service: DashScope, client: httpx.Client, uri: str) -> None:
    service.switches.content_is_list = True

    message = client.post(CHAT, json=asr_body(uri)).json()["choices"][0]["message"]

    assert message["content"] == [{"type": "text", "text": WELCOME.text}]


def test_a_stream_has_the_chunks_in_their_order(client: httpx.Client, uri: str) -> None:
    body = asr_body(uri, stream=True, stream_options={"include_usage": True})
    answer = client.post(CHAT, json=body)

    chunks = compatible_events(answer.text)
    choices = [chunk["choices"][0] for chunk in chunks[:-1]]
    assert choices[0]["delta"] == {"role": "assistant", "content": ""}
    assert choices[1]["delta"]["content"] == "Good"
    assert choices[1]["delta"]["annotations"][0]["language"] == "en"
    assert choices[-1]["delta"] == {"role": None}
    assert [c["finish_reason"] for c in choices] == [None] * (len(choices) - 1) + ["stop"]
    assert chunks[-1]["choices"] == []
    assert chunks[-1]["usage"]["seconds"] == 6
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "".join(deltas(answer)) == WELCOME.text


def test_the_usage_comes_only_when_it_is_asked_for(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=asr_body(uri, stream=True))

    assert all(chunk["choices"] for chunk in compatible_events(answer.text))


@pytest.mark.parametrize(
    "fields",
    [
        {"stream_options": {"include_usage": True}},
        {"stream": True, "stream_options": {"usage": True}},
        {"stream": "true"},
        {"asr_options": {"language": "xx"}},
        {"asr_options": {"context": "x"}},
        {"language": "en"},
        {"temperature": 0.1},
        {"messages": []},
        {"messages": [{"role": "user", "content": "transcribe"}]},
        {"messages": [{"role": "user", "content": [{"type": "text", "text": "x"}]}]},
        {"model": 7},
    ],
    ids=str,
)
def test_a_body_that_is_not_as_documented_is_refused(
    client: httpx.Client, uri: str, fields: dict[str, Any]
) -> None:
    answer = client.post(CHAT, json=asr_body(uri) | fields)

    assert code_of(answer) == (400, "invalid_parameter_error")
    assert answer.json()["error"]["type"] == "invalid_request_error"
    assert answer.json()["request_id"] == answer.headers["x-request-id"]


def test_the_context_goes_before_the_audio(client: httpx.Client, uri: str) -> None:
    context = {"role": "system", "content": [{"type": "text", "text": "names " * 9}]}
    too_much = {"role": "system", "content": "names " * 9_000}
    user = asr_body(uri)["messages"]

    right = client.post(CHAT, json=asr_body(uri, messages=[context, *user]))
    reversed_ = client.post(CHAT, json=asr_body(uri, messages=[*user, context]))
    long = client.post(CHAT, json=asr_body(uri, messages=[too_much, *user]))

    assert right.json()["usage"]["prompt_tokens_details"]["text_tokens"] == 14
    assert code_of(reversed_) == code_of(long) == (400, "invalid_parameter_error")


@pytest.mark.parametrize("model", ["fun-asr", "qwen3-asr-flash-filetrans", "fun-asr-realtime"])
def test_models_without_this_protocol_are_not_supported(
    client: httpx.Client, uri: str, model: str
) -> None:
    answer = client.post(CHAT, json=asr_body(uri) | {"model": model})

    assert code_of(answer) == (404, "model_not_supported")


def test_an_unknown_model_is_not_found(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=asr_body(uri) | {"model": "gpt-x"})

    assert code_of(answer) == (404, "model_not_found")


def test_the_path_of_openai_misleads(client: httpx.Client) -> None:
    answer = client.post("/compatible-mode/v1/audio/transcriptions")

    assert code_of(answer) == (400, "invalid_parameter_error")
    assert answer.json()["error"]["message"] == "The voice property is required."


def test_algorithm_errors_keep_their_code_in_the_message(client: httpx.Client) -> None:
    answer = client.post(CHAT, json=asr_body("UklGRg=="))

    assert code_of(answer) == (400, "invalid_parameter_error")
    assert answer.json()["error"]["message"] == (
        "<400> InternalError.Algo.InvalidParameter: The provided URL does not appear to be valid."
        " Ensure it is correctly formatted."
    )


def test_a_stored_file_needs_the_resolve_header(service: DashScope, client: httpx.Client) -> None:
    stored = upload(client, service, WELCOME.path, model=ASR)

    forgotten = client.post(CHAT, json=asr_body(stored))
    right = client.post(CHAT, json=asr_body(stored), headers=RESOLVE)

    assert "<400> InvalidParameter.DataInspection: " in forgotten.json()["error"]["message"]
    assert right.status_code == 200


# --- Omni -----------------------------------------------------------------------------------------


def test_omni_streams_what_it_hears(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=omni_body(uri, modalities=["text"], temperature=0))

    chunks = compatible_events(answer.text)
    assert chunks[0]["choices"][0]["delta"] == {"role": "assistant", "content": ""}
    assert chunks[-2]["choices"][0]["delta"] == {"content": ""}
    assert chunks[-2]["choices"][0]["finish_reason"] == "stop"
    assert chunks[-1]["usage"]["prompt_tokens_details"]["audio_tokens"] == 46
    assert answer.text.endswith("data: [DONE]\n\n")
    assert "".join(deltas(answer)) == WELCOME.text


@pytest.mark.parametrize("uri_type", ["", "audio/wav"])
def test_the_mime_type_may_be_left_out_for_omni(client: httpx.Client, uri_type: str) -> None:
    audio = data_uri(WELCOME.path, mime_type=uri_type)

    assert client.post(CHAT, json=omni_body(audio)).status_code == 200


@pytest.mark.parametrize(
    "fields",
    [
        {"stream": None, "stream_options": None},
        {"stream": False, "stream_options": None},
        {"model": "qwen3.5-omni-plus", "reasoning_effort": "none"},
        {"model": "qwen3-omni-flash", "enable_search": True},
        {"model": "qwen3.8-omni-flash", "reasoning_effort": "little"},
        {"modalities": ["text", "audio"]},
        {"asr_options": {}},
        {"language": "en"},
        {"temperature": 2},
        {"max_tokens": 0},
        {"top_p": "1"},
    ],
    ids=str,
)
def test_omni_refuses_what_a_model_does_not_have(
    client: httpx.Client, uri: str, fields: dict[str, Any]
) -> None:
    answer = client.post(CHAT, json=omni_body(uri, **fields))

    assert code_of(answer) == (400, "invalid_parameter_error")


@pytest.mark.parametrize("model", ["qwen3.5-omni-flash", "qwen3.8-omni-flash"])
def test_enable_thinking_is_for_one_model(client: httpx.Client, uri: str, model: str) -> None:
    answer = client.post(CHAT, json=omni_body(uri, model=model, enable_thinking=False))

    message = answer.json()["error"]["message"]
    assert answer.status_code == 400
    assert message.startswith("<400> InvalidParameter.NotSupportEnableThinking: ")


@pytest.mark.parametrize(
    ("fields", "thinks"),
    [
        ({"model": "qwen3-omni-flash"}, False),
        ({"model": "qwen3-omni-flash", "enable_thinking": True}, True),
        ({"model": "qwen3.8-omni-flash"}, True),
        ({"model": "qwen3.8-omni-flash", "reasoning_effort": "none"}, False),
        ({"model": "qwen3.8-omni-flash", "reasoning_effort": "high"}, True),
    ],
    ids=str,
)
def test_some_models_think_before_they_speak(
    client: httpx.Client, uri: str, fields: dict[str, Any], thinks: bool
) -> None:
    answer = client.post(CHAT, json=omni_body(uri, **fields))

    assert bool(deltas(answer, "reasoning_content")) == thinks
    assert "".join(deltas(answer)) == WELCOME.text
    reasoning = answer.text.find("reasoning_content")
    assert reasoning < answer.text.find('"content":"Good"')


def test_one_model_answers_without_a_stream(client: httpx.Client, uri: str) -> None:
    body = omni_body(uri, model="qwen3.8-omni-flash", stream=None, stream_options=None)

    message = client.post(CHAT, json=body).json()["choices"][0]["message"]

    assert message["content"] == WELCOME.text
    assert message["reasoning_content"]


def test_omni_needs_the_format_of_the_content(client: httpx.Client, uri: str) -> None:
    wrong = client.post(CHAT, json=omni_body(uri, form="mp3"))
    absent = omni_body(uri)
    del absent["messages"][0]["content"][0]["input_audio"]["format"]

    assert code_of(wrong) == (400, "invalid_parameter_error")
    assert code_of(client.post(CHAT, json=absent)) == (400, "invalid_parameter_error")


def test_some_omni_models_take_several_recordings(client: httpx.Client, uri: str) -> None:
    body = omni_body(uri)
    content = body["messages"][0]["content"]
    content.insert(0, content[0])

    several = client.post(CHAT, json=body)
    refused = client.post(CHAT, json=body | {"model": "qwen3-omni-flash"})

    assert "".join(deltas(several)) == f"{WELCOME.text} {WELCOME.text}"
    assert code_of(refused) == (400, "invalid_parameter_error")


def test_bare_base64_is_no_url(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=omni_body(uri.partition(",")[2]))

    message = answer.json()["error"]["message"]
    assert message.startswith("<400> InternalError.Algo.InvalidParameter: The provided URL does")


def test_omni_fetches_a_url(client: httpx.Client) -> None:
    assert "".join(deltas(client.post(CHAT, json=omni_body(URL)))) == WELCOME.text


@pytest.mark.parametrize(
    ("script", "starts", "ends", "finish_reason"),
    [
        (CLEAN, "Good morning,", "own computer.", "stop"),
        (PREAMBLE, "Sure! Here is the transcript", 'own computer."', "stop"),
        (REFUSAL, "I'm sorry, but I can't", "instead?", "stop"),
        (CUT, "Good morning,", "of this", "length"),
        (LOOP, "Good morning,", " on your own computer." * 2, "length"),
        (OmniScript(text=""), "", "", "stop"),
    ],
    ids=["clean", "preamble", "refusal", "cut", "loop", "nothing"],
)
def test_omni_has_its_moods(
    service: DashScope,
    client: httpx.Client,
    uri: str,
    script: OmniScript,
    starts: str,
    ends: str,
    finish_reason: str,
) -> None:
    service.omni.scripts.append(script)

    answer = client.post(CHAT, json=omni_body(uri))

    text = "".join(deltas(answer))
    assert text.startswith(starts)
    assert text.endswith(ends)
    assert compatible_events(answer.text)[-2]["choices"][0]["finish_reason"] == finish_reason


def test_a_mood_is_for_one_answer_and_thinking_can_be_one(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    service.omni.scripts.append(THINKING)
    first, second = (client.post(CHAT, json=omni_body(uri)) for _ in range(2))

    assert "".join(deltas(first, "reasoning_content")) == THINKING.reasoning
    assert deltas(second, "reasoning_content") == []


def test_the_most_tokens_cut_the_answer(client: httpx.Client, uri: str) -> None:
    answer = client.post(CHAT, json=omni_body(uri, max_tokens=3))

    assert "".join(deltas(answer)) == "Good morning, and"
    assert compatible_events(answer.text)[-2]["choices"][0]["finish_reason"] == "length"


def test_omni_is_charged_too(service: DashScope, client: httpx.Client, uri: str) -> None:
    client.post(CHAT, json=omni_body(uri))

    assert service.billed(WELCOME.path) == 1
