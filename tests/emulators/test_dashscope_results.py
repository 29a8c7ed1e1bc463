"""The emulated DashScope: what a transcription job reads and what it leaves behind."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from tests.emulators.dashscope import (
    DashScope,
    JobScript,
    Key,
    fetch_from,
    fetch_loopback,
)
from tests.emulators.dashscope.calls import (
    ASYNC,
    TRANSCRIPTION,
    Clock,
    client_of,
    poll,
    result_url,
    run_job,
    upload,
)
from tests.emulators.server import serve
from tests.recordings import concatenate, cut, recording, side_by_side

URL = "https://example.com/a.wav"
OTHER = "https://example.com/b.wav"
FUN, QWEN = "fun-asr", "qwen3-asr-flash-filetrans"
WELCOME = recording("welcome")
LESSON = recording("lesson")


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def service(clock: Clock) -> Iterator[DashScope]:
    emulator = DashScope(clock=clock, fetch=fetch_from({URL: WELCOME.path, OTHER: LESSON.path}))
    yield emulator
    emulator.close()


@pytest.fixture
def client(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service) as opened:
        yield opened


@pytest.fixture
def keyless(service: DashScope) -> Iterator[httpx.Client]:
    with client_of(service, key=None) as opened:
        yield opened


def result_of(
    client: httpx.Client, keyless: httpx.Client, model: str, url: str = URL, **given: Any
) -> Any:
    return keyless.get(result_url(run_job(client, model, url, **given))).json()


# --- files from the service's own storage ---------------------------------------------------------


def test_a_stored_file_is_recognized(service: DashScope, client: httpx.Client) -> None:
    stored = upload(client, service, WELCOME.path, model=FUN)

    answer = run_job(client, FUN, stored)

    assert answer["output"]["results"][0]["file_url"] == stored
    assert answer["output"]["results"][0]["subtask_status"] == "SUCCEEDED"


def test_a_stored_file_needs_the_resolve_header(service: DashScope, client: httpx.Client) -> None:
    stored = upload(client, service, WELCOME.path, model=QWEN)
    body = {"model": QWEN, "input": {"file_url": stored}, "parameters": {}}
    task = client.post(TRANSCRIPTION, json=body, headers=ASYNC).json()["output"]["task_id"]
    answers = [poll(client, task) for _ in range(3)]

    assert answers[-1]["output"]["code"] == "FILE_DOWNLOAD_FAILED"


def test_a_stored_file_belongs_to_one_model_for_48_hours(
    service: DashScope, client: httpx.Client, clock: Clock
) -> None:
    stored = upload(client, service, WELCOME.path, model=QWEN)
    snapshot = run_job(client, f"{QWEN}-2025-11-17", stored)
    clock.forward(48 * 3600 + 1)
    late = run_job(client, QWEN, stored)

    assert snapshot["output"]["code"] == "FILE_403_FORBIDDEN"
    assert late["output"]["code"] == "FILE_404_NOT_FOUND"


# --- the files of results -------------------------------------------------------------------------


def test_the_result_of_qwen_counts_from_0_and_has_words_on_demand(
    client: httpx.Client, keyless: httpx.Client
) -> None:
    plain = result_of(client, keyless, QWEN)
    detailed = result_of(client, keyless, QWEN, enable_words=True)

    assert plain["file_url"] == URL
    assert plain["audio_info"] == {"format": "wav", "sample_rate": 16_000}
    [transcript] = plain["transcripts"]
    assert transcript["text"] == WELCOME.text
    assert transcript["sentences"] == [
        {
            "sentence_id": 0,
            "begin_time": 180,
            "end_time": 6330,
            "language": "en",
            "emotion": "neutral",
            "text": WELCOME.text,
        }
    ]
    sentences = detailed["transcripts"][0]["sentences"]
    assert [s["text"] for s in sentences] == [
        "Good morning, and welcome.",
        "Every word of this message was turned into text on your own computer.",
    ]
    assert sentences[0]["words"][:2] == [
        {"begin_time": 180, "end_time": 440, "text": "Good", "punctuation": ""},
        {"begin_time": 440, "end_time": 950, "text": "morning", "punctuation": ","},
    ]
    # Where no mark follows, the key may be missing.
    assert "punctuation" not in sentences[1]["words"][1]


def test_the_result_of_fun_asr_counts_from_1_and_has_trailing_blanks(
    client: httpx.Client, keyless: httpx.Client
) -> None:
    body = result_of(client, keyless, FUN)

    assert body["properties"] == {
        "audio_format": "pcm_s16le",
        "channels": [0],
        "original_sampling_rate": 16_000,
        "original_duration_in_milliseconds": 6515,
    }
    [transcript] = body["transcripts"]
    assert transcript["content_duration_in_milliseconds"] == 5930
    sentences = transcript["sentences"]
    assert [s["sentence_id"] for s in sentences] == [1, 2]
    assert not {"speaker_id", "language", "emotion"} & set(sentences[0])
    assert [(w["text"], w["punctuation"]) for w in sentences[0]["words"]] == [
        ("Good ", ""),
        ("morning", ", "),
        ("and ", ""),
        ("welcome", "."),
    ]


def test_the_usage_is_told_in_the_words_of_the_family(client: httpx.Client) -> None:
    assert run_job(client, QWEN, URL)["usage"] == {"seconds": 6}
    assert run_job(client, FUN, URL)["usage"] == {"duration": 6}


@pytest.mark.parametrize("model", [FUN, QWEN])
def test_each_channel_that_is_asked_for_has_a_transcript(
    service: DashScope, client: httpx.Client, keyless: httpx.Client, tmp_path: Path, model: str
) -> None:
    stereo = side_by_side([WELCOME.path, LESSON.path], tmp_path / "stereo.wav")
    service.sources.fetch = fetch_from({URL: stereo})

    both = result_of(client, keyless, model, channel_id=[0, 1])["transcripts"]
    default = result_of(client, keyless, model)["transcripts"]

    assert [(t["channel_id"], t["text"]) for t in both] == [(0, WELCOME.text), (1, LESSON.text)]
    assert [(t["channel_id"], t["text"]) for t in default] == [(0, WELCOME.text)]


def test_a_channel_that_is_not_there_fails_the_job(client: httpx.Client) -> None:
    assert run_job(client, QWEN, URL, channel_id=[1])["output"]["task_status"] == "FAILED"


def test_speakers_are_told_apart_in_mono_alone(
    service: DashScope, client: httpx.Client, keyless: httpx.Client, tmp_path: Path
) -> None:
    mono = concatenate([WELCOME.path, LESSON.path], tmp_path / "two.wav", gap=0.2)
    stereo = side_by_side([WELCOME.path, LESSON.path], tmp_path / "stereo.wav")
    service.sources.fetch = fetch_from({URL: mono, OTHER: stereo})

    told = result_of(client, keyless, FUN, diarization_enabled=True, speaker_count=2)
    not_told = result_of(client, keyless, FUN, OTHER, diarization_enabled=True)

    assert [s["speaker_id"] for s in told["transcripts"][0]["sentences"]] == [0, 0, 1, 1]
    assert "speaker_id" not in not_told["transcripts"][0]["sentences"][0]


def test_another_speaker_begins_another_sentence(
    service: DashScope, client: httpx.Client, keyless: httpx.Client, tmp_path: Path
) -> None:
    interrupted = cut(WELCOME.path, tmp_path / "first.wav", end=2.75)
    mono = concatenate([interrupted, LESSON.path], tmp_path / "two.wav")
    service.sources.fetch = fetch_from({URL: mono})

    body = result_of(client, keyless, FUN, diarization_enabled=True)

    texts = [(s["speaker_id"], s["text"]) for s in body["transcripts"][0]["sentences"]]
    assert texts[1:3] == [
        (0, "Every word"),
        (1, "Tomorrow's lesson begins at half past ten."),
    ]


def text_of(body: dict[str, Any]) -> str:
    text: str = body["transcripts"][0]["text"]
    return text


def test_words_of_the_built_in_list_are_stars_unless_it_is_switched_off(
    service: DashScope, client: httpx.Client, keyless: httpx.Client
) -> None:
    service.switches.reserved_words = {"computer"}
    off = json.dumps({"system_reserved_filter": False})

    masked = result_of(client, keyless, FUN)
    plain = result_of(client, keyless, FUN, special_word_filter=off)

    assert text_of(masked).endswith("your own ********.")
    assert text_of(plain) == WELCOME.text


def test_words_can_be_masked_and_deleted(client: httpx.Client, keyless: httpx.Client) -> None:
    rules = {
        "filter_with_signed": {"word_list": ["morning"]},
        "filter_with_empty": {"word_list": ["good"]},
    }

    body = result_of(client, keyless, FUN, special_word_filter=json.dumps(rules))

    assert text_of(body).startswith("*******, and welcome.")


def test_the_url_of_a_result_refuses_a_key_and_cookies(
    client: httpx.Client, keyless: httpx.Client
) -> None:
    url = result_url(run_job(client, FUN, URL))

    for headers in ({"Authorization": "Bearer x"}, {"Cookie": "a=b"}):
        refused = keyless.get(url, headers=headers)
        assert refused.status_code == 403
        assert "<Code>AccessDenied</Code>" in refused.text
    assert keyless.get(url).status_code == 200


def test_the_url_of_a_result_must_be_asked_for_to_the_letter(
    client: httpx.Client, keyless: httpx.Client
) -> None:
    url = result_url(run_job(client, FUN, URL))

    for other in (url.replace("%3A", ":"), url + "&x=1"):
        refused = keyless.get(other)
        assert refused.status_code == 403
        assert "<Code>SignatureDoesNotMatch</Code>" in refused.text


def test_the_url_of_a_result_expires_after_a_day(
    client: httpx.Client, keyless: httpx.Client, clock: Clock
) -> None:
    url = result_url(run_job(client, FUN, URL))
    clock.forward(24 * 3600 + 1)

    assert "<Message>Request has expired.</Message>" in keyless.get(url).text


def test_another_poll_gives_a_fresh_url(
    service: DashScope, client: httpx.Client, keyless: httpx.Client
) -> None:
    service.jobs.script = JobScript(expired_results=2)
    answers = [run_job(client, FUN, URL)]
    answers += [poll(client, answers[0]["output"]["task_id"]) for _ in range(2)]

    statuses = [keyless.get(result_url(answer)).status_code for answer in answers]
    assert statuses == [403, 403, 200]


def test_a_download_can_be_cut(
    service: DashScope, client: httpx.Client, keyless: httpx.Client
) -> None:
    service.jobs.script = JobScript(cut_results=1)
    url = result_url(run_job(client, FUN, URL))

    with pytest.raises(ValueError, match=r"Unterminated|Expecting"):
        keyless.get(url).json()
    assert keyless.get(url).json()["file_url"] == URL


def test_results_may_lie_on_another_host_and_behind_plain_http(
    service: DashScope, client: httpx.Client, keyless: httpx.Client
) -> None:
    other = "https://dashscope-result-other.oss-cn-beijing.aliyuncs.com"
    service.jobs.script = JobScript(result_base=other)
    service.switches.results_by_http = True

    url = result_url(run_job(client, FUN, URL))

    assert url.startswith("http://dashscope-result-other.")
    assert keyless.get(url.replace("http://", "https://")).status_code == 200


def test_all_of_it_works_when_served_and_the_service_fetches_from_loopback() -> None:
    service = DashScope(fetch=fetch_loopback)

    def files(_: httpx.Request) -> httpx.Response:
        return httpx.Response(200, content=WELCOME.path.read_bytes())

    with serve(service) as server, serve(files) as file_server:
        key = {"Authorization": f"Bearer {Key().value}"}
        with (
            httpx.Client(base_url=server.url, headers=key, trust_env=False) as client,
            httpx.Client(trust_env=False) as keyless,
        ):
            url = f"{file_server.url}/welcome.wav"
            body = keyless.get(result_url(run_job(client, FUN, url))).json()

    assert text_of(body) == WELCOME.text
