"""The comparison of conversations: what it overlooks would be overlooked for good."""

from __future__ import annotations

import base64
from typing import Any

import pytest

from tests.emulators.realtime.logbook import Connection
from tests.providers.compared import Difference, assert_alike
from tests.providers.compared_live import conversation, handshake

ID = "0123456789abcdef0123456789abcdef"
SPEECH = b"\1\0\2\0\3\0"
UPDATE = {"type": "session.update", "event_id": f"event_{ID}", "session": {"voice": None}}
END = {"type": "session.finish", "event_id": f"event_{ID[::-1]}"}


def book(*messages: Any, path: str = "/realtime", key: str = "AAAA", **headers: str) -> Connection:
    audio = b"".join(_samples(message) for message in messages)
    query = {"model": headers.pop("model", "m")}
    given = {"sec-websocket-key": key, **headers}
    return Connection(1, path, query, given, messages=list(messages), audio=bytearray(audio))


def _samples(message: Any) -> bytes:
    if isinstance(message, bytes):
        return message
    return base64.b64decode(message.get("audio", "")) if isinstance(message, dict) else b""


def append(samples: bytes, **more: Any) -> dict[str, Any]:
    audio = base64.b64encode(samples).decode()
    return {"type": "input_audio_buffer.append", "event_id": f"event_{ID}", "audio": audio} | more


TALK = (UPDATE, append(SPEECH), END)


@pytest.mark.parametrize(
    ("other", "field"),
    [
        ((UPDATE | {"session": {"voice": "a"}}, *TALK[1:]), "'json session.update.session.voice'"),
        ((UPDATE | {"event_id": "1"}, *TALK[1:]), "'json session.update.event_id'"),
        (TALK[:2], "'json session.finish.type'"),
        ((*TALK, END), "'json session.finish 2.type'"),
        ((append(SPEECH), UPDATE, END), "'json order'"),
        ((UPDATE, append(b"\1\0\2\0\4\0"), END), "'json audio.words'"),
        ((UPDATE, append(SPEECH + bytes(2)), END), "'json audio.silence'"),
        ((UPDATE, append(SPEECH[:2]), append(SPEECH[2:]), END), "'json audio.frames'"),
        ((UPDATE, append(SPEECH, more=1), END), "'json audio.envelope'"),
        ((UPDATE, SPEECH, END), "'json audio.envelope'"),
        ((*TALK, "no JSON"), "'json unreadable'"),
    ],
)
def test_what_is_said_otherwise_is_named(other: tuple[Any, ...], field: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_alike(conversation(book(*TALK)), conversation(book(*other)))

    assert field in str(caught.value)


def test_ids_of_the_same_shape_make_no_difference() -> None:
    other = [message | {"event_id": f"event_{ID[1:]}f"} for message in TALK]
    assert_alike(conversation(book(*TALK)), conversation(book(*other)))


@pytest.mark.parametrize(
    ("other", "field"),
    [
        (book(path="/inference"), "'path'"),
        (book(model="n"), "'query model'"),
        (book(origin="http://a"), "'header origin'"),
        (book(key="AAAAAAAA"), "'header sec-websocket-key'"),
    ],
)
def test_a_handshake_that_differs_is_named(other: Connection, field: str) -> None:
    with pytest.raises(AssertionError) as caught:
        assert_alike(handshake(book()), handshake(other))

    assert field in str(caught.value)


def test_the_key_of_a_handshake_is_a_new_one_each_time() -> None:
    assert_alike(handshake(book(key="AAAA")), handshake(book(key="BBBB")))


def test_a_line_that_no_conversation_needs_is_an_error() -> None:
    line = Difference("json order", ".*", ".*", "for the test")
    with pytest.raises(AssertionError, match="alike"):
        assert_alike(conversation(book(*TALK)), conversation(book(*TALK)), [line])
