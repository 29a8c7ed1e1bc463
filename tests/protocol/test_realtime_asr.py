"""Messages as on the pages "Qwen-ASR realtime client events" and "server events"."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from asrcli.errors import KeyRefusedError, RateLimitedError, RefusedError, Retry, ServiceError
from asrcli.protocol.dialogue import State
from asrcli.protocol.events import (
    Event,
    Failed,
    Finished,
    Hypothesis,
    Noted,
    SpeechEnded,
    SpeechStarted,
    Started,
)
from asrcli.protocol.realtime import TurnDetection
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.transcript import Timing
from tests.emulators.realtime.asr import ASRSession
from tests.emulators.realtime.toy import silence, speak, talk
from tests.protocol.conversation import converse, counting, finals, made, sent, texts

MODEL = "qwen3-asr-flash-realtime"
CREATED = """{
  "event_id": "event_1234", "type": "session.created",
  "session": {
    "id": "sess_001", "object": "realtime.session", "model": "qwen3-asr-flash-realtime",
    "modalities": ["text"], "input_audio_format": "pcm16", "input_audio_transcription": null,
    "turn_detection": {"type": "server_vad", "threshold": 0.5, "silence_duration_ms": 200}
  }
}"""
UPDATED = CREATED.replace("session.created", "session.updated")
SPEECH_STARTED = (
    '{"event_id": "event_B1", "type": "input_audio_buffer.speech_started", '
    '"audio_start_ms": 3647, "item_id": "item_1"}'
)
SPEECH_STOPPED = (
    '{"event_id": "event_B2", "type": "input_audio_buffer.speech_stopped", '
    '"audio_end_ms": 5000, "item_id": "item_1"}'
)
COMMITTED = (
    '{"event_id": "event_1121", "type": "input_audio_buffer.committed", '
    '"previous_item_id": "", "item_id": "item_1"}'
)
ITEM = """{
  "event_id": "event_1920", "type": "conversation.item.created", "previous_item_id": "",
  "item": {"id": "item_1", "object": "realtime.item", "type": "message", "status": "completed",
           "role": "user", "content": [{"type": "input_audio", "transcript": null}]}
}"""
PARTIAL = """{
  "event_id": "event_R7", "type": "conversation.item.input_audio_transcription.text",
  "item_id": "item_1", "content_index": 0, "language": "en", "emotion": "neutral",
  "text": "The weather", "stash": " to day"
}"""
COMPLETED = """{
  "event_id": "event_B3", "type": "conversation.item.input_audio_transcription.completed",
  "item_id": "item_1", "content_index": 0, "language": "en", "emotion": "happy",
  "transcript": "The weather today is fine."
}"""
FAILED = """{
  "event_id": "event_2324", "type": "conversation.item.input_audio_transcription.failed",
  "item_id": "item_1", "content_index": 0,
  "error": {"code": "audio_unintelligible", "message": "The audio could not be transcribed.",
            "param": null}
}"""
FINISHED = '{"event_id": "event_2239", "type": "session.finished"}'
INVALID = """{
  "event_id": "event_B4", "type": "error",
  "error": {"type": "invalid_request_error", "code": "invalid_value",
            "message": "Invalid value: 'pcm16'. Supported values are: 'pcm', 'opus'.",
            "param": "session.input_audio_format", "event_id": "event_123"}
}"""


def new(**options: Any) -> RealtimeASR:
    return RealtimeASR(RealtimeASROptions(model=MODEL, **options), make_id=counting())


def running(**options: Any) -> RealtimeASR:
    """A session that is configured and has sent 10 s of audio."""
    session = new(**options)
    session.start()
    session.receive(CREATED)
    session.receive(UPDATED)
    session.send_audio(silence(10.0))
    session.messages_to_send()
    session.events_received()
    return session


@pytest.fixture
def session() -> RealtimeASR:
    return running()


def told(session: RealtimeASR, *messages: str) -> list[Event]:
    for message in messages:
        session.receive(message)
    return session.events_received()


def about(item: str, message: str) -> str:
    return message.replace("item_1", item)


# --- out ------------------------------------------------------------------------------------------


def test_the_model_is_named_in_the_address() -> None:
    url = new().url("wss://dashscope-intl.aliyuncs.com/api-ws/v1")

    assert url == (
        "wss://dashscope-intl.aliyuncs.com/api-ws/v1/realtime?model=qwen3-asr-flash-realtime"
    )


def test_nothing_is_sent_before_the_service_has_spoken() -> None:
    session = new()
    session.start()

    assert session.messages_to_send() == []


def test_the_configuration_is_as_documented() -> None:
    session = new(
        language="zh", prompt="Names: Ada.", turns=TurnDetection(threshold=0.2, silence_ms=800)
    )
    session.start()
    session.receive(CREATED)

    assert sent(session) == [
        {
            "event_id": "event_00000000000000000000000000000001",
            "type": "session.update",
            "session": {
                "modalities": ["text"],
                "input_audio_format": "pcm",
                "sample_rate": 16000,
                "turn_detection": {
                    "type": "server_vad",
                    "threshold": 0.2,
                    "silence_duration_ms": 800,
                },
                "input_audio_transcription": {
                    "language": "zh",
                    "corpus": {"text": "Names: Ada."},
                },
            },
        }
    ]


def test_detection_of_the_language_is_asked_for_by_saying_nothing() -> None:
    session = new()
    session.start()
    session.receive(CREATED)

    assert sent(session)[0]["session"]["input_audio_transcription"] == {}


def test_the_configuration_is_sent_once() -> None:
    session = new()
    session.start()
    session.receive(CREATED)
    session.receive(CREATED)

    assert len(session.messages_to_send()) == 1


def test_audio_goes_out_in_base64_with_an_id_of_its_own(session: RealtimeASR) -> None:
    session.send_audio(b"\x01\x02" * 1600)
    session.send_audio(b"\x03\x04" * 1600)

    first, second = sent(session)
    assert first["type"] == "input_audio_buffer.append"
    assert base64.b64decode(first["audio"]) == b"\x01\x02" * 1600
    assert first["event_id"] != second["event_id"]


def test_the_end_is_announced_as_documented(session: RealtimeASR) -> None:
    session.finish()

    assert [message["type"] for message in sent(session)] == ["session.finish"]


def test_in_manual_mode_the_caller_commits() -> None:
    session = running(turns=None)
    session.end_utterance()
    session.send_audio(silence(1.0))
    session.messages_to_send()

    session.finish()

    assert session.manual
    assert [message["type"] for message in sent(session)] == [
        "input_audio_buffer.commit",
        "session.finish",
    ]


def test_an_utterance_of_less_than_a_tenth_of_a_second_is_joined_to_the_next() -> None:
    session = running(turns=None)
    session.end_utterance()
    session.messages_to_send()
    session.send_audio(silence(0.05))

    session.end_utterance()

    assert session.messages_to_send()[1:] == []


# --- in -------------------------------------------------------------------------------------------


def test_the_service_listens_once_the_configuration_is_confirmed() -> None:
    session = new()
    session.start()
    before = told(session, CREATED)
    accepted = session.accepts_audio

    assert told(session, UPDATED) == [Started("sess_001", MODEL)]
    assert (before, accepted, session.accepts_audio) == ([], False, True)


def test_an_utterance_begins_grows_and_ends(session: RealtimeASR) -> None:
    events = told(
        session, SPEECH_STARTED, PARTIAL, SPEECH_STOPPED, COMMITTED, ITEM, PARTIAL, COMPLETED
    )

    partial = Hypothesis(
        text="The weather to day",
        utterance="item_1",
        final=False,
        start=3.647,
        timing=Timing.VAD,
        stable="The weather",
        language="en",
        emotion="neutral",
    )
    assert events[:3] == [SpeechStarted(3.647, "item_1"), partial, SpeechEnded(5.0, "item_1")]
    assert events[-1] == Hypothesis(
        text="The weather today is fine.",
        utterance="item_1",
        final=True,
        start=3.647,
        end=5.0,
        timing=Timing.VAD,
        stable="The weather today is fine.",
        language="en",
        emotion="happy",
    )
    assert session.acknowledged == 5.0


def test_the_beginning_of_speech_answers_for_the_silence_before_it(session: RealtimeASR) -> None:
    told(session, SPEECH_STARTED)

    assert session.acknowledged == pytest.approx(3.147)


def test_a_later_partial_replaces_the_one_before(session: RealtimeASR) -> None:
    events = told(session, PARTIAL, PARTIAL.replace('"stash": " to day"', '"stash": ""'))

    heard = [(e.text, e.stable) for e in events if isinstance(e, Hypothesis)]
    assert heard == [("The weather to day", "The weather"), ("The weather", "The weather")]


def test_delta_with_text_and_stash_replaces_as_well(session: RealtimeASR) -> None:
    events = told(session, PARTIAL, PARTIAL.replace(".text", ".delta").replace("to day", "today"))

    assert [e.text for e in events if isinstance(e, Hypothesis)] == [
        "The weather to day",
        "The weather today",
    ]


def test_an_empty_final_is_a_final(session: RealtimeASR) -> None:
    message = COMPLETED.replace("The weather today is fine.", "")

    assert texts(told(session, SPEECH_STARTED, SPEECH_STOPPED, message)) == [""]
    assert session.acknowledged == 5.0


def test_in_manual_mode_the_times_are_those_of_the_audio_committed() -> None:
    session = running(turns=None)
    session.end_utterance()

    (final,) = finals(told(session, COMMITTED, ITEM, PARTIAL, COMPLETED))

    assert (final.start, final.end, final.timing) == (0.0, 10.0, Timing.PIECE)
    assert session.acknowledged == 10.0


def test_the_session_ends_when_the_service_says_so(session: RealtimeASR) -> None:
    told(session, SPEECH_STARTED, PARTIAL)
    session.finish()

    events = told(session, SPEECH_STOPPED, COMMITTED, COMPLETED, FINISHED)

    assert texts(events) == ["The weather today is fine."]
    assert isinstance(events[-1], Finished)
    assert session.state is State.CLOSED
    assert session.acknowledged == session.sent


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_refused_configuration_ends_the_session() -> None:
    session = new()
    session.start()
    session.receive(CREATED)

    (failure,) = told(session, INVALID)

    assert isinstance(failure, Failed)
    assert (failure.kind, failure.retry) == (RefusedError, Retry.NEVER)
    assert failure.code == "invalid_value"
    assert "Supported values" in failure.message
    assert (failure.request_id, failure.session_id) == ("event_B4", "sess_001")


@pytest.mark.parametrize("code", ["invalid_value", "InvalidParameter", "commit_not_allowed"])
def test_a_complaint_while_it_runs_is_noted_and_leaves_the_session(
    session: RealtimeASR, code: str
) -> None:
    complaint = INVALID.replace("invalid_value", code)

    (note,) = told(session, complaint, complaint)

    assert isinstance(note, Noted)
    assert session.state is State.RUNNING


@pytest.mark.parametrize(
    ("code", "kind", "retry"),
    [
        ("InvalidApiKey", KeyRefusedError, Retry.NEVER),
        ("Throttling.RateQuota", RateLimitedError, Retry.THROTTLED),
        ("novelty", ServiceError, Retry.TRANSIENT),
    ],
)
def test_an_error_of_another_kind_ends_the_session_while_it_runs(
    session: RealtimeASR, code: str, kind: type, retry: Retry
) -> None:
    message = INVALID.replace("invalid_request_error", "server").replace("invalid_value", code)

    (failure,) = told(session, message)

    assert isinstance(failure, Failed)
    assert (failure.kind, failure.retry) == (kind, retry)


@pytest.mark.parametrize(
    "error", ["null", '"broken"', "{}", "[]", '{"message": 5, "code": null, "type": {}}']
)
def test_errors_of_another_shape_are_failures_too(session: RealtimeASR, error: str) -> None:
    (failure,) = told(session, f'{{"type": "error", "error": {error}}}')

    assert isinstance(failure, Failed)


def test_an_utterance_that_failed_costs_only_itself(session: RealtimeASR) -> None:
    events = told(session, FAILED, about("item_2", COMPLETED))

    assert texts(events) == ["", "The weather today is fine."]
    assert any(isinstance(event, Noted) for event in events)


def test_what_was_heard_of_an_utterance_that_failed_is_kept(session: RealtimeASR) -> None:
    (final,) = finals(told(session, PARTIAL, FAILED))

    assert (final.text, final.complete) == ("The weather to day", False)


def test_w11_partials_after_the_final_and_second_finals_are_dropped(session: RealtimeASR) -> None:
    events = told(session, PARTIAL, COMPLETED, PARTIAL, COMPLETED, SPEECH_STOPPED, COMMITTED)

    assert texts(events) == ["The weather today is fine."]
    last = [event for event in events if not isinstance(event, Noted)][-1]
    assert isinstance(last, Hypothesis)
    assert last.final


def test_w11_finals_come_in_the_order_in_which_utterances_began(session: RealtimeASR) -> None:
    events = told(
        session,
        SPEECH_STARTED,
        about("item_2", SPEECH_STARTED),
        about("item_2", COMPLETED),
        COMPLETED,
    )

    assert [final.utterance for final in finals(events)] == ["item_1", "item_2"]


def test_a_final_that_waits_its_turn_does_not_change_any_more(session: RealtimeASR) -> None:
    other = COMPLETED.replace("fine", "bad")
    events = told(
        session,
        SPEECH_STARTED,
        about("item_2", COMPLETED),
        about("item_2", PARTIAL),
        about("item_2", other),
        COMPLETED,
    )

    assert texts(events) == ["The weather today is fine."] * 2


def test_an_event_without_an_item_is_about_the_only_one_open(session: RealtimeASR) -> None:
    stopped = SPEECH_STOPPED.replace(', "item_id": "item_1"', "")

    (final,) = finals(told(session, SPEECH_STARTED, stopped, COMPLETED))

    assert final.end == 5.0


def test_an_event_that_can_be_about_no_utterance_is_noted(session: RealtimeASR) -> None:
    (note,) = told(session, SPEECH_STOPPED.replace(', "item_id": "item_1"', ""))

    assert isinstance(note, Noted)


@pytest.mark.parametrize("strange", ['"3647"', "NaN", "null", "-1", "1e99", "[]"])
def test_strange_times_do_no_harm(session: RealtimeASR, strange: str) -> None:
    events = told(session, SPEECH_STARTED.replace("3647", strange), COMPLETED)

    (final,) = finals(events)
    assert final.start in {None, 0.0, 3.647}
    assert 0 <= session.acknowledged <= 10


def test_a_session_that_ends_before_it_was_told_to_may_be_tried_again(
    session: RealtimeASR,
) -> None:
    (failure,) = told(session, FINISHED)

    assert isinstance(failure, Failed)
    assert failure.retry is Retry.TRANSIENT


def test_w06_a_close_right_after_the_finishing_message_is_not_the_end(session: RealtimeASR) -> None:
    session.finish()
    session.closed(1000, "")

    assert session.failure is not None
    assert session.failure.retry is Retry.TRANSIENT


def test_w12_last_words_that_do_not_come_are_given_up(session: RealtimeASR) -> None:
    told(session, SPEECH_STARTED, PARTIAL)
    session.finish()
    session.timed_out()

    events = session.events_received()
    assert [(final.text, final.complete) for final in finals(events)] == [
        ("The weather to day", False)
    ]
    assert isinstance(events[-1], Failed)


# --- with the emulated service --------------------------------------------------------------------


@pytest.mark.parametrize("rate", [8000, 16_000])
def test_the_emulated_service_is_understood(rate: int) -> None:
    session = new(sample_rate=rate, language="en", prompt="numbers")
    service = made(ASRSession, session)
    audio = talk("one two three", "four five", pause=1.5, rate=rate) + speak("six", rate)

    events = converse(session, service, audio)

    assert texts(events) == ["one two three", "four five", "six"]
    assert [(h.start, h.end) for h in finals(events)] == [(0.0, 0.7), (2.2, 2.65), (4.15, 4.35)]
    assert isinstance(events[-1], Finished)
    assert service.book.violations == []


def test_the_emulated_service_is_understood_in_manual_mode() -> None:
    session = new(turns=None)
    service = made(ASRSession, session)

    events = converse(session, service, talk("one two", "three", pause=1.0), ends=[1.0, 2.4])

    assert texts(events) == ["one two", "three", ""]
    assert [(h.start, h.end) for h in finals(events)][:2] == [(0.0, 1.0), (1.0, 2.4)]
    assert service.book.violations == []
