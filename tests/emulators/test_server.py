"""The server: HTTP/1.1 on loopback, to the letter and against it."""

from __future__ import annotations

import importlib
import socket
import ssl
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from tests.emulators.server import NAMES, Server, serve
from tests.emulators.service import Emulator, Received
from tests.emulators.troubles import Drip, Drop, Failure, Gate, Raw


class Echo(Emulator):
    """Says what it got."""

    def __init__(self) -> None:
        super().__init__()
        self.go_on = threading.Event()

    def answer(self, request: Received) -> httpx.Response:
        if request.path == "/events":
            return httpx.Response(
                200, headers={"content-type": "text/event-stream"}, content=self._events()
            )
        if request.path == "/nothing":
            return httpx.Response(204)
        body = request.body
        return httpx.Response(200, json={"size": body.size, "sha256": body.sha256})

    def _events(self) -> Iterator[bytes]:
        yield b"data: 1\n\n"
        assert self.go_on.wait(10)
        yield b"data: 2\n\n"


@pytest.fixture
def service() -> Echo:
    return Echo()


@pytest.fixture
def server(service: Echo) -> Iterator[Server]:
    with serve(service) as server:
        yield server


@pytest.fixture
def client(server: Server) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=server.url, timeout=10) as client:
        yield client


def raw(server: Server, data: bytes) -> bytes:
    """What comes back for these bytes, until the server closes."""
    with socket.create_connection((server.host, server.port), timeout=10) as connection:
        connection.sendall(data)
        received = b""
        while piece := connection.recv(65_536):
            received += piece
    return received


def test_a_connection_is_used_again(server: Server, service: Echo, client: httpx.Client) -> None:
    for _ in range(5):
        assert client.post("/a", content=b"12345").json()["size"] == 5

    assert server.connections_opened == 1
    assert [request.connection for request in service.requests] == [1] * 5


def test_many_connections_are_served_at_once(server: Server, service: Echo) -> None:
    gates = [Gate() for _ in range(8)]
    service.failures.extend(gates)
    threads = [threading.Thread(target=httpx.get, args=(server.url,)) for _ in gates]

    for thread in threads:
        thread.start()
    arrived = [gate.arrived.wait(10) for gate in gates]
    for gate in gates:
        gate.open()
    for thread in threads:
        thread.join(10)

    assert arrived == [True] * 8
    assert server.connections_opened == service.most_at_once == 8


def test_bodies_come_whole_in_either_framing(client: httpx.Client) -> None:
    data = bytes(range(256)) * 20_000

    counted = client.post("/a", content=data).json()
    chunked = client.post("/a", content=iter([data[:1], data[1:70_000], data[70_000:]])).json()

    assert counted == chunked
    assert counted["size"] == len(data)


def test_an_answer_in_pieces_arrives_piece_by_piece(service: Echo, client: httpx.Client) -> None:
    with client.stream("GET", "/events") as response:
        pieces = response.iter_raw()
        first = next(pieces)
        service.go_on.set()
        rest = b"".join(pieces)

    assert (first, rest) == (b"data: 1\n\n", b"data: 2\n\n")


def test_a_function_is_served_as_well() -> None:
    def answer(request: httpx.Request) -> httpx.Response:
        return httpx.Response(201, text=f"{request.method} {request.url.path} {request.read()!r}")

    with serve(answer) as server:
        response = httpx.post(f"{server.url}/x", content=b"abc")

    assert (response.status_code, response.text) == (201, "POST /x b'abc'")


def test_an_answer_without_a_body_leaves_the_connection_usable(
    server: Server, client: httpx.Client
) -> None:
    assert client.get("/nothing").status_code == 204
    assert client.head("/a").status_code == 200
    assert client.get("/a").status_code == 200
    assert server.connections_opened == 1


def test_a_client_that_waits_for_100_is_told_to_go_on(server: Server) -> None:
    head = b"POST /a HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\nexpect: 100-continue\r\n"

    answer = raw(server, head + b"connection: close\r\n\r\nabc")

    assert answer.startswith(b"HTTP/1.1 100 Continue\r\n\r\nHTTP/1.1 200 OK\r\n")


@pytest.mark.parametrize(
    "head",
    [
        b"GET / HTTP/1.0\r\nhost: x\r\n",
        b"GET / HTTP/1.1\r\n",
        b"GET /\r\nhost: x\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: -1\r\n",
        b"POST / HTTP/1.1\r\nhost: x\r\ncontent-length: 3\r\ntransfer-encoding: chunked\r\n",
        b"GET / HTTP/1.1\r\nhost: x\r\nbad header: 1\r\n : 2\r\n",
    ],
)
def test_a_request_that_is_not_to_the_letter_is_refused(server: Server, head: bytes) -> None:
    assert raw(server, head + b"\r\n").startswith(b"HTTP/1.1 400 Bad Request\r\n")


