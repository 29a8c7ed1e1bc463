"""Emulated services on loopback, for tests of the whole program and for measurements.

    with serve(OneMin()) as server:
        run("asrcli", "--base-url", server.url, ...)

It speaks HTTP/1.1 by hand, one thread a connection: requests are read strictly, bodies go to
disk when they are large, answers that come in pieces are sent piece by piece, and the troubles
of `tests.emulators.troubles` are carried out on the socket.

By hand: `python -m tests.emulators.server onemin --port 8000`.
"""

from __future__ import annotations

import argparse
import importlib
import socket
import ssl
import struct
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache
from http import HTTPStatus
from typing import Any

import httpx

from tests.emulators.bodies import Body
from tests.emulators.service import Emulator
from tests.emulators.troubles import Drip, Drop, Raw, trouble_of

__all__ = ["NAMES", "Server", "serve"]

NAMES = {
    "onemin": "tests.emulators.onemin:OneMin",
    "dashscope": "tests.emulators.dashscope.app:DashScope",
    "openai": "tests.emulators.openai:OpenAI",
}
_LONGEST_LINE = 65_536
_MOST_HEADERS = 200
_PIECE = 1 << 16
_STALL_LIMIT = 120.0
_REASONS = {status.value: status.phrase for status in HTTPStatus}

Answering = Callable[[httpx.Request], httpx.Response]


