"""Faults of HTTP itself, on real sockets: rows P06 to P25 of the fault catalogue, X01."""

from __future__ import annotations

import json
import subprocess
import sys
import zlib
from collections.abc import Callable
from typing import Any

import pytest

from asrcli.errors import AsrError, NetworkError, RedirectError, Retry, UnexpectedAnswerError
from tests.faults.byte_server import (
    ByteServer,
    Step,
    close,
    cut,
    http,
    json_answer,
    raw,
    stall,
    status,
    wrapped_in_gzip,
)
from tests.transport.rig import KEY, FakeTime, connection, make_client, make_retrier

GOOD = json_answer({"text": "hello"})
JSON = {"Content-Type": "application/json"}


def failure_of(step: Step, **settings: Any) -> AsrError:
    with ByteServer(otherwise=step) as server:
        client = make_client(server.url, settings=connection(**settings))
        with pytest.raises(AsrError) as caught:
            _ = client.post("x", {}).json
        client.close()
    assert str(caught.value)
    return caught.value


# --- not HTTP, or not by its rules ------------------------------------------------------------


@pytest.mark.parametrize(
    "step",
    [
        raw(b"SSH-2.0-OpenSSH_9.2\r\n\r\n"),
        close(b"SSH-2.0-OpenSSH_9.2\r\n"),
        stall(b"SSH-2.0-OpenSSH_9.2\r\n"),
        close(b"\x00\x01\x02\x03"),
        raw(b"220 mail.example.com ESMTP\r\n\r\n"),
    ],
    ids=["banner", "banner and close", "banner and silence", "binary", "mail"],
)
def test_a_server_that_speaks_something_else_is_told_so(step: Step) -> None:
    error = failure_of(step, idle_timeout=0.1)

    assert isinstance(error, UnexpectedAnswerError)
    assert error.exit_status == 9
    assert "is not an HTTP server" in str(error)


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nxyz\r\nabc\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabcd",
        b"HTTP/1.1 200 OK\r\nContent-Length: -5\r\n\r\nabcde",
        b"HTTP/1.1 2x0 OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nno colon here\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 200_000 + b"\r\n\r\n",
    ],
    ids=["chunk size", "two lengths", "negative", "status", "header", "200 kB header"],
)
def test_an_answer_against_the_rules_of_http_is_refused(answer: bytes) -> None:
    error = failure_of(raw(answer))

    assert isinstance(error, UnexpectedAnswerError)
    assert "does not keep to HTTP" in str(error)
    assert error.retry is Retry.NEVER


def test_thousands_of_headers_are_refused() -> None:
    headers = {f"X-{number}": "y" * 20 for number in range(5000)}

    error = failure_of(raw(http(200, b"{}", headers)))

    assert isinstance(error, UnexpectedAnswerError)


