"""Messages as on the pages "Fun-ASR client events" and "Fun-ASR server events"."""

from __future__ import annotations

import json
from typing import Any

import pytest

from asrcli.errors import ModelRefusedError, NetworkError, RefusedError, Retry, ServiceError
from asrcli.protocol.dialogue import State
from asrcli.protocol.events import (
    Event,
    Failed,
    Finished,
    Hypothesis,
    Noted,
    SpeechStarted,
    Started,
    Usage,
)
from asrcli.protocol.run_task import RunTask, RunTaskOptions
from asrcli.transcript import Timing, Word
from tests.emulators.realtime.run_task import TaskSession
from tests.emulators.realtime.toy import silence, speak, talk
from tests.protocol.conversation import converse, finals, made, sent, texts

TASK = "2bf83b9a0bafda8d9a2bf83b9a0bafda"
STARTED = (
    '{"header": {"task_id": "2bf83b9a0bafda8d9a2bf83b9a0bafda", "event": "task-started", '
    '"attributes": {}}, "payload": {}}'
)
FINISHED = (
    '{"header": {"task_id": "2bf83b9a0bafda8d9a2bf83b9a0bafda", "event": "task-finished", '
    '"attributes": {}}, "payload": {"output": {}, "usage": null}}'
)
TIMEOUT = (
    '{"header": {"task_id": "2bf83b9a0bafda8d9a2bf83b9a0bafda", "event": "task-failed", '
    '"error_code": "CLIENT_ERROR", "error_message": "request timeout after 23 seconds.", '
    '"attributes": {}}, "payload": {}}'
)
FINAL = """{
  "header": {
    "task_id": "2bf83b9a0bafda8d9a2bf83b9a0bafda", "event": "result-generated", "attributes": {}
  },
  "payload": {
    "output": {
      "sentence": {
        "sentence_id": 1, "begin_time": 170, "end_time": 920, "text": "Okay, got it.",
        "heartbeat": false, "sentence_begin": false, "sentence_end": true,
        "words": [
          {"begin_time": 170, "end_time": 295, "text": "Okay", "punctuation": ","},
          {"begin_time": 295, "end_time": 503, "text": " got", "punctuation": ""},
          {"begin_time": 503, "end_time": 920, "text": " it", "punctuation": ".", "fixed": true}
        ]
      }
    },
    "usage": {"duration": 3}
  }
}"""


def new(**options: Any) -> RunTask:
    return RunTask(RunTaskOptions(model="fun-asr-realtime", **options), make_id=lambda: TASK)


@pytest.fixture
def task() -> RunTask:
    """A task that runs and has sent 10 s of audio."""
    task = new()
    task.start()
    task.receive(STARTED)
    task.send_audio(silence(10.0))
    task.messages_to_send()
    task.events_received()
    return task


def sentence(number: int | None = 1, **fields: Any) -> str:
    known: dict[str, Any] = {
        "begin_time": 500,
        "end_time": None,
        "text": "",
        "sentence_end": False,
        "words": [],
    }
    if number is not None:
        known["sentence_id"] = number
    return result({"sentence": known | fields})


def result(output: Any, **payload: Any) -> str:
    header = {"task_id": TASK, "event": "result-generated", "attributes": {}}
    return json.dumps({"header": header, "payload": {"output": output, **payload}})


def ended(number: int | None, text: str, begin: int, end: int) -> str:
    return sentence(number, text=text, begin_time=begin, end_time=end, sentence_end=True)


def failed(code: str, message: str, **header: str) -> str:
    head = {"task_id": TASK, "event": "task-failed", "error_code": code, "error_message": message}
    return json.dumps({"header": head | header, "payload": {}})


def told(task: RunTask, *messages: str) -> list[Event]:
    for message in messages:
        task.receive(message)
    return task.events_received()


# --- out ------------------------------------------------------------------------------------------


def test_the_first_message_is_run_task_as_documented() -> None:
    task = new(languages=("zh",), vocabulary_id="vocab-1", noise_threshold=0.0)
    task.start()

    assert sent(task) == [
        {
            "header": {"action": "run-task", "task_id": TASK, "streaming": "duplex"},
            "payload": {
                "task_group": "audio",
                "task": "asr",
                "function": "recognition",
                "model": "fun-asr-realtime",
                "parameters": {
                    "format": "pcm",
                    "sample_rate": 16000,
                    "language_hints": ["zh"],
                    "vocabulary_id": "vocab-1",
                    "semantic_punctuation_enabled": False,
                    "max_sentence_silence": 800,
                    "heartbeat": True,
                    "speech_noise_threshold": 0.0,
                },
                "input": {},
            },
        }
    ]


