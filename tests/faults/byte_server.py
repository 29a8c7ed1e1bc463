"""A server that does with bytes whatever it is told: answer, cut, reset, stall, drip, lie.

It listens on loopback, one thread for each connection, and is ready when it is made. A script is a
list of steps; each request takes the next one, and when they are used up, `otherwise`. A step gets
the connection and may do anything with it; the functions below make the usual ones.

    with ByteServer([status(503), reset()], otherwise=json_answer({"text": "hi"})) as server:
        ...  # call server.url
    assert server.requests[0].path == "/v1/audio"
"""

from __future__ import annotations

import contextlib
import gzip
import json
import socket
import ssl
import struct
import threading
from collections import deque
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from types import TracebackType
from typing import Any, Self

__all__ = [
    "ByteServer",
    "Peer",
    "Received",
    "Step",
    "before_reading",
    "close",
    "cut",
    "drip",
    "http",
    "json_answer",
    "raw",
    "reset",
    "sequence",
    "sse",
    "stall",
    "status",
    "wrapped_in_gzip",
]

_SLICE = 64 * 1024


@dataclass(frozen=True, slots=True)
class Received:
    """A request as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    """Names in small letters."""
    body: bytes = field(repr=False)
    connection: int
    """Which of the server's connections it came on, from 0."""
    head: bytes = field(repr=False)
    """The request line and the headers, byte for byte."""

    @property
    def path(self) -> str:
        """The target without its query."""
        return self.target.partition("?")[0]


class Peer:
    """The server's end of one connection."""

    def __init__(self, server: ByteServer, connected: socket.socket, number: int) -> None:
        self.server = server
        self.socket = connected
        self.number = number
        self.request: Received | None = None
        self.open = True
        self.taken = 0
        """Bytes of request bodies that were read and counted, not kept."""
        self._rest = b""

    def send(self, data: bytes) -> None:
        """Send all of it."""
        self.socket.sendall(data)

    def close(self, *, politely: bool = True) -> None:
        """Close: over TLS with its farewell if `politely`, else without, as a cut cable would."""
        self.open = False
        if politely and isinstance(self.socket, ssl.SSLSocket):
            with contextlib.suppress(OSError, ValueError):
                self.socket.settimeout(1)
                self.socket.unwrap()
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_RDWR)
        self.socket.close()

    def reset(self) -> None:
        """Close with RST: what was sent and not yet read is lost."""
        self.open = False
        self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        self.socket.close()

    def wait_until_left(self) -> None:
        """Do nothing until the client leaves or the server is closed."""
        with contextlib.suppress(OSError):
            while self.socket.recv(_SLICE):
                pass

    def read_request(self) -> Received | None:
        """The next request; None at the end of the connection."""
        head = self._read_until(b"\r\n\r\n")
        if head is None:
            return None
        first, *lines = head.decode("latin-1").split("\r\n")
        method, target, _ = first.split(" ", 2)
        pairs = (line.partition(":") for line in lines if line)
        headers = {name.lower(): value.strip() for name, _, value in pairs}
        body = self._read_body(int(headers.get("content-length", "0")))
        self.request = Received(method, target, headers, body, self.number, head)
        return self.request

    def _read_until(self, mark: bytes) -> bytes | None:
        while mark not in self._rest:
            data = self.socket.recv(_SLICE)
            if not data:
                return None
            self._rest += data
        head, _, self._rest = self._rest.partition(mark)
        return head

    def _read_body(self, length: int) -> bytes:
        body = bytearray(self._rest[:length])
        self._rest = self._rest[length:]
        count = len(body)
        while count < length:
            data = self.socket.recv(min(_SLICE, length - count))
            if not data:
                raise ConnectionError("the client left within its request")
            count += len(data)
            if count <= self.server.most_kept:
                body += data
        self.taken += count
        return bytes(body)


Step = Callable[[Peer], None]


@dataclass(frozen=True, slots=True)
class before_reading:  # noqa: N801 - made like the other steps
    """A step that is taken before anything of the request is read."""

    step: Step

    def __call__(self, peer: Peer) -> None:
        self.step(peer)


def raw(data: bytes) -> Step:
    """Send bytes, and go on."""
    return lambda peer: peer.send(data)


def reset(data: bytes = b"") -> Step:
    """Send bytes, wait until the client could read them, and reset the connection."""

    def step(peer: Peer) -> None:
        if data:
            peer.send(data)
            peer.server.wait_for_reader(peer)
        peer.reset()

    return step


def close(data: bytes = b"", *, politely: bool = True) -> Step:
    """Send bytes, and close."""

    def step(peer: Peer) -> None:
        peer.send(data)
        peer.close(politely=politely)

    return step


def stall(data: bytes = b"") -> Step:
    """Send bytes, then nothing more; the client has to leave."""

    def step(peer: Peer) -> None:
        if data:
            peer.send(data)
        peer.wait_until_left()
        peer.close(politely=False)

    return step


def drip(data: bytes, seconds: float) -> Step:
    """Send one byte at a time, so many seconds apart."""

    def step(peer: Peer) -> None:
        for position in range(len(data)):
            if peer.server.stopped.wait(seconds):
                return
            peer.send(data[position : position + 1])

    return step


def cut(data: bytes, at: int, *, politely: bool = True) -> Step:
    """Send the first `at` bytes (from the end, if negative), and close."""
    return close(data[:at], politely=politely)


