"""What 1min.ai answers, written out as documented in `tests/data/onemin`: each file is one case."""

from __future__ import annotations

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
)
from asrcli.providers.base import Model, Options
from asrcli.providers.catalogue import resolve
from asrcli.providers.onemin import read_transcript
from asrcli.providers.onemin_failures import read_failure
from asrcli.secret import Secret
from asrcli.transcript import Timing, Transcript
from asrcli.transport.http import Answer
from tests.emulators.onemin import KEY
from tests.providers.calling import answer_from, cases

UUID = "5c1f2f0e-2d7b-4a5e-9a53-0d6f6f1f7a10"
HEARD_NOTHING = "the service heard nothing"
ONE_LINE = "Hello, and welcome."
TWO_LINES = "Hello,\nand welcome."

TEXTS: dict[str, tuple[str, tuple[str, ...]]] = {
    "result-list": (ONE_LINE, ()),
    "result-two-strings": (TWO_LINES, ()),
    "result-string": (ONE_LINE, ()),
    "result-json-text": (ONE_LINE, ()),
    "result-json-transcript": (ONE_LINE, ()),
    "result-json-of-something-else": ('{"answer": 42}', ()),
    "result-brace": ("{laughter} Hello, and welcome.", ()),
    "result-bracket": ("[music] Hello, and welcome.", ()),
    "result-object": (ONE_LINE, ()),
    "result-objects": (TWO_LINES, ()),
    "result-content": (ONE_LINE, ()),
    "result-empty-string": ("", (HEARD_NOTHING,)),
    "result-empty-object": ("", (HEARD_NOTHING,)),
    "response-object": (ONE_LINE, ()),
    "response-object-beside-silence": (ONE_LINE, ()),
    "record-result": (ONE_LINE, ()),
    "top-result": (ONE_LINE, ()),
    "wrapped": (ONE_LINE, ()),
    "more-members": (ONE_LINE, ()),
    "status-completed": (ONE_LINE, ()),
    "status-lower-case": (ONE_LINE, ()),
    "status-missing-with-text": (ONE_LINE, ("the status of its record is missing",)),
    "status-unknown-with-text": (ONE_LINE, ("the status of its record is archived",)),
    "broken-characters": (
        "Hello, \ufffd and welcome.",
        ("the answer held characters that no text has: they were replaced",),
    ),
}
NO_TEXT = "it says that it succeeded, but holds no text"
PROCESS = "The model could not process the audio"
FAILURES: dict[str, tuple[type[AsrError], str]] = {
    "result-empty-list": (UnexpectedAnswerError, NO_TEXT),
    "result-null": (UnexpectedAnswerError, NO_TEXT),
    "result-missing": (UnexpectedAnswerError, NO_TEXT),
    "result-number": (UnexpectedAnswerError, NO_TEXT),
    "result-no-detail": (UnexpectedAnswerError, NO_TEXT),
    "response-string": (UnexpectedAnswerError, NO_TEXT),
    "status-missing-without-text": (UnexpectedAnswerError, "its record is missing"),
    "status-unknown-without-text": (UnexpectedAnswerError, "its record is archived"),
    "status-unknown-with-error": (UnexpectedAnswerError, "archived: The archive is closed"),
    "processing": (UnexpectedAnswerError, "its record is processing"),
    "forgotten": (UnexpectedAnswerError, "its record is missing"),
    "ok-but-empty": (UnexpectedAnswerError, "its record is missing"),
    "ok-but-list": (UnexpectedAnswerError, "its record is missing"),
    "ok-but-page": (UnexpectedAnswerError, "a web page"),
    "ok-but-cut": (UnexpectedAnswerError, "no JSON"),
    "ok-but-nothing": (UnexpectedAnswerError, "answered with nothing"),
    "failure-detail": (RefusedError, PROCESS),
    "failed-record": (RefusedError, PROCESS),
    "failed-error-message": (RefusedError, PROCESS),
    "failed-error": (RefusedError, PROCESS),
    "failed-result": (RefusedError, PROCESS),
    "failed-order": (RefusedError, PROCESS),
    "failed-silently": (RefusedError, "it failed, and does not say why"),
    "failed-unreadable": (InputRefusedError, "Failed to analyze media file: https://asset"),
    "failed-credits": (ArrearsError, "this needs 21,000 credits, the team has 120"),
}
NEVER, TRANSIENT, THROTTLED = Retry.NEVER, Retry.TRANSIENT, Retry.THROTTLED
ERRORS: dict[str, tuple[type[AsrError], Retry, str]] = {
    "ok-but-error": (RefusedError, NEVER, "Something went wrong"),
    "ok-but-error-object": (ModelRefusedError, NEVER, "Model x is not supported"),
    "ok-but-error-code": (ArrearsError, NEVER, "this needs 9 credits, the team has 1"),
    "ok-but-no-success": (RefusedError, NEVER, "no reason given"),
    "error-unsupported-model": (ModelRefusedError, NEVER, "Model qwen9 is not supported"),
    "error-missing-fields": (RefusedError, NEVER, "promptObject.language: language is required"),
    "error-vendor-400": (RefusedError, NEVER, "The language is not supported. (InvalidParam"),
    "error-vendor-400-as-object": (RefusedError, NEVER, "The language is not supported."),
    "error-vendor-400-audio": (InputRefusedError, NEVER, "The audio is too long."),
    "error-vendor-429": (ServiceError, TRANSIENT, "Requests rate limit exceeded."),
    "error-vendor-500": (ServiceError, TRANSIENT, "Internal server error!"),
    "error-vendor-silent": (ServiceError, TRANSIENT, "a bit busy"),
    "error-openai": (ServiceError, TRANSIENT, "a bit busy"),
    "error-unreadable": (InputRefusedError, NEVER, "Failed to analyze media file: https://asset"),
    "error-unknown": (RefusedError, NEVER, "Unsupported feature type: SPEECH_TO_TXT"),
    "error-key-deleted": (KeyRefusedError, NEVER, "API Key has been deleted"),
    "error-key-inactive": (KeyRefusedError, NEVER, "API Key is not active."),
    "error-web-token": (KeyRefusedError, NEVER, "The authentication token is invalid"),
    "error-unauthorized": (KeyRefusedError, NEVER, "API key is missing or invalid"),
    "error-1010": (ServiceError, NEVER, "refuses this client (error 1010)"),
    "error-1015": (RateLimitedError, THROTTLED, "limits the rate"),
    "error-1015-page": (RateLimitedError, THROTTLED, "limits the rate"),
    "error-challenge": (ServiceError, TRANSIENT, "asks for a browser"),
    "error-forbidden": (RightsError, NEVER, "Access denied"),
    "error-credits": (ArrearsError, NEVER, "this needs 21,000 credits, the team has 120"),
    "error-credits-otherwise": (ArrearsError, NEVER, "the team has not enough credits"),
    "error-402": (ArrearsError, NEVER, "the team has not enough credits"),
    "error-409": (RefusedError, NEVER, "Conflict"),
    "error-413": (InputRefusedError, NEVER, "File too large"),
    "error-413-page": (InputRefusedError, NEVER, "no reason given"),
    "error-415": (InputRefusedError, NEVER, "The file type isn't supported: audio"),
    "error-file-type-400": (InputRefusedError, NEVER, "This file type isn’t supported"),
    "error-422": (RefusedError, NEVER, "validation failed; language: must be one of zh, en"),
    "error-422-documented": (RefusedError, NEVER, "validation failed; language: must be one of"),
    "error-429": (RateLimitedError, THROTTLED, "Too many requests"),
    "error-429-body": (RateLimitedError, THROTTLED, "Try again in 151 seconds."),
    "error-429-odd-wait": (RateLimitedError, THROTTLED, "Too many requests"),
    "error-429-empty": (RateLimitedError, THROTTLED, "no reason given"),
    "error-echo": (RefusedError, NEVER, "cannot use API-KEY: ***"),
    "error-long": (RefusedError, NEVER, "cannot read AAA"),
    "error-detail": (RefusedError, NEVER, "Bad things"),
    "error-nothing": (RefusedError, NEVER, "no reason given"),
    "error-page": (RefusedError, NEVER, "no reason given"),
    "error-500": (ServiceError, TRANSIENT, "oops"),
    "error-502": (ServiceError, Retry.AMBIGUOUS, "Bad gateway"),
}
TRANSPORT = {"error-522"}
"""What HTTP itself says all of."""


