"""The synchronous call of qwen3-asr-flash; answers are written out in `tests/data/dashscope`."""

from __future__ import annotations

import base64
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import (
    ArrearsError,
    AsrError,
    FileUnreadableError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RefusedError,
    Retry,
    ServiceError,
    UnexpectedAnswerError,
)
from asrcli.media.audio import AudioFile
from asrcli.media.formats import FORMATS
from asrcli.providers.base import Model, Options
from asrcli.providers.catalogue import resolve
from asrcli.providers.qwen.flash import (
    data_uri,
    encoded_size,
    read_events,
    read_transcript,
    request_body,
)
from asrcli.transcript import Segment, Timing, Transcript
from asrcli.transport.events import EventReader, ServerEvent
from tests.providers.calling import answer_from, audio_of, cases
from tests.recordings import recording

TEXT = "Hello, and welcome."
REQUEST = "7f2c3a52-1e7a-9b57-8f3d-6a5a0a4b1c01"
MENDED = "the answer held characters that no text has: they were replaced"
CUT = "the service cut the text at its longest"

TEXTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "answer": (TEXT, ()),
    "answer-length": (TEXT, (CUT,)),
    "answer-parts": (TEXT, ()),
    "answer-string": (TEXT, ()),
    "answer-silence": ("", ()),
    "answer-silence-text": ("", ()),
    "answer-silence-null": ("", ()),
    "answer-silence-missing": ("", ()),
    "answer-no-annotations": (TEXT, ()),
    "answer-odd-annotations": (TEXT, ()),
    "answer-number-annotations": (TEXT, ()),
    "answer-two-annotations": (TEXT, ()),
    "answer-unknown-language": (TEXT, ()),
    "answer-odd-usage": (TEXT, ()),
    "answer-no-usage": (TEXT, ()),
    "answer-id-in-header": (TEXT, ()),
    "answer-broken-characters": ("Hello, \ufffd and welcome.", (MENDED,)),
}
NONSENSE = {
    "answer-text-null": "holds no text",
    "answer-text-missing": "holds no text",
    "answer-text-number": "holds no text",
    "answer-content-object": "holds no text",
    "answer-unfinished": "holds no text",
    "answer-no-message": "holds no text",
    "answer-no-choices": "holds no text",
    "answer-no-output": "holds no text",
    "answer-list": "holds no text",
    "answer-null": "holds no text",
    "answer-page": "a web page",
    "answer-cut": "no JSON",
}
STREAMS: dict[str, tuple[str, tuple[str, ...]]] = {
    "stream": (TEXT, ()),
    "stream-null": (TEXT, ()),
    "stream-last-text": (TEXT, ()),
    "stream-length": (TEXT, (CUT,)),
    "stream-silence": ("", ()),
    "stream-more": (TEXT, ()),
    "stream-late-annotation": (TEXT, ()),
    "stream-comments": (TEXT, ()),
    "stream-broken-characters": ("Hello, \ufffd and welcome.", (MENDED,)),
}
BROKEN: dict[str, tuple[type[AsrError], Retry, str]] = {
    "stream-cut": (NetworkError, Retry.AMBIGUOUS, "ended before the text did"),
    "stream-cut-in-event": (NetworkError, Retry.AMBIGUOUS, "ended before the text did"),
    "stream-empty": (NetworkError, Retry.AMBIGUOUS, "ended before the text did"),
    "stream-error": (RefusedError, Retry.NEVER, "inappropriate content"),
    "stream-error-status-line": (RateLimitedError, Retry.THROTTLED, "Too many requests."),
    "stream-error-server": (ServiceError, Retry.AMBIGUOUS, "inference failed"),
    "stream-error-at-once": (ServiceError, Retry.TRANSIENT, "inference failed"),
    "stream-error-as-result": (ArrearsError, Retry.NEVER, "Arrearage"),
    "stream-error-nested": (KeyRefusedError, Retry.NEVER, "Incorrect API key"),
    "stream-error-bare": (ServiceError, Retry.AMBIGUOUS, "ended with an error"),
    "stream-no-json": (UnexpectedAnswerError, Retry.NEVER, "no JSON"),
}


@pytest.fixture
def model() -> Model:
    return resolve("qwen3-asr-flash", provider="qwen")