def sequence(steps: Iterable[Step]) -> Step:
    """Several steps for one request."""
    chosen = list(steps)

    def step(peer: Peer) -> None:
        for each in chosen:
            each(peer)

    return step


def http(
    code: int = 200,
    body: bytes = b"",
    headers: Mapping[str, str] | None = None,
    *,
    framing: str = "length",
) -> bytes:
    """An answer as bytes; framed by `length`, `chunked`, or `close` (then the step must close)."""
    lines = [f"HTTP/1.1 {code} Whatever", *(f"{n}: {v}" for n, v in (headers or {}).items())]
    if framing == "length":
        lines.append(f"Content-Length: {len(body)}")
    elif framing == "chunked":
        lines.append("Transfer-Encoding: chunked")
        half = max(1, len(body) // 2)
        parts = [part for part in (body[:half], body[half:]) if part]
        body = b"".join(b"%x\r\n%s\r\n" % (len(part), part) for part in parts) + b"0\r\n\r\n"
    else:
        lines.append("Connection: close")
    return "\r\n".join([*lines, "", ""]).encode("latin-1") + body


def status(code: int, body: bytes = b"", headers: Mapping[str, str] | None = None) -> Step:
    """Answer with a status."""
    return raw(http(code, body, headers))


def json_answer(value: Any, code: int = 200, headers: Mapping[str, str] | None = None) -> Step:
    """Answer with JSON."""
    kind = {"Content-Type": "application/json"}
    return raw(http(code, json.dumps(value).encode(), {**kind, **(headers or {})}))


def sse(frames: bytes, *, framing: str = "chunked") -> bytes:
    """A stream of events as bytes."""
    return http(200, frames, {"Content-Type": "text/event-stream"}, framing=framing)


def wrapped_in_gzip(body: bytes, code: int = 200, *, damage: Callable[[bytes], bytes]) -> bytes:
    """An answer with its body packed, and the packed bytes changed by `damage`."""
    headers = {"Content-Type": "application/json", "Content-Encoding": "gzip"}
    return http(code, damage(gzip.compress(body)), headers)


class ByteServer:
    """The server; closing it ends every connection and waits for its threads."""

    def __init__(
        self,
        script: Iterable[Step] = (),
        *,
        otherwise: Step | None = None,
        tls: ssl.SSLContext | None = None,
        host: str = "127.0.0.1",
        most_kept: int = 64_000_000,
    ) -> None:
        """Of a body, `most_kept` bytes are kept; `tls` is a context for the server's side."""
        self.requests: list[Received] = []
        self.connections = 0
        self.most_kept = most_kept
        self.stopped = threading.Event()
        self._script = deque(script)
        self._otherwise = otherwise or status(500, b"the script has ended")
        self._tls = tls
        self._host = host
        self._lock = threading.Lock()
        self._peers: set[Peer] = set()
        family = socket.AF_INET6 if ":" in host else socket.AF_INET
        self._listener = socket.create_server((host, 0), family=family, backlog=256)
        self.port: int = self._listener.getsockname()[1]
        self._threads: list[threading.Thread] = []
        self._start(self._accept)

    @property
    def url(self) -> str:
        """The base URL, without slash at its end."""
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def url_for(self, host: str) -> str:
        """The base URL under another name for this computer."""
        return f"{'https' if self._tls else 'http'}://{host}:{self.port}"

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, _: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """End everything."""
        self.stopped.set()
        with contextlib.suppress(OSError):
            self._listener.shutdown(socket.SHUT_RDWR)
        self._listener.close()
        with self._lock:
            peers = list(self._peers)
        for peer in peers:
            with contextlib.suppress(OSError):
                peer.socket.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(10)
            assert not thread.is_alive(), "a connection of the server did not end"

    def wait_for_reader(self, peer: Peer) -> None:
        """Give the client time to take what was sent, before a reset throws it away.

        There is no telling when it has been read; a tenth of a second is plenty on loopback, and
        being wrong only makes another fault of the same kind.
        """
        self.stopped.wait(0.1)
        assert peer.open

    def _start(self, work: Callable[..., None], *arguments: Any) -> None:
        thread = threading.Thread(target=work, args=arguments, daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self) -> None:
        while True:
            try:
                connected, _ = self._listener.accept()
            except OSError:
                return
            with self._lock:
                number = self.connections
                self.connections += 1
            self._start(self._serve, connected, number)

    def _serve(self, connected: socket.socket, number: int) -> None:
        peer = Peer(self, connected, number)
        with self._lock:
            self._peers.add(peer)
        try:
            if self._tls:
                peer.socket = self._tls.wrap_socket(connected, server_side=True)
            while peer.open and not self.stopped.is_set():
                if not self._one(peer):
                    break
        except (OSError, ValueError):
            pass  # the client left, or did not trust us: its business
        finally:
            with self._lock:
                self._peers.discard(peer)
            if peer.open:
                peer.close()
            connected.close()

    def _one(self, peer: Peer) -> bool:
        with self._lock:
            first = self._script[0] if self._script else self._otherwise
            early = isinstance(first, before_reading)
            if early and self._script:
                self._script.popleft()
        if early:
            first(peer)
            return True
        request = peer.read_request()
        if request is None:
            return False
        with self._lock:
            self.requests.append(request)
            step = self._script.popleft() if self._script else self._otherwise
        step(peer)
        return True
