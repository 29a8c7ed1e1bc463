"""Messages as in https://developers.openai.com/api/reference/resources/realtime/server-events."""

from __future__ import annotations

from typing import Any

import pytest

from asrcli.errors import KeyRefusedError
from asrcli.protocol.dialogue import State
from asrcli.protocol.events import Event, Finished, Hypothesis, Noted, Started, Usage
from asrcli.protocol.realtime import TurnDetection
from asrcli.protocol.realtime_openai import DIALECTS, RealtimeOpenAI, RealtimeOpenAIOptions
from tests.emulators.realtime.openai import BetaSession, OpenAISession, SpeachesSession
from tests.emulators.realtime.session import Session
from tests.emulators.realtime.toy import silence, speak, talk
from tests.protocol.conversation import converse, counting, finals, made, sent, texts

CREATED = '{"type": "session.created", "session": {"id": "sess_1", "type": "transcription"}}'
UPDATED = '{"type": "session.updated", "session": {"id": "sess_1", "type": "transcription"}}'
SPEECH_STARTED = (
    '{"type": "input_audio_buffer.speech_started", "audio_start_ms": 1000, "item_id": "item_1"}'
)
SPEECH_STOPPED = (
    '{"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2000, "item_id": "item_1"}'
)
COMMITTED = (
    '{"type": "input_audio_buffer.committed", "previous_item_id": null, "item_id": "item_1"}'
)
DELTA = (
    '{"type": "conversation.item.input_audio_transcription.delta", "item_id": "item_1", '
    '"content_index": 0, "delta": "Hello,", "logprobs": null}'
)
COMPLETED = (
    '{"type": "conversation.item.input_audio_transcription.completed", "item_id": "item_1", '
    '"content_index": 0, "transcript": "Hello, how are you?", '
    '"usage": {"type": "tokens", "total_tokens": 30, "input_tokens": 20, "output_tokens": 10}}'
)
EMPTY_BUFFER = (
    '{"type": "error", "error": {"type": "invalid_request_error", '
    '"code": "input_audio_buffer_commit_empty", "message": "buffer too small", "param": null}}'
)


def new(dialect: str = "openai", **options: Any) -> RealtimeOpenAI:
    asked = RealtimeOpenAIOptions(model="gpt-live-transcribe", dialect=DIALECTS[dialect], **options)
    return RealtimeOpenAI(asked, make_id=counting())


def running(dialect: str = "openai", **options: Any) -> RealtimeOpenAI:
    session = new(dialect, **options)
    session.start()
    session.receive(CREATED)
    session.receive(UPDATED)
    session.send_audio(silence(10.0, rate=24_000))
    session.messages_to_send()
    session.events_received()
    return session


def told(session: RealtimeOpenAI, *messages: str) -> list[Event]:
    for message in messages:
        session.receive(message)
    return session.events_received()


def configuration(dialect: str, **options: Any) -> dict[str, Any]:
    session = new(dialect, **options)
    session.start()
    session.receive(CREATED)
    (message,) = sent(session)
    del message["event_id"]
    return message


def test_the_configuration_of_openai_is_nested() -> None:
    asked = configuration(
        "openai",
        language="en",
        prompt="a meeting",
        hotwords=("Ada",),
        turns=TurnDetection(threshold=0.5, silence_ms=500),
    )

    assert asked == {
        "type": "session.update",
        "session": {
            "type": "transcription",
            "audio": {
                "input": {
                    "format": {"type": "audio/pcm", "rate": 24000},
                    "transcription": {
                        "model": "gpt-live-transcribe",
                        "language": "en",
                        "prompt": "a meeting",
                        "keywords": ["Ada"],
                    },
                    "turn_detection": {
                        "type": "server_vad",
                        "threshold": 0.5,
                        "silence_duration_ms": 500,
                    },
                }
            },
        },
    }


def test_the_configuration_of_the_beta_is_flat_and_has_a_header() -> None:
    asked = configuration("openai-beta", turns=None)

    assert asked == {
        "type": "transcription_session.update",
        "session": {
            "input_audio_transcription": {"model": "gpt-live-transcribe"},
            "turn_detection": None,
            "input_audio_format": "pcm16",
        },
    }
    assert new("openai-beta").headers == {"OpenAI-Beta": "realtime=v1"}


