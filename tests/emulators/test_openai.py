"""The emulated server of OpenAI's kind is as strict as its page, and honest about what it hears."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.emulators.openai import KEY, ErrorShape, OpenAI
from tests.recordings import recording, silence

WELCOME = recording("welcome")
PATH = "/v1/audio/transcriptions"


@pytest.fixture
def service() -> OpenAI:
    return OpenAI()


@pytest.fixture
def client(service: OpenAI) -> Iterator[httpx.Client]:
    with httpx.Client(
        transport=httpx.MockTransport(service),
        base_url="https://api.openai.com",
        headers={"Authorization": f"Bearer {KEY}"},
    ) as client:
        yield client


def post(client: httpx.Client, *, name: str = "a.wav", **fields: Any) -> httpx.Response:
    data = {"model": "whisper-1"} | fields
    return client.post(PATH, data=data, files={"file": (name, WELCOME.path.read_bytes())})


def test_json_is_the_text_alone(client: httpx.Client, service: OpenAI) -> None:
    response = post(client)

    assert response.json() == {"text": WELCOME.text}
    assert response.headers["x-request-id"].startswith("req_")
    assert service.billed(WELCOME.path) == 1


def test_text_is_no_json(client: httpx.Client) -> None:
    response = post(client, response_format="text")

    assert response.text == WELCOME.text + "\n"
    assert response.headers["content-type"].startswith("text/plain")


def test_verbose_json_has_words_only_if_they_are_asked_for(client: httpx.Client) -> None:
    def asked(*kinds: str) -> Any:
        fields: dict[str, Any] = {"timestamp_granularities[]": kinds}
        return post(client, response_format="verbose_json", **fields).json()

    plain, only, both = asked(), asked("word"), asked("word", "segment")

    assert plain["language"] == "english"
    assert [sorted({"words", "segments"} & set(body)) for body in (plain, only, both)] == [
        ["segments"],
        ["words"],
        ["segments", "words"],
    ]
    assert len(both["words"]) == len(WELCOME.words)


@pytest.mark.parametrize(
    "fields",
    [
        {"itn": "true"},
        {"model": ""},
        {"response_format": "xml"},
        {"language": "English"},
        {"language": "en-US"},
        {"timestamp_granularities[]": "word"},
        {"response_format": "verbose_json", "timestamp_granularities[]": "letter"},
        {"prompt": ["a", "b"]},
        {"name": "a.mp3"},
        {"name": "a.opus"},
        {"name": "noext"},
    ],
)
def test_what_the_page_does_not_know_is_refused(
    client: httpx.Client, service: OpenAI, fields: dict[str, Any]
) -> None:
    response = post(client, **fields)

    assert response.status_code == 400
    assert response.json()["error"]["message"]
    assert service.charges == []


def test_a_form_without_a_file_is_refused(client: httpx.Client) -> None:
    files = {"model": (None, "whisper-1")}

    assert client.post(PATH, files=files).status_code == 400


def test_model_size_key_and_place_have_their_own_status(
    client: httpx.Client, service: OpenAI
) -> None:
    service.largest = 1_000
    assert post(client).status_code == 413
    assert client.post("/audio/transcriptions").status_code == 404
    service.largest = 10_000_000
    assert post(client, model="other").status_code == 404
    client.headers["Authorization"] = "Bearer other"
    assert post(client).status_code == 401
    service.needs_key = False
    assert post(client).status_code == 200
    client.headers["Authorization"] = "Bearer "
    assert post(client).status_code == 401


@pytest.mark.parametrize(
    ("shape", "status", "said"),
    [
        (ErrorShape.OPENAI, 404, lambda body: body["error"]["message"]),
        (ErrorShape.VLLM, 200, lambda body: body["message"]),
        (ErrorShape.WHISPER_CPP, 200, lambda body: body["error"]),
        (ErrorShape.FASTAPI, 404, lambda body: body["detail"]),
    ],
)
def test_refusals_come_in_the_shape_of_the_server(
    client: httpx.Client, service: OpenAI, shape: ErrorShape, status: int, said: Any
) -> None:
    service.errors = shape

    response = post(client, model="other")

    assert response.status_code == status
    assert "does not exist" in said(response.json())


def test_silence_is_an_empty_text(client: httpx.Client, tmp_path: Any) -> None:
    path = silence(1.0, tmp_path / "silence.wav")

    response = client.post(
        PATH, data={"model": "whisper-1"}, files={"file": ("a.wav", path.read_bytes())}
    )

    assert response.json() == {"text": ""}
