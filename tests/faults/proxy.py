"""Proxies on loopback: HTTP with or without a password, reached openly or by TLS, and SOCKS 5.

Whatever host they are asked for, they connect to the one they were given: a test can use a name
that does not exist.
"""

from __future__ import annotations

import base64
import contextlib
import socket
import ssl
import threading
from collections.abc import Callable

from tests.faults.byte_server import ByteServer, Peer, Step, before_reading, close, http, status

__all__ = ["HTTPProxy", "SOCKSProxy"]

_SLICE = 64 * 1024


class HTTPProxy(ByteServer):
    """A proxy that speaks HTTP; `targets` are the hosts it was asked for."""

    def __init__(
        self,
        upstream: int,
        *,
        login: str | None = None,
        refuse: int | None = None,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        """Connects to the port `upstream`, if asked with `login`, unless it is to `refuse`."""
        self.targets: list[str] = []
        self._upstream = upstream
        self._wanted = "Basic " + base64.b64encode(login.encode()).decode() if login else None
        self._refuse = refuse
        super().__init__(otherwise=self._serve_one, tls=tls)

    def _serve_one(self, peer: Peer) -> None:
        request = peer.request
        assert request is not None
        self.targets.append(request.target)
        refusal = self._refusal(request.headers.get("proxy-authorization"))
        if refusal:
            refusal(peer)
            return
        with socket.create_connection(("127.0.0.1", self._upstream)) as onward:
            if request.method == "CONNECT":
                peer.send(b"HTTP/1.1 200 Connection established\r\n\r\n")
            else:
                onward.sendall(request.head + b"\r\n\r\n" + request.body)
            _relay(peer, onward)
        peer.close()

    def _refusal(self, login: str | None) -> Step | None:
        if self._wanted and login != self._wanted:
            return close(http(407, b"", {"Proxy-Authenticate": 'Basic realm="office"'}))
        return status(self._refuse) if self._refuse else None


class SOCKSProxy(ByteServer):
    """A proxy that speaks SOCKS 5, with a password if there is a `login`."""

    def __init__(self, upstream: int, *, login: str | None = None) -> None:
        self.targets: list[str] = []
        self._upstream = upstream
        self._login = login
        super().__init__(otherwise=before_reading(self._serve_one))

    def _serve_one(self, peer: Peer) -> None:
        take = _reader(peer.socket)
        _, count = take(2)
        methods = take(count)
        wanted = 2 if self._login else 0
        if wanted not in methods:
            peer.send(b"\x05\xff")
            peer.close()
            return
        peer.send(bytes([5, wanted]))
        if self._login:
            take(1)
            user = take(take(1)[0]).decode()
            password = take(take(1)[0]).decode()
            good = f"{user}:{password}" == self._login
            peer.send(b"\x01\x00" if good else b"\x01\x01")
            if not good:
                peer.close()
                return
        kind = take(4)[3]
        host = take(take(1)[0]).decode() if kind == 3 else socket.inet_ntoa(take(4))
        port = int.from_bytes(take(2), "big")
        self.targets.append(f"{host}:{port}")
        peer.send(b"\x05\x00\x00\x01\x00\x00\x00\x00\x00\x00")
        with socket.create_connection(("127.0.0.1", self._upstream)) as onward:
            _relay(peer, onward)
        peer.close()


def _reader(source: socket.socket) -> Callable[[int], bytes]:
    def take(count: int) -> bytes:
        data = b""
        while len(data) < count:
            more = source.recv(count - len(data))
            if not more:
                raise ConnectionError("the client left")
            data += more
        return data

    return take


def _relay(peer: Peer, onward: socket.socket) -> None:
    """Carry bytes both ways until both sides have ended."""

    def carry(source: socket.socket, target: socket.socket) -> None:
        with contextlib.suppress(OSError):
            while data := source.recv(_SLICE):
                target.sendall(data)
        for each in (source, target):
            with contextlib.suppress(OSError):
                each.shutdown(socket.SHUT_RDWR)

    back = threading.Thread(target=carry, args=(onward, peer.socket), daemon=True)
    back.start()
    carry(peer.socket, onward)
    back.join(10)
