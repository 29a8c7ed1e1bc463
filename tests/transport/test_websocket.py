"""WebSockets on loopback: rows W01 to W03, W05, W07 to W09 and W16 of the fault catalogue."""

from __future__ import annotations

import logging
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from websockets.sync.server import ServerConnection, serve

from asrcli.errors import (
    AsrError,
    ConfigurationError,
    KeyRefusedError,
    NetworkError,
    RateLimitedError,
    RedirectError,
    Retry,
    RightsError,
    TLSError,
    UnexpectedAnswerError,
    UsageError,
)
from asrcli.secret import Secret
from asrcli.transport.connection import Connection
from asrcli.transport.sockets import Backend
from asrcli.transport.websocket import Closed, Keepalive, WebSocket, open_websocket
from tests.emulators.realtime import (
    KEY,
    Abort,
    Close,
    HalfOpen,
    On,
    RealtimeEmulator,
    Refuse,
    Send,
    Stall,
)
from tests.emulators.realtime.client import ASR
from tests.faults.byte_server import ByteServer, before_reading, close, http, reset
from tests.faults.proxy import HTTPProxy, SOCKSProxy
from tests.transport.rig import connection


class Bell:
    """What `notify` rings; waiting for something is waiting for the bell."""

    def __init__(self) -> None:
        self._rung = threading.Condition()

    def __call__(self) -> None:
        with self._rung:
            self._rung.notify_all()

    def until(self, condition: Callable[[], bool], *, timeout: float = 10.0) -> None:
        with self._rung:
            assert self._rung.wait_for(condition, timeout), "nothing came"


@pytest.fixture
def bell() -> Bell:
    return Bell()


@pytest.fixture
def service() -> Iterator[RealtimeEmulator]:
    with RealtimeEmulator() as emulator:
        yield emulator


def opened(
    url: str,
    bell: Bell,
    *,
    key: str = KEY,
    settings: Connection | None = None,
    keepalive: Keepalive | None = None,
    **options: Any,
) -> WebSocket:
    return open_websocket(
        "svc",
        url,
        {"Authorization": Secret(key), "X-More": "1"},
        settings or connection(),
        notify=bell,
        keepalive=keepalive or Keepalive(),
        **options,
    )


def failure(url: str, bell: Bell, **options: Any) -> AsrError:
    with pytest.raises(AsrError) as caught:
        opened(url, bell, **options)
    return caught.value


def ended(socket: WebSocket, bell: Bell) -> Closed:
    """Fetch all messages; then how it ended."""

    def over() -> bool:
        socket.messages()
        return socket.closed is not None

    bell.until(over)
    assert socket.closed is not None
    socket.abort()
    return socket.closed


@contextmanager
def serving(
    handler: Callable[[ServerConnection], None], **options: Any
) -> Iterator[tuple[str, int]]:
    with serve(handler, "127.0.0.1", 0, compression=None, **options) as server:
        port = server.socket.getsockname()[1]
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"{'wss' if 'ssl' in options else 'ws'}://127.0.0.1:{port}/", port
        finally:
            server.shutdown()
            thread.join()


def echo(socket: ServerConnection) -> None:
    for message in socket:
        socket.send(message)


# --- messages -----------------------------------------------------------------------------------


def test_messages_go_and_come_in_order(bell: Bell) -> None:
    with serving(echo) as (url, _):
        socket = opened(url, bell)
        sent: list[str | bytes] = ["one", b"\x00\x01", "two"]
        for message in sent:
            socket.send(message)
        came: list[str | bytes] = []

        def all_came() -> bool:
            came.extend(socket.messages())
            return len(came) == 3

        bell.until(all_came)
        assert came == sent
        assert socket.unsent == 0
        socket.close()


def test_the_key_goes_as_a_bearer_with_the_other_headers(
    service: RealtimeEmulator, bell: Bell
) -> None:
    socket = opened(service.base_url + ASR, bell)
    socket.close()

    assert service.connections[0].status == 101
    assert service.connections[0].headers["x-more"] == "1"
    assert service.connections[0].headers["user-agent"].startswith("asrcli/")


