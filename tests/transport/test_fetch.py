"""Fetching what somebody else's URL names: rows P22, P24, X10 and J11 of the fault catalogue."""

from __future__ import annotations

import ssl
from pathlib import Path
from typing import Any

import httpx
import pytest

from asrcli.errors import (
    AsrError,
    FileTooLargeError,
    NetworkError,
    OutputError,
    RefusedError,
    UnexpectedAnswerError,
)
from asrcli.transport.answers import Answer
from asrcli.transport.fetch import Fetcher
from tests.faults.byte_server import ByteServer, close, cut, http, json_answer, raw, reset, status
from tests.transport.rig import FakeTime, connection, make_retrier, pointing

GOOD = json_answer({"text": "hello"})


def fetcher(*, private: bool = True, transport: Any = None, **settings: Any) -> Fetcher:
    return Fetcher(
        "svc",
        connection(**settings),
        retrier=make_retrier(FakeTime()),
        private=private,
        transport=transport,
    )


def moved(location: str, code: int = 302) -> Any:
    return status(code, b"", {"Location": location})


def failure_of(url: str, **options: Any) -> AsrError:
    client = fetcher(**options)
    with pytest.raises(AsrError) as caught:
        client.get(url)
    client.close()
    return caught.value


def test_j11_x10_a_result_is_fetched_without_key_and_cookie() -> None:
    with ByteServer([json_answer({}, headers={"Set-Cookie": "a=b"})], otherwise=GOOD) as server:
        client = fetcher()
        client.get(f"{server.url}/1?sig=x")
        assert client.get(f"{server.url}/2").json == {"text": "hello"}
        client.close()

    assert [request.target for request in server.requests] == ["/1?sig=x", "/2"]
    for request in server.requests:
        assert set(request.headers) == {
            "host", "accept", "accept-encoding", "connection", "user-agent",
        }  # fmt: skip


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_a_redirect_is_followed(code: int) -> None:
    with ByteServer([moved("/b?x=1", code)], otherwise=GOOD) as server:
        client = fetcher()
        assert client.get(f"{server.url}/a").status == 200
        client.close()

    assert [request.target for request in server.requests] == ["/a", "/b?x=1"]


def test_five_redirects_are_followed_and_no_more() -> None:
    with ByteServer([moved("/n")] * 5, otherwise=GOOD) as server:
        client = fetcher()
        assert client.get(server.url).status == 200
        client.close()
    with ByteServer(otherwise=moved("/n")) as server:
        error = failure_of(server.url)

    assert error.exit_status == 9
    assert "more than 5 redirects" in str(error)
    assert len(server.requests) == 6


@pytest.mark.parametrize(
    "location",
    ["file:///etc/passwd", "ftp://x/y", "", "http://[bad", "http://user:pw@127.0.0.1/",
     "javascript:alert(1)", "http://example.com/x"],
)  # fmt: skip
def test_x10_a_redirect_that_leads_nowhere_good_is_not_followed(location: str) -> None:
    with ByteServer(otherwise=moved(location)) as server:
        error = failure_of(server.url)

    assert isinstance(error, UnexpectedAnswerError)
    assert len(server.requests) == 1