@pytest.fixture
def audio() -> AudioFile:
    return audio_of(recording("welcome"))


def test_each_answer_that_is_written_out_is_read_by_a_test() -> None:
    assert set(cases("dashscope", "answer*")) == {*TEXTS, *NONSENSE}
    assert set(cases("dashscope", "stream*")) == {*STREAMS, *BROKEN}


# --- the request ------------------------------------------------------------------------------


def test_nothing_is_sent_that_was_not_asked_for(model: Model) -> None:
    body = request_body("https://host/a.mp3", model, Options(), stream=False)

    assert body == {
        "model": "qwen3-asr-flash",
        "input": {"messages": [{"role": "user", "content": [{"audio": "https://host/a.mp3"}]}]},
        "parameters": {},
    }


@pytest.mark.parametrize(
    ("options", "sent"),
    [
        (Options(language="yue"), {"language": "yue"}),
        (Options(itn=True), {"enable_itn": True}),
        (Options(itn=False), {"enable_itn": False}),
        (Options(language="en", itn=True), {"language": "en", "enable_itn": True}),
    ],
)
def test_language_and_itn_are_sent_when_they_are_given(
    model: Model, options: Options, sent: dict[str, Any]
) -> None:
    body = request_body("oss://a", model, options, stream=False)

    assert body["parameters"] == {"asr_options": sent}


def test_a_prompt_is_a_system_message_before_the_audio(model: Model) -> None:
    body = request_body("oss://a", model, Options(prompt="Names: Ada, Grace"), stream=False)

    assert body["input"]["messages"] == [
        {"role": "system", "content": [{"text": "Names: Ada, Grace"}]},
        {"role": "user", "content": [{"audio": "oss://a"}]},
    ]


def test_a_stream_is_asked_to_send_only_what_is_new(model: Model) -> None:
    body = request_body("oss://a", model, Options(), stream=True)

    assert body["parameters"] == {"incremental_output": True}


# --- the file in the request --------------------------------------------------------------------


def test_a_data_uri_is_the_file_to_the_byte(audio: AudioFile) -> None:
    start, _, content = data_uri(audio).partition(",")

    assert start == "data:audio/wav;base64"
    assert base64.b64decode(content, validate=True) == audio.path.read_bytes()


@pytest.mark.parametrize("size", range(5))
def test_the_size_of_a_data_uri_is_known_without_reading_the_file(
    audio: AudioFile, size: int, tmp_path: Path
) -> None:
    path = tmp_path / "a.wav"
    path.write_bytes(b"x" * size)
    audio = replace(audio, path=path, size=size)

    assert encoded_size(audio) == len(data_uri(audio))


@pytest.mark.parametrize("container", FORMATS)
def test_a_data_uri_has_a_type_without_parameters(audio: AudioFile, container: str) -> None:
    audio = replace(audio, container=container, mime_type=FORMATS[container].mime_type)

    start = data_uri(audio).partition(",")[0]

    assert start.count(";") == 1
    assert " " not in start
    assert encoded_size(audio) == len(data_uri(audio))


def test_a_file_that_is_gone_is_told_by_its_name(audio: AudioFile, tmp_path: Path) -> None:
    audio = replace(audio, path=tmp_path / "gone.wav", name="talks/gone.wav")

    with pytest.raises(FileUnreadableError, match=r"talks/gone\.wav: No such file"):
        data_uri(audio)


# --- answers ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_found_in_each_answer(name: str, model: Model) -> None:
    transcript = read_transcript(
        answer_from("dashscope", name), model, Options(language="en"), duration=7.4
    )

    text, warnings = TEXTS[name]
    assert [segment.text for segment in transcript.segments] == ([text] if text else [])
    assert transcript.warnings == warnings
    assert transcript.language == "en"
    assert transcript.request_ids == (REQUEST,)


def test_a_transcript_says_what_is_known_and_nothing_else(model: Model) -> None:
    transcript = read_transcript(answer_from("dashscope", "answer"), model, Options(), duration=7.4)

    assert transcript == Transcript(
        segments=(Segment(TEXT, language="en", emotion="happy", timing=Timing.NONE),),
        provider="qwen",
        model="qwen3-asr-flash",
        language="en",
        duration=7.4,
        request_ids=(REQUEST,),
        billed_seconds=7.0,
    )