def test_nothing_of_the_handshake_is_logged(
    service: RealtimeEmulator, bell: Bell, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.DEBUG)
    opened(service.base_url + ASR, bell).close()

    # The emulator's side may, and shows that this would be seen.
    assert {record.name for record in caplog.records} == {"websockets.server"}


def test_closing_says_goodbye_and_leaves_no_thread(service: RealtimeEmulator, bell: Bell) -> None:
    before = threading.active_count()
    socket = opened(service.base_url + ASR, bell)
    assert threading.active_count() > before
    socket.close()

    assert threading.active_count() == before
    service.wait_for(lambda: service.connections[0].closed is not None)
    assert service.connections[0].closed == (1000, "")


def test_a_message_to_a_connection_that_ended_is_no_error(bell: Bell) -> None:
    with serving(lambda socket: socket.close(1000)) as (url, _):
        socket = opened(url, bell)
        bell.until(lambda: socket.closed is not None)
        socket.send("too late")

        assert socket.unsent == 0
        socket.close()


# --- how it ends --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("action", "how"),
    [
        (Close(1000, "bye"), Closed(1000, "bye")),
        (Close(1011, "internal"), Closed(1011, "internal")),
        (Close(1013, "later"), Closed(1013, "later")),
        (Close(4029, "too fast"), Closed(4029, "too fast")),
        (Abort(), Closed(None, "")),
    ],
)
def test_how_the_other_side_ended_it_is_told(
    service: RealtimeEmulator, bell: Bell, action: Any, how: Closed
) -> None:
    service.scripts.append([On("session.created", action)])

    assert ended(opened(service.base_url + ASR, bell), bell) == how


def test_messages_before_the_end_come_before_the_end(service: RealtimeEmulator, bell: Bell) -> None:
    service.scripts.append([On("session.created", Close(1011))])
    socket = opened(service.base_url + ASR, bell)
    service.wait_for(lambda: service.connections[0].closed is not None)

    bell.until(lambda: socket._closed is not None)
    before, messages, after = socket.closed, socket.messages(), socket.closed
    assert (before, len(messages), after) == (None, 1, Closed(1011, ""))
    socket.close()


def test_a_half_open_connection_is_found_out(service: RealtimeEmulator, bell: Bell) -> None:
    service.scripts.append([On("session.created", HalfOpen())])
    quick = Keepalive(interval=0.05, answer=0.1, close=0.1)

    how = ended(opened(service.base_url + ASR, bell, keepalive=quick), bell)

    assert how == Closed(None, "it no longer answers pings")


def test_by_default_a_half_open_connection_is_found_out_within_30_s() -> None:
    usual = Keepalive()
    assert usual.interval + usual.answer + usual.close <= 30


def test_a_message_over_the_limit_ends_it_with_1009(service: RealtimeEmulator, bell: Bell) -> None:
    service.scripts.append([On("session.created", Send("x" * 2000))])
    small = Keepalive(most_bytes=1000)

    assert ended(opened(service.base_url + ASR, bell, keepalive=small), bell).code == 1009


def test_a_message_of_8_mib_is_taken(service: RealtimeEmulator, bell: Bell) -> None:
    service.scripts.append([On("session.created", Send("x" * 8 * 1024 * 1024))])
    socket = opened(service.base_url + ASR, bell)
    sizes: list[int] = []

    def came() -> bool:
        sizes.extend(len(message) for message in socket.messages())
        return len(sizes) == 2

    bell.until(came)
    assert sizes[0] == 8 * 1024 * 1024
    socket.close()


def test_who_does_not_read_is_given_up_and_holds_nobody(bell: Bell) -> None:
    enough = threading.Event()

    def deaf(_: ServerConnection) -> None:
        enough.wait(10)

    with serving(deaf, max_queue=1, close_timeout=0.1) as (url, _):
        socket = opened(url, bell, keepalive=Keepalive(stall=0.3, close=0.1))
        for _ in range(400):
            socket.send(bytes(64 * 1024))
        assert socket.unsent > 0  # and this line was reached at once

        how = ended(socket, bell)
        enough.set()

    assert how == Closed(None, "it took nothing for 0.3 s")


