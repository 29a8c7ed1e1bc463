"""The short recordings' models of Fun-ASR and Qwen-Audio: their calls and their answers."""

from __future__ import annotations

import itertools
import json
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import (
    AsrError,
    FileTooLargeError,
    InputRefusedError,
    NetworkError,
    Retry,
    UnexpectedAnswerError,
    UnsupportedFormatError,
)
from asrcli.media.probe import probe
from asrcli.providers.base import API, Feature, Hotword, Model, Options, Reference
from asrcli.providers.catalogue import models, resolve
from asrcli.providers.qwen.messages import read_events, read_transcript, request_body
from asrcli.providers.qwen.provider import Qwen
from asrcli.transcript import Timing, Transcript
from asrcli.transport.http import ServerEvent
from tests.emulators.dashscope import faults
from tests.emulators.dashscope.app import DashScope
from tests.emulators.dashscope.sources import fetch_from
from tests.emulators.service import Received
from tests.providers.calling import Time, answer_from, audio_of, cases, qwen
from tests.recordings import concatenate, encode_as, recording, silence

PATH = "/api/v1/services/aigc/multimodal-generation/generation"
WELCOME, LESSON = recording("welcome"), recording("lesson")
URL = "https://files.example/talks/welcome.wav"
MODELS = [m for m in models() if m.api is API.SYNC_FLASH]
EVERY = pytest.mark.parametrize("model", MODELS, ids=lambda model: model.id)
FUN = resolve("fun-asr-flash-2026-06-15")
AUDIO31 = resolve("qwen-audio-3.1-asr-flash")
PLAIN = Options()
TWICE = "sent twice after an unclear failure: it may have been charged twice"


@pytest.fixture
def time() -> Time:
    return Time()


@pytest.fixture
def service(time: Time) -> Iterator[DashScope]:
    service = DashScope(clock=time.clock, fetch=fetch_from({URL: WELCOME.path}))
    yield service
    service.close()


@pytest.fixture
def provider(service: DashScope, time: Time) -> Qwen:
    return qwen(service, time=time)


@pytest.fixture
def long(tmp_path: Path) -> Path:
    """Over a minute, of which a stream tells before its end."""
    clips = [WELCOME.path, LESSON.path] * 8
    return concatenate(clips, tmp_path / "long.wav", gap=0.5)


def calls(service: DashScope) -> list[Received]:
    return service.requests.to("POST", PATH)


def parameters_of(service: DashScope) -> dict[str, Any]:
    found: dict[str, Any] = calls(service)[-1].json["parameters"]
    return found


# --- calls ----------------------------------------------------------------------------------------


@EVERY
@pytest.mark.parametrize("stream", [False, True])
def test_a_short_file_comes_back_with_times_and_words(
    provider: Qwen, service: DashScope, model: Model, stream: bool
) -> None:
    told: list[str] = []

    transcript = provider.transcribe(
        audio_of(WELCOME), model, PLAIN, on_text=told.append if stream else None
    )

    (segment,) = transcript.segments
    assert segment.text == WELCOME.text
    assert segment.timing is Timing.MODEL
    assert [word.text for word in segment.words] == [word.text for word in WELCOME.words]
    assert transcript.duration == WELCOME.seconds
    assert transcript.billed_seconds == 7.0
    assert transcript.request_ids == (service.ledger.charges[0].request_id,)
    assert told == ([WELCOME.text] if stream else [])
    assert parameters_of(service) == {"format": "wav"}
    assert ("x-dashscope-sse" in calls(service)[0].headers) is stream


@pytest.mark.parametrize("container", ["mp3", "m4a", "ogg", "flac", "amr", "webm"])
def test_the_format_is_named_by_the_content(
    provider: Qwen, service: DashScope, tmp_path: Path, container: str
) -> None:
    path = encode_as(WELCOME.path, container, tmp_path)

    provider.transcribe(probe(path), FUN, PLAIN)

    assert parameters_of(service)["format"] == container


@pytest.mark.parametrize(
    ("url", "name"),
    [
        (URL, "wav"),
        ("https://a.example/x.MP3?Signature=y.wav", "mp3"),
        ("https://a.example/x.oga", "ogg"),
        ("https://a.example/x%2Eflac", "flac"),
    ],
)
def test_the_format_of_a_url_is_its_suffix(url: str, name: str) -> None:
    body = request_body(Reference(None, url), url, FUN, PLAIN)

    assert body["parameters"]["format"] == name


@pytest.mark.parametrize("url", ["https://a.example/x", "https://a.example/x.php?f=a.wav"])
def test_a_url_that_tells_no_format_is_refused_before_anything_is_sent(
    provider: Qwen, service: DashScope, url: str
) -> None:
    with pytest.raises(UnsupportedFormatError, match="format"):
        provider.transcribe(Reference(None, url), FUN, PLAIN)

    assert list(service.requests) == []