def test_semantic_punctuation_leaves_out_what_only_pauses_obey() -> None:
    task = new(semantic=True, long_sentences=False)
    task.start()

    parameters = sent(task)[0]["payload"]["parameters"]
    assert parameters["semantic_punctuation_enabled"] is True
    assert "max_sentence_silence" not in parameters
    assert "multi_threshold_mode_enabled" not in parameters


def test_a_prompt_is_sent_as_context_of_the_user() -> None:
    task = new(prompt="Names: Ada, Grace.")
    task.start()

    content = [{"type": "input_text", "text": "Names: Ada, Grace."}]
    assert sent(task)[0]["payload"]["input"] == {"context": [{"role": "user", "content": content}]}


def test_a_prompt_longer_than_what_is_read_is_noted() -> None:
    task = new(prompt="x" * 401)
    task.start()

    assert task.events_received() == [
        Noted("context", "only 400 characters of the prompt are read")
    ]


def test_gummy_has_its_own_parameters() -> None:
    options = RunTaskOptions(model="gummy-realtime-v1", languages=("en",))

    assert options.parameters() == {
        "format": "pcm",
        "sample_rate": 16000,
        "source_language": "en",
        "transcription_enabled": True,
        "translation_enabled": False,
        "max_end_silence": 800,
    }


def test_further_parameters_overrule_those_that_are_known() -> None:
    options = RunTaskOptions(model="fun-asr-realtime", extra={"heartbeat": False, "new": 1})

    assert options.parameters()["heartbeat"] is False
    assert options.parameters()["new"] == 1


def test_the_workspace_goes_into_a_header() -> None:
    assert new(workspace="ws-1").headers == {"X-DashScope-WorkSpace": "ws-1"}
    assert new().headers == {}


def test_audio_goes_out_in_binary_messages_of_at_most_12800_bytes() -> None:
    task = new()
    task.start()
    task.receive(STARTED)
    task.messages_to_send()

    task.send_audio(bytes(30_000))

    assert [len(message) for message in task.messages_to_send()] == [12_800, 12_800, 4400]
    assert task.sent_samples == 15_000


def test_half_a_sample_is_refused() -> None:
    task = new()
    task.start()
    task.receive(STARTED)

    with pytest.raises(RuntimeError, match="middle of a sample"):
        task.send_audio(bytes(3201))


def test_the_end_is_announced_as_documented(task: RunTask) -> None:
    task.finish()

    assert sent(task) == [
        {
            "header": {"action": "finish-task", "task_id": TASK, "streaming": "duplex"},
            "payload": {"input": {}},
        }
    ]
    assert task.patience == 10.0


def test_a_task_that_is_to_finish_while_it_starts_finishes_as_soon_as_it_runs() -> None:
    task = new()
    task.start()
    task.finish()
    task.messages_to_send()

    task.receive(STARTED)

    assert [message["header"]["action"] for message in sent(task)] == ["finish-task"]
    assert task.state is State.FINISHING


# --- in -------------------------------------------------------------------------------------------


def test_task_started_opens_the_task_for_audio() -> None:
    task = new()
    task.start()

    events = told(task, STARTED)

    assert events == [Started(TASK, "fun-asr-realtime")]
    assert task.accepts_audio
    assert task.patience is None


def test_a_final_sentence_has_times_and_words(task: RunTask) -> None:
    events = told(task, FINAL)

    assert events == [
        SpeechStarted(0.17, "1"),
        Hypothesis(
            text="Okay, got it.",
            utterance="1",
            final=True,
            start=0.17,
            end=0.92,
            timing=Timing.MODEL,
            stable="Okay, got it.",
            words=(Word("Okay,", 0.17, 0.295), Word("got", 0.295, 0.503), Word("it.", 0.503, 0.92)),
        ),
    ]
    assert task.acknowledged == 0.92
    assert task.acknowledged_samples == 14_720


