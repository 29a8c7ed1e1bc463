"""Sockets for httpcore that keep to the deadline of the exchange they serve.

httpcore's own wait for each read anew, so a server that sends a byte now and then holds them for
ever, and a name whose IPv6 address is dead costs the whole connect time-out. Here a host's
addresses are tried side by side (RFC 8305), the look-up of its name has an end, and a TLS
connection that is cut does not look like one that was closed.
"""

from __future__ import annotations

import contextlib
import errno
import itertools
import os
import select
import selectors
import socket
import ssl
import sys
import threading
from collections.abc import Callable, Iterable, Sequence
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING, Any, TypeVar

from asrcli.transport.connection import is_public
from asrcli.transport.exchange import Stage, current

if TYPE_CHECKING:
    from httpcore import SOCKET_OPTION, NetworkBackend, NetworkStream
else:  # interfaces without code; loading them would cost every start of the program
    NetworkBackend = NetworkStream = object

__all__ = ["AddressRefused", "Backend", "Resolve"]

_T = TypeVar("_T")

Resolve = Callable[[str, int], Sequence[tuple[Any, ...]]]
"""What `socket.getaddrinfo` is with a host and a port."""

_HEAD_START = 0.25
"""Seconds an address gets before the next one is tried beside it (RFC 8305, section 8)."""
_SLICE = 64 * 1024
_UNDER_WAY = {0, errno.EINPROGRESS, errno.EWOULDBLOCK, getattr(errno, "WSAEWOULDBLOCK", 0)}
# A host that vanished is noticed while the service is at work; the second name is that of macOS.
_KEEPALIVE = {"TCP_KEEPIDLE": 30, "TCP_KEEPALIVE": 30, "TCP_KEEPINTVL": 10, "TCP_KEEPCNT": 6}


class AddressRefused(Exception):  # noqa: N818 - ends up as an error of ours
    """The name leads to an address that is not open to everyone."""


def _lookup(host: str, port: int) -> Sequence[tuple[Any, ...]]:
    return socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)


class Backend(NetworkBackend):
    """Opens connections for httpcore."""

    def __init__(self, resolve: Resolve = _lookup) -> None:
        self._resolve = resolve

    def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ARG002 - the exchange knows better
        local_address: str | None = None,  # noqa: ARG002
        socket_options: Iterable[SOCKET_OPTION] | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        """A connection to the first address that answers; raises httpcore's errors."""
        import httpcore

        exchange = current()
        exchange.peer = (host, port)
        try:
            exchange.stage = Stage.RESOLVING
            found = _within(exchange.connect_left(), lambda: self._resolve(host, port))
            guarded = exchange.public_only and not exchange.proxied
            if guarded and not all(is_public(entry[4][0]) for entry in found):
                raise AddressRefused(host)
            exchange.stage = Stage.CONNECTING
            connected, exchange.address = _connect_any(_interleaved(found), exchange.connect_left)
        except TimeoutError as error:
            exchange.expire()
            raise httpcore.ConnectTimeout(error) from error
        except OSError as error:
            raise httpcore.ConnectError(error) from error
        stream = _Stream(_tuned(connected))
        exchange.abandon = stream.close
        return stream


def _within(
    seconds: float, look_up: Callable[[], Sequence[tuple[Any, ...]]]
) -> Sequence[tuple[Any, ...]]:
    # The system's look-up cannot be interrupted; a thread that waits for it can be left behind.
    results: SimpleQueue[Sequence[tuple[Any, ...]] | OSError] = SimpleQueue()

    def work() -> None:
        try:
            results.put(look_up())
        except UnicodeError:  # no name at all: a label of 64 letters, an empty one
            results.put(socket.gaierror(socket.EAI_NONAME, "not a name"))
        except OSError as error:
            results.put(error)

    threading.Thread(target=work, name="asrcli-resolve", daemon=True).start()
    try:
        result = results.get(timeout=seconds)
    except Empty:
        raise TimeoutError from None
    if isinstance(result, OSError):
        raise result
    if not result:
        raise socket.gaierror(socket.EAI_NONAME, "no address")
    return result