@pytest.mark.parametrize(
    ("item", "error"),
    [
        (Drop("reset"), httpx.ReadError),
        (Drop("close"), httpx.RemoteProtocolError),
        (Drop("close", writing=3), httpx.RemoteProtocolError),
        (Drop("reset", writing=3), httpx.ReadError),
        (Drop("stall", writing=3), httpx.ReadTimeout),
        (Drop("stall"), httpx.ReadTimeout),
        (Raw(b"SSH-2.0-OpenSSH_9\r\n"), httpx.RemoteProtocolError),
        (Raw(b"HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nshort"), httpx.RemoteProtocolError),
        (httpx.ReadError(""), (httpx.ReadError, httpx.RemoteProtocolError)),
    ],
)
def test_connections_break_as_they_are_told_to(
    server: Server, service: Echo, item: Failure, error: type[Exception]
) -> None:
    service.failures.append(item)

    with httpx.Client(base_url=server.url, timeout=httpx.Timeout(10, read=0.5)) as client:
        with pytest.raises(error):
            client.post("/a", content=b"12345")
        assert client.get("/a").status_code == 200

    assert server.connections_opened == 2


@pytest.mark.parametrize("item", [Drop("reset", reading=9), Drop("close", reading=100_000)])
def test_an_upload_may_break_in_the_middle(server: Server, service: Echo, item: Drop) -> None:
    service.failures.append(item)

    with pytest.raises((httpx.NetworkError, httpx.RemoteProtocolError)):
        httpx.post(f"{server.url}/a", content=bytes(20_000_000), timeout=10)

    assert service.requests == []


def test_a_server_may_stop_reading(server: Server, service: Echo) -> None:
    service.failures.append(Drop("stall", reading=100_000))

    with pytest.raises(httpx.WriteTimeout):
        httpx.post(server.url, content=bytes(20_000_000), timeout=httpx.Timeout(10, write=0.5))


def test_an_answer_may_drip(service: Echo, client: httpx.Client) -> None:
    service.failures.append(Drip(0.001))

    with client.stream("POST", "/a", content=b"1") as response:
        pieces = list(response.iter_raw())

    assert len(pieces) > 10
    assert b"".join(pieces).startswith(b'{"size":1,')


def test_an_answer_shorter_than_it_says_ends_the_connection(
    server: Server, service: Echo, client: httpx.Client
) -> None:
    service.failures.append(httpx.Response(200, headers={"content-length": "9"}, content=b"short"))

    with pytest.raises(httpx.RemoteProtocolError):
        client.get("/a")


def test_a_client_that_hangs_up_in_a_stall_sets_the_server_free(
    server: Server, service: Echo
) -> None:
    service.failures.append(Drop("stall"))
    with httpx.Client(base_url=server.url, timeout=0.3) as client, pytest.raises(httpx.ReadTimeout):
        client.get("/a")

    done = threading.Event()
    for _ in range(200):
        if server.connections_open == 0:
            break
        done.wait(0.05)
    assert server.connections_open == 0


def test_nothing_listens_when_the_block_is_over(service: Echo) -> None:
    with serve(service) as server, httpx.Client(base_url=server.url) as client:
        client.get("/a")

    with pytest.raises(httpx.ConnectError):
        httpx.get(server.url)


def test_it_speaks_tls_with_a_certificate_of_the_tests(service: Echo) -> None:
    trustme = pytest.importorskip("trustme")
    authority = trustme.CA()
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    trusting = ssl.create_default_context()
    authority.configure_trust(trusting)

    with serve(service, tls=context) as server:
        assert httpx.get(server.url, verify=trusting).status_code == 200

    assert server.url.startswith("https://")


@pytest.mark.parametrize("name", NAMES)
def test_each_service_is_found_by_its_name(name: str) -> None:
    module, _, attribute = NAMES[name].partition(":")

    assert issubclass(getattr(importlib.import_module(module), attribute), Emulator)


def test_it_can_be_started_by_hand() -> None:
    root = Path(__file__).parents[2]
    command = [sys.executable, "-m", "tests.emulators.server", "onemin"]
    with subprocess.Popen(command, cwd=root, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        try:
            models = httpx.get(
                f"{url}/models?feature=SPEECH_TO_TEXT", headers={"user-agent": "asrcli/0"}
            ).json()
        finally:
            process.terminate()

    assert models["total"] == 12