def test_what_is_not_fetched_is_not_read(bell: Bell) -> None:
    sent: list[int] = []
    gone = threading.Event()

    def chatter(server: ServerConnection) -> None:
        try:
            for number in range(100_000):
                server.send("x" * 1000)
                sent.append(number)
        except Exception:
            gone.set()

    with serving(chatter) as (url, _):
        socket = opened(url, bell)
        bell.until(lambda: len(socket._incoming) == 256)
        socket.abort()
        assert gone.wait(10)

    assert len(sent) < 100_000


# --- the handshake ------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("status", "kind", "retry"),
    [
        (401, KeyRefusedError, Retry.NEVER),
        (403, RightsError, Retry.NEVER),
        (429, RateLimitedError, Retry.THROTTLED),
        (503, AsrError, Retry.TRANSIENT),
        (200, UnexpectedAnswerError, Retry.NEVER),
    ],
)
def test_a_refused_handshake_is_an_error_of_its_kind(
    service: RealtimeEmulator, bell: Bell, status: int, kind: type[AsrError], retry: Retry
) -> None:
    service.scripts.append([Refuse(status, {"message": "no"}, {"Retry-After": "7"})])

    error = failure(service.base_url + ASR, bell)

    assert isinstance(error, kind)
    assert error.retry is retry
    if status != 200:
        assert (error.http_status, error.retry_after) == (status, 7.0)


def test_the_service_s_own_words_for_a_refusal_come_first(
    service: RealtimeEmulator, bell: Bell
) -> None:
    service.scripts.append([Refuse(403, {"code": "Throttling", "message": "slow"})])

    error = failure(
        service.base_url + ASR,
        bell,
        read_failure=lambda answer: RateLimitedError("svc", answer.json["message"]),
    )

    assert isinstance(error, RateLimitedError)
    assert error.http_status == 403


def test_a_redirect_is_refused_and_the_key_stays(service: RealtimeEmulator, bell: Bell) -> None:
    with ByteServer(otherwise=close(http(200, b""))) as other:
        place = f"ws://127.0.0.1:{other.port}/"
        service.scripts.append([Refuse(302, "", {"Location": place})])
        error = failure(service.base_url + ASR, bell)

    assert isinstance(error, RedirectError)
    assert error.exit_status == 9
    assert other.requests == []


def test_a_handshake_that_is_never_answered_ends(service: RealtimeEmulator, bell: Bell) -> None:
    service.scripts.append([Stall()])

    error = failure(service.base_url + ASR, bell, settings=connection(connect_timeout=0.3))

    assert isinstance(error, NetworkError)
    assert "did not answer the handshake within 0.3 s" in str(error)


def test_nobody_there_is_a_network_error(bell: Bell) -> None:
    with ByteServer() as gone:
        pass
    error = failure(f"ws://127.0.0.1:{gone.port}/", bell)

    assert isinstance(error, NetworkError)
    assert f"127.0.0.1:{gone.port} refused the connection" in str(error)
    assert error.retry is Retry.TRANSIENT


@pytest.mark.parametrize("step", [close(), before_reading(reset())])
def test_a_connection_that_ends_before_the_answer_may_be_tried_again(step: Any, bell: Bell) -> None:
    with ByteServer(otherwise=step) as server:
        error = failure(f"ws://127.0.0.1:{server.port}/", bell)

    assert isinstance(error, NetworkError)
    assert error.retry is Retry.TRANSIENT


def test_a_server_that_speaks_something_else_is_named(bell: Bell) -> None:
    with ByteServer(otherwise=close(b"SSH-2.0-OpenSSH_9.2\r\n\r\n")) as server:
        error = failure(f"ws://127.0.0.1:{server.port}/", bell)

    assert isinstance(error, UnexpectedAnswerError)
    assert "does not keep to HTTP" in str(error)


