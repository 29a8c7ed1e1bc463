from __future__ import annotations

import json
import zlib
from collections.abc import Iterator
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from asrcli.errors import UnexpectedAnswerError
from asrcli.secret import Secret
from asrcli.transport.answers import Answer, decoded, encode_json, read_json


def test_json_is_read() -> None:
    assert read_json(b'{"text": "hello", "n": [1, 2.5, true, null]}') == (
        {"text": "hello", "n": [1, 2.5, True, None]},
        False,
    )


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"", "nothing"),
        (b" \r\n ", "nothing"),
        (b"hello", "no JSON"),
        (b'{"text": "hel', "no JSON"),
        (b'{"a": 1} {"b": 2}', "no JSON"),
        (b"[" * 100_000, "nested too deeply"),
        (b"[" * 100_000 + b"]" * 100_000, "nested too deeply"),
        (b'{"a":' * 100_000 + b"1" + b"}" * 100_000, "nested too deeply"),
        (b'{"duration": ' + b"9" * 5000 + b"}", "thousands of digits"),
    ],
    ids=["empty", "blank", "text", "cut", "two", "open", "deep", "deep objects", "digits"],
)
def test_what_is_no_json_is_an_unexpected_answer(body: bytes, what: str) -> None:
    with pytest.raises(UnexpectedAnswerError, match=what) as caught:
        _ = Answer(200, body=body, service="svc").json

    assert caught.value.exit_status == 9


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity", "1e999", "-1e999"])
def test_numbers_that_are_none_become_null(number: str) -> None:
    value, mended = read_json(f'{{"start": {number}}}'.encode())

    assert value == {"start": None}
    assert mended
    json.dumps(value, allow_nan=False)


@pytest.mark.parametrize(
    ("body", "text", "mended"),
    [
        (b'\xef\xbb\xbf{"t":"a"}', "a", False),
        (b'{"t":"a\xffb"}', "a\ufffdb", True),
        (b'{"t":"a\xed\xa0\x80b"}', "a\ufffd\ufffd\ufffdb", True),
        (rb'{"t":"a\ud800b"}', "a\ufffdb", True),
        (rb'{"t":"a\udc00\ud800"}', "a\ufffd\ufffd", True),
        (rb'{"t":"\uD83D\uDE00"}', "😀", False),
        (rb'{"t":"\ud83d\ud83d\ude00"}', "\ufffd😀", True),
        (rb'{"t":"\\ud800"}', r"\ud800", False),
        (rb'{"t":"\\\ud800"}', "\\\ufffd", True),
        (b'{"t":"a\nb"}', "a\nb", False),
        ('{"t":"\ufffd"}'.encode(), "\ufffd", False),
    ],
)
def test_characters_that_are_none_are_replaced_and_flagged(
    body: bytes, text: str, mended: bool
) -> None:
    answer = Answer(200, body=body)

    assert answer.json == {"t": text}
    assert answer.mended is mended
    answer.json["t"].encode()


def test_p18_of_two_equal_names_the_last_counts() -> None:
    assert read_json(b'{"a": 1, "a": 2}') == ({"a": 2}, False)


@given(st.binary(max_size=200))
def test_no_bytes_raise_anything_but_the_one_error(body: bytes) -> None:
    try:
        read_json(body)
    except ValueError as error:
        said = str(error)
    else:
        said = "a value"
    assert said


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters()),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=10,
)


@given(VALUES)
def test_whatever_a_service_writes_can_be_written_again(value: Any) -> None:
    read, _ = read_json(json.dumps(value).encode())

    json.dumps(read, ensure_ascii=False, allow_nan=False).encode()


def test_json_is_sent_compact_and_without_what_utf_8_cannot_hold() -> None:
    assert encode_json({"prompt": "é\udcff", "n": 1}) == '{"prompt":"é?","n":1}'.encode()


# --- an answer --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("headers", "body", "request_id"),
    [
        ({"x-request-id": "abc"}, b'{"request_id":"other"}', "abc"),
        ({}, b'{"request_id":"abc"}', "abc"),
        ({}, b'{"request_id":5}', None),
        ({}, b"<html>", None),
        ({}, b'{"broken', None),
        ({"x-request-id": "a\x1b[2Jb"}, b"", "a [2Jb"),
    ],
)
def test_the_request_id_is_found(
    headers: dict[str, str], body: bytes, request_id: str | None
) -> None:
    assert Answer(500, headers, body).request_id == request_id


def test_an_excerpt_is_short_safe_and_without_the_key() -> None:
    secret = Secret("sk-excerpt-0123456789")
    body = f"\x1b]0;title\x07 the key {secret.reveal()} \u202eis\r\nwrong" + "x" * 500

    excerpt = Answer(400, body=body.encode()).excerpt

    assert excerpt.startswith("]0;title the key *** is wrong")
    assert len(excerpt) == 200
    assert excerpt.isprintable()


def test_the_body_is_not_in_what_is_printed_of_an_answer() -> None:
    assert "secret words" not in repr(Answer(200, {"a": "b"}, b"secret words"))


def test_a_mark_is_not_taken_back() -> None:
    answer = Answer(200).marked(possible_duplicate=True)

    assert answer.marked(possible_duplicate=False).possible_duplicate


# --- packed bytes -----------------------------------------------------------------------------


def packed(data: bytes, *, bits: int = zlib.MAX_WBITS | 16) -> bytes:
    packer = zlib.compressobj(9, zlib.DEFLATED, bits)
    return packer.compress(data) + packer.flush()


def in_pieces(data: bytes, size: int) -> Iterator[bytes]:
    return (data[at : at + size] for at in range(0, len(data), size))


@pytest.mark.parametrize("size", [1, 7, 1000, 10**6])
@pytest.mark.parametrize(
    ("encoding", "bits"), [("gzip", 31), ("x-gzip", 31), ("deflate", 15), (" GZIP ", 31)]
)
def test_packed_bytes_are_unpacked_however_they_come(size: int, encoding: str, bits: int) -> None:
    data = bytes(range(256)) * 3000

    assert b"".join(decoded(in_pieces(packed(data, bits=bits), size), encoding)) == data


def test_unpacked_bytes_come_in_small_pieces() -> None:
    pieces = decoded([packed(bytes(20_000_000))], "gzip")

    assert max(len(piece) for piece in pieces) <= 64 * 1024


@given(st.integers(min_value=0, max_value=60))
def test_p11_packed_bytes_that_are_cut_anywhere_are_noticed(at: int) -> None:
    data = packed(b"hello, hello, hello, hello, what a long day it has been today, hello")

    with pytest.raises(EOFError):
        list(decoded([data[:at]], "gzip"))
