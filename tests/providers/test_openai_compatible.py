"""Servers of OpenAI's kind: what is sent, and what is made of all that they answer."""

from __future__ import annotations

import json
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    ArrearsError,
    AsrError,
    InputRefusedError,
    KeyRefusedError,
    ModelRefusedError,
    RateLimitedError,
    RefusedError,
    Retry,
    RightsError,
    ServiceError,
    UnexpectedAnswerError,
    UsageError,
)
from asrcli.media.audio import AudioFile
from asrcli.providers.base import Options, Reference
from asrcli.providers.catalogue import resolve
from asrcli.providers.openai_answers import FormatRefusedError, read_failure, read_transcript
from asrcli.providers.openai_compatible import OpenAICompatible
from asrcli.secret import Secret
from asrcli.transcript import Timing, Transcript
from asrcli.transport.connection import Connection
from asrcli.transport.http import Answer
from tests.emulators.openai import KEY, ErrorShape, OpenAI
from tests.emulators.troubles import After, Drop
from tests.providers.calling import Time, audio_of, words
from tests.recordings import encode_as, recording

WELCOME = recording("welcome")
ROUTE = "POST /v1/audio/transcriptions"
WHISPER = resolve("whisper-1", provider="openai")
PLAIN = Options()


@pytest.fixture
def service() -> OpenAI:
    return OpenAI()


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(WELCOME)


def made(
    service: OpenAI, *, key: str | None = KEY, base_url: str = "https://api.openai.com/v1"
) -> OpenAICompatible:
    return OpenAICompatible(
        Secret(key) if key is not None else None,
        base_url,
        Connection(environ={}),
        retrier=Time().retrier(),
        key_place="OPENAI_API_KEY",
        transport=httpx.MockTransport(service),
    )


def answer(body: Any, status: int = 200, **headers: str) -> Answer:
    return Answer(status, headers, json.dumps(body).encode(), "api.example", "openai")


def read(body: Any, options: Options = PLAIN) -> Transcript:
    return read_transcript(answer(body), WHISPER, options, duration=9.0)


# --- what is sent -----------------------------------------------------------------------------


def test_a_file_is_sent_once_with_its_model_and_nothing_else(
    service: OpenAI, audio: AudioFile
) -> None:
    transcript = made(service).transcribe(audio, WHISPER, PLAIN)

    assert transcript.text == WELCOME.text
    assert (transcript.language, transcript.duration) == ("en", WELCOME.seconds)
    assert transcript.billed_seconds == round(WELCOME.seconds)
    assert transcript.request_ids == ("req_00000000",)
    assert transcript.warnings == ()
    assert [r.route for r in service.requests] == [ROUTE]
    assert service.fields() == {"model": ["whisper-1"], "response_format": ["verbose_json"]}
    assert service.requests[0].headers["authorization"] == f"Bearer {KEY}"
    part = service.requests[0].form[-1]
    assert part.name == "file"
    assert part.content == WELCOME.path.read_bytes()


def test_language_prompt_and_words_are_sent_when_they_are_asked_for(
    service: OpenAI, audio: AudioFile
) -> None:
    made(service).transcribe(
        audio, WHISPER, Options(language="en", prompt="names: Jürgen", words=True)
    )

    assert service.fields() == {
        "model": ["whisper-1"],
        "response_format": ["verbose_json"],
        "language": ["en"],
        "prompt": ["names: Jürgen"],
        "timestamp_granularities[]": ["segment", "word"],
    }


def test_any_model_of_ones_own_server_is_asked_for_by_its_id(
    service: OpenAI, audio: AudioFile
) -> None:
    service.models = {"Systran/faster-whisper-small"}
    model = resolve("Systran/faster-whisper-small", provider="openai")

    assert made(service).transcribe(audio, model, PLAIN).text == WELCOME.text


@pytest.mark.parametrize("key", [None, ""])
def test_without_a_key_no_header_for_one_is_sent(
    service: OpenAI, audio: AudioFile, key: str | None
) -> None:
    service.needs_key = False

    assert made(service, key=key).transcribe(audio, WHISPER, PLAIN).text == WELCOME.text
    assert "authorization" not in service.requests[0].headers


@pytest.mark.parametrize("path", ["", "/", "/v1", "/v1/", "/v1/audio/transcriptions"])
def test_the_base_url_may_end_where_it_likes(service: OpenAI, audio: AudioFile, path: str) -> None:
    provider = made(service, base_url=f"https://asr.example{path}")

    assert provider.transcribe(audio, WHISPER, PLAIN).text == WELCOME.text
    assert [r.route for r in service.requests] == [ROUTE]