class Server:
    """A service that can be reached at `url` until it is closed."""

    def __init__(
        self,
        service: Emulator | Answering,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        self.connections_opened = 0
        self.connections_open = 0
        self._service = service
        self._tls = tls
        self._lock = threading.Lock()
        self._sockets: set[socket.socket] = set()
        self._threads: set[threading.Thread] = set()
        self._closing = threading.Event()
        self._listener = socket.create_server((host, port), backlog=256)
        self.host, self.port = self._listener.getsockname()[:2]
        self._acceptor = threading.Thread(target=self._accept, name=f"serve-{self.port}")
        self._acceptor.daemon = True
        self._acceptor.start()

    @property
    def url(self) -> str:
        """Scheme, host and port, without a slash at the end."""
        return f"{'https' if self._tls else 'http'}://{self.host}:{self.port}"

    def close(self) -> None:
        """Stop listening, cut what is open, and wait for the threads to end."""
        self._closing.set()
        # Not every system wakes a thread that waits in `accept` when its socket is closed.
        with suppress(OSError):
            socket.create_connection((self.host, self.port), timeout=1).close()
        self._acceptor.join(timeout=5)
        self._listener.close()
        with self._lock:
            sockets, threads = list(self._sockets), list(self._threads)
        for connection in sockets:
            with suppress(OSError):
                connection.shutdown(socket.SHUT_RDWR)
        for thread in threads:
            thread.join(timeout=5)

    def _accept(self) -> None:
        while not self._closing.is_set():
            try:
                connection, _ = self._listener.accept()
            except OSError:
                return
            if self._closing.is_set():
                connection.close()
                return
            with self._lock:
                self.connections_opened += 1
                number = self.connections_opened
                thread = threading.Thread(target=self._serve, args=(connection, number))
                thread.daemon = True
                self._sockets.add(connection)
                self._threads.add(thread)
            thread.start()

    def _serve(self, connection: socket.socket, number: int) -> None:
        with self._lock:
            self.connections_open += 1
        try:
            connection.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            with suppress(OSError, _Gone):
                if self._tls is not None:
                    connection = self._encrypted(connection)
                _Conversation(connection, self._service, number, self._closing).run()
        finally:
            connection.close()
            with self._lock:
                self.connections_open -= 1
                self._sockets.discard(connection)
                self._threads.discard(threading.current_thread())

    def _encrypted(self, connection: socket.socket) -> socket.socket:
        assert self._tls is not None
        encrypted = self._tls.wrap_socket(connection, server_side=True)
        with self._lock:
            self._sockets.discard(connection)
            self._sockets.add(encrypted)
        return encrypted


class _Gone(Exception):  # noqa: N818 - how a conversation ends
    """The other side is gone, or is to be left."""


class _Conversation:
    """The requests of one connection, one after the other."""

    def __init__(
        self,
        connection: socket.socket,
        service: Emulator | Answering,
        number: int,
        closing: threading.Event,
    ) -> None:
        self._socket = connection
        self._file: Any = connection.makefile("rb", 65_536)
        self._service = service
        self._number = number
        self._closing = closing
        self._read_all = True

    def run(self) -> None:
        try:
            while self._exchange():
                pass
        finally:
            self._file.close()

    def _exchange(self) -> bool:
        """One request and its answer; False when the connection is to be closed."""
        line = self._line()
        if not line:
            return False
        try:
            method, target, version = line.decode("ascii").split(" ")
            headers = self._headers()
            pieces = self._pieces(headers)
        except ValueError as error:
            return self._refuse(str(error))
        if version != "HTTP/1.1" or "host" not in headers:
            return self._refuse("only HTTP/1.1 with a host")
        if headers.get("expect", "").lower() == "100-continue":
            self._socket.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        scheme = "https" if isinstance(self._socket, ssl.SSLSocket) else "http"
        try:
            url = _url(f"{scheme}://{headers['host']}{target}")
            response = self._answer(method, url, headers, pieces)
        except httpx.InvalidURL as error:
            return self._refuse(str(error))
        except httpx.TransportError:
            return self._reset()
        except (OSError, _Gone):
            raise
        except BaseException as error:
            # A mistake of the service's: the client is told, and the thread fails the test.
            self._deliver(httpx.Response(500, text=f"the emulator failed: {error!r}"), method)
            raise
        return self._deliver(response, method) and headers.get("connection") != "close"

    def _answer(
        self, method: str, url: httpx.URL, headers: httpx.Headers, pieces: Iterator[bytes]
    ) -> httpx.Response:
        if isinstance(self._service, Emulator):
            return self._service.handle(method, url, headers, pieces, connection=self._number)
        body = Body(pieces)
        stream = httpx.ByteStream(body.content)
        return self._service(httpx.Request(method, url, headers=headers, stream=stream))

    # --- reading ------------------------------------------------------------------------------

    def _line(self) -> bytes:
        line: bytes = self._file.readline(_LONGEST_LINE)
        if line and not line.endswith(b"\r\n"):
            raise _Gone
        return line[:-2]

    def _headers(self) -> httpx.Headers:
        raw: list[tuple[bytes, bytes]] = []
        while line := self._line():
            name, colon, value = line.partition(b":")
            if not colon or not name or name != name.strip() or len(raw) >= _MOST_HEADERS:
                raise ValueError("a bad header")
            raw.append((name, value.strip()))
        return httpx.Headers(raw)

    def _pieces(self, headers: httpx.Headers) -> Iterator[bytes]:
        self._read_all = False
        if "transfer-encoding" in headers:
            if headers["transfer-encoding"] != "chunked" or "content-length" in headers:
                raise ValueError("a body of two lengths")
            return self._chunks()
        length = headers.get("content-length", "0")
        if not length.isdecimal():
            raise ValueError("a bad content-length")
        return self._counted(int(length))

    def _counted(self, left: int) -> Iterator[bytes]:
        while left:
            piece = self._file.read1(min(left, _PIECE))
            if not piece:
                raise _Gone
            left -= len(piece)
            yield piece
        self._read_all = True

    def _chunks(self) -> Iterator[bytes]:
        while size := self._chunk_size():
            yield from self._counted(size)
            self._read_all = False
            if self._line():
                raise _Gone
        if self._line():
            raise _Gone
        self._read_all = True

    def _chunk_size(self) -> int:
        try:
            return int(self._line().split(b";")[0], 16)
        except ValueError:
            raise _Gone from None

    # --- writing ------------------------------------------------------------------------------

    def _deliver(self, response: httpx.Response, method: str) -> bool:
        match trouble_of(response):
            case Drop(how, _, None):
                return self._drop(how)
            case Drop(how, _, int(most)):
                self._socket.sendall(_head(response))
                for piece in _pieces(response):
                    self._socket.sendall(piece[:most])
                    most -= len(piece)
                    if most <= 0:
                        break
                return self._drop(how)
            case Raw(data):
                self._socket.sendall(data)
                return self._drop("close")
            case Drip(seconds):
                self._socket.sendall(_head(response))
                for byte in response.read():
                    if self._closing.wait(seconds):
                        return False
                    self._socket.sendall(bytes((byte,)))
                return True
        return self._send(response, method)

    def _send(self, response: httpx.Response, method: str) -> bool:
        bodiless = method == "HEAD" or response.status_code in {204, 304}
        if bodiless:
            self._socket.sendall(_head(response))
        elif response.headers.get("transfer-encoding") == "chunked":
            self._send_chunks(response)
        elif "content-length" in response.headers:
            self._socket.sendall(_head(response) + response.read())
            if int(response.headers["content-length"]) != len(response.content):
                return self._drop("close")
        else:
            self._socket.sendall(_head(response))
            for piece in _pieces(response):
                self._socket.sendall(piece)
            return self._drop("close")
        # An answer to a request that was not read to its end leaves the rest in the way.
        return self._read_all and response.headers.get("connection") != "close"

    def _send_chunks(self, response: httpx.Response) -> None:
        self._socket.sendall(_head(response))
        for piece in _pieces(response):
            if piece:
                self._socket.sendall(b"%x\r\n%b\r\n" % (len(piece), piece))
        self._socket.sendall(b"0\r\n\r\n")

    def _refuse(self, reason: str) -> bool:
        self._socket.sendall(_head(httpx.Response(400, text=reason)) + reason.encode())
        return self._drop("close")

    def _drop(self, how: str) -> bool:
        if how == "reset":
            return self._reset()
        if how == "stall":
            self._stall()
        return False

    def _reset(self) -> bool:
        linger = struct.pack("ii", 1, 0)
        self._socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, linger)
        return False

    def _stall(self) -> None:
        # Nothing more is read: the other side's window fills up.
        until = time.monotonic() + _STALL_LIMIT
        while time.monotonic() < until and not self._closing.wait(0.02):
            if self._abandoned():
                return

    def _abandoned(self) -> bool:
        """Has the other side given up? Unread bytes hide it, and TLS does too."""
        if isinstance(self._socket, ssl.SSLSocket):
            return False
        self._socket.setblocking(False)
        try:
            return not self._socket.recv(1, socket.MSG_PEEK)
        except BlockingIOError:
            return False
        finally:
            self._socket.setblocking(True)


