"""Messages as on the pages "Real-time multimodal: client events" and "server events"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrcli.errors import Retry
from asrcli.protocol.dialogue import State
from asrcli.protocol.events import Event, Failed, Finished, Hypothesis, Noted, Started, Usage
from asrcli.protocol.realtime import TurnDetection
from asrcli.protocol.realtime_omni import (
    Doubts,
    RealtimeOmni,
    RealtimeOmniOptions,
    transcription_instructions,
)
from tests.emulators.realtime.omni import OmniSession
from tests.emulators.realtime.toy import silence, speak, talk
from tests.protocol.conversation import converse, counting, finals, made, sent, texts

MODEL = "qwen3.5-omni-flash-realtime"
CREATED = """{
  "event_id": "event_1", "type": "session.created",
  "session": {
    "id": "sess_9", "object": "realtime.session", "model": "qwen3.5-omni-flash-realtime",
    "modalities": ["text", "audio"], "voice": "Tina",
    "input_audio_format": "pcm16", "output_audio_format": "pcm24",
    "input_audio_transcription": {"model": "gummy-realtime-v1"},
    "turn_detection": {"type": "server_vad", "threshold": 0.5, "prefix_padding_ms": 300,
                       "silence_duration_ms": 800, "create_response": true,
                       "interrupt_response": true},
    "temperature": 0.8
  }
}"""
UPDATED = CREATED.replace("session.created", "session.updated")
SPEECH_STARTED = (
    '{"type": "input_audio_buffer.speech_started", "audio_start_ms": 1000, "item_id": "U1"}'
)
SPEECH_STOPPED = (
    '{"type": "input_audio_buffer.speech_stopped", "audio_end_ms": 2500, "item_id": "U1"}'
)
COMMITTED = '{"type": "input_audio_buffer.committed", "item_id": "U1"}'
USER_ITEM = (
    '{"type": "conversation.item.created", "item": {"id": "U1", "object": "realtime.item", '
    '"type": "message", "status": "in_progress", "role": "assistant", '
    '"content": [{"type": "input_audio"}]}}'
)
ASIDE = """{
  "type": "conversation.item.input_audio_transcription.delta", "item_id": "U1",
  "content_index": 0, "language": "en", "emotion": "neutral",
  "text": "Hello", "stash": " Ada Lovelock", "obfuscation": "x"
}"""
ASIDE_DONE = """{
  "type": "conversation.item.input_audio_transcription.completed", "item_id": "U1",
  "content_index": 0, "transcript": "Hello Ada Lovelock."
}"""
ASIDE_FAILED = """{
  "type": "conversation.item.input_audio_transcription.failed", "item_id": "U1",
  "content_index": 0, "error": {"code": "x", "message": "no", "param": null}
}"""
RESPONSE = """{
  "type": "response.created",
  "response": {"id": "R1", "object": "realtime.response", "conversation_id": "conv_1",
               "status": "in_progress", "modalities": ["text"], "output": []}
}"""
OUTPUT_ITEM = """{
  "type": "response.output_item.added", "response_id": "R1", "output_index": 0,
  "item": {"id": "A1", "object": "realtime.item", "type": "message", "status": "in_progress",
           "role": "assistant", "content": []}
}"""
PART = """{
  "type": "response.content_part.added", "response_id": "R1", "item_id": "A1",
  "output_index": 0, "content_index": 0, "part": {"type": "text", "text": ""}
}"""
DELTA = """{
  "type": "response.text.delta", "response_id": "R1", "item_id": "A1",
  "output_index": 0, "content_index": 0, "delta": "Hello, Ada Lovelace."
}"""
TEXT_DONE = """{
  "type": "response.text.done", "response_id": "R1", "item_id": "A1",
  "output_index": 0, "content_index": 0, "text": "Hello, Ada Lovelace."
}"""
DONE = """{
  "type": "response.done",
  "response": {
    "id": "R1", "object": "realtime.response", "conversation_id": "conv_1",
    "status": "completed", "modalities": ["text"],
    "output": [{"id": "A1", "object": "realtime.item", "type": "message", "status": "completed",
                "role": "assistant",
                "content": [{"type": "text", "text": "Hello, Ada Lovelace."}]}],
    "usage": {"total_tokens": 377, "input_tokens": 336, "output_tokens": 41,
              "input_tokens_details": {"text_tokens": 228, "audio_tokens": 108},
              "output_tokens_details": {"text_tokens": 9, "audio_tokens": 32}}
  }
}"""
INVALID = """{
  "type": "error",
  "error": {"type": "invalid_request_error", "code": "invalid_value", "message": "no such event",
            "param": null}
}"""
ANSWER = (RESPONSE, OUTPUT_ITEM, PART, DELTA, TEXT_DONE, DONE)
UTTERANCE = (SPEECH_STARTED, SPEECH_STOPPED, COMMITTED, USER_ITEM)


def new(**options: Any) -> RealtimeOmni:
    model, doubts = options.pop("model", MODEL), options.pop("doubts", None)
    asked = RealtimeOmniOptions(model=model, **options)
    return RealtimeOmni(asked, doubts=doubts, make_id=counting())


def running(**options: Any) -> RealtimeOmni:
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
def session() -> RealtimeOmni:
    return running()


def told(session: RealtimeOmni, *messages: str) -> list[Event]:
    for message in messages:
        session.receive(message)
    return session.events_received()


def second(message: str) -> str:
    for name in ("U", "R", "A"):
        message = message.replace(f'"{name}1"', f'"{name}2"')
    return message


def configuration(**options: Any) -> dict[str, Any]:
    session = new(**options)
    session.start()
    session.receive(CREATED)
    (message,) = sent(session)
    asked = message["session"]
    assert isinstance(asked, dict)
    return asked


# --- out ------------------------------------------------------------------------------------------


def test_the_configuration_asks_for_text_alone_and_names_no_format() -> None:
    asked = configuration(
        instructions="Write it down.", turns=TurnDetection("semantic_vad", 0.3, 600)
    )

    assert asked == {
        "modalities": ["text"],
        "instructions": "Write it down.",
        "turn_detection": {
            "type": "semantic_vad",
            "threshold": 0.3,
            "silence_duration_ms": 600,
        },
        "temperature": 0.1,
        "max_tokens": 2048,
    }


def test_another_sample_rate_is_named_in_the_nested_form() -> None:
    asked = configuration(sample_rate=8000)

    assert asked["audio"] == {"input": {"format": {"type": "pcm", "sample_rate": 8000}}}
    assert "input_audio_format" not in asked


def test_a_model_with_one_sample_rate_refuses_others() -> None:
    with pytest.raises(ValueError, match="16000"):
        RealtimeOmniOptions(model="qwen3-omni-flash-realtime", sample_rate=8000)


def test_the_older_family_is_asked_for_the_written_style() -> None:
    assert configuration(model="qwen3-omni-flash-realtime")["smooth_output"] is False


def test_a_recognizer_is_asked_for_where_there_is_none() -> None:
    session = new()
    session.start()
    session.receive(CREATED.replace('{"model": "gummy-realtime-v1"}', "null"))

    (message,) = sent(session)
    assert message["session"]["input_audio_transcription"] == {"model": "qwen3-asr-flash-realtime"}


def test_a_recognizer_that_is_refused_is_done_without() -> None:
    session = new()
    session.start()
    session.receive(CREATED.replace('{"model": "gummy-realtime-v1"}', "null"))
    session.messages_to_send()
    blamed = INVALID.replace('"param": null', '"param": "session.input_audio_transcription.model"')

    events = told(session, blamed, UPDATED.replace('{"model": "gummy-realtime-v1"}', "null"))

    (again,) = sent(session)
    assert "input_audio_transcription" not in again["session"]
    assert events == [Started("sess_9", MODEL)]


def test_instructions_hold_language_words_and_context() -> None:
    text = transcription_instructions(
        language="Swahili", prompt="a board meeting", hotwords=["Ada", "Grace"], emotion=True
    )

    for part in ("in Swahili", "a board meeting", "Ada, Grace", "emotion: "):
        assert part in text
    assert "emotion" not in transcription_instructions()


def test_the_end_of_an_utterance_is_committed_and_an_answer_asked_for() -> None:
    session = running(turns=None)
    session.end_utterance()
    commit = [message["type"] for message in sent(session)]

    session.receive(COMMITTED)

    assert commit == ["input_audio_buffer.commit"]
    (create,) = sent(session)
    assert create["type"] == "response.create"
    assert create["response"] == {"modalities": ["text"]}


def test_audio_waits_while_an_utterance_is_answered() -> None:
    session = running(turns=None)
    accepted = [session.accepts_audio]
    session.end_utterance()
    for message in (COMMITTED, *ANSWER):
        accepted.append(session.accepts_audio)
        session.receive(message)
    accepted.append(session.accepts_audio)

    assert accepted == [True, *[False] * 7, True]


def test_an_answer_is_asked_for_once() -> None:
    session = running(turns=None)
    session.end_utterance()
    session.receive(COMMITTED)
    session.receive(COMMITTED)

    assert [message["type"] for message in sent(session)].count("response.create") == 1


# --- in -------------------------------------------------------------------------------------------


def test_the_answer_is_the_text_and_grows_past_what_the_recognizer_hears(
    session: RealtimeOmni,
) -> None:
    events = told(session, *UTTERANCE, ASIDE, ASIDE_DONE, *ANSWER)

    heard = [(e.text, e.final) for e in events if isinstance(e, Hypothesis)]
    assert heard == [
        ("Hello Ada Lovelock", False),
        ("Hello, Ada Lovelace.", False),
        ("Hello, Ada Lovelace.", True),
    ]
    (final,) = finals(events)
    assert (final.start, final.end, final.language) == (1.0, 2.5, "en")
    assert session.acknowledged == 2.5


def test_the_answer_is_taken_without_waiting_for_the_recognizer(session: RealtimeOmni) -> None:
    assert texts(told(session, *UTTERANCE, *ANSWER)) == ["Hello, Ada Lovelace."]
    assert texts(told(session, ASIDE_DONE)) == []


@pytest.mark.parametrize("status", ["cancelled", "incomplete", "failed"])
def test_an_answer_that_was_cut_short_gives_way_to_the_recognizer(
    session: RealtimeOmni, status: str
) -> None:
    cut = DONE.replace('"status": "completed", "modalities"', f'"status": "{status}", "modalities"')

    before = told(session, *UTTERANCE, RESPONSE, DELTA, cut)
    (final,) = finals(told(session, ASIDE_DONE))

    assert texts(before) == []
    assert before[-1] == Noted("answer", f"an answer was {status}; the text beside it is taken")
    assert (final.text, final.complete) == ("Hello Ada Lovelock.", True)


def test_an_empty_answer_gives_way_to_the_recognizer(session: RealtimeOmni) -> None:
    empty = DONE.replace("Hello, Ada Lovelace.", "")

    assert texts(told(session, *UTTERANCE, ASIDE_DONE, RESPONSE, empty)) == ["Hello Ada Lovelock."]


def test_an_answer_that_was_cut_short_is_kept_where_nothing_else_was_heard(
    session: RealtimeOmni,
) -> None:
    cut = DONE.replace('"status": "completed", "modalities"', '"status": "failed", "modalities"')

    (final,) = finals(told(session, *UTTERANCE, RESPONSE, DELTA, cut, ASIDE_FAILED))

    assert final.text == "Hello, Ada Lovelace."


def test_text_where_the_recognizer_heard_none_is_noted(session: RealtimeOmni) -> None:
    silent = ASIDE_DONE.replace("Hello Ada Lovelock.", "")

    events = told(session, *UTTERANCE, silent, *ANSWER)

    assert texts(events) == ["Hello, Ada Lovelace."]
    assert any(isinstance(event, Noted) and event.name == "unheard" for event in events)


def test_an_utterance_that_is_never_answered_gives_way_once_the_next_is(
    session: RealtimeOmni,
) -> None:
    later = [second(message) for message in (*UTTERANCE, *ANSWER)]

    events = told(session, *UTTERANCE, ASIDE_DONE, *later)

    assert texts(events) == ["Hello Ada Lovelock.", "Hello, Ada Lovelace."]


def test_the_service_s_own_item_tells_which_utterance_is_answered(session: RealtimeOmni) -> None:
    answer_of_first = USER_ITEM.replace('"item": {"id": "U1"', '"item": {"id": "A1"').replace(
        '"type": "conversation.item.created"',
        '"type": "conversation.item.created", "previous_item_id": "U1"',
    )
    both = [*UTTERANCE, *(second(message) for message in UTTERANCE)]

    events = told(session, *both, RESPONSE, answer_of_first, OUTPUT_ITEM, DELTA, DONE)

    assert [(final.utterance, final.text) for final in finals(events)] == [
        ("U1", "Hello, Ada Lovelace.")
    ]


def test_names_of_answers_with_sound_are_understood(session: RealtimeOmni) -> None:
    sounding = [
        message.replace("response.text", "response.audio_transcript")
        for message in (RESPONSE, DELTA, TEXT_DONE.replace('"text":', '"transcript":'))
    ]
    done = DONE.replace('"type": "text", "text"', '"type": "audio", "transcript"')

    assert texts(told(session, *UTTERANCE, *sounding, done)) == ["Hello, Ada Lovelace."]


def test_without_answers_the_recognizer_s_text_is_taken() -> None:
    session = running(respond=False)

    events = told(session, *UTTERANCE, ASIDE, *ANSWER, ASIDE_DONE)

    assert texts(events) == ["Hello Ada Lovelock."]


def test_the_cost_of_all_answers_is_added_up(session: RealtimeOmni) -> None:
    told(session, *UTTERANCE, *ANSWER)
    told(session, *(second(message) for message in (*UTTERANCE, *ANSWER)), DONE)
    session.finish()
    session.receive(UPDATED)
    session.timed_out()

    assert session.events_received() == [Finished(Usage(tokens_in=672, tokens_out=82))]


@pytest.mark.parametrize(
    ("answer", "text", "emotion"),
    [
        ("Hello.\nemotion: happy", "Hello.", "happy"),
        ("Hello.\n**Emotion:** Sad.", "Hello.", "sad"),
        ("Hello.\nemotion: bored", "Hello.", None),
        ("Hello.", "Hello.", None),
        ("emotion: neutral", "", "neutral"),
        ("My emotion: happy", "My emotion: happy", None),
    ],
)
def test_the_emotion_is_a_line_of_its_own(answer: str, text: str, emotion: str | None) -> None:
    session = running(emotion=True)
    done = DONE.replace("Hello, Ada Lovelace.", answer.replace("\n", "\\n"))
    silent = ASIDE_DONE.replace("Hello Ada Lovelock.", "")

    (final,) = finals(told(session, *UTTERANCE, silent, RESPONSE, done))

    assert (final.text, final.emotion) == (text, emotion)


def test_a_line_that_becomes_the_emotion_is_not_shown() -> None:
    session = running(emotion=True)
    events = told(session, *UTTERANCE, RESPONSE)
    for delta in ("Hello.", "\n", "emo", "tion: hap"):
        events += told(session, DELTA.replace('"Hello, Ada Lovelace."', json.dumps(delta)))

    assert {event.text for event in events if isinstance(event, Hypothesis)} == {"Hello."}


# --- the end --------------------------------------------------------------------------------------


def test_at_the_end_silence_makes_the_service_end_the_utterance(session: RealtimeOmni) -> None:
    before = session.sent
    session.finish()

    *messages, last = sent(session)
    assert {message["type"] for message in messages} == {"input_audio_buffer.append"}
    assert last["type"] == "session.update"
    assert set(last["session"]) == {"temperature"}
    assert sum(len(message["audio"]) for message in messages) * 3 // 4 / 32_000 >= 0.9
    assert session.sent == before


def test_the_end_has_come_when_all_is_answered_and_nothing_else_comes(
    session: RealtimeOmni,
) -> None:
    told(session, *UTTERANCE)
    session.finish()
    waiting = session.patience
    told(session, *ANSWER, UPDATED)
    drained = session.patience

    session.timed_out()

    assert (waiting, drained) == (10.0, 3.0)
    assert session.state is State.CLOSED


def test_w08_without_a_sign_of_life_at_the_end_a_new_session_is_needed(
    session: RealtimeOmni,
) -> None:
    session.finish()
    patience = session.patience
    session.timed_out()

    assert patience == 5.0
    assert session.failure is not None
    assert (session.failure.code, session.failure.retry) == ("NoSign", Retry.TRANSIENT)


def test_w08_a_complaint_at_the_end_is_a_sign_of_life(session: RealtimeOmni) -> None:
    session.finish()
    told(session, INVALID)
    session.timed_out()

    assert session.state is State.CLOSED


def test_w06_the_service_may_close_first_when_all_is_answered(session: RealtimeOmni) -> None:
    to_the_end = SPEECH_STOPPED.replace("2500", "9950")
    told(session, SPEECH_STARTED, to_the_end, COMMITTED, USER_ITEM, *ANSWER)
    session.finish()
    session.closed(1000, "bye")

    assert session.state is State.CLOSED


@pytest.mark.parametrize(
    ("messages", "answered"),
    [((), 0.0), (UTTERANCE, 0.5), ((*UTTERANCE, *ANSWER), 2.5)],
    ids=["nothing", "one that is open", "one that is answered"],
)
def test_w06_a_close_with_1000_before_all_was_answered_is_a_failure(
    session: RealtimeOmni, messages: tuple[str, ...], answered: float
) -> None:
    told(session, *messages)
    session.finish()
    session.closed(1000, "bye")

    assert session.failure is not None
    assert session.failure.retry is Retry.TRANSIENT
    assert session.acknowledged == answered


@pytest.mark.parametrize("end", ["silence", "1000"])
def test_a_service_that_ends_without_an_answer_each_time_is_believed(end: str) -> None:
    doubts = Doubts()
    states = []
    for _ in range(3):
        session = running(doubts=doubts)
        session.finish()
        if end == "silence":
            session.timed_out()
        else:
            session.closed(1000, "bye")
        states.append(session.state)

    assert states == [State.FAILED, State.FAILED, State.CLOSED]


def test_doubts_begin_anew_with_each_final() -> None:
    doubts = Doubts(2)
    session = running(doubts=doubts)
    told(session, *UTTERANCE, *ANSWER)
    session.finish()
    session.timed_out()

    assert session.state is State.FAILED


def test_in_manual_mode_the_rest_is_committed_and_the_end_is_known_exactly() -> None:
    session = running(turns=None)
    session.finish()
    commit = [message["type"] for message in sent(session)]

    events = told(session, COMMITTED, *ANSWER)

    assert commit == ["input_audio_buffer.commit"]
    assert texts(events) == ["Hello, Ada Lovelace."]
    assert isinstance(events[-1], Finished)


def test_the_end_waits_for_all_that_was_committed() -> None:
    session = running(turns=None, respond=False)
    session.end_utterance()
    session.send_audio(silence(1.0))
    session.end_utterance()
    session.finish()

    first = told(session, COMMITTED, second(COMMITTED), ASIDE_DONE)
    rest = told(session, second(ASIDE_DONE))

    assert texts(first) == ["Hello Ada Lovelock."]
    assert not any(isinstance(event, Finished) for event in first)
    assert [(final.start, final.end) for final in finals(rest)] == [(10.0, 11.0)]
    assert isinstance(rest[-1], Finished)


def test_finishing_while_an_utterance_is_answered_waits_for_it() -> None:
    session = running(turns=None)
    session.end_utterance()
    told(session, COMMITTED)
    session.finish()
    state = session.state

    events = told(session, *ANSWER)

    assert state is State.FINISHING
    assert isinstance(events[-1], Finished)


def test_the_finishing_message_is_sent_on_demand_and_may_be_refused() -> None:
    session = running(turns=None, finish_message=True)
    session.finish()
    session.receive(COMMITTED)
    for message in ANSWER:
        session.receive(message)
    asked = [message["type"] for message in sent(session)]
    session.receive(INVALID)
    session.timed_out()

    assert asked[-1] == "session.finish"
    assert session.state is State.CLOSED


# --- what goes wrong ------------------------------------------------------------------------------


def test_a_commit_that_is_not_taken_needs_a_new_session() -> None:
    session = running(turns=None)
    session.end_utterance()
    patience = session.patience

    session.timed_out()

    assert patience == 5.0
    assert session.failure is not None
    assert (session.failure.code, session.failure.retry) == ("NoCommit", Retry.TRANSIENT)
    assert session.acknowledged == 0.0


def test_an_answer_that_does_not_end_is_cancelled_and_what_there_is_is_taken() -> None:
    session = running(turns=None)
    session.end_utterance()
    told(session, COMMITTED, RESPONSE, DELTA)
    session.messages_to_send()
    patience = session.patience

    session.timed_out()

    assert patience == 30.0
    assert [message["type"] for message in sent(session)] == ["response.cancel"]
    (final,) = finals(session.events_received())
    assert (final.text, final.complete) == ("Hello, Ada Lovelace.", False)
    assert session.accepts_audio


def test_an_utterance_without_any_text_after_all_patience_needs_a_new_session() -> None:
    session = running(turns=None)
    session.end_utterance()
    told(session, COMMITTED)

    session.timed_out()

    assert session.failure is not None
    assert (session.failure.code, session.failure.retry) == ("NoAnswer", Retry.TRANSIENT)


def test_a_refused_answer_gives_way_to_the_recognizer() -> None:
    session = running(turns=None)
    session.end_utterance()

    events = told(session, COMMITTED, INVALID, ASIDE_DONE)

    assert texts(events) == ["Hello Ada Lovelock."]
    assert session.accepts_audio


def test_answers_that_belong_to_no_utterance_are_ignored(session: RealtimeOmni) -> None:
    assert told(session, *ANSWER) == []


def test_an_answer_told_twice_is_taken_once(session: RealtimeOmni) -> None:
    assert texts(told(session, *UTTERANCE, *ANSWER, *ANSWER)) == ["Hello, Ada Lovelace."]


def test_an_answer_that_is_begun_twice_is_not_taken_for_the_next_utterance(
    session: RealtimeOmni,
) -> None:
    told(session, *UTTERANCE, *ANSWER)

    events = told(session, *(second(m) for m in UTTERANCE), RESPONSE, *(second(m) for m in ANSWER))

    assert [(final.utterance, final.text) for final in finals(events)] == [
        ("U2", "Hello, Ada Lovelace.")
    ]


def test_w13_the_rule_of_120_minutes_is_data() -> None:
    limits = new().limits

    assert limits.session == 7200.0
    assert limits.renew_after is not None
    assert limits.renew_after < 7200.0


def test_a_failure_keeps_the_text_so_far(session: RealtimeOmni) -> None:
    told(session, *UTTERANCE, ASIDE)
    session.closed(1000, "session limit")
    failure = session.events_received()[-1]
    session.give_up()

    assert isinstance(failure, Failed)
    assert [(f.text, f.complete) for f in finals(session.events_received())] == [
        ("Hello Ada Lovelock", False)
    ]


# --- with the emulated service --------------------------------------------------------------------

AUDIO = talk("one two three", "four five", pause=1.5) + speak("six")


@pytest.mark.parametrize("transcribes", ["delta", "completed", "failed", "none"])
@pytest.mark.parametrize("model", [MODEL, "qwen3-omni-flash-realtime"])
def test_the_emulated_service_is_understood(model: str, transcribes: str) -> None:
    session = new(model=model)
    service = made(OmniSession, session, transcribes=transcribes)

    events = converse(session, service, AUDIO)

    assert texts(events) == ["one two three", "four five", "six"]
    assert isinstance(events[-1], Finished)
    assert service.book.violations == []


@pytest.mark.parametrize("finishes", ["reject", "ignore", "finished"])
def test_the_emulated_service_is_understood_in_manual_mode(finishes: str) -> None:
    session = new(turns=None, finish_message=True)
    service = made(OmniSession, session, finishes=finishes)

    events = converse(session, service, AUDIO, ends=[1.5, 3.5])

    assert texts(events) == ["one two three", "four five", "six"]
    assert isinstance(events[-1], Finished)
    blamed = ["an event of unknown type: session.finish"]
    assert set(service.book.violations) <= set(blamed)


def test_answers_that_the_emulated_service_cuts_give_way_to_its_recognizer() -> None:
    session = new(emotion=True, instructions=transcription_instructions(emotion=True))
    service = made(OmniSession, session, statuses=["cancelled", "completed", "incomplete"])

    events = converse(session, service, AUDIO)

    assert texts(events) == ["one two three", "four five", "six"]
    assert all(final.emotion == "neutral" for final in finals(events))