def test_a_path_of_ones_own_is_kept(service: OpenAI, audio: AudioFile) -> None:
    with pytest.raises(ServiceError, match=r"asr\.example/gateway/audio/transcriptions"):
        made(service, base_url="https://asr.example/gateway").transcribe(audio, WHISPER, PLAIN)


@pytest.mark.parametrize("container", ["mp3", "flac", "ogg", "m4a", "webm"])
def test_the_name_of_the_file_fits_what_is_in_it(
    service: OpenAI, tmp_path: Any, container: str
) -> None:
    path = encode_as(WELCOME.path, container, tmp_path, video=False)

    transcript = made(service).transcribe(audio_of(WELCOME, path), WHISPER, PLAIN)

    assert words(transcript.text) == words(WELCOME.text)


def test_references_and_uploads_are_refused_without_a_call(
    service: OpenAI, audio: AudioFile
) -> None:
    provider = made(service)

    with pytest.raises(UsageError):
        provider.transcribe(Reference(None, "https://x.example/a.wav"), WHISPER, PLAIN)
    with pytest.raises(UsageError):
        provider.upload(audio, WHISPER)
    assert service.requests == []


# --- formats of answers -----------------------------------------------------------------------


@pytest.mark.parametrize("shape", list(ErrorShape))
def test_a_server_without_verbose_json_is_asked_for_json_and_remembered(
    service: OpenAI, audio: AudioFile, shape: ErrorShape
) -> None:
    service.errors = shape
    service.verbose_refused_for = {"whisper-1"}
    provider = made(service)

    found = [provider.transcribe(audio, WHISPER, PLAIN) for _ in range(2)]

    asked = [service.fields(n)["response_format"] for n in range(len(service.requests))]
    assert asked == [["verbose_json"], ["json"], ["json"]]
    assert [t.text for t in found] == [WELCOME.text] * 2
    assert not found[0].timed
    assert service.billed(WELCOME.path) == 2


def test_times_of_words_are_not_given_up_in_silence(service: OpenAI, audio: AudioFile) -> None:
    service.verbose_refused_for = {"whisper-1"}

    with pytest.raises(FormatRefusedError) as caught:
        made(service).transcribe(audio, WHISPER, Options(words=True))

    assert "--words" in (caught.value.hint or "")
    assert len(service.requests) == 1


def test_a_model_known_to_have_no_times_is_asked_for_json_at_once(
    service: OpenAI, audio: AudioFile
) -> None:
    model = resolve("gpt-4o-transcribe", provider="openai")

    assert made(service).transcribe(audio, model, PLAIN).text == WELCOME.text
    assert service.fields() == {"model": ["gpt-4o-transcribe"], "response_format": ["json"]}


def test_segments_and_words_come_with_the_times_of_the_recording(
    service: OpenAI, audio: AudioFile
) -> None:
    transcript = made(service).transcribe(audio, WHISPER, Options(words=True))

    assert transcript.timed
    assert {s.timing for s in transcript.segments} == {Timing.MODEL}
    found = [word for segment in transcript.segments for word in segment.words]
    assert [(w.start, w.end) for w in found] == [(w.start, w.end) for w in WELCOME.words]
    for segment in transcript.segments:
        assert words(segment.text) == words(" ".join(w.text for w in segment.words))


def test_words_within_segments_are_taken_with_their_confidence(
    service: OpenAI, audio: AudioFile
) -> None:
    service.words_in_segments = True

    transcript = made(service).transcribe(audio, WHISPER, Options(words=True))

    found = [word for segment in transcript.segments for word in segment.words]
    assert len(found) == len(WELCOME.words)
    assert {word.confidence for word in found} == {0.9}


def test_a_server_that_leaves_segments_out_gives_one_from_its_words(
    service: OpenAI, audio: AudioFile
) -> None:
    service.gives_segments = False

    (segment,) = made(service).transcribe(audio, WHISPER, Options(words=True)).segments

    assert segment.text == WELCOME.text
    assert (segment.start, segment.end) == (WELCOME.words[0].start, WELCOME.words[-1].end)
    assert len(segment.words) == len(WELCOME.words)


def test_words_that_were_asked_for_and_did_not_come_are_a_warning(
    service: OpenAI, audio: AudioFile
) -> None:
    service.gives_words = False

    transcript = made(service).transcribe(audio, WHISPER, Options(words=True))

    assert transcript.timed
    assert transcript.warnings == ("the server gave no times of words",)


