"""Live recognition at servers of one's own: which dialect they speak, and what it cannot ask."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import AsrError, FeatureError, KeyRefusedError
from asrcli.protocol.realtime_openai import DIALECTS, RealtimeOpenAI, dialect_of
from asrcli.protocol.realtime_vllm import RealtimeVLLM
from asrcli.providers import catalogue
from asrcli.providers.base import Feature, Hotword, Model, Options
from asrcli.providers.live import Dialogue, WebSocketService
from asrcli.providers.openai_live import (
    AUTO,
    DIALECT_NAMES,
    dialogue_for,
    live_model,
    make_live,
    sounds_live,
)
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from tests.emulators.realtime import KEY, At, Close, Drop, On, RealtimeEmulator, Refuse


def model(name: str = "own") -> Model:
    return live_model(catalogue.resolve(name, provider="openai"))


def service(server: RealtimeEmulator, *, key: str = KEY, dialect: str = AUTO) -> WebSocketService:
    environ = {"OPENAI_BASE_URL": server.openai_url, "OPENAI_API_KEY": key}
    settings = Settings(environ=environ, path=Path("/nonexistent"))
    return make_live(model(), Options(), settings, Connection(environ={}), dialect=dialect)


def spoken(dialogue: Dialogue) -> str:
    """The dialect that a dialogue speaks."""
    if isinstance(dialogue, RealtimeVLLM):
        return "vllm"
    assert isinstance(dialogue, RealtimeOpenAI)
    own = (dialogue.url("ws://a/v1"), dialogue.headers)
    made = {name: dialogue_for(model(), Options(), name)() for name in DIALECTS}
    (name,) = [name for name, it in made.items() if (it.url("ws://a/v1"), it.headers) == own]
    return name


@pytest.mark.parametrize("dialect", DIALECT_NAMES)
def test_the_dialect_is_told_by_the_first_event(dialect: str) -> None:
    with RealtimeEmulator(dialect=dialect) as server:
        found = service(server).make_dialogue()

        assert spoken(found) == dialect
        server.wait_for(lambda: server.connections[0].closed is not None)
    assert server.connections[0].closed == (1000, "")
    assert server.connections[0].messages == []


@pytest.mark.parametrize(
    ("event", "dialect"),
    [
        ({"type": "session.created", "session": {"type": "transcription"}}, "openai"),
        ({"type": "session.created", "session": {"audio": {"input": {}}}}, "openai"),
        ({"type": "session.created", "session": {"input_audio_transcription": None}}, "speaches"),
        ({"type": "session.created", "id": "sess-1", "created": 1}, "vllm"),
        ({"type": "transcription_session.created", "session": {}}, "openai-beta"),
        ({"type": "error", "error": "no"}, None),
        ({}, None),
    ],
)
def test_a_greeting_has_a_dialect(event: dict[str, Any], dialect: str | None) -> None:
    assert dialect_of(event) == dialect


def test_a_server_that_says_nothing_is_taken_for_openai_s() -> None:
    with RealtimeEmulator(dialect="vllm") as server:
        server.scripts.append([On("session.created", Drop()), At(0.0, Close(1011))])

        assert spoken(service(server).make_dialogue()) == "openai"


def test_a_dialect_that_is_named_is_not_asked_for() -> None:
    with RealtimeEmulator(dialect="vllm") as server:
        assert spoken(service(server, dialect="vllm").make_dialogue()) == "vllm"
        assert server.connections == []


def test_a_refused_key_is_told_before_anything_is_heard() -> None:
    with RealtimeEmulator() as server, pytest.raises(KeyRefusedError):
        service(server, key="sk-wrong-0123456789")


def test_a_server_that_wants_to_be_asked_otherwise_has_a_hint() -> None:
    with RealtimeEmulator() as server:
        server.scripts.append([Refuse(404, {"message": "Not Found"})])
        with pytest.raises(AsrError) as caught:
            service(server)

    assert "--dialect" in (caught.value.hint or "")


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (Options(language="en"), "language"),
        (Options(prompt="x"), "prompt"),
        (Options(hotwords=(Hotword("x"),)), "hotwords"),
    ],
)
def test_what_vllm_cannot_ask_is_refused_with_who_can(options: Options, said: str) -> None:
    with pytest.raises(FeatureError, match=said) as caught:
        dialogue_for(model(), options, "vllm")

    assert "openai" in (caught.value.hint or "")


def test_what_a_model_of_openai_s_cannot_take_is_refused_with_one_that_can() -> None:
    for name, options in (
        ("gpt-realtime-whisper", Options(prompt="x")),
        ("gpt-4o-transcribe", Options(hotwords=(Hotword("x"),))),
    ):
        with pytest.raises(FeatureError) as caught:
            dialogue_for(model(name), options, "openai")
        assert "gpt-live-transcribe" in (caught.value.hint or "")


def test_the_model_that_detects_no_turns_is_told_where_they_end() -> None:
    assert dialogue_for(model("gpt-realtime-whisper"), Options(), "openai")().manual
    assert not dialogue_for(model("whisper-1"), Options(), "openai")().manual


def test_a_live_model_promises_no_times() -> None:
    assert model("whisper-1").features.isdisjoint({Feature.TIMES, Feature.WORDS})


@pytest.mark.parametrize(
    ("name", "live"),
    [("mistralai/Voxtral-Mini-4B-Realtime-2602", True), ("gpt-live-transcribe", True),
     ("gpt-realtime-whisper", True), ("whisper-1", False), ("gpt-4o-transcribe", False)],
)  # fmt: skip
def test_some_models_sound_live(name: str, live: bool) -> None:
    assert sounds_live(name) is live