def test_an_answer_to_the_second_of_two_requests_is_marked(model: Model) -> None:
    answer = answer_from("dashscope", "answer", possible_duplicate=True)

    transcript = read_transcript(answer, model, Options(), duration=7.4)

    assert transcript.warnings == (
        "sent twice after an unclear failure: it may have been charged twice",
    )


@pytest.mark.parametrize(
    ("name", "emotion"),
    [
        ("answer-two-annotations", "happy"),
        ("answer-no-annotations", None),
        ("answer-odd-annotations", None),
        ("answer-unknown-language", "neutral"),
    ],
)
def test_the_emotion_is_that_of_the_audio(name: str, emotion: str | None, model: Model) -> None:
    answer = answer_from("dashscope", name)

    (segment,) = read_transcript(answer, model, Options(), duration=7.4).segments

    assert segment.emotion == emotion


@pytest.mark.parametrize("name", ["answer-no-annotations", "answer-unknown-language"])
def test_a_language_that_nobody_names_is_not_known(name: str, model: Model) -> None:
    answer = answer_from("dashscope", name)

    assert read_transcript(answer, model, Options(), duration=7.4).language is None


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("answer", 7.0), ("answer-odd-usage", 7.0), ("answer-no-usage", None)],
)
def test_the_seconds_that_are_charged_are_kept(
    name: str, seconds: float | None, model: Model
) -> None:
    answer = answer_from("dashscope", name)

    assert read_transcript(answer, model, Options(), duration=7.4).billed_seconds == seconds


@pytest.mark.parametrize("name", NONSENSE)
def test_an_answer_without_a_text_is_unexpected_and_never_an_empty_text(
    name: str, model: Model
) -> None:
    with pytest.raises(UnexpectedAnswerError, match=NONSENSE[name]) as caught:
        read_transcript(answer_from("dashscope", name), model, Options(), duration=7.4)

    assert caught.value.exit_status == 9
    assert caught.value.retry is Retry.NEVER


def test_an_unexpected_answer_is_told_with_its_request_id(model: Model) -> None:
    with pytest.raises(UnexpectedAnswerError, match=REQUEST):
        read_transcript(answer_from("dashscope", "answer-cut"), model, Options(), duration=7.4)


# --- streams ----------------------------------------------------------------------------------


def events_of(name: str) -> list[ServerEvent]:
    return EventReader().feed(answer_from("dashscope", name).body)


def read(name: str, model: Model) -> tuple[Transcript, list[str]]:
    texts: list[str] = []
    transcript = read_events(
        events_of(name), model, Options(language="en"), duration=7.4, on_text=texts.append
    )
    return transcript, texts


@pytest.mark.parametrize("name", STREAMS)
def test_the_text_of_a_stream_is_the_sum_of_its_events(name: str, model: Model) -> None:
    transcript, texts = read(name, model)

    text, warnings = STREAMS[name]
    assert [segment.text for segment in transcript.segments] == ([text] if text else [])
    assert transcript.warnings == warnings
    assert texts[-1] == text


def test_a_stream_tells_the_whole_text_so_far(model: Model) -> None:
    assert read("stream", model)[1] == ["", "Hello,", TEXT, TEXT]


@pytest.mark.parametrize("name", ["stream", "stream-late-annotation"])
def test_a_stream_gives_what_an_answer_gives(name: str, model: Model) -> None:
    whole = read_transcript(answer_from("dashscope", "answer"), model, Options(), duration=7.4)

    assert read(name, model)[0] == whole


@pytest.mark.parametrize("name", BROKEN)
def test_a_stream_that_breaks_off_is_a_failure(name: str, model: Model) -> None:
    kind, retry, said = BROKEN[name]

    with pytest.raises(kind) as caught:
        read(name, model)

    assert type(caught.value) is kind
    assert caught.value.retry is retry
    assert said in str(caught.value)


@pytest.mark.parametrize("name", ["stream-error", "stream-error-as-result"])
def test_the_error_of_a_stream_names_the_request(name: str, model: Model) -> None:
    with pytest.raises(AsrError) as caught:
        read(name, model)

    assert caught.value.request_id == REQUEST