def test_interim_answers_are_passed_over() -> None:
    step = raw(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 103 Early Hints\r\n\r\n" + http(200, b"{}"))
    with ByteServer(otherwise=step) as server:
        client = make_client(server.url)
        assert client.post("x", {}).json == {}
        client.close()


@pytest.mark.parametrize("code", [204, 205, 304, 999, 300, 600])
def test_a_status_that_no_service_documents_is_unexpected(code: int) -> None:
    error = failure_of(close(http(code, b"", framing="length")))

    assert isinstance(error, UnexpectedAnswerError)
    assert error.http_status == code


# --- bodies that are cut ----------------------------------------------------------------------


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_p07_p08_p10_a_json_answer_that_is_cut_is_asked_for_once_more(framing: str) -> None:
    whole = http(200, b'{"text":"hello, world"}', JSON, framing=framing)
    with ByteServer([cut(whole, -9)], otherwise=GOOD) as server:
        client = make_client(server.url)
        answer = client.post("x", {})
        client.close()

    assert answer.json == {"text": "hello"}
    assert answer.possible_duplicate


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_p07_p08_p10_a_json_answer_that_is_cut_again_is_a_network_error(framing: str) -> None:
    whole = http(200, b'{"text":"hello, world"}', JSON, framing=framing)

    error = failure_of(cut(whole, -9))

    assert isinstance(error, NetworkError)
    assert error.retry is Retry.AMBIGUOUS
    assert "hello" not in str(error)


def test_p10_a_text_without_length_is_marked_as_unproven() -> None:
    with ByteServer(otherwise=close(http(200, b"some text", framing="close"))) as server:
        client = make_client(server.url)
        answer = client.post("x", {})
        client.close()

    assert answer.body == b"some text"
    assert not answer.whole


def test_a_whole_answer_that_is_no_json_is_not_taken_for_a_cut_one() -> None:
    with ByteServer(otherwise=raw(http(200, b'{"text":', JSON))) as server:
        client = make_client(server.url)
        with pytest.raises(UnexpectedAnswerError, match="no JSON") as caught:
            _ = client.post("x", {}).json
        client.close()

    assert caught.value.retry is Retry.NEVER
    assert len(server.requests) == 1


# --- packed bodies ----------------------------------------------------------------------------


def test_p11_only_plain_answers_are_asked_for() -> None:
    with ByteServer(otherwise=GOOD) as server:
        client = make_client(server.url)
        client.get("x")
        client.close()

    assert server.requests[0].headers["accept-encoding"] == "identity"


def test_a_packed_answer_is_unpacked_all_the_same() -> None:
    packed = wrapped_in_gzip(b'{"text":"hello"}', damage=lambda data: data)
    with ByteServer(otherwise=raw(packed)) as server:
        client = make_client(server.url)
        assert client.post("x", {}).json == {"text": "hello"}
        client.close()


@pytest.mark.parametrize(
    ("damage", "status"),
    [
        (lambda data: data[:-20], 6),
        (lambda data: data[:-4], 6),
        (lambda data: b"", 6),
        (lambda data: b"not gzip at all", 9),
        (lambda data: data[:20] + b"\xff\xff\xff" + data[23:], 9),
        (lambda data: data + b"more", 9),
    ],
    ids=["cut", "without checksum", "empty", "something else", "broken", "more"],
)
def test_p11_p12_a_packed_answer_that_is_damaged_is_asked_for_once_more_and_never_read(
    damage: Callable[[bytes], bytes], status: int
) -> None:
    body = json.dumps({"text": "hello " * 500, "n": list(range(300))}).encode()
    packed = wrapped_in_gzip(body, damage=damage)
    with ByteServer(otherwise=raw(packed)) as server:
        client = make_client(server.url)
        with pytest.raises(AsrError) as caught:
            _ = client.post("x", {}).json
        client.close()

    assert caught.value.exit_status == status
    assert caught.value.possible_duplicate
    assert len(server.requests) == 2


def test_an_encoding_that_nobody_asked_for_is_refused() -> None:
    step = raw(http(200, b"xx", {"Content-Encoding": "br"}))

    assert "'br', which was not asked for" in str(failure_of(step))


def test_an_answer_that_is_too_large_is_refused_by_its_length() -> None:
    step = raw(b"HTTP/1.1 200 OK\r\nContent-Length: 99999999999\r\n\r\n{")

    error = failure_of(step)

    assert error.exit_status == 9
    assert "too large" in str(error)


def test_an_answer_without_length_is_refused_when_it_gets_too_large() -> None:
    body = b'{"text":"' + b"x" * 33_000_000
    error = failure_of(close(http(200, body, framing="close")))

    assert "the response is too large" in str(error)


BOMB_CLIENT = """
import sys
from asrcli.transport.connection import Connection
from asrcli.transport.http import HTTPClient
from asrcli.transport.retry import Retrier
from asrcli.errors import UnexpectedAnswerError
client = HTTPClient("svc", sys.argv[1], {}, Connection(environ={}), retrier=Retrier(),
                    read_failure=lambda _: None)
try:
    client.post("x", {})
except UnexpectedAnswerError as error:
    lines = open("/proc/self/status").read().splitlines()
    (highest,) = [line for line in lines if line.startswith("VmHWM")]
    print(int(highest.split()[1]) // 1024, error)
"""


@pytest.mark.skipif(sys.platform != "linux", reason="memory is read from /proc")
def test_a_bomb_does_not_go_off() -> None:
    packer = zlib.compressobj(9, zlib.DEFLATED, zlib.MAX_WBITS | 16)
    first, later = (
        packer.compress(bytes(1_000_000)) + packer.flush(zlib.Z_FULL_FLUSH) for _ in range(2)
    )
    bomb = first + 511 * later
    step = raw(http(200, bomb, {"Content-Encoding": "gzip", **JSON}))
    with ByteServer(otherwise=step) as server:
        done = subprocess.run(
            [sys.executable, "-c", BOMB_CLIENT, server.url],
            capture_output=True,
            text=True,
            timeout=60,
            check=True,
        )

    megabytes, said = done.stdout.split(" ", 1)
    assert "the response is too large" in said
    assert int(megabytes) < 150


# --- JSON that is none ------------------------------------------------------------------------


def test_a_web_page_is_not_shown_unless_somebody_asks() -> None:
    page = b"<!DOCTYPE html><html><title>Sign in to the hotel</title>" + b"x" * 900
    with ByteServer(otherwise=status(200, page, {"Content-Type": "text/html"})) as server:
        client = make_client(server.url)
        answer = client.post("x", {})
        with pytest.raises(UnexpectedAnswerError, match="a web page") as caught:
            _ = answer.json
        client.close()

    assert "hotel" not in str(caught.value)
    assert "hotel" in answer.excerpt
    assert len(answer.excerpt) <= 200


# --- redirects --------------------------------------------------------------------------------


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_call_with_a_key_is_never_sent_elsewhere(code: int) -> None:
    with (
        ByteServer(otherwise=GOOD) as second,
        ByteServer(otherwise=status(code, b"", {"Location": f"{second.url}/x"})) as first,
    ):
        client = make_client(first.url, headers={"API-KEY": KEY})
        with pytest.raises(RedirectError) as caught:
            client.post("x", {})
        client.close()

    assert caught.value.exit_status == 9
    assert "the server redirected to 127.0.0.1; set --base-url" in str(caught.value)
    assert second.connections == 0
    assert len(first.requests) == 1


@pytest.mark.parametrize(
    ("location", "where"),
    [
        ("https://other.example/x?key=1", "other.example"),
        ("/elsewhere", "127.0.0.1"),
        ("file:///etc/passwd", "file:"),
        ("http://[bad", "nowhere"),
        ("", "nowhere"),
    ],
)
def test_a_redirect_is_told_by_its_host_alone(location: str, where: str) -> None:
    error = failure_of(status(302, b"", {"Location": location}))

    assert isinstance(error, RedirectError)
    assert f"redirected to {where}; set --base-url" in str(error)


def test_cookies_are_not_sent_back() -> None:
    step = json_answer({}, headers={"Set-Cookie": "session=1; Path=/"})
    with ByteServer(otherwise=step) as server:
        client = make_client(server.url, retrier=make_retrier(FakeTime()))
        client.get("x")
        client.get("x")
        client.close()

    assert all("cookie" not in request.headers for request in server.requests)
