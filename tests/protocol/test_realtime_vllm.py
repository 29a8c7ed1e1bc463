"""Messages as in https://docs.vllm.ai/en/latest/examples/speech_to_text/realtime/."""

from __future__ import annotations

import pytest

from asrcli.errors import ModelRefusedError, Retry, ServiceError
from asrcli.protocol.dialogue import State
from asrcli.protocol.events import Event, Finished, Hypothesis, Started, Usage
from asrcli.protocol.realtime_vllm import RealtimeVLLM, RealtimeVLLMOptions
from tests.emulators.realtime.openai import VLLMSession
from tests.emulators.realtime.toy import silence, talk
from tests.protocol.conversation import converse, counting, finals, made, sent, texts

CREATED = '{"type": "session.created", "id": "sess-1", "created": 1700000000}'
DELTA = '{"type": "transcription.delta", "delta": "Hello"}'
DONE = (
    '{"type": "transcription.done", "text": "Hello there.", '
    '"usage": {"prompt_tokens": 10, "completion_tokens": 4, "total_tokens": 14}}'
)


def new() -> RealtimeVLLM:
    return RealtimeVLLM(RealtimeVLLMOptions(model="voxtral"), make_id=counting())


@pytest.fixture
def session() -> RealtimeVLLM:
    session = new()
    session.start()
    session.receive(CREATED)
    session.send_audio(silence(2.0))
    session.messages_to_send()
    session.events_received()
    return session


def told(session: RealtimeVLLM, *messages: str) -> list[Event]:
    for message in messages:
        session.receive(message)
    return session.events_received()


def types(session: RealtimeVLLM) -> list[tuple[str, bool | None]]:
    return [(message["type"], message.get("final")) for message in sent(session)]


def test_the_model_is_named_and_a_text_begun_without_waiting_for_an_answer() -> None:
    session = new()
    session.start()

    events = told(session, CREATED)

    update, commit = sent(session)
    assert (update["type"], update["model"]) == ("session.update", "voxtral")
    assert (commit["type"], commit["final"]) == ("input_audio_buffer.commit", False)
    assert events == [Started("sess-1", "voxtral")]


def test_an_utterance_ends_where_the_caller_says(session: RealtimeVLLM) -> None:
    partial = told(session, DELTA, DELTA.replace("Hello", " there"))
    session.end_utterance()
    waiting = session.accepts_audio
    (final,) = finals(told(session, DONE))

    assert [e.text for e in partial if isinstance(e, Hypothesis)] == ["Hello", "Hello there"]
    assert (final.text, final.start, final.end) == ("Hello there.", 0.0, 2.0)
    assert not waiting
    assert session.accepts_audio
    assert types(session) == [
        ("input_audio_buffer.commit", True),
        ("input_audio_buffer.commit", False),
    ]


def test_the_next_utterance_begins_where_the_last_one_ended(session: RealtimeVLLM) -> None:
    session.end_utterance()
    told(session, DONE)
    session.send_audio(silence(1.0))

    (partial,) = told(session, DELTA)

    assert isinstance(partial, Hypothesis)
    assert (partial.start, partial.end) == (2.0, None)


def test_the_end_ends_the_last_utterance(session: RealtimeVLLM) -> None:
    session.finish()
    asked = types(session)

    events = told(session, DONE)

    assert asked == [("input_audio_buffer.commit", True)]
    assert texts(events) == ["Hello there."]
    assert events[-1] == Finished(Usage(tokens_in=10, tokens_out=4))


def test_a_model_that_is_not_there_is_a_mistake_of_the_command_line() -> None:
    session = new()
    session.start()
    told(session, CREATED)

    told(session, '{"type": "error", "error": "no such model", "code": "model_not_found"}')

    assert session.failure is not None
    assert session.failure.kind is ModelRefusedError
    assert session.failure.message == "no such model"


def test_a_failure_of_the_engine_may_be_tried_again(session: RealtimeVLLM) -> None:
    told(session, '{"type": "error", "error": "CUDA error", "code": "processing_error"}')

    assert session.failure is not None
    assert (session.failure.kind, session.failure.retry) == (ServiceError, Retry.TRANSIENT)


def test_a_text_that_ended_by_itself_is_noted_and_dropped(session: RealtimeVLLM) -> None:
    assert texts(told(session, DONE)) == []
    assert session.state is State.RUNNING


def test_a_text_that_does_not_come_needs_a_new_session(session: RealtimeVLLM) -> None:
    session.end_utterance()
    session.timed_out()

    assert session.failure is not None
    assert (session.failure.code, session.failure.retry) == ("NoText", Retry.TRANSIENT)


def test_the_emulated_server_is_understood() -> None:
    session = new()
    server = made(VLLMSession, session)

    events = converse(session, server, talk("one two", "three four", "five"), ends=[1.0, 2.5])

    assert texts(events) == ["one two", "three four", "five"]
    assert server.book.violations == []