def test_plain_json_in_place_of_verbose_has_no_times(service: OpenAI, audio: AudioFile) -> None:
    service.always_plain = True

    transcript = made(service).transcribe(audio, WHISPER, Options(language="en"))

    assert (transcript.text, transcript.language) == (WELCOME.text, "en")
    assert not transcript.timed


# --- reading alone ----------------------------------------------------------------------------


def test_times_never_fall() -> None:
    rows = [(3.0, 2.0, "one"), (1.0, 4.0, "two"), (-1.0, 5.0, "three")]
    body = {"text": "", "segments": [{"start": s, "end": e, "text": t} for s, e, t in rows]}

    found = [(s.start, s.end) for s in read(body).segments]

    assert found == [(3.0, 3.0), (3.0, 4.0), (3.0, 5.0)]


def test_each_word_goes_to_the_segment_it_is_nearest_to() -> None:
    segments = [
        {"start": 0, "end": 2, "text": "a b"},
        {"start": 4, "end": 5, "text": ""},
        {"start": 6, "end": 8, "text": "c d"},
        {"start": 8, "end": 9, "text": "e"},
    ]
    times = {"a": 0, "b": 2.5, "c": 5, "d": 7, "e": 9.5}
    rows = [{"word": w, "start": t, "end": t + 0.5} for w, t in times.items()]

    found = read({"text": "a b c d e", "segments": segments, "words": rows}).segments

    assert [" ".join(w.text for w in s.words) for s in found] == ["a b", "c d", "e"]


@pytest.mark.parametrize(
    "body",
    [
        {"text": "hi", "segments": None, "words": None},
        {"text": "hi", "segments": [{"text": "", "start": 0, "end": 1}]},
        {"text": "hi", "segments": "none", "words": [{"word": "hi"}, 5, None]},
        {"text": "\n hi\n"},
        {"segments": [{"text": "hi", "start": None, "end": "x"}]},
    ],
)
def test_what_is_missing_is_not_made_up(body: Any) -> None:
    (segment,) = read(body).segments

    assert (segment.text, segment.start, segment.end) == ("hi", None, None)
    assert segment.timing is Timing.NONE
    assert segment.words == ()


@pytest.mark.parametrize(
    ("said", "language"),
    [("english", "en"), ("zh", "zh"), ("", "de"), ("klingonese", "de"), (None, "de")],
)
def test_the_language_is_the_detected_one_or_that_which_was_asked_for(
    said: str | None, language: str
) -> None:
    body = {"text": "x", "language": said}

    assert read(body, Options(language="de")).language == language


def test_an_empty_text_is_no_failure_but_said() -> None:
    transcript = read({"text": " ", "segments": []})

    assert transcript.segments == ()
    assert transcript.warnings == ("the service heard nothing",)


@pytest.mark.parametrize("body", [{}, [], None, "text", {"text": 5}, {"segments": []}])
def test_an_answer_without_a_text_is_refused(body: Any) -> None:
    with pytest.raises(UnexpectedAnswerError):
        read(body)


# --- errors -----------------------------------------------------------------------------------


def openai(said: str, *, code: str | None = None, param: str | None = None) -> Any:
    kind = "invalid_request_error"
    return {"error": {"message": said, "type": kind, "param": param, "code": code}}


def vllm(said: str, code: int) -> Any:
    return {"object": "error", "message": said, "type": "X", "param": None, "code": code}