def test_a_sentence_grows_from_nothing_to_its_final(task: RunTask) -> None:
    events = told(
        task,
        sentence(text="", sentence_begin=True),
        sentence(text="good"),
        sentence(text="good morning"),
        ended(1, "Good morning.", 500, 1480),
    )

    assert [type(event).__name__ for event in events] == ["SpeechStarted"] + ["Hypothesis"] * 3
    heard = [event for event in events if isinstance(event, Hypothesis)]
    assert [(h.text, h.final, h.end) for h in heard] == [
        ("good", False, None),
        ("good morning", False, None),
        ("Good morning.", True, 1.48),
    ]


def test_a_heartbeat_is_skipped(task: RunTask) -> None:
    assert told(task, sentence(0, heartbeat=True, text="ignored")) == []


def test_an_end_time_ends_a_sentence_where_servers_say_nothing_else(task: RunTask) -> None:
    message = json.loads(ended(1, "Yes.", 100, 400))
    del message["payload"]["output"]["sentence"]["sentence_end"]

    assert texts(told(task, json.dumps(message))) == ["Yes."]


def test_gummy_calls_it_a_transcription_and_ends_it_only_by_word(task: RunTask) -> None:
    growing = {"sentence_id": 0, "begin_time": 100, "end_time": 700, "text": "Hel", "words": []}
    final = growing | {"text": "Hello.", "end_time": 1500, "sentence_end": True}

    events = told(task, result({"transcription": growing}), result({"transcription": final}))

    heard = [event for event in events if isinstance(event, Hypothesis)]
    assert [(h.text, h.final) for h in heard] == [("Hel", False), ("Hello.", True)]


@pytest.mark.parametrize("place", ["payload", "output"])
def test_usage_is_found_in_both_places(task: RunTask, place: str) -> None:
    usage = {"duration": 7}
    output: dict[str, Any] = json.loads(ended(1, "Yes.", 100, 400))["payload"]["output"]
    if place == "payload":
        task.receive(result(output, usage=usage))
    else:
        task.receive(result(output | {"usage": usage}))
    task.finish()

    assert told(task, FINISHED)[-1] == Finished(Usage(seconds=7.0))


def test_the_usage_of_a_message_that_came_late_does_not_lower_the_count(task: RunTask) -> None:
    output: dict[str, Any] = json.loads(ended(1, "Yes.", 100, 400))["payload"]["output"]
    told(task, result(output, usage={"duration": 7}), result(output, usage={"duration": 3}))
    task.finish()

    assert told(task, FINISHED)[-1] == Finished(Usage(seconds=7.0))


def test_emotion_and_speaker_are_taken_where_they_are_given(task: RunTask) -> None:
    (_, final) = told(
        task,
        sentence(text="hm", emo_tag="positive", speaker_id=2, end_time=900, sentence_end=True),
    )

    assert isinstance(final, Hypothesis)
    assert (final.emotion, final.speaker) == ("positive", "2")


def test_the_end_makes_incomplete_finals_of_what_is_still_open(task: RunTask) -> None:
    task.receive(sentence(text="and then"))
    task.finish()

    events = told(task, FINISHED)

    assert [(final.text, final.complete) for final in finals(events)] == [("and then", False)]
    assert events[-1] == Finished()
    assert task.state is State.CLOSED
    assert task.acknowledged == task.sent


# --- what goes wrong ------------------------------------------------------------------------------


def test_the_documented_failure_can_be_tried_again(task: RunTask) -> None:
    (failure,) = told(task, TIMEOUT)

    assert failure == Failed(
        code="CLIENT_ERROR",
        message="request timeout after 23 seconds.",
        kind=ServiceError,
        retry=Retry.TRANSIENT,
        session_id=TASK,
    )


def test_a_model_that_is_not_there_is_a_mistake_of_the_command_line() -> None:
    task = new()
    task.start()

    (failure,) = told(task, failed("Model.NotExist", "Model not exist."))

    assert isinstance(failure, Failed)
    assert (failure.kind, failure.retry) == (ModelRefusedError, Retry.NEVER)


