"""The live clients of the vendor's SDK (`dashscope`) and ours, in front of the emulated services.

The SDK has to come through with the right words: an emulator that refuses what the real service
takes would teach us nothing. Then the whole conversation of our program is compared with the SDK's,
field by field (`compared_live`); the tables below say what differs, and why it may. The SDK polls
with naps of 0.1 s until a connection is there, and for 5 s if it never is.
"""

from __future__ import annotations

import logging
import wave
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import KeyRefusedError, RateLimitedError, RightsError
from asrcli.protocol.events import Failed
from asrcli.protocol.realtime_asr import RealtimeASR, RealtimeASROptions
from asrcli.protocol.realtime_omni import transcription_instructions
from asrcli.providers.base import Options
from asrcli.providers.catalogue import resolve
from asrcli.providers.live import WebSocketService
from asrcli.providers.qwen.live import dialogue_for, make_live
from asrcli.settings import Settings
from asrcli.transport.connection import Connection
from tests.emulators.realtime import KEY, At, Fail, RealtimeEmulator, Refuse
from tests.emulators.realtime import Connection as Book
from tests.providers.compared import Difference, assert_alike
from tests.providers.compared_live import conversation, handshake
from tests.providers.live_calling import (
    RATE,
    Heard,
    Sentences,
    append,
    chunks,
    connected,
    listen,
    said,
    threads_end,
)
from tests.recordings import recording

BRIDGE = recording("bridge")
WRONG_KEY = "sk-ffffffffffffffffffffffffffffffff"
TASK = "fun-asr-realtime"
ASR = "qwen3-asr-flash-realtime"
OMNI = "qwen3.5-omni-flash-realtime"
OLDER_OMNI = "qwen3-omni-flash-realtime"
COMPLETED = "conversation.item.input_audio_transcription.completed"


# --- both sides ---------------------------------------------------------------------------------


@pytest.fixture
def manners() -> dict[str, Any]:
    """Of the service; tests that need others have a parameter of that name."""
    return {}


@pytest.fixture
def service(manners: dict[str, Any]) -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator(**manners) as service:
        yield service