@pytest.mark.parametrize(
    ("status", "body", "kind", "retry", "said"),
    [
        (401, openai("Incorrect API key"), KeyRefusedError, Retry.NEVER, "Incorrect"),
        (401, {"detail": "Invalid API key"}, KeyRefusedError, Retry.NEVER, "Invalid API"),
        (403, openai("Country not supported"), RightsError, Retry.NEVER, "Country"),
        (429, openai("Slow down"), RateLimitedError, Retry.THROTTLED, "Slow down"),
        (429, openai("No", code="insufficient_quota"), ArrearsError, Retry.NEVER, "No"),
        (404, openai("No such model `x`"), ModelRefusedError, Retry.NEVER, "No such"),
        (404, {"detail": "Model 'x' is not installed"}, ModelRefusedError, Retry.NEVER, "'x'"),
        (400, openai("no", param="model"), ModelRefusedError, Retry.NEVER, "no"),
        (413, openai("Limit exceeded"), InputRefusedError, Retry.NEVER, "Limit"),
        (400, openai("Invalid file format."), InputRefusedError, Retry.NEVER, "format"),
        (400, openai("too short", param="file"), InputRefusedError, Retry.NEVER, "short"),
        (400, openai("Bad prompt", param="prompt"), RefusedError, Retry.NEVER, "Bad prompt"),
        (400, openai("x", param="response_format"), FormatRefusedError, Retry.NEVER, "x"),
        (500, openai("The server had an error"), ServiceError, Retry.TRANSIENT, "had an error"),
        (504, openai("timeout"), ServiceError, Retry.AMBIGUOUS, "timeout"),
        (200, vllm("The model `x` does not exist.", 404), ModelRefusedError, Retry.NEVER, "`x`"),
        (200, vllm("CUDA out of memory", 500), ServiceError, Retry.TRANSIENT, "CUDA"),
        (200, vllm("Maximum file size exceeded", 400), InputRefusedError, Retry.NEVER, "size"),
        (200, {"error": "failed to read audio data"}, InputRefusedError, Retry.NEVER, "read"),
        (200, {"error": {"code": "x"}}, RefusedError, Retry.NEVER, "does not say why"),
        (
            422,
            {"detail": [{"loc": ["body", "prompt"], "msg": "bad", "input": "secret"}]},
            RefusedError,
            Retry.NEVER,
            "prompt: bad",
        ),
    ],
)
def test_each_refusal_has_its_class(
    status: int, body: Any, kind: type[AsrError], retry: Retry, said: str
) -> None:
    error = read_failure(answer(body, status))

    assert type(error) is kind
    assert error.retry is retry
    assert said in str(error)
    assert "secret" not in str(error)


def test_a_server_that_asks_not_to_be_tried_again_is_not() -> None:
    error = read_failure(answer(openai("no"), 500, **{"x-should-retry": "false"}))

    assert error is not None
    assert error.retry is Retry.NEVER


@pytest.mark.parametrize("body", [{"text": "x"}, {"text": "x", "error": "y"}, {"segments": []}])
def test_a_transcript_is_no_failure(body: Any) -> None:
    assert read_failure(answer(body)) is None


@pytest.mark.parametrize("body", [{"detail": "Not Found"}, {"error": {}}, []])
def test_an_address_with_nothing_at_it_is_left_to_http(body: Any) -> None:
    assert read_failure(answer(body, 404)) is None


@pytest.mark.parametrize("shape", list(ErrorShape))
def test_an_unknown_model_is_refused_in_any_shape(
    service: OpenAI, audio: AudioFile, shape: ErrorShape
) -> None:
    service.errors = shape

    with pytest.raises(AsrError, match="`other` does not exist"):
        made(service).transcribe(audio, resolve("other", provider="openai"), PLAIN)

    assert service.charges == []


def test_a_file_that_is_too_large_for_the_server_is_the_files_fault(
    service: OpenAI, audio: AudioFile
) -> None:
    service.largest = 1_000

    with pytest.raises(InputRefusedError) as caught:
        made(service).transcribe(audio, WHISPER, PLAIN)

    assert caught.value.http_status == 413


def test_a_refused_key_is_named_by_its_place_and_not_shown(
    service: OpenAI, audio: AudioFile
) -> None:
    with pytest.raises(KeyRefusedError, match="the key from OPENAI_API_KEY was refused") as caught:
        made(service, key="sk-wrong-canary-9").transcribe(audio, WHISPER, PLAIN)

    assert "canary" not in str(caught.value)


def test_a_server_that_wants_a_key_where_there_is_none_leads_to_one(
    service: OpenAI, audio: AudioFile
) -> None:
    with pytest.raises(KeyRefusedError) as caught:
        made(service, key=None).transcribe(audio, WHISPER, PLAIN)

    assert "OPENAI_API_KEY" in (caught.value.hint or "")


def test_an_unclear_failure_is_followed_by_one_resend_that_is_marked(
    service: OpenAI, audio: AudioFile
) -> None:
    service.failures.append(After(Drop()))

    transcript = made(service).transcribe(audio, WHISPER, PLAIN)

    assert service.billed(WELCOME.path) == 2
    assert transcript.warnings == (
        "sent twice after an unclear failure: it may have been charged twice",
    )


def test_a_mark_outlives_the_change_of_format(service: OpenAI, audio: AudioFile) -> None:
    service.verbose_refused_for = {"whisper-1"}
    service.failures.append(After(Drop()))

    transcript = made(service).transcribe(audio, WHISPER, PLAIN)

    assert len(service.requests) == 3
    assert any("sent twice" in warning for warning in transcript.warnings)
