"""The emulated live services, asked by a plain WebSocket client."""

from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from websockets.exceptions import ConnectionClosed, InvalidStatus

from tests.emulators.realtime import (
    KEY,
    Abort,
    At,
    Close,
    Drop,
    Fail,
    HalfOpen,
    Hold,
    On,
    RealtimeEmulator,
    Refuse,
    Send,
    Slow,
    Stall,
    Twice,
)
from tests.emulators.realtime.client import (
    ASR,
    Client,
    begun,
    command,
    finals,
    name_of,
    run_task,
    sentences,
    update,
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


# --- the toy language -----------------------------------------------------------------------------


def test_the_toy_ear_hears_what_was_spoken_and_where() -> None:
    heard = hear(silence(1.0) + speak("one two"), 16_000).words

    assert [(w.text, w.start, w.end) for w in heard] == [("one", 1.0, 1.2), ("two", 1.25, 1.45)]


def test_the_toy_ear_does_not_hear_half_a_word() -> None:
    assert hear(speak("one")[:4000], 16_000).words == ()


# --- handshake ------------------------------------------------------------------------------------


@pytest.mark.parametrize("key", [None, "sk-wrong", "st-", f"x{KEY}"])
def test_a_wrong_key_is_refused_with_a_reason(service: RealtimeEmulator, key: str | None) -> None:
    with pytest.raises(InvalidStatus) as refused:
        Client(service.base_url + "/inference", key=key)

    response = refused.value.response
    assert response.status_code == 401
    assert response.body is not None
    assert json.loads(response.body)["code"] == "InvalidApiKey"
    assert [book.status for book in service.connections] == [401]
    assert service.accepted == []


@pytest.mark.parametrize(
    ("path", "status"), [("/nowhere", 404), ("/realtime", 400), ("/inference/x", 404)]
)
def test_other_paths_are_refused(service: RealtimeEmulator, path: str, status: int) -> None:
    with pytest.raises(InvalidStatus, match=str(status)):
        Client(service.base_url + path)


def test_a_slash_behind_the_path_is_as_good(service: RealtimeEmulator) -> None:
    with Client(service.base_url + "/inference/") as client:
        client.send(run_task())
        assert name_of(client.receive()) == "task-started"


@pytest.mark.parametrize("status", [302, 403, 429, 503])
def test_a_handshake_is_refused_as_the_script_says(service: RealtimeEmulator, status: int) -> None:
    where = {"Location": "ws://127.0.0.2:1/", "Retry-After": "3"}
    service.scripts.append([Refuse(status, {"code": "X"}, where)])

    with pytest.raises((InvalidStatus, ValueError, OSError)):
        Client(service.base_url + "/inference")
    with Client(service.base_url + "/inference") as again:
        again.send(run_task())
        assert name_of(again.receive()) == "task-started"

    assert [book.status for book in service.connections] == [status, 101]


def test_a_handshake_can_be_left_without_an_answer(service: RealtimeEmulator) -> None:
    service.scripts.append([Stall()])

    with pytest.raises(TimeoutError):
        Client(service.base_url + "/inference", open_timeout=0.2)

    assert [book.status for book in service.connections] == [0]


def test_the_key_in_the_address_is_a_violation(service: RealtimeEmulator) -> None:
    with Client(f"{service.base_url}{ASR}&key={KEY}"):
        assert service.violations == ["the key is in the URL"]


def test_the_logbook_has_the_handshake_without_the_key(service: RealtimeEmulator) -> None:
    with Client(service.base_url + ASR, user_agent_header="asrcli/1"):
        (book,) = service.connections

    assert book.path == "/api-ws/v1/realtime"
    assert book.query == {"model": "qwen3-asr-flash-realtime"}
    assert book.headers["user-agent"] == "asrcli/1"
    assert KEY not in str(book.headers)


# --- faults ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [1000, 1007, 1011, 1013, 4000, 4029])
def test_a_connection_is_closed_where_the_script_says(service: RealtimeEmulator, code: int) -> None:
    with begun(service, At(1.0, Close(code, "why"))) as client:
        client.speak(silence(1.0))
        with pytest.raises(ConnectionClosed) as closed:
            client.socket.recv(timeout=10)

    assert closed.value.rcvd is not None
    assert (closed.value.rcvd.code, closed.value.rcvd.reason) == (code, "why")
    assert service.connections[0].seconds == 1.0


def test_a_connection_is_dropped_without_a_word(service: RealtimeEmulator) -> None:
    with begun(service, At(0.5, Abort())) as client:
        client.speak(silence(0.5))

        assert client.rest() == ([], 1006)
    service.wait_for(lambda: service.connections[0].closed == (1006, ""))


def test_a_half_open_connection_answers_neither_audio_nor_pings(
    service: RealtimeEmulator,
) -> None:
    client = begun(service, At(0.5, HalfOpen()))
    client.speak(silence(0.5) + talk("one two", pause=2.0))
    client.send(command("finish-task"))
    pong = client.socket.ping()

    with pytest.raises(TimeoutError):
        client.socket.recv(timeout=0.3)
    assert not pong.is_set()
    assert service.connections[0].seconds < 1.0
    client.socket.socket.shutdown(socket.SHUT_RDWR)


def test_a_failure_is_told_in_the_words_of_the_dialogue(service: RealtimeEmulator) -> None:
    with begun(service, At(0.5, Fail("InternalError", "oops"))) as client:
        client.speak(silence(0.5))
        (failure,), code = client.rest()

    assert failure["header"]["error_code"] == "InternalError"
    assert code == 1011


def test_a_failure_of_a_session_is_an_error_event(service: RealtimeEmulator) -> None:
    service.scripts.append([On("session.updated", Fail("Throttling", "slow down", close=None))])
    with Client(service.base_url + ASR) as client:
        client.until("session.created")
        client.send(update())

        assert client.receive()["error"]["code"] == "Throttling"
        assert name_of(client.receive()) == "session.updated"


@pytest.mark.parametrize("raw", ["not JSON", b"\x00\xff", "x" * 2_000_000, '{"type": "novelty"}'])
def test_anything_can_be_sent_in_between(service: RealtimeEmulator, raw: str | bytes) -> None:
    service.scripts.append([On("task-started", Send(raw))])
    with Client(service.base_url + "/inference", max_size=None) as client:
        client.send(run_task())

        assert client.socket.recv(timeout=10) == raw
        assert name_of(client.receive()) == "task-started"


def test_events_are_told_twice_or_late(service: RealtimeEmulator) -> None:
    # Each utterance is three results: its beginning, its text so far, its end.
    faults = [On("result-generated", Twice(), 3), On("result-generated", Hold(), 5)]
    with begun(service, *faults) as client:
        client.speak(talk("one", "two", pause=2.0))
        events = [client.receive() for _ in range(7)]

    assert [(s["text"], s["sentence_end"]) for s in sentences(events)] == [
        ("", False),
        ("one", False),
        ("one", True),
        ("one", True),
        ("", False),
        ("two", True),
        ("two", False),
    ]


def test_the_end_can_be_followed_by_silence(service: RealtimeEmulator) -> None:
    with begun(service, On("task-finished", Drop())) as client:
        client.speak(speak("one"))
        client.send(command("finish-task"))
        client.until("result-generated")
        client.until("result-generated")
        with pytest.raises(TimeoutError):
            client.socket.recv(timeout=0.2)


def test_a_slow_reader_makes_the_sender_wait(service: RealtimeEmulator) -> None:
    client = begun(service, Slow(bytes_per_second=32_000))
    client.socket.socket.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 16_384)
    client.socket.socket.settimeout(0.2)

    with pytest.raises((TimeoutError, ConnectionClosed)):
        client.speak(silence(60.0))

    assert service.connections[0].seconds < 60.0