def test_x10_a_redirect_from_https_to_http_is_not_followed(
    good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with (
        ByteServer(otherwise=GOOD) as plain,
        ByteServer(otherwise=moved(plain.url), tls=good_tls) as server,
    ):
        error = failure_of(server.url, ca_bundle=bundle)

    assert "plain http" in str(error)
    assert plain.connections == 0


def test_x10_each_redirect_is_checked_for_private_networks() -> None:
    calls: list[str] = []

    def answer(request: httpx.Request) -> httpx.Response:
        calls.append(request.url.host)
        return httpx.Response(302, headers={"Location": "https://169.254.169.254/latest/"})

    error = failure_of(
        "https://results.example/x", private=False, transport=httpx.MockTransport(answer)
    )

    assert "a URL of a private network (169.254.169.254)" in str(error)
    assert calls == ["results.example"]


@pytest.mark.parametrize("addresses", [["127.0.0.1"], ["::1"], ["8.8.8.8", "10.0.0.1"]])
def test_x10_a_name_that_leads_into_a_private_network_is_not_called(addresses: list[str]) -> None:
    wire = pointing(connection(), results_example=addresses)

    error = failure_of("https://results.example/x", private=False, transport=wire)

    assert isinstance(error, UnexpectedAnswerError)
    assert "results.example leads to an address of a private network" in str(error)


@pytest.mark.parametrize("url", ["http://results.example/x", "file:///etc/passwd", "x"])
def test_x10_a_url_that_is_not_https_is_not_called(url: str) -> None:
    error = failure_of(url, private=False)

    assert error.exit_status == 9


@pytest.mark.parametrize("code", [401, 403, 404, 410])
def test_x05_a_link_that_has_expired_says_nothing_about_keys(code: int) -> None:
    with ByteServer(otherwise=status(code)) as server:
        error = failure_of(f"{server.url}/x?Signature=hush")

    assert isinstance(error, RefusedError)
    assert error.http_status == code
    assert "hush" not in str(error)


def test_j14_p10_a_result_that_is_cut_is_fetched_again() -> None:
    whole = http(200, b'{"text":"hello"}', {"Content-Type": "application/json"}, framing="close")
    with ByteServer([cut(whole, -5), reset()], otherwise=GOOD) as server:
        client = fetcher()
        assert client.get(server.url).json == {"text": "hello"}
        client.close()

    assert len(server.requests) == 3


def test_a_server_that_is_busy_is_waited_for() -> None:
    with ByteServer([status(503), status(429)], otherwise=GOOD) as server:
        client = fetcher()
        assert client.get(server.url).status == 200
        client.close()


# --- into a file ------------------------------------------------------------------------------


def test_a_download_is_written_as_it_comes(tmp_path: Path) -> None:
    target = tmp_path / "a.mp3"
    body = bytes(range(256)) * 1000
    seen: list[int] = []
    step = raw(http(200, body, {"Content-Type": "Audio/MPEG; x=y"}))
    with ByteServer(otherwise=step) as server:
        client = fetcher()
        done = client.download(server.url, target, most_bytes=10**6, on_received=seen.append)
        client.close()

    assert target.read_bytes() == body
    assert (done.size, done.mime_type, done.whole) == (len(body), "audio/mpeg", True)
    assert seen[-1] == len(body)


def test_a_download_that_breaks_is_begun_anew(tmp_path: Path) -> None:
    target = tmp_path / "a.mp3"
    whole = http(200, b"0123456789")
    with ByteServer([reset(whole[:-3]), cut(whole, -5)], otherwise=raw(whole)) as server:
        client = fetcher()
        client.download(server.url, target, most_bytes=100)
        client.close()

    assert target.read_bytes() == b"0123456789"


@pytest.mark.parametrize("framing", ["length", "chunked", "close"])
def test_a_download_that_is_too_large_is_left(tmp_path: Path, framing: str) -> None:
    answer = http(200, b"x" * 1000, framing=framing)
    with ByteServer(otherwise=close(answer)) as server:
        client = fetcher()
        with pytest.raises(FileTooLargeError) as caught:
            client.download(f"{server.url}/a.mp3", tmp_path / "a", most_bytes=999)
        client.close()

    assert caught.value.name == "a.mp3"
    assert len(server.requests) == 1


def test_a_download_without_length_is_not_called_whole(tmp_path: Path) -> None:
    with ByteServer(otherwise=close(http(200, b"abc", framing="close"))) as server:
        client = fetcher()
        done = client.download(server.url, tmp_path / "a", most_bytes=100)
        client.close()

    assert not done.whole


def test_a_file_that_cannot_be_written_is_an_error_of_the_output(tmp_path: Path) -> None:
    with ByteServer(otherwise=GOOD) as server:
        client = fetcher()
        with pytest.raises(OutputError):
            client.download(server.url, tmp_path / "no" / "a", most_bytes=100)
        client.close()


def test_offline_means_that_nothing_is_fetched() -> None:
    assert failure_of("https://results.example/x", offline=True).exit_status == 2


def test_a_host_that_is_gone_is_a_network_error() -> None:
    with ByteServer() as server:
        url = server.url
    assert isinstance(failure_of(url), NetworkError)


def test_a_failure_is_told_in_the_words_of_the_server_where_somebody_reads_them() -> None:
    def read(answer: Answer) -> AsrError | None:
        if answer.status != 403:
            return None
        return RefusedError("svc", answer.body.decode(), code="Old", http_status=403)

    answers = [status(403, b"too old"), status(404)]
    with ByteServer(answers, otherwise=GOOD) as server:
        client = Fetcher(
            "svc",
            connection(),
            retrier=make_retrier(FakeTime()),
            private=True,
            read_failure=read,
        )
        with pytest.raises(RefusedError, match="too old") as told:
            client.get(f"{server.url}/a")
        with pytest.raises(RefusedError, match="nothing at") as left:
            client.get(f"{server.url}/b")
        client.close()

    assert (told.value.code, left.value.code) == ("Old", None)


def test_an_answer_may_have_as_many_bytes_as_the_caller_says() -> None:
    with ByteServer([], otherwise=GOOD) as server:
        client = fetcher()
        size = len(client.get(server.url).body)
        assert client.get(server.url, most_bytes=size).json == {"text": "hello"}
        with pytest.raises(UnexpectedAnswerError, match="too large"):
            client.get(server.url, most_bytes=size - 1)
        client.close()