def _pieces(response: httpx.Response) -> Iterable[bytes]:
    # An answer that was made of bytes has been read already.
    return [response.content] if hasattr(response, "_content") else response.iter_raw()


@lru_cache(1024)
def _url(text: str) -> httpx.URL:
    return httpx.URL(text)


def _head(response: httpx.Response) -> bytes:
    status = response.status_code
    lines = [f"HTTP/1.1 {status} {_REASONS.get(status, 'Unknown')}".encode()]
    lines += [name + b": " + value for name, value in response.headers.raw]
    if status not in {204, 304} and not {"content-length", "transfer-encoding"} & set(
        response.headers
    ):
        lines.append(b"connection: close")
    return b"\r\n".join([*lines, b"", b""])


@contextmanager
def serve(
    service: Emulator | Answering,
    *,
    host: str = "127.0.0.1",
    port: int = 0,
    tls: ssl.SSLContext | None = None,
) -> Iterator[Server]:
    """Serve until the block ends; the socket listens when it begins."""
    server = Server(service, host=host, port=port, tls=tls)
    try:
        yield server
    finally:
        server.close()


def main() -> None:
    """Serve one of `NAMES`, or any `module:Class`, until interrupted."""
    parser = argparse.ArgumentParser(prog="python -m tests.emulators.server")
    parser.add_argument("name", help=f"{', '.join(NAMES)}, or module:Class")
    parser.add_argument("--port", type=int, default=0)
    options = parser.parse_args()
    module, _, attribute = NAMES.get(options.name, options.name).partition(":")
    service: Any = getattr(importlib.import_module(module), attribute)()
    with serve(service, port=options.port) as server, suppress(KeyboardInterrupt):
        print(server.url, flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
