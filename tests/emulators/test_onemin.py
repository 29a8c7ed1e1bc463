"""The emulated 1min.ai takes what its pages document, and refuses all else."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import numpy as np
import pytest
import soundfile
import soxr

from tests.emulators import onemin_errors as errors
from tests.emulators.onemin import KEY, AssetShape, KeyState, OneMin, ResultShape
from tests.emulators.onemin_models import FORMATS, LANGUAGES, MODELS
from tests.emulators.recognizer import Ear
from tests.recordings import (
    FORMATS_MADE,
    concatenate,
    cut,
    damage,
    encode_as,
    recording,
    silence,
)

HEADERS = {"API-KEY": KEY, "User-Agent": "asrcli/0.1"}
NOBODY = "00000000-0000-0000-0000-000000000000"
LETTER = recording("letter")


@pytest.fixture
def service() -> OneMin:
    return OneMin()


@pytest.fixture
def client(service: OneMin) -> Iterator[httpx.Client]:
    with connected(service) as client:
        yield client


def connected(service: OneMin, headers: dict[str, str] | None = None) -> httpx.Client:
    return httpx.Client(
        transport=httpx.MockTransport(service),
        base_url="https://api.1min.ai",
        headers=HEADERS if headers is None else headers,
    )


def upload(
    client: httpx.Client, data: bytes, name: str = "audio.wav", mime_type: str = "audio/wav"
) -> httpx.Response:
    return client.post("/api/assets", files={"asset": (name, data, mime_type)})


def stored(client: httpx.Client, path: Path) -> str:
    extension = path.suffix[1:]
    mime_type = min(FORMATS[extension].mime_types)
    response = upload(client, path.read_bytes(), f"audio{path.suffix}", mime_type)
    assert response.status_code == 200, response.text
    location: str = response.json()["fileContent"]["path"]
    return location


def wav_of(size: int) -> bytes:
    """The letter and then silence, at 48 kHz, in a file of exactly so many bytes."""
    samples, rate = soundfile.read(LETTER.path)
    file = io.BytesIO()
    sound = np.zeros((size - 44) // 2)
    spoken = soxr.resample(samples, rate, 48_000)
    sound[: len(spoken)] = spoken
    soundfile.write(file, sound, 48_000, format="WAV", subtype="PCM_16")
    assert len(file.getvalue()) == size
    return file.getvalue()


def ask(
    client: httpx.Client, asset: str, model: str = "qwen3-asr-flash", **fields: Any
) -> httpx.Response:
    prompt = {"audioUrl": asset, **fields}
    body = {"type": "SPEECH_TO_TEXT", "model": model, "promptObject": prompt}
    return client.post("/api/features", json=body)


def text_of(response: httpx.Response) -> Any:
    return response.json()["aiRecord"]["aiRecordDetail"]["resultObject"]


def code_of(response: httpx.Response) -> tuple[int, str]:
    body = response.json()
    return response.status_code, body.get("errorCode") or body["error"]["code"]


# --- who asks ---------------------------------------------------------------------------------


def test_a_key_can_be_checked_without_a_charge(service: OneMin, client: httpx.Client) -> None:
    response = client.get(f"/api/results/{NOBODY}")

    assert (response.status_code, response.json()) == (200, {"aiRecord": None})
    assert service.charges == []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"API-KEY": "another"},
        {"Authorization": f"Bearer {KEY}"},
        {"Authorization": f"Bearer {KEY}", "API-KEY": KEY},
        {"X-Auth-Token": f"Bearer {KEY}"},
    ],
)
def test_no_header_but_the_key_opens_the_door(service: OneMin, headers: dict[str, str]) -> None:
    with connected(service, {"User-Agent": "asrcli/0.1", **headers}) as client:
        response = client.get(f"/api/results/{NOBODY}")

    assert code_of(response) == (401, "UNAUTHORIZED")


@pytest.mark.parametrize(
    ("state", "said"), [(KeyState.DELETED, "deleted"), (KeyState.INACTIVE, "not active")]
)
def test_a_key_that_was_taken_back_is_refused(state: KeyState, said: str) -> None:
    with connected(OneMin(keys={KEY: state})) as client:
        response = client.get(f"/api/results/{NOBODY}")

    assert code_of(response) == (401, "HTTP_EXCEPTION")
    assert said in response.json()["message"]


@pytest.mark.parametrize("agent", ["python-httpx/0.28.1", "curl/8.0", ""])
def test_a_client_without_a_name_of_its_own_meets_the_edge(service: OneMin, agent: str) -> None:
    with connected(service, {"API-KEY": KEY, "User-Agent": agent}) as client:
        response = client.get(f"/api/results/{NOBODY}")

    assert (response.status_code, response.text) == (403, "error code: 1010")


def test_too_many_requests_a_minute_are_refused_until_it_is_over() -> None:
    now = [0.0]
    service = OneMin(clock=lambda: now[0])
    service.requests_per_minute = 2
    with connected(service) as client:
        codes = []
        for moment in (0, 10, 20, 59.9, 60.1):
            now[0] = moment
            response = client.get(f"/api/results/{NOBODY}")
            codes.append((response.status_code, response.headers.get("retry-after")))

    assert codes == [(200, None), (200, None), (429, "40"), (429, "1"), (200, None)]


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/api/assets"),
        ("DELETE", "/api/assets/x"),
        ("GET", "/api/features"),
        ("POST", f"/api/results/{NOBODY}"),
        ("GET", "/api/results/../secret"),
        ("GET", "/teams/1/credits"),
    ],
)
def test_there_are_no_other_routes(client: httpx.Client, method: str, path: str) -> None:
    assert client.request(method, path).status_code == 404


# --- assets -----------------------------------------------------------------------------------


def test_an_upload_is_described_as_documented(service: OneMin, client: httpx.Client) -> None:
    body = upload(client, LETTER.path.read_bytes()).json()

    path = body["fileContent"]["path"]
    assert path == body["asset"]["key"]
    assert path.startswith("audios/")
    assert path.endswith("_audio.wav")
    assert (body["asset"]["size"], body["asset"]["mimetype"]) == (
        LETTER.path.stat().st_size,
        "audio/wav",
    )
    assert body["asset"]["metadata"]["originalname"] == "audio.wav"
    assert body["fileContent"]["status"] == "ACTIVE"
    assert service.assets[path].part.content == LETTER.path.read_bytes()


def test_two_uploads_of_one_file_are_two_assets(client: httpx.Client) -> None:
    assert stored(client, LETTER.path) != stored(client, LETTER.path)


@pytest.mark.parametrize(
    ("name", "mime_type"),
    [
        ("audio", "audio/wav"),
        ("audio.xyz", "audio/wav"),
        ("audio.mp3", "audio/mpeg"),
        ("audio.flac", "audio/flac"),
        ("audio.wav", "application/octet-stream"),
        ("audio.wav", "audio/mpeg"),
        ("my secret talk.wav", "audio/wav"),
        ("réunion.wav", "audio/wav"),
        ("../audio.wav", "audio/wav"),
    ],
)
def test_a_name_or_a_type_that_is_not_true_is_refused(
    service: OneMin, client: httpx.Client, name: str, mime_type: str
) -> None:
    response = upload(client, LETTER.path.read_bytes(), name, mime_type)

    assert response.status_code == 415
    assert "file type isn't supported" in response.json()["message"]
    assert service.assets == {}


@pytest.mark.parametrize("container", FORMATS_MADE)
def test_every_format_can_be_uploaded_under_its_name(
    client: httpx.Client, container: str, tmp_path: Path
) -> None:
    assert stored(client, encode_as(recording("number").path, container, tmp_path))


@pytest.mark.parametrize(
    "files",
    [
        [("file", ("audio.wav", b"x", "audio/wav"))],
        [("asset", ("audio.wav", b"x", "audio/wav")), ("type", (None, "AUDIO"))],
        [("asset", ("audio.wav", b"x", "audio/wav"))] * 2,
        [("asset", (None, "x"))],
    ],
)
def test_a_form_with_anything_but_one_asset_is_refused(
    service: OneMin, client: httpx.Client, files: Any
) -> None:
    assert client.post("/api/assets", files=files).status_code == 400
    assert service.assets == {}


def test_an_upload_of_more_than_50_mb_is_refused(client: httpx.Client) -> None:
    assert upload(client, wav_of(50_000_000)).status_code == 200
    assert upload(client, wav_of(50_000_002)).status_code == 413


@pytest.mark.parametrize(
    ("shape", "expected"),
    [
        (AssetShape.FULL, {"fileContent.path", "asset.key"}),
        (AssetShape.WRAPPED, {"fileContent.path", "asset.key"}),
        (AssetShape.KEY_ONLY, {"asset.key"}),
        (AssetShape.TOP, {"path"}),
        (AssetShape.NO_PATH, set()),
    ],
)
def test_the_answer_to_an_upload_has_many_shapes(
    service: OneMin, client: httpx.Client, shape: AssetShape, expected: set[str]
) -> None:
    service.asset_shape = shape

    body = upload(client, LETTER.path.read_bytes()).json()

    [path] = service.assets
    unwrapped = json.loads(body) if shape is AssetShape.WRAPPED else body
    found = {
        name
        for name, place in (
            ("fileContent.path", unwrapped.get("fileContent", {}).get("path")),
            ("asset.key", unwrapped.get("asset", {}).get("key")),
            ("path", unwrapped.get("path")),
        )
        if place == path
    }
    assert found == expected


# --- features ---------------------------------------------------------------------------------


def test_the_text_is_what_is_said_in_the_asset(service: OneMin, client: httpx.Client) -> None:
    asset = stored(client, LETTER.path)

    response = ask(client, asset, language="en", enable_itn=False)

    record = response.json()["aiRecord"]
    assert text_of(response) == [LETTER.text]
    assert (record["status"], record["type"], record["temporaryUrl"]) == (
        "SUCCESS",
        "SPEECH_TO_TEXT",
        "",
    )
    assert record["aiRecordDetail"]["promptObject"]["audioUrl"] == asset
    assert record["aiRecordDetail"]["responseObject"] == {}
    assert client.get(f"/api/results/{record['uuid']}").json() == response.json()


def test_a_call_is_charged_by_the_second_and_counted_by_the_bytes(
    service: OneMin, client: httpx.Client
) -> None:
    service.credits = 1_000
    first, second = (stored(client, LETTER.path) for _ in range(2))

    ask(client, first)
    ask(client, second)

    assert service.billed(LETTER.path) == 2
    assert [charge.credits for charge in service.charges] == [145, 145]  # 4.12 s at 35
    assert service.credits == 710
    assert service.billed(b"other") == 0
    assert len({charge.record for charge in service.charges}) == 2


def test_without_credits_there_is_no_text(service: OneMin, client: httpx.Client) -> None:
    service.credits = 100

    response = ask(client, stored(client, LETTER.path))

    assert code_of(response) == (406, "INSUFFICIENT_CREDITS")
    assert "requires 145 credits" in response.json()["message"]
    assert "only has 100 credits" in response.json()["message"]
    assert service.charges == []


@pytest.mark.parametrize(
    ("change", "status", "code"),
    [
        ({"type": "TEXT_TO_SPEECH"}, 400, "UNKNOWN_ERROR"),
        ({"model": "qwen4"}, 400, "UNSUPPORTED_MODEL"),
        ({"model": None}, 422, "PROMPT_OBJECT_VALIDATION_FAILED"),
        ({"conversationId": "SPEECH_TO_TEXT"}, 422, "PROMPT_OBJECT_VALIDATION_FAILED"),
        ({"async": "yes"}, 422, "PROMPT_OBJECT_VALIDATION_FAILED"),
        ({"promptObject": []}, 422, "PROMPT_OBJECT_VALIDATION_FAILED"),
    ],
)
def test_the_fields_around_the_prompt_are_checked(
    client: httpx.Client, change: dict[str, Any], status: int, code: str
) -> None:
    prompt = {"audioUrl": stored(client, LETTER.path)}
    body = {"type": "SPEECH_TO_TEXT", "model": "qwen3-asr-flash", "promptObject": prompt}

    assert code_of(client.post("/api/features", json=body | change)) == (status, code)


def test_a_missing_field_is_named(client: httpx.Client) -> None:
    response = client.post("/api/features", json={"type": "SPEECH_TO_TEXT"})

    assert code_of(response) == (400, "MISSING_REQUIRED_FIELDS")
    assert [item["field"] for item in response.json()["details"]] == ["model", "promptObject"]


@pytest.mark.parametrize(
    "content", [b"", b"[]", b"{", b'{"type":"A","type":"B"}', b"\xff", b'{"type":NaN}']
)
def test_a_body_that_is_no_object_in_json_is_refused(client: httpx.Client, content: bytes) -> None:
    headers = {"content-type": "application/json"}

    assert client.post("/api/features", content=content, headers=headers).status_code == 400


def test_a_body_that_is_not_declared_as_json_is_refused(client: httpx.Client) -> None:
    assert client.post("/api/features", content=b"{}").status_code == 400


@pytest.mark.parametrize(
    ("model", "fields", "wrong"),
    [
        ("qwen3-asr-flash", {"language": "en-US"}, ["language"]),
        ("qwen3-asr-flash", {"language": ""}, ["language"]),
        ("qwen3-asr-flash", {"language": None}, ["language"]),
        ("qwen3-asr-flash", {"language": "auto"}, ["language"]),
        ("qwen3-asr-flash", {"enable_itn": "true"}, ["enable_itn"]),
        (
            "qwen3-asr-flash",
            {"prompt": "", "response_format": "text"},
            ["prompt", "response_format"],
        ),
        ("whisper-1", {}, ["response_format"]),
        ("whisper-1", {"response_format": "srt"}, ["response_format"]),
        ("whisper-1", {"response_format": "text", "temperature": 2}, ["temperature"]),
        ("whisper-1", {"response_format": "text", "enable_itn": True}, ["enable_itn"]),
        ("latest_long", {}, ["language"]),
        ("latest_long", {"language": "en"}, ["language"]),
        ("telephony", {"language": "en-US", "response_format": "text"}, ["response_format"]),
        ("elevenlabs-speech-to-text", {"language": "eng"}, ["language"]),
    ],
)
def test_a_prompt_that_the_model_does_not_know_is_refused(
    service: OneMin, client: httpx.Client, model: str, fields: dict[str, Any], wrong: list[str]
) -> None:
    response = ask(client, stored(client, LETTER.path), model, **fields)

    assert code_of(response) == (422, "PROMPT_OBJECT_VALIDATION_FAILED")
    assert [item["field"] for item in response.json()["details"]] == wrong
    assert service.charges == []


@pytest.mark.parametrize(
    ("model", "fields"),
    [
        ("whisper-1", {"response_format": "text", "language": "en", "temperature": 0}),
        ("gpt-4o-transcribe", {}),
        ("elevenlabs-speech-to-text", {}),
        ("latest_long", {"language": "en-US"}),
        ("medical_dictation", {"language": "zh-Hans-CN"}),
    ],
)
def test_other_models_have_fields_of_their_own(
    client: httpx.Client, model: str, fields: dict[str, Any]
) -> None:
    assert text_of(ask(client, stored(client, LETTER.path), model, **fields)) == [LETTER.text]


def test_qwen_knows_27_languages() -> None:
    assert len(LANGUAGES) == 27


def test_an_asset_that_nobody_uploaded_cannot_be_analyzed(client: httpx.Client) -> None:
    for path in ("audios/never.wav", "https://example.org/x.wav"):
        response = ask(client, path)
        assert response.status_code == 400
        assert response.json()["message"].startswith("Failed to analyze media file: https://")


def test_ten_megabytes_and_not_a_sample_more(service: OneMin, client: httpx.Client) -> None:
    fits, too_large = (
        upload(client, wav_of(size)).json()["fileContent"]["path"]
        for size in (10_485_760, 10_485_762)
    )

    assert text_of(ask(client, fits)) == [LETTER.text]
    refusal = ask(client, too_large)
    assert code_of(refusal) == (400, "EXTERNAL_API_RESPONSE_WITH_ERROR")
    inner = json.loads(refusal.json()["details"])["response"]
    assert inner["status"] == 400
    assert "too large" in inner["data"]["message"]
    assert refusal.json()["context"] == {"service": "alibaba"}
    assert len(service.charges) == 1


@pytest.mark.parametrize(("seconds", "status"), [(299.9, 200), (300.5, 400), (400, 400)])
def test_five_minutes_and_no_second_more(
    client: httpx.Client, tmp_path: Path, seconds: float, status: int
) -> None:
    asset = stored(client, silence(seconds, tmp_path / "x.flac"))

    response = ask(client, asset)

    assert response.status_code == status
    if status == 400:
        assert "too long" in response.json()["details"]


@pytest.mark.parametrize("how", ["header", "text", "random"])
def test_what_cannot_be_decoded_is_refused_by_the_vendor(
    client: httpx.Client, tmp_path: Path, how: str
) -> None:
    response = ask(client, stored(client, damage(LETTER.path, how, tmp_path)))

    assert code_of(response) == (400, "EXTERNAL_API_RESPONSE_WITH_ERROR")


@pytest.mark.parametrize(
    ("container", "model", "taken"),
    [
        ("mp4", "qwen3-asr-flash", False),
        ("mov", "qwen3-asr-flash", False),
        ("amr", "qwen3-asr-flash", True),
        ("amr", "whisper-1", False),
        ("mp4", "whisper-1", True),
    ],
)
def test_models_differ_in_the_formats_they_take(
    client: httpx.Client, tmp_path: Path, container: str, model: str, *, taken: bool
) -> None:
    fields = {"response_format": "text"} if model == "whisper-1" else {}
    asset = stored(client, encode_as(LETTER.path, container, tmp_path))

    response = ask(client, asset, model, **fields)

    assert response.status_code == (200 if taken else 400)


def test_silence_is_an_empty_text(client: httpx.Client, tmp_path: Path) -> None:
    assert text_of(ask(client, stored(client, silence(2, tmp_path / "x.wav")))) == [""]


def test_cut_audio_gives_cut_text(client: httpx.Client, tmp_path: Path) -> None:
    doubled = concatenate([LETTER.path, LETTER.path], tmp_path / "twice.wav")
    half = cut(LETTER.path, tmp_path / "half.wav", end=1.72)

    assert text_of(ask(client, stored(client, doubled))) == [f"{LETTER.text} {LETTER.text}"]
    assert text_of(ask(client, stored(client, half))) == ["She opened the old wooden box"]


@pytest.mark.parametrize("shape", ResultShape)
def test_results_come_in_many_shapes(
    service: OneMin, client: httpx.Client, shape: ResultShape
) -> None:
    service.result_shape = shape

    body = ask(client, stored(client, LETTER.path)).json()

    empty = {
        ResultShape.EMPTY_LIST,
        ResultShape.EMPTY_STRING,
        ResultShape.NULL,
        ResultShape.MISSING,
    }
    assert (LETTER.text in json.dumps(body)) == (shape not in empty)
    assert body["aiRecord"]["status"] == "SUCCESS"


def test_a_text_can_be_put_in_the_mouth_of_the_service(
    service: OneMin, client: httpx.Client
) -> None:
    service.text = "[Applause] {hello}"

    assert text_of(ask(client, stored(client, LETTER.path))) == ["[Applause] {hello}"]


@pytest.mark.parametrize("status", ["FAILED", "FAILURE"])
@pytest.mark.parametrize(
    "place",
    [
        "aiRecordDetail.errorMessage",
        "aiRecord.errorMessage",
        "error.message",
        "error",
        "resultObject",
    ],
)
def test_a_failure_may_come_with_200_and_costs_nothing(
    service: OneMin, client: httpx.Client, status: str, place: str
) -> None:
    service.status, service.reason_in, service.reason = status, place, "no speech in it"

    response = ask(client, stored(client, LETTER.path))

    assert response.status_code == 200
    assert response.json()["aiRecord"]["status"] == status
    assert "no speech in it" in response.text
    assert LETTER.text not in response.text
    assert service.charges == []


def test_an_answer_may_have_to_be_polled_for(service: OneMin, client: httpx.Client) -> None:
    service.processing_polls = 2
    first = ask(client, stored(client, LETTER.path)).json()["aiRecord"]
    url = f"/api/results/{first['uuid']}"

    polls = [client.get(url).json()["aiRecord"] for _ in range(4)]

    assert first["status"] == "PROCESSING"
    assert first["aiRecordDetail"]["resultObject"] == []
    assert [poll["status"] for poll in polls] == ["PROCESSING", "PROCESSING", "SUCCESS", "SUCCESS"]
    assert polls[2]["aiRecordDetail"]["resultObject"] == [LETTER.text]
    assert service.billed(LETTER.path) == 1


def test_who_asks_for_it_gets_a_result_to_poll_for(client: httpx.Client) -> None:
    asset = stored(client, LETTER.path)
    body = {
        "type": "SPEECH_TO_TEXT",
        "model": "qwen3-asr-flash",
        "promptObject": {"audioUrl": asset},
        "async": True,
    }

    record = client.post("/api/features?isStreaming=false", json=body).json()["aiRecord"]

    polls = [client.get(f"/api/results/{record['uuid']}").json() for _ in range(2)]
    assert record["status"] == "PROCESSING"
    assert [poll["aiRecord"]["status"] for poll in polls] == ["PROCESSING", "SUCCESS"]


def test_a_result_may_be_forgotten(service: OneMin, client: httpx.Client) -> None:
    service.processing_polls = 1
    uuid = ask(client, stored(client, LETTER.path)).json()["aiRecord"]["uuid"]
    service.forgets_results = True

    assert client.get(f"/api/results/{uuid}").json() == {"aiRecord": None}


def test_another_ear_hears_other_things(tmp_path: Path) -> None:
    with connected(OneMin(ear=Ear([recording("number")]))) as client:
        assert text_of(ask(client, stored(client, LETTER.path))) == [""]


# --- models -----------------------------------------------------------------------------------


def test_the_models_are_listed_without_a_key(service: OneMin) -> None:
    service.disabled_models = {"whisper-1"}
    with connected(service, {"User-Agent": "asrcli/0.1"}) as client:
        body = client.get("/models", params={"feature": "SPEECH_TO_TEXT"}).json()
        nothing = client.get("/models").json()

    status = {row["modelId"]: row["status"] for row in body["models"]}
    assert body["total"] == len(MODELS) == 12
    assert (status["whisper-1"], status["qwen3-asr-flash"]) == ("DISABLED", "ACTIVE")
    assert nothing == {"models": [], "total": 0}


def test_a_disabled_model_is_refused(service: OneMin, client: httpx.Client) -> None:
    service.disabled_models = {"whisper-1"}

    response = ask(client, stored(client, LETTER.path), "whisper-1", response_format="text")

    assert code_of(response) == (400, "UNSUPPORTED_MODEL")


# --- refusals to queue --------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("response", "status", "words"),
    [
        (errors.unauthorized(), 401, "UNAUTHORIZED"),
        (errors.invalid_token(), 401, "INVALID_AUTH_TOKEN"),
        (errors.insufficient_credits(5, 2, team="T"), 406, "5 credits, but the T team only has 2"),
        (errors.cloudflare(1015), 403, "error code: 1015"),
        (errors.challenge_page(), 403, "<!DOCTYPE html>"),
        (errors.access_denied(), 403, "Access denied"),
        (errors.rate_limited(header="7"), 429, "RATE_LIMITED"),
        (errors.rate_limited(seconds=151), 429, '"retryAfter":151'),
        (errors.rate_limited(documented=False), 429, ""),
        (errors.gateway_page(522), 522, "Connection timed out"),
        (errors.server_error(500), 500, "Internal Server Error"),
        (errors.openai_trouble(), 400, "OPEN_AI_UNEXPECTED_ERROR"),
        (errors.busy(None), 400, "a bit busy"),
        (errors.busy(429, message="slow down"), 400, "slow down"),
        (errors.unanalyzable("audios/x.wav"), 400, "amazonaws.com/audios/x.wav"),
        (errors.invalid_prompt(("language", "bad"), documented=True), 422, '"success":false'),
        (errors.file_type(), 415, "file type isn't supported"),
        (errors.file_too_large(), 413, "too large"),
        (errors.html_page(), 200, "<html>"),
        (errors.plain(502, "bad gateway"), 502, "bad gateway"),
        (errors.empty(), 200, ""),
        (errors.redirect("https://elsewhere"), 307, ""),
    ],
)
def test_all_that_it_is_known_to_say_can_be_queued(
    service: OneMin, client: httpx.Client, response: httpx.Response, status: int, words: str
) -> None:
    service.failures.append(response)

    answer = client.get(f"/api/results/{NOBODY}")

    assert answer.status_code == status
    assert words in answer.text


def test_an_error_may_echo_the_key(service: OneMin, client: httpx.Client) -> None:
    service.failures.append(errors.echoing_headers())

    assert KEY in client.get(f"/api/results/{NOBODY}").json()["message"]
