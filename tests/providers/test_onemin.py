"""1min.ai as a whole, in front of the emulated service; its answers are in the file beside."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    ArrearsError,
    AsrError,
    FileUnreadableError,
    InputRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    Retry,
    RightsError,
    TimeLimitError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Model, Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.onemin import OneMin as Provider
from tests.emulators import onemin_errors as errors
from tests.emulators.onemin import KEY, AssetShape, KeyState, OneMin, ResultShape
from tests.emulators.troubles import After, Drop
from tests.providers.calling import Time, answer_from, audio_of, onemin
from tests.recordings import recording, silence

CALL = "POST /api/features"
WELCOME = recording("welcome")
TWICE = "sent twice after an unclear failure: it may have been charged twice"


@pytest.fixture
def service() -> OneMin:
    return OneMin()


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def provider(service: OneMin, time: Time) -> Provider:
    return onemin(service, time=time, wait=time.sleep)


@pytest.fixture
def model() -> Model:
    return resolve("qwen3-asr-flash", provider="onemin")


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


def prompt_of(service: OneMin) -> Any:
    return service.calls[-1].json["promptObject"]


# --- what is sent -----------------------------------------------------------------------------


def test_a_file_is_uploaded_and_then_recognized(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text
    assert transcript.duration == WELCOME.seconds
    assert [r.route for r in service.requests] == ["POST /api/assets", CALL]
    assert service.calls[0].json == {
        "type": "SPEECH_TO_TEXT",
        "model": "qwen3-asr-flash",
        "promptObject": {"audioUrl": next(iter(service.assets))},
    }
    assert transcript.request_ids == (service.charges[0].record,)


def test_every_call_says_who_asks_and_with_which_key(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.processing_polls = 1

    provider.transcribe(audio, model, Options())

    assert len(service.requests) == 4
    for request in service.requests:
        assert request.headers.get_list("api-key") == [KEY]
        assert "authorization" not in request.headers
        assert request.headers["user-agent"].startswith("asrcli/")


@pytest.mark.parametrize(
    "name", ["wedding of Jürgen & Ann.wav", 'a"\r\nX-Evil: 1\r\n.wav', "noext", "..wav"]
)
def test_the_service_never_learns_the_name_of_a_file(
    provider: Provider, service: OneMin, model: Model, tmp_path: Path, name: str
) -> None:
    path = tmp_path / name
    shutil.copyfile(WELCOME.path, path)
    found = audio_of(WELCOME)
    audio = AudioFile(
        path, name, "wav", "audio/wav", found.codec, found.size, found.duration, 1, 16_000
    )

    provider.transcribe(audio, model, Options())

    (part,) = service.uploads[0].form
    assert part.name == "asset"
    assert part.filename is not None
    assert part.filename.isascii()
    assert part.filename.startswith("audio-")
    assert part.filename.endswith(".wav")
    assert part.content_type == "audio/wav"
    assert part.content == WELCOME.path.read_bytes()
    assert "x-evil" not in service.uploads[0].headers


def test_two_files_of_one_name_get_two_names(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    first, second = (provider.upload(audio, model) for _ in range(2))

    assert first != second
    names = [request.form[0].filename for request in service.uploads]
    assert len(set(names)) == 2


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (Options(), {}),
        (Options(language="en"), {"language": "en"}),
        (Options(itn=True), {"enable_itn": True}),
        (Options(itn=False), {"enable_itn": False}),
        (Options(language="yue", itn=True), {"language": "yue", "enable_itn": True}),
    ],
)
def test_language_and_itn_are_sent_when_they_are_given(
    provider: Provider,
    service: OneMin,
    model: Model,
    audio: AudioFile,
    options: Options,
    sent: dict[str, Any],
) -> None:
    provider.transcribe(audio, model, options)

    prompt = prompt_of(service)
    del prompt["audioUrl"]
    assert prompt == sent


@pytest.mark.parametrize(
    ("model_id", "language", "sent"),
    [
        ("whisper-1", None, {"response_format": "text"}),
        ("whisper-1", "en", {"response_format": "text", "language": "en"}),
        ("elevenlabs-speech-to-text", None, {}),
        ("latest_long", "en-US", {"language": "en-US"}),
    ],
)
def test_each_family_gets_the_fields_of_its_own_page(
    provider: Provider,
    service: OneMin,
    audio: AudioFile,
    model_id: str,
    language: str | None,
    sent: dict[str, Any],
) -> None:
    model = resolve(model_id, provider="onemin")

    transcript = provider.transcribe(audio, model, Options(language=language))

    prompt = prompt_of(service)
    del prompt["audioUrl"]
    assert prompt == sent
    assert transcript.model == model_id
    assert transcript.text == WELCOME.text


def test_a_reference_is_recognized_without_another_upload(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    reference = provider.upload(audio, model)

    transcripts = [provider.transcribe(reference, model, Options()) for _ in range(2)]

    assert str(reference) == f"onemin:{next(iter(service.assets))}"
    assert [t.text for t in transcripts] == [WELCOME.text] * 2
    assert transcripts[0].duration is None
    assert len(service.uploads) == 1


def test_a_file_that_is_gone_is_told_before_anything_is_sent(
    provider: Provider, service: OneMin, model: Model, tmp_path: Path
) -> None:
    path = tmp_path / "gone.wav"
    shutil.copyfile(WELCOME.path, path)
    audio = audio_of(WELCOME, path)
    path.unlink()

    with pytest.raises(FileUnreadableError, match=r"gone\.wav"):
        provider.transcribe(audio, model, Options())

    assert service.requests == []


# --- what is answered -------------------------------------------------------------------------


@pytest.mark.parametrize("shape", [s for s in AssetShape if s is not AssetShape.NO_PATH], ids=str)
def test_the_path_of_an_asset_is_found_wherever_the_answer_has_it(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, shape: AssetShape
) -> None:
    service.asset_shape = shape

    assert provider.upload(audio, model) == Reference("onemin", next(iter(service.assets)))


@pytest.mark.parametrize("name", ["asset", "asset-key", "asset-path", "asset-wrapped"])
def test_the_path_of_an_asset_is_kept_as_it_is(model: Model, audio: AudioFile, name: str) -> None:
    content = answer_from("onemin", name).body
    provider = onemin(lambda _: httpx.Response(200, content=content))

    path = "audios/2026_01_12_16_27_19_160_audio.wav"
    assert provider.upload(audio, model) == Reference("onemin", path)


def test_an_upload_that_names_no_path_is_unexpected(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.asset_shape = AssetShape.NO_PATH

    with pytest.raises(UnexpectedAnswerError, match="names no path"):
        provider.transcribe(audio, model, Options())

    assert service.calls == []


NO_TEXT = (ResultShape.EMPTY_LIST, ResultShape.NULL, ResultShape.MISSING)
WITH_TEXT = [s for s in ResultShape if s not in {*NO_TEXT, ResultShape.EMPTY_STRING}]


@pytest.mark.parametrize("shape", WITH_TEXT, ids=str)
def test_the_words_are_found_in_every_shape_of_a_result(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, shape: ResultShape
) -> None:
    service.result_shape = shape

    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()


@pytest.mark.parametrize("shape", NO_TEXT, ids=str)
def test_success_without_a_text_is_no_success(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, shape: ResultShape
) -> None:
    service.result_shape = shape

    with pytest.raises(UnexpectedAnswerError, match="holds no text"):
        provider.transcribe(audio, model, Options())

    assert len(service.calls) == 1


def test_silence_is_an_empty_transcript_that_says_so(
    provider: Provider, model: Model, tmp_path: Path
) -> None:
    path = silence(2.0, tmp_path / "silence.wav")

    transcript = provider.transcribe(audio_of(WELCOME, path), model, Options())

    assert transcript.segments == ()
    assert transcript.text == ""
    assert transcript.warnings == ("the service heard nothing",)


@pytest.mark.parametrize("status", ["SUCCESS", "success", "COMPLETED"])
def test_success_has_several_names(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, status: str
) -> None:
    service.status = status

    assert provider.transcribe(audio, model, Options()).warnings == ()


@pytest.mark.parametrize("status", ["FAILURE", "FAILED"])
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
def test_a_record_that_failed_is_told_by_its_reason_and_not_sent_again(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, status: str, place: str
) -> None:
    service.status, service.reason_in = status, place

    with pytest.raises(RefusedError, match="could not process the audio") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.request_id == service.calls[0].notes["record"]
    assert len(service.calls) == 1


# --- results that are not ready -----------------------------------------------------------------


@pytest.mark.parametrize("polls", [0, 1, 5])
def test_a_result_that_is_not_ready_is_waited_for(
    provider: Provider, service: OneMin, time: Time, model: Model, audio: AudioFile, polls: int
) -> None:
    service.processing_polls = polls

    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text
    assert time.waits == [2.0] * (polls + 1)
    record = service.charges[0].record
    assert [r.route for r in service.requests[2:]] == [f"GET /api/results/{record}"] * (polls + 1)
    assert len(service.charges) == 1


def test_a_result_that_is_never_ready_ends_with_the_time_limit(
    provider: Provider, service: OneMin, time: Time, model: Model, audio: AudioFile
) -> None:
    service.processing_polls = 1_000

    with pytest.raises(TimeLimitError, match="no result after 120 s") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == 10
    assert caught.value.request_id == service.charges[0].record
    assert sum(time.waits) == 120.0
    assert len(service.calls) == 1


def test_a_result_that_is_forgotten_is_unexpected(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.processing_polls, service.forgets_results = 3, True

    with pytest.raises(UnexpectedAnswerError, match="no longer knows the result") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.request_id == service.charges[0].record


@pytest.mark.parametrize("uuid", [None, "", "../../users", "a b", 5, "x" * 65, "ü"])
def test_a_result_without_a_sane_id_is_not_asked_for(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, uuid: Any
) -> None:
    body = {"aiRecord": {"uuid": uuid, "status": "PROCESSING", "aiRecordDetail": {}}}
    service.failures.add(httpx.Response(200, json=body), route=CALL)

    with pytest.raises(UnexpectedAnswerError, match="does not say on what"):
        provider.transcribe(audio, model, Options())

    assert service.requests[-1].route == CALL


def test_a_poll_that_fails_is_asked_again_and_the_call_is_not(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.processing_polls = 0
    service.failures.add(
        errors.server_error(), Drop(), errors.gateway_page(), route="GET /api/results/*"
    )

    transcript = provider.transcribe(audio, model, Options())

    assert transcript.text == WELCOME.text
    assert transcript.warnings == ()
    assert len(service.calls) == 1


def test_a_run_that_is_given_up_stops_waiting_for_a_result(
    service: OneMin, time: Time, model: Model, audio: AudioFile
) -> None:
    service.processing_polls = 1_000
    retrier = time.retrier(cancelled=lambda: len(time.waits) >= 3)
    provider = onemin(service, retrier=retrier, wait=time.sleep)

    with pytest.raises(NetworkError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.code == "cancelled"
    assert len(time.waits) == 3


def test_a_result_of_a_call_that_was_resent_is_marked_after_polling(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.processing_polls = 1
    service.failures.add(After(Drop()), route=CALL)

    assert provider.transcribe(audio, model, Options()).warnings == (TWICE,)


def test_a_failure_behind_a_call_that_was_resent_is_marked(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.processing_polls, service.forgets_results = 1, True
    service.failures.add(After(Drop()), route=CALL)

    with pytest.raises(UnexpectedAnswerError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.possible_duplicate


# --- failures on the way ------------------------------------------------------------------------


def test_an_upload_is_repeated_freely_after_an_unclear_failure(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.failures.add(After(Drop()), Drop(), route="POST /api/assets")

    transcript = provider.transcribe(audio, model, Options())

    assert transcript.warnings == ()
    assert len(service.uploads) == 3
    assert service.billed(WELCOME.path) == 1


def test_a_call_that_fails_does_not_upload_the_file_again(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.failures.add(errors.server_error(), errors.busy(500), Drop(), route=CALL)

    assert provider.transcribe(audio, model, Options()).text == WELCOME.text
    assert len(service.uploads) == 1
    assert {r.json["promptObject"]["audioUrl"] for r in service.calls} == set(service.assets)


@pytest.mark.parametrize(
    ("answer", "calls"),
    [
        (errors.busy(400), 1),
        (errors.unsupported_model("x"), 1),
        (errors.missing_fields("a"), 1),
        (errors.invalid_prompt(("a", "b"), documented=True), 1),
        (errors.insufficient_credits(), 1),
        (errors.access_denied(), 1),
        (errors.cloudflare(1010), 1),
        (errors.file_type(), 1),
        (errors.not_found(), 1),
        (errors.busy(429), 5),
        (errors.busy(500), 5),
        (errors.busy(None), 5),
        (errors.openai_trouble(), 5),
        (errors.challenge_page(), 5),
        (errors.cloudflare(1015), 5),
        (errors.rate_limited(documented=False), 5),
        (errors.gateway_page(522), 2),
        (errors.gateway_page(502), 2),
    ],
)
def test_each_failure_is_tried_again_as_often_as_it_may_be(
    provider: Provider,
    service: OneMin,
    model: Model,
    audio: AudioFile,
    answer: httpx.Response,
    calls: int,
) -> None:
    service.failures.add(answer, route=CALL, times=99)

    with pytest.raises(AsrError) as caught:
        provider.transcribe(audio, model, Options())

    assert len(service.calls) == calls
    assert caught.value.possible_duplicate is (calls == 2)


@pytest.mark.parametrize(
    ("answer", "wait"),
    [
        (errors.rate_limited(header="7"), 7.0),
        (errors.rate_limited(seconds=11), 11.0),
        (errors.rate_limited(header="7", seconds=11), 11.0),
        (errors.rate_limited(), 1.0),
    ],
)
def test_a_wait_that_is_asked_for_in_header_or_body_is_kept(
    provider: Provider,
    service: OneMin,
    time: Time,
    model: Model,
    audio: AudioFile,
    answer: httpx.Response,
    wait: float,
) -> None:
    service.failures.add(answer, route=CALL)

    assert provider.transcribe(audio, model, Options()).text == WELCOME.text
    assert sum(time.waits) == pytest.approx(wait)


def test_a_wait_that_is_too_long_is_left_to_the_user(
    provider: Provider, service: OneMin, time: Time, model: Model, audio: AudioFile
) -> None:
    service.failures.add(errors.rate_limited(seconds=151), route=CALL)

    with pytest.raises(RateLimitedError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.retry_after == 151.0
    assert caught.value.retryable
    assert time.waits == []


def test_credits_that_run_out_are_told_in_numbers(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.credits = 100

    with pytest.raises(ArrearsError, match="this needs 229 credits, the team has 100") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == 5
    assert caught.value.stops_run


@pytest.mark.parametrize("state", [KeyState.DELETED, KeyState.INACTIVE])
def test_a_key_that_the_team_took_back_is_refused(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile, state: KeyState
) -> None:
    service.keys[KEY] = state

    with pytest.raises(AsrError, match="the key from ONEMIN_API_KEY was refused") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == 4
    assert len(service.requests) == 1


def test_a_key_without_rights_is_told_for_which_model_and_where(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    service.failures.add(errors.access_denied(), route=CALL)

    with pytest.raises(RightsError, match=r"qwen3-asr-flash at https://api\.1min\.ai") as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == 4


@pytest.mark.parametrize("file", ["report.txt", "page.html"])
def test_a_file_that_is_no_audio_is_refused_as_an_input(
    provider: Provider, model: Model, tmp_path: Path, file: str
) -> None:
    path = tmp_path / file
    path.write_text("no audio " * 100)
    audio = AudioFile(path, file, "wav", "audio/wav", "pcm_s16le", 900, 5.0, 1, 16_000)

    with pytest.raises(InputRefusedError) as caught:
        provider.transcribe(audio, model, Options())

    assert caught.value.exit_status == 7
    assert caught.value.retry is Retry.NEVER


def test_an_answer_that_repeats_the_key_anywhere_does_not_show_it(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    body = {
        "aiRecord": {
            "uuid": KEY,
            "status": "FAILED",
            "aiRecordDetail": {"errorMessage": f"no use of {KEY}"},
        },
        "errorCode": KEY,
    }
    service.failures.add(
        httpx.Response(200, content=json.dumps(body), headers={"x-note": KEY}), route=CALL
    )

    with pytest.raises(RefusedError) as caught:
        provider.transcribe(audio, model, Options())

    assert KEY not in str(caught.value)
    assert KEY not in str(caught.value.code)
    assert KEY not in str(caught.value.request_id)


def test_the_base_url_may_be_another_one(model: Model, audio: AudioFile) -> None:
    service = OneMin()
    provider = onemin(service, base_url="http://127.0.0.1:8000/")

    assert provider.transcribe(audio, model, Options()).text == WELCOME.text
    assert {str(r.url.copy_with(path="/")) for r in service.requests} == {"http://127.0.0.1:8000/"}


def test_a_provider_that_was_closed_sends_nothing(
    provider: Provider, service: OneMin, model: Model, audio: AudioFile
) -> None:
    provider.close()

    with pytest.raises(NetworkError):
        provider.transcribe(audio, model, Options())

    assert service.requests == []