def test_faults_are_for_one_connection_each(service: RealtimeEmulator) -> None:
    with begun(service, At(0.1, Close(1011))) as first:
        first.speak(silence(0.1))
        codes = [first.rest()[1]]
    with begun(service) as second:
        second.speak(silence(0.1))
        second.send(command("finish-task"))
        second.until("task-finished")
        second.send("not JSON")
        codes.append(second.rest()[1])

    assert codes == [1011, 1007]


def test_audio_that_comes_faster_than_agreed_is_a_violation() -> None:
    with (
        RealtimeEmulator(listen=hear, most_pace=4.0, idle_limit=None) as service,
        begun(service) as client,
    ):
        client.speak(silence(60.0), 12_800)
        client.send(command("finish-task"))
        client.until("task-finished")

        assert "audio came faster than agreed" in service.violations


# --- the logbook ----------------------------------------------------------------------------------


def test_the_logbook_has_all_that_was_said(service: RealtimeEmulator, task: Client) -> None:
    task.speak(speak("one"))
    task.send(command("finish-task"))
    task.until("task-finished")
    task.socket.close()
    service.wait_for(lambda: service.connections[0].closed is not None)
    (book,) = service.connections

    assert [m["header"]["action"] for m in book.messages if isinstance(m, dict)] == [
        "run-task",
        "finish-task",
    ]
    assert bytes(book.audio) == speak("one")
    assert book.told("task-finished")
    assert book.closed == (1000, "")
    assert service.violations == []


def test_waiting_for_what_never_comes_is_an_error(service: RealtimeEmulator) -> None:
    with pytest.raises(TimeoutError):
        service.wait_for(lambda: False, timeout=0.01)


# --- the real ear ---------------------------------------------------------------------------------


def test_recordings_are_heard_by_their_sound() -> None:
    import soundfile

    from tests.recordings import RECORDINGS

    recording = next(r for r in RECORDINGS if r.path.suffix == ".wav" and r.seconds < 5)
    samples, rate = soundfile.read(Path(recording.path), dtype="int16")
    with RealtimeEmulator(step=1.0) as service, Client(service.base_url + "/inference") as client:
        client.send(run_task(sample_rate=rate, language_hints=["en"]))
        client.until("task-started")
        client.speak(samples.tobytes())
        client.send(command("finish-task"))
        events = client.until("task-finished")

    assert " ".join(finals(events)).split()[:3] == recording.text.split()[:3]