def test_a_url_is_read_by_the_service(provider: Qwen, service: DashScope) -> None:
    transcript = provider.transcribe(Reference(None, URL), FUN, PLAIN)

    assert transcript.text == WELCOME.text
    audio = calls(service)[0].json["input"]["messages"][-1]["content"][0]
    assert audio == {"type": "input_audio", "input_audio": {"data": URL}}


_ASKED: dict[Feature, tuple[Options, dict[str, Any]]] = {
    Feature.HOTWORDS: (Options(vocabulary="vocab-a"), {"vocabulary_id": "vocab-a"}),
    Feature.DIARIZE: (Options(diarize=True), {"speaker_diarization_enabled": True}),
    Feature.WORDS: (Options(words=True), {}),
}


@EVERY
def test_every_option_that_a_model_claims_and_each_of_its_languages_is_taken(
    provider: Qwen, service: DashScope, model: Model
) -> None:
    service.vocabularies.terms = lambda *_: []  # type: ignore[method-assign]
    asked = [_ASKED[feature] for feature in model.features if feature in _ASKED]
    asked += [(Options(language=c), {"language_hints": [c]}) for c in model.languages]
    if model.family == "qwen-audio":
        word = Options(hotwords=(Hotword("Zürich"), Hotword("Qwen", weight=50)))
        asked.append((word, {"vocabulary": {"Zürich": 4, "Qwen": 50}}))

    for options, parameters in asked:
        provider.transcribe(audio_of(WELCOME), model, options)
        assert parameters_of(service) == {"format": "wav", **parameters}


def test_hotwords_that_a_model_does_not_take_are_our_mistake(provider: Qwen) -> None:
    with pytest.raises(RuntimeError, match="takes a vocabulary"):
        provider.transcribe(audio_of(WELCOME), FUN, Options(hotwords=(Hotword("Qwen"),)))


def test_a_prompt_goes_before_the_audio_in_rounds(provider: Qwen, service: DashScope) -> None:
    prompt = "A talk about harbors. " * 30

    provider.transcribe(audio_of(WELCOME), AUDIO31, Options(prompt=prompt))

    messages = calls(service)[0].json["input"]["messages"]
    assert [m["role"] for m in messages] == ["user", "assistant", "user", "assistant", "user"]
    rounds = [m["content"][0]["text"] for m in messages[:-1:2]]
    assert " ".join(rounds) == prompt.strip()
    assert all(len(text) <= 400 for text in rounds)


def test_a_prompt_that_is_too_long_is_cut_with_a_warning(
    provider: Qwen, service: DashScope
) -> None:
    transcript = provider.transcribe(audio_of(WELCOME), FUN, Options(prompt="word " * 600))

    assert len(calls(service)[0].json["input"]["messages"]) == 11
    assert transcript.warnings == ("of the prompt, only about 2,000 characters were used",)


def test_a_file_that_does_not_fit_into_the_request_is_refused(
    provider: Qwen, service: DashScope
) -> None:
    model = replace(FUN, max_encoded_bytes=1_000)

    assert not provider.stores_first(audio_of(WELCOME), model)
    with pytest.raises(FileTooLargeError):
        provider.transcribe(audio_of(WELCOME), model, PLAIN)

    assert list(service.requests) == []


def test_a_long_stream_tells_its_text_as_it_grows(
    provider: Qwen, service: DashScope, long: Path
) -> None:
    told: list[str] = []
    whole = provider.transcribe(probe(long), FUN, PLAIN)

    transcript = provider.transcribe(probe(long), FUN, PLAIN, on_text=told.append)

    assert transcript.text == whole.text == told[-1]
    assert len(transcript.segments) > 1
    assert transcript.timed
    assert all(len(before) <= len(after) for before, after in itertools.pairwise(told))
    starts = [segment.start or 0.0 for segment in transcript.segments]
    assert starts == sorted(starts)


def test_a_stream_that_is_cut_is_asked_for_again_once(
    provider: Qwen, service: DashScope, long: Path
) -> None:
    service.failures.append(faults.cut_stream(service, events=1))

    transcript = provider.transcribe(probe(long), FUN, PLAIN, on_text=lambda _: None)

    assert len(transcript.segments) > 1
    assert transcript.warnings == (TWICE,)
    assert len(calls(service)) == 2


def test_a_stream_that_ends_with_an_error_raises_it(
    provider: Qwen, service: DashScope, long: Path
) -> None:
    fault = faults.error_in_stream(service, status=400, code="DataInspectionFailed", message="no")
    service.failures.append(fault)

    with pytest.raises(AsrError) as caught:
        provider.transcribe(probe(long), FUN, PLAIN, on_text=lambda _: None)

    assert caught.value.code == "DataInspectionFailed"
    assert len(calls(service)) == 1


