"""Faults of the network, on real sockets: rows N01 to N18 of the fault catalogue."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from asrcli.errors import AsrError, ConfigurationError, NetworkError, Retry, TimeLimitError
from asrcli.transport.http import FilePart
from asrcli.transport.sockets import Backend
from asrcli.transport.wire import Wire
from tests.faults.byte_server import (
    ByteServer,
    Peer,
    before_reading,
    close,
    drip,
    http,
    json_answer,
    reset,
    sequence,
    stall,
)
from tests.transport.rig import FakeTime, connection, make_client, make_retrier, pointing

GOOD = json_answer({"text": "hello"})


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        port: int = listener.getsockname()[1]
    return port


def failure_of(server: ByteServer, **settings: Any) -> AsrError:
    client = make_client(server.url, settings=connection(**settings))
    with pytest.raises(AsrError) as caught:
        client.post("x", {})
    client.close()
    return caught.value


# --- not reached ------------------------------------------------------------------------------


def test_a_name_that_is_not_known_is_said_with_what_to_check(time: FakeTime) -> None:
    unknown = socket.gaierror(socket.EAI_NONAME, "Name or service not known")
    settings = connection()
    wire = pointing(settings, nope_invalid=unknown)
    client = make_client("https://nope.invalid/v1", transport=wire, retrier=make_retrier(time))

    with pytest.raises(NetworkError, match=r"cannot resolve nope\.invalid") as caught:
        client.get("models")

    assert caught.value.exit_status == 6
    assert caught.value.retry is Retry.TRANSIENT
    assert "--base-url" in (caught.value.hint or "")
    assert time.waited > 0


@pytest.mark.parametrize("host", ["a" * 64 + ".example", "a..b"])
def test_a_host_that_is_no_name_is_not_resolved_either(host: str) -> None:
    client = make_client(f"https://{host}/v1")

    with pytest.raises((NetworkError, ConfigurationError)):
        client.get("models")


def test_a_look_up_that_hangs_ends_with_the_connect_limit() -> None:
    released = threading.Event()

    def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
        released.wait(30)
        return []

    wire = Wire(connection(connect_timeout=0.1), backend=Backend(resolve))
    client = make_client(
        "https://slow.example", settings=connection(connect_timeout=0.1), transport=wire
    )

    with pytest.raises(NetworkError, match=r"cannot resolve slow\.example within 0\.1 s"):
        client.get("models")
    released.set()


def test_a_closed_port_is_tried_again_and_named() -> None:
    port = free_port()
    time = FakeTime()
    client = make_client(f"http://127.0.0.1:{port}", retrier=make_retrier(time))

    with pytest.raises(NetworkError, match=f"127.0.0.1:{port} refused the connection") as caught:
        client.post("x", {})

    assert caught.value.exit_status == 6
    assert not caught.value.possible_duplicate
    assert time.waited > 0


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes no connection and refuses none."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(0)
        port = listener.getsockname()[1]
        waiting = []
        for _ in range(8):
            attempt = socket.socket()
            attempt.setblocking(False)
            attempt.connect_ex(("127.0.0.1", port))
            waiting.append(attempt)
        try:
            yield port
        finally:
            for attempt in waiting:
                attempt.close()


def test_a_host_that_does_not_answer_is_waited_for_up_to_the_connect_limit() -> None:
    with black_hole() as port:
        client = make_client(f"http://127.0.0.1:{port}", settings=connection(connect_timeout=0.1))

        with pytest.raises(NetworkError, match=f"no connection to 127.0.0.1:{port} within 0.1 s"):
            client.get("x")


def test_a_dead_ipv6_address_does_not_hide_a_live_ipv4_one() -> None:
    with ByteServer(otherwise=GOOD) as server:
        settings = connection(insecure_http=True)
        wire = pointing(settings, service_test=["::1", "127.0.0.1"])
        client = make_client(server.url_for("service.test"), settings=settings, transport=wire)

        assert client.get("x").json == {"text": "hello"}
        client.close()


def test_an_address_that_does_not_answer_does_not_hide_one_that_does() -> None:
    with ByteServer(otherwise=GOOD) as server, black_hole() as hole:
        live = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", server.port))
        dead = (socket.AF_INET, socket.SOCK_STREAM, 6, "", ("127.0.0.1", hole))
        settings = connection(insecure_http=True, connect_timeout=5.0)
        wire = Wire(settings, backend=Backend(lambda host, port: [dead, live]))
        client = make_client("http://service.test", settings=settings, transport=wire)

        assert client.get("x").status == 200
        client.close()


# --- not kept ---------------------------------------------------------------------------------


@pytest.mark.parametrize("fault", [reset(), close()], ids=["reset", "closed"])
def test_a_connection_lost_before_the_answer_is_resent_once_and_marked(fault: Any) -> None:
    with ByteServer([fault], otherwise=GOOD) as server:
        client = make_client(server.url)
        answer = client.post("x", {})
        client.close()

    assert answer.json == {"text": "hello"}
    assert answer.possible_duplicate
    assert len(server.requests) == 2


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (reset(), "was reset before an answer came"),
        (close(), "was closed before an answer came"),
        (reset(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "was reset within the answer"),
        (close(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc"), "was closed within the answer"),
        (
            close(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n5\r\nab"),
            "was closed within the answer",
        ),
    ],
    ids=["reset", "closed", "reset in body", "short body", "cut chunk"],
)
def test_a_connection_lost_twice_is_an_error_that_names_it(fault: Any, said: str) -> None:
    with ByteServer(otherwise=fault) as server:
        error = failure_of(server)

    assert isinstance(error, NetworkError)
    assert error.exit_status == 6
    assert f"the connection to 127.0.0.1:{server.port} {said}" in str(error)
    assert error.retry is Retry.AMBIGUOUS
    assert error.possible_duplicate
    assert len(server.requests) == 2


def test_a_question_that_costs_nothing_is_asked_again_freely() -> None:
    with ByteServer([reset(), close(), reset()], otherwise=GOOD) as server:
        client = make_client(server.url)
        answer = client.get("x")
        client.close()

    assert answer.status == 200
    assert not answer.possible_duplicate


def test_a_submit_whose_answer_was_lost_is_not_sent_again() -> None:
    with ByteServer([reset()], otherwise=GOOD) as server:
        client = make_client(server.url)
        with pytest.raises(NetworkError) as caught:
            client.post("jobs", {}, submit=True)
        client.close()

    assert caught.value.retry is Retry.AMBIGUOUS
    assert len(server.requests) == 1


def test_a_stall_within_the_answer_ends_with_the_idle_limit() -> None:
    with ByteServer(otherwise=stall(b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n\r\nabc")) as server:
        error = failure_of(server, idle_timeout=0.1)

    assert error.exit_status == 6
    assert f"127.0.0.1:{server.port} sent nothing more for 0.1 s" in str(error)
    assert len(server.requests) == 2


def test_s19_a_service_at_work_may_be_silent_for_longer_than_the_idle_limit() -> None:
    def work(peer: Peer) -> None:
        peer.server.stopped.wait(0.4)
        GOOD(peer)

    with ByteServer(otherwise=work) as server:
        client = make_client(server.url, settings=connection(idle_timeout=0.1))

        assert client.post("x", {}).status == 200
        client.close()
    assert len(server.requests) == 1


def test_a_service_that_never_answers_is_left_at_the_deadline() -> None:
    with ByteServer(otherwise=stall()) as server:
        error = failure_of(server, timeout=0.2)

    assert isinstance(error, TimeLimitError)
    assert error.exit_status == 10
    assert f"127.0.0.1:{server.port} did not finish within 0.2 s" in str(error)
    assert "--timeout" in (error.hint or "")
    assert len(server.requests) == 1


@pytest.mark.parametrize(
    "dripped",
    [
        http(200, b"x" * 2000),
        http(100, b"") * 200,
        http(200, b"x" * 2000, framing="chunked"),
    ],
    ids=["headers and body", "interim answers", "chunks"],
)
def test_a_server_that_drips_does_not_get_past_the_deadline(dripped: bytes) -> None:
    with ByteServer(otherwise=drip(dripped, 0.02)) as server:
        error = failure_of(server, timeout=0.3)

    assert isinstance(error, TimeLimitError)


def test_a_server_that_drips_is_too_slow() -> None:
    with ByteServer(otherwise=drip(http(200, b"x" * 2000), 0.02)) as server:
        error = failure_of(server, idle_timeout=0.3, min_speed=1000.0)

    assert isinstance(error, NetworkError)
    assert error.exit_status == 6
    assert "is too slow" in str(error)


def test_a_slow_answer_above_the_least_speed_is_read_to_its_end() -> None:
    parts = [drip(http(200, b'{"text":"' + b"x" * 60 + b'"}'), 0.005)]
    with ByteServer(otherwise=sequence(parts)) as server:
        client = make_client(server.url, settings=connection(idle_timeout=0.2, min_speed=10.0))

        assert len(client.get("x").json["text"]) == 60
        client.close()


def test_without_a_deadline_only_the_other_limits_count() -> None:
    with ByteServer(otherwise=stall(b"HTTP/1.1 200 OK\r\n")) as server:
        error = failure_of(server, timeout=0, idle_timeout=0.1)

    assert "sent nothing more for 0.1 s" in str(error)


def test_an_upload_that_nobody_takes_ends_with_the_idle_limit_and_is_sent_again(
    tmp_path: Path,
) -> None:
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(30_000_000)

    def ignore(peer: Peer) -> None:
        peer.server.stopped.wait(0.5)
        peer.reset()

    with ByteServer([before_reading(ignore)], otherwise=GOOD) as server:
        client = make_client(server.url, settings=connection(idle_timeout=0.1))
        answer = client.post_file("up", [], FilePart("file", "a.wav", "audio/wav", path))
        client.close()

    assert answer.status == 200
    assert not answer.possible_duplicate
    assert len(server.requests) == 1
    assert server.connections >= 2  # on a busy machine the limit may be met once more


def test_an_early_refusal_of_an_upload_is_read(tmp_path: Path) -> None:
    path = tmp_path / "big.wav"
    with path.open("wb") as file:
        file.truncate(30_000_000)

    def refuse(peer: Peer) -> None:
        peer.send(http(413, b'{"message":"too large"}'))
        peer.socket.shutdown(socket.SHUT_WR)
        peer.wait_until_left()
        peer.close()

    with ByteServer(otherwise=before_reading(refuse)) as server:
        client = make_client(server.url)
        with pytest.raises(AsrError) as caught:
            client.post_file("up", [], FilePart("file", "a.wav", "audio/wav", path))
        client.close()

    assert caught.value.exit_status == 7
    assert caught.value.http_status == 413


# --- kept connections -------------------------------------------------------------------------


def test_a_connection_that_was_closed_while_idle_costs_no_retry() -> None:
    closed = threading.Event()

    def answer_and_close(peer: Peer) -> None:
        GOOD(peer)
        peer.close()
        closed.set()

    time = FakeTime()
    with ByteServer([answer_and_close], otherwise=GOOD) as server:
        client = make_client(server.url, retrier=make_retrier(time))
        client.post("x", {})
        assert closed.wait(10)
        answer = client.post("x", {})
        client.close()

    assert answer.status == 200
    assert not answer.possible_duplicate
    assert time.waited == 0
    assert len(server.requests) == 2


def test_one_connection_serves_calls_that_follow_each_other() -> None:
    with ByteServer(otherwise=GOOD) as server:
        client = make_client(server.url)
        for _ in range(10):
            client.post("x", {})
        client.close()

    assert server.connections == 1


def test_64_threads_open_no_more_than_64_connections() -> None:
    with ByteServer(otherwise=GOOD) as server:
        retrier = make_retrier(FakeTime(), limit=64)
        client = make_client(server.url, settings=connection(max_connections=64), retrier=retrier)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(15):
                    assert client.post("x", {"audio": "x" * 1000}).status == 200
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(64)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        client.close()

    assert failures == []
    assert len(server.requests) == 64 * 15
    assert server.connections <= 64


def test_a_client_with_fewer_connections_than_threads_never_runs_out_of_them() -> None:
    with ByteServer(otherwise=GOOD) as server:
        retrier = make_retrier(FakeTime(), limit=64)
        client = make_client(server.url, settings=connection(max_connections=2), retrier=retrier)
        failures: list[BaseException] = []

        def work() -> None:
            try:
                for _ in range(10):
                    client.post("x", {})
            except BaseException as error:
                failures.append(error)

        threads = [threading.Thread(target=work) for _ in range(32)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        client.close()

    assert failures == []


def test_a_closed_client_opens_nothing_again() -> None:
    with ByteServer(otherwise=GOOD) as server:
        client = make_client(server.url)
        client.close()
        with pytest.raises(NetworkError):
            client.get("x")

    assert server.connections == 0


def test_offline_means_that_no_socket_is_opened() -> None:
    with ByteServer(otherwise=GOOD) as server:
        client = make_client(server.url, settings=connection(offline=True))
        with pytest.raises(AsrError, match="--offline") as caught:
            client.get("x")

    assert caught.value.exit_status == 2
    assert server.connections == 0
