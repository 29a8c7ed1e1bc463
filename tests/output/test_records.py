"""Records keep to the schema that ships with them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import jsonschema
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from asrcli.errors import (
    AsrError,
    EmptyFileError,
    NetworkError,
    OutputError,
    QuotaError,
    RateLimitedError,
    RemoteError,
    UsageError,
)
from asrcli.output.progress import Ended, State
from asrcli.output.records import (
    detached_record,
    error_value,
    failure_record,
    final_record,
    input_record,
    partial_record,
    progress_record,
    result_chunks,
    result_record,
    schema,
    skipped_record,
    summary_record,
)
from asrcli.output.sanitize import for_json
from asrcli.secret import Secret
from asrcli.transcript import Segment, Timing, Transcript, Word

quick = settings(deadline=None, database=None, max_examples=40)
VALIDATOR = jsonschema.Draft202012Validator(schema())
WORD = Word("text", 0.5, 1.0, 0.5)
SEGMENT = Segment("A text.", 0.5, 1.0, Timing.MODEL, "Alice", 1, "en", "happy", 0.9, words=(WORD,))
TRANSCRIPT = Transcript(
    (SEGMENT, Segment("More.")), "qwen", "fun-asr", "en", 2.5, ("r-1",), 3.0, ("sent twice",)
)


def parsed(record: Mapping[str, Any]) -> dict[str, Any]:
    """What a program reads, which is what the schema is about."""
    value = json.loads(for_json(record))
    VALIDATOR.validate(value)
    assert isinstance(value, dict)
    return value


def test_the_schema_is_one() -> None:
    jsonschema.Draft202012Validator.check_schema(schema())


def test_each_type_of_record_has_its_own_rules() -> None:
    types = schema()["properties"]["type"]["enum"]

    assert len(types) == len(set(types)) == 12
    for name in types:
        assert not VALIDATOR.is_valid({"v": 1, "type": name}), name


# --- results ----------------------------------------------------------------------------------


def test_a_result_holds_all_that_the_transcript_does() -> None:
    record = parsed(result_record("x.wav", TRANSCRIPT, elapsed=0.5, source={"bytes": 7}))

    assert record == {
        "v": 1,
        "type": "result",
        "name": "x.wav",
        "status": "ok",
        "empty": False,
        "text": "A text. More.",
        "language": "en",
        "duration": 2.5,
        "provider": "qwen",
        "model": "fun-asr",
        "elapsed": 0.5,
        "rtf": 0.2,
        "billed_seconds": 3.0,
        "request_ids": ["r-1"],
        "warnings": ["sent twice"],
        "error": None,
        "source": {"bytes": 7},
        "segments": [
            {
                "text": "A text.",
                "start": 0.5,
                "end": 1.0,
                "timing": "model",
                "speaker": "Alice",
                "channel": 1,
                "language": "en",
                "emotion": "happy",
                "confidence": 0.9,
                "words": [{"text": "text", "start": 0.5, "end": 1.0, "confidence": 0.5}],
            },
            {
                "text": "More.",
                "start": None,
                "end": None,
                "timing": "none",
                "speaker": None,
                "channel": None,
                "language": None,
                "emotion": None,
                "confidence": None,
                "words": [],
            },
        ],
    }


def test_fields_stand_in_the_same_order_each_time() -> None:
    assert list(result_record("x", TRANSCRIPT)) == list(
        result_record("y", Transcript((), "p", "m"))
    )


def test_no_text_is_marked_as_empty() -> None:
    assert parsed(result_record("x", Transcript((Segment(" "),), "p", "m")))["empty"] is True


def test_a_partial_result_says_why() -> None:
    lost = NetworkError("qwen", "piece 3 was lost")

    record = parsed(result_record("x", TRANSCRIPT, status="partial", error=lost))

    assert record["error"]["message"] == "qwen: piece 3 was lost"


def test_times_have_no_noise_and_numbers_that_json_lacks_are_null() -> None:
    odd = Transcript((Segment("a", 0.1 + 0.2, float("nan")),), "p", "m", duration=float("inf"))

    record = parsed(result_record("x", odd, elapsed=1.0))

    assert (record["segments"][0]["start"], record["segments"][0]["end"]) == (0.3, None)
    assert record["duration"] is None


def test_surrogates_in_a_text_are_replaced_and_told_of() -> None:
    record = parsed(result_record("x", Transcript((Segment("a\ud800"),), "p", "m")))

    assert record["text"] == "a\ufffd"
    assert record["warnings"] == ["characters that are no Unicode were replaced"]


def test_a_name_keeps_its_bytes() -> None:
    name = "caf\udce9\n.wav"

    assert parsed(result_record(name, TRANSCRIPT))["name"] == name


def test_a_url_is_named_without_what_signs_it() -> None:
    record = parsed(skipped_record("https://host/x.wav?Signature=abcdef&v=1", "exists"))

    assert record["name"] == "https://host/x.wav?Signature=***&v=1"


def test_what_is_said_is_not_taken_for_a_key() -> None:
    said = "the bearer certificate, authorization required, key=important"

    record = parsed(result_record("x", Transcript((Segment(said),), "p", "m")))

    assert record["text"] == said


names = st.text() | st.sampled_from(["\ud800", "\u2028", "\x1b[2J"])
transcripts = st.builds(
    Transcript,
    st.lists(
        st.builds(
            Segment,
            names,
            st.none() | st.floats(0, 9),
            st.none() | st.floats(0, 9),
            st.sampled_from(Timing),
            st.none() | names,
            st.none() | st.integers(0, 3),
        ),
        max_size=3,
    ).map(tuple),
    names,
    names,
    st.none() | names,
    st.none() | st.floats(0),
)


@quick
@given(names, transcripts, st.none() | st.floats(0, 9))
def test_every_result_keeps_to_the_schema(
    name: str, transcript: Transcript, elapsed: float | None
) -> None:
    parsed(result_record(name, transcript, elapsed=elapsed))


@quick
@given(transcripts, st.none() | st.integers(1, 4))
def test_the_chunks_of_a_result_are_its_json(transcript: Transcript, indent: int | None) -> None:
    chunks = result_chunks("x", transcript, indent=indent)

    assert "".join(chunks) == for_json(result_record("x", transcript), indent=indent) + "\n"


# --- failures and others ----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("error", "word"),
    [
        (UsageError("no"), "usage"),
        (EmptyFileError("x.wav"), "input"),
        (OutputError("no"), "output"),
        (QuotaError("qwen", "no"), "quota"),
        (NetworkError("qwen", "no"), "network"),
        (RemoteError("qwen", "no"), "service"),
        (AsrError("no"), "bug"),
    ],
)
def test_a_failure_has_the_word_of_its_exit_status(error: AsrError, word: str) -> None:
    assert parsed(failure_record("x", error))["error"]["class"] == word


def test_a_failure_tells_all_that_is_known() -> None:
    error = RateLimitedError(
        "qwen", "too\nfast\x1b[2J", code="Throttling", http_status=429, request_id="r-1"
    )

    record = parsed(failure_record("x.wav", error, index=3))

    assert record == {
        "v": 1,
        "type": "result",
        "name": "x.wav",
        "status": "failed",
        "error": {
            "class": "quota",
            "code": "Throttling",
            "message": "qwen: too fast[2J (Throttling, HTTP 429, request r-1)",
            "hint": RateLimitedError.hint,
            "retryable": True,
            "http_status": 429,
            "request_id": "r-1",
            "possible_duplicate": False,
            "exit_status": 5,
        },
        "index": 3,
    }


def test_a_key_in_an_error_is_blotted_out() -> None:
    key = Secret("sk-canary-1234567890")

    value = error_value(RemoteError("qwen", f"bad key {key.reveal()}", hint=key.reveal()))

    assert "canary" not in for_json(value)


def test_a_skipped_input_says_why() -> None:
    assert parsed(skipped_record("x", "x.txt exists"))["reason"] == "x.txt exists"


def test_utterances_are_partial_until_they_are_final() -> None:
    assert parsed(partial_record(SEGMENT, index=0))["type"] == "partial"
    assert parsed(final_record(SEGMENT, index=0))["type"] == "final"


def test_a_summary_counts_what_was_done_and_what_was_not_begun() -> None:
    record = parsed(
        summary_record(["ok", "ok", "failed"], total=5, exit_status=5, elapsed=2.0, duration=8.0)
    )

    assert [record[key] for key in ("ok", "partial", "failed", "skipped", "not_begun")] == [
        2,
        0,
        1,
        0,
        2,
    ]
    assert record["rtf"] == 0.25


def test_a_summary_tells_what_it_took() -> None:
    record = parsed(
        summary_record(
            ["ok", "submitted"],
            total=2,
            exit_status=0,
            elapsed=2.0,
            duration=8.0,
            requests=3,
            bytes_sent=1000,
            cost=0.1 + 0.2,
            reused_seconds=4.0,
        )
    )

    assert (record["submitted"], record["not_begun"]) == (1, 0)
    assert (record["requests"], record["bytes_sent"], record["reused_seconds"]) == (3, 1000, 4.0)
    assert (record["cost"], record["cost_known"]) == (0.3, True)


def test_a_price_that_is_not_known_is_no_price_of_zero() -> None:
    unknown = parsed(summary_record([], total=0, exit_status=0, elapsed=0.0, requests=1))
    part = parsed(
        summary_record([], total=0, exit_status=0, elapsed=0.0, cost=0.5, cost_known=False)
    )

    assert (unknown["cost"], unknown["cost_known"]) == (None, False)
    assert (part["cost"], part["cost_known"]) == (0.5, False)


def test_progress_has_a_record() -> None:
    state = State(3, 30.0, 10.0, 2.0, done=1, estimated=True, rate=1 / 3, seconds_left=60.0)

    record = parsed(progress_record(state))

    assert (record["done"], record["share"], record["rate"]) == (1, 0.3333, 0.333)
    assert record["seconds_left"] == 60.0


def test_a_submitted_job_has_a_record() -> None:
    assert parsed(detached_record("x", "job-1"))["job"] == "job-1"


def test_the_end_of_an_input_has_a_record_without_keys() -> None:
    key = Secret("sk-canary-2468013579").reveal()

    record = parsed(input_record(Ended("x\x1b", "failed", None, 1.0, f"bad {key}\n")))

    assert record["error"] == {"message": "bad ***"}


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"v": 2, "type": "summary"},
        {"v": 1, "type": "unheard-of"},
        {"v": 1, "type": "result", "name": "x", "status": "failed"},
        {"v": 1, "type": "result", "name": "x", "status": "ok"},
        {**skipped_record("x", "why"), "status": "odd"},
        {**final_record(SEGMENT, index=0), "timing": "guessed"},
        {**final_record(SEGMENT, index=0), "start": "0"},
        {**result_record("x", TRANSCRIPT), "segments": [{}]},
        {**summary_record([], total=0, exit_status=0, elapsed=0.0), "failed": -1},
        {**progress_record(State(1)), "share": 1.5},
        {**input_record(Ended("x", "ok", 1.0, 1.0)), "status": "odd"},
        {**input_record(Ended("x", "failed", 1.0, 1.0)), "error": {"message": "m", "class": "x"}},
        {**skipped_record("x", "why"), "status": "submitted"},
        {"v": 1, "type": "plan", "name": "x"},
        {"v": 1, "type": "plan_total"},
        {"v": 1, "type": "job"},
        {"v": 1, "type": "vocabulary"},
        {"v": 1, "type": "upload"},
        {"v": 1, "type": "model"},
        {**final_record(SEGMENT, index=0), "complete": "yes"},
    ],
)
def test_the_schema_refuses_what_is_no_record(wrong: dict[str, Any]) -> None:
    assert not VALIDATOR.is_valid(wrong)


def test_the_schema_lets_fields_be_added() -> None:
    parsed({**skipped_record("x", "why"), "new": 1})