def test_how_many_speakers_there_are_cannot_be_told_and_that_is_said(
    provider: Qwen, service: DashScope
) -> None:
    options = Options(diarize=True, speakers=2)

    transcript = provider.transcribe(audio_of(WELCOME), AUDIO31, options)

    assert "it was not told a number" in transcript.warnings[0]
    assert "speaker_count" not in calls(service)[0].json["parameters"]


def test_speakers_are_told(provider: Qwen) -> None:
    transcript = provider.transcribe(audio_of(WELCOME), AUDIO31, Options(diarize=True))

    assert [segment.speaker for segment in transcript.segments] == ["0"]


@pytest.mark.parametrize("stream", [False, True])
def test_silence_is_an_empty_transcript(provider: Qwen, tmp_path: Path, stream: bool) -> None:
    quiet = probe(silence(3.0, tmp_path / "quiet.wav"))

    transcript = provider.transcribe(
        quiet, FUN, PLAIN, on_text=(lambda _: None) if stream else None
    )

    assert transcript.segments == ()


@pytest.mark.parametrize("stream", [False, True])
def test_an_answer_one_level_deeper_is_read(
    provider: Qwen, service: DashScope, stream: bool
) -> None:
    service.switches.output_in_output = True

    transcript = provider.transcribe(
        audio_of(WELCOME), FUN, PLAIN, on_text=(lambda _: None) if stream else None
    )

    assert transcript.text == WELCOME.text
    assert transcript.timed


def test_a_recording_that_is_too_long_is_refused_by_the_service(
    provider: Qwen, tmp_path: Path
) -> None:
    path = concatenate([LESSON.path] * 60, tmp_path / "long.flac")

    with pytest.raises(InputRefusedError) as caught:
        provider.transcribe(probe(path), AUDIO31, PLAIN)

    assert caught.value.code == "InvalidFile.AudioLengthError"


# --- answers --------------------------------------------------------------------------------------

TEXTS = {
    "sentences": ("Hello.", True),
    "sentences-deep": ("Hello.", True),
    "sentences-text-only": ("Hello.", False),
    "sentences-last-only": ("Hello. Good bye.", False),
    "sentences-listed": ("Hello. Good bye.", True),
    "sentences-silent": ("", True),
}


def read(name: str, options: Options = PLAIN) -> Transcript:
    return read_transcript(answer_from("dashscope", name), AUDIO31, options, duration=5.0)


def test_every_recorded_answer_is_read() -> None:
    assert set(cases("dashscope", "sentences*")) == {*TEXTS, "sentences-none"}


@pytest.mark.parametrize(("name", "text", "timed"), [(n, *v) for n, v in TEXTS.items()])
def test_all_of_the_text_is_kept_with_times_where_they_cover_it(
    name: str, text: str, timed: bool
) -> None:
    transcript = read(name)

    assert transcript.text == text
    assert transcript.timed is timed
    assert transcript.request_ids == ("flash-request",)
    assert transcript.billed_seconds == 4.0


def test_sentences_in_a_list_have_their_speakers() -> None:
    assert [s.speaker for s in read("sentences-listed").segments] == [None, "1"]


def test_the_language_is_the_one_that_was_asked_for() -> None:
    transcript = read("sentences", Options(language="tl"))

    assert transcript.language == transcript.segments[0].language == "fil"


def test_an_answer_without_any_text_is_an_error() -> None:
    with pytest.raises(UnexpectedAnswerError, match="no text"):
        read("sentences-none")


def test_an_answer_that_came_twice_says_so() -> None:
    answer = answer_from("dashscope", "sentences", possible_duplicate=True)

    assert read_transcript(answer, FUN, PLAIN, duration=None).warnings == (TWICE,)


def event(text: str, number: int, *, end: bool) -> ServerEvent:
    sentence = {"sentence_id": number, "sentence_end": end, "text": text}
    return ServerEvent(data=json.dumps({"output": {"sentence": sentence}}), event="result")


@pytest.mark.parametrize(
    "events", [[], [event("One.", 1, end=True), event("Tw", 2, end=False)]], ids=["none", "half"]
)
def test_a_stream_that_ends_within_a_sentence_is_unclear(events: list[ServerEvent]) -> None:
    with pytest.raises(NetworkError) as caught:
        read_events(events, FUN, PLAIN, duration=None, on_text=lambda _: None)

    assert caught.value.retry is Retry.AMBIGUOUS


def test_a_sentence_takes_the_place_of_its_beginning() -> None:
    events = [event("On", 1, end=False), event("One.", 1, end=True), event("Two.", 2, end=True)]
    told: list[str] = []

    transcript = read_events(events, FUN, PLAIN, duration=None, on_text=told.append)

    assert told == ["On", "One.", "One. Two."]
    assert [segment.text for segment in transcript.segments] == ["One.", "Two."]