def test_speaches_gets_the_model_in_the_address_and_no_format() -> None:
    url = new("speaches", language="en").url("http://127.0.0.1:8000/v1")

    assert url == (
        "ws://127.0.0.1:8000/v1/realtime?intent=transcription&model=gpt-live-transcribe&language=en"
    )
    assert "input_audio_format" not in configuration("speaches")["session"]


def test_audio_is_wanted_at_24_khz() -> None:
    assert new().sample_rate == 24_000


def test_text_is_added_bit_by_bit() -> None:
    session = running()

    events = told(session, SPEECH_STARTED, DELTA, DELTA.replace("Hello,", " how"))

    heard = [(e.text, e.stable) for e in events if isinstance(e, Hypothesis)]
    assert heard == [("Hello,", "Hello,"), ("Hello, how", "Hello, how")]


def test_the_cost_is_told_with_each_final() -> None:
    session = running()
    told(session, SPEECH_STARTED, SPEECH_STOPPED, COMMITTED, COMPLETED)
    session.finish()

    assert told(session, EMPTY_BUFFER)[-1] == Finished(Usage(tokens_in=20, tokens_out=10))


def test_most_errors_leave_the_session_alive() -> None:
    session = running()

    (note,) = told(session, '{"type": "error", "error": {"type": "odd", "message": "hm"}}')

    assert isinstance(note, Noted)
    assert session.state is State.RUNNING


def test_a_key_that_is_refused_does_not() -> None:
    session = running()
    told(session, '{"type": "error", "error": {"code": "invalid_api_key", "message": "no"}}')

    assert session.failure is not None
    assert session.failure.kind is KeyRefusedError


def test_the_end_commits_what_is_left_and_waits_for_it() -> None:
    session = running()
    session.finish()
    asked = [message["type"] for message in sent(session)]

    events = told(session, COMMITTED, DELTA, COMPLETED)

    assert asked == ["input_audio_buffer.commit"]
    assert texts(events) == ["Hello, how are you?"]
    assert isinstance(events[-1], Finished)


def test_a_commit_of_the_server_s_own_does_not_end_the_wait_for_ours() -> None:
    session = running()
    told(session, SPEECH_STARTED)
    session.finish()

    own = told(session, SPEECH_STOPPED, COMMITTED, COMPLETED)
    ours = [message.replace("item_1", "item_2") for message in (COMMITTED, COMPLETED)]

    assert not any(isinstance(event, Finished) for event in own)
    assert isinstance(told(session, *ours)[-1], Finished)


def test_a_stream_without_audio_ends_at_once() -> None:
    session = new()
    session.start()
    session.receive(CREATED)
    session.receive(UPDATED)
    session.finish()

    assert session.events_received() == [Started("sess_1", None), Finished()]


def test_times_that_start_anew_with_each_utterance_are_left_out() -> None:
    session = running("speaches")

    (final,) = finals(told(session, SPEECH_STARTED, SPEECH_STOPPED, COMMITTED, COMPLETED))

    assert (final.start, final.end) == (None, None)
    assert session.acknowledged == 9.0


@pytest.mark.parametrize(
    ("dialect", "kind"),
    [("openai", OpenAISession), ("openai-beta", BetaSession), ("speaches", SpeachesSession)],
)
def test_the_emulated_servers_are_understood(dialect: str, kind: type[Session]) -> None:
    session = new(dialect, language="en")
    server = made(kind, session)
    audio = talk("one two three", "four five", pause=1.0, rate=24_000) + speak("six", 24_000)

    events = converse(session, server, audio)

    assert texts(events) == ["one two three", "four five", "six"]
    assert isinstance(events[-1], Finished)
    assert server.book.violations == []


@pytest.mark.parametrize(
    ("dialect", "kind"), [("openai", OpenAISession), ("openai-beta", BetaSession)]
)
def test_the_emulated_servers_are_understood_in_manual_mode(
    dialect: str, kind: type[Session]
) -> None:
    session = new(dialect, turns=None)
    server = made(kind, session)

    audio = talk("one two", "three", rate=24_000)
    events = converse(session, server, audio, ends=[1.0], chunk=4800)

    assert texts(events) == ["one two", "three"]
    assert finals(events)[0].end == 1.0
    assert server.book.violations == []