ASSETS = ("asset", "asset-key", "asset-path", "asset-wrapped", "asset-nowhere")


@pytest.fixture
def model() -> Model:
    return resolve("qwen3-asr-flash", provider="onemin")


def test_each_answer_that_is_written_out_is_read_by_a_test() -> None:
    assert set(cases("onemin")) == {*TEXTS, *FAILURES, *ERRORS, *TRANSPORT, *ASSETS}


# --- records ----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", TEXTS)
def test_the_text_is_found_in_every_shape_of_a_record(name: str, model: Model) -> None:
    answer = answer_from("onemin", name)

    assert read_failure(answer) is None
    transcript = read_transcript(answer, model, Options(), duration=7.0)

    text, warnings = TEXTS[name]
    assert [segment.text for segment in transcript.segments] == ([text] if text else [])
    assert transcript.warnings == warnings


def test_a_transcript_says_what_is_known_and_nothing_else(model: Model) -> None:
    answer = answer_from("onemin", "result-list")

    transcript = read_transcript(answer, model, Options(language="en"), duration=7.0)

    (segment,) = transcript.segments
    assert (segment.start, segment.end, segment.timing) == (None, None, Timing.NONE)
    assert (segment.language, segment.emotion, segment.words) == ("en", None, ())
    assert transcript == Transcript(
        segments=(segment,),
        provider="onemin",
        model="qwen3-asr-flash",
        language="en",
        duration=7.0,
        request_ids=(UUID,),
    )