def _interleaved(found: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """The addresses, one family in turn with the other, beginning with the system's first."""
    first = found[0][0]
    ours = [entry for entry in found if entry[0] == first]
    others = [entry for entry in found if entry[0] != first]
    pairs = itertools.zip_longest(ours, others)
    return [entry for pair in pairs for entry in pair if entry is not None]


def _connect_any(
    addresses: list[tuple[Any, ...]], left: Callable[[], float]
) -> tuple[socket.socket, str]:
    """A socket that reached one of the addresses, and that address.

    Raises the last failure, or TimeoutError.
    """
    waiting = iter(addresses)
    failure: OSError = TimeoutError()
    with selectors.DefaultSelector() as selector, contextlib.ExitStack() as attempts:
        while True:
            entry = next(waiting, None)
            if entry is not None:
                try:
                    attempt = attempts.enter_context(_begin(entry))
                except OSError as error:
                    failure = error
                    continue
                selector.register(attempt, selectors.EVENT_WRITE, entry[4][0])
            elif not selector.get_map():
                raise failure
            for key, _ in selector.select(left() if entry is None else min(left(), _HEAD_START)):
                assert isinstance(key.fileobj, socket.socket)
                selector.unregister(key.fileobj)
                code = key.fileobj.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
                if code == 0:
                    return socket.socket(fileno=key.fileobj.detach()), key.data
                failure = OSError(code, os.strerror(code))


def _begin(entry: tuple[Any, ...]) -> socket.socket:
    family, kind, protocol, _, address = entry
    attempt = socket.socket(family, kind, protocol)
    attempt.setblocking(False)
    code = attempt.connect_ex(address)
    if code not in _UNDER_WAY:
        attempt.close()
        raise OSError(code, os.strerror(code))
    return attempt


def _tuned(connected: socket.socket) -> socket.socket:
    connected.setblocking(True)
    with contextlib.suppress(OSError):  # it works without, and the other side may be gone again
        connected.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
        for name, seconds in _KEEPALIVE.items():
            if option := getattr(socket, name, None):
                connected.setsockopt(socket.IPPROTO_TCP, option, seconds)
    return connected


class _Stream(NetworkStream):
    """A connection; every wait is as long as the exchange of the calling thread allows."""

    def __init__(self, connected: socket.socket | ssl.SSLSocket | _TLSInTLS) -> None:
        self._socket = connected
        self._poll: Any = None

    def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002
        """Some bytes, or none at the end."""
        import httpcore

        exchange = current()
        try:
            self._socket.settimeout(exchange.patience())
            data = self._socket.recv(max_bytes)
        except TimeoutError as error:
            exchange.expire()
            raise httpcore.ReadTimeout(error) from error
        except OSError as error:
            exchange.ended = True
            raise httpcore.ReadError(error) from error
        exchange.received(data)
        return data

    def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002
        """All of the bytes."""
        import httpcore

        exchange = current()
        view = memoryview(buffer)
        # A plain socket takes what fits, whatever it is given; TLS sends all of it before it
        # returns, and the time limit is for each of its writes.
        most = len(view) if type(self._socket) is socket.socket else _SLICE
        try:
            while view:
                self._socket.settimeout(exchange.left(exchange.connection.idle_timeout))
                count = self._socket.send(view[:most])
                exchange.sent(count)
                view = view[count:]
        except TimeoutError as error:
            exchange.expire()
            raise httpcore.WriteTimeout(error) from error
        except OSError as error:  # httpcore goes on to read: there may be an answer that says why
            raise httpcore.WriteError(error) from error

    def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ARG002
    ) -> NetworkStream:
        """The same connection, encrypted."""
        import httpcore

        exchange = current()
        exchange.stage = Stage.HANDSHAKE
        exchange.tls_name = server_hostname
        try:
            self._socket.settimeout(exchange.connect_left())
            stream = _Stream(_encrypted(self._socket, ssl_context, server_hostname))
        except TimeoutError as error:
            self.close()
            exchange.expire()
            raise httpcore.ConnectTimeout(error) from error
        except OSError as error:
            self.close()
            raise httpcore.ConnectError(error) from error
        exchange.abandon = stream.close
        return stream

    def close(self) -> None:
        """Let go; a thread that waits for this connection wakes up."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()

    def get_extra_info(self, info: str) -> Any:
        """What httpcore asks of a connection."""
        if info == "ssl_object":
            return None if isinstance(self._socket, socket.socket) else self._socket
        return self._readable() if info == "is_readable" else None

    def _readable(self) -> bool:
        # An idle connection that has something to read was closed by the other side.
        descriptor = self._socket.fileno()
        if descriptor < 0:
            return True
        if sys.platform == "win32":
            return bool(select.select([descriptor], [], [], 0)[0])
        if self._poll is None:
            self._poll = select.poll()
            self._poll.register(descriptor, select.POLLIN)
        return bool(self._poll.poll(0))


def _encrypted(
    plain: socket.socket | _TLSInTLS, context: ssl.SSLContext, host: str | None
) -> ssl.SSLSocket | _TLSInTLS:
    if isinstance(plain, _TLSInTLS):
        raise TypeError("there is no third layer of TLS")
    if isinstance(plain, ssl.SSLSocket):
        return _TLSInTLS(plain, context, host)
    # A connection cut by somebody on the way must not pass for one that its owner closed.
    return context.wrap_socket(plain, server_hostname=host, suppress_ragged_eofs=False)


class _TLSInTLS:
    """TLS to a service, through a proxy that is itself reached by TLS."""

    def __init__(self, outer: ssl.SSLSocket, context: ssl.SSLContext, host: str | None) -> None:
        self._outer = outer
        self._incoming, self._outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
        self._inner = context.wrap_bio(self._incoming, self._outgoing, server_hostname=host)
        self._carry_out(self._inner.do_handshake)
        self.settimeout = outer.settimeout
        self.shutdown = outer.shutdown
        self.close = outer.close
        self.fileno = outer.fileno
        self.selected_alpn_protocol = self._inner.selected_alpn_protocol

    def recv(self, most: int) -> bytes:
        """As of a socket."""
        try:
            return self._carry_out(lambda: self._inner.read(most))
        except ssl.SSLZeroReturnError:
            return b""

    def send(self, data: memoryview) -> int:
        """As of a socket."""
        return self._carry_out(lambda: self._inner.write(data))

    def _carry_out(self, act: Callable[[], _T]) -> _T:
        while True:
            try:
                result = act()
            except ssl.SSLWantReadError:
                self._flush()
                if data := self._outer.recv(_SLICE):
                    self._incoming.write(data)
                else:
                    self._incoming.write_eof()
            else:
                self._flush()
                return result

    def _flush(self) -> None:
        if data := self._outgoing.read():
            self._outer.sendall(data)