def test_a_name_that_cannot_be_resolved_is_named(bell: Bell) -> None:
    def resolve(host: str, port: int) -> list[tuple[Any, ...]]:
        import socket

        raise socket.gaierror(socket.EAI_NONAME, "no")

    error = failure("wss://service.test/", bell, backend=Backend(resolve))

    assert isinstance(error, NetworkError)
    assert "cannot resolve service.test" in str(error)


def test_a_connection_in_the_open_is_refused(bell: Bell) -> None:
    with pytest.raises(ConfigurationError, match="not encrypted"):
        opened("ws://service.test/", bell)


def test_offline_no_socket_is_opened(service: RealtimeEmulator, bell: Bell) -> None:
    with pytest.raises(UsageError, match="--offline"):
        opened(service.base_url + ASR, bell, settings=connection(offline=True))
    assert service.connections == []


# --- TLS and proxies ----------------------------------------------------------------------------


def test_the_bundle_s_authority_is_trusted(
    bell: Bell, good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with serving(echo, ssl=good_tls) as (url, _):
        socket = opened(url, bell, settings=connection(ca_bundle=bundle))
        socket.send("hello")
        bell.until(lambda: socket.messages() == ["hello"])
        socket.close()


def test_an_unknown_authority_is_refused(bell: Bell, good_tls: ssl.SSLContext) -> None:
    with serving(echo, ssl=good_tls) as (url, port):
        error = failure(url, bell)

    assert isinstance(error, TLSError)
    assert f"127.0.0.1:{port}: its certificate" in str(error)


@pytest.mark.parametrize("login", ["", "me:p%40ss@"])
@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_carries_it_and_does_not_see_the_key(
    bell: Bell, good_tls: ssl.SSLContext, bundle: Path, scheme: str, login: str
) -> None:
    wanted = "me:p@ss" if login else None
    kind = HTTPProxy if scheme == "http" else SOCKSProxy
    with serving(echo, ssl=good_tls) as (_, port), kind(port, login=wanted) as proxy:
        environ = {"HTTPS_PROXY": f"{scheme}://{login}127.0.0.1:{proxy.port}"}
        socket = opened(
            "wss://service.test/", bell, settings=connection(environ=environ, ca_bundle=bundle)
        )
        socket.send("hello")
        bell.until(lambda: socket.messages() == ["hello"])
        socket.close()

    assert proxy.targets == ["service.test:443"]


def test_a_proxy_reached_by_tls_carries_it(
    bell: Bell, good_tls: ssl.SSLContext, bundle: Path
) -> None:
    with serving(echo, ssl=good_tls) as (_, port), HTTPProxy(port, tls=good_tls) as proxy:
        environ = {"HTTPS_PROXY": f"https://127.0.0.1:{proxy.port}"}
        socket = opened(
            "wss://service.test/", bell, settings=connection(environ=environ, ca_bundle=bundle)
        )
        socket.send("hello")
        bell.until(lambda: socket.messages() == ["hello"])
        socket.close()


@pytest.mark.parametrize("scheme", ["http", "socks5"])
def test_a_proxy_that_wants_a_password_is_named(bell: Bell, scheme: str) -> None:
    kind = HTTPProxy if scheme == "http" else SOCKSProxy
    with kind(1, login="me:right") as proxy:
        environ = {"HTTPS_PROXY": f"{scheme}://me:wrong@127.0.0.1:{proxy.port}"}
        error = failure("wss://service.test/", bell, settings=connection(environ=environ))

    assert "proxy authentication required" in str(error)
    assert error.exit_status == 6


def test_a_proxy_that_does_not_connect_is_named(bell: Bell) -> None:
    with HTTPProxy(1, refuse=403) as proxy:
        environ = {"HTTPS_PROXY": f"http://127.0.0.1:{proxy.port}"}
        error = failure("wss://service.test/", bell, settings=connection(environ=environ))

    assert f"127.0.0.1:{proxy.port} did not connect to service.test:443 (403)" in str(error)