@pytest.mark.parametrize(
    ("begun", "kind", "retry"),
    [(False, RefusedError, Retry.NEVER), (True, ServiceError, Retry.TRANSIENT)],
)
def test_an_unknown_code_is_final_before_the_task_runs_and_passing_after(
    *, begun: bool, kind: type, retry: Retry
) -> None:
    task = new()
    task.start()
    if begun:
        task.receive(STARTED)
        task.events_received()

    (failure,) = told(task, failed("NOVEL", "something new", request_id="r"))

    assert isinstance(failure, Failed)
    assert (failure.kind, failure.retry, failure.request_id) == (kind, retry, "r")


def test_the_text_so_far_is_kept_when_the_task_fails(task: RunTask) -> None:
    task.receive(ended(1, "Kept.", 0, 900))
    task.receive(sentence(2, text="and this", begin_time=1500))

    events = told(task, TIMEOUT)
    task.give_up()

    assert texts(events) == ["Kept."]
    assert [(h.text, h.complete) for h in finals(task.events_received())] == [("and this", False)]
    assert task.acknowledged == pytest.approx(1.0)


def test_messages_of_another_task_are_ignored(task: RunTask) -> None:
    events = told(task, FINAL.replace(TASK, "0" * 32))

    assert events == [Noted("foreign", "it sent a message of another task")]


def test_a_task_that_ends_before_it_was_told_to_may_be_tried_again(task: RunTask) -> None:
    (failure,) = told(task, FINISHED)

    assert isinstance(failure, Failed)
    assert failure.retry is Retry.TRANSIENT


def test_w11_a_final_that_comes_twice_is_told_once(task: RunTask) -> None:
    events = told(
        task, ended(1, "One.", 0, 900), ended(1, "One again.", 0, 900), ended(2, "Two.", 1000, 1900)
    )

    assert texts(events) == ["One.", "Two."]
    assert task.notes["late"] == 1


def test_w11_a_partial_after_its_final_is_dropped(task: RunTask) -> None:
    events = told(task, ended(1, "One.", 0, 900), sentence(1, text="On", begin_time=0))

    assert [event.text for event in events if isinstance(event, Hypothesis)] == ["One."]


def test_w11_a_final_may_be_shorter_than_its_partials(task: RunTask) -> None:
    events = told(task, sentence(text="one two three"), ended(1, "One.", 500, 900))

    assert texts(events) == ["One."]


def test_w11_sentences_are_told_in_order_even_if_the_second_ends_first(task: RunTask) -> None:
    events = told(
        task,
        sentence(1, text="one", begin_time=0),
        ended(2, "Two.", 1000, 1900),
        ended(1, "One.", 0, 900),
    )

    assert texts(events) == ["One.", "Two."]


def test_a_final_that_waits_its_turn_does_not_change_any_more(task: RunTask) -> None:
    events = told(
        task,
        sentence(1, text="one", begin_time=0),
        ended(2, "Two.", 1000, 1900),
        sentence(2, text="tw", begin_time=1000),
        ended(2, "Too.", 1000, 1900),
        ended(1, "One.", 0, 900),
    )

    assert texts(events) == ["One.", "Two."]


def test_noise_that_began_a_sentence_holds_nothing_back(task: RunTask) -> None:
    events = told(task, sentence(1, text="", begin_time=0), ended(2, "Two.", 1000, 1900))

    assert texts(events) == ["Two."]


def test_servers_without_sentence_ids_are_understood(task: RunTask) -> None:
    events = told(
        task,
        sentence(None, text="one", begin_time=0),
        ended(None, "One.", 0, 900),
        ended(None, "One.", 0, 900),
        ended(None, "Two.", 900, 1900),
    )

    assert texts(events) == ["One.", "Two."]


def test_servers_that_number_all_sentences_alike_are_understood(task: RunTask) -> None:
    events = told(
        task,
        ended(1, "One.", 0, 900),
        sentence(1, text="tw", begin_time=1000),
        ended(1, "Two.", 1000, 1900),
        ended(1, "Two.", 1000, 1900),
        ended(1, "Three.", 2500, 3000),
    )

    assert texts(events) == ["One.", "Two.", "Three."]


def test_numbers_written_as_texts_are_read(task: RunTask) -> None:
    message = sentence("3", text="x", begin_time="100", end_time="400", sentence_end=True)  # type: ignore[arg-type]

    (final,) = finals(told(task, message))

    assert (final.start, final.end, final.utterance) == (0.1, 0.4, "3")


