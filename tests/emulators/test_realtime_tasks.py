"""The emulated run-task dialogue, asked by a plain WebSocket client."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulators.realtime import RealtimeEmulator
from tests.emulators.realtime.client import (
    Client,
    begun,
    command,
    finals,
    run_task,
    sentences,
)
from tests.emulators.realtime.toy import hear, silence, speak, talk


@pytest.fixture
def service() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator(listen=hear) as service:
        yield service


@pytest.fixture
def task(service: RealtimeEmulator) -> Iterator[Client]:
    """A task that was begun."""
    with begun(service) as client:
        yield client


def test_a_task_hears_the_words_that_arrived(task: Client) -> None:
    task.speak(silence(0.5) + talk("one two three", pause=2.0) + speak("four"))
    task.send(command("finish-task"))

    events = task.until("task-finished")

    assert finals(events) == ["one two three", "four"]
    first = sentences(events)[0]
    assert (first["text"], first["sentence_begin"], first["end_time"]) == ("", True, None)
    last = sentences(events)[-1]
    assert (last["begin_time"], last["end_time"]) == (3200, 3400)
    assert last["words"] == [
        {"begin_time": 3200, "end_time": 3400, "text": "four", "punctuation": ""}
    ]


def test_partials_come_while_audio_arrives_and_finals_at_pauses(task: Client) -> None:
    task.speak(speak("one two three four") + silence(0.3))
    growing = [task.receive() for _ in range(4)]
    task.speak(silence(1.3))
    (end,) = [task.receive()]

    texts = [s["text"] for s in sentences(growing)]
    assert texts == ["", "one", "one two three", "one two three four"]
    assert finals([*growing, end]) == ["one two three four"]
    assert end["payload"]["usage"] == {"duration": 3}


def test_sound_without_words_is_no_pause(task: Client) -> None:
    hum = b"\x00\x08" * 16_000
    task.speak(speak("one") + hum)
    heard = task.until("result-generated") + task.until("result-generated")
    task.speak(hum + silence(1.4))

    assert finals(heard) == []
    assert finals([task.receive()]) == ["one"]


def test_audio_that_did_not_arrive_is_not_heard(task: Client) -> None:
    audio = speak("one two three")
    task.speak(audio[:8000] + audio[12_800:])
    task.send(command("finish-task"))

    assert finals(task.until("task-finished")) == ["one three"]


def test_audio_at_another_rate_than_was_said_is_not_heard(task: Client) -> None:
    task.speak(speak("one two", rate=8000))
    task.send(command("finish-task"))

    assert finals(task.until("task-finished")) == []


def test_several_tasks_may_follow_each_other(service: RealtimeEmulator, task: Client) -> None:
    task.speak(speak("one"))
    task.send(command("finish-task"))
    task.until("task-finished")
    task.send(run_task("f" * 32))
    task.until("task-started")
    task.speak(speak("two"))
    task.send(command("finish-task", "f" * 32))

    assert finals(task.until("task-finished")) == ["two"]
    assert len(service.accepted) == 1


def test_long_silence_without_heartbeat_ends_the_task() -> None:
    with RealtimeEmulator(listen=hear, silence_limit=5.0) as service:
        client = Client(service.base_url + "/inference")
        client.send(run_task(heartbeat=False))
        client.until("task-started")
        client.speak(silence(5.0))
        events, code = client.rest()

    assert [e["header"]["error_code"] for e in events] == ["RequestTimeOut"]
    assert code == 1000


def test_long_silence_with_heartbeat_is_answered_with_heartbeats(task: Client) -> None:
    task.speak(silence(21.0), 12_800)

    beats = [sentences([task.receive()])[0] for _ in range(2)]
    assert [(beat["sentence_id"], beat["heartbeat"]) for beat in beats] == [(0, True)] * 2


def test_a_task_that_gets_nothing_fails_after_its_limit() -> None:
    with RealtimeEmulator(listen=hear, idle_limit=0.05) as service:
        client = Client(service.base_url + "/inference")
        client.send(run_task())
        events, _ = client.rest()

    assert events[-1]["header"]["error_message"] == "request timeout after 23 seconds."


@pytest.mark.parametrize(
    ("message", "code", "words"),
    [
        (run_task(model="qwen3-asr-flash-realtime"), "Model.NotExist", "not exist"),
        (run_task(format="flac"), "UNSUPPORTED_FORMAT", "flac"),
        (run_task(heartbeet=True), "InvalidParameter", "heartbeet"),
        (run_task(max_sentence_silence=100), "InvalidParameter", "max_sentence_silence"),
        (run_task(language_hints="en"), "InvalidParameter", "language_hints"),
        (run_task(speech_noise_threshold=2), "InvalidParameter", "speech_noise_threshold"),
        (run_task(vocabulary={"x": 1}), "InvalidParameter", "vocabulary"),
        (run_task(model="fun-asr-flash-8k-realtime"), "InvalidParameter", "sample_rate"),
        (run_task(model="gummy-realtime-v1"), "InvalidParameter", "heartbeat"),
        (command("run-task", model="x"), "InvalidParameter", "task can not be null"),
        (command("run-task", input={}), "InvalidParameter", "payload.model"),
        (command("finish-task"), "InvalidParameter", "no such task"),
    ],
)
def test_a_wrong_beginning_fails_with_its_code(
    service: RealtimeEmulator, message: dict[str, Any], code: str, words: str
) -> None:
    with Client(service.base_url + "/inference") as client:
        client.send(message)
        events, _ = client.rest()

    (failure,) = events
    assert failure["header"]["error_code"] == code
    assert words in failure["header"]["error_message"]


@pytest.mark.parametrize("message", ["not JSON", "[]", '{"header": {"action": "run-task"}}'])
def test_a_message_that_cannot_be_read_closes_the_connection(
    service: RealtimeEmulator, message: str
) -> None:
    with Client(service.base_url + "/inference") as client:
        client.send(message)

        assert client.rest() == ([], 1007)


def test_audio_before_the_task_is_refused(service: RealtimeEmulator) -> None:
    with Client(service.base_url + "/inference") as client:
        client.send(silence(0.1))
        events, _ = client.rest()

    assert events[0]["header"]["error_message"] == "audio came before run-task"
    assert "audio outside of a task" in service.violations


def test_frames_of_the_wrong_size_are_violations(service: RealtimeEmulator, task: Client) -> None:
    for size in (20_000, 100, 3201):
        task.send(bytes(size))
    task.send(command("finish-task"))
    task.until("task-finished")

    assert service.violations == [
        "a frame of 20000 bytes",
        "a frame of 100 bytes that was not the last",
        "a frame that ends within a sample",
    ]


def test_a_wav_header_in_what_was_said_to_be_pcm_fails(task: Client) -> None:
    task.send(b"RIFF" + bytes(3196))

    (failure,), _ = task.rest()
    assert "Failed to decode audio" in failure["header"]["error_message"]


def test_a_task_without_audio_fails(task: Client) -> None:
    task.send(command("finish-task"))

    (failure,), _ = task.rest()
    assert failure["header"]["error_code"] == "NO_INPUT_AUDIO_ERROR"


def test_a_second_task_at_the_same_time_fails(task: Client) -> None:
    task.send(run_task("f" * 32))

    assert task.rest()[0][0]["header"]["error_code"] == "InvalidParameter"