def test_a_language_that_was_not_asked_for_is_not_known(model: Model) -> None:
    transcript = read_transcript(
        answer_from("onemin", "result-list"), model, Options(), duration=None
    )

    assert transcript.language is None
    assert transcript.duration is None


def test_an_answer_to_the_second_of_two_requests_is_marked(model: Model) -> None:
    answer = answer_from("onemin", "result-list", possible_duplicate=True)

    transcript = read_transcript(answer, model, Options(), duration=7.0)

    assert transcript.warnings == (
        "sent twice after an unclear failure: it may have been charged twice",
    )


@pytest.mark.parametrize("name", FAILURES)
def test_a_record_without_a_result_is_a_failure_and_never_an_empty_text(
    name: str, model: Model
) -> None:
    kind, said = FAILURES[name]

    with pytest.raises(kind) as caught:
        read_transcript(answer_from("onemin", name), model, Options(), duration=7.0)

    assert type(caught.value) is kind
    assert said in str(caught.value)
    assert caught.value.retry is Retry.NEVER
    assert "Secret Research" not in str(caught.value)
    assert "Signature" not in str(caught.value)


@pytest.mark.parametrize("name", cases("onemin", "failed-*"))
def test_a_failed_record_is_named_by_its_id(name: str, model: Model) -> None:
    with pytest.raises(AsrError) as caught:
        read_transcript(answer_from("onemin", name), model, Options(), duration=7.0)

    assert caught.value.request_id == UUID
    assert UUID in str(caught.value)


# --- errors -----------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ERRORS)
def test_each_error_is_told_by_its_kind_and_its_reason(name: str) -> None:
    Secret(KEY)
    kind, retry, said = ERRORS[name]

    error = read_failure(answer_from("onemin", name))

    assert type(error) is kind
    assert error.retry is retry
    assert said in str(error)


@pytest.mark.parametrize("name", ERRORS)
def test_no_error_shows_what_is_nobodys_business(name: str) -> None:
    Secret(KEY)

    text = str(read_failure(answer_from("onemin", name)))

    assert "Secret Research" not in text
    assert "Signature" not in text
    assert KEY not in text
    assert "<" not in text
    assert len(text) < 700


@pytest.mark.parametrize("name", sorted(TRANSPORT))
def test_a_page_of_the_edge_is_left_to_the_transport(name: str) -> None:
    assert read_failure(answer_from("onemin", name)) is None


def test_a_redirect_is_left_to_the_transport() -> None:
    assert read_failure(Answer(307, {"location": "https://elsewhere"}, b"")) is None


@pytest.mark.parametrize("name", ASSETS)
def test_an_asset_is_no_failure(name: str) -> None:
    assert read_failure(answer_from("onemin", name)) is None


def test_a_vendors_refusal_shows_the_vendors_reason_and_not_that_it_is_busy() -> None:
    text = str(read_failure(answer_from("onemin", "error-vendor-400")))

    assert "busy" not in text
    assert text.count("The language is not supported.") == 1
    assert "9f2c1f5e" not in text


def test_the_code_of_an_error_is_kept() -> None:
    error = read_failure(answer_from("onemin", "error-422-documented"))

    assert error is not None
    assert error.code == "PROMPT_OBJECT_VALIDATION_FAILED"
    assert error.http_status == 422


@pytest.mark.parametrize(
    ("name", "seconds"),
    [("error-429-body", 151.0), ("error-429", None), ("error-429-odd-wait", None)],
)
def test_the_wait_that_a_body_asks_for_is_kept(name: str, seconds: float | None) -> None:
    error = read_failure(answer_from("onemin", name))

    assert error is not None
    assert error.retry_after == seconds


@pytest.mark.parametrize(
    ("name", "exit_status", "stops"),
    [
        ("error-unauthorized", 4, True),
        ("error-forbidden", 4, True),
        ("error-credits", 5, True),
        ("error-429", 5, True),
        ("error-1010", 9, False),
        ("error-413", 7, False),
        ("error-vendor-400-audio", 7, False),
        ("error-unsupported-model", 2, False),
        ("error-422", 9, False),
    ],
)
def test_the_kind_of_an_error_decides_how_a_run_ends(
    name: str, exit_status: int, stops: bool
) -> None:
    error = read_failure(answer_from("onemin", name))

    assert error is not None
    assert (error.exit_status, error.stops_run) == (exit_status, stops)