@pytest.fixture
def sdk(service: RealtimeEmulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The package; it keeps key and address in variables of its own."""
    dashscope = pytest.importorskip("dashscope")
    pytest.importorskip("dashscope.audio.qwen_omni.omni_realtime")
    monkeypatch.setattr(dashscope, "base_websocket_api_url", f"{service.base_url}/inference")
    monkeypatch.setattr(dashscope, "api_key", KEY)
    with threads_end():
        yield dashscope


@pytest.fixture(scope="module")
def speech() -> bytes:
    """Somebody speaks, and is silent for longer than any of the services waits."""
    with wave.open(str(BRIDGE.path)) as file:
        assert (file.getframerate(), file.getnchannels(), file.getsampwidth()) == (RATE, 1, 2)
        samples: bytes = file.readframes(file.getnframes())
    return samples + bytes(2 * 2 * RATE)


@pytest.fixture
def session(sdk: Any, service: RealtimeEmulator) -> Callable[[str, Heard], Any]:
    """Connects an `OmniRealtimeConversation` for a model; the context closes it."""

    def made(model: str, heard: Heard) -> Any:
        kind = sdk.audio.qwen_omni.OmniRealtimeConversation
        return connected(kind(model, heard, url=f"{service.base_url}/realtime"))

    return made


def ours(
    service: RealtimeEmulator, model: str, options: Options | None = None, *, key: str = KEY
) -> WebSocketService:
    """Our side, as the program makes it from the environment."""
    environ = {"DASHSCOPE_API_KEY": key, "DASHSCOPE_WEBSOCKET_BASE_URL": service.base_url}
    settings = Settings(environ=environ, path=Path("/nonexistent"))
    connection = Connection(environ={})
    return make_live(
        resolve(model, provider="qwen"), options or Options(), settings, connection, environ=environ
    )


def of_no_model(service: RealtimeEmulator, model: str) -> WebSocketService:
    """Our side, asking for a model that is not there."""
    known = resolve(model, provider="qwen")
    make = dialogue_for(replace(known, id=f"{model}-unheard-of"), Options())
    return replace(ours(service, model), make_dialogue=make)


def two_books(service: RealtimeEmulator) -> tuple[Book, Book]:
    """The SDK's connection and ours, in the order in which the tests make them; both are over."""
    service.wait_for(lambda: all(book.closed is not None for book in service.connections))
    assert service.violations == []
    sdk, own = service.connections
    return sdk, own


def recognize(sdk: Any, speech: bytes, model: str = TASK, **asked: Any) -> Sentences:
    """By the SDK, as it is fed by a microphone."""
    sentences = Sentences()
    recognition = sdk.audio.asr.Recognition(model, sentences, "pcm", RATE, **asked)
    recognition.start()
    for chunk in chunks(speech):
        recognition.send_audio_frame(chunk)
    recognition.stop()
    return sentences


def transcribe(sdk: Any, session: Any, speech: bytes, heard: Heard, **asked: Any) -> str:
    """By the SDK, with the model that only recognizes; all is said, then the end is."""
    _, omni = _modules(sdk)
    asked.setdefault("transcription_params", omni.TranscriptionParams())
    with session(ASR, heard) as talk:
        talk.update_session(output_modalities=[omni.MultiModality.TEXT], **asked)
        append(talk, speech)
        if asked.get("enable_turn_detection") is False:
            talk.commit()
        talk.end_session()
    return _transcripts(heard.until("session.finished"))


def answer(sdk: Any, session: Any, speech: bytes, model: str, **asked: Any) -> str:
    """By the SDK, with a model that answers; what the answer is."""
    heard, (_, omni) = Heard(), _modules(sdk)
    with session(model, heard) as talk:
        talk.update_session(output_modalities=[omni.MultiModality.TEXT], **asked)
        append(talk, speech)
        events = _until_answered(heard, len(BRIDGE.text))
    return " ".join(event["text"] for event in events if event["type"] == "response.text.done")


def _until_answered(heard: Heard, characters: int) -> list[dict[str, Any]]:
    # A pause within the recording may make two answers of it.
    events = heard.until("response.done")
    while sum(len(e["text"]) for e in events if e["type"] == "response.text.done") < characters - 3:
        events += heard.until("response.done")
    return events


def _modules(sdk: Any) -> tuple[Any, Any]:
    return sdk.audio.asr, sdk.audio.qwen_omni.omni_realtime


def _transcripts(events: list[dict[str, Any]]) -> str:
    return " ".join(event["transcript"] for event in events if event["type"] == COMPLETED)


# --- the right words ----------------------------------------------------------------------------


@pytest.mark.parametrize("model", [TASK, "paraformer-realtime-v2"])
def test_a_task_of_the_sdk_hears_the_right_words(
    sdk: Any, service: RealtimeEmulator, speech: bytes, model: str
) -> None:
    sentences = recognize(sdk, speech, model)

    assert sentences.text == BRIDGE.text
    assert sentences.calls == ["open", "complete", "close"]
    assert service.violations == []


def test_a_file_that_the_sdk_sends_is_heard_with_the_times_of_its_words(
    sdk: Any, service: RealtimeEmulator
) -> None:
    result = sdk.audio.asr.Recognition(TASK, None, "wav", RATE).call(str(BRIDGE.path))

    sentences = result.get_sentence()
    assert " ".join(sentence["text"] for sentence in sentences) == BRIDGE.text
    words = [word for sentence in sentences for word in sentence["words"]]
    expected = [round(word.start * 1000) for word in BRIDGE.words]
    assert [word["begin_time"] for word in words] == pytest.approx(expected, abs=1)
    assert result.get_usage(sentences[-1]) == {"duration": 5}
    assert service.violations == []


def test_a_context_that_the_sdk_sends_in_between_is_taken(
    sdk: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    sentences = Sentences()
    recognition = sdk.audio.asr.Recognition(TASK, sentences, "pcm", RATE)
    recognition.start()
    content = [{"type": "input_text", "text": "A computer speaks."}]
    recognition.update_context({"context": [{"role": "user", "content": content}]})
    for chunk in chunks(speech):
        recognition.send_audio_frame(chunk)
    recognition.stop()

    assert sentences.text == BRIDGE.text
    assert len(service.connections[0].received("continue-task")) == 1
    assert service.violations == []


@pytest.mark.parametrize("turns", [True, False], ids=["server-vad", "manual"])
def test_a_session_of_the_sdk_hears_the_right_words(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes, turns: bool
) -> None:
    heard = Heard()
    assert transcribe(sdk, session, speech, heard, enable_turn_detection=turns) == BRIDGE.text
    assert service.violations == []


@pytest.mark.parametrize("manners", [{"closes_after_end": True}])
def test_the_sdk_is_told_when_the_service_closes(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    heard = Heard()
    assert transcribe(sdk, session, speech, heard) == BRIDGE.text
    assert heard.closes.get(timeout=10)[0] in {1000, None}  # None if its own close was the quicker


@pytest.mark.parametrize("model", [OMNI, OLDER_OMNI])
def test_an_answer_to_the_sdk_has_the_right_words(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes, model: str
) -> None:
    instructions = transcription_instructions()
    assert answer(sdk, session, speech, model, instructions=instructions) == BRIDGE.text
    assert service.violations == []


def test_an_answer_that_the_sdk_asks_for_has_the_right_words(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    heard, (_, omni) = Heard(), _modules(sdk)
    with session(OMNI, heard) as talk:
        text = [omni.MultiModality.TEXT]
        talk.update_session(output_modalities=text, enable_turn_detection=False)
        append(talk, speech)
        talk.commit()
        talk.create_response(instructions="Write down what is said.", output_modalities=text)
        events = heard.until("response.done")

    assert _transcripts(events) == BRIDGE.text
    assert [e["text"] for e in events if e["type"] == "response.text.done"] == [BRIDGE.text]
    assert service.violations == []


# --- the same conversation ------------------------------------------------------------------------

SENDER = (
    Difference("header user-agent", "dashscope/.*", "asrcli/.*", "each says who it is"),
    Difference("header x-dashscope-sdk-client", ".*", None, "for the vendor's count of its SDKs"),
    Difference("header x-dashscope-sdk-session-id", ".*", None, "as the line above"),
)
OF_AIOHTTP = (
    Difference("header accept", r"\*/\*", None, "a handshake is answered by no document"),
    Difference("header accept-encoding", "gzip, deflate.*", None, "as the line above"),
)
OF_WEBSOCKET_CLIENT = (
    Difference(
        "header origin", "http://127.*", None, "browsers say which page asks; a program has none"
    ),
)
SHARED = (
    Difference("json session.update.session.voice", "null", None, "nothing is spoken"),
    Difference(
        "json session.update.session.output_audio_format", "pcm16", None, "as the line above"
    ),
    Difference(
        "json session.update.session.turn_detection.prefix_padding_ms",
        "300",
        None,
        "the pages of the client's events do not name it; it is the service's own default",
    ),
)


def turns_of(threshold: str, why: str) -> tuple[Difference, ...]:
    """Both sides say what they want; the SDK by default what it takes for the service's."""
    place = "json session.update.session.turn_detection"
    return (
        Difference(f"{place}.silence_duration_ms", "800", "400", "the page's choice for captions"),
        Difference(f"{place}.threshold", "0.2", threshold, why),
    )


def test_a_task_is_asked_for_as_the_sdk_asks(
    sdk: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    theirs = recognize(sdk, speech)
    own = listen(ours(service, TASK), speech)

    assert theirs.text == said(own) == BRIDGE.text
    place = "json run-task.payload.parameters"
    pages = "the pages differ on the default, so that it is said"
    sdk_book, own_book = two_books(service)
    assert_alike(handshake(sdk_book), handshake(own_book), SENDER, OF_AIOHTTP)
    assert_alike(
        conversation(sdk_book),
        conversation(own_book),
        [
            Difference(f"{place}.heartbeat", None, "true", "a long silence must not end the task"),
            Difference(f"{place}.max_sentence_silence", None, "800", pages),
            Difference(f"{place}.semantic_punctuation_enabled", None, "false", pages),
        ],
    )


def test_what_is_asked_of_a_task_is_spelled_as_the_sdk_spells_it(
    sdk: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    theirs = recognize(
        sdk,
        speech,
        language_hints=["en"],
        vocabulary_id="vocab-1",
        heartbeat=True,
        max_sentence_silence=800,
        semantic_punctuation_enabled=False,
    )
    own = listen(ours(service, TASK, Options(language="en", vocabulary="vocab-1")), speech)

    assert theirs.text == said(own) == BRIDGE.text
    sdk_book, own_book = two_books(service)
    assert_alike(conversation(sdk_book), conversation(own_book))


def test_a_session_is_held_as_the_sdk_holds_it(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    _, omni = _modules(sdk)
    asked = omni.TranscriptionParams(language="en", corpus_text="A computer speaks.")
    theirs = transcribe(sdk, session, speech, Heard(), transcription_params=asked)
    own = listen(ours(service, ASR, Options(language="en", prompt="A computer speaks.")), speech)

    assert theirs == said(own) == BRIDGE.text
    sdk_book, own_book = two_books(service)
    tables = (SHARED, turns_of("0.0", "the page's choice for captions"))
    assert_alike(conversation(sdk_book), conversation(own_book), *tables)
    assert_alike(handshake(sdk_book), handshake(own_book), SENDER, OF_WEBSOCKET_CLIENT)


def test_a_session_without_turns_is_held_as_the_sdk_holds_it(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    theirs = transcribe(sdk, session, speech, Heard(), enable_turn_detection=False)
    asked = RealtimeASROptions(model=ASR, turns=None)
    own = listen(replace(ours(service, ASR), make_dialogue=lambda: RealtimeASR(asked)), speech)

    assert theirs == said(own) == BRIDGE.text
    sdk_book, own_book = two_books(service)
    assert_alike(conversation(sdk_book), conversation(own_book), SHARED[:2])


UPDATE = "json session.update.session"
SIGN = "confirmed only when all before it was heard: the end has no word of its own"
OMNI_ONLY = (
    Difference(f"{UPDATE}.input_audio_format", "pcm16", None, "the service's own default"),
    Difference(
        f"{UPDATE}.input_audio_transcription.model",
        "null",
        None,
        "`session.created` tells that the recognizer is there; where it is not, it is asked for",
    ),
    Difference(
        "json audio.silence",
        "64001",
        "92801",  # 0.9 s more: the pause that ends an utterance, and half a second
        "a pause makes the service end the last utterance; the SDK leaves that to its caller",
    ),
    Difference(
        "json audio.frames",
        "60 of 3200, 1 of 1920",
        "60 of 3200, 1 of 1920, 2 of 12800, 1 of 3200",
        "as the line above",
    ),
    Difference("json order", "session.update audio", "session.update audio session.update", SIGN),
    Difference("json session.update 2.event_id", None, "event_…", SIGN),
    Difference("json session.update 2.type", None, "session.update", SIGN),
    Difference("json session.update 2.session.temperature", None, "0.1", SIGN),
)


def test_an_omni_model_is_asked_as_the_sdk_asks(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    instructions = transcription_instructions(prompt="A computer speaks.")
    asked = {"instructions": instructions, "temperature": 0.1, "max_tokens": 2048}
    theirs = answer(sdk, session, speech, OMNI, **asked)
    own = listen(ours(service, OMNI, Options(prompt="A computer speaks.")), speech)

    assert theirs == said(own) == BRIDGE.text
    sdk_book, own_book = two_books(service)
    assert_alike(
        conversation(sdk_book),
        conversation(own_book),
        SHARED,
        turns_of("0.5", "the default of these models"),
        OMNI_ONLY,
    )
    assert_alike(handshake(sdk_book), handshake(own_book), SENDER, OF_WEBSOCKET_CLIENT)


# --- failures -----------------------------------------------------------------------------------


def failure_of(sdk: Any, model: str = TASK) -> tuple[int, Any, str]:
    """What `Recognition.call` says of a call that fails."""
    result = sdk.audio.asr.Recognition(model, None, "wav", RATE).call(str(BRIDGE.path))
    return result.status_code, result.code, result.message


def test_the_sdk_sees_a_refused_key_in_the_handshake(
    sdk: Any, service: RealtimeEmulator, speech: bytes, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sdk, "api_key", WRONG_KEY)

    assert failure_of(sdk) == (401, 401, "Unauthorized, your api-key is invalid!")
    with pytest.raises(KeyRefusedError):
        listen(ours(service, TASK, key=WRONG_KEY), speech)
    assert [book.status for book in service.connections] == [401, 401]


def test_the_sdk_s_session_does_not_begin_with_a_refused_key(
    sdk: Any,
    session: Any,
    service: RealtimeEmulator,
    speech: bytes,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    monkeypatch.setattr(sdk, "api_key", WRONG_KEY)

    with (
        caplog.at_level(logging.ERROR, "dashscope"),
        pytest.raises(TimeoutError, match="could not established within 5s"),
        session(ASR, Heard()),
    ):
        pass
    assert "Handshake status 401 Unauthorized" in caplog.text
    assert "InvalidApiKey" in caplog.text
    with pytest.raises(KeyRefusedError):
        listen(ours(service, ASR, key=WRONG_KEY), speech)


@pytest.mark.parametrize(("status", "kind"), [(403, RightsError), (429, RateLimitedError)])
def test_the_sdk_sees_the_status_that_the_handshake_was_refused_with(
    sdk: Any, service: RealtimeEmulator, speech: bytes, status: int, kind: type[Exception]
) -> None:
    service.scripts.extend([[Refuse(status)], [Refuse(status)]])

    assert failure_of(sdk)[:2] == (status, status)
    with pytest.raises(kind):
        listen(ours(service, TASK), speech)


def test_the_sdk_sees_that_a_task_s_model_is_unknown(
    sdk: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    assert failure_of(sdk, "fun-asr-unheard-of") == (44, "Model.NotExist", "Model not exist.")
    assert said(listen(of_no_model(service, TASK), speech)) == "Model.NotExist: Model not exist."


def test_the_sdk_sees_that_a_session_s_model_is_unknown(
    sdk: Any, session: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    heard = Heard()
    # It is over before the SDK looks whether it has begun.
    with pytest.raises(TimeoutError), session("qwen-unheard-of", heard):
        pass
    (error,) = [e["error"] for e in heard.until("error") if e["type"] == "error"]
    closed = heard.closes.get(timeout=10)
    assert (error["code"], error["message"]) == ("ModelNotFound", "no such model")
    assert closed == (1007, "no such model")
    assert said(listen(of_no_model(service, ASR), speech)) == "ModelNotFound: no such model"


def test_the_sdk_sees_the_failure_in_the_middle_of_a_task(
    sdk: Any, service: RealtimeEmulator, speech: bytes
) -> None:
    broken = At(3.0, Fail("InternalError.Algo", "the recognizer broke"))
    service.scripts.extend([[broken], [broken]])

    assert failure_of(sdk) == (44, "InternalError.Algo", "the recognizer broke")
    (failed,) = [e for e in listen(ours(service, TASK), speech) if isinstance(e, Failed)]
    assert (failed.code, failed.message) == ("InternalError.Algo", "the recognizer broke")


def test_an_omni_model_refuses_the_sdk_s_word_for_the_end(
    sdk: Any, session: Any, service: RealtimeEmulator
) -> None:
    heard = Heard()
    with session(OMNI, heard) as talk:
        talk.end_session_async()
        (error,) = [e["error"] for e in heard.until("error") if e["type"] == "error"]

    assert error["message"] == "unknown event type: session.finish"


@pytest.mark.parametrize("manners", [{"finishes": "finished"}])
def test_a_version_that_knows_the_word_for_the_end_lets_the_sdk_go(
    sdk: Any, session: Any, service: RealtimeEmulator
) -> None:
    heard = Heard()
    with session(OMNI, heard) as talk:
        talk.end_session()

    assert heard.until("session.finished")
