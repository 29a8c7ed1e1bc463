"""The emulated dialogues in JSON events, asked by a plain WebSocket client."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

import pytest

from tests.emulators.realtime import RealtimeEmulator
from tests.emulators.realtime.client import (
    ASR,
    OMNI,
    Client,
    name_of,
    transcripts,
    update,
    vad,
)
from tests.emulators.realtime.toy import hear, silence, speak, talk


@pytest.fixture
def service() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator(listen=hear) as service:
        yield service


@pytest.fixture
def session(service: RealtimeEmulator) -> Iterator[Client]:
    """A session of the recognizer, configured for pauses of 0.4 s."""
    with Client(service.base_url + ASR) as client:
        client.until("session.created")
        client.send(update(turn_detection=vad(400)))
        client.until("session.updated")
        yield client


# --- qwen3-asr ------------------------------------------------------------------------------------


def test_a_session_hears_the_words_that_arrived(session: Client) -> None:
    session.append(silence(0.5) + talk("one two", "three", pause=0.8))
    session.send({"type": "session.finish"})

    events = session.until("session.finished")

    assert transcripts(events) == ["one two", "three"]
    names = [name_of(event).rsplit(".", 1)[1] for event in events]
    assert list(dict.fromkeys(names[: names.index("completed") + 1])) == [
        "speech_started",
        "text",
        "speech_stopped",
        "committed",
        "created",
        "completed",
    ]
    assert events[0]["audio_start_ms"] == 500
    assert [event["audio_end_ms"] for event in events if "audio_end_ms" in event] == [950, 1950]


def test_a_partial_has_a_stable_and_a_tentative_part(session: Client) -> None:
    session.append(speak("one two three four"))

    events = [event for event in session.until(PARTIAL) if name_of(event) == PARTIAL]
    events += session.until(PARTIAL)
    assert [(event["text"], event["stash"]) for event in events] == [
        ("", "one"),
        ("one two", " three"),
    ]


PARTIAL = "conversation.item.input_audio_transcription.text"


def test_in_manual_mode_a_commit_ends_the_utterance(service: RealtimeEmulator) -> None:
    with Client(service.base_url + ASR) as client:
        client.until("session.created")
        client.send(update(turn_detection=None))
        client.append(talk("one", "two"))
        client.send({"type": "input_audio_buffer.commit"})
        events = client.until("conversation.item.input_audio_transcription.completed")
        client.send({"type": "input_audio_buffer.commit"})
        complaint = client.receive()

    assert transcripts(events) == ["one two"]
    assert complaint["error"]["code"] == "input_audio_buffer_commit_empty"


@pytest.mark.parametrize(
    ("asked", "param"),
    [
        ({"input_audio_format": "pcm16"}, "session.input_audio_format"),
        ({"sample_rate": 44_100}, "session.sample_rate"),
        ({"turn_detection": vad(100)}, "session.turn_detection.silence_duration_ms"),
        ({"turn_detection": {"type": "semantic_vad"}}, "session.turn_detection.type"),
        (
            {"input_audio_transcription": {"language": "tlh"}},
            "session.input_audio_transcription.language",
        ),
        ({"novelty": 1}, "session.novelty"),
    ],
)
def test_a_wrong_configuration_is_refused(
    service: RealtimeEmulator, asked: dict[str, Any], param: str
) -> None:
    with Client(service.base_url + ASR) as client:
        client.until("session.created")
        client.send(update(**asked) | {"event_id": "mine"})
        error = client.receive()["error"]

    assert (error["code"], error["param"], error["event_id"]) == ("invalid_value", param, "mine")


def test_audio_before_the_configuration_is_refused(service: RealtimeEmulator) -> None:
    with Client(service.base_url + ASR) as client:
        client.until("session.created")
        client.append(silence(0.1))

        assert name_of(client.receive()) == "error"
    assert service.violations == ["audio before the configuration"]


@pytest.mark.parametrize(
    "message",
    [
        {"type": "input_audio_buffer.commit"},
        {"type": "input_audio_buffer.append", "audio": "%%%"},
        {"type": "novelty"},
        b"\x00\x00",
        "not JSON",
    ],
)
def test_messages_out_of_place_are_complained_about(
    service: RealtimeEmulator, session: Client, message: Any
) -> None:
    session.send(message)

    assert session.receive()["error"]["type"] == "invalid_request_error"
    assert len(service.violations) == 1


def test_events_without_an_id_of_their_own_are_violations(
    service: RealtimeEmulator, session: Client
) -> None:
    session.send(json.dumps(update()))
    session.until("session.updated")
    session.send(update() | {"event_id": "event_1"})
    session.until("session.updated")

    assert service.violations == ["an event without event_id", "an event_id that came before"]


def test_a_model_of_another_dialogue_is_refused(service: RealtimeEmulator) -> None:
    with Client(service.base_url + "/realtime?model=fun-asr-realtime") as client:
        events, code = client.rest()

    assert events[-1]["error"]["code"] == "ModelNotFound"
    assert code == 1007


# --- omni -----------------------------------------------------------------------------------------


def test_an_omni_model_answers_with_the_words_that_arrived(service: RealtimeEmulator) -> None:
    service.manners.answer = lambda heard, instructions: f"{instructions}: {heard}"
    with Client(service.base_url + OMNI) as client:
        client.until("session.created")
        client.send(update(modalities=["text"], instructions="Say", turn_detection=vad(400)))
        client.append(talk("one two", pause=0.8))
        events = client.until("response.done")

    deltas = [event["delta"] for event in events if name_of(event) == "response.text.delta"]
    assert "".join(deltas) == "Say: one two"
    assert transcripts(events) == ["one two"]
    assert events[-1]["response"]["status"] == "completed"
    assert events[-1]["response"]["usage"]["output_tokens"] == 2


def test_in_manual_mode_an_omni_model_answers_when_asked(service: RealtimeEmulator) -> None:
    with Client(service.base_url + OMNI) as client:
        client.until("session.created")
        client.send(update(modalities=["text"], turn_detection=None))
        client.append(speak("one"))
        client.send({"type": "input_audio_buffer.commit"})
        before = client.until("conversation.item.input_audio_transcription.completed")
        client.send({"type": "response.create"})
        after = client.until("response.done")
        client.send({"type": "response.create"})
        complaint = client.receive()

    assert not any(name_of(event).startswith("response.") for event in before)
    assert name_of(after[0]) == "response.created"
    assert name_of(complaint) == "error"


@pytest.mark.parametrize(
    "asked",
    [
        {"modalities": ["audio"]},
        {"audio": {"input": {"format": {"type": "pcm", "sample_rate": 11_025}}}},
        {
            "audio": {"input": {"format": {"type": "pcm", "sample_rate": 8000}}},
            "input_audio_format": "pcm",
        },
        {"smooth_output": False},
        {"temperature": 2},
    ],
)
def test_a_wrong_configuration_of_omni_is_refused(
    service: RealtimeEmulator, asked: dict[str, Any]
) -> None:
    with Client(service.base_url + OMNI) as client:
        client.until("session.created")
        client.send(update(**asked))

        assert client.receive()["error"]["code"] == "invalid_value"


def test_the_finishing_message_is_refused_by_omni(service: RealtimeEmulator) -> None:
    with Client(service.base_url + OMNI) as client:
        client.until("session.created")
        client.send({"type": "session.finish"})

        assert name_of(client.receive()) == "error"


# --- servers of one's own -------------------------------------------------------------------------


def test_vllm_tells_one_text_between_two_commits() -> None:
    with (
        RealtimeEmulator(listen=hear, dialect="vllm") as service,
        Client(service.openai_url + "/realtime") as client,
    ):
        client.until("session.created")
        client.send({"type": "session.update", "model": "voxtral"})
        client.send({"type": "input_audio_buffer.commit", "final": False})
        client.append(talk("one two", "three"))
        client.send({"type": "input_audio_buffer.commit", "final": True})
        events = client.until("transcription.done")

    assert "".join(event["delta"] for event in events[:-1]) == "one two three"
    assert events[-1]["text"] == "one two three"


def test_speaches_counts_time_anew_with_each_utterance() -> None:
    with (
        RealtimeEmulator(listen=hear, dialect="speaches") as service,
        Client(service.openai_url + "/realtime?model=whisper") as client,
    ):
        client.until("session.created")
        transcription = {"model": "whisper"}
        turns = vad(500)
        client.send(update(input_audio_transcription=transcription, turn_detection=turns))
        client.append(talk("one", "two", rate=24_000), 4800)
        name = "conversation.item.input_audio_transcription.completed"
        events = client.until(name) + client.until(name)

    starts = [event["audio_start_ms"] for event in events if "audio_start_ms" in event]
    assert starts[0] == 0
    assert starts[1] < 1200