@pytest.mark.parametrize("strange", ["NaN", "Infinity", "-5", "1e400", "{}", "true", "1e15"])
def test_times_that_cannot_be_are_left_out(task: RunTask, strange: str) -> None:
    message = ended(1, "Said.", 100, 400).replace('"end_time": 400', f'"end_time": {strange}')

    (final,) = finals(told(task, message))

    assert final.text == "Said."
    assert final.end in {None, 0.1}
    assert 0 <= task.acknowledged <= task.sent


@pytest.mark.parametrize("missing", ["sentence_id", "begin_time", "words", "end_time"])
def test_a_sentence_lacking_a_field_still_gives_its_text(task: RunTask, missing: str) -> None:
    message = json.loads(ended(1, "Said.", 100, 400))
    del message["payload"]["output"]["sentence"][missing]

    assert texts(told(task, json.dumps(message))) == ["Said."]


@pytest.mark.parametrize(
    "message",
    [
        f'{{"header": {{"task_id": "{TASK}", "event": "result-generated"}}}}',
        result(None),
        result({"sentence": [1]}),
        result({"sentence": {"words": "none", "text": 5}}),
        result({"sentence": {"words": [None, {"text": "x"}], "text": "x", "sentence_id": 1e99}}),
    ],
)
def test_results_of_another_shape_do_no_harm(task: RunTask, message: str) -> None:
    told(task, message)

    assert task.state is State.RUNNING


def test_a_final_without_an_end_leaves_the_last_second_unanswered(task: RunTask) -> None:
    told(task, sentence(text="Said.", sentence_end=True))

    assert task.acknowledged == 9.0


def test_the_beginning_of_a_sentence_answers_for_the_silence_before_it(task: RunTask) -> None:
    told(task, sentence(text="", begin_time=8000))

    assert task.acknowledged == 7.5


def test_a_result_before_the_task_runs_is_ignored() -> None:
    task = new()
    task.start()

    assert texts(told(task, FINAL)) == []


def test_a_stream_that_ends_before_any_audio_was_sent_is_no_failure() -> None:
    task = new()
    task.start()
    task.receive(STARTED)
    task.finish()

    events = told(task, failed("NO_INPUT_AUDIO_ERROR", "no audio"))

    assert events[-1] == Finished()


def test_w12_last_words_that_do_not_come_are_waited_for_and_then_given_up(task: RunTask) -> None:
    task.receive(sentence(text="and then"))
    task.finish()
    task.events_received()

    task.timed_out()

    *rest, failure = task.events_received()
    assert [(final.text, final.complete) for final in finals(rest)] == [("and then", False)]
    assert isinstance(failure, Failed)
    assert (failure.code, failure.kind, failure.retry) == ("NoEnd", ServiceError, Retry.NEVER)


def test_an_aborted_connection_is_a_network_failure(task: RunTask) -> None:
    task.closed(None)

    assert task.failure is not None
    assert task.failure.kind is NetworkError


def test_another_task_may_follow_on_the_same_socket() -> None:
    first, second = new(), RunTask(RunTaskOptions(model="fun-asr-realtime"))
    session = made(TaskSession, first)

    converse(first, session, talk("one two"))
    events = converse(second, session, talk("three"))

    assert texts(events) == ["three"]


# --- with the emulated service --------------------------------------------------------------------


@pytest.mark.parametrize("manners", [{}, {"usage_in_output": True}, {"sentence_ids": False}])
@pytest.mark.parametrize(
    "model", ["fun-asr-realtime", "paraformer-realtime-v2", "gummy-realtime-v1"]
)
def test_the_emulated_service_is_understood(model: str, manners: dict[str, Any]) -> None:
    task = RunTask(RunTaskOptions(model=model, languages=("en",), vocabulary_id="vocab-x"))
    session = made(TaskSession, task, **manners)

    events = converse(task, session, talk("one two three", "four five", pause=1.5) + speak("six"))

    assert texts(events) == ["one two three", "four five", "six"]
    assert isinstance(events[-1], Finished)
    assert session.book.violations == []


def test_the_times_are_those_of_the_audio_that_was_sent() -> None:
    task = new()
    audio = silence(1.0) + talk("one two", pause=2.0) + talk("three")

    events = converse(task, made(TaskSession, task), audio)

    assert [(h.start, h.end) for h in finals(events)] == [(1.0, 1.45), (3.45, 3.65)]
