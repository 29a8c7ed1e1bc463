"""The emulated DashScope: the synchronous native call."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import DashScope, Key, fetch_from
from tests.emulators.dashscope.calls import (
    GENERATION,
    RESOLVE,
    Clock,
    client_of,
    code_of,
    data_uri,
    native_events,
    sync_body,
    upload,
)
from tests.recordings import concatenate, cut, damage, encode_as, recording, silence

WELCOME = recording("welcome")
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


# --- what the body must be ------------------------------------------------------------------------


def without_audio() -> dict[str, Any]:
    body = sync_body("")
    body["input"]["messages"][0]["content"] = []
    return body


def two_user_messages() -> dict[str, Any]:
    body = sync_body("https://example.com/a.wav")
    body["input"]["messages"] *= 2
    return body


def system_after_user() -> dict[str, Any]:
    body = sync_body("https://example.com/a.wav", context="names")
    body["input"]["messages"].reverse()
    return body


@pytest.mark.parametrize(
    "body",
    [
        without_audio(),
        two_user_messages(),
        system_after_user(),
        sync_body("x") | {"stream": True},
        sync_body("x", language="en"),
        sync_body("x", asr_options={"language": "xx"}),
        sync_body("x", asr_options={"language": 7}),
        sync_body("x", asr_options={"language": None}),
        sync_body("x", asr_options={"enable_itn": "false"}),
        sync_body("x", asr_options={"context": "names"}),
        sync_body("x", incremental_output=1),
        sync_body("x", context="word " * 9_000),
        {"model": "qwen3-asr-flash"},
        {"input": {"messages": []}},
        [],
    ],
    ids=lambda body: json.dumps(body)[:60],
)
def test_a_body_that_is_not_as_documented_is_refused(client: httpx.Client, body: Any) -> None:
    assert code_of(client.post(GENERATION, json=body)) == (400, "InvalidParameter")


def test_a_key_that_is_given_twice_is_refused(client: httpx.Client) -> None:
    answer = client.post(
        GENERATION,
        content=b'{"model": "a", "model": "b"}',
        headers={"Content-Type": "application/json"},
    )

    assert code_of(answer) == (400, "InvalidParameter")


def test_a_body_must_say_that_it_is_json(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, content=json.dumps(sync_body(uri)))

    assert code_of(answer) == (400, "InvalidParameter")


def test_an_asynchronous_call_is_refused(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri), headers={"X-DashScope-Async": "enable"})

    assert code_of(answer) == (403, "AccessDenied")
    assert "does not support asynchronous calls" in answer.json()["message"]


def test_an_unknown_model_is_not_found(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, model="qwen9-asr"))

    assert code_of(answer) == (404, "ModelNotFound")


def test_a_model_of_another_region_is_not_found(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, model="qwen3-asr-flash-us"))

    assert code_of(answer) == (404, "ModelNotFound")


@pytest.mark.parametrize(
    "model",
    ["fun-asr", "qwen3-asr-flash-filetrans", "qwen3-asr-flash-realtime", "qwen3-omni-flash"],
)
def test_a_model_of_another_path_is_answered_with_the_misleading_error(
    client: httpx.Client, uri: str, model: str
) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, model=model))

    assert code_of(answer) == (400, "InvalidParameter")
    assert answer.json()["message"] == "url error, please check url！"


# --- where the audio is ---------------------------------------------------------------------------


def test_a_data_uri_is_refused_one_character_above_the_limit(client: httpx.Client) -> None:
    prefix = "data:audio/wav;base64,"
    uri = prefix + "A" * (10_485_760 - len(prefix))

    at_limit = client.post(GENERATION, json=sync_body(uri))
    above = client.post(GENERATION, json=sync_body(uri + "A"))

    assert "Exceeded limit" not in at_limit.json()["message"]
    assert code_of(above) == (400, "InternalError.Algo.InvalidParameter")
    message = "Exceeded limit on max bytes per data-uri item : 10485760"
    assert above.json()["message"] == message


@pytest.mark.parametrize("audio", ["UklGRg==", "data:;base64,UklGRg==", "file:///a.wav", ""])
def test_what_is_no_reference_is_refused(client: httpx.Client, audio: str) -> None:
    answer = client.post(GENERATION, json=sync_body(audio))

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_the_mime_type_must_be_that_of_the_content(client: httpx.Client) -> None:
    wrong = data_uri(WELCOME.path, mime_type="audio/mpeg")

    answer = client.post(GENERATION, json=sync_body(wrong))

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_what_cannot_be_decoded_is_refused(client: httpx.Client, tmp_path: Path) -> None:
    broken = data_uri(damage(WELCOME.path, "random", tmp_path))

    answer = client.post(GENERATION, json=sync_body(broken))

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_less_than_a_second_and_more_than_five_minutes_are_refused(
    client: httpx.Client, tmp_path: Path
) -> None:
    short = cut(WELCOME.path, tmp_path / "short.flac", end=0.9)
    long = silence(301, tmp_path / "long.flac")
    answers = [client.post(GENERATION, json=sync_body(data_uri(p))) for p in (short, long)]

    assert [code_of(a) for a in answers] == [(400, "InvalidFile.AudioLengthError")] * 2


def test_silence_has_no_content(client: httpx.Client, tmp_path: Path) -> None:
    quiet = data_uri(silence(2, tmp_path / "quiet.wav"))

    answer = client.post(GENERATION, json=sync_body(quiet))

    assert answer.json()["output"]["choices"][0]["message"]["content"] == []


def test_a_url_is_fetched_by_the_service(service: DashScope, client: httpx.Client) -> None:
    service.sources.fetch = fetch_from({"https://example.com/a.wav": WELCOME.path})

    found = client.post(GENERATION, json=sync_body("https://example.com/a.wav"))
    lost = client.post(GENERATION, json=sync_body("https://example.com/b.wav"))

    assert found.status_code == 200
    assert code_of(lost) == (400, "InternalError.Algo.InvalidParameter")
    assert lost.json()["message"] == "Failed to download multimodal content"


def test_a_file_above_ten_megabytes_is_refused_also_by_url(
    service: DashScope, client: httpx.Client
) -> None:
    large = httpx.Response(200, headers={"content-length": "10485761"})
    service.sources.fetch = fetch_from({"https://example.com/a.wav": large})

    answer = client.post(GENERATION, json=sync_body("https://example.com/a.wav"))

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_a_stored_file_needs_the_resolve_header(service: DashScope, client: httpx.Client) -> None:
    stored = upload(client, service, WELCOME.path, model="qwen3-asr-flash")

    forgotten = client.post(GENERATION, json=sync_body(stored))
    right = client.post(GENERATION, json=sync_body(stored), headers=RESOLVE)

    assert code_of(forgotten) == (400, "InvalidParameter.DataInspection")
    assert right.status_code == 200


def test_a_stored_file_belongs_to_one_model(service: DashScope, client: httpx.Client) -> None:
    stored = upload(client, service, WELCOME.path, model="qwen3-asr-flash-2026-02-10")

    answer = client.post(GENERATION, json=sync_body(stored), headers=RESOLVE)

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_a_stored_file_belongs_to_one_account(service: DashScope, client: httpx.Client) -> None:
    service.keys.add(Key(value="sk-second", account="account-2"))
    stored = upload(client, service, WELCOME.path, model="qwen3-asr-flash")

    with client_of(service, key="sk-second") as other:
        answer = other.post(GENERATION, json=sync_body(stored), headers=RESOLVE)

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_a_stored_file_is_gone_after_48_hours(
    service: DashScope, client: httpx.Client, clock: Clock
) -> None:
    stored = upload(client, service, WELCOME.path, model="qwen3-asr-flash")
    clock.forward(48 * 3600)
    last = client.post(GENERATION, json=sync_body(stored), headers=RESOLVE)
    clock.forward(1)
    gone = client.post(GENERATION, json=sync_body(stored), headers=RESOLVE)

    assert last.status_code == 200
    assert code_of(gone) == (400, "InternalError.Algo.InvalidParameter")


def test_a_stored_file_is_judged_by_its_suffix(
    service: DashScope, client: httpx.Client, tmp_path: Path
) -> None:
    misnamed = tmp_path / "welcome.mp3"
    misnamed.write_bytes(WELCOME.path.read_bytes())
    stored = upload(client, service, misnamed, model="qwen3-asr-flash")

    answer = client.post(GENERATION, json=sync_body(stored), headers=RESOLVE)

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


# --- options that show ----------------------------------------------------------------------------


def test_the_language_asked_for_is_the_one_reported(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, asr_options={"language": "fil"}))

    message = answer.json()["output"]["choices"][0]["message"]
    assert message["annotations"][0]["language"] == "fil"


def test_itn_writes_digits(client: httpx.Client) -> None:
    lesson = data_uri(recording("lesson").path)

    answer = client.post(GENERATION, json=sync_body(lesson, asr_options={"enable_itn": True}))

    text = answer.json()["output"]["choices"][0]["message"]["content"][0]["text"]
    assert "half past 10." in text


def test_a_stream_sends_only_news_when_it_is_asked_to(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri, incremental_output=True), headers=STREAM)

    events = [event["output"]["choices"][0] for event in native_events(answer.text)]
    contents = [event["message"]["content"] for event in events]
    assert contents[0] == contents[-1] == []
    assert contents[1:3] == [[{"text": "Good"}], [{"text": " morning,"}]]
    assert [e["finish_reason"] for e in events] == ["null"] * (len(events) - 1) + ["stop"]


def test_a_stream_sends_all_so_far_by_default(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=sync_body(uri), headers=STREAM)

    events = native_events(answer.text)
    contents = [e["output"]["choices"][0]["message"]["content"] for e in events]
    assert contents[2:3] == [[{"text": "Good morning,"}]]
    assert contents[-1] == [{"text": WELCOME.text}]


def test_a_stream_has_a_comment_with_the_status_and_no_end_mark(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    service.switches.finish_reason_is_text = False
    answer = client.post(GENERATION, json=sync_body(uri), headers=STREAM)

    assert answer.headers["content-type"].startswith("text/event-stream")
    assert answer.text.startswith('id:1\nevent:result\n:HTTP_STATUS/200\ndata:{"output"')
    assert "[DONE]" not in answer.text
    first = native_events(answer.text)[0]
    assert first["output"]["choices"][0]["finish_reason"] is None
    assert first["request_id"] == answer.headers["x-request-id"]


# --- the *-asr-flash models -----------------------------------------------------------------------


def flash_body(audio: str, *, model: str = "fun-asr-flash-2026-06-15", **given: Any) -> Any:
    content = [{"type": "input_audio", "input_audio": {"data": audio}}]
    parameters = {"format": "wav"} | given
    parameters = {name: value for name, value in parameters.items() if value is not None}
    messages = {"messages": [{"role": "user", "content": content}]}
    return {"model": model, "input": messages, "parameters": parameters}


def test_the_flash_family_answers_in_its_own_shape(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=flash_body(uri, language_hints=["en"]))

    body = answer.json()
    assert body["output"]["text"] == WELCOME.text
    assert body["usage"] == {"duration": 7}
    assert body["request_id"] == answer.headers["x-request-id"]
    sentence = body["output"]["sentence"]
    assert (sentence["sentence_id"], sentence["sentence_end"]) == (1, True)
    word = {"begin_time": 440, "end_time": 950, "text": "morning", "punctuation": ","}
    assert sentence["words"][1] == word | {"fixed": True}


@pytest.mark.parametrize(
    "given",
    [
        {"format": None},
        {"language_hints": ["en", "de"]},
        {"language_hints": ["yue"]},
        {"language_hints": []},
        {"sample_rate": "fast"},
        {"vocabulary": {"word": 4}},
        {"speaker_diarization_enabled": True},
        {"asr_options": {}},
    ],
)
def test_the_flash_family_refuses_parameters_that_it_does_not_have(
    client: httpx.Client, uri: str, given: dict[str, Any]
) -> None:
    answer = client.post(GENERATION, json=flash_body(uri, **given))

    assert code_of(answer) == (400, "InvalidParameter")


def test_the_format_must_be_that_of_the_content(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=flash_body(uri, format="mp3"))

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_the_flash_family_takes_rounds_before_the_audio(client: httpx.Client, uri: str) -> None:
    body = flash_body(uri)
    earlier = [
        {"role": "user", "content": [{"type": "input_text", "text": "hello"}]},
        {"role": "assistant", "content": [{"type": "text", "text": "hi"}]},
    ]
    right = body | {"input": {"messages": earlier + body["input"]["messages"]}}
    wrong = body | {"input": {"messages": earlier[:1] + body["input"]["messages"]}}

    assert client.post(GENERATION, json=right).status_code == 200
    assert code_of(client.post(GENERATION, json=wrong)) == (400, "InvalidParameter")


def test_the_flash_family_takes_no_stored_file(service: DashScope, client: httpx.Client) -> None:
    model = "fun-asr-flash-2026-06-15"
    stored = upload(client, service, WELCOME.path, model=model)

    answer = client.post(GENERATION, json=flash_body(stored), headers=RESOLVE)

    assert code_of(answer) == (400, "InternalError.Algo.InvalidParameter")


def test_instant_hotwords_and_speakers_are_for_the_models_that_have_them(
    client: httpx.Client, uri: str
) -> None:
    body = flash_body(
        uri,
        model="qwen-audio-3.1-asr-flash",
        vocabulary={"COMPUTER": 50},
        speaker_diarization_enabled=True,
    )

    output = client.post(GENERATION, json=body).json()["output"]

    assert output["text"].endswith("your own COMPUTER.")
    assert output["sentence"]["speaker_id"] == 0


def test_a_short_stream_of_the_flash_family_is_one_event(client: httpx.Client, uri: str) -> None:
    answer = client.post(GENERATION, json=flash_body(uri), headers=STREAM)

    [event] = native_events(answer.text)
    assert event["output"]["text"] == WELCOME.text


def test_a_long_stream_of_the_flash_family_has_sentences_that_are_not_finished(
    client: httpx.Client, tmp_path: Path
) -> None:
    clips = [recording(name).path for name in ("journey", "welcome")]
    long = encode_as(concatenate(clips, tmp_path / "long.wav", gap=1.0), "mp3", tmp_path)

    body = flash_body(data_uri(long), format="mp3")
    answer = client.post(GENERATION, json=body, headers=STREAM)

    parts = [event["output"]["sentence"] for event in native_events(answer.text)]
    assert [part["sentence_end"] for part in parts[:2]] == [False, True]
    whole = " ".join(part["text"] for part in parts if part["sentence_end"])
    assert whole == f"{recording('journey').text} {WELCOME.text}"


def test_the_flash_family_can_answer_one_level_deeper(
    service: DashScope, client: httpx.Client, uri: str
) -> None:
    service.switches.output_in_output = True

    output = client.post(GENERATION, json=flash_body(uri)).json()["output"]

    assert list(output) == ["output"]
    assert output["output"]["sentence"]["text"] == WELCOME.text
